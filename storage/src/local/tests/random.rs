//! Chance that can be repeated.

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
}

/// Runs `test` with many seeds; a failure names its own. `OTTLA_SEED=17` runs that one, `OTTLA_SEEDS=100000` so many.
pub(super) fn for_seeds(count: u64, test: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds = match number("OTTLA_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("OTTLA_SEEDS").unwrap_or(count),
    };
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| test(seed)) {
            eprintln!("failed with OTTLA_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
