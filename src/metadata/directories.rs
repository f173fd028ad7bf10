//! Which log directory of a broker holds which of its replicas (KIP-858), and what becomes of replicas whose directory has
//! failed.
//!
//! Kafka's controller leaves it to a broker with several directories to choose one and to tell. Here the controller chooses
//! as such a broker would: a log that was never written to has a place as well, and no other is ever taken by mistake.

use std::collections::HashMap;
use std::sync::Arc;

use ottla_protocol::record_formats::metadata::{
    BrokerRegistrationChangeRecord, MetadataRecord, PartitionChangeRecord,
};
use uuid::Uuid;

use super::{Controller, Image, Membership, Outcome, Partition};

/// Kafka's ids for a directory that nobody has told: of a broker that tells none, and that has yet to choose.
const MIGRATING: Uuid = Uuid::nil();
const UNASSIGNED: Uuid = Uuid::from_u128(1);

/// How many replicas each directory has.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ReplicaCounts(Arc<HashMap<Uuid, u64>>);

impl ReplicaCounts {
    pub fn add(&mut self, membership: &Membership) {
        let counts = Arc::make_mut(&mut self.0);
        for id in &membership.directories {
            *counts.entry(*id).or_default() += 1;
        }
    }

    pub fn remove(&mut self, membership: &Membership) {
        let counts = Arc::make_mut(&mut self.0);
        for id in &membership.directories {
            let left = counts.get(id).map_or(0, |count| count - 1);
            if left > 0 {
                counts.insert(*id, left)
            } else {
                counts.remove(id)
            };
        }
    }

    fn of(&self, id: &Uuid) -> u64 {
        self.0.get(id).copied().unwrap_or(0)
    }
}

/// Chooses directories for new replicas, each with the fewest others.
pub(super) struct Chooser<'a> {
    image: &'a Image,
    /// By this request.
    chosen: HashMap<Uuid, u64>,
}

impl<'a> Chooser<'a> {
    pub fn new(image: &'a Image) -> Self {
        Self { image, chosen: HashMap::new() }
    }

    pub fn directory_on(&mut self, broker: i32) -> Uuid {
        let Some(broker) = self.image.broker(broker) else { return UNASSIGNED };
        let cordoned = broker.cordoned_directories.as_deref().unwrap_or_default();
        match broker.directories.as_slice() {
            [only] => *only,
            [] => MIGRATING,
            all => self.among(all.iter().filter(|id| !cordoned.contains(id))),
        }
    }

    fn among<'b>(&mut self, directories: impl Iterator<Item = &'b Uuid>) -> Uuid {
        let count = |id: &&Uuid| self.image.replica_counts.of(id) + self.chosen.get(id).copied().unwrap_or(0);
        let Some(id) = directories.min_by_key(count).copied() else { return UNASSIGNED };
        *self.chosen.entry(id).or_default() += 1;
        id
    }
}

/// What a broker that starts knows of its log directories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerDirectories {
    /// Those that it can use.
    pub online: Vec<Uuid>,
    /// Whether there are others.
    pub has_offline: bool,
    /// In which of them replicas are that nobody has told of, or that were elsewhere: by topic and partition.
    pub found: HashMap<(Uuid, i32), Uuid>,
}

impl BrokerDirectories {
    /// The broker that has it cannot serve the replica.
    pub(super) fn is_lost(&self, broker: i32, topic_id: Uuid, index: i32, partition: &Partition) -> bool {
        let is_offline = |id| !self.online.is_empty() && !self.online.contains(&id);
        partition.directory_on(broker).is_some_and(is_offline) && !self.found.contains_key(&(topic_id, index))
    }
}

impl Partition {
    /// The directory of a broker's replica; `None` when nobody has told it.
    pub fn directory_on(&self, broker: i32) -> Option<Uuid> {
        let at = self.membership.replicas.iter().position(|id| *id == broker)?;
        self.membership.directories.get(at).copied().filter(|id| ![MIGRATING, UNASSIGNED].contains(id))
    }
}

