//! A log in memory that can be slow, and can fail.

use std::sync::{Arc, Mutex};

use ottla_protocol::batch::RecordBatch;
use tokio::sync::watch;

use super::{CoordinatorLog, LogError, LogFuture, Voucher};
use crate::coordinator::view::TestView;
use crate::coordinator::{ClusterSource, ClusterView};

/// A cluster without topics.
pub struct NoTopics;

impl ClusterSource for NoTopics {
    fn view(&self) -> Arc<dyn ClusterView> {
        Arc::new(TestView::default())
    }
}

/// A log whose appends are committed when the test says so.
pub struct TestLog {
    batches: Mutex<Vec<(i32, RecordBatch)>>,
    /// How many appends are committed; `i64::MAX` for all.
    committed: watch::Sender<i64>,
    /// The next append fails when it is its turn to be committed.
    is_failing: Mutex<bool>,
}

impl TestLog {
    pub fn new() -> Arc<Self> {
        let (committed, _) = watch::channel(i64::MAX);
        Arc::new(TestLog { batches: Mutex::new(Vec::new()), committed, is_failing: Mutex::new(false) })
    }

    pub fn commit(&self, count: i64) {
        self.committed.send_replace(count);
    }

    pub fn fail_next(&self) {
        *self.is_failing.lock().unwrap() = true;
    }

    pub fn appended(&self) -> i64 {
        self.batches.lock().unwrap().len() as i64
    }
}

impl CoordinatorLog for TestLog {
    fn partitions(&self) -> Option<i32> {
        Some(3)
    }

    fn create(&self) -> LogFuture<()> {
        Box::pin(async { Ok(()) })
    }

    fn append(&self, partition: i32, batch: RecordBatch) -> LogFuture<()> {
        let mut committed = self.committed.subscribe();
        let fails = std::mem::take(&mut *self.is_failing.lock().unwrap());
        let mut batches = self.batches.lock().unwrap();
        let place = batches.len() as i64;
        if !fails {
            batches.push((partition, batch));
        }
        Box::pin(async move {
            committed.wait_for(|count| *count > place).await.map_err(|_| LogError::Unavailable)?;
            if fails { Err(LogError::Unavailable) } else { Ok(()) }
        })
    }

    /// Knows of no transaction that goes on.
    fn append_vouched(&self, partition: i32, batch: RecordBatch, voucher: Voucher) -> LogFuture<()> {
        match voucher {
            Voucher::Ongoing => Box::pin(async { Err(LogError::InvalidTxnState) }),
            Voucher::Verified(_) | Voucher::Marker { .. } => self.append(partition, batch),
        }
    }

    fn read(&self, partition: i32, offset: i64) -> LogFuture<Vec<RecordBatch>> {
        // Every batch counts from 0 here, so all are read at once.
        let batches = self.batches.lock().unwrap();
        let of_partition = batches.iter().filter(|(of, _)| *of == partition && offset == 0);
        let found: Vec<RecordBatch> = of_partition.map(|(_, batch)| batch.clone()).collect();
        Box::pin(async move { Ok(found) })
    }
}
