//! One shard: the machine over one partition, its timers, and the answers that wait for its log.
//!
//! Commands run one after the other under the shard's lock; nothing is awaited under it. A command's records take
//! their place in the log before the next command runs, and no answer leaves before all records of commands so far
//! are committed: what a client is told is never taken back.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use ottla_protocol::batch::RecordBatch;
use tokio::sync::oneshot;
use tracing::{debug, warn};

use super::alarm::Alarm;
use super::log::{CoordinatorLog, LogError, LogFuture, Voucher};
use crate::clock::Clock;
use crate::coordinator::timers::Timers;
use crate::coordinator::{ClusterSource, ClusterView, Effect, EffectOf, Machine, OutcomeOf, Ticket};

/// What all shards share.
pub struct Surroundings<M: Machine> {
    pub config: M::Config,
    pub log: Arc<dyn CoordinatorLog>,
    pub cluster: Arc<dyn ClusterSource>,
    pub clock: Clock,
    pub alarm: Arc<Alarm>,
    /// Takes what a shard (by its partition) asks of others. It must not block.
    pub errands: Box<dyn Fn(i32, M::Errand) + Send + Sync>,
    /// Set when the broker stops: nobody waits for other members from then on.
    pub is_closed: AtomicBool,
}

/// Why a shard gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardError {
    /// Its log could not be read or written just now; the request may be sent again.
    NotAvailable,
    /// It was dropped while the request waited, or is not this broker's; the client looks the coordinator up again.
    NotCoordinator,
    /// Its log takes no such batch of a transaction: nothing has changed.
    Refused(RefusedBatch),
}

/// Why a log does not take a batch of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedBatch {
    InvalidProducerEpoch,
    InvalidTxnState,
    TransactionCoordinatorFenced,
}

/// A shard that is read from its log on first use, and again after an append failed.
pub struct Shard<M: Machine> {
    partition: i32,
    surroundings: Arc<Surroundings<M>>,
    /// Held by the one who reads the log.
    loading: tokio::sync::Mutex<()>,
    loaded: Mutex<Option<Loaded<M>>>,
}

struct Loaded<M: Machine> {
    machine: M,
    timers: Timers<M::TimerKey>,
    /// When the alarm comes next.
    alarm_ms: Option<i64>,
    /// Requests that wait for other members.
    tickets: HashMap<Ticket, oneshot::Sender<M::Answer>>,
    /// Decisions that wait for the log, oldest first.
    undecided: VecDeque<Parked<M>>,
    /// `undecided`, and the one that is being waited for.
    in_flight: usize,
}

/// A decision whose records (or those before it) are not committed yet. Dropped with its shard, it tells those who
/// wait that the coordinator is gone.
struct Parked<M: Machine> {
    append: Option<LogFuture<()>>,
    released: Released<M>,
    done: oneshot::Sender<()>,
}

/// What leaves once a decision is in the log.
struct Released<M: Machine> {
    answers: Vec<(oneshot::Sender<M::Answer>, M::Answer)>,
    errands: Vec<M::Errand>,
}

/// A command's response, and whether it may leave yet.
pub enum Decided<R> {
    Now(R),
    Later(R, oneshot::Receiver<()>),
}

impl<M: Machine> Shard<M> {
    pub fn new(partition: i32, surroundings: Arc<Surroundings<M>>) -> Self {
        Shard { partition, surroundings, loading: tokio::sync::Mutex::new(()), loaded: Mutex::new(None) }
    }

    /// Runs one command and ends when its answer may leave.
    pub async fn run<R>(
        self: &Arc<Self>,
        decide: impl FnOnce(&M, i64, &dyn ClusterView) -> OutcomeOf<M, R>,
    ) -> Result<R, ShardError> {
        self.run_vouched(None, decide).await
    }

    /// The same for a command whose records belong to a producer's transaction, or end it.
    pub async fn run_vouched<R>(
        self: &Arc<Self>,
        voucher: Option<Voucher>,
        decide: impl FnOnce(&M, i64, &dyn ClusterView) -> OutcomeOf<M, R>,
    ) -> Result<R, ShardError> {
        self.load().await?;
        match self.execute(None, voucher, decide)? {
            Decided::Now(response) => Ok(response),
            Decided::Later(response, done) => {
                done.await.map(|()| response).map_err(|_| ShardError::NotCoordinator)
            }
        }
    }

