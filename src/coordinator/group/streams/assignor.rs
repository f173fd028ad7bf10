//! The sticky task assignor: shares a topology's tasks among the members of a group. Pure.
//!
//! A task stays with the member that had it, then goes to one that kept it warm, then to the process with the least
//! load; standby tasks likewise. No two of a task's copies are on one process. Where loads are equal the smaller id
//! wins, so that the same members always come to the same result.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use ottla_protocol::StrBytes;

use super::tasks::{TaskSet, put};

/// A member that tasks can be given to, and its last target.
#[derive(Debug, Clone)]
pub struct MemberSpec<'a> {
    /// The application's instance that it is a thread of.
    pub process_id: &'a StrBytes,
    pub target: &'a TaskSet,
}

/// A subtopology with the number of its tasks.
#[derive(Debug, Clone)]
pub struct SubtopologySpec<'a> {
    pub id: &'a StrBytes,
    pub tasks: i32,
    /// Only tasks with state have standbys.
    pub is_stateful: bool,
}

/// What each member shall have. Members that get nothing are there too.
pub fn assign(
    members: &BTreeMap<StrBytes, MemberSpec<'_>>,
    subtopologies: &[SubtopologySpec<'_>],
    standby_replicas: usize,
) -> BTreeMap<StrBytes, TaskSet> {
    let mut assignment = Assignment::new(members, subtopologies, standby_replicas);
    if !members.is_empty() {
        assignment.assign_active(subtopologies);
        if standby_replicas > 0 {
            assignment.assign_standby(subtopologies, standby_replicas);
        }
    }
    assignment.into_task_sets()
}

/// Subtopology and partition.
type Task<'a> = (&'a StrBytes, i32);

/// Whether a member works on a task or keeps it warm.
#[derive(Clone, Copy)]
enum Role {
    Active,
    Standby,
}

struct Assignment<'a> {
    members: Vec<Member<'a>>,
    processes: Vec<Process<'a>>,
    /// Who had a task, by place in `members`.
    last_active: BTreeMap<Task<'a>, usize>,
    last_standby: BTreeMap<Task<'a>, Vec<usize>>,
    active_quota: Quota,
    quota: Quota,
}

struct Member<'a> {
    id: &'a StrBytes,
    process: usize,
    tasks: usize,
    assigned: TaskSet,
}

struct Process<'a> {
    members: Vec<usize>,
    tasks: BTreeSet<Task<'a>>,
    /// Active and standby tasks of all its members.
    task_count: usize,
}

/// How many tasks a member may have before others must have more: what is left, divided by the members that are not
/// full yet, rounded up.
struct Quota {
    tasks: usize,
    members: usize,
    per_member: usize,
}

impl Quota {
    fn new(tasks: usize, members: usize) -> Quota {
        let per_member = if members == 0 { 0 } else { tasks.div_ceil(members) };
        Quota { tasks, members, per_member }
    }

    /// A member has that many tasks now: if it is full, the others share the rest.
    fn count(&mut self, tasks_of_member: usize) {
        if tasks_of_member == self.per_member {
            let tasks = self.tasks.saturating_sub(tasks_of_member);
            *self = Quota::new(tasks, self.members.saturating_sub(1));
        }
    }
}

impl<'a> Assignment<'a> {
    fn new(
        members: &'a BTreeMap<StrBytes, MemberSpec<'_>>,
        subtopologies: &[SubtopologySpec<'_>],
        standby_replicas: usize,
    ) -> Assignment<'a> {
        let count = |tasks: i32| usize::try_from(tasks).unwrap_or(0);
        let active_tasks: usize = subtopologies.iter().map(|it| count(it.tasks)).sum();
        let stateful = subtopologies.iter().filter(|it| it.is_stateful);
        let standby_tasks: usize = stateful.map(|it| count(it.tasks).saturating_mul(standby_replicas)).sum();
        let mut assignment = Assignment {
            members: Vec::with_capacity(members.len()),
            processes: Vec::new(),
            last_active: BTreeMap::new(),
            last_standby: BTreeMap::new(),
            active_quota: Quota::new(active_tasks, members.len()),
            quota: Quota::new(active_tasks.saturating_add(standby_tasks), members.len()),
        };
        let mut processes: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for (index, (id, spec)) in members.iter().enumerate() {
            let process = *processes.entry(spec.process_id).or_insert_with(|| {
                let process = Process { members: Vec::new(), tasks: BTreeSet::new(), task_count: 0 };
                assignment.processes.push(process);
                assignment.processes.len() - 1
            });
            assignment.processes[process].members.push(index);
            assignment.members.push(Member { id, process, tasks: 0, assigned: TaskSet::default() });
            for (subtopology, partitions) in &spec.target.active {
                for partition in partitions {
                    assignment.last_active.insert((subtopology, *partition), index);
                }
            }
            for (subtopology, partitions) in &spec.target.standby {
                for partition in partitions {
                    assignment.last_standby.entry((subtopology, *partition)).or_default().push(index);
                }
            }
        }
        assignment
    }

