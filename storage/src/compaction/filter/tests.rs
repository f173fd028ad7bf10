//! What stays of one batch, by what is known of its producer, its transaction and its keys.

use ottla_protocol::batch::{BatchBuilder, RecordBatch};

use super::*;

const NOW: i64 = 1_000_000;
const KEPT: &str = "kept";

/// A batch at offset 10 of keys and values; a value that is empty is a tombstone.
fn data(records: &[(&str, &str)]) -> RecordBatch {
    build(BatchBuilder::new().producer(7, 3, 20), records)
}

fn build(builder: BatchBuilder, records: &[(&str, &str)]) -> RecordBatch {
    let mut builder = builder.base_offset(10);
    for (key, value) in records {
        let value = (!value.is_empty()).then_some(value.as_bytes());
        builder.append(500, Some(key.as_bytes()), value);
    }
    builder.build()
}

fn marker(commit: bool) -> RecordBatch {
    let mut builder = BatchBuilder::new().base_offset(10).producer(7, 3, -1).transactional().control();
    builder.append(500, Some(&[0, 0, 0, u8::from(commit)]), Some(&[0; 6]));
    builder.build()
}

/// The batch with a horizon, as an earlier pass has left it.
fn with_horizon(batch: &RecordBatch, horizon_ms: i64) -> RecordBatch {
    let payload = batch.inflate(1 << 20).unwrap();
    let records = Records::new(&payload, batch.records_count).map(Result::unwrap);
    let mut bytes = Vec::new();
    rewrite(batch, records, Some(horizon_ms), &mut bytes).unwrap();
    RecordBatch::parse(&bytes.into()).unwrap()
}

/// What is known beside the batch.
struct Known {
    /// Later offsets of keys.
    later: &'static [(&'static str, i64)],
    mapped_to: i64,
    last_record: Option<LastRecord>,
    round_end: i64,
}

const NOTHING: Known = Known { later: &[], mapped_to: 1000, last_record: None, round_end: 1000 };

/// `kept` (byte for byte), `gone`, `empty`, or the keys that are left and the horizon.
fn check(batch: &RecordBatch, known: &Known, expected: &str) {
    let mut map = OffsetMap::new(1 << 10);
    for (key, offset) in known.later {
        assert!(map.put(key.as_bytes(), *offset));
    }
    map.reached(known.mapped_to);
    let last_records = known.last_record.map(|last| (7, last)).into_iter().collect();
    let filter = Filter {
        map: &map,
        last_records: &last_records,
        round_end: known.round_end,
        now_ms: NOW,
        delete_retention_ms: 60,
    };
    let info = BatchInfo::parse(batch.bytes()).unwrap();
    let (mut kept, mut counts) = (Vec::new(), Counts::default());
    filter.take(&info, batch.bytes(), &mut Transactions::default(), &mut kept, &mut counts).unwrap();
    let found = describe(batch, kept);
    assert_eq!(found, expected, "{batch:?}");
}

fn describe(before: &RecordBatch, kept: Vec<u8>) -> String {
    if kept.is_empty() {
        return "gone".to_owned();
    }
    if kept == before.bytes()[..] {
        return KEPT.to_owned();
    }
    let after = RecordBatch::parse(&kept.into()).unwrap();
    assert!(after.is_crc_valid());
    let identity = |batch: &RecordBatch| {
        (batch.base_offset, batch.last_offset(), batch.producer_id, batch.producer_epoch, batch.base_sequence)
    };
    assert_eq!(identity(&after), identity(before));
    if after.records_count == 0 {
        return "empty".to_owned();
    }
    let payload = after.inflate(1 << 20).unwrap();
    let keys =
        Records::new(&payload, after.records_count).map(|record| record.unwrap().key.unwrap().to_vec());
    let keys: Vec<_> = keys.map(|key| String::from_utf8_lossy(&key).into_owned()).collect();
    match after.delete_horizon_ms() {
        Some(horizon_ms) => format!("{} until {}", keys.join(" "), horizon_ms - NOW),
        None => keys.join(" "),
    }
}

