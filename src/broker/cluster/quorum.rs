//! What the metadata log's control records say of its quorum (KIP-853): kraft.version and the voters. Who takes a
//! directory over leaves it as it is, so that Kafka finds its own quorum when it comes back.

use kafka_protocol::protocol::StrBytes;
use ottla_protocol::record_formats::ControlRecord;
use ottla_protocol::record_formats::control::leader_change_message::Voter as LeaderVoter;
use ottla_protocol::record_formats::control::voters_record::{Endpoint, KRaftVersionFeature, Voter};
use ottla_protocol::record_formats::control::{KRaftVersionRecord, LeaderChangeMessage, VotersRecord};
use ottla_protocol::record_formats::metadata::RegisterControllerRecord;
use ottla_protocol::record_formats::metadata::register_controller_record::{
    ControllerEndpoint, ControllerFeature,
};

use super::{Identity, random_kafka_id};
use crate::metadata::FEATURES;

/// KRaft must have the address of a controller. Nothing listens there: this controller has no quorum to talk to.
const CONTROLLER_LISTENER: &str = "CONTROLLER";
const CONTROLLER_HOST: &str = "localhost";
const CONTROLLER_PORT: u16 = 9093;

/// As far as the log has been read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Quorum {
    /// `None` when the log says nothing: then it is 0, and the voters stand in Kafka's configuration.
    pub kraft_version: Option<KRaftVersionRecord>,
    pub voters: Option<VotersRecord>,
    /// Whom the last leader knew as voters.
    pub leader_voters: Vec<i32>,
}

impl Quorum {
    /// This node alone, by the newest rules: so that Kafka can open the directory without being told of a voter.
    pub fn of_one(identity: &Identity) -> Self {
        let voter = Voter {
            voter_id: identity.node_id,
            voter_directory_id: identity.metadata_directory_id,
            endpoints: vec![Endpoint {
                name: StrBytes::from_static_str(CONTROLLER_LISTENER),
                host: StrBytes::from_static_str(CONTROLLER_HOST),
                port: CONTROLLER_PORT,
            }],
            k_raft_version_feature: KRaftVersionFeature {
                min_supported_version: 0,
                max_supported_version: 1,
            },
        };
        Quorum {
            kraft_version: Some(KRaftVersionRecord { version: 0, k_raft_version: 1 }),
            voters: Some(VotersRecord { version: 0, voters: vec![voter] }),
            leader_voters: Vec::new(),
        }
    }

    pub fn replay(&mut self, record: &ControlRecord) {
        match record {
            ControlRecord::KRaftVersion(version) => self.kraft_version = Some(version.clone()),
            ControlRecord::KRaftVoters(voters) => self.voters = Some(voters.clone()),
            ControlRecord::LeaderChange(change) => {
                self.leader_voters = change.voters.iter().map(|voter| voter.voter_id).collect();
            }
            _ => {}
        }
    }

    pub fn kraft_version(&self) -> i16 {
        self.kraft_version.as_ref().map_or(0, |record| record.k_raft_version)
    }

    /// What a snapshot says of it, and the first batch of a new log.
    pub fn records(&self) -> Vec<ControlRecord> {
        let version = self.kraft_version.clone().map(ControlRecord::KRaftVersion);
        version.into_iter().chain(self.voters.clone().map(ControlRecord::KRaftVoters)).collect()
    }

    /// The ids of all voters, from wherever they are known.
    pub fn voter_ids(&self) -> Vec<i32> {
        match &self.voters {
            Some(record) => record.voters.iter().map(|voter| voter.voter_id).collect(),
            None => self.leader_voters.clone(),
        }
    }
}

/// What a new leader says first.
pub(super) fn leader_change(node_id: i32) -> LeaderChangeMessage {
    let voter = || LeaderVoter { voter_id: node_id, ..Default::default() };
    LeaderChangeMessage {
        version: 0,
        leader_id: node_id,
        voters: vec![voter()],
        granting_voters: vec![voter()],
    }
}

/// What the controller of a new log says of itself.
pub(super) fn register_controller(node_id: i32) -> RegisterControllerRecord {
    RegisterControllerRecord {
        controller_id: node_id,
        incarnation_id: random_kafka_id(),
        zk_migration_ready: false,
        end_points: vec![ControllerEndpoint {
            name: StrBytes::from_static_str(CONTROLLER_LISTENER),
            host: StrBytes::from_static_str(CONTROLLER_HOST),
            port: CONTROLLER_PORT,
            security_protocol: 0,
        }],
        features: FEATURES
            .iter()
            .map(|feature| ControllerFeature {
                name: StrBytes::from_static_str(feature.name),
                min_supported_version: feature.min_level,
                max_supported_version: feature.max_level,
            })
            .collect(),
    }
}
