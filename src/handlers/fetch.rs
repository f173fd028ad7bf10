//! Fetch (1) v4-18. Sessions (KIP-227) from v7, fetch offsets checked against leader epochs (KIP-320, KIP-595), topic
//! ids from v13 (KIP-516), aborted transactions for read-committed consumers (KIP-98). Followers come with the cluster.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::fetch_response::{FetchPartition, FetchReply, FetchTopic, encode_fetch_response};
use ottla_protocol::messages::FetchRequest;
use ottla_protocol::messages::fetch_request::FetchTopic as RequestedTopic;
use ottla_storage::{Records, StorageError};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::Context;
use super::errors::Code;
use super::reply::{IntoReply, Reply};
use crate::broker::fetch_session::{FetchTarget, SessionContext, SessionRequest, Told};
use crate::broker::{Broker, Held, Isolation, Led, LookupError, Partition, TopicRef, Visible};
use crate::metadata::Image;

const SESSIONS_SINCE: i16 = 7;
const BY_ID_SINCE: i16 = 13;

pub async fn handle(context: Context, request: FetchRequest) -> Fetched {
    let broker = Arc::clone(context.broker());
    let version = context.api_version;
    let fetch = Fetch {
        isolation: if request.isolation_level == 1 {
            Isolation::ReadCommitted
        } else {
            Isolation::ReadUncommitted
        },
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0),
        max_bytes: usize::try_from(request.max_bytes)
            .unwrap_or(0)
            .min(usize::try_from(broker.config().fetch_max_bytes).unwrap_or(0)),
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
    };
    let (targets, session) =
        match broker.fetch_sessions.open(session_request(request, version), broker.clock.now_ms()) {
            Ok(opened) => opened,
            Err(error) => {
                let reply = FetchReply { error_code: error.code().code(), ..FetchReply::default() };
                return Fetched { reply, held: broker.fetch_memory.hold_nothing() };
            }
        };
    let mut held = broker.fetch_memory.hold_nothing();
    let results = fetch.run(&broker, &targets, &mut held).await;
    Fetched { reply: answer(&broker, session, targets, results), held }
}

/// An answer whose records are not copied into it, and their share of the memory for such answers.
pub struct Fetched {
    reply: FetchReply,
    held: Held,
}

impl IntoReply for Fetched {
    fn into_reply(self, api_version: i16, correlation_id: i32) -> Reply {
        match encode_fetch_response(correlation_id, api_version, self.reply) {
            Ok(mut frame) => {
                frame.parts.push(self.held.into_part());
                Reply::Respond(frame)
            }
            Err(error) => {
                tracing::error!(%error, api_version, "fetch response cannot be encoded");
                Reply::Close
            }
        }
    }
}

fn session_request(request: FetchRequest, version: i16) -> SessionRequest {
    let by_id = version >= BY_ID_SINCE;
    let forgotten = request
        .forgotten_topics_data
        .iter()
        .flat_map(|topic| {
            let topic_ref = TopicRef::new(by_id, &topic.topic.0, topic.topic_id);
            topic.partitions.iter().map(move |partition| (topic_ref.clone(), *partition))
        })
        .collect();
    let targets = request.topics.into_iter().flat_map(|topic| targets(by_id, topic)).collect();
    // Before v7 there are no sessions: the request is final by itself.
    let (id, epoch) =
        if version >= SESSIONS_SINCE { (request.session_id, request.session_epoch) } else { (0, -1) };
    SessionRequest { id, epoch, uses_topic_ids: by_id, targets, forgotten }
}

fn targets(by_id: bool, topic: RequestedTopic) -> impl Iterator<Item = FetchTarget> {
    let topic_ref = TopicRef::new(by_id, &topic.topic.0, topic.topic_id);
    topic.partitions.into_iter().map(move |partition| FetchTarget {
        topic: topic_ref.clone(),
        partition: partition.partition,
        current_leader_epoch: partition.current_leader_epoch,
        fetch_offset: partition.fetch_offset,
        last_fetched_epoch: partition.last_fetched_epoch,
        max_bytes: partition.partition_max_bytes,
    })
}

