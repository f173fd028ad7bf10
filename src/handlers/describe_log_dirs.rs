//! DescribeLogDirs (35) v1-5. v3: an error of the whole; v4: bytes of the volume (KIP-827); v5: cordoned directories.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ottla_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use ottla_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use ottla_protocol::{ErrorCode, StrBytes};
use ottla_storage::{LogDir, LogId};

use super::Context;
use super::errors::Code;
use crate::metadata::Image;

/// What a log directory is called that is not on any disk.
const IN_MEMORY: &str = "memory";

/// The bytes of a directory that has failed.
const UNKNOWN: i64 = -1;

pub async fn handle(context: Context, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let broker = context.broker().clone();
    let described =
        tokio::task::spawn_blocking(move || broker.log_dirs(wanted(&broker.image(), request))).await;
    match described {
        Ok(Ok(dirs)) => {
            DescribeLogDirsResponse::default().with_results(dirs.into_iter().map(result).collect())
        }
        Ok(Err(error)) => failed(error.code()),
        // Only a panic of its own or the end of the runtime stops it.
        Err(_) => failed(ErrorCode::UnknownServerError),
    }
}

/// All partitions, or those of the request that exist.
fn wanted(image: &Image, request: DescribeLogDirsRequest) -> Vec<LogId> {
    let log = |name: &str, topic_id, partition| LogId { topic: name.into(), topic_id, partition };
    let mut ids = Vec::new();
    match request.topics {
        None => {
            for topic in image.topics() {
                ids.extend((0..topic.partition_count()).map(|index| log(&topic.name, topic.id, index)));
            }
        }
        Some(topics) => {
            for wanted in topics {
                let Some(topic) = image.topic(&wanted.topic) else { continue };
                let indexes: BTreeSet<i32> = wanted.partitions.into_iter().collect();
                let known = indexes.into_iter().filter(|index| topic.partition(*index).is_some());
                ids.extend(known.map(|index| log(&topic.name, topic.id, index)));
            }
        }
    }
    ids
}

fn result(dir: LogDir) -> DescribeLogDirsResult {
    let mut topics: BTreeMap<_, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for (id, size) in &dir.logs {
        let partition = DescribeLogDirsPartition {
            partition_index: id.partition,
            partition_size: i64::try_from(*size).unwrap_or(i64::MAX),
            ..Default::default()
        };
        topics.entry(id.topic.clone()).or_default().push(partition);
    }
    let topic = |(name, partitions): (std::sync::Arc<str>, _)| DescribeLogDirsTopic {
        name: TopicName(StrBytes::from_string(name.to_string())),
        partitions,
    };
    let path = if dir.path == Path::new("") { Path::new(IN_MEMORY) } else { &dir.path };
    // Kafka tells the absolute path, whatever was configured.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let bytes = |bytes: u64| if dir.is_offline { UNKNOWN } else { i64::try_from(bytes).unwrap_or(i64::MAX) };
    let error = if dir.is_offline { ErrorCode::KafkaStorageError } else { ErrorCode::None };
    DescribeLogDirsResult {
        error_code: error.code(),
        log_dir: StrBytes::from_string(path.display().to_string()),
        topics: topics.into_iter().map(topic).collect(),
        total_bytes: bytes(dir.total_bytes),
        usable_bytes: bytes(dir.usable_bytes),
        ..Default::default()
    }
}

fn failed(error: ErrorCode) -> DescribeLogDirsResponse {
    DescribeLogDirsResponse { error_code: error.code(), ..Default::default() }
}