    fn assign_active(&mut self, subtopologies: &[SubtopologySpec<'a>]) {
        let mut tasks = tasks_of(subtopologies.iter());
        tasks.sort_by_key(|(subtopology, partition)| (*partition, *subtopology));
        tasks.retain(|task| {
            let last = self.last_active.get(task).copied();
            !last.is_some_and(|member| self.keeps_active(member, *task))
        });
        tasks.retain(|task| {
            let last = self.least_loaded_standby(*task, Role::Active);
            !last.is_some_and(|member| self.keeps_active(member, *task))
        });
        tasks.sort_unstable();
        let mut by_load = self.processes_by_load();
        for task in tasks {
            if let Some(Reverse((_, process))) = by_load.pop() {
                self.add(self.least_loaded_member(process), task, Role::Active);
                by_load.push(Reverse((self.load(process), process)));
            }
        }
    }

    /// Gives an active task back to its member, unless that has its share already.
    fn keeps_active(&mut self, member: usize, task: Task<'a>) -> bool {
        let has_room = self.members[member].tasks < self.active_quota.per_member;
        if has_room {
            self.add(member, task, Role::Active);
        }
        has_room
    }

    fn assign_standby(&mut self, subtopologies: &[SubtopologySpec<'a>], replicas: usize) {
        let mut tasks = tasks_of(subtopologies.iter().filter(|it| it.is_stateful));
        tasks.sort_by_key(|(subtopology, partition)| Reverse((*partition, *subtopology)));
        let mut rest: Vec<(Task<'a>, usize)> = Vec::new();
        for task in tasks {
            for replica in 0..replicas {
                if !self.keeps_standby(task) {
                    rest.push((task, replicas - replica));
                    break;
                }
            }
        }
        rest.sort_by_key(|(task, _)| Reverse(*task));
        let mut by_load = self.processes_by_load();
        for (task, replicas) in rest {
            for _ in 0..replicas {
                if !self.add_standby_to_least_loaded(&mut by_load, task) {
                    break; // There are too few processes for so many copies.
                }
            }
        }
    }

    /// Gives a standby task to the member that worked on it, or to one that kept it warm.
    fn keeps_standby(&mut self, task: Task<'a>) -> bool {
        let last_active = self.last_active.get(&task).copied();
        let last_active = last_active.filter(|member| !self.has(self.members[*member].process, task));
        if let Some(member) = last_active.filter(|member| self.has_room(*member)) {
            self.add(member, task, Role::Standby);
            return true;
        }
        let last_standby = self.least_loaded_standby(task, Role::Standby);
        if let Some(member) = last_standby.filter(|member| self.has_room(*member)) {
            self.add(member, task, Role::Standby);
            return true;
        }
        false
    }

    fn add_standby_to_least_loaded(
        &mut self,
        by_load: &mut BinaryHeap<Reverse<(Load, usize)>>,
        task: Task<'a>,
    ) -> bool {
        let mut passed = Vec::new();
        let mut is_added = false;
        while let Some(Reverse((load, process))) = by_load.pop() {
            if !self.has(process, task) {
                self.add(self.least_loaded_member(process), task, Role::Standby);
                passed.push(Reverse((self.load(process), process)));
                is_added = true;
                break;
            }
            passed.push(Reverse((load, process)));
        }
        by_load.extend(passed);
        is_added
    }

    /// Of those that kept a task warm, the one with the least load. For a standby task, a process that has the task
    /// already is passed over.
    fn least_loaded_standby(&self, task: Task<'a>, role: Role) -> Option<usize> {
        let members = self.last_standby.get(&task)?;
        let is_free = |member: usize| match role {
            Role::Active => true,
            Role::Standby => !self.has(self.members[member].process, task),
        };
        let first = *members.first()?;
        let mut best = first;
        for member in members.iter().copied().skip(1) {
            let is_less = self.load(self.members[member].process) < self.load(self.members[best].process)
                && self.members[member].tasks < self.members[best].tasks;
            if is_less && is_free(member) {
                best = member;
            }
        }
        // As in Kafka, the first one's process decides, whichever was found.
        is_free(first).then_some(best)
    }

    fn least_loaded_member(&self, process: usize) -> usize {
        let members = self.processes[process].members.iter().copied();
        members.min_by_key(|member| (self.members[*member].tasks, *member)).unwrap_or(0)
    }

    fn add(&mut self, member: usize, task: Task<'a>, role: Role) {
        let to = &mut self.members[member];
        to.tasks += 1;
        let kind = match role {
            Role::Active => &mut to.assigned.active,
            Role::Standby => &mut to.assigned.standby,
        };
        put(kind, task.0, task.1);
        let tasks = to.tasks;
        let process = &mut self.processes[to.process];
        process.tasks.insert(task);
        process.task_count += 1;
        if let Role::Active = role {
            self.active_quota.count(tasks);
        }
        self.quota.count(tasks);
    }

    fn has(&self, process: usize, task: Task<'a>) -> bool {
        self.processes[process].tasks.contains(&task)
    }

    fn has_room(&self, member: usize) -> bool {
        self.members[member].tasks < self.quota.per_member
    }

    fn load(&self, process: usize) -> Load {
        Load { tasks: self.processes[process].task_count, members: self.processes[process].members.len() }
    }

    fn processes_by_load(&self) -> BinaryHeap<Reverse<(Load, usize)>> {
        (0..self.processes.len()).map(|process| Reverse((self.load(process), process))).collect()
    }

    fn into_task_sets(self) -> BTreeMap<StrBytes, TaskSet> {
        self.members.into_iter().map(|member| (member.id.clone(), member.assigned)).collect()
    }
}

/// Tasks per member of a process.
#[derive(Clone, Copy)]
struct Load {
    tasks: usize,
    members: usize,
}

impl Ord for Load {
    fn cmp(&self, other: &Load) -> std::cmp::Ordering {
        (self.tasks * other.members).cmp(&(other.tasks * self.members))
    }
}

impl PartialOrd for Load {
    fn partial_cmp(&self, other: &Load) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Load {
    fn eq(&self, other: &Load) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Load {}

fn tasks_of<'a: 'b, 'b>(subtopologies: impl Iterator<Item = &'b SubtopologySpec<'a>>) -> Vec<Task<'a>> {
    subtopologies.flat_map(|it| (0..it.tasks).map(|partition| (it.id, partition))).collect()
}
