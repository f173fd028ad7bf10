//! The thread that runs the controller.

use std::sync::Arc;

use ottla_protocol::record_formats::MetadataRecord;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::error;

use super::ClusterError;
use super::journal::Journal;
use crate::clock::Clock;
use crate::metadata::{Controller, Image, MAX_RECORDS_PER_REQUEST};

/// A decision that waits for its turn.
pub(super) type Job = Box<dyn FnOnce(&Controller) -> Decided + Send>;

/// What the thread is asked.
pub(super) enum Message {
    Decide(Job),
    /// To say when nothing goes on beside the thread any more.
    Settle(oneshot::Sender<()>),
}

pub(super) struct Decided {
    pub records: Vec<MetadataRecord>,
    /// Sends the answer, once it is known whether the records are in the log.
    pub finish: Box<dyn FnOnce(Result<(), ClusterError>) + Send>,
}

/// Runs until nobody can send decisions any more.
pub(super) fn start(
    journal: Journal,
    controller: Controller,
    publish: watch::Sender<Arc<Image>>,
    queue: mpsc::Receiver<Message>,
    clock: Clock,
) -> std::io::Result<()> {
    let mut writer = Writer { journal, controller, publish, queue, clock, is_lost: false };
    std::thread::Builder::new().name("metadata".into()).spawn(move || writer.run())?;
    Ok(())
}

struct Writer {
    journal: Journal,
    /// Ahead of what is published by what is being written.
    controller: Controller,
    publish: watch::Sender<Arc<Image>>,
    queue: mpsc::Receiver<Message>,
    clock: Clock,
    /// An append failed, and so did reading what became of it: nothing can be decided before that is known.
    is_lost: bool,
}

impl Writer {
    fn run(&mut self) {
        while let Some(message) = self.queue.blocking_recv() {
            let job = match message {
                Message::Decide(job) => job,
                Message::Settle(settled) => {
                    self.settle(settled);
                    continue;
                }
            };
            let (records, answers, settling) = self.decide_all(job);
            let committed = self.commit(&records);
            for finish in answers {
                finish(committed.clone());
            }
            if committed.is_ok() && !records.is_empty() {
                self.journal.snapshot_if_due(self.controller.image(), self.clock.now_ms());
            }
            if let Some(settled) = settling {
                self.settle(settled);
            }
        }
    }

    fn settle(&mut self, settled: oneshot::Sender<()>) {
        self.journal.wait_for_snapshot();
        // Whoever asked may have gone.
        let _ = settled.send(());
    }

    /// Decides what waits, each on top of the one before, until it is much for one batch.
    fn decide_all(&mut self, first: Job) -> (Vec<MetadataRecord>, Vec<Finish>, Option<oneshot::Sender<()>>) {
        let (mut records, mut answers) = (Vec::new(), Vec::new());
        let mut next = Some(Message::Decide(first));
        while let Some(message) = next {
            let job = match message {
                Message::Decide(job) => job,
                Message::Settle(settled) => return (records, answers, Some(settled)),
            };
            let decided = job(&self.controller);
            for record in &decided.records {
                let offset = self.controller.next_offset();
                self.controller.replay_position(offset, self.journal.epoch());
                // A decision whose own records cannot follow is a mistake in this program, not in its input.
                self.controller.replay(record).expect("a decision's records follow from the state it saw");
            }
            records.extend(decided.records);
            answers.push(decided.finish);
            next = if records.len() < MAX_RECORDS_PER_REQUEST { self.queue.try_recv().ok() } else { None };
        }
        (records, answers, None)
    }

    fn commit(&mut self, records: &[MetadataRecord]) -> Result<(), ClusterError> {
        if self.is_lost {
            self.reload();
            return Err(ClusterError::Unavailable("the metadata log could not be read again".into()));
        }
        if records.is_empty() {
            return Ok(());
        }
        let metadata_version = self.controller.image().metadata_version();
        match self.journal.append(records, metadata_version, self.clock.now_ms()) {
            Ok(()) => {
                assert_eq!(
                    self.controller.next_offset(),
                    self.journal.end_offset(),
                    "state and log have parted"
                );
                self.publish.send_replace(Arc::new(self.controller.image().clone()));
                Ok(())
            }
            Err(failed) => {
                error!("{failed}");
                self.reload();
                Err(failed)
            }
        }
    }
}

impl Writer {
    /// Whatever became of a failed append, the log knows it; but what a failed flush may have left in memory alone is not to
    /// be seen, or decided upon, before it is on the disk.
    fn reload(&mut self) {
        match self.journal.flush().and_then(|()| self.journal.load()) {
            Ok(controller) => {
                self.publish.send_replace(Arc::new(controller.image().clone()));
                self.controller = controller;
                self.is_lost = false;
            }
            Err(failed) => {
                error!("{failed}");
                self.is_lost = true;
            }
        }
    }
}

type Finish = Box<dyn FnOnce(Result<(), ClusterError>) + Send>;
