//! One share partition as its leader has it: the machine under its lock, what waits to be written, who waits for
//! records. What a member is told has been written before.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tracing::{debug, warn};

use super::partition::{
    AcknowledgeError, Acknowledgement, Acquire, Acquired, Change, Settings, SharePartition, StateBatch,
    Written,
};
use super::settings::GroupSettings;
use super::{ShareGroupsInner, start};
use crate::broker::Led;
use crate::broker::waiters::Waiters;
use crate::coordinator::runtime::{Alarm, ShareCoordinator};
use crate::coordinator::share::{self, ReadState, ShareError, SharePartitionKey, WriteState};

/// Why a share partition cannot be used, or a change of it not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareFailure {
    /// Somebody else leads it, or it has begun anew: NOT_LEADER_OR_FOLLOWER.
    Fenced,
    /// The share coordinator cannot be asked: COORDINATOR_NOT_AVAILABLE.
    CoordinatorNotAvailable,
    UnknownTopicOrPartition,
    /// There is no offset to begin at: OFFSET_NOT_AVAILABLE.
    OffsetNotAvailable,
    /// INVALID_RECORD_STATE or INVALID_REQUEST.
    Acknowledge(AcknowledgeError),
    /// UNKNOWN_SERVER_ERROR
    Unknown,
}

impl From<ShareError> for ShareFailure {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::CoordinatorNotAvailable | ShareError::NotCoordinator => {
                ShareFailure::CoordinatorNotAvailable
            }
            ShareError::UnknownTopicOrPartition => ShareFailure::UnknownTopicOrPartition,
            ShareError::FencedLeaderEpoch | ShareError::FencedStateEpoch => ShareFailure::Fenced,
            _ => ShareFailure::Unknown,
        }
    }
}

impl From<AcknowledgeError> for ShareFailure {
    fn from(error: AcknowledgeError) -> Self {
        ShareFailure::Acknowledge(error)
    }
}

impl ShareFailure {
    /// Whether the share partition has to be read again before anything else is done with it.
    fn is_fatal(self) -> bool {
        matches!(self, ShareFailure::Fenced | ShareFailure::UnknownTopicOrPartition)
    }
}

/// What is to be found out later: whether a change was written.
pub type Confirmation = oneshot::Receiver<Result<(), ShareFailure>>;

/// How often and after which time the share coordinator is asked again when it does not answer.
const ATTEMPTS: u32 = 5;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

pub struct Leader {
    key: SharePartitionKey,
    pub led: Led,
    /// By which the alarm knows it.
    number: i32,
    groups: std::sync::Weak<ShareGroupsInner>,
    coordinator: Arc<ShareCoordinator>,
    alarm: Arc<Alarm>,
    state: Mutex<State>,
    waiters: Waiters,
}

enum State {
    Loading,
    Active(Active),
    /// Not used any more.
    Gone(ShareFailure),
}

struct Active {
    partition: SharePartition,
    state_epoch: i32,
    queue: VecDeque<Queued>,
    is_writing: bool,
    /// When the alarm comes next.
    alarm_ms: Option<i64>,
}

struct Queued {
    change: Change,
    done: oneshot::Sender<Result<(), ShareFailure>>,
}

impl Leader {
    /// Reads what the persister has, in the background.
    pub fn start(
        key: SharePartitionKey,
        led: Led,
        number: i32,
        settings: GroupSettings,
        coordinator: &Arc<ShareCoordinator>,
        groups: &Arc<ShareGroupsInner>,
    ) -> Arc<Leader> {
        let leader = Arc::new(Leader {
            key,
            led,
            number,
            groups: Arc::downgrade(groups),
            coordinator: Arc::clone(coordinator),
            alarm: Arc::clone(&groups.alarm),
            state: Mutex::new(State::Loading),
            waiters: Waiters::default(),
        });
        let now_ms = groups.clock.now_ms();
        let loading = Arc::clone(&leader);
        tokio::spawn(async move {
            let loaded = loading.load(settings, now_ms).await;
            loading.loaded(loaded);
        });
        leader
    }

    pub fn key(&self) -> &SharePartitionKey {
        &self.key
    }

    /// Wakes `waiter` whenever there may be something to acquire.
    pub fn notify(&self, waiter: &Arc<Notify>) {
        self.led.partition.notify(waiter);
        self.waiters.add(waiter);
    }

    /// Where to read for the next member; None when nothing can be acquired now.
    pub fn fetch_offset(&self, settings: &Settings) -> Result<Option<i64>, ShareFailure> {
        match &*self.lock() {
            State::Loading => Ok(None),
            State::Active(active) if active.partition.can_acquire(settings) => {
                Ok(Some(active.partition.next_fetch_offset()))
            }
            State::Active(_) => Ok(None),
            State::Gone(failure) => Err(*failure),
        }
    }

