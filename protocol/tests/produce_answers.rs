//! Runs what was sent to Apache Kafka through `validate`, and compares error codes, messages and stored bytes.

mod common;

use common::{records, unhex};
use ottla_protocol::ErrorCode;
use ottla_protocol::batch::{RecordBatch, TargetCompression, TimestampType, ValidationRules, validate};
use ottla_protocol::codec::Compression;

/// Kafka does not compare a compressed record's length with its fields, and so stores what no consumer can read.
const STRICTER_THAN_KAFKA: [&str; 3] =
    ["record length +1 in gzip", "record length -1 in gzip", "record length negative in gzip"];

#[test]
fn answers_as_kafka_does() {
    let rows = include_str!("golden/produce_answers.tsv").lines().filter(|line| !line.starts_with('#'));
    let (mut cases, mut failures) = (0, Vec::new());
    for row in rows {
        let fields: Vec<&str> = row.split('\t').collect();
        let (name, topic, version, sent) =
            (fields[0], fields[1], fields[2].parse().unwrap(), unhex(fields[3]));
        cases += 1;
        let found = match fields[4] {
            "stored" if STRICTER_THAN_KAFKA.contains(&name) => {
                check_refused(&rules(topic, version, 0), sent, ("87", "-", "-"))
            }
            "stored" => check_stored(&rules(topic, version, 0), sent, fields[5]),
            _ => {
                let expected = (fields[5], fields[6], fields[7]);
                check_refused(&rules(topic, version, now_ms_in(fields[7])), sent, expected)
            }
        };
        if let Err(difference) = found {
            failures.push(format!("{name}: {difference}"));
        }
    }
    assert!(cases > 150, "only {cases} cases were read");
    assert!(failures.is_empty(), "{} of {cases} differ:\n{}", failures.len(), failures.join("\n"));
}

fn check_refused(
    rules: &ValidationRules<'_>,
    sent: bytes::Bytes,
    expected: (&str, &str, &str),
) -> Result<(), String> {
    let Err(error) = validate(sent, rules) else { return Err(format!("stored, but expected {expected:?}")) };
    let message = error.message.clone().unwrap_or_else(|| "-".to_owned());
    let found: Vec<String> = error
        .record_errors
        .iter()
        .map(|record| format!("{}:{}", record.batch_index, record.message.as_deref().unwrap_or_default()))
        .collect();
    let found = if found.is_empty() { "-".to_owned() } else { found.join(" / ") };
    let found = ((ErrorCode::from(error.kind) as i16).to_string(), message, found);
    let is_same = (found.0.as_str(), found.1.as_str(), found.2.as_str()) == expected;
    if is_same { Ok(()) } else { Err(format!("{found:?}, but expected {expected:?} ({error})")) }
}

fn check_stored(rules: &ValidationRules<'_>, sent: bytes::Bytes, expected: &str) -> Result<(), String> {
    let expected = RecordBatch::parse(&unhex(expected)).unwrap();
    let append_time =
        (expected.timestamp_type() == TimestampType::LogAppendTime).then_some(expected.max_timestamp_ms);
    let sent_batch = RecordBatch::parse(&sent).unwrap();
    let source = sent_batch.compression();
    let mut validated =
        validate(sent, rules).map_err(|error| format!("refused: {error} ({:?})", error.kind))?;
    let batch = validated.batches.pop().unwrap();
    let header = *batch.header();
    let of_max_timestamp = batch.offset_delta_of_max_timestamp();
    let stored = batch.assign(expected.base_offset, expected.partition_leader_epoch, append_time);

    if source == expected.compression() && stored.bytes() != expected.bytes() {
        return Err(format!("stored\n{stored:?}\nbut expected\n{expected:?}"));
    }
    if !stored.is_crc_valid() {
        return Err("the CRC is wrong".to_owned());
    }
    // Of a rewritten batch the compressed bytes differ, and with them the length and the CRC. Kafka also makes the
    // first record's timestamp the base.
    let mut comparable = *stored.header();
    comparable.batch_length = expected.batch_length;
    comparable.crc = expected.crc;
    comparable.base_timestamp_ms = expected.base_timestamp_ms;
    if comparable != *expected.header() {
        return Err(format!("stored\n{comparable:?}\nbut expected\n{:?}", expected.header()));
    }
    if records(&stored) != records(&expected) {
        return Err(format!("stored\n{:?}\nbut expected\n{:?}", records(&stored), records(&expected)));
    }
    // A producer's batch that claims LogAppendTime has a maximum of its own, not of its records.
    if append_time.is_none() && sent_batch.timestamp_type() == TimestampType::CreateTime {
        assert_eq!(header.max_timestamp_ms, stored.max_timestamp_ms);
        let has_max_timestamp = records(&stored).iter().any(|record| {
            record.offset == stored.offset_of(of_max_timestamp)
                && record.timestamp_ms == stored.max_timestamp_ms
        });
        // A maximum of -1 is that of no record, when all are older than that.
        if !has_max_timestamp && stored.max_timestamp_ms != -1 {
            return Err(format!("record {of_max_timestamp} has not the maximum timestamp"));
        }
    }
    Ok(())
}

/// The topics as they were configured on the reference.
fn rules(topic: &str, produce_version: i16, now_ms: i64) -> ValidationRules<'_> {
    let mut rules = ValidationRules::new(topic, 0, produce_version, now_ms);
    // Long after every timestamp that was accepted, where the row does not say when it was.
    if now_ms == 0 {
        rules.now_ms = 1_800_000_000_000;
    }
    let codec = |codec| TargetCompression::Codec { codec, level: None };
    match topic {
        "d" => {}
        "c" => rules.is_compacted = true,
        "s" => rules.max_message_bytes = 200,
        "l" => rules.timestamp_type = TimestampType::LogAppendTime,
        "o" => rules.timestamp_before_max_ms = 1000,
        "gz" => rules.compression = codec(Compression::Gzip),
        "sn" => rules.compression = codec(Compression::Snappy),
        "lz" => rules.compression = codec(Compression::Lz4),
        "zs" => rules.compression = codec(Compression::Zstd),
        "un" => rules.compression = codec(Compression::None),
        "ul" => {
            rules.compression = codec(Compression::None);
            rules.max_message_bytes = 200;
        }
        other => panic!("no rules for topic {other}"),
    }
    rules
}

/// The reference's clock when it refused: the window it names ends an hour later.
fn now_ms_in(record_errors: &str) -> i64 {
    let Some((_, latest)) = record_errors.split_once("should be within [") else { return 0 };
    let latest: i64 = latest.split_once(", ").unwrap().1.split_once(']').unwrap().0.parse().unwrap();
    latest - ValidationRules::new("", 0, 0, 0).timestamp_after_max_ms
}
