//! Text tests: a command a line, after it what came of it. `OTTLA_REWRITE_TRANSCRIPTS=1 cargo test transcripts`
//! writes down what comes now; the difference is then read in the diff.
//!
//! ```text
//! > init id=a              a producer begins; new producer ids are 1000, 1001, ...
//! 1000/0
//! log: a Empty 1000/0      a record
//! errand: ...              what is asked of others; `markers` does the oldest
//! ```
//!
//! Every command also checks that the log alone leads to the same state.

use std::fmt::Write;
use std::str::FromStr;

use ottla_protocol::StrBytes;

use super::super::pattern::NamePattern;
use super::commands::*;
use super::harness::World;
use super::*;
use crate::coordinator::transcripts::{check_transcripts, replay_transcript};

#[test]
fn transcripts() {
    check_transcripts("src/coordinator/transaction/transcripts", |transcript| {
        let mut player = Player::new();
        replay_transcript(transcript, |command| player.play(command))
    });
}

struct Player {
    world: World,
    next_producer_id: i64,
}

impl Player {
    fn new() -> Self {
        Player { world: World::new(TransactionConfig::default()), next_producer_id: 1000 }
    }

    fn play(&mut self, line: &str) -> Vec<String> {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a command");
        let args = Args(words.map(|word| word.split_once('=').unwrap_or((word, ""))).collect());
        let (logged, asked) = (self.world.log.len(), self.world.errands.len());
        let mut lines = self.command(name, &args);
        lines.extend(self.world.log[logged..].iter().map(|record| format!("log: {}", show_record(record))));
        let asked = match name {
            "reload" => 0,
            "markers" => asked - 1,
            _ => asked,
        };
        lines.extend(
            self.world.errands[asked..].iter().map(|errand| format!("errand: {}", self.show_errand(errand))),
        );
        self.world.check_replayed();
        lines
    }

    fn command(&mut self, name: &str, args: &Args) -> Vec<String> {
        match name {
            "init" => self.init(args),
            "add" => {
                let add = AddPartitions {
                    transactional_id: args.id(),
                    producer: args.producer("producer").expect("producer=id/epoch"),
                    partitions: args.partitions(),
                    client_version: args.version(),
                };
                let outcome = self.world.shard.add_partitions(&add, self.world.now_ms);
                vec![show(self.world.run(outcome).map(|()| "ok".to_string()))]
            }
            "verify" => {
                let verify = VerifyPartitions {
                    transactional_id: args.id(),
                    producer: args.producer("producer").expect("producer=id/epoch"),
                    partitions: args.partitions(),
                };
                let verified = self.world.shard.verify_partitions(&verify);
                vec![show(verified.map(|results| format!("{results:?}")))]
            }
            "end" => self.end(args),
            "markers" => self.markers(),
            "describe" => vec![show(self.world.shard.describe(&args.id()).map(show_described))],
            "list" => self.list(args),
            "advance" => {
                self.world.advance(args.number("ms").expect("ms=milliseconds"));
                Vec::new()
            }
            "reload" => {
                self.world.errands.clear();
                self.world.reload();
                Vec::new()
            }
            "epoch" => self.set_epoch(args),
            other => panic!("no command {other}"),
        }
    }

    fn init(&mut self, args: &Args) -> Vec<String> {
        let mut init = InitProducerId {
            transactional_id: args.id(),
            timeout_ms: args.number("timeout").unwrap_or(60_000),
            expected: args.producer("expected"),
            new_producer_id: None,
        };
        loop {
            let outcome = self.world.shard.init_producer_id(&init, self.world.now_ms);
            match self.world.run(outcome) {
                Ok(Decision::NeedsProducerId) => init.new_producer_id = Some(self.new_producer_id()),
                Ok(Decision::Done(producer)) => return vec![show_producer(producer)],
                Err(error) => return vec![format!("{error:?}")],
            }
        }
    }

    fn end(&mut self, args: &Args) -> Vec<String> {
        let is_commit = args.get("commit").is_some();
        let mut end = EndTxn {
            transactional_id: args.id(),
            producer: args.producer("producer").expect("producer=id/epoch"),
            result: if is_commit { TransactionResult::Commit } else { TransactionResult::Abort },
            client_version: args.version(),
            new_producer_id: None,
        };
        loop {
            let outcome = self.world.shard.end(&end, self.world.now_ms);
            match self.world.run(outcome) {
                Ok(Decision::NeedsProducerId) => end.new_producer_id = Some(self.new_producer_id()),
                Ok(Decision::Done(producer)) => return vec![show_producer(producer)],
                Err(error) => return vec![format!("{error:?}")],
            }
        }
    }

    /// Does the oldest errand.
    fn markers(&mut self) -> Vec<String> {
        let outcome = match self.world.errands.remove(0) {
            Errand::SendMarkers(transactional_id) => {
                let markers = self.world.shard.markers_to_send(&transactional_id).expect("a decision");
                self.world.shard.markers_written(&transactional_id, markers.producer, self.world.now_ms)
            }
            Errand::AbortTimedOut { transactional_id, producer } => {
                let id = self.new_producer_id();
                self.world.shard.abort_timed_out(&transactional_id, producer, Some(id), self.world.now_ms)
            }
        };
        self.world.run(outcome);
        Vec::new()
    }

