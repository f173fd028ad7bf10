//! Chance that can be repeated.
//!
//! `OTTLA_SIMULATOR_SEEDS=100000` runs more seeds, `OTTLA_SIMULATOR_SECONDS=3600` runs seeds for an hour,
//! `OTTLA_SIMULATOR_FIRST_SEED=4711` starts at one that failed.

use std::time::Duration;

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Up to `limit`, without it.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn between(&mut self, first: i64, last: i64) -> i64 {
        first + self.below((last - first + 1) as u64) as i64
    }

    pub fn is_one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// One of a list that is not empty.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// Runs `test` with many seeds; a failure names its own.
#[expect(clippy::disallowed_methods)] // how long to go on is no part of what is tested
pub(super) fn for_seeds(seeds: u64, test: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let number = |name: &str| {
        let value = std::env::var(name).ok()?;
        Some(value.parse::<u64>().unwrap_or_else(|_| panic!("{name}={value}")))
    };
    let first = number("OTTLA_SIMULATOR_FIRST_SEED").unwrap_or(0);
    let time = number("OTTLA_SIMULATOR_SECONDS").map(Duration::from_secs);
    let seeds =
        number("OTTLA_SIMULATOR_SEEDS").unwrap_or(if time.is_some() { u64::MAX - first } else { seeds });
    let began = std::time::Instant::now();
    for seed in first..first + seeds {
        if time.is_some_and(|time| began.elapsed() >= time) {
            eprintln!("seeds {first} to {} were run", seed - 1);
            break;
        }
        if let Err(panic) = std::panic::catch_unwind(|| test(seed)) {
            eprintln!(
                "seed {seed} failed: OTTLA_SIMULATOR_FIRST_SEED={seed} OTTLA_SIMULATOR_SEEDS=1 repeats it"
            );
            std::panic::resume_unwind(panic);
        }
    }
}
