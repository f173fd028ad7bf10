use super::*;

/// A megabyte of lines, no two alike.
fn text() -> Vec<u8> {
    (0..40_000u32)
        .flat_map(|line| format!("line {line} of {}\n", line.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

#[test]
fn every_codec_round_trips() {
    for codec in Compression::ALL {
        for input in [&b""[..], b"x", &[7; 100], &text()] {
            let compressed = compress(codec, None, input).unwrap();
            assert_eq!(decompress(codec, &compressed, input.len()).unwrap(), input, "{codec}");
        }
    }
}

#[test]
fn every_codec_stops_at_the_limit() {
    let bomb = vec![0; 8 << 20];
    for codec in Compression::ALL {
        let compressed = compress(codec, None, &bomb).unwrap();
        let limit = 1 << 20;
        assert_eq!(decompress(codec, &compressed, limit), Err(CodecError::TooLarge { limit }), "{codec}");
        assert!(decompress(codec, &compressed, bomb.len() - 1).is_err(), "{codec}");
        assert!(decompress(codec, &compressed, bomb.len()).is_ok(), "{codec}");
    }
}

#[test]
fn ids_and_names() {
    for codec in Compression::ALL {
        assert_eq!(Compression::from_id(codec.id()), Some(codec));
        assert_eq!(codec.name().parse(), Ok(codec));
    }
    assert_eq!(Compression::from_id(5), None);
    assert_eq!("uncompressed".parse(), Ok(Compression::None));
    assert!("producer".parse::<Compression>().is_err());
}

#[test]
fn what_one_lz4_frame_was_leaves_no_trace_in_the_next() {
    let (small, large) = (b"a few bytes".as_slice(), text());
    let good =
        [compress(Compression::Lz4, None, small).unwrap(), compress(Compression::Lz4, None, &large).unwrap()];
    let mut bad: Vec<Vec<u8>> = Vec::new();
    for end in 0..good[0].len() {
        bad.push(good[0][..end].to_vec());
    }
    for at in 0..good[0].len() {
        let mut damaged = good[0].to_vec();
        damaged[at] ^= 0x41;
        bad.push(damaged);
    }
    // A block of nothing before the others, with and without an end.
    let empty_block = [1, 0, 0, 0, 0];
    let header = &good[0][..7];
    bad.push([header, &empty_block, &good[0][7..]].concat());
    bad.push([header, &empty_block].concat());
    // Large blocks, two frames, a frame of the old kind.
    let mut wide = good[1].to_vec();
    wide[5] = 0x70;
    bad.push(wide);
    bad.push([&good[0][..], &good[1]].concat());
    bad.push([&0x184c_2102u32.to_le_bytes()[..], &[1, 0, 0, 0, 0], &[0; 8]].concat());
    for bad in bad {
        for limit in [4, 1 << 24] {
            let first = read_lz4(&bad, limit);
            for (input, frame) in [small, &large].iter().zip(&good) {
                assert_eq!(read_lz4(frame, 1 << 24).unwrap(), *input, "after {bad:?}");
            }
            assert_eq!(read_lz4(&bad, limit), first, "{bad:?}");
        }
    }
}

/// By the reader, not in place.
fn read_lz4(frame: &[u8], limit: usize) -> Result<Bytes, CodecError> {
    let mut output = Vec::new();
    with_reader(Compression::Lz4, frame, |reader| read_to_limit(reader, limit, &mut output))?;
    Ok(output.into())
}

/// Frames as clients write them: what is inflated in place is what the reader reads, and what is damaged is damaged for both.
#[test]
fn an_lz4_frame_is_inflated_in_place_as_the_reader_does() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let inputs = [&b""[..], b"x", &[7; 3 << 20], &text(), &text()[..70_000]];
    for (block_size, mode) in [
        (BlockSize::Max64KB, BlockMode::Independent),
        (BlockSize::Max256KB, BlockMode::Independent),
        (BlockSize::Max4MB, BlockMode::Independent),
        (BlockSize::Max64KB, BlockMode::Linked),
    ] {
        for (input, checksum) in inputs.iter().flat_map(|input| [(*input, false), (*input, true)]) {
            let info = FrameInfo::new().block_mode(mode).block_size(block_size).content_checksum(checksum);
            let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
            io::copy(&mut &*input, &mut encoder).unwrap();
            let frame = encoder.finish().unwrap();
            let what = format!("{block_size:?} {mode:?} {} {checksum}", input.len());
            let is_usual = mode == BlockMode::Independent && !input.is_empty();
            if is_usual {
                assert_eq!(lz4::inflate_usual(&frame, input.len()).as_deref(), Some(input), "{what}");
            }
            for limit in [input.len(), input.len().saturating_sub(1), input.len() / 2] {
                assert_eq!(
                    decompress(Compression::Lz4, &frame, limit),
                    read_lz4(&frame, limit),
                    "{what} {limit}"
                );
            }
            for end in [0, 3, 7, 9, 11, frame.len() / 2, frame.len() - 9].map(|end| end.min(frame.len() - 5))
            {
                let torn = decompress(Compression::Lz4, &frame[..end], input.len());
                assert_eq!(
                    torn.is_err(),
                    read_lz4(&frame[..end], input.len()).is_err(),
                    "{what} until {end}"
                );
            }
        }
    }
}

/// What Kafka's own compressor makes of `text()`: the level, the size and the CRC-32C of the frame. Level 9, the default, is
/// another compressor, faster and weaker.
const KAFKAS_LZ4: [(i32, usize, u32); 17] = [
    (1, 496424, 0xd0cb_4a64),
    (2, 496424, 0xd0cb_4a64),
    (3, 488135, 0x09d9_39ff),
    (4, 474119, 0x6917_a495),
    (5, 471899, 0x0c99_3b97),
    (6, 471684, 0x0225_1d1a),
    (7, 467947, 0x6e0b_058f),
    (8, 467858, 0x0b1b_4ecc),
    (9, 540859, 0xe7bc_6c6f),
    (10, 464333, 0x7955_4db8),
    (11, 463938, 0xe7af_ba5c),
    (12, 463896, 0xaa90_5101),
    (13, 463896, 0xaa90_5101),
    (14, 463896, 0xaa90_5101),
    (15, 463896, 0xaa90_5101),
    (16, 463896, 0xaa90_5101),
    (17, 463896, 0xaa90_5101),
];

#[test]
fn lz4_writes_what_kafka_writes_at_every_level() {
    let (text, noise) = (text(), noise(70_000));
    for (level, size, crc) in KAFKAS_LZ4 {
        let compressed = compress(Compression::Lz4, Some(level), &text).unwrap();
        assert_eq!((compressed.len(), crc32c::crc32c(&compressed)), (size, crc), "{level}");
        assert!(decompress(Compression::Lz4, &compressed, text.len()).unwrap() == text, "{level}");
        for input in [&b""[..], b"x", &noise] {
            let compressed = compress(Compression::Lz4, Some(level), input).unwrap();
            assert!(compressed.len() <= input.len() + 19, "{level}: what does not shrink is stored");
            assert!(read_lz4(&compressed, input.len()).unwrap() == input, "{level}");
        }
    }
    let default = compress(Compression::Lz4, None, &text).unwrap();
    assert_eq!(default, compress(Compression::Lz4, Some(9), &text).unwrap());
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut seed = 1u64;
    let next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 56) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}
