//! A streams application's topology, as far as the broker has to know it: which topics each of its subtopologies
//! reads, writes and keeps its state in. It comes with a member's first heartbeat and stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;

use super::super::hard::kept;

/// A topology. Its epoch tells newer versions of the application from older ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    pub epoch: i32,
    pub subtopologies: Vec<Subtopology>,
}

/// A part of a topology whose tasks can run apart from the others'.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subtopology {
    pub id: StrBytes,
    pub source_topics: Vec<StrBytes>,
    /// Regular expressions for source topics; Kafka 4.3 refuses them and keeps their place.
    pub source_topic_regex: Vec<StrBytes>,
    pub state_changelog_topics: Vec<InternalTopic>,
    pub repartition_sink_topics: Vec<StrBytes>,
    pub repartition_source_topics: Vec<InternalTopic>,
    pub copartition_groups: Vec<CopartitionGroup>,
}

/// A topic that the application needs and the broker makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InternalTopic {
    pub name: StrBytes,
    /// 0 where the broker works it out.
    pub partitions: i32,
    /// 0 for the broker's default.
    pub replication_factor: i16,
    pub configs: Vec<(StrBytes, StrBytes)>,
}

/// Sources of a subtopology that must have the same number of partitions, by their place in its lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopartitionGroup {
    pub source_topics: Vec<i16>,
    pub source_topic_regex: Vec<i16>,
    pub repartition_source_topics: Vec<i16>,
}

impl Topology {
    /// A copy that holds no request in memory.
    pub fn kept(&self) -> Topology {
        Topology {
            epoch: self.epoch,
            subtopologies: self.subtopologies.iter().map(Subtopology::kept).collect(),
        }
    }

    /// Whether both are the same, in whatever order the subtopologies are listed.
    pub fn is_same(&self, other: &Topology) -> bool {
        let by_id = |topology: &Topology| -> BTreeMap<StrBytes, Subtopology> {
            topology.subtopologies.iter().map(|it| (it.id.clone(), it.clone())).collect()
        };
        self.epoch == other.epoch && (self == other || by_id(self) == by_id(other))
    }

    /// All topics that it reads or keeps state in.
    pub fn required_topics(&self) -> BTreeSet<&StrBytes> {
        let changelogs = self.subtopologies.iter().flat_map(|it| &it.state_changelog_topics);
        let changelogs = changelogs.map(|topic| &topic.name);
        self.subtopologies.iter().flat_map(Subtopology::sources).chain(changelogs).collect()
    }

    /// The subtopology that reads a topic.
    pub fn subtopology_of(&self, topic: &str) -> Option<&Subtopology> {
        self.subtopologies.iter().find(|it| it.sources().any(|source| source.as_str() == topic))
    }

    /// What is wrong with the topology itself, whatever topics there are.
    pub fn check(&self) -> Result<(), String> {
        let mut ids = BTreeSet::new();
        for subtopology in &self.subtopologies {
            subtopology.check()?;
            if !ids.insert(&subtopology.id) {
                return Err(format!("Subtopology {} is there twice.", subtopology.id.as_str()));
            }
        }
        Ok(())
    }
}

impl InternalTopic {
    fn kept(&self) -> InternalTopic {
        let configs = self.configs.iter().map(|(key, value)| (kept(key), kept(value))).collect();
        InternalTopic { name: kept(&self.name), configs, ..*self }
    }
}

impl Subtopology {
    fn kept(&self) -> Subtopology {
        let all = |names: &[StrBytes]| names.iter().map(kept).collect();
        Subtopology {
            id: kept(&self.id),
            source_topics: all(&self.source_topics),
            source_topic_regex: all(&self.source_topic_regex),
            state_changelog_topics: self.state_changelog_topics.iter().map(InternalTopic::kept).collect(),
            repartition_sink_topics: all(&self.repartition_sink_topics),
            repartition_source_topics: self
                .repartition_source_topics
                .iter()
                .map(InternalTopic::kept)
                .collect(),
            copartition_groups: self.copartition_groups.clone(),
        }
    }

    /// The topics that it reads: its own and repartition topics.
    pub fn sources(&self) -> impl Iterator<Item = &StrBytes> {
        self.source_topics.iter().chain(self.repartition_source_topics.iter().map(|topic| &topic.name))
    }

    /// The names in a copartition group. [`Topology::check`] has made sure that they are there.
    pub fn copartitioned(&self, group: &CopartitionGroup) -> BTreeSet<&StrBytes> {
        let place = |index: &i16| usize::try_from(*index).unwrap_or(usize::MAX);
        let own = group.source_topics.iter().filter_map(|index| self.source_topics.get(place(index)));
        let repartition = group.repartition_source_topics.iter();
        let repartition = repartition.filter_map(|index| self.repartition_source_topics.get(place(index)));
        own.chain(repartition.map(|topic| &topic.name)).collect()
    }

    fn check(&self) -> Result<(), String> {
        for changelog in &self.state_changelog_topics {
            if changelog.partitions != 0 {
                return Err(format!(
                    "Changelog topic {} must have an undefined partition count, but it is set to {}.",
                    changelog.name.as_str(),
                    changelog.partitions
                ));
            }
        }
        if let Some(topic) = self.repartition_source_topics.iter().find(|topic| topic.partitions < 0) {
            return Err(format!("Repartition topic {} has no such partition count.", topic.name.as_str()));
        }
        let is_in = |index: &i16, length: usize| usize::try_from(*index).is_ok_and(|index| index < length);
        for group in &self.copartition_groups {
            let are_in = group.source_topics.iter().all(|index| is_in(index, self.source_topics.len()))
                && group
                    .repartition_source_topics
                    .iter()
                    .all(|index| is_in(index, self.repartition_source_topics.len()));
            if !are_in {
                return Err(format!("A copartition group of {} names no source topic.", self.id.as_str()));
            }
        }
        Ok(())
    }
}
