//! What the metadata log says, as one immutable value.
//!
//! Maps are persistent: a copy costs a few pointers, so a new image can be published after every change however many
//! topics there are. A partition is 24 bytes in its topic's table; what is long (replicas, ISR, directories) is shared
//! by all partitions of which it is true.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::{HashMap, OrdMap, OrdSet};
use kafka_protocol::protocol::StrBytes;
use ottla_protocol::record_formats::MetadataRecord;
use uuid::Uuid;

use super::ResourceType;
use super::directories::ReplicaCounts;
use super::topic_names::{collision_key, may_collide};

/// No topic has more: what a corrupt record may make a replay allocate ends here.
pub(super) const MAX_PARTITIONS_PER_TOPIC: i32 = 1 << 20;

/// A resource's configuration as it was altered, without defaults.
pub type Configs = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// The offset of the last record that is in this image; -1 before the first.
    pub offset: i64,
    /// The leader epoch of the metadata log's last record.
    pub epoch: i32,
    /// The node whose controller is active; -1 before the first.
    pub controller_id: i32,
    /// The quorum's own feature level, which stands in the log's control records.
    pub kraft_version: i16,
    /// The first producer id that no block has yet.
    pub next_producer_id: i64,
    pub(super) ids: OrdMap<StrBytes, Uuid>,
    pub(super) topics: HashMap<Uuid, Arc<Topic>>,
    /// Names as metrics spell them, of those topics whose name has a dot or an underscore.
    pub(super) collisions: HashMap<String, OrdSet<StrBytes>>,
    pub(super) configs: HashMap<(ResourceType, StrBytes), Arc<Configs>>,
    pub(super) brokers: OrdMap<i32, Arc<Broker>>,
    pub(super) features: OrdMap<StrBytes, i16>,
    /// Records of kinds that nobody here reads yet, kept for the next snapshot, by what they replace.
    pub(super) others: OrdMap<String, Arc<MetadataRecord>>,
    /// The memberships that were seen last: a broker's directories take turns.
    pub(super) usual_memberships: UsualMemberships,
    pub(super) replica_counts: ReplicaCounts,
}

/// The newest first. What it holds says nothing of the metadata.
#[derive(Debug, Clone, Default)]
pub(super) struct UsualMemberships(Vec<Arc<Membership>>);

impl PartialEq for UsualMemberships {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

const USUAL_MEMBERSHIPS_MAX: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub name: StrBytes,
    pub id: Uuid,
    /// By partition index.
    pub partitions: Vec<Partition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// A node id; -1 when there is no leader.
    pub leader: i32,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
    /// After an unclean election, until the leader has recovered.
    pub recovering: bool,
    pub membership: Arc<Membership>,
}

/// Who holds a partition, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    /// In the order of preference.
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    /// KIP-966.
    pub eligible_leader_replicas: Vec<i32>,
    pub last_known_elr: Vec<i32>,
    pub adding_replicas: Vec<i32>,
    pub removing_replicas: Vec<i32>,
    /// KIP-858: the log directory on each of `replicas`.
    pub directories: Vec<Uuid>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    pub id: i32,
    /// The offset of its registration.
    pub epoch: i64,
    pub incarnation_id: Uuid,
    pub endpoints: Vec<Endpoint>,
    /// Name, lowest and highest level that it supports.
    pub features: Vec<(StrBytes, i16, i16)>,
    pub rack: Option<StrBytes>,
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
    pub directories: Vec<Uuid>,
    pub cordoned_directories: Option<Vec<Uuid>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub listener: StrBytes,
    pub host: StrBytes,
    pub port: u16,
    /// Kafka's id of the protocol: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// A record that cannot follow those before it: the log is damaged, or not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayError {
    UnknownTopic(Uuid),
    UnknownPartition(Uuid, i32),
    UnknownBroker(i32),
    InvalidPartition(Uuid, i32),
    InvalidResourceType(i8),
}

impl std::fmt::Display for ReplayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReplayError::UnknownTopic(id) => write!(f, "a record of topic {id}, which does not exist"),
            ReplayError::UnknownPartition(id, index) => {
                write!(f, "a record of partition {index} of topic {id}, which does not exist")
            }
            ReplayError::UnknownBroker(id) => write!(f, "a record of broker {id}, which is not registered"),
            ReplayError::InvalidPartition(id, index) => {
                write!(f, "topic {id} cannot have a partition numbered {index}")
            }
            ReplayError::InvalidResourceType(id) => write!(f, "a configuration of resource type {id}"),
        }
    }
}

