//! Consume, transform, produce: each input once in the output, whoever is killed.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{Admin, Producer, Reader, Record, config, create, produce};
use crate::kit::{DEADLINE, child, named, until};
use crate::transactions::{ends, settle, transactional};

const PARTITIONS: i32 = 3;
const SLOTS: usize = 2;
/// How often a worker is killed.
const KILLS: usize = 6;
/// The exit code of a worker that was told that another one has its place.
const FENCED: i32 = 3;
const LAST: &str = "the last";

/// Workers are killed at random and started again; at last one is only stopped, and is a zombie when it goes on.
pub fn exactly_once() {
    let (source, sink) = (named("in"), named("out"));
    create(&source, PARTITIONS, &[]);
    create(&sink, PARTITIONS, &[]);
    let mut workers: Vec<Worker> = (0..SLOTS).map(Worker::start).collect();
    let is_over = AtomicBool::new(false);
    let produced = std::thread::scope(|scope| {
        let load = scope.spawn(|| load(&source, &is_over));
        for kill in 0..KILLS {
            goes_on(&mut workers, &sink, &format!("after {kill} kills"));
            let chance = chance();
            std::thread::sleep(Duration::from_millis(chance % 100));
            let slot = chance as usize % SLOTS;
            workers[slot].kill();
            workers[slot] = Worker::start(slot);
        }
        println!("killed {KILLS}");
        // Before it has begun to work, its return would be that of the newer one.
        wait(&mut workers, "the zombie-to-be works", |workers| workers[0].is_working.load(Ordering::SeqCst));
        let mut zombie = std::mem::replace(&mut workers[0], Worker::none());
        zombie.signal("STOP");
        workers[0] = Worker::start(0);
        wait(&mut workers, "the replacement works", |workers| workers[0].is_working.load(Ordering::SeqCst));
        zombie.signal("CONT");
        until("the zombie's end", || zombie.ended().is_some());
        println!("the zombie is fenced: {}", zombie.ended() == Some(FENCED));
        is_over.store(true, Ordering::SeqCst);
        load.join().expect("the load")
    });
    let (admin, all) = (Admin::new(), ends(&source, PARTITIONS, "read_uncommitted"));
    wait(&mut workers, "all of the input is worked off", |_| {
        (0..PARTITIONS).all(|p| admin.committed(&named("eos"), &source, p).0 == Some(all[p as usize]))
    });
    for worker in &mut workers {
        worker.kill();
    }
    settle(&sink, PARTITIONS);
    let out = read(&sink);
    let distinct = out.iter().collect::<HashSet<_>>().len();
    println!("duplicates {}, lost {}", out.len() - distinct, produced - distinct);
}

