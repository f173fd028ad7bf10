use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::*;

#[test]
fn results_are_those_of_kafka() {
    let cases = reference::cases(include_str!("reference.txt"));
    assert!(cases.len() > 100);
    for case in cases {
        let got = assign(case.assignor, &case.members, &case.topics);
        assert_eq!(got, case.expected, "{case:#?}");
    }
}

#[test]
fn names_lead_to_assignors_and_back() {
    for assignor in Assignor::ALL {
        assert_eq!(Assignor::by_name(assignor.name()), Some(assignor));
    }
    assert_eq!(Assignor::by_name("simple"), None);
}

/// Groups of up to 20 members that come, go and change their subscriptions, topics that grow.
#[test]
fn assignments_are_whole_and_even_whatever_happens() {
    for seed in 1..400 {
        for assignor in ["uniform", "range", "simple"] {
            let mut history = History::new(seed);
            for _ in 0..8 {
                history.happen();
                history.check(assignor);
            }
        }
    }
}

#[test]
fn share_groups_get_only_partitions_that_are_initialized() {
    let topic = Uuid::from_u128(1);
    let member = |owned: &[i32]| MemberSubscription {
        topics: BTreeSet::from([topic]),
        owned: TopicPartitions::from([(topic, owned.iter().copied().collect())]),
        ..MemberSubscription::default()
    };
    let members =
        Members::from([(text("a"), member(&[0])), (text("b"), member(&[])), (text("c"), member(&[]))]);
    let assignment = simple::assign(&members, &|_| vec![2, 5]);
    let all = |index: i32| {
        let has =
            |partitions: &&TopicPartitions| partitions.get(&topic).is_some_and(|it| it.contains(&index));
        assignment.values().filter(has).count()
    };
    assert_eq!([all(0), all(2), all(5)], [0, 2, 2]);
    assert_eq!(simple::assign(&members, &|_| Vec::new()).values().map(BTreeMap::len).sum::<usize>(), 0);
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn assign(assignor: &str, members: &Members, topics: &BTreeMap<Uuid, i32>) -> GroupAssignment {
    let partitions_of = |topic: Uuid| topics.get(&topic).copied().unwrap_or(0);
    match Assignor::by_name(assignor) {
        Some(assignor) => assignor.assign(members, &partitions_of),
        None => simple::assign(members, &|topic| (0..partitions_of(topic)).collect()),
    }
}

/// `reference.txt`.
mod reference {
    use super::*;

    #[derive(Debug)]
    pub struct Case {
        pub assignor: &'static str,
        pub topics: BTreeMap<Uuid, i32>,
        pub members: Members,
        pub expected: GroupAssignment,
    }

    pub fn cases(file: &'static str) -> Vec<Case> {
        let mut cases: Vec<Case> = Vec::new();
        for line in file.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&'static str> = line.split_whitespace().collect();
            match &words[..] {
                [id, instance, "subscribes", topics, "has", owned, "gets", expected] => {
                    let case = cases.last_mut().expect("a case's first line");
                    let member = MemberSubscription {
                        instance_id: (*instance != "-").then(|| text(instance)),
                        rack: None,
                        topics: topics.split(',').filter(|topic| *topic != "-").map(topic).collect(),
                        owned: partitions(owned),
                    };
                    case.members.insert(text(id), member);
                    case.expected.insert(text(id), partitions(expected));
                }
                [assignor, "topics", topics @ ..] => {
                    let count = |word: &&str| {
                        let (id, count) = word.split_once(':').expect("id:partitions");
                        (topic(id), count.parse().expect("a number"))
                    };
                    let topics = topics.iter().map(count).collect();
                    let (members, expected) = (Members::new(), GroupAssignment::new());
                    cases.push(Case { assignor, topics, members, expected });
                }
                _ => panic!("{line}"),
            }
        }
        cases
    }

    fn topic(id: &str) -> Uuid {
        Uuid::from_u128(id.parse().expect("a number"))
    }

    fn partitions(list: &str) -> TopicPartitions {
        let one = |entry: &str| {
            let (id, indexes) = entry.split_once(':').expect("topic:partitions");
            (topic(id), indexes.split(',').map(|index| index.parse().expect("a number")).collect())
        };
        list.split(';').filter(|entry| *entry != "-").map(one).collect()
    }
}