/// One fetch's limits.
struct Fetch {
    isolation: Isolation,
    min_bytes: usize,
    max_bytes: usize,
    max_wait: Duration,
}

/// What is known so far of one target. A partition that has not changed is not read again.
#[derive(Default)]
struct Found {
    watched: Option<Arc<Partition>>,
    visible: Option<Visible>,
    result: FetchPartition,
    bytes: usize,
    /// Waiting brings nothing better: an error, a truncation, or there is more than one answer holds.
    is_done: bool,
}

impl Fetch {
    /// Reads until there are `min_bytes`, something has to be told at once, or `max_wait` is over.
    async fn run(mut self, broker: &Broker, targets: &[FetchTarget], held: &mut Held) -> Vec<FetchPartition> {
        let asked_bytes = self.max_bytes;
        let deadline = Instant::from_std(crate::clock::monotonic()) + self.max_wait;
        let mut is_last_pass = self.max_wait.is_zero() || targets.is_empty();
        let waiter = (!is_last_pass).then(|| Arc::new(Notify::new()));
        let mut found: Vec<Found> = targets.iter().map(|_| Found::default()).collect();
        loop {
            let image = broker.image();
            self.max_bytes = asked_bytes.min(held.room());
            let mut bytes = 0;
            for (target, found) in targets.iter().zip(&mut found) {
                self.look(broker, &image, target, waiter.as_ref(), bytes, found).await;
                bytes += found.bytes;
                held.set(bytes);
            }
            let is_done = bytes >= self.min_bytes || found.iter().any(|found| found.is_done);
            match &waiter {
                Some(waiter) if !is_last_pass && !is_done => {
                    is_last_pass = timeout_at(deadline, waiter.notified()).await.is_err();
                }
                _ => return found.into_iter().map(|found| found.result).collect(),
            }
        }
    }

    /// Brings what is known of one target up to date.
    async fn look(
        &self,
        broker: &Broker,
        image: &Image,
        target: &FetchTarget,
        waiter: Option<&Arc<Notify>>,
        bytes_so_far: usize,
        found: &mut Found,
    ) {
        let led = match led(broker, image, target) {
            Ok(led) => led,
            Err(error) => return found.refuse(unavailable(target, &error)),
        };
        // Watched before it is read: what is appended after that wakes this fetch.
        found.watch(&led.partition, waiter);
        let left = self.max_bytes.saturating_sub(bytes_so_far);
        let outcome = match led.partition.visible() {
            Ok(visible) if found.visible == Some(visible) && (found.bytes <= left || bytes_so_far == 0) => {
                return;
            }
            Ok(visible) => self.read(&led, target, visible, bytes_so_far, found).await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            found.refuse(refused(target, error.code()));
        }
    }

    async fn read(
        &self,
        led: &Led,
        target: &FetchTarget,
        visible: Visible,
        bytes_so_far: usize,
        found: &mut Found,
    ) -> Result<(), StorageError> {
        let diverging_epoch = diverging(led, target)?;
        let mut records = Records::default();
        if diverging_epoch.is_none() {
            // The first records of an answer come whole, however large their batch is (KIP-74).
            let is_first = bytes_so_far == 0;
            let left = self.max_bytes.saturating_sub(bytes_so_far);
            let max_bytes = usize::try_from(target.max_bytes).unwrap_or(0).min(left);
            let end = visible.end(self.isolation);
            records = led.partition.read(target.fetch_offset, max_bytes, is_first, end).await?;
            found.is_done = records.bytes > 0 && records.next_offset < end;
        }
        let mut aborted_transactions = (self.isolation == Isolation::ReadCommitted).then(Vec::new);
        if let Some(told) = &mut aborted_transactions
            && records.bytes > 0
        {
            let aborted =
                led.partition.aborted_transactions(target.fetch_offset, records.next_offset).await?;
            told.extend(aborted.iter().map(|aborted| (aborted.producer_id, aborted.first_offset)));
        }
        found.is_done |= diverging_epoch.is_some();
        found.visible = Some(visible);
        found.bytes = records.bytes;
        found.result = FetchPartition {
            index: target.partition,
            high_watermark: visible.high_watermark,
            last_stable_offset: visible.last_stable_offset,
            log_start_offset: visible.log_start_offset,
            diverging_epoch,
            aborted_transactions,
            records: records.chunks,
            ..FetchPartition::default()
        };
        Ok(())
    }
}

