//! What the machines' tests share: transcripts, seeds, chance.

use std::path::{Path, PathBuf};

/// Plays each transcript (`*.txt`) of a folder of this package and compares what comes with what is written;
/// `OTTLA_REWRITE_TRANSCRIPTS=1` writes down what comes now, to be read in the diff. `play` returns the transcript with
/// what came of its commands in place of what was expected.
pub fn check_transcripts(folder: &str, play: impl Fn(&str) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).expect("the folder of transcripts");
    let files = entries.map(|entry| entry.expect("a transcript").path());
    let mut files: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|it| it == "txt")).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let expected = std::fs::read_to_string(&file).expect("a readable transcript");
        let actual = play(&expected);
        if std::env::var_os("OTTLA_REWRITE_TRANSCRIPTS").is_some() {
            std::fs::write(&file, actual).expect("a writable transcript");
        } else {
            assert_eq!(actual, expected, "{}", file.display());
        }
    }
}

/// Keeps a transcript's comments and commands (`> command`), each followed by the lines that `command` returns.
pub fn replay_transcript(transcript: &str, mut command: impl FnMut(&str) -> Vec<String>) -> String {
    let mut output = String::new();
    for line in transcript.lines() {
        if line.is_empty() || line.starts_with('#') {
            output.push_str(line);
            output.push('\n');
        } else if let Some(text) = line.strip_prefix("> ") {
            for line in std::iter::once(line.to_owned()).chain(command(text)) {
                output.push_str(&line);
                output.push('\n');
            }
        }
    }
    output
}

/// Runs a simulation for many seeds. `OTTLA_SIMULATOR_SEEDS=100000` runs more, `OTTLA_SIMULATOR_FIRST_SEED=4711` starts
/// at one that failed.
pub fn for_each_seed(usual: u64, run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
    };
    let first = number("OTTLA_SIMULATOR_FIRST_SEED", 1);
    for seed in first..first + number("OTTLA_SIMULATOR_SEEDS", usual) {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!(
                "seed {seed} failed: OTTLA_SIMULATOR_FIRST_SEED={seed} OTTLA_SIMULATOR_SEEDS=1 repeats it"
            );
            std::panic::resume_unwind(panic);
        }
    }
}

/// Xorshift: the same numbers for the same seed, on every machine.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
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
}
