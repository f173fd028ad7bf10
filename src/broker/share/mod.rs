//! Share groups as the leader of a partition serves them (KIP-932): who has which records, for how long, how often.
//!
//! Enters: ShareFetch and ShareAcknowledge, from handlers; connections that end. Leaves: records with the member that
//! has them, writes to the share coordinator. May use: coordinator, metadata, storage, config.
//!
//! | file | what |
//! |---|---|
//! | `partition/` | one share partition: a pure machine |
//! | `leader.rs` | the machine with its lock, its writes, and who waits for it |
//! | `sessions.rs` | what a member fetches on which connection: pure |
//! | `fetch.rs` | one ShareFetch: waits, reads, acquires |
//! | `settings.rs`, `start.rs` | a group's configuration; where it begins |
//!
//! A share partition is read from the share coordinator on first use, and forgotten when the last session of its group
//! has ended.

mod aborted;
mod fetch;
mod leader;
pub mod partition;
pub mod sessions;
mod settings;
mod start;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};

use ottla_protocol::{StrBytes, Uuid};

use self::leader::{Confirmation, Leader};
use self::partition::Acknowledgement;
use self::sessions::{SessionKey, ShareSessions, TopicPartition};
use self::settings::broker_settings;
use super::{Broker, Led};
use crate::clock::Clock;
use crate::config::ShareConfig;
use crate::coordinator::runtime::{Alarm, Listening, ShareCoordinator};
use crate::coordinator::share::SharePartitionKey;

pub use self::fetch::{FetchFailure, FetchedRecords, Results, ShareFetch};
pub use self::leader::ShareFailure;
pub use self::settings::GroupSettings;

/// All share partitions that this broker leads, and the sessions of their members.
pub struct ShareGroups {
    pub sessions: ShareSessions,
    inner: Arc<ShareGroupsInner>,
    last_connection: AtomicU64,
}

/// What the leaders of share partitions refer to.
pub struct ShareGroupsInner {
    broker: Weak<Broker>,
    clock: Clock,
    alarm: Arc<Alarm>,
    alarm_task: Once,
    /// For groups that say nothing themselves.
    settings: GroupSettings,
    leaders: Mutex<Leaders>,
}

#[derive(Default)]
struct Leaders {
    by_key: HashMap<SharePartitionKey, Arc<Leader>>,
    /// As the alarm knows them.
    by_number: HashMap<i32, Weak<Leader>>,
    last_number: i32,
}

/// A connection that may have share sessions: they end when this is dropped.
pub struct ShareConnection {
    pub id: u64,
    groups: Arc<ShareGroups>,
}

/// What a member said of its records, on its way to the share coordinator.
pub struct Acknowledged(Option<Confirmation>);

impl Acknowledged {
    /// Whether it stands.
    pub async fn written(self) -> Result<(), ShareFailure> {
        match self.0 {
            Some(confirmation) => confirmed(confirmation).await,
            None => Ok(()),
        }
    }
}

impl Drop for ShareConnection {
    fn drop(&mut self) {
        self.groups.disconnected(self.id);
    }
}

impl ShareGroups {
    /// Costs nothing until a member comes.
    pub fn new(broker: Weak<Broker>, config: &ShareConfig, clock: Clock) -> Arc<ShareGroups> {
        Arc::new(ShareGroups {
            sessions: ShareSessions::new(usize::try_from(config.max_share_sessions).unwrap_or(0)),
            inner: Arc::new(ShareGroupsInner {
                broker,
                clock,
                alarm: Arc::default(),
                alarm_task: Once::new(),
                settings: broker_settings(config),
                leaders: Mutex::default(),
            }),
            last_connection: AtomicU64::new(0),
        })
    }

    pub fn connection(self: &Arc<Self>) -> ShareConnection {
        let id = self.last_connection.fetch_add(1, Ordering::Relaxed);
        ShareConnection { id, groups: Arc::clone(self) }
    }

    /// A group's settings as they are now.
    pub fn settings(&self, group_id: &str) -> GroupSettings {
        self.inner.settings_of(group_id)
    }

    /// Does what a member says of its records in one partition, at once; whether it stands is found out later.
    pub fn acknowledge(
        &self,
        key: &SessionKey,
        target: TopicPartition,
        acknowledgements: &[Acknowledgement],
    ) -> Result<Acknowledged, ShareFailure> {
        let key_of = share_partition_key(&key.group_id, target);
        // Who has records has fetched them here: nothing has to be read for them.
        let leader = self.inner.get(&key_of).ok_or(ShareFailure::UnknownTopicOrPartition)?;
        let settings = self.settings(&key.group_id).deliveries;
        let now_ms = self.inner.clock.now_ms();
        leader.acknowledge(&key.member_id, acknowledgements, now_ms, &settings).map(Acknowledged)
    }

    /// Ends a session: what its member has is available again.
    pub fn close_session(self: &Arc<Self>, key: &SessionKey) {
        if let Some(targets) = self.sessions.close(key) {
            self.release(key, targets);
        }
    }

