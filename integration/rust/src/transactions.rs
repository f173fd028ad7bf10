//! Transactions: what they show to whom, what fences them, what ends them.

use std::time::Duration;

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::client::{Reader, Record, config, create, produce};
use crate::kit::{DEADLINE, named, outcome, until};

const LAST: &str = "the last";

pub fn transactions() {
    committed_and_aborted();
    interleaved();
    zombies();
    left_open();
    timed_out();
}

/// A producer with its transactional id, ready to begin.
pub fn transactional(id: &str, extra: &[(&str, &str)]) -> KafkaResult<BaseProducer> {
    let id = named(id);
    let mut all = vec![("transactional.id", id.as_str()), ("linger.ms", "1")];
    all.extend_from_slice(extra);
    let producer: BaseProducer = config(&all).create()?;
    producer.init_transactions(DEADLINE)?;
    Ok(producer)
}

fn write(producer: &BaseProducer, topic: &str, texts: &[&str]) {
    for text in texts {
        let record = BaseRecord::<[u8], str>::to(topic).payload(text).partition(0);
        producer.send(record).map_err(|(error, _)| error).expect("a place in the queue");
    }
    producer.flush(DEADLINE).expect("acknowledgements");
}

/// The last stable offsets, or the high watermarks.
pub fn ends(topic: &str, partitions: i32, isolation: &str) -> Vec<i64> {
    let consumer: BaseConsumer =
        config(&[("group.id", "unused"), ("isolation.level", isolation)]).create().expect("a consumer");
    let mut ends = Vec::new();
    for partition in 0..partitions {
        // A topic that was made just now may have no leader yet.
        until(&format!("the end of {topic}"), || match consumer.fetch_watermarks(topic, partition, DEADLINE) {
            Ok((_, end)) => {
                ends.push(end);
                true
            }
            Err(error) => {
                eprintln!("ends: {error}");
                false
            }
        });
    }
    ends
}

/// Waits for the markers: the coordinator answers before they are written.
pub fn settle(topic: &str, partitions: i32) {
    until("the markers", || {
        ends(topic, partitions, "read_committed") == ends(topic, partitions, "read_uncommitted")
    });
}

/// What a reader gets before a record that is written after all.
fn seen(topic: &str, isolation: &str) -> Vec<String> {
    produce(&[], &[Record { partition: 0, ..Record::new(topic, None, Some(LAST)) }]).expect("an acknowledgement");
    let end = ends(topic, 1, "read_uncommitted")[0];
    let reader = Reader::with(topic, 0, Offset::Beginning, &[("isolation.level", isolation)]);
    let mut texts = Vec::new();
    until("the end", || {
        let Some(polled) = reader.poll(Duration::from_millis(100)) else { return false };
        let record = polled.expect("a record");
        if record.text() != LAST {
            texts.push(format!("{} {}", record.offset, record.text()));
        }
        record.offset == end - 1
    });
    texts
}

fn show(topic: &str) {
    println!("committed: {:?}", seen(topic, "read_committed"));
    println!("all there is: {:?}", seen(topic, "read_uncommitted"));
}

fn commit(producer: &BaseProducer, topic: &str) {
    producer.commit_transaction(DEADLINE).expect("a commit");
    settle(topic, 1);
}

fn abort(producer: &BaseProducer, topic: &str) {
    producer.abort_transaction(DEADLINE).expect("an abort");
    settle(topic, 1);
}

fn begun(id: &str, extra: &[(&str, &str)]) -> BaseProducer {
    let producer = transactional(id, extra).expect("a transactional producer");
    producer.begin_transaction().expect("a transaction");
    producer
}

fn committed_and_aborted() {
    let topic = named("visible");
    create(&topic, 1, &[]);
    let producer = begun("visible", &[]);
    write(&producer, &topic, &["a0", "a1"]);
    let (stable, high) = (ends(&topic, 1, "read_committed"), ends(&topic, 1, "read_uncommitted"));
    println!("open: stable up to {stable:?} of {high:?}");
    commit(&producer, &topic);
    producer.begin_transaction().expect("a transaction");
    write(&producer, &topic, &["b0", "b1"]);
    abort(&producer, &topic);
    producer.begin_transaction().expect("a transaction");
    write(&producer, &topic, &["c0"]);
    commit(&producer, &topic);
    show(&topic);
}

/// What is behind an open transaction waits for its end, whoever wrote it.
fn interleaved() {
    let topic = named("interleaved");
    create(&topic, 1, &[]);
    let (one, other) = (begun("one", &[]), begun("other", &[]));
    write(&one, &topic, &["one-0"]);
    produce(&[], &[Record { partition: 0, ..Record::new(&topic, None, Some("plain-0")) }]).expect("an acknowledgement");
    write(&other, &topic, &["other-0"]);
    other.commit_transaction(DEADLINE).expect("a commit");
    until("the marker of the other", || ends(&topic, 1, "read_uncommitted") == [4]);
    println!("while one is open: stable up to {:?}", ends(&topic, 1, "read_committed"));
    abort(&one, &topic);
    show(&topic);
}

/// A second producer of a transactional id ends the first one's transaction, and fences it.
fn zombies() {
    let topic = named("zombies");
    create(&topic, 1, &[]);
    let first = begun("zombies", &[]);
    write(&first, &topic, &["first"]);
    let second = begun("zombies", &[]);
    write(&second, &topic, &["second"]);
    println!("the first commits: {}", outcome(first.commit_transaction(DEADLINE)));
    println!("the first begins again: {}", outcome(first.begin_transaction()));
    commit(&second, &topic);
    show(&topic);
}

/// A producer that comes back ends what it left open.
fn left_open() {
    let topic = named("left-open");
    create(&topic, 1, &[]);
    let left = begun("left-open", &[]);
    write(&left, &topic, &["left"]);
    let again = begun("left-open", &[]);
    write(&again, &topic, &["again"]);
    commit(&again, &topic);
    show(&topic);
}

/// A transaction that nobody ends is ended by the broker.
fn timed_out() {
    let topic = named("timed-out");
    create(&topic, 1, &[]);
    let forgetful = begun("timed-out", &[("transaction.timeout.ms", "1000")]);
    write(&forgetful, &topic, &["forgotten"]);
    until("the broker to abort it", || ends(&topic, 1, "read_committed") == [2]);
    println!("it commits: {}", outcome(forgetful.commit_transaction(DEADLINE)));
    let again = begun("timed-out", &[("transaction.timeout.ms", "1000")]);
    write(&again, &topic, &["again"]);
    commit(&again, &topic);
    show(&topic);
    let greedy = transactional("greedy", &[("transaction.timeout.ms", "900001")]);
    println!("a timeout that is too long: {}", outcome(greedy));
}
