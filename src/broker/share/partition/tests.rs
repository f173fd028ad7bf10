//! Text tests: a command a line, after it what came of it. `OTTLA_REWRITE_TRANSCRIPTS=1 cargo test transcripts`
//! writes down what comes now; the difference is then read in the diff.
//!
//! ```text
//! > log 0-4 5-9                       the batches that a read gives from now on
//! > acquire a max=5 batch=3 limit     `limit`: not a record more than max
//! > ack a 0-4 accept, 5-7 rrj         one type, or a letter an offset: a r j g n (accept release reject gap renew)
//! > written 1 no                      what the persister said to the change of this number
//! > time 30000                        locks that have ended are taken back
//! ```
//!
//! After each command the partition is shown: `start..next`, and its batches; `*` marks what waits for the persister.

use std::fmt::Write;
use std::sync::Arc;

use super::*;
use crate::coordinator::transcripts::{check_transcripts, replay_transcript};

#[test]
fn share_partition_transcripts() {
    check_transcripts("src/broker/share/partition/transcripts", |transcript| {
        let mut player = Player::new();
        replay_transcript(transcript, |command| player.play(command).lines().map(str::to_owned).collect())
    });
}

struct Player {
    partition: SharePartition,
    settings: Settings,
    log: Vec<LogBatch>,
    now_ms: i64,
}

impl Player {
    fn new() -> Self {
        Player {
            partition: SharePartition::restore(0, &[]).expect("an empty state"),
            settings: Settings {
                record_lock_duration_ms: 30_000,
                delivery_count_limit: 5,
                max_record_locks: 200,
                renew_acknowledge_enabled: true,
            },
            log: Vec::new(),
            now_ms: 0,
        }
    }

    fn play(&mut self, command: &str) -> String {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        let said = match verb {
            "log" => {
                self.log = words.iter().map(|word| range(word)).map(log_batch).collect();
                return String::new();
            }
            "set" => {
                for (name, value) in words.iter().filter_map(|word| word.split_once('=')) {
                    self.set(name, number(value));
                }
                return String::new();
            }
            "restore" => self.restore(&words),
            "acquire" => self.acquire(&words),
            "ack" => self.acknowledge(rest),
            "release" => written_down(self.partition.release(rest, &self.settings)),
            "time" => {
                self.now_ms = number(rest);
                written_down(self.partition.expire(self.now_ms, &self.settings))
            }
            "written" => {
                let written = if words[1] == "yes" { Written::Yes } else { Written::No };
                self.partition.complete(words[0].parse().expect("a number"), written);
                String::new()
            }
            "archive" => {
                let (first, last) = range(rest);
                self.partition.archive_acquired(first, last);
                String::new()
            }
            "start" => {
                self.partition.log_start_moved(number(rest));
                String::new()
            }
            other => panic!("no such command: {other}"),
        };
        format!("{said}{}", self.show())
    }

    fn set(&mut self, name: &str, value: i64) {
        match name {
            "deliveries" => self.settings.delivery_count_limit = value as i16,
            "locks" => self.settings.max_record_locks = value,
            "renew" => self.settings.renew_acknowledge_enabled = value == 1,
            other => panic!("no such setting: {other}"),
        }
    }

    /// `restore 10 12-14:ack 15-19:av2`
    fn restore(&mut self, words: &[&str]) -> String {
        let states: Vec<StateBatch> = words[1..]
            .iter()
            .map(|word| {
                let (offsets, state) = word.split_once(':').expect("a state");
                let (first_offset, last_offset) = range(offsets);
                let (name, count) = state.split_at(state.len() - 1);
                let state = match name {
                    "av" => RecordState::Available,
                    "ack" => RecordState::Acknowledged,
                    _ => RecordState::Archived,
                };
                StateBatch { first_offset, last_offset, state, delivery_count: number(count) as i16 }
            })
            .collect();
        match SharePartition::restore(number(words[0]), &states) {
            Ok(partition) => self.partition = partition,
            Err(InvalidState) => return "InvalidState\n".to_owned(),
        }
        String::new()
    }

