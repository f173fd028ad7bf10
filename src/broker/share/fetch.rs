//! One ShareFetch: waits until there is something to acquire, reads it, and acquires it for the member.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::batch::{Batches, RecordBatch};
use ottla_storage::StorageError;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::aborted::{aborted_ranges, log_batches};
use super::leader::{Leader, ShareFailure};
use super::partition::{Acquire, AcquireMode, Acquired};
use super::sessions::{SessionKey, TopicPartition};
use super::settings::GroupSettings;
use super::{ShareGroups, share_partition_key};
use crate::broker::{Broker, Held, Isolation, LookupError, TopicRef};

/// What a member asks for.
pub struct ShareFetch {
    pub key: SessionKey,
    pub settings: GroupSettings,
    pub mode: AcquireMode,
    pub max_wait: Duration,
    pub min_bytes: usize,
    pub max_bytes: usize,
    pub max_records: i64,
    pub batch_size: i64,
}

/// What a member gets of one partition.
#[derive(Debug, Default)]
pub struct FetchedRecords {
    /// The batches that hold what was acquired, and nothing else that need be sent.
    pub records: Vec<Bytes>,
    pub acquired: Vec<Acquired>,
}

/// Why a partition gives nothing.
#[derive(Debug)]
pub enum FetchFailure {
    Lookup(LookupError),
    Share(ShareFailure),
    Storage(StorageError),
}

/// The result of each partition that could be fetched from, in the order of the request.
pub type Results = Vec<(TopicPartition, Result<FetchedRecords, FetchFailure>)>;

/// A partition of the fetch.
struct Target {
    target: TopicPartition,
    leader: Option<Arc<Leader>>,
    failure: Option<FetchFailure>,
    /// It was forgotten or fenced once while this fetch waited; the next time that is told.
    is_renewed: bool,
}

/// What was read for one partition.
struct Read {
    at: usize,
    leader: Arc<Leader>,
    fetch_offset: i64,
    batches: Vec<RecordBatch>,
    /// Of aborted transactions.
    hidden: Vec<(i64, i64)>,
    /// The log begins later: nothing was read.
    log_start_offset: Option<i64>,
}

impl ShareFetch {
    /// Waits until there are `min_bytes` to acquire, something has to be told at once, or `max_wait` is over.
    pub async fn run(
        self,
        broker: &Broker,
        groups: &ShareGroups,
        targets: &[TopicPartition],
        held: &mut Held,
    ) -> Results {
        let mut targets: Vec<Target> = targets.iter().map(|target| Target::new(*target)).collect();
        if self.max_records <= 0 || self.max_bytes == 0 {
            return Vec::new();
        }
        let deadline = Instant::from_std(crate::clock::monotonic()) + self.max_wait;
        let waiter = Arc::new(Notify::new());
        let mut is_last_pass = self.max_wait.is_zero();
        loop {
            let reads = self.read_all(broker, groups, &mut targets, &waiter, held.room()).await;
            let bytes: usize = reads.iter().map(Read::bytes).sum();
            held.set(bytes);
            let is_enough = !reads.is_empty() && bytes >= self.min_bytes;
            let has_news = reads.iter().any(|read| read.log_start_offset.is_some());
            let is_hopeless = targets.iter().all(|target| target.failure.is_some());
            if is_enough || has_news || is_hopeless || is_last_pass {
                let (acquired, is_progress) = self.acquire_all(broker, reads);
                let has_any = acquired.iter().any(|(_, fetched)| !fetched.acquired.is_empty());
                if has_any || !is_progress || is_hopeless || is_last_pass {
                    return results(targets, acquired);
                }
                // Others were quicker, or the log has moved: there may be more behind it.
                continue;
            }
            held.set(0);
            is_last_pass = timeout_at(deadline, waiter.notified()).await.is_err();
        }
    }

    /// Reads for each partition in which something can be acquired: an equal share of the bytes each, as Kafka does.
    async fn read_all(
        &self,
        broker: &Broker,
        groups: &ShareGroups,
        targets: &mut [Target],
        waiter: &Arc<Notify>,
        room: usize,
    ) -> Vec<Read> {
        let mut acquirable = Vec::new();
        for (at, target) in targets.iter_mut().enumerate() {
            if let Some(fetch_offset) = self.look(broker, groups, target, waiter)
                && let Some(leader) = &target.leader
            {
                acquirable.push((at, Arc::clone(leader), fetch_offset));
            }
        }
        let share = self.max_bytes.min(room) / acquirable.len().max(1);
        let mut reads: Vec<Read> = Vec::with_capacity(acquirable.len());
        for (at, leader, fetch_offset) in acquirable {
            // The first records of an answer come whole, however large their batch is.
            let is_first = reads.iter().all(|read| read.batches.is_empty());
            match self.read(leader, fetch_offset, share, is_first).await {
                Ok(read) => reads.push(Read { at, ..read }),
                Err(error) => targets[at].failure = Some(FetchFailure::Storage(error)),
            }
        }
        reads
    }

