//! `range`: each topic for itself is cut into runs of neighbouring partitions, one per subscriber.
//!
//! Members come in one order for all topics (static members first, by instance id; then the others by member id), so
//! that partitions of the same number of topics of the same size meet at the same member. It is not sticky.

use std::collections::BTreeMap;

use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::{GroupAssignment, MemberSubscription, Members, TopicPartitions};

/// The new target assignment; see [`super::Assignor::assign`].
pub fn assign(members: &Members, partitions_of: &dyn Fn(Uuid) -> i32) -> GroupAssignment {
    let mut ordered: Vec<(&StrBytes, &MemberSubscription)> = members.iter().collect();
    ordered.sort_by_key(|(id, member)| (member.instance_id.is_none(), member.instance_id.as_ref(), *id));
    let mut cuts = cuts(members, partitions_of);
    let mut assign_member = |(id, member): (&StrBytes, &MemberSubscription)| {
        let run_of = |topic: &Uuid| {
            let run = cuts.get_mut(topic)?.next_run();
            (!run.is_empty()).then(|| (*topic, run.collect()))
        };
        (id.clone(), member.topics.iter().filter_map(run_of).collect::<TopicPartitions>())
    };
    ordered.into_iter().map(&mut assign_member).collect()
}

/// How far a topic is handed out.
struct Cut {
    /// What every subscriber gets at least.
    quota: i32,
    /// How many of the subscribers still get one more.
    extra: i32,
    next: i32,
}

impl Cut {
    fn next_run(&mut self) -> std::ops::Range<i32> {
        let start = self.next;
        self.next += self.quota + i32::from(self.extra > 0);
        self.extra -= i32::from(self.extra > 0);
        start..self.next
    }
}

fn cuts(members: &Members, partitions_of: &dyn Fn(Uuid) -> i32) -> BTreeMap<Uuid, Cut> {
    let cut = |(topic, subscribers): (Uuid, Vec<usize>)| {
        let partitions = partitions_of(topic).max(0);
        let subscribers = subscribers.len() as i32;
        (topic, Cut { quota: partitions / subscribers, extra: partitions % subscribers, next: 0 })
    };
    super::subscribers(members).into_iter().map(cut).collect()
}
