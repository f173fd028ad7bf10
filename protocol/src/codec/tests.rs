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