    /// A topic is gone for good.
    pub fn topic_deleted(&self, topic_id: Uuid) {
        self.inner
            .remove_all(ShareFailure::UnknownTopicOrPartition, |leader| leader.key().topic_id == topic_id);
    }

    fn disconnected(self: &Arc<Self>, connection: u64) {
        for (key, targets) in self.sessions.disconnect(connection) {
            self.release(&key, targets);
        }
    }

    /// Makes what the member has available, then forgets the partitions of a group that nobody reads any more.
    fn release(self: &Arc<Self>, key: &SessionKey, targets: Vec<TopicPartition>) {
        let settings = self.settings(&key.group_id).deliveries;
        let mut confirmations = Vec::new();
        for target in targets {
            let leader = self.inner.get(&share_partition_key(&key.group_id, target));
            confirmations.extend(leader.and_then(|leader| leader.release(&key.member_id, &settings)));
        }
        let (groups, group_id) = (Arc::clone(self), Arc::clone(&key.group_id));
        let forget = async move {
            for confirmation in confirmations {
                if let Err(failure) = confirmed(confirmation).await {
                    tracing::debug!(?failure, "a release could not be written");
                }
            }
            if !groups.sessions.has_group(&group_id) {
                let is_unused = |leader: &Leader| *leader.key().group_id == *group_id && leader.is_idle();
                groups.inner.remove_all(ShareFailure::Fenced, is_unused);
            }
        };
        // A connection may end after the runtime has: then nothing is left to be done.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(forget);
        }
    }
}

impl ShareGroupsInner {
    fn settings_of(&self, group_id: &str) -> GroupSettings {
        match self.broker.upgrade() {
            Some(broker) => self.settings.with_group(&*broker.image(), group_id),
            None => self.settings,
        }
    }

    fn get(&self, key: &SharePartitionKey) -> Option<Arc<Leader>> {
        self.lock().by_key.get(key).cloned()
    }

    /// The leader of a share partition, begun on its first use and anew in a new leader epoch.
    fn leader(
        self: &Arc<Self>,
        key: SharePartitionKey,
        led: &Led,
        coordinator: &Arc<ShareCoordinator>,
    ) -> Arc<Leader> {
        self.alarm_task.call_once(|| self.start_alarm());
        let settings = self.settings_of(&key.group_id);
        let mut leaders = self.lock();
        let present = leaders.by_key.get(&key).filter(|leader| {
            leader.led.leader_epoch == led.leader_epoch && Arc::ptr_eq(&leader.led.partition, &led.partition)
        });
        if let Some(leader) = present {
            return Arc::clone(leader);
        }
        leaders.last_number = leaders.last_number.wrapping_add(1);
        let number = leaders.last_number;
        let leader = Leader::start(key.clone(), led.clone(), number, settings, coordinator, self);
        leaders.by_number.insert(number, Arc::downgrade(&leader));
        let before = leaders.by_key.insert(key, Arc::clone(&leader));
        drop(leaders);
        if let Some(before) = before {
            before.give_up(ShareFailure::Fenced);
        }
        leader
    }

    /// Forgets one that has given up.
    fn remove(&self, leader: &Arc<Leader>) {
        let mut leaders = self.lock();
        if leaders.by_key.get(leader.key()).is_some_and(|present| Arc::ptr_eq(present, leader)) {
            leaders.by_key.remove(leader.key());
        }
        leaders.by_number.retain(|_, leader| leader.strong_count() > 0);
    }

    fn remove_all(&self, failure: ShareFailure, is_meant: impl Fn(&Leader) -> bool) {
        let mut leaders = self.lock();
        let removed: Vec<_> = leaders.by_key.extract_if(|_, leader| is_meant(leader)).collect();
        leaders.by_number.retain(|_, leader| leader.strong_count() > 0);
        drop(leaders);
        removed.into_iter().for_each(|(_, leader)| leader.give_up(failure));
    }

    fn start_alarm(self: &Arc<Self>) {
        let groups = Arc::downgrade(self);
        let fire = move |number| {
            let Some(groups) = groups.upgrade() else { return Listening::No };
            let leader = groups.lock().by_number.get(&number).and_then(Weak::upgrade);
            if let Some(leader) = leader {
                let settings = groups.settings_of(&leader.key().group_id).deliveries;
                leader.expire(groups.clock.now_ms(), &settings);
            }
            Listening::Yes
        };
        tokio::spawn(Arc::clone(&self.alarm).run(self.clock.clone(), fire));
    }

    fn lock(&self) -> MutexGuard<'_, Leaders> {
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn share_partition_key(group_id: &str, (topic_id, partition): TopicPartition) -> SharePartitionKey {
    SharePartitionKey { group_id: StrBytes::from_string(group_id.to_owned()), topic_id, partition }
}

async fn confirmed(confirmation: Confirmation) -> Result<(), ShareFailure> {
    confirmation.await.unwrap_or(Err(ShareFailure::CoordinatorNotAvailable))
}
