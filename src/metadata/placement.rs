//! Which brokers hold a partition: those that the request names, or the next in turn.

use std::collections::BTreeMap;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::record_formats::metadata::PartitionRecord;
use uuid::Uuid;

use super::directories::Chooser;
use super::{Controller, CreateTopicsSettings, TopicError};

impl Controller {
    /// The replicas of each partition that a new topic is to have.
    pub(super) fn assignments(
        &self,
        topic: &CreatableTopic,
        settings: &CreateTopicsSettings,
        random: &mut dyn FnMut() -> Uuid,
    ) -> Result<Vec<Vec<i32>>, TopicError> {
        if !topic.assignments.is_empty() {
            return self.manual_assignments(topic);
        }
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            let message = "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(TopicError::InvalidReplicationFactor(message.into()));
        }
        if topic.num_partitions < -1 || topic.num_partitions == 0 {
            let message = "Number of partitions was set to an invalid non-positive value.";
            return Err(TopicError::InvalidPartitions(message.into()));
        }
        let partitions =
            if topic.num_partitions == -1 { settings.num_partitions } else { topic.num_partitions };
        let replication_factor = match topic.replication_factor {
            -1 => settings.default_replication_factor,
            factor => factor,
        };
        self.place(partitions, replication_factor, random)
    }

    fn manual_assignments(&self, topic: &CreatableTopic) -> Result<Vec<Vec<i32>>, TopicError> {
        if topic.replication_factor != -1 {
            let message =
                "A manual partition assignment was specified, but replication factor was not set to -1.";
            return Err(TopicError::InvalidRequest(message.into()));
        }
        if topic.num_partitions != -1 {
            let message = "A manual partition assignment was specified, but numPartitions was not set to -1.";
            return Err(TopicError::InvalidRequest(message.into()));
        }
        let mut assigned: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        let mut replication_factor = None;
        for assignment in &topic.assignments {
            let index = assignment.partition_index;
            if assigned.contains_key(&index) {
                let message = format!("Found multiple manual partition assignments for partition {index}");
                return Err(TopicError::InvalidReplicaAssignment(message));
            }
            let replicas: Vec<i32> = assignment.broker_ids.iter().map(|broker| broker.0).collect();
            self.check_assignment(&replicas, replication_factor)?;
            replication_factor = Some(replicas.len());
            self.check_active(&replicas, index)?;
            assigned.insert(index, replicas);
        }
        if assigned.keys().copied().ne(0..assigned.len() as i32) {
            let message = "partitions should be a consecutive 0-based integer sequence";
            return Err(TopicError::InvalidReplicaAssignment(message.into()));
        }
        Ok(assigned.into_values().collect())
    }

    pub(super) fn check_assignment(
        &self,
        replicas: &[i32],
        replication_factor: Option<usize>,
    ) -> Result<(), TopicError> {
        let invalid = |message: String| Err(TopicError::InvalidReplicaAssignment(message));
        if replicas.is_empty() {
            return invalid("The manual partition assignment includes an empty replica list.".into());
        }
        let mut sorted = replicas.to_vec();
        sorted.sort_unstable();
        for (position, id) in sorted.iter().enumerate() {
            if position > 0 && sorted[position - 1] == *id {
                return invalid(format!(
                    "The manual partition assignment includes the broker {id} more than once."
                ));
            }
            if self.image.broker(*id).is_none() {
                return invalid(format!(
                    "The manual partition assignment includes broker {id}, but no such broker is registered."
                ));
            }
        }
        match replication_factor {
            Some(expected) if expected != replicas.len() => invalid(format!(
                "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
                 with previous partitions, which have {expected} replica(s).",
                replicas.len()
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn check_active(&self, replicas: &[i32], index: i32) -> Result<(), TopicError> {
        if replicas.iter().any(|id| self.is_active(*id)) {
            return Ok(());
        }
        Err(TopicError::InvalidReplicaAssignment(format!(
            "All brokers specified in the manual partition assignment for partition {index} are fenced or in controlled \
             shutdown."
        )))
    }

    /// Spreads replicas over the brokers in turn, beginning anywhere; those that are fenced hold copies but come last.
    pub(super) fn place(
        &self,
        partitions: i32,
        replication_factor: i16,
        random: &mut dyn FnMut() -> Uuid,
    ) -> Result<Vec<Vec<i32>>, TopicError> {
        let wanted = usize::try_from(replication_factor).unwrap_or(0);
        let (active, fenced): (Vec<i32>, Vec<i32>) =
            self.image.brokers().map(|broker| broker.id).partition(|id| self.is_active(*id));
        let refuse = |why: String| {
            Err(TopicError::InvalidReplicationFactor(format!(
                "Unable to replicate the partition {replication_factor} time(s): {why}"
            )))
        };
        if active.is_empty() {
            return refuse("All brokers are currently fenced.".into());
        }
        if wanted > active.len() + fenced.len() {
            return refuse(format!(
                "The target replication factor of {replication_factor} cannot be reached because only {} broker(s) are \
                 registered or some brokers have all their log directories cordoned.",
                active.len() + fenced.len()
            ));
        }
        let start = if active.len() == 1 { 0 } else { random().as_u128() as usize % active.len() };
        let placed = (0..partitions as usize).map(|partition| {
            let first = start + partition;
            let leaders = (0..active.len()).map(|i| active[(first + i) % active.len()]);
            leaders.chain(fenced.iter().copied()).take(wanted).collect()
        });
        Ok(placed.collect())
    }

    pub(super) fn new_partition(
        &self,
        topic_id: Uuid,
        index: i32,
        replicas: Vec<i32>,
        chooser: &mut Chooser<'_>,
    ) -> PartitionRecord {
        let isr: Vec<i32> = replicas.iter().copied().filter(|id| self.is_active(*id)).collect();
        PartitionRecord {
            partition_id: index,
            topic_id,
            leader: isr.first().copied().unwrap_or(-1),
            leader_epoch: 0,
            partition_epoch: 0,
            directories: replicas.iter().map(|id| chooser.directory_on(*id)).collect(),
            replicas,
            isr,
            ..Default::default()
        }
    }

    fn is_active(&self, broker: i32) -> bool {
        self.image.broker(broker).is_some_and(|broker| broker.is_active())
    }
}
