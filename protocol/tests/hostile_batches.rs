//! Nothing that a client sends makes validation panic, hold much memory, or lose what it checks.

mod common;

use bytes::{Bytes, BytesMut};
use common::{INFLATION_LIMIT, Random, golden};
use ottla_protocol::batch::*;
use ottla_protocol::codec::{self, CodecError, Compression};

const NOW_MS: i64 = 1_700_000_000_000;
const CODECS: [&str; 5] = ["mixed-none", "mixed-gzip", "mixed-snappy", "mixed-lz4", "mixed-zstd"];

fn rules() -> ValidationRules<'static> {
    ValidationRules::new("t", 0, 11, NOW_MS)
}

/// Makes the length and the CRC those of the bytes, so that what is behind them is reached.
fn seal(batch: &mut BytesMut) {
    if batch.len() < BATCH_HEADER_BYTES {
        return;
    }
    let length = (batch.len() - LOG_OVERHEAD_BYTES) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

#[test]
fn every_truncation_is_refused() {
    for name in CODECS {
        let whole = golden(name);
        for end in 0..whole.len() {
            assert!(validate(whole.slice(..end), &rules()).is_err(), "{name} cut at {end}");
            let mut sealed = BytesMut::from(&whole[..end]);
            seal(&mut sealed);
            assert!(validate(sealed.freeze(), &rules()).is_err(), "{name} cut at {end} and sealed");
        }
    }
}

#[test]
fn every_flipped_bit_under_the_crc_is_refused() {
    for name in CODECS {
        let whole = golden(name);
        // The leader epoch and the base offset are not the producer's to set; all else is checked.
        for at in (0..12).chain(16..whole.len()) {
            for bit in 0..8 {
                let mut flipped = BytesMut::from(&whole[..]);
                flipped[at] ^= 1 << bit;
                assert!(validate(flipped.freeze(), &rules()).is_err(), "{name}: bit {bit} of byte {at}");
            }
        }
    }
}

/// Mutates good batches in a seeded way, and with each target codec. It must return, and what it lets pass must be
/// readable and keep its count.
#[test]
fn mutations_neither_panic_nor_pass_unreadable() {
    let targets = [None, Some(Compression::None), Some(Compression::Lz4), Some(Compression::Zstd)];
    let mut random = Random(0x0771a);
    let mut passed = 0;
    for round in 0..6000 {
        let mut batch = BytesMut::from(&golden(CODECS[round % CODECS.len()])[..]);
        for _ in 0..=random.below(4) {
            let at = random.below(batch.len());
            match random.below(5) {
                0 => batch[at] ^= 1 << random.below(8),
                1 => batch[at] = random.below(256) as u8,
                2 => batch[at] = [0, 0x7f, 0x80, 0xff][random.below(4)],
                3 => batch.truncate(at.max(17)),
                _ => {
                    let copied = batch[at..].to_vec();
                    batch.extend_from_slice(&copied[..random.below(copied.len() + 1).min(64)]);
                }
            }
        }
        if random.below(8) > 0 {
            seal(&mut batch);
        }
        let mut rules = rules();
        if let Some(codec) = targets[random.below(targets.len())] {
            rules.compression = TargetCompression::Codec { codec, level: None };
        }
        let Ok(validated) = validate(batch.freeze(), &rules) else { continue };
        passed += 1;
        for batch in validated.batches {
            let stored = batch.assign(1000, 1, None);
            assert!(stored.is_crc_valid(), "round {round}");
            let payload = stored.inflate(INFLATION_LIMIT).unwrap();
            let walked: Result<Vec<_>, _> = Records::new(&payload, stored.records_count).collect();
            assert_eq!(walked.unwrap().len(), stored.records_count as usize, "round {round}");
        }
    }
    assert!(passed > 100, "only {passed} mutations passed: the test does not reach behind the checks");
}

#[test]
fn random_bytes_do_not_inflate_beyond_the_limit() {
    let mut random = Random(7);
    for round in 0..4000 {
        let codec = Compression::ALL[round % 5];
        let mut bytes = match round % 2 {
            0 => (0..random.below(200)).map(|_| random.below(256) as u8).collect::<Vec<_>>(),
            _ => codec::compress(codec, None, &vec![random.below(256) as u8; random.below(5000)])
                .unwrap()
                .to_vec(),
        };
        if !bytes.is_empty() {
            let at = random.below(bytes.len());
            bytes[at] = random.below(256) as u8;
        }
        let limit = random.below(6000);
        if let Ok(inflated) = codec::decompress(codec, &bytes, limit) {
            assert!(inflated.len() <= limit);
        }
    }
}

/// Zeros, as small as a codec makes them.
#[test]
fn bombs_are_refused() {
    struct Zeros(usize);
    impl std::io::Read for Zeros {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = buffer.len().min(self.0);
            buffer[..count].fill(0);
            self.0 -= count;
            Ok(count)
        }
    }
    const BOMB_BYTES: usize = 128 << 20;
    for codec in [Compression::Gzip, Compression::Zstd] {
        let payload = codec::compress_from(codec, None, &mut Zeros(BOMB_BYTES), usize::MAX).unwrap();
        assert_eq!(
            codec::decompress(codec, &payload, INFLATION_LIMIT),
            Err(CodecError::TooLarge { limit: INFLATION_LIMIT })
        );
        let mut batch = BytesMut::from(&golden(&format!("mixed-{codec}"))[..BATCH_HEADER_BYTES]);
        batch.extend_from_slice(&payload);
        seal(&mut batch);
        // As records, the zeros are nothing: refused at the first one.
        let error = validate(batch.freeze(), &rules()).unwrap_err();
        assert_eq!(error.kind, InvalidBatchKind::InvalidRecord, "{codec}: {error}");
    }
}

