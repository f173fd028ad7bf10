//! Members subscribe to different topics: what is free goes topic by topic to the subscriber with the fewest partitions,
//! then partitions move from the richest subscribers of a topic to its poorest until that would change nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::super::{GroupAssignment, Members, subscribers};

/// How often the balancing goes around all topics. Where all subscribers of a topic have the same subscriptions one
/// round is enough; where they overlap each round about halves what is out of balance.
const MAX_ROUNDS: usize = 16;

pub fn assign(members: &Members, partitions_of: &dyn Fn(Uuid) -> i32) -> GroupAssignment {
    let mut loads = vec![0; members.len()];
    let mut topics = topics(members, partitions_of, &mut loads);
    for topic in &mut topics {
        topic.hand_out_free(&mut loads);
    }
    balance(&mut topics, &mut loads);
    let ids: Vec<&StrBytes> = members.keys().collect();
    let mut assignment: GroupAssignment =
        ids.iter().map(|member_id| ((*member_id).clone(), Default::default())).collect();
    for topic in &topics {
        for (index, owner) in topic.owners.iter().enumerate() {
            let partitions = owner.and_then(|owner| assignment.get_mut(ids[owner]));
            partitions.map(|partitions| partitions.entry(topic.id).or_default().insert(index as i32));
        }
    }
    assignment
}

/// A topic that somebody subscribes to. Members are positions in the order of their ids, as in `loads`: the number of
/// partitions that each has.
struct Topic {
    id: Uuid,
    subscribers: Vec<usize>,
    /// By partition.
    owners: Vec<Option<usize>>,
}

/// The topics with what their subscribers own, in the order of the work: most partitions per subscriber first, then the
/// fewest subscribers, then by id.
fn topics(members: &Members, partitions_of: &dyn Fn(Uuid) -> i32, loads: &mut [usize]) -> Vec<Topic> {
    let new_topic = |(id, subscribers): (Uuid, Vec<usize>)| {
        let partitions = usize::try_from(partitions_of(id)).unwrap_or(0);
        Topic { id, subscribers, owners: vec![None; partitions] }
    };
    let mut topics: Vec<Topic> = subscribers(members).into_iter().map(new_topic).collect();
    let members: Vec<_> = members.values().collect();
    for topic in &mut topics {
        for &member in &topic.subscribers {
            for &index in members[member].owned.get(&topic.id).into_iter().flatten() {
                if let Some(owner) = topic.owners.get_mut(index as usize)
                    && owner.replace(member).is_none()
                {
                    loads[member] += 1;
                }
            }
        }
    }
    let per_subscriber = |topic: &Topic| topic.owners.len() as f64 / topic.subscribers.len() as f64;
    topics.sort_by(|a, b| {
        let most_first = per_subscriber(b).total_cmp(&per_subscriber(a));
        most_first.then(a.subscribers.len().cmp(&b.subscribers.len())).then(signed(a.id).cmp(&signed(b.id)))
    });
    topics
}

/// Kafka's order of ids: two signed numbers.
fn signed(id: Uuid) -> (i64, i64) {
    let (high, low) = id.as_u64_pair();
    (high as i64, low as i64)
}

fn balance(topics: &mut [Topic], loads: &mut [usize]) {
    let mut topics: Vec<&mut Topic> = topics.iter_mut().filter(|topic| topic.subscribers.len() > 1).collect();
    let mut unchanged = 0;
    for _ in 0..MAX_ROUNDS {
        for topic in &mut topics {
            unchanged = if topic.balance(loads) { 0 } else { unchanged + 1 };
        }
        if unchanged >= topics.len() {
            return;
        }
    }
}

impl Topic {
    /// Gives each partition without owner to the subscriber that has the fewest.
    fn hand_out_free(&mut self, loads: &mut [usize]) {
        let mut poorest = Poorest::new(&self.ranked(loads), loads);
        for owner in self.owners.iter_mut().filter(|owner| owner.is_none()) {
            let Some((member, _)) = poorest.next() else { return };
            *owner = Some(member);
            loads[member] += 1;
        }
    }