    /// Runs one command whose answer leaves under a ticket, and ends with that answer.
    pub async fn run_with_ticket(
        self: &Arc<Self>,
        ticket: Ticket,
        decide: impl FnOnce(&M, i64, &dyn ClusterView) -> OutcomeOf<M, ()>,
    ) -> Result<M::Answer, ShardError> {
        self.load().await?;
        let (sender, receiver) = oneshot::channel();
        self.execute(Some((ticket, sender)), None, decide)?;
        if self.surroundings.is_closed.load(Ordering::Acquire) {
            self.give_up_waiting();
        }
        receiver.await.map_err(|_| ShardError::NotCoordinator)
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
            let expire = |machine: &M, now_ms, view: &dyn ClusterView| machine.expire(&key, now_ms, view);
            if let Err(error) = self.execute(None, None, expire) {
                warn!(partition = self.partition, ?error, ?key, "a timer found no coordinator");
                return;
            }
        }
        if let Some(loaded) = self.lock().as_mut() {
            self.set_alarm(loaded);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Loaded<M>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn execute<R>(
        self: &Arc<Self>,
        waiter: Option<(Ticket, oneshot::Sender<M::Answer>)>,
        voucher: Option<Voucher>,
        decide: impl FnOnce(&M, i64, &dyn ClusterView) -> OutcomeOf<M, R>,
    ) -> Result<Decided<R>, ShardError> {
        let now_ms = self.surroundings.clock.now_ms();
        let view = self.surroundings.cluster.view();
        let mut guard = self.lock();
        let loaded = guard.as_mut().ok_or(ShardError::NotCoordinator)?;
        let outcome = decide(&loaded.machine, now_ms, &*view);
        let batch = match outcome.records.is_empty() {
            true => None,
            // A name longer than the format's 32 KiB, which no request can carry.
            false => Some(M::to_batch(&outcome.records, now_ms).map_err(|_| ShardError::NotAvailable)?),
        };
        let append = match batch.map(|batch| self.append(batch, voucher)).transpose() {
            Ok(append) => append,
            Err(error) => {
                return Err(match refused_batch(error) {
                    Some(refused) => ShardError::Refused(refused),
                    None => {
                        *guard = None;
                        drop(guard);
                        self.lost(error)
                    }
                });
            }
        };
        let (response, _, effects) = loaded.machine.apply(outcome);
        loaded.tickets.extend(waiter);
        let released = loaded.perform(effects);
        self.set_alarm(loaded);
        Ok(match self.settle(loaded, append.flatten(), released) {
            None => Decided::Now(response),
            Some(done) => Decided::Later(response, done),
        })
    }

    /// What is left to wait for, if anything, once the batch has its place in the log.
    fn append(
        &self,
        batch: RecordBatch,
        voucher: Option<Voucher>,
    ) -> Result<Option<LogFuture<()>>, LogError> {
        let log = &self.surroundings.log;
        let append = match voucher {
            None => log.append(self.partition, batch),
            Some(voucher) => log.append_vouched(self.partition, batch, voucher),
        };
        match poll_once(append) {
            Ok(outcome) => outcome.map(|()| None),
            Err(append) => Ok(Some(append)),
        }
    }

    /// Releases a decision at once if the log has it already, which is so where nothing has to be waited for; else
    /// puts it behind those that wait.
    fn settle(
        self: &Arc<Self>,
        loaded: &mut Loaded<M>,
        append: Option<LogFuture<()>>,
        released: Released<M>,
    ) -> Option<oneshot::Receiver<()>> {
        if append.is_none() && loaded.in_flight == 0 {
            self.release(released);
            return None;
        }
        let (done, receiver) = oneshot::channel();
        loaded.undecided.push_back(Parked { append, released, done });
        loaded.in_flight += 1;
        if loaded.in_flight == 1 {
            tokio::spawn(Arc::clone(self).release_in_order());
        }
        Some(receiver)
    }

    /// Waits for the log on behalf of all decisions, until there is none left or the shard is dropped.
    async fn release_in_order(self: Arc<Self>) {
        loop {
            let next = self.lock().as_mut().and_then(|loaded| loaded.undecided.pop_front());
            let Some(Parked { append, released, done }) = next else { return };
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
            self.release(released);
            // Nobody listens for a timer's decision, or a client may have hung up.
            let _ = done.send(());
            if loaded.in_flight == 0 {
                return;
            }
        }
    }

    /// A client that hung up does not mind.
    fn release(&self, released: Released<M>) {
        for (waiter, answer) in released.answers {
            let _ = waiter.send(answer);
        }
        for errand in released.errands {
            (self.surroundings.errands)(self.partition, errand);
        }
    }

    fn lost(&self, error: LogError) -> ShardError {
        match error {
            // The log says why, and once: on a full disk there would be no end of these lines.
            LogError::Unavailable => debug!(partition = self.partition, "a shard is read again"),
            _ => {
                warn!(partition = self.partition, %error, "a coordinator's log failed; its shard is read again")
            }
        }
        match error {
            LogError::Fenced | LogError::Corrupt => ShardError::NotCoordinator,
            LogError::Unavailable
            | LogError::Unknown
            | LogError::Refused
            | LogError::InvalidProducerEpoch
            | LogError::InvalidTxnState
            | LogError::TransactionCoordinatorFenced => ShardError::NotAvailable,
        }
    }

    fn set_alarm(&self, loaded: &mut Loaded<M>) {
        let Some(next_ms) = loaded.timers.next_deadline_ms() else { return };
        if loaded.alarm_ms.is_none_or(|alarm_ms| next_ms < alarm_ms) {
            loaded.alarm_ms = Some(next_ms);
            self.surroundings.alarm.set(self.partition, next_ms);
        }
    }

    /// Reads the log, unless it has been read. Everybody else waits for the one who reads.
    async fn load(self: &Arc<Self>) -> Result<(), ShardError> {
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
        self.execute(None, None, |machine, now_ms, view| machine.loaded(now_ms, view)).map(|_| ())
    }

    async fn read_log(&self) -> Result<M, LogError> {
        let mut machine = M::new(self.surroundings.config.clone());
        let mut next_offset = 0;
        loop {
            let batches = self.surroundings.log.read(self.partition, next_offset).await?;
            if batches.is_empty() {
                return Ok(machine);
            }
            for batch in batches {
                let records = M::from_batch(&batch).map_err(|error| {
                    warn!(partition = self.partition, %error, "a batch of a coordinator cannot be read");
                    LogError::Corrupt
                })?;
                records.iter().for_each(|record| machine.replay(record));
                next_offset = batch.next_offset();
            }
        }
    }
}

impl<M: Machine> Loaded<M> {
    /// Sets the timers; leaves what waits for the log, each answer with the one who waits for it.
    fn perform(&mut self, effects: Vec<EffectOf<M>>) -> Released<M> {
        let mut released = Released { answers: Vec::new(), errands: Vec::new() };
        for effect in effects {
            match effect {
                Effect::SetTimer(key, at_ms) => self.timers.set(key, at_ms),
                Effect::StartTimer(key, at_ms) => self.timers.start(key, at_ms),
                Effect::CancelTimer(key) => self.timers.cancel(&key),
                Effect::Answer(ticket, answer) => {
                    released.answers.extend(self.tickets.remove(&ticket).map(|waiter| (waiter, answer)));
                }
                Effect::Errand(errand) => released.errands.push(errand),
            }
        }
        released
    }
}

fn refused_batch(error: LogError) -> Option<RefusedBatch> {
    match error {
        LogError::InvalidProducerEpoch => Some(RefusedBatch::InvalidProducerEpoch),
        LogError::InvalidTxnState => Some(RefusedBatch::InvalidTxnState),
        LogError::TransactionCoordinatorFenced => Some(RefusedBatch::TransactionCoordinatorFenced),
        _ => None,
    }
}

/// The outcome if it is there, else the future again.
fn poll_once(mut future: LogFuture<()>) -> Result<Result<(), LogError>, LogFuture<()>> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Ok(outcome),
        Poll::Pending => Err(future),
    }
}
