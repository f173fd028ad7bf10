//! Deadlines by key, for the timers that a coordinator asks for.
//!
//! Enters: keys and deadlines in milliseconds since the epoch. Leaves: the keys that are due, in order. Pure.
//!
//! A heartbeat moves its member's deadline further away some thousand times for each time that it fires, so moving a
//! deadline later only writes the map; the stale entry in the queue is noticed when its turn comes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

/// Deadlines by key. A key has at most one deadline.
#[derive(Debug)]
pub struct Timers<K> {
    deadlines: HashMap<K, i64>,
    /// Holds each key of `deadlines` once or more, at most at its deadline, and leftovers of cancelled keys.
    queue: BinaryHeap<Reverse<(i64, K)>>,
}

impl<K: Clone + Eq + Hash + Ord> Default for Timers<K> {
    fn default() -> Self {
        Timers { deadlines: HashMap::new(), queue: BinaryHeap::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord> Timers<K> {
    /// Sets the deadline of `key`, in place of the one it had.
    pub fn set(&mut self, key: K, at_ms: i64) {
        match self.deadlines.get_mut(&key) {
            Some(deadline) if *deadline <= at_ms => *deadline = at_ms,
            _ => {
                self.deadlines.insert(key.clone(), at_ms);
                self.queue.push(Reverse((at_ms, key)));
            }
        }
    }

    /// Sets the deadline of `key` if it has none.
    pub fn start(&mut self, key: K, at_ms: i64) {
        if !self.deadlines.contains_key(&key) {
            self.set(key, at_ms);
        }
    }

    /// Forgets `key`.
    pub fn cancel(&mut self, key: &K) {
        self.deadlines.remove(key);
    }

    /// When to look again: no key is due before this moment. It may be too early, never too late.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.queue.peek().map(|Reverse((at_ms, _))| *at_ms)
    }

    /// Takes the earliest key whose deadline has come.
    pub fn pop_due(&mut self, now_ms: i64) -> Option<K> {
        while let Some(Reverse((queued_ms, _))) = self.queue.peek() {
            if *queued_ms > now_ms {
                return None;
            }
            let Reverse((queued_ms, key)) = self.queue.pop()?;
            match self.deadlines.get(&key) {
                None => {}
                Some(at_ms) if *at_ms > queued_ms => self.queue.push(Reverse((*at_ms, key))),
                Some(_) => {
                    self.deadlines.remove(&key);
                    return Some(key);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_in_order_of_the_last_deadline_set() {
        let mut timers = Timers::default();
        timers.set("a", 10);
        timers.set("b", 20);
        timers.set("c", 30);
        timers.set("a", 25); // later: the queue keeps the old entry
        timers.set("c", 5); // sooner
        timers.start("a", 1); // it runs already
        timers.cancel(&"b");

        assert_eq!(timers.next_deadline_ms(), Some(5));
        assert_eq!(timers.pop_due(24), Some("c"));
        assert_eq!(timers.pop_due(24), None);
        assert_eq!(timers.pop_due(40), Some("a"));
        assert_eq!(timers.pop_due(40), None);
        assert_eq!(timers.next_deadline_ms(), None);
    }

    #[test]
    fn a_cancelled_and_set_again_key_fires_once() {
        let mut timers = Timers::default();
        timers.set("a", 10);
        timers.cancel(&"a");
        timers.set("a", 10);
        assert_eq!(timers.pop_due(10), Some("a"));
        assert_eq!(timers.pop_due(10), None);
    }

    #[test]
    fn heartbeats_do_not_grow_the_queue() {
        let mut timers = Timers::default();
        for at_ms in 0..10_000 {
            timers.set("a", at_ms);
        }
        assert_eq!(timers.queue.len(), 1);
    }
}
