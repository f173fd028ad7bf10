//! The live group: its state, its members, and the questions that the moves ask of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_protocol::StrBytes;

use super::super::GroupError;
use super::super::commands::{JoinedMember, Protocol};
use super::super::hard::LoggedGroup;
use super::super::subscription;
use super::Member;

/// Where a group stands. Kafka's fifth state, Dead, is a group that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

impl State {
    /// Kafka's name, as ListGroups and DescribeGroups give it.
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

/// The wait before a group's first generation, in milliseconds: the step that runs, and what may be added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitialDelay {
    pub step_ms: i32,
    pub remaining_ms: i32,
    /// A member came during this step, so there is one more.
    pub is_member_added: bool,
}

/// A live classic group. Cheap to clone: members are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicGroup {
    pub state: State,
    /// When it came into its state; `None` if only the log of a very old broker knows it.
    pub state_timestamp_ms: Option<i64>,
    pub generation: i32,
    /// `None` for a group that only commits offsets.
    pub protocol_type: Option<StrBytes>,
    pub protocol: Option<StrBytes>,
    pub leader: Option<StrBytes>,
    pub members: BTreeMap<StrBytes, Arc<Member>>,
    /// Member id by instance id.
    pub static_members: BTreeMap<StrBytes, StrBytes>,
    /// Ids that were given out but have not joined (KIP-394).
    pub pending_joins: BTreeSet<StrBytes>,
    /// Members of this generation that have not sent their SyncGroup.
    pub pending_syncs: BTreeSet<StrBytes>,
    /// Set while the group forms its first generation after being empty.
    pub initial_delay: Option<InitialDelay>,
    /// What the members read, if they are consumers and their subscriptions can be read.
    pub subscribed_topics: Option<Arc<BTreeSet<StrBytes>>>,
}

impl ClassicGroup {
    /// A group that nobody has joined.
    pub fn new(now_ms: i64) -> Self {
        ClassicGroup {
            state: State::Empty,
            state_timestamp_ms: Some(now_ms),
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_joins: BTreeSet::new(),
            pending_syncs: BTreeSet::new(),
            initial_delay: None,
            subscribed_topics: None,
        }
    }

    /// The group as its log remembers it.
    pub fn from_logged(logged: &LoggedGroup) -> Self {
        let mut group = ClassicGroup::new(0);
        group.state = if logged.members.is_empty() { State::Empty } else { State::Stable };
        group.state_timestamp_ms = logged.current_state_timestamp_ms;
        group.generation = logged.generation;
        group.protocol_type = Some(logged.protocol_type.clone()).filter(|name| !name.is_empty());
        group.protocol = logged.protocol.clone();
        group.leader = logged.leader.clone();
        let protocol = logged.protocol.clone().unwrap_or_default();
        for member in &logged.members {
            group.insert(Member::from_logged(member, &protocol));
        }
        group.subscribed_topics = group.compute_subscribed_topics();
        group
    }

    /// As the log shall remember it.
    pub fn to_logged(&self) -> LoggedGroup {
        let protocol = self.protocol.clone().unwrap_or_default();
        LoggedGroup {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp_ms: self.state_timestamp_ms,
            members: self.members.values().map(|member| member.to_logged(&protocol)).collect(),
        }
    }

    pub fn transition_to(&mut self, state: State, now_ms: i64) {
        self.state = state;
        self.state_timestamp_ms = Some(now_ms);
    }