impl Found {
    /// Has the fetch woken when the partition changes. A topic that was deleted and made again is another partition.
    fn watch(&mut self, partition: &Arc<Partition>, waiter: Option<&Arc<Notify>>) {
        if self.watched.as_ref().is_some_and(|watched| Arc::ptr_eq(watched, partition)) {
            return;
        }
        if let Some(waiter) = waiter {
            partition.notify(waiter);
        }
        *self = Found { watched: Some(Arc::clone(partition)), ..Found::default() };
    }

    fn refuse(&mut self, result: FetchPartition) {
        *self = Found { result, is_done: true, ..Found::default() };
    }
}

/// Whether the log that the client has read is not the one here (KIP-595).
fn diverging(led: &Led, target: &FetchTarget) -> Result<Option<(i32, i64)>, StorageError> {
    if target.last_fetched_epoch < 0 {
        return Ok(None);
    }
    let (epoch, end_offset) =
        led.partition.end_offset_for_epoch(target.last_fetched_epoch, led.leader_epoch)?;
    if epoch < 0 || end_offset < 0 {
        let (start, end) = (led.partition.log().start_offset()?, led.partition.log().end_offset()?);
        return Err(StorageError::OffsetOutOfRange { offset: target.fetch_offset, start, end });
    }
    let diverges = epoch < target.last_fetched_epoch || end_offset < target.fetch_offset;
    Ok(diverges.then_some((epoch, end_offset)))
}

fn led(broker: &Broker, image: &Image, target: &FetchTarget) -> Result<Led, LookupError> {
    let topic = broker.topic(image, &target.topic)?;
    broker.led(image, topic, target.partition, target.current_leader_epoch)
}

/// Kafka's answer for what it does not know has an empty list of aborted transactions, where others have null.
fn unavailable(target: &FetchTarget, error: &LookupError) -> FetchPartition {
    let is_unknown = matches!(error, LookupError::UnknownTopicOrPartition | LookupError::UnknownTopicId);
    FetchPartition { aborted_transactions: is_unknown.then(Vec::new), ..refused(target, error.code()) }
}

fn refused(target: &FetchTarget, code: ErrorCode) -> FetchPartition {
    FetchPartition {
        index: target.partition,
        error_code: code.code(),
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        ..FetchPartition::default()
    }
}

fn answer(
    broker: &Broker,
    session: SessionContext,
    targets: Vec<FetchTarget>,
    results: Vec<FetchPartition>,
) -> FetchReply {
    let told: Vec<Told> = results.iter().map(told).collect();
    let new_id = crate::clock::random_positive_i32();
    let (session_id, is_told) = broker.fetch_sessions.close(session, &told, new_id, broker.clock.now_ms());
    let mut topics: Vec<FetchTopic> = Vec::new();
    let mut current: Option<TopicRef> = None;
    for ((target, result), is_told) in targets.into_iter().zip(results).zip(is_told) {
        if !is_told {
            continue;
        }
        match topics.last_mut() {
            Some(topic) if current.as_ref() == Some(&target.topic) => topic.partitions.push(result),
            _ => {
                topics.push(fetched_topic(&target.topic, result));
                current = Some(target.topic);
            }
        }
    }
    FetchReply { session_id, topics, ..FetchReply::default() }
}

fn told(result: &FetchPartition) -> Told {
    Told {
        has_records: !result.records.is_empty(),
        has_error: result.error_code != 0 || result.diverging_epoch.is_some(),
        high_watermark: result.high_watermark,
        log_start_offset: result.log_start_offset,
    }
}

fn fetched_topic(topic: &TopicRef, partition: FetchPartition) -> FetchTopic {
    let partitions = vec![partition];
    match topic {
        TopicRef::Name(name) => FetchTopic { name: name.clone().into(), partitions, ..FetchTopic::default() },
        TopicRef::Id(id) => FetchTopic { topic_id: *id, partitions, ..FetchTopic::default() },
    }
}
