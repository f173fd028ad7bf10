//! A shard with its log, its timers and a clock that only moves when told: what the runtime is, without any IO. Errands
//! are not done by themselves: a test takes them out of `errands`.

use std::collections::BTreeMap;

use super::timers::Timers;
use super::view::TestView;
use super::{Effect, Machine, OutcomeOf, Ticket};

pub struct World<M: Machine> {
    pub config: M::Config,
    pub shard: M,
    pub now_ms: i64,
    /// As its bytes say, so that a reload knows no more than a log does.
    pub log: Vec<M::Record>,
    /// Answers that left, by ticket.
    pub answers: BTreeMap<Ticket, M::Answer>,
    /// Errands that nobody has run yet.
    pub errands: Vec<M::Errand>,
    /// How many of the next appends fail.
    pub failing_appends: u32,
    /// How often the shard was read again; who waited then was told that the coordinator is gone.
    pub reloads: u32,
    /// The topics that there are.
    pub view: TestView,
    timers: Timers<M::TimerKey>,
    last_ticket: Ticket,
}

impl<M: Machine> World<M> {
    pub fn new(config: M::Config) -> Self {
        let mut world = World {
            shard: M::new(config.clone()),
            config,
            now_ms: 1_000_000,
            log: Vec::new(),
            answers: BTreeMap::new(),
            errands: Vec::new(),
            failing_appends: 0,
            reloads: 0,
            view: TestView::default(),
            timers: Timers::default(),
            last_ticket: 0,
        };
        world.reload();
        world
    }

    pub fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        self.last_ticket
    }

    /// Does what the outcome says.
    pub fn run<R>(&mut self, outcome: OutcomeOf<M, R>) -> R {
        self.try_run(outcome).expect("the append succeeds")
    }

    /// Does what the outcome says, or drops the shard if its append fails.
    pub fn try_run<R>(&mut self, outcome: OutcomeOf<M, R>) -> Option<R> {
        if !outcome.records.is_empty() && self.failing_appends > 0 {
            self.failing_appends -= 1;
            self.reload();
            return None;
        }
        let (response, records, effects) = self.shard.apply(outcome);
        if !records.is_empty() {
            let batch = M::to_batch(&records, self.now_ms).expect("short strings");
            self.log.extend(M::from_batch(&batch).expect("readable records"));
        }
        for effect in effects {
            match effect {
                Effect::Answer(ticket, answer) => {
                    let is_first = self.answers.insert(ticket, answer).is_none();
                    assert!(is_first, "ticket {ticket} was answered twice");
                }
                Effect::SetTimer(key, at_ms) => self.timers.set(key, at_ms),
                Effect::StartTimer(key, at_ms) => self.timers.start(key, at_ms),
                Effect::CancelTimer(key) => self.timers.cancel(&key),
                Effect::Errand(errand) => self.errands.push(errand),
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
                let outcome = self.shard.expire(&key, self.now_ms, &self.view);
                self.try_run(outcome);
            }
        }
        self.now_ms = end_ms;
    }

    /// Drops the shard and reads it again from its log.
    pub fn reload(&mut self) {
        self.reloads += 1;
        self.shard = self.replayed();
        self.timers = Timers::default();
        let outcome = self.shard.loaded(self.now_ms, &self.view);
        self.run(outcome);
    }

    /// What the log says, whatever the live shard believes.
    pub fn replayed(&self) -> M {
        let mut shard = M::new(self.config.clone());
        for record in &self.log {
            shard.replay(record);
        }
        shard
    }
}
