//! A topology beside the topics that there are: how many tasks each subtopology has, which internal topics are to be
//! made with how many partitions, and what stands in the way. Pure; worked out anew when the topics change.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;

use super::topology::{InternalTopic, Subtopology, Topology};
use crate::coordinator::ClusterView;

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfiguredTopology {
    /// By id. Empty if the problem kept them from being worked out.
    pub subtopologies: BTreeMap<StrBytes, ConfiguredSubtopology>,
    /// Internal topics that are missing.
    pub to_create: BTreeMap<StrBytes, InternalTopic>,
    /// Why tasks cannot be assigned yet.
    pub problem: Option<TopicProblem>,
}

/// A subtopology whose numbers are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredSubtopology {
    /// One for each partition of its widest source.
    pub tasks: i32,
    /// With the repartition topics that it reads.
    pub source_topics: BTreeSet<StrBytes>,
    /// By name, with their partitions.
    pub repartition_source_topics: BTreeMap<StrBytes, InternalTopic>,
    pub state_changelog_topics: BTreeMap<StrBytes, InternalTopic>,
}

/// What an application's topics lack. Its members are told so in their heartbeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicProblem {
    MissingSource(String),
    IncorrectlyPartitioned(String),
    MissingInternal(String),
}

/// Why a topology cannot be configured: it can never be (the message says why), or not with the present topics.
enum Obstacle {
    Invalid(String),
    Problem(TopicProblem),
}

impl ConfiguredTopology {
    /// Whether tasks can be assigned.
    pub fn is_ready(&self) -> bool {
        self.problem.is_none()
    }

    /// Fails, with what is wrong, for a topology that no topics could satisfy.
    pub fn new(topology: &Topology, view: &dyn ClusterView) -> Result<ConfiguredTopology, String> {
        match configure(topology, view) {
            Ok(configured) => Ok(configured),
            Err(Obstacle::Invalid(message)) => Err(message),
            Err(Obstacle::Problem(problem)) => {
                Ok(ConfiguredTopology { problem: Some(problem), ..ConfiguredTopology::default() })
            }
        }
    }
}

impl ConfiguredSubtopology {
    /// Only tasks with state have standbys.
    pub fn is_stateful(&self) -> bool {
        !self.state_changelog_topics.is_empty()
    }
}

fn configure(topology: &Topology, view: &dyn ClusterView) -> Result<ConfiguredTopology, Obstacle> {
    check_source_topics(topology, view)?;
    let mut counts = Counts { view, decided: BTreeMap::new() };
    decide_repartition_topics(topology, &mut counts)?;
    enforce_copartitioning(topology, &mut counts)?;
    decide_changelog_topics(topology, &mut counts)?;

    let mut subtopologies = BTreeMap::new();
    for subtopology in &topology.subtopologies {
        subtopologies.insert(subtopology.id.clone(), configure_subtopology(subtopology, &counts)?);
    }
    let to_create = missing_internal_topics(&subtopologies, view)?;
    let problem = (!to_create.is_empty()).then(|| {
        let names = summary(to_create.keys());
        TopicProblem::MissingInternal(format!("Internal topics are missing: {names}"))
    });
    Ok(ConfiguredTopology { subtopologies, to_create, problem })
}

/// Partitions by topic: those that there are, then those that were decided.
struct Counts<'a> {
    view: &'a dyn ClusterView,
    decided: BTreeMap<StrBytes, i32>,
}

impl Counts<'_> {
    fn get(&self, topic: &StrBytes) -> Option<i32> {
        let existing = self.view.topic(topic).map(|topic| topic.partitions);
        existing.or_else(|| self.decided.get(topic).copied())
    }

    fn of(&self, topic: &StrBytes) -> Result<i32, Obstacle> {
        let message = || Obstacle::Invalid(format!("Nothing is known of topic {}.", topic.as_str()));
        self.get(topic).ok_or_else(message)
    }

    /// The most partitions of a subtopology's sources.
    fn widest_source(&self, subtopology: &Subtopology) -> Result<i32, Obstacle> {
        let mut widest = 0;
        for source in subtopology.sources() {
            widest = widest.max(self.of(source)?);
        }
        match widest {
            0 => {
                let id = subtopology.id.as_str();
                Err(Obstacle::Invalid(format!("No source topics found for subtopology {id}")))
            }
            widest => Ok(widest),
        }
    }
}

