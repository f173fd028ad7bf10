//! Chance for the simulators: the same numbers for the same seed, on every machine.
//!
//! `OTTLA_SIMULATOR_SEEDS=100000` runs more seeds, `OTTLA_SIMULATOR_FIRST_SEED=4711` starts at one that failed.

/// Xorshift.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A place in a list that is not empty.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }
}

/// Runs one simulation after the other, each with its seed; one that fails prints its own.
pub fn for_each_seed(seeds: u64, simulate: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
    };
    let first = number("OTTLA_SIMULATOR_FIRST_SEED", 1);
    for seed in first..first + number("OTTLA_SIMULATOR_SEEDS", seeds) {
        if let Err(panic) = std::panic::catch_unwind(|| simulate(seed)) {
            eprintln!(
                "seed {seed} failed: OTTLA_SIMULATOR_FIRST_SEED={seed} OTTLA_SIMULATOR_SEEDS=1 repeats it"
            );
            std::panic::resume_unwind(panic);
        }
    }
}
