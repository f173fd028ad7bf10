//! One partition as this broker leads it: its log, how far readers may see, and who waits for more.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ottla_protocol::batch::ValidatedBatches;
use ottla_storage::{
    AbortedTransaction, AppendContext, AppendError, Appended, Log, LogId, LogOptions, Read, ReadLimits,
    Records, StorageError,
};
use tokio::sync::Notify;
use tracing::warn;

use super::waiters::Waiters;
use crate::config::TopicConfig;

/// What a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset (KIP-98).
    ReadCommitted,
}

/// How far a partition can be read. What is read after it was taken is kept within it, so that a reader never has
/// records past the high watermark that it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visible {
    pub log_start_offset: i64,
    pub high_watermark: i64,
    /// The end of what `read_committed` sees (LSO); never past the high watermark.
    pub last_stable_offset: i64,
}

impl Visible {
    pub fn end(&self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::ReadUncommitted => self.high_watermark,
            Isolation::ReadCommitted => self.last_stable_offset,
        }
    }
}

pub struct Partition {
    id: LogId,
    log: Arc<Log>,
    config: RwLock<Arc<TopicConfig>>,
    /// The end of what is committed: with one replica, of what the log has acknowledged.
    high_watermark: AtomicI64,
    waiters: Waiters,
}

impl Partition {
    /// Opens the log if it is not, which reads the disk.
    pub fn new(id: LogId, log: Arc<Log>, config: Arc<TopicConfig>) -> Result<Partition, StorageError> {
        // What a log has when it is opened was recovered from the disk: all of it is committed.
        let high_watermark = AtomicI64::new(log.end_offset()?);
        Ok(Partition { id, log, config: RwLock::new(config), high_watermark, waiters: Waiters::default() })
    }

    pub fn id(&self) -> &LogId {
        &self.id
    }

    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    pub fn config(&self) -> Arc<TopicConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a changed configuration into use, at once.
    pub fn set_config(&self, config: Arc<TopicConfig>, options: Arc<LogOptions>) {
        self.log.update_options(options);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Appends in the order of the calls. Readers see the records when the commit is there: at once, unless the flush
    /// settings make the log wait for the disk. Who answers for them waits by [`Partition::committed`].
    pub fn append(
        self: &Arc<Self>,
        batches: ValidatedBatches,
        context: AppendContext,
    ) -> Result<Appended, AppendError> {
        let appended = self.log.append(batches, context)?;
        let next_offset = appended.last_offset + 1;
        if appended.commit.is_ready() {
            self.commit_up_to(next_offset);
        } else {
            // Whatever becomes of the caller: it may be gone before the disk has answered.
            let (partition, appended) = (Arc::clone(self), appended.clone());
            tokio::spawn(async move { partition.committed(appended).await });
        }
        Ok(appended)
    }

    /// Waits until an append may be acknowledged. By then readers see it: a client may ask for what it was just told.
    pub async fn committed(&self, appended: Appended) -> Result<(), StorageError> {
        appended.commit.await?;
        let next_offset = appended.last_offset + 1;
        if self.high_watermark() < next_offset {
            self.commit_up_to(next_offset);
        }
        Ok(())
    }

    fn commit_up_to(&self, next_offset: i64) {
        self.high_watermark.fetch_max(next_offset, Ordering::AcqRel);
        self.waiters.wake_all();
    }

    pub fn high_watermark(&self) -> i64 {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// What a reader may be told now.
    pub fn visible(&self) -> Result<Visible, StorageError> {
        let high_watermark = self.high_watermark();
        let bounds = self.log.bounds()?;
        Ok(Visible {
            log_start_offset: bounds.start_offset,
            high_watermark,
            last_stable_offset: bounds.last_stable_offset.min(high_watermark),
        })
    }

    /// Whole batches from the one that holds `from` up to `upper_offset`. A read that needs the disk leaves the async
    /// threads.
    pub async fn read(
        &self,
        from: i64,
        max_bytes: usize,
        whole_first_batch: bool,
        upper_offset: i64,
    ) -> Result<Records, StorageError> {
        finish(self.log.read(from, ReadLimits { max_bytes, upper_offset, whole_first_batch })?).await
    }

    /// The aborted transactions among what was read from `from` up to `upper_offset`.
    pub async fn aborted_transactions(
        &self,
        from: i64,
        upper_offset: i64,
    ) -> Result<Vec<AbortedTransaction>, StorageError> {
        finish(self.log.aborted_transactions(from, upper_offset)?).await
    }

    /// A question to the log that may need the disk, asked off the async threads.
    pub async fn look_up<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Log) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let log = Arc::clone(&self.log);
        off_thread(move || question(&log)).await
    }

    /// Where `epoch` ends in this log (KIP-101): the largest epoch that is not after it, and the offset after its last
    /// record; -1 and -1 when the log knows none.
    pub fn end_offset_for_epoch(&self, epoch: i32, leader_epoch: i32) -> Result<(i32, i64), StorageError> {
        if epoch == leader_epoch {
            // The current epoch goes on: it ends at the end of the log, even before its first record.
            return Ok((epoch, self.log.end_offset()?));
        }
        self.log.end_offset_for_epoch(epoch)
    }

    /// Lets go of what `retention.ms` and `retention.bytes` no longer keep. Blocks on the disk.
    pub fn apply_retention(&self, now_ms: i64) {
        if let Err(error) = self.log.apply_retention(now_ms, self.high_watermark()) {
            warn!(log = %self.id, %error, "retention failed; it is tried again");
        }
    }

    /// Wakes `waiter` whenever the partition changes, for as long as it lives.
    pub fn notify(&self, waiter: &Arc<Notify>) {
        self.waiters.add(waiter);
    }

    /// Whether anyone is to be woken.
    pub fn is_watched(&self) -> bool {
        self.waiters.are_there()
    }

    /// Wakes whoever waits, for a change that is not an append: deleted, or its start moved.
    pub fn wake(&self) {
        self.waiters.wake_all();
    }
}

async fn finish<T: Send + 'static>(read: Read<T>) -> Result<T, StorageError> {
    match read {
        Read::Ready(found) => Ok(found),
        Read::Cold(read) => off_thread(move || read.run()).await,
    }
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(stopped) => Err(StorageError::Io {
            what: "reading the log".to_owned(),
            error: Arc::new(std::io::Error::other(stopped.to_string())),
        }),
    }
}
