//! `offsets.retention.minutes`: offsets that nobody needs any more, and groups that are left without any.

use ottla_protocol::StrBytes;

use super::super::{
    ClassicGroup, CommittedOffset, Effect, GroupOutcome, GroupRecord, GroupShard, SoftChange, State, TimerKey,
};
use super::delete::tombstone;

/// From when on the retention of a group's offsets runs (KIP-211).
enum RetentionSince {
    /// The members left at that time.
    Time(i64),
    /// Each offset's own commit.
    Commit,
    /// The members may need them.
    Never,
}

impl GroupShard {
    /// Looks through all groups of the shard, and asks to be called again.
    pub(in super::super) fn expire_offsets(&self, now_ms: i64) -> GroupOutcome<()> {
        let mut outcome = GroupOutcome::answer(());
        for (group_id, group) in &self.live {
            self.expire_group(group_id, group, now_ms, &mut outcome);
        }
        outcome.effects.push(self.next_retention_check(now_ms));
        outcome
    }

    pub(in super::super) fn next_retention_check(&self, now_ms: i64) -> Effect {
        Effect::SetTimer(TimerKey::OffsetsRetention, now_ms + self.config.offsets_retention_check_interval_ms)
    }

    fn expire_group(
        &self,
        group_id: &StrBytes,
        group: &ClassicGroup,
        now_ms: i64,
        outcome: &mut GroupOutcome<()>,
    ) {
        let since = retention_since(group);
        let mut is_any_left = false;
        for (topic, partitions) in self.hard_state().offsets(group_id).into_iter().flatten() {
            let is_topic_kept = group.state != State::Empty && group.is_subscribed_to(topic);
            for (index, offset) in partitions {
                if !is_topic_kept && self.is_expired(offset, &since, now_ms) {
                    outcome.records.push(tombstone(group_id, topic, *index));
                } else {
                    is_any_left = true;
                }
            }
        }
        // Without members, offsets and members to come, nothing is left of the group.
        if !is_any_left && group.state == State::Empty && group.pending_joins.is_empty() {
            outcome.records.push(GroupRecord::Group { group_id: group_id.clone(), group: None });
            outcome.soft.push(SoftChange::Remove(group_id.clone()));
        }
    }

    fn is_expired(&self, offset: &CommittedOffset, since: &RetentionSince, now_ms: i64) -> bool {
        let since_ms = match since {
            RetentionSince::Never => return false,
            RetentionSince::Time(since_ms) => *since_ms,
            RetentionSince::Commit => offset.commit_timestamp_ms,
        };
        match offset.expire_timestamp_ms {
            Some(expire_timestamp_ms) => now_ms >= expire_timestamp_ms,
            None => now_ms - since_ms >= self.config.offsets_retention_ms,
        }
    }
}

fn retention_since(group: &ClassicGroup) -> RetentionSince {
    match group.state {
        _ if group.protocol_type.is_none() => RetentionSince::Commit,
        State::Empty => group.state_timestamp_ms.map_or(RetentionSince::Commit, RetentionSince::Time),
        State::Stable if group.is_consumer_protocol() && group.subscribed_topics.is_some() => {
            RetentionSince::Commit
        }
        State::Stable | State::PreparingRebalance | State::CompletingRebalance => RetentionSince::Never,
    }
}