    /// Moves partitions from the richest subscribers to the poorest. Whether any was moved.
    fn balance(&mut self, loads: &mut [usize]) -> bool {
        let ranked = self.ranked(loads);
        if loads[ranked[ranked.len() - 1]] - loads[ranked[0]] <= 1 {
            return false;
        }
        let mut poorest = Poorest::new(&ranked, loads);
        let mut richest = Richest::new(ranked, loads);
        let mut own = self.partitions_by_owner(loads.len());
        let mut is_changed = false;
        loop {
            let Some(from) = richest.next(loads) else { return is_changed };
            // What came to a member in this round does not leave it in this round, so `own` only shrinks.
            let Some(index) = own[from].pop() else {
                richest.exclude_last();
                continue;
            };
            let Some((to, load)) = poorest.next() else { return is_changed };
            if loads[from] <= load + 1 {
                return is_changed;
            }
            self.owners[index] = Some(to);
            loads[from] -= 1;
            loads[to] += 1;
            is_changed = true;
        }
    }

    /// The subscribers, those with the fewest partitions first.
    fn ranked(&self, loads: &[usize]) -> Vec<usize> {
        let mut ranked = self.subscribers.clone();
        ranked.sort_by_key(|member| (loads[*member], *member));
        ranked
    }

    fn partitions_by_owner(&self, members: usize) -> Vec<Vec<usize>> {
        let mut own = vec![Vec::new(); members];
        for (index, owner) in self.owners.iter().enumerate() {
            if let Some(owner) = owner {
                own[*owner].push(index);
            }
        }
        own
    }
}

/// Names the member with the fewest partitions, again and again, each time as if it got one.
struct Poorest {
    /// Load, rank and member.
    heap: BinaryHeap<Reverse<(usize, usize, usize)>>,
}

impl Poorest {
    fn new(ranked: &[usize], loads: &[usize]) -> Self {
        let entry = |(rank, member): (usize, &usize)| Reverse((loads[*member], rank, *member));
        Poorest { heap: ranked.iter().enumerate().map(entry).collect() }
    }

    /// The member and its load until now.
    fn next(&mut self) -> Option<(usize, usize)> {
        let Reverse((load, rank, member)) = self.heap.pop()?;
        self.heap.push(Reverse((load + 1, rank, member)));
        Some((member, load))
    }
}

/// Names the member with the most partitions, again and again, each time as if it lost one. The richest members are the
/// range `start..end` of `ranked`, all with the same load before a turn; it grows to the left as they get poorer.
struct Richest {
    ranked: Vec<usize>,
    start: usize,
    end: usize,
    /// The load of the range's members before their turn.
    level: usize,
    /// Where the next turn goes, plus one.
    next: usize,
}

impl Richest {
    fn new(ranked: Vec<usize>, loads: &[usize]) -> Self {
        let end = ranked.len();
        let level = ranked.last().map_or(0, |member| loads[*member] + 1);
        Richest { ranked, start: end, end, level, next: end }
    }

    fn next(&mut self, loads: &[usize]) -> Option<usize> {
        if self.next <= self.start {
            self.next_level(loads);
        }
        self.next = self.next.checked_sub(1)?;
        Some(self.ranked[self.next])
    }

    fn next_level(&mut self, loads: &[usize]) {
        self.level = match self.start.checked_sub(1) {
            // All of the range had nothing to give: it begins anew with whoever comes next.
            Some(left) if self.end <= self.start => loads[self.ranked[left]],
            _ => self.level.saturating_sub(1),
        };
        while self.start > 0 && loads[self.ranked[self.start - 1]] == self.level {
            self.start -= 1;
        }
        self.next = self.end;
    }

    /// The member just named has nothing to give: its place is taken by the range's last.
    fn exclude_last(&mut self) {
        self.end -= 1;
        self.ranked.swap(self.next, self.end);
    }
}