impl Image {
    /// Whether the broker's replica lies in a directory that it does not have any more.
    pub fn is_directory_offline(&self, partition: &Partition, broker: i32) -> bool {
        let known = self.broker(broker).map(|broker| broker.directories.as_slice()).unwrap_or_default();
        // A broker that names none is older than this.
        !known.is_empty() && partition.directory_on(broker).is_some_and(|id| !known.contains(&id))
    }
}

impl Controller {
    /// Log directories of a broker have failed: it no longer leads what lies in them.
    pub fn directories_offline(&self, broker_id: i32, offline: &[Uuid]) -> Outcome<()> {
        let Some(broker) = self.image.broker(broker_id) else { return Outcome::unchanged(()) };
        let (gone, left): (Vec<Uuid>, Vec<Uuid>) =
            broker.directories.iter().partition(|id| offline.contains(id));
        if gone.is_empty() {
            return Outcome::unchanged(());
        }
        let is_gone = |_: Uuid, _: i32, partition: &Partition| {
            partition.directory_on(broker_id).is_some_and(|id| gone.contains(&id))
        };
        let mut records = self.without_leader(broker_id, is_gone);
        let change = BrokerRegistrationChangeRecord {
            broker_id,
            broker_epoch: broker.epoch,
            log_dirs: left,
            ..Default::default()
        };
        records.push(change.into());
        Outcome { response: (), records }
    }

    /// The broker leads no more what it cannot reach. It stays the one who may lead it again.
    pub(super) fn without_leader(
        &self,
        broker: i32,
        is_gone: impl Fn(Uuid, i32, &Partition) -> bool,
    ) -> Vec<MetadataRecord> {
        let keeps_elr = self.image.is_elr_enabled();
        let led = self.replicas_of(broker).filter(|(_, _, partition)| partition.leader == broker);
        let gone = led.filter(|(topic_id, index, partition)| is_gone(*topic_id, *index, partition));
        let change = |(topic_id, partition_id, partition): (Uuid, i32, &Partition)| {
            let is_last = partition.membership.isr == [broker];
            let change = PartitionChangeRecord { partition_id, topic_id, leader: -1, ..Default::default() };
            MetadataRecord::from(match keeps_elr && is_last {
                true => PartitionChangeRecord {
                    isr: Some(Vec::new()),
                    eligible_leader_replicas: Some(vec![broker]),
                    last_known_elr: Some(vec![broker]),
                    ..change
                },
                false => change,
            })
        };
        gone.map(change).collect()
    }

    /// Says in which directories replicas are that were found, or that have nothing on a disk yet.
    pub(super) fn assign_directories(
        &self,
        broker: i32,
        directories: &BrokerDirectories,
    ) -> Vec<MetadataRecord> {
        let BrokerDirectories { online, has_offline, found } = directories;
        if online.is_empty() {
            return Vec::new();
        }
        let mut chooser = Chooser::new(&self.image);
        let mut records = Vec::new();
        for (topic_id, partition_id, partition) in self.replicas_of(broker) {
            let known = partition.directory_on(broker);
            let directory = match (found.get(&(topic_id, partition_id)), known) {
                (Some(directory), _) => *directory,
                (None, None) if !has_offline => chooser.among(online.iter()),
                // It stays where it is, or is in one that nobody can look into.
                (None, _) => continue,
            };
            let Membership { replicas, directories, .. } = &*partition.membership;
            let mut all = directories.clone();
            all.resize(replicas.len(), UNASSIGNED);
            for (id, _) in all.iter_mut().zip(replicas).filter(|(_, replica)| **replica == broker) {
                *id = directory;
            }
            if all != *directories {
                let change = PartitionChangeRecord {
                    partition_id,
                    topic_id,
                    directories: Some(all),
                    ..Default::default()
                };
                records.push(change.into());
            }
        }
        records
    }

    fn replicas_of(&self, broker: i32) -> impl Iterator<Item = (Uuid, i32, &Partition)> {
        let all = self.image.topics().flat_map(|topic| {
            (0..).zip(&topic.partitions).map(move |(index, partition)| (topic.id, index, partition))
        });
        all.filter(move |(_, _, partition)| partition.membership.replicas.contains(&broker))
    }
}