    fn acquire(&mut self, words: &[&str]) -> String {
        if !self.partition.can_acquire(&self.settings) {
            return "cannot acquire\n".to_owned();
        }
        let option = |name: &str, default: i64| {
            let value = words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            value.map_or(default, number)
        };
        let fetch_offset = self.partition.next_fetch_offset();
        let read: Vec<LogBatch> =
            self.log.iter().filter(|batch| batch.last_offset >= fetch_offset).copied().collect();
        let is_limit = words.contains(&"limit");
        let acquire = Acquire {
            member: &Arc::from(words[0]),
            mode: if is_limit { AcquireMode::RecordLimit } else { AcquireMode::BatchOptimized },
            batch_size: option("batch", 500),
            max_records: option("max", 500),
            fetch_offset,
            log_batches: &read,
            now_ms: self.now_ms,
        };
        let acquired = self.partition.acquire(&acquire, &self.settings);
        let mut said = format!("from {fetch_offset}:");
        for given in acquired {
            let _ = write!(said, " {}-{}x{}", given.first_offset, given.last_offset, given.delivery_count);
        }
        said + "\n"
    }

    fn acknowledge(&mut self, rest: &str) -> String {
        let (member, rest) = rest.split_once(' ').expect("a member");
        let acknowledgements: Vec<Acknowledgement> = rest.split(", ").map(acknowledgement).collect();
        match self.partition.acknowledge(member, &acknowledgements, self.now_ms, &self.settings) {
            Ok(change) => written_down(change),
            Err(error) => format!("{error:?}\n"),
        }
    }

    fn show(&self) -> String {
        let partition = &self.partition;
        let mut shown = format!("{}..{}", partition.start_offset, partition.next_offset);
        for batch in partition.batches.values() {
            shown.push_str(if batch.is_unseen { " ?(" } else { " (" });
            let runs: Vec<String> = batch.runs.iter().map(show_run).collect();
            let _ = write!(shown, "{})", runs.join(" "));
        }
        if partition.delivery_complete_count() > 0 {
            let _ = write!(shown, " complete={}", partition.delivery_complete_count());
        }
        shown + "\n"
    }
}

fn show_run(run: &Run) -> String {
    let state = match run.delivery.state {
        RecordState::Available => "available".to_owned(),
        RecordState::Acquired => run.owner().map_or("?", |owner| owner).to_owned(),
        RecordState::Acknowledged => "done".to_owned(),
        RecordState::Archived => "archived".to_owned(),
    };
    let pending = if run.pending.is_some() { "*" } else { "" };
    format!("{}-{}:{state}{pending} x{}", run.first_offset, run.last_offset, run.delivery.count)
}

fn written_down(change: Option<Change>) -> String {
    let Some(change) = change else { return String::new() };
    let mut said = format!("write {}:", change.transition);
    for state in change.states {
        let (first, last) = (state.first_offset, state.last_offset);
        let _ = write!(said, " {first}-{last}:{:?} x{}", state.state, state.delivery_count);
    }
    said + "\n"
}

/// `0-4 accept` or `0-4 aarjg`
fn acknowledgement(text: &str) -> Acknowledgement {
    let (offsets, types) = text.split_once(' ').expect("a type");
    let (first_offset, last_offset) = range(offsets);
    let types = match types {
        "accept" => vec![AcknowledgeType::Accept],
        "release" => vec![AcknowledgeType::Release],
        "reject" => vec![AcknowledgeType::Reject],
        "renew" => vec![AcknowledgeType::Renew],
        letters => {
            letters.chars().map(|letter| "garjn".find(letter).expect("a type")).map(of_letter).collect()
        }
    };
    Acknowledgement { first_offset, last_offset, types }
}

fn of_letter(id: usize) -> AcknowledgeType {
    AcknowledgeType::from_id(id as i8).expect("a type")
}

fn log_batch((base_offset, last_offset): (i64, i64)) -> LogBatch {
    LogBatch { base_offset, last_offset }
}

/// `3-5`, or `3` alone.
fn range(text: &str) -> (i64, i64) {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    (number(first), number(last))
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}
