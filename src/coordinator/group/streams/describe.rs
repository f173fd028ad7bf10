//! StreamsGroupDescribe, and what else administrators ask of a streams group.

use ottla_protocol::StrBytes;

use super::super::{GroupError, GroupShard, Refusal};
use super::commands::{DescribedStreamsGroup, DescribedStreamsMember};
use super::configure::ConfiguredTopology;
use super::heartbeat::not_a_streams_group;
use super::topology::{InternalTopic, Topology};

impl GroupShard {
    /// One group with all its members.
    pub fn describe_streams(&self, group_id: &StrBytes) -> Result<DescribedStreamsGroup, Refusal> {
        let Some(group) = self.hard.streams_group(group_id) else {
            return Err(match self.hard.has(group_id) || self.group(group_id).is_some() {
                true => not_a_streams_group(group_id),
                false => {
                    GroupError::GroupIdNotFound.because(format!("Group {} not found.", group_id.as_str()))
                }
            });
        };
        let topology = group.topology.as_deref().cloned().unwrap_or_default();
        let configured = self.streams.get(group_id).and_then(|soft| soft.configured.as_ref());
        let configured = configured.map(|it| &*it.topology).filter(|it| it.is_ready());
        let members = group.members.iter().map(|(member_id, member)| DescribedStreamsMember {
            member_id: member_id.clone(),
            member: member.clone(),
            target: group.targets.get(member_id).cloned().unwrap_or_default(),
        });
        Ok(DescribedStreamsGroup {
            group_id: group_id.clone(),
            state: group.state().name(),
            group_epoch: group.metadata.epoch,
            assignment_epoch: group.target_metadata.epoch,
            topology: described_topology(topology, configured),
            members: members.collect(),
        })
    }
}

/// In order, and with the partitions of internal topics where they are known.
fn described_topology(mut topology: Topology, configured: Option<&ConfiguredTopology>) -> Topology {
    topology.subtopologies.sort_by(|a, b| a.id.cmp(&b.id));
    for subtopology in &mut topology.subtopologies {
        let configured = configured.and_then(|configured| configured.subtopologies.get(&subtopology.id));
        if let Some(configured) = configured {
            let in_order = |topics: &std::collections::BTreeMap<StrBytes, InternalTopic>| {
                topics.values().cloned().collect()
            };
            subtopology.repartition_source_topics = in_order(&configured.repartition_source_topics);
            subtopology.state_changelog_topics = in_order(&configured.state_changelog_topics);
        }
        subtopology.source_topics.sort();
        subtopology.repartition_sink_topics.sort();
        subtopology.repartition_source_topics.sort_by(|a, b| a.name.cmp(&b.name));
        subtopology.state_changelog_topics.sort_by(|a, b| a.name.cmp(&b.name));
    }
    topology
}
