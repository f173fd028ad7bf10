//! Topics: created, grown, deleted. The words and the order of the checks are Kafka's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::protocol::StrBytes;
use ottla_protocol::record_formats::metadata::{
    ClearElrRecord, ConfigRecord, MetadataRecord, RemoveTopicRecord, TopicRecord,
};
use uuid::Uuid;

use super::configs::MIN_INSYNC_REPLICAS;
use super::controller::own;
use super::directories::Chooser;
use super::topic_names::validate_topic_name;
use super::{ConfigRules, Configs, Controller, Outcome, ResourceType, Topic};

/// Kafka's bound on one CreateTopics request.
pub const MAX_PARTITIONS_PER_REQUEST: i64 = 10_000;

/// Kafka's bound on what one request may write: its records are one batch, all or nothing.
pub const MAX_RECORDS_PER_REQUEST: usize = 10_000;

/// The log of the metadata itself; no client may make or remove it.
const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// What a topic gets that does not say (num.partitions, default.replication.factor).
#[derive(Debug, Clone, Copy)]
pub struct CreateTopicsSettings {
    pub num_partitions: i32,
    pub default_replication_factor: i16,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreatedTopic {
    pub id: Uuid,
    pub partitions: i32,
    pub replication_factor: i16,
    pub configs: Configs,
}

/// Why a topic was not created, grown or deleted; messages are the reference's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicError {
    AlreadyExists(String),
    InvalidName(String),
    InvalidRequest(String),
    InvalidPartitions(String),
    InvalidReplicationFactor(String),
    InvalidReplicaAssignment(String),
    InvalidConfig(String),
    /// More than one request may ask for.
    PolicyViolation(String),
    UnknownTopic,
    UnknownTopicId,
    /// More records than one request may write, where Kafka has no words for it.
    TooManyRecords,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TopicError::AlreadyExists(message)
            | TopicError::InvalidName(message)
            | TopicError::InvalidRequest(message)
            | TopicError::InvalidPartitions(message)
            | TopicError::InvalidReplicationFactor(message)
            | TopicError::InvalidReplicaAssignment(message)
            | TopicError::InvalidConfig(message)
            | TopicError::PolicyViolation(message) => message,
            TopicError::UnknownTopic => "there is no such topic",
            TopicError::UnknownTopicId => "there is no topic of this id",
            TopicError::TooManyRecords => "it needs more records than one request may write",
        })
    }
}

pub type TopicResults<T> = Vec<(StrBytes, Result<T, TopicError>)>;

/// A topic to delete, by the one or the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicToDelete {
    pub name: Option<StrBytes>,
    pub id: Uuid,
}

/// What became of it: its name and id as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedTopic {
    pub name: Option<StrBytes>,
    pub id: Uuid,
    pub result: Result<(), TopicError>,
}

impl Controller {
    /// CreateTopics, and what auto-creation uses. `random` gives the topics' ids. The answers stand in the request's
    /// order, with names that were asked for twice at the end, as Kafka has them.
    pub fn create_topics(
        &self,
        topics: &[CreatableTopic],
        validate_only: bool,
        settings: &CreateTopicsSettings,
        rules: &dyn ConfigRules,
        random: &mut dyn FnMut() -> Uuid,
    ) -> Outcome<TopicResults<CreatedTopic>> {
        if total_partitions(topics, settings) > MAX_PARTITIONS_PER_REQUEST {
            let error = "Excessively large number of partitions per request.";
            return refuse_all(topics.iter(), TopicError::PolicyViolation(error.into()));
        }
        let (topics, mut refused) = without_refused_names(topics);
        let mut chooser = Chooser::new(&self.image);
        let mut records = Vec::new();
        let mut results = Vec::with_capacity(topics.len() + refused.len());
        for topic in &topics {
            let result = self.create_topic(topic, settings, rules, random, &mut chooser, &mut records);
            results.push((topic.name.0.clone(), result));
        }
        if records.len() > MAX_RECORDS_PER_REQUEST {
            let error = "Unable to perform excessively large batch operation.";
            return refuse_all(topics.into_iter(), TopicError::PolicyViolation(error.into()));
        }
        results.append(&mut refused);
        if validate_only {
            records.clear();
        }
        Outcome { response: results, records }
    }

