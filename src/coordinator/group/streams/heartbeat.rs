//! StreamsGroupHeartbeat: a member joins or goes on. The one path from a request to its answer.

use std::borrow::Cow;
use std::sync::Arc;

use ottla_protocol::StrBytes;

use super::super::hard::kept;
use super::super::metadata_hash::metadata_hash;
use super::super::{
    Effect, GroupError, GroupOutcome, GroupRecord, GroupShard, HardGroup, Refusal, SoftChange, State,
    TimerKey,
};
use super::commands::{Status, StatusKind, StreamsHeartbeat, StreamsHeartbeatAnswer};
use super::config::{assignment_configs, logged_standby_replicas};
use super::configure::{ConfiguredTopology, TopicProblem};
use super::group::{GroupMetadata, StreamsGroup, StreamsRecord, TargetMetadata};
use super::member::{MemberMetadata, MemberState, StreamsMember};
use super::reconcile::{Target, reconcile};
use super::soft::{Configured, SoftStreams};
use super::target::next_targets;
use super::tasks::{TaskSet, Tasks};
use super::topology::Topology;
use super::{StreamsTimer, endpoints};
use crate::coordinator::ClusterView;

impl GroupShard {
    /// StreamsGroupHeartbeat. One that changes nothing costs the same in a group of any size.
    pub fn streams_heartbeat(
        &self,
        heartbeat: &StreamsHeartbeat,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> GroupOutcome<Result<StreamsHeartbeatAnswer, Refusal>> {
        let result = match heartbeat.member_epoch {
            ..0 => self.streams_leave(heartbeat),
            0 => self.streams_join(heartbeat, now_ms, view),
            1.. => self.streams_go_on(heartbeat, now_ms, view),
        };
        match result {
            Ok(outcome) => outcome.map(Ok),
            Err(refusal) => GroupOutcome::answer(Err(refusal)),
        }
    }

    fn streams_join(
        &self,
        heartbeat: &StreamsHeartbeat,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> Result<GroupOutcome<StreamsHeartbeatAnswer>, Refusal> {
        let group_id = &heartbeat.group_id;
        let new_group = StreamsGroup::default();
        let group = match self.hard.group(group_id) {
            Some(HardGroup::Streams(group)) => group,
            Some(HardGroup::Consumer(_) | HardGroup::Share(_)) => return Err(not_a_streams_group(group_id)),
            Some(HardGroup::Classic(_)) | None => &new_group,
        };
        // A classic group without members gives its name away, and keeps its offsets.
        let classic = self.group(group_id);
        if classic.is_some_and(|classic| classic.state != State::Empty) {
            return Err(not_a_streams_group(group_id));
        }
        let max_size = self.config.streams.max_size;
        if group.members.len() >= max_size {
            return Err(GroupError::GroupMaxSizeReached.because(format!(
                "The streams group has reached its maximum capacity of {max_size} members."
            )));
        }
        let mut outcome = self.step(heartbeat, group, now_ms, view)?;
        if classic.is_some() {
            outcome.records.insert(0, GroupRecord::Group { group_id: group_id.clone(), group: None });
            outcome.soft.push(SoftChange::Remove(group_id.clone()));
        }
        Ok(outcome)
    }

    fn streams_go_on(
        &self,
        heartbeat: &StreamsHeartbeat,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> Result<GroupOutcome<StreamsHeartbeatAnswer>, Refusal> {
        let group = self.streams_group(&heartbeat.group_id)?;
        let member = group.member(&heartbeat.group_id, &heartbeat.member_id)?;
        check_epoch(heartbeat, member)?;
        self.step(heartbeat, group, now_ms, view)
    }

    fn step(
        &self,
        heartbeat: &StreamsHeartbeat,
        group: &StreamsGroup,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> Result<GroupOutcome<StreamsHeartbeatAnswer>, Refusal> {
        let soft = self.streams.get(&heartbeat.group_id).cloned().unwrap_or_default();
        let known = group.members.get_key_value(&heartbeat.member_id);
        let step = Step {
            shard: self,
            heartbeat,
            group,
            now_ms,
            view,
            member_id: known.map_or_else(|| kept(&heartbeat.member_id), |(member_id, _)| member_id.clone()),
            known: known.map(|(_, member)| member),
            old_soft: soft.clone(),
            soft,
            records: Vec::new(),
            timers: Vec::new(),
            status: Vec::new(),
        };
        step.run()
    }

    /// The group that a member speaks of.
    pub(super) fn streams_group(&self, group_id: &StrBytes) -> Result<&StreamsGroup, Refusal> {
        match self.hard.group(group_id) {
            Some(HardGroup::Streams(group)) => Ok(group),
            None if self.group(group_id).is_none() => {
                let message = format!("Streams group {} not found.", group_id.as_str());
                Err(GroupError::GroupIdNotFound.because(message))
            }
            _ => Err(not_a_streams_group(group_id)),
        }
    }
}

pub(super) fn not_a_streams_group(group_id: &StrBytes) -> Refusal {
    GroupError::GroupIdNotFound.because(format!("Group {} is not a streams group.", group_id.as_str()))
}

/// A member that missed the answer to its last heartbeat may repeat it, if it has nothing that it shall not have.
fn check_epoch(heartbeat: &StreamsHeartbeat, member: &StreamsMember) -> Result<(), Refusal> {
    let (received, current) = (heartbeat.member_epoch, &member.current);
    let known = current.member_epoch;
    let repeats = received == current.previous_member_epoch
        && heartbeat.owned.as_ref().is_some_and(|owned| owned.is_within(&current.tasks));
    if received == known || (received < known && repeats) {
        return Ok(());
    }
    let relation = if received > known { "greater" } else { "smaller" };
    Err(GroupError::FencedMemberEpoch.because(format!(
        "The streams group member has a {relation} member epoch ({received}) than the one known by the group \
         coordinator ({known}). The member must abandon all its partitions and rejoin."
    )))
}

/// One heartbeat on its way.
struct Step<'a> {
    shard: &'a GroupShard,
    heartbeat: &'a StreamsHeartbeat,
    group: &'a StreamsGroup,
    now_ms: i64,
    view: &'a dyn ClusterView,
    member_id: StrBytes,
    known: Option<&'a StreamsMember>,
    old_soft: SoftStreams,
    soft: SoftStreams,
    records: Vec<StreamsRecord>,
    timers: Vec<Effect>,
    status: Vec<Status>,
}

impl<'a> Step<'a> {
    fn run(mut self) -> Result<GroupOutcome<StreamsHeartbeatAnswer>, Refusal> {
        let metadata = self.member_metadata();
        let is_changed = metadata.is_some();
        let mut member = match (metadata, self.known) {
            (None, Some(known)) => Cow::Borrowed(known),
            (metadata, known) => {
                let metadata = metadata.unwrap_or_default();
                let record = StreamsRecord::Member(self.member_id.clone(), Some(Box::new(metadata.clone())));
                self.records.push(record);
                let current = known.map(|known| known.current.clone()).unwrap_or_default();
                Cow::Owned(StreamsMember { metadata, current })
            }
        };
        let topology = self.topology()?;
        if member.metadata.topology_epoch < topology.epoch {
            let (its, ours) = (member.metadata.topology_epoch, topology.epoch);
            self.tell(
                StatusKind::StaleTopology,
                format!("The member's topology epoch {its} is behind the group's topology epoch {ours}."),
            );
        }
        let (configured, hash) = self.configured(&topology)?;
        self.check_owned(&configured)?;

        let metadata = self.group_metadata(is_changed, &topology, &configured, hash);
        let (target_epoch, target) = self.target(&member, &configured, &metadata);
        self.reconcile(&mut member, Target { epoch: target_epoch, tasks: &target })?;
        self.set_timer(
            StreamsTimer::Session { group_id: self.group_id(), member_id: self.member_id.clone() },
            self.shard.config.streams.session_timeout_ms(&self.heartbeat.group_id, self.view),
        );
        if self.heartbeat.shutdown_application && self.soft.shutdown_requested_by.is_none() {
            self.soft.shutdown_requested_by = Some(self.member_id.clone());
        }
        Ok(self.answer(&member, &configured))
    }

    fn group_id(&self) -> StrBytes {
        // A copy of its own for what outlives the request.
        match self.known {
            Some(_) => self.heartbeat.group_id.clone(),
            None => kept(&self.heartbeat.group_id),
        }
    }

    fn tell(&mut self, kind: StatusKind, detail: impl Into<String>) {
        self.status.push(Status { kind, detail: detail.into() });
    }

    fn set_timer(&mut self, timer: StreamsTimer, in_ms: i64) {
        self.timers.push(Effect::SetTimer(TimerKey::Streams(timer), self.now_ms.saturating_add(in_ms)));
    }

    /// What the member says of itself, if that is news.
    fn member_metadata(&self) -> Option<MemberMetadata> {
        let said = self.heartbeat;
        let unsaid = MemberMetadata::default();
        let known = self.known.map_or(&unsaid, |known| &known.metadata);
        let topology_epoch = said.topology.as_ref().map(|topology| topology.epoch);
        let is_same = self.known.is_some()
            && said.rack_id.as_ref().is_none_or(|it| known.rack_id.as_ref() == Some(it))
            && said.rebalance_timeout_ms.is_none_or(|it| known.rebalance_timeout_ms == it)
            && topology_epoch.is_none_or(|it| known.topology_epoch == it)
            && said.process_id.as_ref().is_none_or(|it| known.process_id == *it)
            && said.user_endpoint.as_ref().is_none_or(|it| known.user_endpoint.as_ref() == Some(it))
            && said.client_tags.as_ref().is_none_or(|it| known.client_tags == *it)
            && said.client_id == known.client_id
            && said.client_host == known.client_host;
        if is_same {
            return None;
        }
        let endpoint = said.user_endpoint.as_ref().or(known.user_endpoint.as_ref());
        let tags = said.client_tags.as_ref().unwrap_or(&known.client_tags);
        Some(MemberMetadata {
            instance_id: known.instance_id.clone(),
            rack_id: said.rack_id.as_ref().or(known.rack_id.as_ref()).map(kept),
            client_id: kept(&said.client_id),
            client_host: kept(&said.client_host),
            rebalance_timeout_ms: said.rebalance_timeout_ms.unwrap_or(known.rebalance_timeout_ms),
            topology_epoch: topology_epoch.unwrap_or(known.topology_epoch),
            process_id: kept(said.process_id.as_ref().unwrap_or(&known.process_id)),
            user_endpoint: endpoint.map(|it| super::Endpoint { host: kept(&it.host), port: it.port }),
            client_tags: tags.iter().map(|(key, value)| (kept(key), kept(value))).collect(),
        })
    }

    /// The group's topology, which the first member brings and nobody changes.
    fn topology(&mut self) -> Result<Arc<Topology>, Refusal> {
        match (&self.heartbeat.topology, &self.group.topology) {
            (Some(new), None) => {
                new.check().map_err(|message| GroupError::StreamsInvalidTopology.because(message))?;
                let new = Arc::new(new.kept());
                self.records.push(StreamsRecord::Topology(Some(Arc::clone(&new))));
                Ok(new)
            }
            (Some(new), Some(ours)) if new.epoch >= ours.epoch && !new.is_same(ours) => {
                Err(GroupError::InvalidRequest.because("Topology updates are not supported yet."))
            }
            (_, Some(ours)) => Ok(Arc::clone(ours)),
            (None, None) => Err(GroupError::InvalidRequest.because("The group has no topology.")),
        }
    }

    /// The topology beside the topics, and their hash; worked out anew where the topics are others than last time.
    fn configured(&mut self, topology: &Topology) -> Result<(Arc<ConfiguredTopology>, i64), Refusal> {
        let known_hash = self.group.metadata.metadata_hash;
        let version = self.view.version();
        let is_known = self.group.topology.is_some();
        let old = self.soft.configured.as_ref().filter(|_| is_known);
        if let Some(old) = old.filter(|old| old.version == version) {
            return Ok((Arc::clone(&old.topology), known_hash));
        }
        let hash = metadata_hash(topology.required_topics(), self.view);
        let configured = match old.filter(|_| hash == known_hash) {
            Some(old) => Arc::clone(&old.topology),
            None => Arc::new(
                ConfiguredTopology::new(topology, self.view)
                    .map_err(|message| GroupError::StreamsInvalidTopology.because(message))?,
            ),
        };
        self.soft.configured = Some(Configured { version, topology: Arc::clone(&configured) });
        Ok((configured, hash))
    }

    /// A member can only have tasks that there are.
    fn check_owned(&self, configured: &ConfiguredTopology) -> Result<(), Refusal> {
        let Some(owned) = self.heartbeat.owned.as_ref().filter(|_| configured.is_ready()) else {
            return Ok(());
        };
        let tasks = |tasks: &Tasks| -> Result<(), Refusal> {
            for (id, partitions) in tasks {
                let Some(subtopology) = configured.subtopologies.get(id) else {
                    return Err(GroupError::InvalidRequest
                        .because(format!("Subtopology {} does not exist in the topology.", id.as_str())));
                };
                let count = subtopology.tasks;
                if let Some(partition) = partitions.iter().find(|it| !(0..count).contains(*it)) {
                    return Err(GroupError::InvalidRequest.because(format!(
                        "Task {partition} for subtopology {} is invalid. Number of tasks for this subtopology: \
                         {count}",
                        id.as_str()
                    )));
                }
            }
            Ok(())
        };
        tasks(&owned.active)?;
        tasks(&owned.standby)?;
        tasks(&owned.warmup)
    }

    /// The group's epoch, one more if members, topics or assignment configurations changed, and what it rests on.
    fn group_metadata(
        &mut self,
        is_member_changed: bool,
        topology: &Topology,
        configured: &ConfiguredTopology,
        metadata_hash: i64,
    ) -> Cow<'a, GroupMetadata> {
        let old = &self.group.metadata;
        let validated_topology_epoch = if configured.is_ready() { topology.epoch } else { -1 };
        let group_id = &self.heartbeat.group_id;
        let standby_replicas = self.shard.config.streams.standby_replicas(group_id, self.view);
        let is_changed = is_member_changed
            || metadata_hash != old.metadata_hash
            || validated_topology_epoch != old.validated_topology_epoch
            || Some(standby_replicas) != logged_standby_replicas(&old.assignment_configs);
        if !is_changed {
            return Cow::Borrowed(old);
        }
        let metadata = GroupMetadata {
            epoch: old.epoch + 1,
            metadata_hash,
            validated_topology_epoch,
            assignment_configs: assignment_configs(standby_replicas),
        };
        self.records.push(StreamsRecord::Metadata(Some(metadata.clone())));
        Cow::Owned(metadata)
    }

    /// What the member shall have, and of which epoch that is; worked out for all members where the group's epoch has
    /// gone ahead of it.
    fn target(
        &mut self,
        member: &StreamsMember,
        configured: &ConfiguredTopology,
        metadata: &GroupMetadata,
    ) -> (i32, Cow<'a, TaskSet>) {
        let (group_id, config) = (self.group_id(), &self.shard.config.streams);
        let delay_ms = config.initial_rebalance_delay_ms(&group_id, self.view);
        if self.group.members.is_empty() && delay_ms > 0 && !self.soft.is_delayed {
            self.soft.is_delayed = true;
            self.set_timer(StreamsTimer::InitialDelay { group_id: group_id.clone() }, delay_ms);
        }
        let last = self.group.target_metadata;
        if self.soft.is_delayed {
            let reason = "Assignment delayed due to the configured initial rebalance delay.";
            self.tell(StatusKind::AssignmentDelayed, reason);
            return (last.epoch, Cow::Owned(TaskSet::default()));
        }
        let last_target = self.group.targets.get(&self.member_id);
        let last_target = last_target.map_or_else(|| Cow::Owned(TaskSet::default()), Cow::Borrowed);
        if last.epoch >= metadata.epoch {
            return (last.epoch, last_target);
        }
        let interval_ms = config.assignment_interval_ms(&group_id, self.view);
        if last.timestamp_ms != 0 && self.now_ms < last.timestamp_ms.saturating_add(interval_ms) {
            let reason = "Assignment delayed due to the configured assignment interval.";
            self.tell(StatusKind::AssignmentDelayed, reason);
            return (last.epoch, last_target);
        }
        let mut targets = next_targets(
            self.group,
            Some((&self.member_id, &member.metadata)),
            configured,
            &metadata.assignment_configs,
        );
        for (member_id, target) in &targets {
            if self.group.targets.get(member_id) != Some(target) {
                self.records.push(StreamsRecord::Target(member_id.clone(), Some(target.clone())));
            }
        }
        let target_metadata = TargetMetadata { epoch: metadata.epoch, timestamp_ms: self.now_ms };
        self.records.push(StreamsRecord::TargetMetadata(Some(target_metadata)));
        (metadata.epoch, Cow::Owned(targets.remove(&self.member_id).unwrap_or_default()))
    }

    fn reconcile(&mut self, member: &mut Cow<'_, StreamsMember>, target: Target<'_>) -> Result<(), Refusal> {
        let owned = self.heartbeat.owned.as_ref();
        let next = reconcile(member, target, owned, &self.group.owners).map_err(|_| {
            GroupError::FencedMemberEpoch.because(
                "The streams group member is in a unknown state. The member must abandon all its tasks and rejoin.",
            )
        })?;
        let Some(next) = next else {
            return Ok(());
        };
        let timer = StreamsTimer::Rebalance { group_id: self.group_id(), member_id: self.member_id.clone() };
        if next.state == MemberState::UnrevokedTasks {
            self.set_timer(timer, i64::from(member.metadata.rebalance_timeout_ms));
        } else {
            self.timers.push(Effect::CancelTimer(TimerKey::Streams(timer)));
        }
        self.records.push(StreamsRecord::Current(self.member_id.clone(), Some(Box::new(next.clone()))));
        member.to_mut().current = next;
        Ok(())
    }

    fn answer(
        mut self,
        member: &StreamsMember,
        configured: &ConfiguredTopology,
    ) -> GroupOutcome<StreamsHeartbeatAnswer> {
        let group_id = &self.heartbeat.group_id;
        let is_joining = self.heartbeat.member_epoch == 0;
        let has_changed = self.known.is_none_or(|known| known.current.tasks != member.current.tasks);
        if (is_joining || has_changed) && member.metadata.user_endpoint.is_some() {
            self.soft.endpoint_information_epoch += 1;
        }
        let is_informed = self.soft.endpoint_information_epoch == self.heartbeat.endpoint_information_epoch;
        let endpoints = (!is_informed)
            .then(|| endpoints::all(self.group, (&self.member_id, member), configured, self.view));
        // As in Kafka, what is found out for a group before it is written is found out again.
        if self.shard.hard.streams_group(group_id).is_none() {
            self.soft.configured = None;
            self.soft.endpoint_information_epoch = 0;
        }
        if let Some(problem) = &configured.problem {
            let (kind, detail) = match problem {
                TopicProblem::MissingSource(it) => (StatusKind::MissingSourceTopics, it),
                TopicProblem::IncorrectlyPartitioned(it) => (StatusKind::IncorrectlyPartitionedTopics, it),
                TopicProblem::MissingInternal(it) => (StatusKind::MissingInternalTopics, it),
            };
            self.tell(kind, detail.clone());
        }
        if let Some(member_id) = self.soft.shutdown_requested_by.clone() {
            self.tell(
                StatusKind::ShutdownApplication,
                format!(
                    "Streams group member {} encountered a fatal error and requested a shutdown for the entire \
                     application.",
                    member_id.as_str()
                ),
            );
        }
        // Kafka would leave a member that missed an answer without the tasks that were in it.
        let has_missed =
            self.heartbeat.owned.as_ref().is_some_and(|owned| !owned.is_all_of(&member.current.tasks));
        let is_told = is_joining || has_changed || has_missed;
        let answer = StreamsHeartbeatAnswer {
            member_id: self.heartbeat.member_id.clone(),
            member_epoch: member.current.member_epoch,
            heartbeat_interval_ms: self.shard.config.streams.heartbeat_interval_ms(group_id, self.view),
            status: self.status,
            tasks: is_told.then(|| member.current.tasks.clone()),
            endpoint_information_epoch: self.soft.endpoint_information_epoch,
            endpoints,
            topics_to_create: configured.to_create.clone(),
        };
        let mut outcome = GroupOutcome::answer(answer);
        let record = |record| GroupRecord::Streams { group_id: group_id.clone(), record };
        outcome.records = self.records.into_iter().map(record).collect();
        if self.soft != self.old_soft {
            outcome.soft.push(SoftChange::Streams(kept(group_id), Some(Box::new(self.soft))));
        }
        outcome.effects = self.timers;
        outcome
    }
}

impl StreamsGroup {
    /// A member of the group that has that name.
    pub(super) fn member(
        &self,
        group_id: &StrBytes,
        member_id: &StrBytes,
    ) -> Result<&StreamsMember, Refusal> {
        self.members.get(member_id).ok_or_else(|| {
            let (member_id, group_id) = (member_id.as_str(), group_id.as_str());
            GroupError::UnknownMemberId
                .because(format!("Member {member_id} is not a member of group {group_id}."))
        })
    }
}
