//! Fetches that wait for a partition to grow.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

/// The fetches that wait for one partition. An idle partition has an empty list and nothing else.
#[derive(Debug, Default)]
pub struct Waiters(Mutex<Vec<Weak<Notify>>>);

/// Past this many entries, those whose fetch has ended are removed before another is added.
const CLEAN_FROM: usize = 16;

impl Waiters {
    /// The fetch is woken by each [`Waiters::wake_all`] until it is dropped; it is added once.
    pub fn add(&self, waiter: &Arc<Notify>) {
        let mut waiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiters.len() >= CLEAN_FROM && waiters.len() == waiters.capacity() {
            waiters.retain(|waiter| waiter.strong_count() > 0);
        }
        waiters.push(Arc::downgrade(waiter));
    }

    /// Whether anyone waits.
    pub fn are_there(&self) -> bool {
        let waiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiters.iter().any(|waiter| waiter.strong_count() > 0)
    }

    pub fn wake_all(&self) {
        let mut waiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiters.retain(|waiter| waiter.upgrade().inspect(|waiter| waiter.notify_one()).is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_is_woken_every_time_and_kept_no_longer_than_it_lives() {
        let waiters = Waiters::default();
        let woken = |waiter: &Notify| {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            std::pin::pin!(waiter.notified()).poll(&mut context).is_ready()
        };
        let (first, second) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        waiters.add(&first);
        waiters.add(&second);
        waiters.wake_all();
        assert!(woken(&first) && woken(&second));
        drop(second);
        waiters.wake_all();
        assert!(woken(&first) && !woken(&first));
        assert_eq!(waiters.0.lock().unwrap().len(), 1);
        drop(first);
        for _ in 0..10 * CLEAN_FROM {
            waiters.add(&Arc::new(Notify::new()));
        }
        assert!(waiters.0.lock().unwrap().len() <= CLEAN_FROM);
    }
}