fn chance() -> u64 {
    u64::from(SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").subsec_nanos()) / 1000
}

/// Produces numbers until it is over; returns how many.
fn load(topic: &str, is_over: &AtomicBool) -> usize {
    let producer = Producer::new(&[("enable.idempotence", "true")]);
    let mut produced = 0;
    while !is_over.load(Ordering::SeqCst) {
        let number = |i: usize| Record {
            partition: i as i32 % PARTITIONS,
            ..Record::new(topic, None, Some(&i.to_string()))
        };
        let records: Vec<Record> = (produced..produced + 10).map(number).collect();
        producer.send(&records).expect("acknowledgements");
        produced += records.len();
        std::thread::sleep(Duration::from_millis(20));
    }
    produced
}

/// What is committed, up to a record that is written after all.
fn read(topic: &str) -> Vec<String> {
    let mut values = Vec::new();
    for partition in 0..PARTITIONS {
        produce(&[], &[Record { partition, ..Record::new(topic, None, Some(LAST)) }]).expect("an acknowledgement");
        let reader = Reader::with(topic, partition, Offset::Beginning, &[("isolation.level", "read_committed")]);
        until("the end", || {
            let Some(polled) = reader.poll(Duration::from_millis(100)) else { return false };
            values.push(polled.expect("a record").text());
            values.last().is_some_and(|value| value == LAST)
        });
        values.pop();
    }
    values
}

/// Waits; a worker that ended meanwhile is started again, as whoever runs it would.
fn wait(workers: &mut [Worker], what: &str, holds: impl Fn(&[Worker]) -> bool) {
    until(what, || {
        for (slot, worker) in workers.iter_mut().enumerate() {
            if let Some(code) = worker.ended() {
                eprintln!("worker {slot} ended with {code}");
                *worker = Worker::start(slot);
            }
        }
        holds(workers)
    });
}

fn goes_on(workers: &mut [Worker], sink: &str, when: &str) {
    let stable = || ends(sink, PARTITIONS, "read_committed").iter().sum::<i64>();
    let before = stable();
    wait(workers, &format!("records come out {when}"), |_| stable() > before + 100);
}

/// The process of a slot; working when it has committed its first transaction.
struct Worker {
    process: Option<Child>,
    is_working: Arc<AtomicBool>,
}

impl Worker {
    fn none() -> Worker {
        Worker { process: None, is_working: Arc::default() }
    }

    fn start(slot: usize) -> Worker {
        let mut process = child("worker", slot);
        let (out, is_working) = (process.stdout.take().expect("its output"), Arc::<AtomicBool>::default());
        let working = is_working.clone();
        std::thread::spawn(move || {
            for _ in BufReader::new(out).lines() {
                working.store(true, Ordering::SeqCst);
            }
        });
        Worker { process: Some(process), is_working }
    }

    fn ended(&mut self) -> Option<i32> {
        let status = self.process.as_mut()?.try_wait().expect("its state")?;
        Some(status.code().unwrap_or(-1))
    }

    fn kill(&mut self) {
        let process = self.process.as_mut().expect("a process");
        process.kill().expect("a kill");
        process.wait().expect("its end");
    }

    fn signal(&self, name: &str) {
        let id = self.process.as_ref().expect("a process").id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill runs").success());
    }
}

/// What runs in a worker's process.
pub fn worker() {
    let place = named(&format!("worker-{}", std::env::var("SLOT").expect("SLOT")));
    if let Err(error) = consume(&place) {
        eprintln!("{place}: {error}");
        let fenced = [RDKafkaErrorCode::Fenced, RDKafkaErrorCode::FencedInstanceId, RDKafkaErrorCode::Fatal];
        let is_fenced = error.rdkafka_error_code().is_some_and(|code| fenced.contains(&code));
        std::process::exit(if is_fenced { FENCED } else { 1 });
    }
}

fn consume(place: &str) -> KafkaResult<()> {
    let (id, group) = (place.strip_prefix(&named("")).expect("a name"), named("eos"));
    let producer = transactional(id, &[("transaction.timeout.ms", "10000")])?;
    let consumer: BaseConsumer = config(&[
        ("group.id", &group),
        ("group.instance.id", place),
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "earliest"),
        ("isolation.level", "read_committed"),
        ("heartbeat.interval.ms", "100"),
        ("session.timeout.ms", "10000"),
        ("fetch.wait.max.ms", "200"),
    ])
    .create()?;
    consumer.subscribe(&[&named("in")])?;
    loop {
        let mut batch = Vec::new();
        while batch.len() < 50 {
            let wait = Duration::from_millis(if batch.is_empty() { 200 } else { 0 });
            match consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => batch.push((message.partition(), message.payload().unwrap_or_default().to_vec())),
                Some(Err(error)) if is_passing(&error) => eprintln!("{place}: {error}"),
                Some(Err(error)) => return Err(error),
            }
        }
        if !batch.is_empty() {
            transact(&consumer, &producer, &batch)?;
        }
    }
}

fn is_passing(error: &KafkaError) -> bool {
    let fatal = [RDKafkaErrorCode::Fatal, RDKafkaErrorCode::FencedInstanceId];
    !error.rdkafka_error_code().is_some_and(|code| fatal.contains(&code))
}

/// One transaction: what was read is written and its offsets are committed, or neither.
fn transact(consumer: &BaseConsumer, producer: &BaseProducer, batch: &[(i32, Vec<u8>)]) -> KafkaResult<()> {
    producer.begin_transaction()?;
    let attempt = || {
        for (partition, value) in batch {
            let sink = named("out");
            let record = BaseRecord::<[u8], [u8]>::to(&sink).payload(value).partition(*partition);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        let group = consumer.group_metadata().expect("a member of a group");
        producer.send_offsets_to_transaction(&consumer.position()?, &group, DEADLINE)?;
        producer.commit_transaction(DEADLINE)
    };
    match attempt() {
        Ok(()) => println!("working"),
        Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
            eprintln!("aborted: {error}");
            producer.abort_transaction(DEADLINE)?;
            rewind(consumer)?;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Back to what is committed.
fn rewind(consumer: &BaseConsumer) -> KafkaResult<()> {
    let committed: TopicPartitionList = consumer.committed(DEADLINE)?;
    for place in committed.elements() {
        let offset = match place.offset() {
            Offset::Offset(offset) => Offset::Offset(offset),
            _ => Offset::Beginning,
        };
        consumer.seek(place.topic(), place.partition(), offset, DEADLINE)?;
    }
    Ok(())
}