    /// Gives records to a member, but for `hidden` ones: those of aborted transactions.
    pub fn acquire(
        &self,
        acquire: &Acquire<'_>,
        hidden: &[(i64, i64)],
        settings: &Settings,
    ) -> Vec<Acquired> {
        let mut state = self.lock();
        let State::Active(active) = &mut *state else { return Vec::new() };
        let mut acquired = active.partition.acquire(acquire, settings);
        if !acquired.is_empty() {
            for (first, last) in hidden {
                active.partition.archive_acquired(*first, *last);
            }
            acquired = super::partition::without(acquired, hidden);
            self.set_alarm(active);
        }
        acquired
    }

    /// Kafka learns from a read that is out of range that the log begins later.
    pub fn log_start_moved(&self, log_start_offset: i64) {
        if let State::Active(active) = &mut *self.lock() {
            active.partition.log_start_moved(log_start_offset);
        }
    }

    /// What the member says of its records is taken to be written; None when there is nothing to write.
    pub fn acknowledge(
        self: &Arc<Self>,
        member: &str,
        acknowledgements: &[Acknowledgement],
        now_ms: i64,
        settings: &Settings,
    ) -> Result<Option<Confirmation>, ShareFailure> {
        let mut state = self.lock();
        match &mut *state {
            State::Active(active) => {
                let change = active.partition.acknowledge(member, acknowledgements, now_ms, settings)?;
                // A lock may have been renewed.
                self.set_alarm(active);
                Ok(change.map(|change| self.submit(active, change)))
            }
            State::Loading => Err(AcknowledgeError::NotInFlight.into()),
            State::Gone(failure) => Err(*failure),
        }
    }

    /// The member has left: what it has is available again once that is written.
    pub fn release(self: &Arc<Self>, member: &str, settings: &Settings) -> Option<Confirmation> {
        let mut state = self.lock();
        let State::Active(active) = &mut *state else { return None };
        let change = active.partition.release(member, settings)?;
        Some(self.submit(active, change))
    }

    /// The alarm has come: takes back what was locked until now.
    pub fn expire(self: &Arc<Self>, now_ms: i64, settings: &Settings) {
        let mut state = self.lock();
        let State::Active(active) = &mut *state else { return };
        active.alarm_ms = None;
        if let Some(change) = active.partition.expire(now_ms, settings) {
            debug!(key = ?self.key, ?change, "acquisition locks have timed out");
            // Nobody waits for this to be written.
            drop(self.submit(active, change));
        }
        self.set_alarm(active);
        drop(state);
        self.waiters.wake_all();
    }

    /// Whether it can be read again at any time without loss.
    pub fn is_idle(&self) -> bool {
        match &*self.lock() {
            State::Active(active) => {
                active.queue.is_empty() && !active.is_writing && active.partition.is_idle()
            }
            // What is being read may be old by the time somebody asks for it.
            State::Loading | State::Gone(_) => true,
        }
    }

    /// Nothing more is done with it; who waits for it is told.
    pub fn give_up(&self, failure: ShareFailure) {
        let mut state = self.lock();
        if let State::Gone(_) = &*state {
            return;
        }
        let before = std::mem::replace(&mut *state, State::Gone(failure));
        drop(state);
        if let State::Active(active) = before {
            active.queue.into_iter().for_each(|queued| answer(queued.done, Err(failure)));
        }
        self.waiters.wake_all();
    }

    async fn load(&self, settings: GroupSettings, now_ms: i64) -> Result<Active, ShareFailure> {
        let read = ReadState { key: self.key.clone(), leader_epoch: self.led.leader_epoch };
        let answer = self.ask(|| self.coordinator.read(read.clone())).await?;
        let start_offset = match answer.start_offset {
            -1 => start::initial_offset(&self.led, settings.offset_reset, now_ms).await?,
            offset => offset,
        };
        let states: Option<Vec<StateBatch>> = answer.batches.iter().map(of_persister).collect();
        let restored = states.and_then(|states| SharePartition::restore(start_offset, &states).ok());
        let Some(partition) = restored else {
            warn!(key = ?self.key, ?answer, "the state of a share partition makes no sense");
            return Err(ShareFailure::Unknown);
        };
        Ok(Active {
            partition,
            state_epoch: answer.state_epoch,
            queue: VecDeque::new(),
            is_writing: false,
            alarm_ms: None,
        })
    }

