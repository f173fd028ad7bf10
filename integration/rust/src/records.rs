//! Scenarios about records: what is sent comes back, from wherever it is asked.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::Offset;

use crate::client::{Admin, Producer, Reader, Record, create, numbered, produce, read};
use crate::kit::{name_of, named, outcome, until};

/// The time of the first record where a scenario gives times itself: 2023-11-14. KEEP_OLD lets such records stay.
const BASE_MS: i64 = 1_700_000_000_000;
const KEEP_OLD: &[(&str, &str)] = &[("retention.ms", "-1")];

pub fn codecs() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = named(codec);
        create(&topic, 1, &[]);
        let value = |i: usize| format!("{codec} {i} ").repeat(20);
        let sent: Vec<Record> = (0..100).map(|i| Record::new(&topic, None, Some(&value(i)))).collect();
        produce(&[("compression.type", codec)], &sent).expect("an acknowledgement");
        let got = read(&topic, 0, 100);
        let same = got
            .iter()
            .zip(&sent)
            .enumerate()
            .filter(|(i, (g, s))| g.offset == *i as i64 && g.value == s.value);
        println!("{codec}: same {}", same.count());
    }
}

pub fn keys() {
    let topic = named("keys");
    create(&topic, 6, &[]);
    let keys: Vec<String> = (0..20).map(|i| format!("key-{i:02}")).collect();
    let sent: Vec<Record> = keys.iter().map(|k| Record::new(&topic, Some(k), Some("v"))).collect();
    produce(&[], &sent).expect("an acknowledgement");
    let got = everything(&topic, 6);
    for key in keys {
        let found = got.iter().find(|r| r.key.as_deref() == Some(key.as_bytes())).expect("the key");
        println!("{key} {}", found.partition);
    }
}

/// All records of a topic, partition by partition.
pub fn everything(topic: &str, partitions: i32) -> Vec<Record> {
    let admin = Admin::new();
    (0..partitions).flat_map(|p| read(topic, p, admin.range(topic, p).1 as usize)).collect()
}

fn show(bytes: Option<&[u8]>) -> String {
    bytes.map_or("null".into(), |b| format!("\"{}\"", b.escape_ascii()))
}

pub fn headers() {
    let topic = named("headers");
    create(&topic, 1, &[]);
    let with = |value: &str, headers: &[(&str, Option<&[u8]>)]| {
        let headers = headers.iter().map(|(k, v)| (k.to_string(), v.map(<[u8]>::to_vec))).collect();
        Record { headers, ..Record::new(&topic, None, Some(value)) }
    };
    let sent = [
        with("none", &[]),
        with("one", &[("a", Some(b"1"))]),
        with("duplicates", &[("a", Some(b"1")), ("b", Some(b"2")), ("a", Some(b"3")), ("a", Some(b"1"))]),
        with("null", &[("n", None), ("e", Some(b"")), ("", Some(b"no name"))]),
        with("bytes", &[("ключ", Some(&[0, 255, 254]))]),
    ];
    produce(&[], &sent).expect("an acknowledgement");
    for r in read(&topic, 0, sent.len()) {
        let list: Vec<String> =
            r.headers.iter().map(|(k, v)| format!(" {k}={}", show(v.as_deref()))).collect();
        println!("{}:{}", r.text(), list.concat());
    }
}