#[test]
fn a_record_stays_when_it_is_the_latest_of_its_key() {
    let batch = data(&[("a", "1"), ("b", "1"), ("a", "2")]);
    check(&batch, &NOTHING, KEPT);
    check(&batch, &Known { later: &[("a", 12), ("b", 11)], ..NOTHING }, "b a");
    check(&batch, &Known { later: &[("a", 12), ("b", 50)], ..NOTHING }, "a");
    check(&batch, &Known { later: &[("a", 50), ("b", 50)], ..NOTHING }, "gone");
    check(&batch, &Known { later: &[("a", 12)], mapped_to: 9, ..NOTHING }, "b a"); // the map knows 12 as well
    check(&batch, &Known { mapped_to: 9, ..NOTHING }, KEPT);
}

#[test]
fn the_last_batch_of_a_producer_and_of_a_round_stay_empty() {
    let batch = data(&[("a", "1"), ("b", "1")]);
    let overwritten = Known { later: &[("a", 50), ("b", 50)], ..NOTHING };
    let last =
        |data_offset, epoch| Known { last_record: Some(LastRecord { data_offset, epoch }), ..overwritten };
    check(&batch, &last(Some(11), 3), "empty");
    check(&batch, &last(Some(13), 3), "gone");
    check(&batch, &last(None, 3), "gone");
    check(&batch, &Known { round_end: 12, ..overwritten }, "empty");
    check(&batch, &Known { round_end: 13, ..overwritten }, "gone");
    let other = build(BatchBuilder::new().producer(8, 3, 20), &[("a", "1"), ("b", "1")]);
    check(&other, &last(Some(11), 3), "gone");
}

#[test]
fn a_tombstone_stays_until_its_horizon() {
    let batch = data(&[("a", ""), ("b", "1")]);
    check(&batch, &NOTHING, "a b until 60");
    check(&batch, &Known { later: &[("b", 50)], ..NOTHING }, "a until 60");
    check(&batch, &Known { later: &[("a", 50)], ..NOTHING }, "b");
    check(&with_horizon(&batch, NOW + 1), &NOTHING, KEPT);
    check(&with_horizon(&batch, NOW + 1), &Known { later: &[("b", 50)], ..NOTHING }, "a until 1");
    check(&with_horizon(&batch, NOW), &NOTHING, "b until 0");
    check(&with_horizon(&batch, NOW), &Known { later: &[("b", 50)], ..NOTHING }, "gone");
    check(&with_horizon(&batch, NOW), &Known { mapped_to: 9, ..NOTHING }, KEPT);
}

#[test]
fn a_marker_without_batches_stays_until_its_horizon() {
    for commit in [true, false] {
        let batch = marker(commit);
        let key = "\0\0\0".to_owned() + if commit { "\u{1}" } else { "\0" };
        check(&batch, &NOTHING, &format!("{key} until 60"));
        check(&with_horizon(&batch, NOW + 1), &NOTHING, KEPT);
        check(&with_horizon(&batch, NOW), &NOTHING, "gone");
        let last = |epoch| Known { last_record: Some(LastRecord { data_offset: None, epoch }), ..NOTHING };
        check(&with_horizon(&batch, NOW), &last(3), "empty");
        check(&with_horizon(&batch, NOW), &last(4), "gone");
    }
}

#[test]
fn what_is_no_batch_is_an_error() {
    let batch = data(&[("a", "1"), ("b", "1")]);
    let whole = batch.bytes().to_vec();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        // The base offset and the leader epoch lie outside the CRC.
        let is_outside = at < 8 || (12..16).contains(&at);
        let outcome: Result<Vec<_>, _> = super::super::batches(&bytes).collect();
        assert_eq!(outcome.is_err(), !is_outside, "byte {at}");
    }
    let torn: Result<Vec<_>, _> = super::super::batches(&whole[..whole.len() - 1]).collect();
    assert!(torn.is_err());
}
