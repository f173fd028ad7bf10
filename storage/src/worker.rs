//! The one background thread: it waits for the disk so that nobody else must. Started with the first flush.
//!
//! Appends that arrive while one flush runs share the next: that is the group commit.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;

use crate::log::Log;

#[derive(Default)]
pub(crate) struct Worker {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    // Bounded by the number of logs: a log queues itself once.
    flushes: VecDeque<Weak<Log>>,
    is_stopped: bool,
}

impl Worker {
    /// Flushes the log soon.
    pub fn flush(&self, log: &Arc<Log>) {
        let mut state = self.queue.lock();
        if state.is_stopped {
            drop(state);
            flush(log);
            return;
        }
        state.flushes.push_back(Arc::downgrade(log));
        drop(state);
        self.queue.changed.notify_one();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let queue = self.queue.clone();
            let started =
                std::thread::Builder::new().name("ottla-flush".to_owned()).spawn(move || queue.run());
            match started {
                Ok(handle) => *thread = Some(handle),
                // Without a thread the caller waits for the disk itself: slower, but right.
                Err(_) => self.queue.run_pending(),
            }
        }
    }

    /// Finishes what is queued and ends the thread.
    pub fn stop(&self) {
        self.queue.lock().is_stopped = true;
        self.queue.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // It ends without an answer only when it panicked, and then there is nothing to finish.
            let _ = thread.join();
        }
        self.queue.run_pending();
    }
}

impl Queue {
    fn run(&self) {
        loop {
            self.run_pending();
            let state = self.lock();
            if state.is_stopped {
                return;
            }
            let waited =
                self.changed.wait_while(state, |state| state.flushes.is_empty() && !state.is_stopped);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn run_pending(&self) {
        loop {
            let next = self.lock().flushes.pop_front();
            let Some(log) = next else { return };
            if let Some(log) = log.upgrade() {
                flush(&log);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever waits for the flush learns of an error, and the log tells of it.
pub(crate) fn flush(log: &Log) {
    let _ = log.flush();
}