pub fn nulls() {
    let topic = named("nulls");
    create(&topic, 1, &[]);
    let sent =
        [(None, Some("v")), (Some("k"), None), (None, None), (Some(""), Some("")), (Some("k"), Some("v"))];
    produce(&[], &sent.map(|(key, value)| Record::new(&topic, key, value))).expect("an acknowledgement");
    for r in read(&topic, 0, sent.len()) {
        println!("key {} value {}", show(r.key.as_deref()), show(r.value.as_deref()));
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_millis() as i64
}

pub fn timestamps() {
    let (created, appended) = (named("create-time"), named("append-time"));
    create(&created, 1, KEEP_OLD);
    create(&appended, 1, &[("message.timestamp.type", "LogAppendTime")]);
    let began = now_ms();
    for topic in [&created, &appended] {
        let timed =
            |i: i64| Record { timestamp_ms: Some(BASE_MS + i * 1000), ..Record::new(topic, None, Some("v")) };
        produce(&[], &(0..5).map(timed).collect::<Vec<_>>()).expect("an acknowledgement");
    }
    for r in read(&created, 0, 5) {
        println!("create time: offset {} at base+{}", r.offset, r.timestamp_ms.expect("a time") - BASE_MS);
    }
    for r in read(&appended, 0, 5) {
        let near = (began - 1000..=now_ms() + 1000).contains(&r.timestamp_ms.expect("a time"));
        println!("append time: offset {}, the broker's time {near}", r.offset);
    }
    let admin = Admin::new();
    for after in [-1000, 0, 1, 1500, 2000, 4000, 4001] {
        println!("offset for base{after:+}: {:?}", admin.offset_for_time(&created, 0, BASE_MS + after));
    }
    println!("append time, offset for base: {:?}", admin.offset_for_time(&appended, 0, BASE_MS));
    println!(
        "append time, offset for an hour ahead: {:?}",
        admin.offset_for_time(&appended, 0, now_ms() + 3_600_000)
    );
}

pub fn batches() {
    for n in [1, 10_000] {
        let topic = named(&format!("batch-{n}"));
        create(&topic, 1, &[]);
        produce(&[("linger.ms", "50")], &numbered(&topic, 0, n)).expect("an acknowledgement");
        let mut sum = DefaultHasher::new();
        let mut ordered = true;
        for (i, r) in read(&topic, 0, n).into_iter().enumerate() {
            ordered &= r.offset == i as i64 && r.text() == i.to_string();
            (r.key, r.value).hash(&mut sum);
        }
        println!("{n}: in order {ordered}, checksum {:016x}", sum.finish());
    }
}

/// What a batch of one record without key and headers has beside its value (see ../go/records.go).
const OVERHEAD: usize = 72;

pub fn sizes() {
    create(&named("small"), 1, &[("max.message.bytes", "100000")]);
    create(&named("plain"), 1, &[]);
    for (name, size) in [
        ("small", 99_999),
        ("small", 100_000),
        ("small", 100_001),
        ("plain", 1_048_588),
        ("plain", 1_048_589),
    ] {
        let record =
            Record { value: Some(vec![b'x'; size - OVERHEAD]), ..Record::new(&named(name), None, None) };
        let result = produce(&[("message.max.bytes", "1100000")], &[record]);
        println!("a batch of {size} bytes to {name}: {}", outcome(result));
    }
    for r in everything(&named("small"), 1).into_iter().chain(everything(&named("plain"), 1)) {
        println!("offset {}: {} bytes of value", r.offset, r.value.expect("a value").len());
    }
}

pub fn seek() {
    let topic = named("seek");
    create(&topic, 1, KEEP_OLD);
    let producer = Producer::new(&[("linger.ms", "20")]);
    for batch in 0..10 {
        let mut records = numbered(&topic, batch * 100, batch * 100 + 100);
        for (i, r) in records.iter_mut().enumerate() {
            r.timestamp_ms = Some(BASE_MS + (batch * 100 + i) as i64);
        }
        producer.send(&records).expect("an acknowledgement");
    }
    let by_time = Admin::new().offset_for_time(&topic, 0, BASE_MS + 333);
    for (what, offset, reset) in [
        ("start", Offset::Beginning, "error"),
        ("offset 0", Offset::Offset(0), "error"),
        ("offset 155", Offset::Offset(155), "error"),
        ("offset 999", Offset::Offset(999), "error"),
        ("10 before the end", Offset::OffsetTail(10), "error"),
        ("time 333", by_time, "error"),
        ("offset 5000 earliest", Offset::Offset(5000), "earliest"),
    ] {
        let first = Reader::at(&topic, 0, offset, reset).read(1).remove(0);
        println!("{what}: {} {}", first.offset, first.text());
    }
    for (what, offset, reset) in [
        ("end", Offset::End, "error"),
        ("offset 1000", Offset::Offset(1000), "error"), // The end itself is in range.
        ("offset 5000 latest", Offset::Offset(5000), "latest"),
    ] {
        let reader = Reader::at(&topic, 0, offset, reset);
        let mut seen = None;
        until("a record after the end", || {
            producer.send(&[Record::new(&topic, None, Some("new"))]).expect("an acknowledgement");
            seen = reader.poll(Duration::from_millis(50));
            seen.is_some()
        });
        println!("{what}: nothing old {}", seen.expect("a record").expect("no error").offset >= 1000);
    }
    let reader = Reader::at(&topic, 0, Offset::Offset(500_000), "error");
    let mut answer = None;
    until("an answer out of range", || {
        answer = reader.poll(Duration::from_millis(50));
        answer.is_some()
    });
    println!(
        "out of range: {}",
        answer.expect("an answer").map_or_else(|e| name_of(&e), |r| r.offset.to_string())
    );
}

pub fn idempotence() {
    let topic = named("idempotence");
    create(&topic, 3, &[]);
    let producer = Producer::new(&[("enable.idempotence", "true")]);
    for from in (0..5000).step_by(500) {
        producer.send(&numbered(&topic, from, from + 500)).expect("an acknowledgement");
    }
    let (stored, distinct, ordered) = stock(&topic, 3);
    println!("delivered 5000, consumed {stored}, duplicates {}, in order {ordered}", stored - distinct);
}

/// What a topic of numbered records has: how many, how many different ones, and whether each partition ascends.
pub fn stock(topic: &str, partitions: i32) -> (usize, usize, bool) {
    let records = everything(topic, partitions);
    let number = |r: &Record| r.text().parse::<u64>().expect("a number");
    let ordered =
        records.windows(2).all(|w| w[0].partition != w[1].partition || number(&w[0]) < number(&w[1]));
    (records.len(), records.iter().map(number).collect::<HashSet<_>>().len(), ordered)
}
