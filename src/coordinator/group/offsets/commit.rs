//! OffsetCommit: a member, or a consumer that is in no group, says how far it has read.

use ottla_protocol::StrBytes;

use super::super::classic::restart_session;
use super::super::commands::{Commit, CommitPartition, CommitTopic, TopicResults};
use super::super::hard::kept;
use super::super::{
    ClassicGroup, CommittedOffset, GroupError, GroupOutcome, GroupRecord, GroupShard, HardGroup, SoftChange,
    State,
};

impl GroupShard {
    /// OffsetCommit. The cost grows with the partitions committed, not with the group.
    pub fn commit(
        &self,
        commit: &Commit,
        now_ms: i64,
    ) -> GroupOutcome<Result<Vec<TopicResults>, GroupError>> {
        let group = self.group(&commit.group_id);
        if let Err(error) = self.check_commit(commit) {
            return GroupOutcome::answer(Err(error));
        }
        let mut outcome = GroupOutcome::answer(Ok(()));
        for topic in &commit.topics {
            for partition in &topic.partitions {
                if self.check_metadata(partition).is_ok() {
                    outcome.records.push(record(commit, topic, partition, now_ms));
                }
            }
        }
        match group {
            None if self.hard_state().has(&commit.group_id) => {}
            None => outcome.soft.push(new_simple_group(&commit.group_id, now_ms)),
            Some(group) => {
                let member = group.members.get(&commit.member_id);
                let is_session_kept = matches!(group.state, State::Stable | State::PreparingRebalance);
                let effect = member.filter(|_| is_session_kept);
                outcome
                    .effects
                    .extend(effect.map(|member| restart_session(&commit.group_id, member, now_ms)));
            }
        }
        outcome.map(|result| result.map(|()| self.results(&commit.topics)))
    }

    fn check_commit(&self, commit: &Commit) -> Result<(), GroupError> {
        let Commit { member_id, generation_id, api_version, .. } = commit;
        match self.hard_state().group(&commit.group_id) {
            Some(HardGroup::Consumer(group)) => {
                let claim = group.check_commit(member_id, *generation_id, *api_version)?;
                self.check_partitions(commit, |topic, index| claim.check(topic.topic_id, index))
            }
            Some(HardGroup::Streams(group)) => {
                let claim = group.check_commit(member_id, *generation_id, *api_version)?;
                self.check_partitions(commit, |topic, index| claim.check(&topic.name, index))
            }
            // How far a share group is, its share partitions' leaders say.
            Some(HardGroup::Share(_)) => Err(GroupError::GroupIdNotFound),
            _ => check_commit(commit, self.group(&commit.group_id)),
        }
    }

    /// Refuses all if one of the partitions that could be committed is not the member's.
    fn check_partitions(
        &self,
        commit: &Commit,
        check: impl Fn(&CommitTopic, i32) -> Result<(), GroupError>,
    ) -> Result<(), GroupError> {
        for topic in &commit.topics {
            let taken = topic.partitions.iter().filter(|partition| self.check_metadata(partition).is_ok());
            for partition in taken {
                check(topic, partition.index)?;
            }
        }
        Ok(())
    }

    pub(super) fn results(&self, topics: &[CommitTopic]) -> Vec<TopicResults> {
        let partition_result =
            |partition: &CommitPartition| (partition.index, self.check_metadata(partition));
        let topic_results = |topic: &CommitTopic| TopicResults {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: topic.partitions.iter().map(partition_result).collect(),
        };
        topics.iter().map(topic_results).collect()
    }

    pub(super) fn check_metadata(&self, partition: &CommitPartition) -> Result<(), GroupError> {
        // Kafka counts UTF-16 units, of which there are never more than bytes.
        let limit = self.config.offset_metadata_max_bytes;
        if partition.metadata.len() > limit && partition.metadata.encode_utf16().count() > limit {
            return Err(GroupError::OffsetMetadataTooLarge);
        }
        Ok(())
    }
}

/// Who may commit: a member of this generation, or anybody who claims no membership while there are no members.
fn check_commit(commit: &Commit, group: Option<&ClassicGroup>) -> Result<(), GroupError> {
    let Some(group) = group else {
        return match commit.generation_id {
            ..0 => Ok(()),
            0.. if commit.api_version >= 9 => Err(GroupError::GroupIdNotFound),
            0.. => Err(GroupError::IllegalGeneration),
        };
    };
    if commit.generation_id < 0 && group.state == State::Empty {
        return Ok(());
    }
    let claims_membership =
        commit.generation_id >= 0 || !commit.member_id.is_empty() || commit.group_instance_id.is_some();
    if claims_membership {
        group.check_member(&commit.member_id, commit.group_instance_id.as_ref())?;
        if commit.generation_id != group.generation {
            return Err(GroupError::IllegalGeneration);
        }
    } else if group.state != State::Empty {
        return Err(GroupError::UnknownMemberId);
    }
    if group.state == State::CompletingRebalance {
        // The member knows of this generation but has no assignment in it yet: it shall commit again after its sync.
        return Err(GroupError::RebalanceInProgress);
    }
    Ok(())
}

fn record(commit: &Commit, topic: &CommitTopic, partition: &CommitPartition, now_ms: i64) -> GroupRecord {
    GroupRecord::Offset {
        group_id: commit.group_id.clone(),
        topic: topic.name.clone(),
        partition: partition.index,
        offset: Some(offset(topic, partition, commit.retention_ms, now_ms)),
    }
}

pub(super) fn offset(
    topic: &CommitTopic,
    partition: &CommitPartition,
    retention_ms: Option<i64>,
    now_ms: i64,
) -> CommittedOffset {
    CommittedOffset {
        offset: partition.offset,
        leader_epoch: partition.leader_epoch,
        metadata: partition.metadata.clone(),
        commit_timestamp_ms: now_ms,
        expire_timestamp_ms: retention_ms.map(|retention_ms| now_ms.saturating_add(retention_ms)),
        topic_id: topic.topic_id,
    }
}

/// A consumer that is in no group but keeps its offsets here makes a group without members.
pub(super) fn new_simple_group(group_id: &StrBytes, now_ms: i64) -> SoftChange {
    SoftChange::Put(kept(group_id), Box::new(ClassicGroup::new(now_ms)))
}
