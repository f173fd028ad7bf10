//! Batches that Java wrote, read; and the same batches written here, byte for byte.

mod common;

use bytes::{Bytes, BytesMut};
use common::{Record, golden, records};
use ottla_protocol::batch::*;
use ottla_protocol::codec::Compression;

const BASE_MS: i64 = 1_700_000_000_000;

/// What Java appended to the `mixed` batches.
fn mixed() -> Vec<Record> {
    let bytes = |text: &str| Some(text.as_bytes().to_vec());
    let record = |offset, after_ms, key, value| Record {
        offset,
        timestamp_ms: BASE_MS + after_ms,
        key,
        value,
        headers: Vec::new(),
    };
    let mut all = vec![
        record(0, 0, bytes("k0"), bytes("v0")),
        record(1, 5, None, bytes("no key")),
        record(2, -10, bytes("k2"), None),
        record(3, 100, bytes(""), bytes("")),
        record(4, 50, None, None),
        record(5, 60, bytes("long"), bytes(&"z".repeat(300))),
    ];
    all[3].headers = vec![
        (b"h".to_vec(), bytes("1")),
        (b"h".to_vec(), bytes("2")),
        (b"n".to_vec(), None),
        (Vec::new(), bytes("")),
    ];
    all
}

fn build(mut builder: BatchBuilder, all: &[Record]) -> RecordBatch {
    for record in all {
        let headers: Vec<_> =
            record.headers.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
        builder.append_with_headers(
            record.timestamp_ms,
            record.key.as_deref(),
            record.value.as_deref(),
            &headers,
        );
    }
    builder.build()
}

#[test]
fn reads_what_java_wrote_in_every_codec() {
    for name in ["none", "gzip", "snappy", "lz4", "zstd", "lz4-17", "zstd-22"] {
        let batch = RecordBatch::parse(&golden(&format!("mixed-{name}"))).unwrap();
        assert!(batch.is_crc_valid(), "{name}");
        assert_eq!(records(&batch), mixed(), "{name}");
        assert_eq!((batch.next_offset(), batch.max_timestamp_ms), (6, BASE_MS + 100), "{name}");
    }
    for codec in &Compression::ALL[1..] {
        let batch = RecordBatch::parse(&golden(&format!("many-{codec}"))).unwrap();
        let all = records(&batch);
        assert_eq!(all.len(), 400, "{codec}");
        assert_eq!(all[399].value.as_deref(), Some(&b"the value of record 3159681"[..]), "{codec}");
    }
}

#[test]
fn writes_uncompressed_batches_as_java_does() {
    let idempotent = || BatchBuilder::new().producer(4242, 3, 17);
    for (name, builder) in [
        ("mixed-none", BatchBuilder::new()),
        ("idempotent", idempotent()),
        ("transactional", idempotent().transactional()),
        ("append-time", BatchBuilder::new().log_append_time(1_711_111_111_111)),
    ] {
        assert_eq!(build(builder, &mixed()).bytes(), &golden(name), "{name}");
    }
    let mut marker = BatchBuilder::new().producer(4242, 3, NO_SEQUENCE).transactional().control();
    marker.append(BASE_MS, Some(&[0, 0, 0, 1]), Some(&[0, 0, 0, 0, 0, 7]));
    assert_eq!(marker.build().bytes(), &golden("commit-marker"));
}

#[test]
fn writes_lz4_batches_as_java_does() {
    for (name, level) in [("mixed-lz4", None), ("mixed-lz4", Some(9)), ("mixed-lz4-17", Some(17))] {
        let builder = BatchBuilder::new().compression(Compression::Lz4, level);
        assert_eq!(build(builder, &mixed()).bytes(), &golden(name), "{name}");
    }
}

