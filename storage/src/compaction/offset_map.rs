//! The latest offset of each key, by a hash of the key, in bounded memory that grows as it is needed. Two keys of one
//! hash would cost the older of them its record: 128 bits make that as good as impossible, and whoever could contrive it
//! may overwrite the key anyway.

use xxhash_rust::xxh3::xxh3_128;

/// Two words of hash, and an offset plus one: zero is an empty place.
type Slot = [u64; 3];

const SLOT_BYTES: u64 = size_of::<Slot>() as u64;
/// Grown one at a time, so that the copy costs little memory beside the whole.
const SHARDS_MAX: usize = 64;
const SHARD_SLOTS_MIN: usize = 64;

pub(crate) struct OffsetMap {
    shards: Vec<Shard>,
    shard_slots_max: usize,
    entries: usize,
    entries_max: usize,
    latest_offset: i64,
}

#[derive(Default)]
struct Shard {
    slots: Vec<Slot>,
    used: usize,
}

impl OffsetMap {
    /// With at most so much memory, of which none is taken yet. It is full when nine tenths of the places are taken
    /// (`log.cleaner.io.buffer.load.factor`); one key at least finds a place.
    pub fn new(budget_bytes: u64) -> Self {
        let slots_max = usize::try_from(budget_bytes / SLOT_BYTES).unwrap_or(usize::MAX).max(2);
        let shards = (slots_max / 4096).clamp(1, SHARDS_MAX);
        Self {
            shards: (0..shards).map(|_| Shard::default()).collect(),
            shard_slots_max: slots_max / shards,
            entries: 0,
            entries_max: (slots_max as f64 * 0.9) as usize,
            latest_offset: -1,
        }
    }

    /// The key was written at `offset`, later than before. False when the map is full, and nothing was noted.
    pub fn put(&mut self, key: &[u8], offset: i64) -> bool {
        if self.entries >= self.entries_max {
            return false;
        }
        let hash = hash(key);
        let at = self.shard(hash);
        let shard = &mut self.shards[at];
        let was_used = shard.used;
        if !shard.put(hash, offset, self.shard_slots_max) {
            return false;
        }
        self.entries += shard.used - was_used;
        self.latest_offset = self.latest_offset.max(offset);
        true
    }

    pub fn get(&self, key: &[u8]) -> Option<i64> {
        let hash = hash(key);
        self.shards[self.shard(hash)].get(hash)
    }

    /// All up to here was looked at, keys or not.
    pub fn reached(&mut self, offset: i64) {
        self.latest_offset = self.latest_offset.max(offset);
    }

    /// The last offset that the map speaks of, or -1.
    pub fn latest_offset(&self) -> i64 {
        self.latest_offset
    }

    pub fn len(&self) -> usize {
        self.entries
    }

    fn shard(&self, hash: [u64; 2]) -> usize {
        scale(hash[1], self.shards.len())
    }
}

impl Shard {
    fn put(&mut self, hash: [u64; 2], offset: i64, slots_max: usize) -> bool {
        if self.used + 1 > self.comfortable(slots_max) {
            self.grow(slots_max);
        }
        // One place stays empty, where a search ends.
        if self.used + 1 >= self.slots.len() && self.get(hash).is_none() {
            return false;
        }
        let at = self.find(hash);
        let slot = &mut self.slots[at];
        self.used += usize::from(slot[2] == 0);
        *slot = [hash[0], hash[1], (offset as u64).wrapping_add(1)];
        true
    }

    fn get(&self, hash: [u64; 2]) -> Option<i64> {
        if self.slots.is_empty() {
            return None;
        }
        let slot = self.slots[self.find(hash)];
        (slot[2] > 0).then(|| (slot[2] - 1) as i64)
    }

    /// Where the hash is, or else where it belongs.
    fn find(&self, hash: [u64; 2]) -> usize {
        let mut at = scale(hash[0], self.slots.len());
        loop {
            let slot = &self.slots[at];
            if slot[2] == 0 || (slot[0], slot[1]) == (hash[0], hash[1]) {
                return at;
            }
            at = if at + 1 == self.slots.len() { 0 } else { at + 1 };
        }
    }

    /// So many entries may be in it before it grows: beyond three quarters searches become long.
    fn comfortable(&self, slots_max: usize) -> usize {
        if self.slots.len() >= slots_max { self.slots.len() } else { self.slots.len() / 4 * 3 }
    }

    fn grow(&mut self, slots_max: usize) {
        let wanted = (self.slots.len() / 2 * 3).max(SHARD_SLOTS_MIN).min(slots_max);
        if wanted <= self.slots.len() {
            return;
        }
        let before = std::mem::replace(&mut self.slots, vec![[0; 3]; wanted]);
        for slot in before.into_iter().filter(|slot| slot[2] > 0) {
            let at = self.find([slot[0], slot[1]]);
            self.slots[at] = slot;
        }
    }
}

fn hash(key: &[u8]) -> [u64; 2] {
    let hash = xxh3_128(key);
    [hash as u64, (hash >> 64) as u64]
}

/// A hash as a place among so many.
fn scale(hash: u64, places: usize) -> usize {
    ((u128::from(hash) * places as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn bytes(map: &OffsetMap) -> usize {
        map.shards.iter().map(|shard| shard.slots.capacity() * size_of::<Slot>()).sum()
    }

    #[test]
    fn it_is_a_map_until_it_is_full() {
        for budget in [0, 48, 240, 2400, 24 << 10, 5 << 20] {
            let mut map = OffsetMap::new(budget);
            assert_eq!(bytes(&map), 0, "nothing is taken before it is needed");
            let (mut expected, mut full) = (HashMap::new(), 0);
            for offset in 0..400_000i64 {
                // Some keys come again and again.
                let key = offset.wrapping_mul(0x9e37_79b9) % (1 + offset / 2);
                if !map.put(&key.to_be_bytes(), offset) {
                    full = offset;
                    break;
                }
                expected.insert(key, offset);
            }
            assert_eq!(
                (map.len(), map.latest_offset()),
                (expected.len(), expected.values().copied().max().unwrap())
            );
            for (key, offset) in &expected {
                assert_eq!(map.get(&key.to_be_bytes()), Some(*offset), "budget {budget}");
            }
            assert_eq!(map.get(b"never written"), None);
            let slots = (budget / 24).max(2);
            assert!(bytes(&map) as u64 <= slots * 24, "{} bytes of {budget}", bytes(&map));
            if full > 0 {
                assert!(map.len() as f64 > slots as f64 * 0.85 - 1.0, "{} of {slots}", map.len());
                assert!(!map.put(b"one more", 1 << 40));
            }
        }
    }

    #[test]
    fn a_few_keys_take_little() {
        let mut map = OffsetMap::new(128 << 20);
        for n in 0..1000u32 {
            assert!(map.put(&n.to_be_bytes(), i64::from(n)));
        }
        assert!(bytes(&map) <= 64 * 64 * 24, "{}", bytes(&map));
        map.reached(5000);
        assert_eq!(map.latest_offset(), 5000);
    }
}
