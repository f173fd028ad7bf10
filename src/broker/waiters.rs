//! Fetches that wait for a partition to grow.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

/// The fetches that wait for one partition. An idle partition has an empty list and nothing else.
#[derive(Debug, Default)]
pub struct Waiters(Mutex<Vec<Weak<Notify>>>);

/// Past this many entries, those whose fetch has ended are removed before another is added.
const CLEAN_FROM: usize = 16;

impl Waiters {
    /// The fetch is woken once, by the next [`Waiters::wake_all`]; when it is dropped its entry dies.
    pub fn add(&self, waiter: &Arc<Notify>) {
        let mut waiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiters.len() >= CLEAN_FROM && waiters.len() == waiters.capacity() {
            waiters.retain(|waiter| waiter.strong_count() > 0);
        }
        waiters.push(Arc::downgrade(waiter));
    }

    pub fn wake_all(&self) {
        let woken = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for waiter in woken.iter().filter_map(Weak::upgrade) {
            waiter.notify_one();
        }
    }
}