/// A group's life.
struct History {
    seed: u64,
    chance: u64,
    topics: BTreeMap<Uuid, i32>,
    members: Members,
    joined: usize,
    is_homogeneous: bool,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut history = History {
            seed,
            chance: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            topics: BTreeMap::new(),
            members: Members::new(),
            joined: 0,
            is_homogeneous: false,
        };
        history.is_homogeneous = history.below(2) == 0;
        for topic in 0..1 + history.below(6) as u128 {
            let partitions = history.below(20) as i32;
            history.topics.insert(Uuid::from_u128(topic << 100 | 7), partitions);
        }
        history
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 11) % limit
    }

    fn happen(&mut self) {
        for _ in 0..self.below(4) {
            let topics: Vec<Uuid> = self.topics.keys().copied().collect();
            let topics = topics.into_iter().filter(|_| self.is_homogeneous || self.below(2) == 0).collect();
            self.joined += 1;
            let id = text(&format!("{}-{}", self.below(10), self.joined));
            if self.members.len() < 20 {
                self.members.insert(id, MemberSubscription { topics, ..MemberSubscription::default() });
            }
        }
        if self.below(2) == 0 && !self.members.is_empty() {
            let nth = self.below(self.members.len() as u64) as usize;
            let id = self.members.keys().nth(nth).cloned().expect("it is there");
            self.members.remove(&id);
        }
        if self.below(3) == 0 {
            let nth = self.below(self.topics.len() as u64) as usize;
            *self.topics.values_mut().nth(nth).expect("it is there") += 3;
        }
    }

    /// Assigns twice: the first result is checked, the second must be the first.
    fn check(&mut self, assignor: &str) {
        let members = self.members.clone();
        let assignment = assign(assignor, &members, &self.topics);
        let place = format!("seed {}, {assignor}", self.seed);
        assert_eq!(assignment, assign(assignor, &members, &self.topics), "{place}");
        let mut held: BTreeMap<(Uuid, i32), usize> = BTreeMap::new();
        for (id, partitions) in &assignment {
            assert!(partitions.keys().all(|topic| members[id].topics.contains(topic)), "{place}");
            for (topic, indexes) in partitions {
                assert!(!indexes.is_empty(), "{place}");
                indexes.iter().for_each(|index| *held.entry((*topic, *index)).or_default() += 1);
            }
        }
        let read: BTreeSet<&Uuid> = members.values().flat_map(|member| &member.topics).collect();
        let all = read.into_iter().flat_map(|topic| (0..self.topics[topic]).map(|index| (*topic, index)));
        assert_eq!(held.keys().copied().collect::<Vec<_>>(), all.collect::<Vec<_>>(), "{place}");
        if assignor != "simple" {
            assert!(held.values().all(|holders| *holders == 1), "{place}");
        }
        self.check_even(assignor, &assignment, &place);
        for (id, owned) in assignment.clone() {
            self.members.get_mut(&id).expect("a member").owned = owned;
        }
        // Kafka's balancing of overlapping subscriptions stops after some rounds, not when all is even.
        if assignor == "range" || self.is_homogeneous {
            let again = assign(assignor, &self.members, &self.topics);
            assert_eq!(again, assignment, "what is settled does not move: {place}");
        }
    }

    fn check_even(&self, assignor: &str, assignment: &GroupAssignment, place: &str) {
        let spread = |sizes: &mut dyn Iterator<Item = usize>| {
            let sizes: Vec<usize> = sizes.collect();
            sizes.iter().max().copied().unwrap_or(0) - sizes.iter().min().copied().unwrap_or(0)
        };
        if assignor != "range" && self.is_homogeneous {
            let mut sizes =
                assignment.values().map(|partitions| partitions.values().map(BTreeSet::len).sum());
            assert!(spread(&mut sizes) <= 1, "{place}: {assignment:?}");
        }
        if assignor == "range" {
            for topic in self.topics.keys() {
                let subscribers =
                    assignment.iter().filter(|(id, _)| self.members[*id].topics.contains(topic));
                let mut sizes =
                    subscribers.map(|(_, partitions)| partitions.get(topic).map_or(0, BTreeSet::len));
                assert!(spread(&mut sizes) <= 1, "{place}: {assignment:?}");
            }
        }
    }
}