    fn loaded(self: &Arc<Self>, loaded: Result<Active, ShareFailure>) {
        match loaded {
            Ok(active) => {
                let mut state = self.lock();
                if let State::Loading = &*state {
                    *state = State::Active(active);
                }
                drop(state);
                self.waiters.wake_all();
            }
            Err(failure) => self.retire(failure),
        }
    }

    /// Gives up, so that the next use reads it again.
    fn retire(self: &Arc<Self>, failure: ShareFailure) {
        debug!(key = ?self.key, ?failure, "a share partition is given up");
        self.give_up(failure);
        if let Some(groups) = self.groups.upgrade() {
            groups.remove(self);
        }
    }

    /// Takes a change to be written after those before it.
    fn submit(self: &Arc<Self>, active: &mut Active, change: Change) -> Confirmation {
        let (done, confirmation) = oneshot::channel();
        active.queue.push_back(Queued { change, done });
        if !active.is_writing {
            active.is_writing = true;
            tokio::spawn(Arc::clone(self).write_all());
        }
        confirmation
    }

    /// Writes until nothing is left: what gathers while one write is under way goes with the next.
    async fn write_all(self: Arc<Self>) {
        while let Some((write, written)) = self.next_write() {
            let result = self.ask(|| self.coordinator.write(write.clone())).await;
            self.written(written, result);
        }
    }

    fn next_write(&self) -> Option<(WriteState, Vec<Queued>)> {
        let mut state = self.lock();
        let State::Active(active) = &mut *state else { return None };
        let queued: Vec<Queued> = active.queue.drain(..).collect();
        if queued.is_empty() {
            active.is_writing = false;
            return None;
        }
        let write = WriteState {
            key: self.key.clone(),
            state_epoch: active.state_epoch,
            leader_epoch: self.led.leader_epoch,
            start_offset: active.partition.start_offset(),
            delivery_complete_count: active.partition.delivery_complete_count(),
            batches: queued.iter().flat_map(|queued| &queued.change.states).map(to_persister).collect(),
        };
        Some((write, queued))
    }

    fn written(self: &Arc<Self>, queued: Vec<Queued>, result: Result<(), ShareFailure>) {
        let written = if result.is_ok() { Written::Yes } else { Written::No };
        if let State::Active(active) = &mut *self.lock() {
            for queued in &queued {
                active.partition.complete(queued.change.transition, written);
            }
            // What was not written is locked again, perhaps until before now.
            self.set_alarm(active);
        }
        for queued in queued {
            answer(queued.done, result);
        }
        self.waiters.wake_all();
        if let Err(failure) = result
            && failure.is_fatal()
        {
            self.retire(failure);
        }
    }

    /// Asks the share coordinator, again if it is not there: a write that came twice changes nothing.
    async fn ask<T, F>(&self, question: impl Fn() -> F) -> Result<T, ShareFailure>
    where
        F: Future<Output = Result<T, ShareError>>,
    {
        let mut backoff = FIRST_BACKOFF;
        for attempt in 1.. {
            let error = match question().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let is_passing =
                matches!(error, ShareError::CoordinatorNotAvailable | ShareError::NotCoordinator);
            if !is_passing || attempt == ATTEMPTS {
                debug!(key = ?self.key, ?error, "the share coordinator refuses");
                return Err(error.into());
            }
            if let Err(error) = self.coordinator.ensure_topic().await {
                debug!(%error, "no share coordinator");
            }
            tokio::time::sleep(backoff).await;
            backoff *= 2;
        }
        Err(ShareFailure::CoordinatorNotAvailable)
    }

    fn set_alarm(&self, active: &mut Active) {
        let Some(deadline_ms) = active.partition.next_deadline_ms() else { return };
        if active.alarm_ms.is_none_or(|alarm_ms| deadline_ms < alarm_ms) {
            active.alarm_ms = Some(deadline_ms);
            self.alarm.set(self.number, deadline_ms);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who asked may be gone.
fn answer(done: oneshot::Sender<Result<(), ShareFailure>>, result: Result<(), ShareFailure>) {
    let _gone = done.send(result).is_err();
}

fn to_persister(state: &StateBatch) -> share::StateBatch {
    share::StateBatch {
        first_offset: state.first_offset,
        last_offset: state.last_offset,
        delivery_state: state.state.id(),
        delivery_count: state.delivery_count,
    }
}

fn of_persister(batch: &share::StateBatch) -> Option<StateBatch> {
    Some(StateBatch {
        first_offset: batch.first_offset,
        last_offset: batch.last_offset,
        state: super::partition::RecordState::from_id(batch.delivery_state)?,
        delivery_count: batch.delivery_count,
    })
}
