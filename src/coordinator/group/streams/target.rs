//! What each member of a streams group shall have.

use std::collections::BTreeMap;

use ottla_protocol::StrBytes;

use super::assignor::{MemberSpec, SubtopologySpec, assign};
use super::config::logged_standby_replicas;
use super::configure::ConfiguredTopology;
use super::group::StreamsGroup;
use super::member::MemberMetadata;
use super::tasks::TaskSet;

/// The targets of all members, one of which may be new or changed. While topics are missing nobody gets anything.
pub fn next_targets(
    group: &StreamsGroup,
    changed: Option<(&StrBytes, &MemberMetadata)>,
    configured: &ConfiguredTopology,
    configs: &BTreeMap<StrBytes, StrBytes>,
) -> BTreeMap<StrBytes, TaskSet> {
    let nothing = TaskSet::default();
    let mut members: BTreeMap<StrBytes, MemberSpec<'_>> = BTreeMap::new();
    let known = group.members.iter().map(|(member_id, member)| (member_id, &member.metadata));
    for (member_id, metadata) in known.chain(changed) {
        let target = group.targets.get(member_id).unwrap_or(&nothing);
        members.insert(member_id.clone(), MemberSpec { process_id: &metadata.process_id, target });
    }
    let subtopologies: Vec<SubtopologySpec<'_>> = configured
        .subtopologies
        .iter()
        .filter(|_| configured.is_ready())
        .map(|(id, it)| SubtopologySpec { id, tasks: it.tasks, is_stateful: it.is_stateful() })
        .collect();
    assign(&members, &subtopologies, logged_standby_replicas(configs).unwrap_or(0))
}
