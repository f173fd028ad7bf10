//! The topic, which is all that a registry keeps: read and written as a client does.
//!
//! Before each operation what others have written is read; so nothing runs while nobody asks, and every answer is up to date.
//! Writes go one after the other: decided, appended, read back, answered.

use std::num::NonZero;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::available_parallelism;

use bytes::Bytes;
use ottla_protocol::batch::{BatchBuilder, Batches, Records};
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{CreateTopicsRequest, FetchRequest, ProduceRequest, TopicName};
use ottla_protocol::{ErrorCode, StrBytes};
use tokio::sync::{Mutex, Semaphore};
use tracing::{info, warn};

use super::error::Error;
use super::records::Record;
use super::state::{Outcome, State};
use crate::broker::in_place;
use crate::services::client::{CallError, Client};

/// The newest versions that name topics.
const FETCH_VERSION: i16 = 12;
const PRODUCE_VERSION: i16 = 9;
const CREATE_TOPICS_VERSION: i16 = 7;

/// How much is read at once.
const FETCH_BYTES: i32 = 1024 * 1024;
/// The most that a compressed batch may inflate to.
const MAX_INFLATED_BYTES: usize = 64 * 1024 * 1024;
const WRITE_TIMEOUT_MS: i32 = 30_000;
const ACKS_ALL: i16 = -1;

/// The topic and what it says.
pub struct Storage {
    topic: Topic,
    /// Replaced with each change: whoever looks has what was known when it began.
    state: RwLock<Arc<State>>,
    /// The offset of the first record that is not in the state yet.
    next_offset: AtomicI64,
    reading: Mutex<()>,
    writing: Mutex<()>,
    /// What takes a while: as much at once as there are processors, whoever asks for more. The broker's clients are served beside it.
    thinking: Semaphore,
}

impl Storage {
    pub fn new(client: Client, topic: &str) -> Storage {
        let name = TopicName(StrBytes::from_string(topic.to_owned()));
        let processors = available_parallelism().map_or(1, NonZero::get);
        Storage {
            topic: Topic { client, name },
            state: RwLock::default(),
            next_offset: AtomicI64::new(0),
            reading: Mutex::default(),
            writing: Mutex::default(),
            thinking: Semaphore::new(processors),
        }
    }

    pub fn client(&self) -> &Client {
        &self.topic.client
    }

    /// A look at what the topic says now.
    pub async fn look<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, Error> {
        self.catch_up().await?;
        Ok(look(&self.known()))
    }

    /// The same, where it may take a while: schemas are read in it, lists are written.
    pub async fn ponder<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, Error> {
        self.catch_up().await?;
        self.think(look).await
    }

    async fn think<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, Error> {
        let _turn = self.thinking.acquire().await.map_err(|error| Error::store(error.to_string()))?;
        Ok(in_place(|| look(&self.known())))
    }

