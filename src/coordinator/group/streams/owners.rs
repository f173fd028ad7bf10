//! Which process has which task: what a member waits for when it wants a task.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;

use super::tasks::{AssignedTasks, Tasks};

/// Processes by task: what follows from the members' current assignments, kept up with each of their records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    active: BTreeMap<StrBytes, BTreeMap<i32, StrBytes>>,
    standby: Copies,
    warmup: Copies,
}

type Copies = BTreeMap<StrBytes, BTreeMap<i32, BTreeSet<StrBytes>>>;

impl Owners {
    /// The process that works on a task.
    pub fn active(&self, subtopology: &StrBytes, partition: i32) -> Option<&StrBytes> {
        self.active.get(subtopology)?.get(&partition)
    }

    /// Whether a process keeps a task warm, or catches up with it.
    pub fn has_copy(&self, process_id: &StrBytes, subtopology: &StrBytes, partition: i32) -> bool {
        [&self.standby, &self.warmup].into_iter().any(|copies| {
            let processes = copies.get(subtopology).and_then(|partitions| partitions.get(&partition));
            processes.is_some_and(|processes| processes.contains(process_id))
        })
    }

    pub fn add(&mut self, tasks: &AssignedTasks, process_id: &StrBytes) {
        for (subtopology, epochs) in &tasks.active {
            let owners = self.active.entry(subtopology.clone()).or_default();
            owners.extend(epochs.keys().map(|partition| (*partition, process_id.clone())));
        }
        add_copies(&mut self.standby, &tasks.standby, process_id);
        add_copies(&mut self.warmup, &tasks.warmup, process_id);
    }

    /// Takes tasks from a process. Another that has one in the meantime keeps it.
    pub fn remove(&mut self, tasks: &AssignedTasks, process_id: &StrBytes) {
        for (subtopology, epochs) in &tasks.active {
            if let Some(owners) = self.active.get_mut(subtopology) {
                owners.retain(|partition, owner| owner != process_id || !epochs.contains_key(partition));
                if owners.is_empty() {
                    self.active.remove(subtopology);
                }
            }
        }
        remove_copies(&mut self.standby, &tasks.standby, process_id);
        remove_copies(&mut self.warmup, &tasks.warmup, process_id);
    }
}

fn add_copies(copies: &mut Copies, tasks: &Tasks, process_id: &StrBytes) {
    for (subtopology, partitions) in tasks {
        let owners = copies.entry(subtopology.clone()).or_default();
        for partition in partitions {
            owners.entry(*partition).or_default().insert(process_id.clone());
        }
    }
}

fn remove_copies(copies: &mut Copies, tasks: &Tasks, process_id: &StrBytes) {
    for (subtopology, partitions) in tasks {
        let Some(owners) = copies.get_mut(subtopology) else {
            continue;
        };
        for partition in partitions {
            if let Some(processes) = owners.get_mut(partition) {
                processes.remove(process_id);
                if processes.is_empty() {
                    owners.remove(partition);
                }
            }
        }
        if owners.is_empty() {
            copies.remove(subtopology);
        }
    }
}