#[test]
fn a_record_that_inflates_beyond_the_limit_is_too_large() {
    let mut builder = BatchBuilder::new().compression(Compression::Zstd, None);
    builder.append(NOW_MS, None, Some(&vec![0; 300 << 20]));
    let batch = builder.build();
    assert!(batch.size() < 1 << 20);
    let error = validate(batch.into_bytes(), &rules()).unwrap_err();
    assert_eq!(error.kind, InvalidBatchKind::MessageTooLarge);
}

/// A value far larger than the batch is checked in passing, kept as it came, and recompressed without being held.
#[test]
fn what_compresses_well_is_welcome() {
    let mut builder = BatchBuilder::new().compression(Compression::Gzip, None);
    builder.append(NOW_MS, Some(b"k"), Some(&vec![b'x'; 20 << 20]));
    let batch = builder.build().into_bytes();
    assert!(validate(batch.clone(), &rules()).is_ok());
    let mut to_zstd = rules();
    to_zstd.compression = TargetCompression::Codec { codec: Compression::Zstd, level: Some(1) };
    assert!(validate(batch.clone(), &to_zstd).is_ok());
    let mut to_none = rules();
    to_none.compression = TargetCompression::Codec { codec: Compression::None, level: None };
    assert_eq!(validate(batch, &to_none).unwrap_err().kind, InvalidBatchKind::MessageTooLarge);
}

#[test]
fn a_snappy_block_that_lies_about_its_length_is_refused_before_allocating() {
    // One raw block that claims 2^32 - 1 bytes.
    let lie = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
    assert!(matches!(codec::decompress(Compression::Snappy, &lie, usize::MAX), Err(CodecError::Corrupt(_))));
}

/// A record error takes more bytes than the record that caused it, and far more than the record compressed.
#[test]
fn the_errors_of_a_batch_are_bounded() {
    let mut builder = BatchBuilder::new().compression(Compression::Zstd, None);
    for _ in 0..5000 {
        builder.append(NOW_MS, None, None);
    }
    let mut rules = rules();
    rules.is_compacted = true;
    let error = validate(builder.build().into_bytes(), &rules).unwrap_err();
    assert_eq!(error.record_errors.len(), RECORD_ERRORS_MAX);
    assert!(error.message.unwrap().contains("due to 5000 record errors in total"));
}