    fn list(&mut self, args: &Args) -> Vec<String> {
        let list = ListTransactions {
            producer_ids: args.list("producers").map(|id| id.parse().expect("an id")).collect(),
            states: args.list("states").map(text).collect(),
            longer_than_ms: args.number("longer"),
            pattern: args.get("pattern").map(|pattern| NamePattern::new(pattern).expect("a pattern")),
        };
        let listed = self.world.shard.list(&list, self.world.now_ms);
        let row =
            |row: ListedTransaction| format!("{} {} {}", row.transactional_id, row.producer_id, row.state);
        let mut rows: Vec<String> = listed.into_iter().map(row).collect();
        rows.sort();
        rows
    }

    /// Begins with a producer whose epochs are nearly used up.
    fn set_epoch(&mut self, args: &Args) -> Vec<String> {
        let known = self.world.shard.transaction(&args.id()).expect("a known id").clone();
        let producer_epoch = args.number("epoch").expect("epoch=number");
        let outcome = self.world.shard.put(&args.id(), Transaction { producer_epoch, ..known });
        self.world.run(outcome);
        Vec::new()
    }

    fn show_errand(&self, errand: &Errand) -> String {
        match errand {
            Errand::SendMarkers(transactional_id) => {
                let markers = self.world.shard.markers_to_send(transactional_id).expect("a decision");
                let (producer, partitions) =
                    (show_producer(markers.producer), show_partitions(&markers.partitions));
                format!("{:?} {producer} of {transactional_id} to [{partitions}]", markers.result)
            }
            Errand::AbortTimedOut { transactional_id, producer } => {
                format!("a producer id to abort {transactional_id} of {}", show_producer(*producer))
            }
        }
    }

    fn new_producer_id(&mut self) -> i64 {
        self.next_producer_id += 1;
        self.next_producer_id - 1
    }
}

struct Args<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Args<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    fn id(&self) -> StrBytes {
        text(self.get("id").unwrap_or("a"))
    }

    fn number<T: FromStr>(&self, key: &str) -> Option<T> {
        self.get(key).map(|value| value.parse().unwrap_or_else(|_| panic!("{key}={value} is no number")))
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.get(key).into_iter().flat_map(|value| value.split(','))
    }

    /// `1000/3`
    fn producer(&self, key: &str) -> Option<ProducerIdAndEpoch> {
        let (id, epoch) = self.get(key)?.split_once('/').expect("id/epoch");
        Some(ProducerIdAndEpoch {
            producer_id: id.parse().expect("an id"),
            producer_epoch: epoch.parse().expect("an epoch"),
        })
    }

    /// `partitions=t-0,t-1`
    fn partitions(&self) -> Vec<TopicPartition> {
        let partition = |part: &str| {
            let (topic, partition) = part.rsplit_once('-').expect("topic-partition");
            TopicPartition { topic: text(topic), partition: partition.parse().expect("a partition") }
        };
        self.list("partitions").map(partition).collect()
    }

    /// `v0`, else version 2.
    fn version(&self) -> TransactionVersion {
        if self.get("v0").is_some() { TransactionVersion::V0 } else { TransactionVersion::V2 }
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

fn show(result: Result<String, TransactionError>) -> String {
    result.unwrap_or_else(|error| format!("{error:?}"))
}

fn show_producer(producer: ProducerIdAndEpoch) -> String {
    format!("{}/{}", producer.producer_id, producer.producer_epoch)
}

fn show_partitions<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> String {
    let shown = partitions.into_iter().map(|each| format!("{}-{}", each.topic, each.partition));
    shown.collect::<Vec<_>>().join(",")
}

fn show_record(record: &TransactionRecord) -> String {
    let Some(transaction) = &record.transaction else { return format!("{} gone", record.transactional_id) };
    let mut line = format!(
        "{} {} {}",
        record.transactional_id,
        transaction.state.name(),
        show_producer(transaction.identity())
    );
    if transaction.previous_producer_id != transaction.producer_id {
        let _ = write!(line, " before={}", transaction.previous_producer_id);
    }
    if transaction.next_producer_id != NO_PRODUCER_ID {
        let _ = write!(line, " next={}", transaction.next_producer_id);
    }
    if !transaction.partitions.is_empty() {
        let _ = write!(line, " [{}]", show_partitions(&transaction.partitions));
    }
    let _ = write!(line, " start={} {:?}", transaction.start_ms, transaction.client_version);
    line
}

fn show_described(described: DescribedTransaction) -> String {
    let DescribedTransaction { producer, state, timeout_ms, start_ms, topics } = described;
    format!("{state} {} timeout={timeout_ms} start={start_ms} {topics:?}", show_producer(producer))
}
