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