impl std::error::Error for ReplayError {}

impl Default for Image {
    fn default() -> Self {
        Image {
            offset: -1,
            epoch: 0,
            controller_id: -1,
            kraft_version: 0,
            next_producer_id: 0,
            ids: OrdMap::new(),
            topics: HashMap::new(),
            collisions: HashMap::new(),
            configs: HashMap::new(),
            brokers: OrdMap::new(),
            features: OrdMap::new(),
            others: OrdMap::new(),
            usual_memberships: UsualMemberships::default(),
            replica_counts: ReplicaCounts::default(),
        }
    }
}

impl Image {
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topic_by_id(&self.topic_id(name)?)
    }

    pub fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.ids.get(name.as_bytes()).copied()
    }

    pub fn topic_by_id(&self, id: &Uuid) -> Option<&Arc<Topic>> {
        self.topics.get(id)
    }

    pub fn partition(&self, topic: &Uuid, index: i32) -> Option<&Partition> {
        self.topics.get(topic)?.partition(index)
    }

    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.ids.values().filter_map(|id| self.topics.get(id))
    }

    /// The topics whose names are `name` or come after it, by name.
    pub fn topics_from(&self, name: &str) -> impl Iterator<Item = &Arc<Topic>> {
        let from = StrBytes::from_string(name.to_owned());
        self.ids.range(from..).filter_map(|(_, id)| self.topics.get(id))
    }

    /// What was altered of a resource; the empty name is the default of all brokers.
    pub fn configs(&self, resource: ResourceType, name: &str) -> Option<&Arc<Configs>> {
        self.configs.get(&(resource, StrBytes::from_string(name.to_owned())))
    }

    /// The names of all resources of a type that have something altered, in no order.
    pub fn configured(&self, resource: ResourceType) -> impl Iterator<Item = &StrBytes> {
        self.configs.keys().filter(move |(kind, _)| *kind == resource).map(|(_, name)| name)
    }

    pub fn broker(&self, id: i32) -> Option<&Arc<Broker>> {
        self.brokers.get(&id)
    }

    /// All registered brokers, by id.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<Broker>> {
        self.brokers.values()
    }

    /// The finalized level of a feature; `None` is what Kafka calls level 0.
    pub fn feature(&self, name: &str) -> Option<i16> {
        self.features.get(name.as_bytes()).copied()
    }

    pub fn features(&self) -> impl Iterator<Item = (&StrBytes, i16)> {
        self.features.iter().map(|(name, level)| (name, *level))
    }

    /// A topic whose name metrics could not tell from `name`.
    pub(super) fn colliding(&self, name: &str) -> Option<&StrBytes> {
        if !may_collide(name) {
            return None;
        }
        self.collisions.get(collision_key(name).as_ref())?.get_min()
    }

    /// The shared copy of a membership, when it is the usual one.
    pub(super) fn shared(&mut self, membership: Membership) -> Arc<Membership> {
        let usual = &mut self.usual_memberships.0;
        match usual.iter().position(|known| **known == membership) {
            Some(at) => usual[..=at].rotate_right(1),
            None => {
                usual.truncate(USUAL_MEMBERSHIPS_MAX - 1);
                usual.insert(0, Arc::new(membership));
            }
        }
        Arc::clone(&usual[0])
    }
}

impl Topic {
    /// `None` also for an index at which nothing was created.
    pub fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index).ok()?).filter(|partition| partition.exists())
    }

    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).expect("replay bounds the number of partitions")
    }
}

impl Partition {
    /// What stands at an index until its record has been replayed.
    pub(super) fn absent() -> Self {
        Partition {
            leader: -1,
            leader_epoch: -1,
            partition_epoch: -1,
            recovering: false,
            membership: Arc::default(),
        }
    }

    pub(super) fn exists(&self) -> bool {
        self.partition_epoch >= 0
    }
}

impl Broker {
    /// Whether it may be given partitions to lead.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| &*endpoint.listener == listener)
    }
}
