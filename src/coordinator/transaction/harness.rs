//! A shard with its log, its timers and a clock that only moves when told: what the runtime is, without any IO. Markers
//! go nowhere by themselves: a test takes them out of `errands`.

use super::{Effect, Errand, TimerKey, TransactionConfig, TransactionOutcome, TransactionShard, records};
use crate::coordinator::Machine;
use crate::coordinator::timers::Timers;
use crate::coordinator::view::TestView;

pub struct World {
    pub config: TransactionConfig,
    pub shard: TransactionShard,
    pub now_ms: i64,
    /// In the log's bytes, so that a reload knows no more than a log does.
    pub log: Vec<(bytes::Bytes, Option<bytes::Bytes>)>,
    /// What is asked of others and not done yet.
    pub errands: Vec<Errand>,
    /// How many of the next appends fail.
    pub failing_appends: u32,
    timers: Timers<TimerKey>,
}

impl World {
    pub fn new(config: TransactionConfig) -> Self {
        let mut world = World {
            shard: TransactionShard::new(config.clone()),
            config,
            now_ms: 1_000_000,
            log: Vec::new(),
            errands: Vec::new(),
            failing_appends: 0,
            timers: Timers::default(),
        };
        world.reload();
        world
    }

    /// Does what the outcome says.
    pub fn run<R>(&mut self, outcome: TransactionOutcome<R>) -> R {
        self.try_run(outcome).expect("the append succeeds")
    }

    /// Does what the outcome says, or drops the shard if its append fails.
    pub fn try_run<R>(&mut self, outcome: TransactionOutcome<R>) -> Option<R> {
        if !outcome.records.is_empty() && self.failing_appends > 0 {
            self.failing_appends -= 1;
            self.reload();
            return None;
        }
        let (response, records, effects) = self.shard.apply(outcome);
        self.log.extend(records.iter().map(|record| records::encode(record).expect("short strings")));
        for effect in effects {
            match effect {
                Effect::SetTimer(key, at_ms) => self.timers.set(key, at_ms),
                Effect::StartTimer(key, at_ms) => self.timers.start(key, at_ms),
                Effect::CancelTimer(key) => self.timers.cancel(&key),
                Effect::Errand(errand) => self.errands.push(errand),
                Effect::Answer(_, never) => match never {},
            }
        }
        Some(response)
    }

    /// Lets the time pass, timer by timer.
    pub fn advance(&mut self, by_ms: i64) {
        let end_ms = self.now_ms + by_ms;
        while let Some(at_ms) = self.timers.next_deadline_ms().filter(|at_ms| *at_ms <= end_ms) {
            self.now_ms = self.now_ms.max(at_ms);
            while let Some(key) = self.timers.pop_due(self.now_ms) {
                let outcome = self.shard.expire(&key, self.now_ms, &TestView::default());
                self.try_run(outcome);
            }
        }
        self.now_ms = end_ms;
    }

    /// Drops the shard and reads it again from its log.
    pub fn reload(&mut self) {
        self.shard = self.replayed();
        self.timers = Timers::default();
        let outcome = self.shard.loaded(self.now_ms, &TestView::default());
        self.run(outcome);
    }

    /// What the log says, whatever the live shard believes.
    pub fn replayed(&self) -> TransactionShard {
        let mut shard = TransactionShard::new(self.config.clone());
        for (key, value) in &self.log {
            let record = records::decode(key.clone(), value.clone()).expect("a readable record");
            record.iter().for_each(|record| shard.replay(record));
        }
        shard
    }

    /// Live and reloaded shards must agree on everything but the one thing that is not logged.
    pub fn check_replayed(&self) {
        let replayed = self.replayed();
        assert_eq!(self.shard.transactions.len(), replayed.transactions.len());
        for (transactional_id, live) in &self.shard.transactions {
            let logged = replayed.transactions.get(transactional_id).expect("the same ids");
            let live = super::Transaction { last_producer_epoch: logged.last_producer_epoch, ..live.clone() };
            assert_eq!(&live, logged, "{transactional_id}");
        }
    }
}
