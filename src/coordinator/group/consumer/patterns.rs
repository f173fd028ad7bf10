//! Subscriptions by regular expression: which topics they are, is found out here and kept in the log.
//!
//! Expressions are resolved all together, apart from the heartbeat that asks for it and not more often than every ten
//! seconds: when there is a new one, when the cluster's topics may have changed, and else in the interval configured.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;

use super::super::metadata_hash::metadata_hash;
use super::super::{
    Effect, GroupError, GroupOutcome, GroupRecord, GroupShard, Refusal, SoftChange, TimerKey,
};
use super::heartbeat::Decision;
use super::{
    ConsumerConfig, ConsumerGroup, ConsumerRecord, GroupEpoch, MemberMetadata, RefreshCheck, ResolvedPattern,
};
use crate::coordinator::ClusterView;
use crate::coordinator::pattern::NamePattern;

/// What a heartbeat did to its member's regular expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PatternUpdate {
    Unchanged,
    /// It has another, whose topics are not known yet.
    Unresolved,
    /// It has another whose topics are known, or none any more.
    Resolved,
}

impl Decision<'_> {
    pub(super) fn update_patterns(
        &mut self,
        before: &MemberMetadata,
        after: &MemberMetadata,
    ) -> Result<PatternUpdate, Refusal> {
        let mut update = PatternUpdate::Unchanged;
        let mut is_new = false;
        if before.regex() != after.regex() {
            for regex in self.group.abandoned_regexes(&[before], Some(after)) {
                self.record(ConsumerRecord::Pattern(regex.clone(), None));
            }
            update = match after.regex() {
                None => PatternUpdate::Resolved,
                Some(regex) if self.group.pattern(regex).is_some() => PatternUpdate::Resolved,
                Some(_) => PatternUpdate::Unresolved,
            };
            if let Some(regex) = after.regex().filter(|regex| self.group.regex_members(regex) == 0) {
                check_regex(regex)?;
                is_new = true;
            }
        }
        if is_new || self.group.has_regexes() {
            self.schedule_resolution(is_new);
        }
        Ok(update)
    }

    /// Has the group's regular expressions resolved, if that is due, once this heartbeat is in the log.
    fn schedule_resolution(&mut self, is_new: bool) {
        let (version, last_ms) = last_resolution(self.group);
        let refresh_ms = last_ms.saturating_add(self.shard.config.consumer.regex_refresh_interval_ms);
        let is_due = is_new
            || version != Some(self.view.version())
            || self.group.regexes().any(|regex| self.group.pattern(regex).is_none())
            || self.now_ms > refresh_ms;
        if is_due {
            let earliest_ms = last_ms.saturating_add(ConsumerConfig::REGEX_MIN_INTERVAL_MS);
            let key = TimerKey::TopicPatterns { group_id: self.group_id.clone() };
            self.outcome.effects.push(Effect::SetTimer(key, self.now_ms.max(earliest_ms)));
        }
    }
}

impl GroupShard {
    /// Resolves the regular expressions of a group.
    pub(in super::super) fn resolve_topic_patterns(
        &self,
        group_id: &StrBytes,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> GroupOutcome<()> {
        let mut outcome = GroupOutcome::answer(());
        let Some(group) = self.hard_state().consumer_group(group_id) else {
            return outcome;
        };
        let record = |record| GroupRecord::Consumer { group_id: group_id.clone(), record };
        let matched = matched_topics(group, view);
        let mut is_epoch_over = false;
        // What is gone was noticed as such: only what is there makes a difference.
        let existing = |topics: &BTreeSet<StrBytes>| -> BTreeSet<StrBytes> {
            topics.iter().filter(|name| view.topic(name).is_some()).cloned().collect()
        };
        for (regex, topics) in &matched {
            let before = group.pattern(regex);
            if before.is_some_and(|before| before.topics == *topics) {
                continue;
            }
            is_epoch_over |= before.map_or_else(BTreeSet::new, |before| existing(&before.topics)) != *topics;
            let resolved =
                ResolvedPattern { topics: topics.clone(), version: view.version(), timestamp_ms: now_ms };
            outcome.records.push(record(ConsumerRecord::Pattern((*regex).clone(), Some(resolved))));
        }
        let topics = group.named_topics().chain(matched.values().flatten());
        let metadata_hash = metadata_hash(topics, view);
        if is_epoch_over || metadata_hash != group.metadata_hash {
            let epoch = GroupEpoch { epoch: group.epoch + 1, metadata_hash };
            outcome.records.push(record(ConsumerRecord::Epoch(Some(epoch))));
        }
        let checked =
            RefreshCheck { metadata_version: Some(view.version()), patterns: Some((view.version(), now_ms)) };
        outcome.soft.push(SoftChange::ConsumerChecked(group_id.clone(), checked));
        outcome
    }
}

/// In which version of the metadata, and when, the expressions were resolved last.
fn last_resolution(group: &ConsumerGroup) -> (Option<i64>, i64) {
    match group.checked.patterns {
        Some((version, time_ms)) => (Some(version), time_ms),
        // Until then the log tells of the last time that something was found.
        None => {
            let last = group.patterns().values().map(|pattern| pattern.timestamp_ms).max();
            (None, last.unwrap_or(i64::MIN))
        }
    }
}

fn matched_topics<'a>(
    group: &'a ConsumerGroup,
    view: &dyn ClusterView,
) -> BTreeMap<&'a StrBytes, BTreeSet<StrBytes>> {
    let names = view.topic_names();
    let matched = |regex: &'a StrBytes| {
        // One that cannot be read can only come from another coordinator's log: it matches nothing.
        let pattern = NamePattern::new(regex).ok();
        let is_matched = |name: &&StrBytes| pattern.as_ref().is_some_and(|pattern| pattern.matches(name));
        (regex, names.iter().filter(is_matched).cloned().collect())
    };
    group.regexes().map(matched).collect()
}

fn check_regex(regex: &StrBytes) -> Result<(), Refusal> {
    NamePattern::new(regex).map(|_| ()).map_err(|description| {
        GroupError::InvalidRegularExpression.because(format!(
            "SubscribedTopicRegex `{regex}` is not a valid regular expression: {description}."
        ))
    })
}