    /// DeleteTopics. What is asked for twice is refused once and not deleted.
    pub fn delete_topics(&self, topics: &[TopicToDelete]) -> Outcome<Vec<DeletedTopic>> {
        let mut times: BTreeMap<(Option<&str>, Uuid), usize> = BTreeMap::new();
        for topic in topics {
            *times.entry((topic.name.as_deref(), topic.id)).or_default() += 1;
        }
        let ids: BTreeSet<Uuid> = topics.iter().filter(|t| t.name.is_none()).map(|t| t.id).collect();
        let (mut named, mut records, mut results) = (BTreeSet::new(), Vec::new(), Vec::new());
        for topic in topics {
            let times = times.get_mut(&(topic.name.as_deref(), topic.id)).expect("counted above");
            let duplicate = match (&topic.name, topic.id.is_nil()) {
                (Some(_), true) => "Duplicate topic name.",
                (None, false) => "Duplicate topic id.",
                // Wrong in itself, and said so each time.
                _ => {
                    results.push(self.delete_topic(topic, &mut records));
                    continue;
                }
            };
            if *times != 1 {
                if std::mem::take(times) > 0 {
                    results.push(refuse(topic.name.clone(), topic.id, duplicate));
                }
                continue;
            }
            let id = topic.name.as_ref().and_then(|name| self.image.topic_id(name));
            match id.filter(|id| ids.contains(id)) {
                Some(id) => {
                    let why = "The provided topic name maps to an ID that was already supplied.";
                    named.insert(id);
                    results.push(refuse(topic.name.clone(), id, why));
                }
                None => results.push(self.delete_topic(topic, &mut records)),
            }
        }
        // One answer, and no deletion, for what was named both ways.
        results.retain(|deleted| deleted.result.is_err() || !named.contains(&deleted.id));
        records.retain(
            |record| !matches!(record, MetadataRecord::RemoveTopic(r) if named.contains(&r.topic_id)),
        );
        if records.len() > MAX_RECORDS_PER_REQUEST {
            for deleted in results.iter_mut().filter(|deleted| deleted.result.is_ok()) {
                deleted.result = Err(TopicError::TooManyRecords);
            }
            records.clear();
        }
        Outcome { response: results, records }
    }

    /// CreatePartitions. Each topic fits into one request's records or is refused alone.
    pub fn create_partitions(
        &self,
        topics: &[CreatePartitionsTopic],
        validate_only: bool,
        random: &mut dyn FnMut() -> Uuid,
    ) -> Outcome<TopicResults<()>> {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for topic in topics {
            *times.entry(&topic.name).or_default() += 1;
        }
        let mut records = Vec::new();
        let mut results = Vec::new();
        for (name, _) in times.iter().filter(|(_, times)| **times > 1) {
            let error = TopicError::InvalidRequest("Duplicate topic name.".into());
            results.push((StrBytes::from_string((*name).to_owned()), Err(error)));
        }
        let mut chooser = Chooser::new(&self.image);
        for topic in topics.iter().filter(|topic| times[&**topic.name] == 1) {
            let result = self.grow_topic(topic, random, &mut chooser, &mut records);
            results.push((topic.name.0.clone(), result));
        }
        if validate_only {
            records.clear();
        }
        Outcome { response: results, records }
    }

    fn create_topic(
        &self,
        topic: &CreatableTopic,
        settings: &CreateTopicsSettings,
        rules: &dyn ConfigRules,
        random: &mut dyn FnMut() -> Uuid,
        chooser: &mut Chooser<'_>,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<CreatedTopic, TopicError> {
        let name = &topic.name;
        validate_topic_name(name).map_err(|invalid| TopicError::InvalidName(invalid.message(name)))?;
        if self.image.topic_id(name).is_some() {
            return Err(TopicError::AlreadyExists(format!("Topic '{}' already exists.", name.as_str())));
        }
        if let Some(other) = self.image.colliding(name) {
            let message = format!("Topic '{}' collides with existing topic: {other}", name.as_str());
            return Err(TopicError::InvalidName(message));
        }
        let configs = creation_configs(topic, rules)?;
        let assignments = self.assignments(topic, settings, random)?;

        let id = random();
        let created = CreatedTopic {
            id,
            partitions: i32::try_from(assignments.len())
                .expect("a request holds fewer partitions than an i32"),
            replication_factor: assignments.first().map_or(0, |replicas| replicas.len() as i16),
            configs,
        };
        records.push(TopicRecord { name: own(name), topic_id: id }.into());
        push_config_records(name, &created.configs, records);
        if self.image.is_elr_enabled() && created.configs.contains_key(MIN_INSYNC_REPLICAS) {
            records.push(ClearElrRecord { topic_name: own(name) }.into());
        }
        for (index, replicas) in (0..).zip(assignments) {
            records.push(self.new_partition(id, index, replicas, chooser).into());
        }
        Ok(created)
    }

    fn delete_topic(&self, topic: &TopicToDelete, records: &mut Vec<MetadataRecord>) -> DeletedTopic {
        let found = match &topic.name {
            Some(_) if !topic.id.is_nil() => {
                Err(TopicError::InvalidRequest("You may not specify both topic name and topic id.".into()))
            }
            None if topic.id.is_nil() => {
                Err(TopicError::InvalidRequest("Neither topic name nor id were specified.".into()))
            }
            Some(name) => self.image.topic(name).ok_or(TopicError::UnknownTopic),
            None => self.image.topic_by_id(&topic.id).ok_or(TopicError::UnknownTopicId),
        };
        match found {
            Ok(found) => {
                records.push(RemoveTopicRecord { topic_id: found.id }.into());
                DeletedTopic { name: Some(found.name.clone()), id: found.id, result: Ok(()) }
            }
            Err(error) => DeletedTopic { name: topic.name.clone(), id: topic.id, result: Err(error) },
        }
    }

