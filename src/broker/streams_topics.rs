//! The internal topics of streams applications (KIP-1071): made when their group says that they are missing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottla_protocol::StrBytes;
use ottla_protocol::messages::TopicName;
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use tracing::{info, warn};

use super::Broker;
use crate::coordinator::group::streams::InternalTopic;
use crate::metadata::TopicError;

/// How many topics are remembered at most: a topology may name many that can never be made.
const MAX_ATTEMPTS: usize = 10_000;

/// What became of topics that were asked for lately.
#[derive(Debug, Default)]
pub struct StreamsTopics {
    attempts: Mutex<HashMap<StrBytes, Attempt>>,
}

#[derive(Debug)]
enum Attempt {
    UnderWay,
    /// Not to be tried again before then.
    Failed {
        message: String,
        until_ms: i64,
    },
}

impl Broker {
    /// Starts to make missing topics, but for those that failed within the last `retry_ms`. Returns why those did.
    pub fn make_streams_topics(
        self: &Arc<Self>,
        topics: BTreeMap<StrBytes, InternalTopic>,
        retry_ms: i64,
    ) -> Vec<(StrBytes, String)> {
        let now_ms = self.clock.now_ms();
        let mut attempts = self.streams_topics.lock();
        attempts.retain(|_, attempt| match attempt {
            Attempt::UnderWay => true,
            Attempt::Failed { until_ms, .. } => now_ms < *until_ms,
        });
        let mut failed = Vec::new();
        let mut new = Vec::new();
        for (name, topic) in topics {
            match attempts.get(&name) {
                Some(Attempt::UnderWay) => {}
                Some(Attempt::Failed { message, .. }) => failed.push((name, message.clone())),
                None if attempts.len() >= MAX_ATTEMPTS => {}
                None => {
                    attempts.insert(name, Attempt::UnderWay);
                    new.push(creatable(topic));
                }
            }
        }
        drop(attempts);
        if !new.is_empty() {
            tokio::spawn(Arc::clone(self).create_streams_topics(new, now_ms.saturating_add(retry_ms)));
        }
        failed
    }

    async fn create_streams_topics(self: Arc<Self>, topics: Vec<CreatableTopic>, retry_at_ms: i64) {
        let names: Vec<StrBytes> = topics.iter().map(|topic| topic.name.0.clone()).collect();
        let results = self.cluster.create_topics(topics, false).await;
        let mut attempts = self.streams_topics.lock();
        for name in &names {
            attempts.remove(name);
        }
        let failures: Vec<(StrBytes, String)> = match results {
            Err(error) => names.into_iter().map(|name| (name, error.to_string())).collect(),
            Ok(results) => {
                let failure = |(name, result): (StrBytes, Result<_, TopicError>)| match result {
                    Ok(_) => {
                        info!(topic = &*name, "made a topic for a streams application");
                        None
                    }
                    // Somebody else was quicker.
                    Err(TopicError::AlreadyExists(_)) => None,
                    Err(error) => Some((name, error.to_string())),
                };
                results.into_iter().filter_map(failure).collect()
            }
        };
        for (name, message) in failures {
            warn!(topic = &*name, message, "a topic of a streams application could not be made");
            attempts.insert(name, Attempt::Failed { message, until_ms: retry_at_ms });
        }
    }
}

impl StreamsTopics {
    fn lock(&self) -> MutexGuard<'_, HashMap<StrBytes, Attempt>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn creatable(topic: InternalTopic) -> CreatableTopic {
    let config = |(name, value)| CreatableTopicConfig::default().with_name(name).with_value(Some(value));
    CreatableTopic::default()
        .with_name(TopicName(topic.name))
        .with_num_partitions(topic.partitions)
        .with_replication_factor(if topic.replication_factor == 0 { -1 } else { topic.replication_factor })
        .with_configs(topic.configs.into_iter().map(config).collect())
}