    /// What was known when the topic was read last: no waiting, for those who cannot.
    pub fn known(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Decides, appends, replays, answers.
    pub async fn write<T>(
        &self,
        decide: impl FnOnce(&State) -> Result<Outcome<T>, Error>,
    ) -> Result<T, Error> {
        let _turn = self.writing.lock().await;
        self.catch_up().await?;
        let Outcome { answer, records } = self.think(decide).await??;
        if records.is_empty() {
            return Ok(answer);
        }
        self.topic.append(&records, self.topic.client.now_ms()).await?;
        self.catch_up().await?;
        Ok(answer)
    }

    /// Reads what is new in the topic.
    pub async fn catch_up(&self) -> Result<(), Error> {
        let next = self.next_offset.load(Ordering::Acquire);
        if let Read::Nothing = self.topic.read(next).await? {
            return Ok(());
        }
        let _turn = self.reading.lock().await;
        loop {
            let next = self.next_offset.load(Ordering::Acquire);
            match self.topic.read(next).await? {
                Read::Nothing => return Ok(()),
                Read::Records { records, next } => self.replay(&records, next),
                Read::From { offset } => self.next_offset.store(offset, Ordering::Release),
                Read::Gone if next == 0 => return Ok(()),
                Read::Gone => {
                    warn!(topic = %self.topic.name.0, "the registry's topic was deleted or cut: it is read again");
                    let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
                    *state = Arc::default();
                    self.next_offset.store(0, Ordering::Release);
                }
            }
        }
    }

    fn replay(&self, records: &[Stored], next: i64) {
        let decoded: Vec<(Record, &Stored)> =
            records.iter().filter_map(|stored| Some((stored.decode()?, stored))).collect();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let state = Arc::make_mut(&mut state);
        for (record, stored) in decoded {
            if let Err(skipped) = state.replay(record, stored.timestamp_ms) {
                warn!(
                    offset = stored.offset,
                    ?skipped,
                    "a record of the registry's topic counts for nothing"
                );
            }
        }
        self.next_offset.store(next, Ordering::Release);
    }
}

/// A record as it is in the topic.
#[derive(Debug)]
struct Stored {
    offset: i64,
    timestamp_ms: i64,
    key: Bytes,
    value: Option<Bytes>,
}

impl Stored {
    /// What cannot be read is as if it were not there: Confluent's registry, too, goes on.
    fn decode(&self) -> Option<Record> {
        match Record::decode(&self.key, self.value.as_deref()) {
            Ok(record) => Some(record),
            Err(error) => {
                warn!(offset = self.offset, %error, "a record of the registry's topic cannot be read");
                None
            }
        }
    }
}

struct Topic {
    client: Client,
    name: TopicName,
}

enum Read {
    /// That offset is the end of the topic.
    Nothing,
    Records {
        records: Vec<Stored>,
        next: i64,
    },
    /// What was asked for is deleted; the topic begins here.
    From {
        offset: i64,
    },
    /// There is no topic, or it ends before that offset.
    Gone,
}

impl Topic {
    async fn read(&self, offset: i64) -> Result<Read, Error> {
        let partition = FetchPartition::default()
            .with_partition(0)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(FETCH_BYTES);
        let topic = FetchTopic::default().with_topic(self.name.clone()).with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_max_wait_ms(0)
            .with_min_bytes(0)
            .with_max_bytes(FETCH_BYTES)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let answer = self.client.call(FETCH_VERSION, &request).await.map_err(unread)?;
        let partition = answer.responses.into_iter().flat_map(|topic| topic.partitions).next();
        let Some(partition) = partition else { return Err(unread(kafka(answer.error_code, ""))) };
        match ErrorCode::from(partition.error_code) {
            ErrorCode::None => {}
            ErrorCode::UnknownTopicOrPartition if offset == 0 => return Ok(Read::Nothing),
            ErrorCode::UnknownTopicOrPartition => return Ok(Read::Gone),
            ErrorCode::OffsetOutOfRange if offset < partition.log_start_offset => {
                return Ok(Read::From { offset: partition.log_start_offset });
            }
            ErrorCode::OffsetOutOfRange => return Ok(Read::Gone),
            _ => return Err(unread(kafka(partition.error_code, ""))),
        }
        let (records, next) = records_from(partition.records.unwrap_or_default(), offset)?;
        Ok(match next {
            Some(next) => Read::Records { records, next },
            None if partition.high_watermark > offset => {
                // Nothing is left of what was there.
                Read::Records { records, next: partition.high_watermark }
            }
            None => Read::Nothing,
        })
    }

    /// Appends a batch, to a topic that is made when there is none.
    async fn append(&self, records: &[Record], now_ms: i64) -> Result<(), Error> {
        let mut batch = BatchBuilder::new();
        for record in records {
            let (key, value) = record.encode();
            batch.append(now_ms, Some(&key), value.as_deref());
        }
        let batch = batch.build().into_bytes();
        match self.produce(batch.clone()).await? {
            ErrorCode::UnknownTopicOrPartition => {
                self.create().await?;
                written(self.produce(batch).await?)
            }
            code => written(code),
        }
    }

    async fn produce(&self, batch: Bytes) -> Result<ErrorCode, Error> {
        let partition = PartitionProduceData::default().with_index(0).with_records(Some(batch));
        let topic =
            TopicProduceData::default().with_name(self.name.clone()).with_partition_data(vec![partition]);
        let request = ProduceRequest::default()
            .with_acks(ACKS_ALL)
            .with_timeout_ms(WRITE_TIMEOUT_MS)
            .with_topic_data(vec![topic]);
        let answer = self.client.call(PRODUCE_VERSION, &request).await.map_err(unwritten)?;
        let partition = answer.responses.into_iter().flat_map(|topic| topic.partition_responses).next();
        let partition = partition.ok_or_else(|| Error::store("The answer to a write is empty"))?;
        Ok(ErrorCode::from(partition.error_code))
    }