#[test]
fn compressed_batches_round_trip_and_validate() {
    for codec in Compression::ALL {
        let batch = build(BatchBuilder::new().compression(codec, None), &mixed());
        assert_eq!(batch.compression(), Some(codec));
        assert_eq!(records(&batch), mixed(), "{codec}");
        let rules = ValidationRules::new("t", 0, 11, BASE_MS);
        let validated = validate(batch.bytes().clone(), &rules).unwrap();
        assert_eq!(validated.records_count(), 6);
        assert_eq!(validated.batches[0].offset_delta_of_max_timestamp(), 3);
        assert_eq!(
            validated.batches[0].clone().assign(0, NO_LEADER_EPOCH, None).bytes(),
            batch.bytes(),
            "{codec}"
        );
    }
}

#[test]
fn assigning_copies_only_what_is_shared() {
    let rules = ValidationRules::new("t", 0, 11, BASE_MS);
    let own = Bytes::from(golden("mixed-none").to_vec());
    let address = own.as_ptr();
    let stored = validate(own, &rules).unwrap().batches.pop().unwrap().assign(70, 4, None);
    assert_eq!(stored.bytes().as_ptr(), address);
    assert_eq!((stored.base_offset, stored.last_offset(), stored.partition_leader_epoch), (70, 75, 4));
    assert!(stored.is_crc_valid());

    let shared = golden("mixed-none");
    let stored = validate(shared.clone(), &rules).unwrap().batches.pop().unwrap().assign(70, 4, None);
    assert_eq!(stored.base_offset, 70);
    assert_eq!(shared, golden("mixed-none"), "another holder of the bytes must not see the offsets");
}

#[test]
fn internal_batches_know_their_newest_record() {
    for codec in Compression::ALL {
        let batch = build(BatchBuilder::new().compression(codec, None), &mixed());
        let internal = ValidatedBatches::internal([batch]);
        assert_eq!(internal.batches[0].offset_delta_of_max_timestamp(), 3, "{codec}");
    }
}

#[test]
fn log_append_time_is_under_the_crc() {
    let mut rules = ValidationRules::new("t", 0, 11, BASE_MS + 7);
    rules.timestamp_type = TimestampType::LogAppendTime;
    let batch = validate(golden("mixed-lz4"), &rules).unwrap().batches.pop().unwrap();
    assert_eq!((batch.max_timestamp_ms, batch.offset_delta_of_max_timestamp()), (BASE_MS + 7, 0));
    let stored = batch.assign(9, 0, None);
    assert!(stored.is_crc_valid());
    assert!(records(&stored).iter().all(|record| record.timestamp_ms == BASE_MS + 7));
}

#[test]
fn batches_end_at_a_torn_tail_and_at_an_error() {
    let mut log = BytesMut::new();
    for name in ["mixed-none", "mixed-zstd", "idempotent"] {
        log.extend_from_slice(&golden(name));
    }
    let whole = log.len();
    let log = log.freeze();
    assert_eq!(Batches::new(log.clone()).filter(Result::is_ok).count(), 3);
    for end in 0..whole {
        let mut batches = Batches::new(log.slice(..end));
        let read: Vec<_> = batches.by_ref().collect::<Result<_, _>>().unwrap();
        assert!(read.len() < 3);
        assert_eq!(read.iter().map(|batch| batch.size()).sum::<usize>() + batches.rest().len(), end);
    }
    let check = |tail: Bytes, expected| {
        let bytes = [golden("mixed-none"), tail].concat();
        let mut batches = Batches::new(bytes.into());
        assert!(batches.next().unwrap().is_ok());
        assert_eq!(batches.next(), Some(Err(expected)));
        assert_eq!(batches.next(), None);
    };
    check(golden("magic0"), BatchError::OldMagic(0));
    check(golden("magic1"), BatchError::OldMagic(1));
    check(Bytes::from_static(&[0; 61]), BatchError::TooShort { length: 0 });
    check(Bytes::from_static(&[0xff; 61]), BatchError::TooShort { length: -1 });
    check(Bytes::from_static(&[0x7f; 61]), BatchError::InvalidMagic(0x7f));
}
