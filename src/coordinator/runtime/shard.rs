//! One shard: the machine over one partition, its timers, and the answers that wait for its log.
//!
//! Commands run one after the other under the shard's lock; nothing is awaited under it. A command's records take
//! their place in the log before the next command runs, and no answer leaves before all records of commands so far
//! are committed: what a client is told is never taken back.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;
use tracing::warn;

use super::alarm::Alarm;
use super::log::{CoordinatorLog, LogError, LogFuture, from_batch, to_batch};
use crate::clock::Clock;
use crate::coordinator::Ticket;
use crate::coordinator::group::{
    Answer, Effect, GroupConfig, GroupError, GroupOutcome, GroupShard, TimerKey, records,
};
use crate::coordinator::timers::Timers;

/// What all shards share.
pub struct Surroundings {
    pub config: GroupConfig,
    pub log: Arc<dyn CoordinatorLog>,
    pub clock: Clock,
    pub alarm: Arc<Alarm>,
    /// Set when the broker stops: nobody waits for other members from then on.
    pub is_closed: AtomicBool,
}

/// A shard that is read from its log on first use, and again after an append failed.
pub struct Shard {
    partition: i32,
    surroundings: Arc<Surroundings>,
    /// Held by the one who reads the log.
    loading: tokio::sync::Mutex<()>,
    loaded: Mutex<Option<Loaded>>,
}

struct Loaded {
    machine: GroupShard,
    timers: Timers<TimerKey>,
    /// When the alarm comes next.
    alarm_ms: Option<i64>,
    /// Requests that wait for other members.
    tickets: HashMap<Ticket, oneshot::Sender<Answer>>,
    /// Decisions that wait for the log, oldest first.
    undecided: VecDeque<Parked>,
    /// `undecided`, and the one that is being waited for.
    in_flight: usize,
}

/// A decision whose records (or those before it) are not committed yet. Dropped with its shard, it tells those who
/// wait that the coordinator is gone.
struct Parked {
    append: Option<LogFuture<()>>,
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    done: oneshot::Sender<()>,
}

/// A command's response, and whether it may leave yet.
pub enum Decided<R> {
    Now(R),
    Later(R, oneshot::Receiver<()>),
}

impl Shard {
    pub fn new(partition: i32, surroundings: Arc<Surroundings>) -> Self {
        Shard { partition, surroundings, loading: tokio::sync::Mutex::new(()), loaded: Mutex::new(None) }
    }

    /// Runs one command and ends when its answer may leave.
    pub async fn run<R>(
        self: &Arc<Self>,
        decide: impl FnOnce(&GroupShard, i64) -> GroupOutcome<R>,
    ) -> Result<R, GroupError> {
        self.load().await?;
        match self.execute(None, decide)? {
            Decided::Now(response) => Ok(response),
            Decided::Later(response, done) => {
                done.await.map(|()| response).map_err(|_| GroupError::NotCoordinator)
            }
        }
    }

    /// Runs one command whose answer leaves under a ticket, and ends with that answer.
    pub async fn run_with_ticket(
        self: &Arc<Self>,
        ticket: Ticket,
        decide: impl FnOnce(&GroupShard, i64) -> GroupOutcome<()>,
    ) -> Result<Answer, GroupError> {
        self.load().await?;
        let (sender, receiver) = oneshot::channel();
        self.execute(Some((ticket, sender)), decide)?;
        if self.surroundings.is_closed.load(Ordering::Acquire) {
            self.give_up_waiting();
        }
        receiver.await.map_err(|_| GroupError::NotCoordinator)
    }

    /// Tells those who wait for other members that the coordinator is gone.
    pub fn give_up_waiting(&self) {
        if let Some(loaded) = self.lock().as_mut() {
            loaded.tickets.clear();
        }
    }

    /// Forgets everything; who waits is told that the coordinator is gone.
    pub fn unload(&self) {
        *self.lock() = None;
    }