    fn grow_topic(
        &self,
        request: &CreatePartitionsTopic,
        random: &mut dyn FnMut() -> Uuid,
        chooser: &mut Chooser<'_>,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<(), TopicError> {
        let topic = self.image.topic(&request.name).ok_or(TopicError::UnknownTopic)?;
        let additional = additional_partitions(topic, request)?;
        if records.len() + additional as usize > MAX_RECORDS_PER_REQUEST {
            return Err(TopicError::TooManyRecords);
        }
        let replication_factor = topic.partitions.first().map_or(1, |first| first.membership.replicas.len());
        let assignments = match &request.assignments {
            None => self.place(additional, replication_factor as i16, random)?,
            Some(manual) => {
                let mut assignments = Vec::with_capacity(manual.len());
                for (index, assignment) in (topic.partition_count()..).zip(manual) {
                    let replicas: Vec<i32> = assignment.broker_ids.iter().map(|broker| broker.0).collect();
                    self.check_assignment(&replicas, Some(replication_factor))?;
                    self.check_active(&replicas, index)?;
                    assignments.push(replicas);
                }
                assignments
            }
        };
        for (index, replicas) in (topic.partition_count()..).zip(assignments) {
            records.push(self.new_partition(topic.id, index, replicas, chooser).into());
        }
        Ok(())
    }
}

fn refuse(name: Option<StrBytes>, id: Uuid, why: &str) -> DeletedTopic {
    DeletedTopic { name, id, result: Err(TopicError::InvalidRequest(why.into())) }
}

fn refuse_all<'a>(
    topics: impl Iterator<Item = &'a CreatableTopic>,
    error: TopicError,
) -> Outcome<TopicResults<CreatedTopic>> {
    Outcome::unchanged(topics.map(|topic| (topic.name.0.clone(), Err(error.clone()))).collect())
}

/// Names that occur twice, and the metadata log's own, never reach the other checks.
fn without_refused_names(topics: &[CreatableTopic]) -> (Vec<&CreatableTopic>, TopicResults<CreatedTopic>) {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for topic in topics {
        *times.entry(&topic.name).or_default() += 1;
    }
    let mut refused = Vec::new();
    for (name, times) in &times {
        let message = if *name == CLUSTER_METADATA_TOPIC {
            format!("Creation of internal topic {CLUSTER_METADATA_TOPIC} is prohibited.")
        } else if *times > 1 {
            "Duplicate topic name.".into()
        } else {
            continue;
        };
        refused.push((StrBytes::from_string((*name).to_owned()), Err(TopicError::InvalidRequest(message))));
    }
    let kept =
        topics.iter().filter(|topic| times[&**topic.name] == 1 && &**topic.name != CLUSTER_METADATA_TOPIC);
    (kept.collect(), refused)
}

fn total_partitions(topics: &[CreatableTopic], settings: &CreateTopicsSettings) -> i64 {
    let partitions = |topic: &CreatableTopic| match topic.num_partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len() as i64,
        -1 => i64::from(settings.num_partitions),
        wanted => i64::from(wanted.max(0)),
    };
    topics.iter().map(partitions).sum()
}

/// The last of several values for a key counts, as in Kafka.
fn creation_configs(topic: &CreatableTopic, rules: &dyn ConfigRules) -> Result<Configs, TopicError> {
    let nulls: Vec<&str> = topic
        .configs
        .iter()
        .filter(|config| config.value.is_none())
        .map(|config| config.name.as_str())
        .collect();
    if !nulls.is_empty() {
        let message = format!("Null value not supported for topic configs: {}", nulls.join(","));
        return Err(TopicError::InvalidConfig(message));
    }
    let with_values = topic
        .configs
        .iter()
        .filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())));
    let configs: Configs = with_values.collect();
    if !configs.is_empty() {
        rules
            .validate(ResourceType::Topic, &topic.name, &Configs::new(), &configs)
            .map_err(|error| TopicError::InvalidConfig(error.message))?;
    }
    Ok(configs)
}

fn push_config_records(topic: &StrBytes, configs: &Configs, records: &mut Vec<MetadataRecord>) {
    for (name, value) in configs {
        let record = ConfigRecord {
            resource_type: ResourceType::Topic.id(),
            resource_name: own(topic),
            name: StrBytes::from_string(name.clone()),
            value: Some(StrBytes::from_string(value.clone())),
        };
        records.push(record.into());
    }
}

fn additional_partitions(topic: &Topic, request: &CreatePartitionsTopic) -> Result<i32, TopicError> {
    let have = topic.partition_count();
    if request.count == have {
        return Err(TopicError::InvalidPartitions(format!("Topic already has {have} partition(s).")));
    }
    if request.count < have {
        return Err(TopicError::InvalidPartitions(format!(
            "The topic {} currently has {have} partition(s); {} would not be an increase.",
            topic.name, request.count
        )));
    }
    let additional = request.count - have;
    match &request.assignments {
        Some(manual) if manual.len() != additional as usize => {
            Err(TopicError::InvalidReplicaAssignment(format!(
                "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                manual.len()
            )))
        }
        _ => Ok(additional),
    }
}
