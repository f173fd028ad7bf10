//! How much of the logs is in memory because clients asked for it and have not taken it yet.
//!
//! Nobody waits for room here: while slow readers hold most of it, answers are smaller, never late. So what is held is
//! bounded by the budget and a small answer for each connection.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// What all answers together may hold before they become smaller.
const FETCHED_MAX_BYTES: usize = 256 << 20;
/// What an answer may always have; its first batch comes whole, as in every fetch.
const SMALL_ANSWER_BYTES: usize = 1 << 20;

/// Bytes of records that are on their way to clients.
#[derive(Debug, Default)]
pub struct FetchMemory {
    used: AtomicUsize,
}

/// One answer's part. It is given back when this is dropped.
pub struct Held {
    memory: Arc<FetchMemory>,
    bytes: usize,
}

impl FetchMemory {
    pub fn hold_nothing(self: &Arc<FetchMemory>) -> Held {
        Held { memory: Arc::clone(self), bytes: 0 }
    }
}

impl Held {
    /// How many bytes the answer may have, those that it has included.
    pub fn room(&self) -> usize {
        let others = self.memory.used.load(Ordering::Relaxed).saturating_sub(self.bytes);
        FETCHED_MAX_BYTES.saturating_sub(others).max(SMALL_ANSWER_BYTES)
    }

    /// The answer has so many bytes now.
    pub fn set(&mut self, bytes: usize) {
        self.memory.used.fetch_add(bytes, Ordering::Relaxed);
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }

    /// An empty part of a frame: it is dropped when all before it has been written.
    pub fn into_part(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &[]
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({} bytes)", self.bytes)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_smaller_and_room_comes_back() {
        let memory = Arc::new(FetchMemory::default());
        let mut first = memory.hold_nothing();
        assert_eq!(first.room(), FETCHED_MAX_BYTES);
        first.set(FETCHED_MAX_BYTES - SMALL_ANSWER_BYTES - 5);
        assert_eq!(first.room(), FETCHED_MAX_BYTES, "its own bytes are no obstacle");
        let mut second = memory.hold_nothing();
        assert_eq!(second.room(), SMALL_ANSWER_BYTES + 5);
        second.set(SMALL_ANSWER_BYTES);
        assert_eq!(memory.hold_nothing().room(), SMALL_ANSWER_BYTES);
        // Written and gone, as the parts of a frame go.
        let part = first.into_part();
        assert!(part.is_empty());
        drop(part);
        assert_eq!(memory.hold_nothing().room(), FETCHED_MAX_BYTES - SMALL_ANSWER_BYTES);
        drop(second);
        assert_eq!(memory.used.load(Ordering::Relaxed), 0);
    }
}