    /// Fires the timers that are due. A shard that is not loaded has none.
    pub fn fire(self: &Arc<Self>) {
        let now_ms = self.surroundings.clock.now_ms();
        if let Some(loaded) = self.lock().as_mut() {
            loaded.alarm_ms = None;
        }
        loop {
            let due = self.lock().as_mut().and_then(|loaded| loaded.timers.pop_due(now_ms));
            let Some(key) = due else { break };
            if let Err(error) = self.execute(None, |machine, now_ms| machine.expire(&key, now_ms)) {
                warn!(partition = self.partition, ?error, ?key, "a timer of a group found no coordinator");
                return;
            }
        }
        if let Some(loaded) = self.lock().as_mut() {
            self.set_alarm(loaded);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Loaded>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn execute<R>(
        self: &Arc<Self>,
        waiter: Option<(Ticket, oneshot::Sender<Answer>)>,
        decide: impl FnOnce(&GroupShard, i64) -> GroupOutcome<R>,
    ) -> Result<Decided<R>, GroupError> {
        let now_ms = self.surroundings.clock.now_ms();
        let mut guard = self.lock();
        let loaded = guard.as_mut().ok_or(GroupError::NotCoordinator)?;
        let outcome = decide(&loaded.machine, now_ms);
        let encoded: Result<Vec<_>, _> = outcome.records.iter().map(records::encode).collect();
        let Ok(encoded) = encoded else {
            // A name longer than the format's 32 KiB, which no request can carry.
            return Err(GroupError::CoordinatorNotAvailable);
        };
        let (response, _, effects) = loaded.machine.apply(outcome);
        loaded.tickets.extend(waiter);
        let answers = loaded.perform(effects);
        let append = (!encoded.is_empty())
            .then(|| self.surroundings.log.append(self.partition, to_batch(&encoded, now_ms)));
        self.set_alarm(loaded);
        match self.settle(loaded, append, answers) {
            Ok(None) => Ok(Decided::Now(response)),
            Ok(Some(done)) => Ok(Decided::Later(response, done)),
            Err(error) => {
                *guard = None;
                drop(guard);
                Err(self.lost(error))
            }
        }
    }

    /// Releases a decision at once if the log has it already, which is so where nothing has to be waited for; else
    /// puts it behind those that wait.
    fn settle(
        self: &Arc<Self>,
        loaded: &mut Loaded,
        append: Option<LogFuture<()>>,
        answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    ) -> Result<Option<oneshot::Receiver<()>>, LogError> {
        let append = match append.map(poll_once) {
            None => None,
            Some(Ok(outcome)) => {
                outcome?;
                None
            }
            Some(Err(append)) => Some(append),
        };
        if append.is_none() && loaded.in_flight == 0 {
            release(answers);
            return Ok(None);
        }
        let (done, receiver) = oneshot::channel();
        loaded.undecided.push_back(Parked { append, answers, done });
        loaded.in_flight += 1;
        if loaded.in_flight == 1 {
            tokio::spawn(Arc::clone(self).release_in_order());
        }
        Ok(Some(receiver))
    }

    /// Waits for the log on behalf of all decisions, until there is none left or the shard is dropped.
    async fn release_in_order(self: Arc<Self>) {
        loop {
            let next = self.lock().as_mut().and_then(|loaded| loaded.undecided.pop_front());
            let Some(Parked { append, answers, done }) = next else { return };
            let outcome = match append {
                Some(append) => append.await,
                None => Ok(()),
            };
            let mut guard = self.lock();
            let Some(loaded) = guard.as_mut() else { return };
            if let Err(error) = outcome {
                *guard = None;
                drop(guard);
                self.lost(error);
                return;
            }
            loaded.in_flight -= 1;
            release(answers);
            // Nobody listens for a timer's decision, or a client may have hung up.
            let _ = done.send(());
            if loaded.in_flight == 0 {
                return;
            }
        }
    }

    fn lost(&self, error: LogError) -> GroupError {
        warn!(partition = self.partition, %error, "a coordinator's log failed; its shard is read again");
        match error {
            LogError::Fenced | LogError::Corrupt => GroupError::NotCoordinator,
            LogError::Unavailable | LogError::Unknown | LogError::Refused => {
                GroupError::CoordinatorNotAvailable
            }
        }
    }

    fn set_alarm(&self, loaded: &mut Loaded) {
        let Some(next_ms) = loaded.timers.next_deadline_ms() else { return };
        if loaded.alarm_ms.is_none_or(|alarm_ms| next_ms < alarm_ms) {
            loaded.alarm_ms = Some(next_ms);
            self.surroundings.alarm.set(self.partition, next_ms);
        }
    }

    /// Reads the log, unless it has been read. Everybody else waits for the one who reads.
    async fn load(self: &Arc<Self>) -> Result<(), GroupError> {
        if self.lock().is_some() {
            return Ok(());
        }
        let _loading = self.loading.lock().await;
        if self.lock().is_some() {
            return Ok(());
        }
        let machine = self.read_log().await.map_err(|error| self.lost(error))?;
        *self.lock() = Some(Loaded {
            machine,
            timers: Timers::default(),
            alarm_ms: None,
            tickets: HashMap::new(),
            undecided: VecDeque::new(),
            in_flight: 0,
        });
        self.execute(None, |machine, now_ms| machine.loaded(now_ms)).map(|_| ())
    }

    async fn read_log(&self) -> Result<GroupShard, LogError> {
        let mut machine = GroupShard::new(self.surroundings.config.clone());
        let mut next_offset = 0;
        loop {
            let batches = self.surroundings.log.read(self.partition, next_offset).await?;
            if batches.is_empty() {
                return Ok(machine);
            }
            for batch in batches {
                for (key, value) in from_batch(&batch)? {
                    match records::decode(key, value) {
                        Ok(record) => record.iter().for_each(|record| machine.replay(record)),
                        Err(error) => {
                            warn!(partition = self.partition, %error, "a record of a group cannot be read");
                            return Err(LogError::Corrupt);
                        }
                    }
                }
                next_offset = batch.next_offset();
            }
        }
    }
}

impl Loaded {
    /// Sets the timers; leaves the answers, each with the one who waits for it.
    fn perform(&mut self, effects: Vec<Effect>) -> Vec<(oneshot::Sender<Answer>, Answer)> {
        let mut answers = Vec::new();
        for effect in effects {
            match effect {
                Effect::SetTimer(key, at_ms) => self.timers.set(key, at_ms),
                Effect::CancelTimer(key) => self.timers.cancel(&key),
                Effect::Answer(ticket, answer) => {
                    answers.extend(self.tickets.remove(&ticket).map(|waiter| (waiter, answer)));
                }
            }
        }
        answers
    }
}

/// A client that hung up does not mind.
fn release(answers: Vec<(oneshot::Sender<Answer>, Answer)>) {
    for (waiter, answer) in answers {
        let _ = waiter.send(answer);
    }
}

/// The outcome if it is there, else the future again.
fn poll_once(mut future: LogFuture<()>) -> Result<Result<(), LogError>, LogFuture<()>> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Ok(outcome),
        Poll::Pending => Err(future),
    }
}
