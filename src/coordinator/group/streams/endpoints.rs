//! Which process can be asked for the state of which partitions (interactive queries).

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;

use super::commands::EndpointPartitions;
use super::configure::ConfiguredTopology;
use super::group::StreamsGroup;
use super::member::StreamsMember;
use super::tasks::Tasks;
use crate::coordinator::ClusterView;

/// All members' that have an endpoint; `changed` is one as it is now. None while the topology is not configured.
pub fn all(
    group: &StreamsGroup,
    changed: (&StrBytes, &StreamsMember),
    configured: &ConfiguredTopology,
    view: &dyn ClusterView,
) -> Vec<EndpointPartitions> {
    let others = group.members.iter().filter(|(member_id, _)| *member_id != changed.0);
    let members = others.map(|(_, member)| member).chain([changed.1]);
    members.filter_map(|member| of_member(member, configured, view)).collect()
}

fn of_member(
    member: &StreamsMember,
    configured: &ConfiguredTopology,
    view: &dyn ClusterView,
) -> Option<EndpointPartitions> {
    let endpoint = member.metadata.user_endpoint.clone()?;
    let tasks = &member.current.tasks;
    let active: Tasks =
        tasks.active.iter().map(|(id, epochs)| (id.clone(), epochs.keys().copied().collect())).collect();
    Some(EndpointPartitions {
        endpoint,
        active: partitions(&active, configured, view),
        standby: partitions(&tasks.standby, configured, view),
    })
}

/// The partitions of the sources that the tasks read, as far as they exist.
fn partitions(
    tasks: &Tasks,
    configured: &ConfiguredTopology,
    view: &dyn ClusterView,
) -> Vec<(StrBytes, BTreeSet<i32>)> {
    let mut topics: BTreeMap<StrBytes, BTreeSet<i32>> = BTreeMap::new();
    for (id, partitions) in tasks {
        let Some(subtopology) = configured.subtopologies.get(id) else {
            continue;
        };
        for name in &subtopology.source_topics {
            let Some(topic) = view.topic(name) else {
                continue;
            };
            let existing = partitions.iter().copied().filter(|partition| *partition < topic.partitions);
            topics.entry(name.clone()).or_default().extend(existing);
        }
    }
    topics.into_iter().collect()
}