    /// One partition, compacted.
    async fn create(&self) -> Result<(), Error> {
        let compact = CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str("cleanup.policy"))
            .with_value(Some(StrBytes::from_static_str("compact")));
        let topic = CreatableTopic::default()
            .with_name(self.name.clone())
            .with_num_partitions(1)
            .with_replication_factor(1)
            .with_configs(vec![compact]);
        let request =
            CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(WRITE_TIMEOUT_MS);
        let answer = self.client.call(CREATE_TOPICS_VERSION, &request).await.map_err(unwritten)?;
        for topic in answer.topics {
            match ErrorCode::from(topic.error_code) {
                ErrorCode::None => info!(topic = %self.name.0, "the registry's topic is made"),
                // Someone else was faster.
                ErrorCode::TopicAlreadyExists => {}
                _ => {
                    let message = topic.error_message.as_deref().unwrap_or_default();
                    return Err(unwritten(kafka(topic.error_code, message)));
                }
            }
        }
        Ok(())
    }
}

/// The records from an offset on, and where the next ones are; none without batches.
fn records_from(bytes: Bytes, offset: i64) -> Result<(Vec<Stored>, Option<i64>), Error> {
    let corrupt =
        |why: &dyn std::fmt::Display| Error::store(format!("The registry's topic cannot be read: {why}"));
    let mut records = Vec::new();
    let mut next = None;
    for batch in Batches::new(bytes) {
        let batch = match batch {
            Ok(batch) => batch,
            // The last one of an answer may be cut.
            Err(_) if next.is_some() => break,
            Err(error) => return Err(corrupt(&error)),
        };
        let header = batch.header();
        next = Some(header.next_offset());
        if header.is_control() {
            continue;
        }
        let payload = batch.inflate(MAX_INFLATED_BYTES).map_err(|error| corrupt(&error))?;
        for record in Records::new(&payload, header.records_count) {
            let record = record.map_err(|error| corrupt(&error))?;
            let at = header.offset_of(record.offset_delta);
            // A record without a key says nothing that compaction would leave.
            if let (true, Some(key)) = (at >= offset, record.key) {
                records.push(Stored {
                    offset: at,
                    timestamp_ms: header.timestamp_of(record.timestamp_delta),
                    key: Bytes::copy_from_slice(key),
                    value: record.value.map(Bytes::copy_from_slice),
                });
            }
        }
    }
    Ok((records, next))
}

fn written(code: ErrorCode) -> Result<(), Error> {
    match code {
        ErrorCode::None => Ok(()),
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => {
            Err(Error::schema_too_large("Register operation failed because schema is too large"))
        }
        ErrorCode::RequestTimedOut => Err(Error::timeout("The write to the registry's topic timed out")),
        code => Err(unwritten(CallError::Kafka(code, String::new()))),
    }
}

fn kafka(code: i16, message: &str) -> CallError {
    CallError::Kafka(ErrorCode::from(code), message.to_owned())
}

fn unread(error: CallError) -> Error {
    Error::store(format!("The registry's topic cannot be read: {error}"))
}

fn unwritten(error: CallError) -> Error {
    Error::store(format!("The registry's topic cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_looks_for_long_holds_up_no_write() {
        let broker = crate::Broker::builder().start().await.unwrap();
        let storage = Storage::new(Client::new(Arc::clone(broker.broker()), "registry"), "_schemas");
        let before = storage.known();
        let context = || Record::Context { context: ".a".to_owned(), is_set: true };
        let written = storage.write(|_| Ok(Outcome { answer: 1, records: vec![context()] })).await;
        assert_eq!(written, Ok(1));
        assert_eq!(before.contexts().collect::<Vec<_>>(), ["."], "what was known stays");
        assert_eq!(storage.look(|state| state.contexts().collect::<Vec<_>>()).await.unwrap(), [".", ".a"]);
    }
}