    /// Where to read in a partition, if there may be something for the member.
    fn look(
        &self,
        broker: &Broker,
        groups: &ShareGroups,
        target: &mut Target,
        waiter: &Arc<Notify>,
    ) -> Option<i64> {
        if target.failure.is_some() {
            return None;
        }
        if target.leader.is_none() {
            target.find(broker, groups, &self.key, waiter);
        }
        match target.leader.as_ref()?.fetch_offset(&self.settings.deliveries) {
            Ok(fetch_offset) => fetch_offset,
            Err(ShareFailure::Fenced) if !target.is_renewed => {
                target.is_renewed = true;
                target.find(broker, groups, &self.key, waiter);
                target.leader.as_ref()?.fetch_offset(&self.settings.deliveries).ok()?
            }
            Err(failure) => {
                target.failure = Some(FetchFailure::Share(failure));
                None
            }
        }
    }

    async fn read(
        &self,
        leader: Arc<Leader>,
        fetch_offset: i64,
        max_bytes: usize,
        is_first: bool,
    ) -> Result<Read, StorageError> {
        let partition = Arc::clone(&leader.led.partition);
        let mut read = Read {
            at: 0,
            leader,
            fetch_offset,
            batches: Vec::new(),
            hidden: Vec::new(),
            log_start_offset: None,
        };
        let end = partition.visible()?.end(self.settings.isolation);
        let records = match partition.read(fetch_offset, max_bytes, is_first, end).await {
            Ok(records) => records,
            Err(StorageError::OffsetOutOfRange { start, .. }) => {
                read.log_start_offset = Some(start);
                return Ok(read);
            }
            Err(error) => return Err(error),
        };
        // A chunk that cannot be walked to its end gives what came before.
        read.batches = records.chunks.into_iter().flat_map(Batches::new).map_while(Result::ok).collect();
        if self.settings.isolation == Isolation::ReadCommitted && !read.batches.is_empty() {
            let aborted = partition.aborted_transactions(fetch_offset, records.next_offset).await?;
            read.hidden = aborted_ranges(&read.batches, &aborted);
        }
        Ok(read)
    }

    /// Acquires what was read, in order, until the member has enough. Says also whether another pass may find more.
    fn acquire_all(&self, broker: &Broker, reads: Vec<Read>) -> (Vec<(usize, FetchedRecords)>, bool) {
        let (mut given, mut is_progress) = (0, false);
        let mut fetched = Vec::with_capacity(reads.len());
        for read in reads {
            if let Some(log_start_offset) = read.log_start_offset {
                read.leader.log_start_moved(log_start_offset);
            }
            let log_batches = log_batches(&read.batches);
            let acquire = Acquire {
                member: &self.key.member_id,
                mode: self.mode,
                batch_size: self.batch_size,
                max_records: self.max_records - given,
                fetch_offset: read.fetch_offset,
                log_batches: &log_batches,
                now_ms: broker.clock.now_ms(),
            };
            let acquired = read.leader.acquire(&acquire, &read.hidden, &self.settings.deliveries);
            given += acquired.iter().map(Acquired::count).sum::<i64>();
            let next = read.leader.fetch_offset(&self.settings.deliveries);
            is_progress |= next.is_ok_and(|next| next.is_some_and(|next| next != read.fetch_offset));
            fetched.push((read.at, FetchedRecords { records: sent(read.batches, &acquired), acquired }));
        }
        (fetched, is_progress)
    }
}

impl Target {
    fn new(target: TopicPartition) -> Target {
        Target { target, leader: None, failure: None, is_renewed: false }
    }

    fn find(&mut self, broker: &Broker, groups: &ShareGroups, key: &SessionKey, waiter: &Arc<Notify>) {
        let image = broker.image();
        let (topic_id, partition) = self.target;
        let led = broker
            .topic(&image, &TopicRef::Id(topic_id))
            .and_then(|topic| broker.led(&image, topic, partition, -1));
        match led {
            Ok(led) => {
                let key = share_partition_key(&key.group_id, self.target);
                let leader = groups.inner.leader(key, &led, broker.share_states());
                // Watched before it is looked at: what happens after that wakes this fetch.
                leader.notify(waiter);
                self.leader = Some(leader);
            }
            Err(error) => self.failure = Some(FetchFailure::Lookup(error)),
        }
    }
}

impl Read {
    fn bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.bytes().len()).sum()
    }
}

/// The batches that hold something of what was acquired, from the first to the last.
fn sent(batches: Vec<RecordBatch>, acquired: &[Acquired]) -> Vec<Bytes> {
    let (Some(first), Some(last)) = (acquired.first(), acquired.last()) else { return Vec::new() };
    let is_sent = |batch: &RecordBatch| {
        batch.last_offset() >= first.first_offset && batch.base_offset <= last.last_offset
    };
    batches.into_iter().filter(is_sent).map(RecordBatch::into_bytes).collect()
}

fn results(targets: Vec<Target>, acquired: Vec<(usize, FetchedRecords)>) -> Results {
    let mut fetched: Vec<Option<FetchedRecords>> = targets.iter().map(|_| None).collect();
    for (at, records) in acquired {
        fetched[at] = Some(records);
    }
    let result = |(target, fetched): (Target, Option<FetchedRecords>)| match (target.failure, fetched) {
        (Some(failure), _) => Some((target.target, Err(failure))),
        (None, Some(fetched)) => Some((target.target, Ok(fetched))),
        (None, None) => None,
    };
    targets.into_iter().zip(fetched).filter_map(result).collect()
}
