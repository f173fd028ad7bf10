//! The controller's decisions in the words of the reference, and the one law of the state: live = replayed.

mod decisions;
mod directories;
mod golden;
mod replay;

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::protocol::StrBytes;
use ottla_protocol::record_formats::MetadataRecord;
use uuid::Uuid;

use super::*;

/// A controller with one broker, like a new single node.
struct World {
    controller: Controller,
    next_id: u128,
}

/// Knows one key, so that tests see that it is asked.
struct Rules;

impl ConfigRules for Rules {
    fn validate(
        &self,
        _resource: ResourceType,
        _name: &str,
        _previous: &Configs,
        altered: &Configs,
    ) -> Result<(), ConfigError> {
        let known = ["retention.ms", "cleanup.policy", "min.insync.replicas", "log.retention.ms"];
        match altered.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(ConfigError {
                kind: ConfigErrorKind::InvalidConfig,
                message: format!("Unknown topic config name: {key}"),
            }),
            None => Ok(()),
        }
    }

    fn is_list(&self, _resource: ResourceType, key: &str) -> bool {
        key == "cleanup.policy"
    }

    fn default_value(&self, _resource: ResourceType, key: &str) -> Option<String> {
        (key == "cleanup.policy").then(|| "delete".to_owned())
    }
}

const SETTINGS: CreateTopicsSettings =
    CreateTopicsSettings { num_partitions: 1, default_replication_factor: 1 };

impl World {
    fn new() -> Self {
        let mut world = World { controller: Controller::default(), next_id: 1000 };
        world.replay(bootstrap_records(feature_levels()));
        world.register(1);
        world
    }

    fn register(&mut self, broker_id: i32) -> i64 {
        let outcome = self.controller.register_broker(RegisterBroker {
            broker_id,
            incarnation_id: Uuid::from_u128(77),
            endpoints: vec![Endpoint {
                listener: text("PLAINTEXT"),
                host: text("localhost"),
                port: 9092,
                security_protocol: 0,
            }],
            rack: None,
            directories: online(&[500 + broker_id as u128]),
        });
        self.commit(outcome)
    }

    fn create(&mut self, topics: &[CreatableTopic]) -> TopicResults<CreatedTopic> {
        let outcome = self.decide_create(topics, false);
        self.commit(outcome)
    }

    fn decide_create(
        &mut self,
        topics: &[CreatableTopic],
        validate_only: bool,
    ) -> Outcome<TopicResults<CreatedTopic>> {
        let next_id = &mut self.next_id;
        let mut random = || {
            *next_id += 1;
            Uuid::from_u128(*next_id)
        };
        self.controller.create_topics(topics, validate_only, &SETTINGS, &Rules, &mut random)
    }

    fn commit<T>(&mut self, outcome: Outcome<T>) -> T {
        self.replay(outcome.records);
        outcome.response
    }

    fn replay(&mut self, records: Vec<MetadataRecord>) {
        for record in records {
            self.controller.replay_position(self.controller.next_offset(), 1);
            self.controller.replay(&record).expect("the record follows from the state");
        }
    }

    fn image(&self) -> &Image {
        self.controller.image()
    }
}

fn online(ids: &[u128]) -> BrokerDirectories {
    BrokerDirectories { online: ids.iter().map(|id| Uuid::from_u128(*id)).collect(), ..Default::default() }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic(name: &str, partitions: i32, replication_factor: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(TopicName(text(name)))
        .with_num_partitions(partitions)
        .with_replication_factor(replication_factor)
}

fn configured(name: &str, configs: &[(&str, Option<&str>)]) -> CreatableTopic {
    let config = |(key, value): &(&str, Option<&str>)| {
        CreatableTopicConfig::default().with_name(text(key)).with_value(value.map(text))
    };
    topic(name, -1, -1).with_configs(configs.iter().map(config).collect())
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    let assignment = |(index, brokers): &(i32, &[i32])| {
        CreatableReplicaAssignment::default()
            .with_partition_index(*index)
            .with_broker_ids(brokers.iter().map(|id| (*id).into()).collect())
    };
    topic(name, -1, -1).with_assignments(assignments.iter().map(assignment).collect())
}
