//! Tasks: a task is a partition of a subtopology's input, worked on by one member (active), kept warm by others
//! (standby), or caught up with before it moves (warm-up).

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;

/// Tasks as partitions by subtopology id. No entry is empty.
pub type Tasks = BTreeMap<StrBytes, BTreeSet<i32>>;

/// Active tasks, each with the member epoch in which it was given to its member. No entry is empty.
pub type ActiveTasks = BTreeMap<StrBytes, BTreeMap<i32, i32>>;

/// Tasks without epochs: what a member shall have, or says that it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskSet {
    pub active: Tasks,
    pub standby: Tasks,
    pub warmup: Tasks,
}

/// What a member has, or has still to give up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssignedTasks {
    pub active: ActiveTasks,
    pub standby: Tasks,
    pub warmup: Tasks,
}

impl TaskSet {
    pub fn is_empty(&self) -> bool {
        self.active.is_empty() && self.standby.is_empty() && self.warmup.is_empty()
    }

    /// Whether a task of the same kind is in both.
    pub fn meets(&self, other: &AssignedTasks) -> bool {
        let meets_active = self.active.iter().any(|(subtopology, partitions)| {
            let epochs = other.active.get(subtopology);
            epochs.is_some_and(|epochs| partitions.iter().any(|partition| epochs.contains_key(partition)))
        });
        meets_active || meets(&self.standby, &other.standby) || meets(&self.warmup, &other.warmup)
    }

    /// Whether both are the same tasks.
    pub fn is_all_of(&self, other: &AssignedTasks) -> bool {
        len(&self.active) + len(&self.standby) + len(&self.warmup) == other.len() && self.is_within(other)
    }

    /// Whether each task is in `other`, as a task of the same kind.
    pub fn is_within(&self, other: &AssignedTasks) -> bool {
        self.active.iter().all(|(subtopology, partitions)| {
            let epochs = other.active.get(subtopology);
            epochs.is_some_and(|epochs| partitions.iter().all(|partition| epochs.contains_key(partition)))
        }) && is_within(&self.standby, &other.standby)
            && is_within(&self.warmup, &other.warmup)
    }
}

impl AssignedTasks {
    /// How many there are, of all kinds.
    fn len(&self) -> usize {
        self.active.values().map(BTreeMap::len).sum::<usize>() + len(&self.standby) + len(&self.warmup)
    }

    pub fn is_empty(&self) -> bool {
        self.active.is_empty() && self.standby.is_empty() && self.warmup.is_empty()
    }

    /// Both together.
    pub fn merge(mut self, other: AssignedTasks) -> AssignedTasks {
        for (subtopology, epochs) in other.active {
            self.active.entry(subtopology).or_default().extend(epochs);
        }
        merge(&mut self.standby, other.standby);
        merge(&mut self.warmup, other.warmup);
        self
    }
}

/// Adds one task.
pub fn put(tasks: &mut Tasks, subtopology: &StrBytes, partition: i32) {
    tasks.entry(subtopology.clone()).or_default().insert(partition);
}

fn len(tasks: &Tasks) -> usize {
    tasks.values().map(BTreeSet::len).sum()
}

fn meets(tasks: &Tasks, others: &Tasks) -> bool {
    tasks.iter().any(|(subtopology, partitions)| {
        others.get(subtopology).is_some_and(|others| !partitions.is_disjoint(others))
    })
}

fn is_within(tasks: &Tasks, others: &Tasks) -> bool {
    tasks.iter().all(|(subtopology, partitions)| {
        others.get(subtopology).is_some_and(|others| partitions.is_subset(others))
    })
}

fn merge(tasks: &mut Tasks, others: Tasks) {
    for (subtopology, partitions) in others {
        tasks.entry(subtopology).or_default().extend(partitions);
    }
}