    /// Adds a member; the first one decides the protocol type and leads.
    pub fn insert(&mut self, member: Member) {
        if let Some(instance_id) = &member.group_instance_id {
            self.static_members.insert(instance_id.clone(), member.id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        self.pending_joins.remove(&member.id);
        self.members.insert(member.id.clone(), Arc::new(member));
    }

    /// Removes a member or a pending id; the lead passes to any other member.
    pub fn remove(&mut self, member_id: &StrBytes) {
        if let Some(member) = self.members.remove(member_id)
            && let Some(instance_id) = &member.group_instance_id
        {
            self.static_members.remove(instance_id);
        }
        if self.leader.as_ref() == Some(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_joins.remove(member_id);
        self.pending_syncs.remove(member_id);
    }

    pub fn member_mut(&mut self, member_id: &StrBytes) -> Option<&mut Member> {
        self.members.get_mut(member_id).map(Arc::make_mut)
    }

    pub fn is_leader(&self, member_id: &StrBytes) -> bool {
        self.leader.as_ref() == Some(member_id)
    }

    pub fn joining_members(&self) -> usize {
        self.members.values().filter(|member| member.awaiting_join.is_some()).count()
    }

    pub fn have_all_members_joined(&self) -> bool {
        self.pending_joins.is_empty() && self.joining_members() == self.members.len()
    }

    /// The longest of all members'.
    pub fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0).max(0)
    }

    /// The member must be there, and be the one that its instance id stands for (KIP-345).
    pub fn check_member(
        &self,
        member_id: &StrBytes,
        instance_id: Option<&StrBytes>,
    ) -> Result<&Member, GroupError> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(GroupError::UnknownMemberId),
                Some(current) if current != member_id => return Err(GroupError::FencedInstanceId),
                Some(_) => {}
            }
        }
        self.members.get(member_id).map(Arc::as_ref).ok_or(GroupError::UnknownMemberId)
    }

    /// Whether a member with these offers could live with the members that are there.
    pub fn supports(&self, protocol_type: &StrBytes, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let everyone_offers = |name: &StrBytes| {
            self.members.values().all(|member| member.protocols.iter().any(|offered| offered.name == *name))
        };
        self.protocol_type.as_ref() == Some(protocol_type)
            && protocols.iter().any(|protocol| everyone_offers(&protocol.name))
    }

    /// The protocol that most members like best among those that all of them offer. Ties go to the first by name,
    /// where Kafka leaves them to the order of a hash map.
    pub fn select_protocol(&self) -> Option<StrBytes> {
        let mut offers: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for protocol in self.members.values().flat_map(|member| distinct_names(&member.protocols)) {
            *offers.entry(protocol).or_default() += 1;
        }
        offers.retain(|_, count| *count == self.members.len());

        let mut votes: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(vote) = member.protocols.iter().find(|protocol| offers.contains_key(&protocol.name)) {
                *votes.entry(&vote.name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.clone())
    }

    /// The members as the leader is told of them.
    pub fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.clone().unwrap_or_default();
        let describe = |member: &Arc<Member>| JoinedMember {
            member_id: member.id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            metadata: member.metadata(&protocol),
        };
        self.members.values().map(describe).collect()
    }

    /// Whether the members are consumers, whose metadata is a subscription.
    pub fn is_consumer_protocol(&self) -> bool {
        self.protocol_type.as_ref().is_some_and(|name| name.as_str() == "consumer")
    }

    /// A consumer group whose subscriptions cannot be read counts as reading everything.
    pub fn is_subscribed_to(&self, topic: &StrBytes) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.is_consumer_protocol(),
        }
    }

    /// All topics that the members read under the chosen protocol; `None` if that cannot be known.
    pub fn compute_subscribed_topics(&self) -> Option<Arc<BTreeSet<StrBytes>>> {
        if !self.is_consumer_protocol() {
            return None;
        }
        let mut topics = BTreeSet::new();
        if !self.members.is_empty() {
            let protocol = self.protocol.as_ref()?;
            for member in self.members.values() {
                topics.extend(subscription::topics(&member.metadata(protocol))?);
            }
        }
        Some(Arc::new(topics))
    }
}

/// A member's protocol names, each once.
fn distinct_names(protocols: &[Protocol]) -> BTreeSet<&StrBytes> {
    protocols.iter().map(|protocol| &protocol.name).collect()
}