fn check_source_topics(topology: &Topology, view: &dyn ClusterView) -> Result<(), Obstacle> {
    let sources = topology.subtopologies.iter().flat_map(|it| &it.source_topics);
    let missing: BTreeSet<&StrBytes> = sources.filter(|topic| view.topic(topic).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("Source topics {} are missing.", summary(missing));
    Err(Obstacle::Problem(TopicProblem::MissingSource(message)))
}

/// A repartition topic has as many partitions as the widest source of the subtopology that writes it, unless it says
/// a number of its own. That source may be a repartition topic itself, so this goes on until nothing is left.
fn decide_repartition_topics(topology: &Topology, counts: &mut Counts<'_>) -> Result<(), Obstacle> {
    let mut decided: BTreeMap<StrBytes, i32> = BTreeMap::new();
    let repartition_sources = || topology.subtopologies.iter().flat_map(|it| &it.repartition_source_topics);
    for topic in repartition_sources().filter(|topic| topic.partitions != 0) {
        decided.insert(topic.name.clone(), topic.partitions);
    }
    loop {
        let mut is_waiting = false;
        let mut has_progressed = false;
        for subtopology in &topology.subtopologies {
            for sink in &subtopology.repartition_sink_topics {
                if decided.contains_key(sink) {
                    continue;
                }
                let repartition = subtopology.repartition_source_topics.iter();
                let repartition = repartition.filter_map(|topic| decided.get(&topic.name).copied());
                let own = subtopology.source_topics.iter().filter_map(|topic| counts.get(topic));
                match repartition.chain(own).max() {
                    Some(partitions) => {
                        decided.insert(sink.clone(), partitions);
                        has_progressed = true;
                    }
                    None => is_waiting = true,
                }
            }
        }
        if !is_waiting {
            break;
        }
        if !has_progressed {
            return Err(Obstacle::Invalid(
                "Failed to compute number of partitions for all repartition topics. There may be loops in the \
                 topology that cannot be resolved."
                    .to_owned(),
            ));
        }
    }
    if repartition_sources().any(|topic| !decided.contains_key(&topic.name)) {
        return Err(Obstacle::Invalid(
            "Failed to compute number of partitions for all repartition topics, because a repartition source topic \
             is never used as a sink topic."
                .to_owned(),
        ));
    }
    counts.decided.extend(decided);
    Ok(())
}

/// Gives the repartition topics of each copartition group the same number of partitions as its other topics have.
fn enforce_copartitioning(topology: &Topology, counts: &mut Counts<'_>) -> Result<(), Obstacle> {
    let repartition_sources = topology.subtopologies.iter().flat_map(|it| &it.repartition_source_topics);
    let (fixed, flexible): (Vec<&InternalTopic>, Vec<&InternalTopic>) =
        repartition_sources.partition(|topic| topic.partitions != 0);
    let names = |topics: Vec<&InternalTopic>| -> BTreeSet<StrBytes> {
        topics.into_iter().map(|topic| topic.name.clone()).collect()
    };
    let (fixed, flexible) = (names(fixed), names(flexible));
    for subtopology in &topology.subtopologies {
        for group in &subtopology.copartition_groups {
            let decided = enforce_group(&subtopology.copartitioned(group), &fixed, &flexible, counts)?;
            counts.decided.extend(decided);
        }
    }
    Ok(())
}

fn enforce_group(
    topics: &BTreeSet<&StrBytes>,
    fixed: &BTreeSet<StrBytes>,
    flexible: &BTreeSet<StrBytes>,
    counts: &Counts<'_>,
) -> Result<BTreeMap<StrBytes, i32>, Obstacle> {
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut repartition = BTreeMap::new();
    let mut own = BTreeMap::new();
    for topic in topics {
        let is_repartition = fixed.contains(*topic) || flexible.contains(*topic);
        let side = if is_repartition { &mut repartition } else { &mut own };
        side.insert((*topic).clone(), counts.of(topic)?);
    }
    // As in Kafka, a number fixed anywhere in the topology binds a group of repartition topics alone.
    let partitions = match own.values().next() {
        Some(_) => same_partitions(&own, &own)?,
        None if fixed.is_empty() => repartition.values().copied().max().unwrap_or(0),
        None => {
            let fixed: Result<BTreeMap<StrBytes, i32>, Obstacle> =
                fixed.iter().map(|topic| Ok((topic.clone(), counts.of(topic)?))).collect();
            same_partitions(&fixed?, &repartition)?
        }
    };
    for (topic, found) in repartition.iter_mut() {
        if fixed.contains(topic) && *found != partitions {
            return Err(incorrectly_partitioned(format!(
                "Number of partitions [{found}] of repartition topic [{}] doesn't match number of partitions \
                 [{partitions}] of the source topic.",
                topic.as_str()
            )));
        }
        *found = partitions;
    }
    Ok(repartition)
}

/// The number of partitions that all `topics` have; `shown` are those in the message if they differ.
fn same_partitions(
    topics: &BTreeMap<StrBytes, i32>,
    shown: &BTreeMap<StrBytes, i32>,
) -> Result<i32, Obstacle> {
    let first = topics.values().next().copied().unwrap_or(0);
    if topics.values().all(|partitions| *partitions == first) {
        return Ok(first);
    }
    let shown: Vec<String> = shown.iter().map(|(topic, n)| format!("{}={n}", topic.as_str())).collect();
    Err(incorrectly_partitioned(format!(
        "Following topics do not have the same number of partitions: [{{{}}}]",
        shown.join(", ")
    )))
}

fn decide_changelog_topics(topology: &Topology, counts: &mut Counts<'_>) -> Result<(), Obstacle> {
    let mut decided = BTreeMap::new();
    for subtopology in &topology.subtopologies {
        let partitions = counts.widest_source(subtopology)?;
        for changelog in &subtopology.state_changelog_topics {
            decided.insert(changelog.name.clone(), partitions);
        }
    }
    counts.decided.extend(decided);
    Ok(())
}

fn configure_subtopology(
    subtopology: &Subtopology,
    counts: &Counts<'_>,
) -> Result<ConfiguredSubtopology, Obstacle> {
    let with_partitions = |topic: &InternalTopic| {
        let decided = counts.decided.get(&topic.name).copied().unwrap_or(0);
        let partitions = if topic.partitions == 0 { decided } else { topic.partitions };
        (topic.name.clone(), InternalTopic { partitions, ..topic.clone() })
    };
    Ok(ConfiguredSubtopology {
        tasks: counts.widest_source(subtopology)?,
        source_topics: subtopology.sources().cloned().collect(),
        repartition_source_topics: subtopology
            .repartition_source_topics
            .iter()
            .map(with_partitions)
            .collect(),
        state_changelog_topics: subtopology.state_changelog_topics.iter().map(with_partitions).collect(),
    })
}

/// The internal topics that are not there; those that are there must have the partitions that were worked out.
fn missing_internal_topics(
    subtopologies: &BTreeMap<StrBytes, ConfiguredSubtopology>,
    view: &dyn ClusterView,
) -> Result<BTreeMap<StrBytes, InternalTopic>, Obstacle> {
    let mut missing = BTreeMap::new();
    let internal = subtopologies
        .values()
        .flat_map(|it| it.repartition_source_topics.values().chain(it.state_changelog_topics.values()));
    for topic in internal {
        match view.topic(&topic.name) {
            None => {
                missing.insert(topic.name.clone(), topic.clone());
            }
            Some(existing) if existing.partitions != topic.partitions => {
                return Err(incorrectly_partitioned(format!(
                    "Existing topic {} has different number of partitions: expected {}, found {}",
                    topic.name.as_str(),
                    topic.partitions,
                    existing.partitions
                )));
            }
            Some(_) => {}
        }
    }
    Ok(missing)
}

fn incorrectly_partitioned(message: String) -> Obstacle {
    Obstacle::Problem(TopicProblem::IncorrectlyPartitioned(message))
}

/// A few names, and how many there are beside them.
fn summary<'a>(topics: impl IntoIterator<Item = &'a StrBytes>) -> String {
    const SHOWN: usize = 3;
    let names: Vec<&str> = topics.into_iter().map(|topic| topic.as_str()).collect();
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} additional topics"),
    }
}
