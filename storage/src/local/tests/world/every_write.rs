//! Short lives of a log, each ended at every one of its writes: by a kill, by a power cut, by an error or by a full disk
//! that it survives.
//!
//! One letter is one step of a life: `p`lain, `i`dempotent and `t`ransactional appends, the `e`nd of a transaction, a
//! new `l`eader epoch, `f`lush, chec`k`point, `m`aintenance a while later, `d`eleted records, `r`etention, `c`ompaction,
//! `o`ther options, the topic `D`eleted and made again, a clean `s`top and a start, a `k`ill.

use super::{ONE, Run, Setting};
use crate::LogOptions;
use crate::local::tests::random::for_seeds;
use crate::local::tests::simulated_disk::{Fault, Left};

const LIVES: [&str; 10] = [
    "ppppppppppkppppfppppppp",
    "tteitettifteettektteet",
    "ppppppppppppppppcppppppppcppppmcpp",
    "tttepppptteppppcttepppppepppcpppmc",
    "ppppppppppfdpppkppdppfdm",
    "pppppppppprppppkpprpmr",
    "pipkDpipDppfkpD",
    "plpplpfplpkplps",
    "pipipipsppipipKppipfpps",
    "popoppocopopocpopfopok",
];

struct Life<'a> {
    script: &'a str,
    seed: u64,
    setting: &'a Setting,
}

impl Life<'_> {
    fn begin(&self) -> Run {
        let mut run = Run::new(self.seed, self.setting);
        let options = LogOptions {
            segment_bytes: 600,
            index_interval_bytes: 100,
            cleanup_compact: self.script.contains('c'),
            min_compaction_lag_ms: 0,
            delete_retention_ms: 50,
            preallocate: self.seed % 4 == 1,
            flush_messages: if self.seed % 3 == 2 { 1 } else { i64::MAX },
            ..run.ledgers[0].options.clone()
        };
        run.ledgers[0].options = options;
        run
    }

    /// Lives until the end or the crash. Returns the number of writes.
    fn live(&self, run: &mut Run) -> usize {
        for letter in self.script.chars() {
            run.now_ms += 10;
            run.begin_step();
            self.step(run, letter);
            if run.is_dead() {
                break;
            }
        }
        run.spent + run.disk.as_ref().map_or(0, |disk| disk.world().operations)
    }

    fn step(&self, run: &mut Run, letter: char) {
        match letter {
            'p' => run.append_plain(0),
            'i' => run.append_idempotent(0),
            't' => run.append_transactional(0),
            'e' => run.end_transaction(0),
            'l' => run.ledgers[0].leader_epoch += 1,
            'f' => run.flush(0),
            'k' => run.checkpoint(),
            'm' => run.maintain(100_000),
            'd' => run.delete_records(0),
            'r' => run.retain(0),
            'c' => run.compact(0),
            'o' => run.change_options(0),
            'D' => run.delete_topic(0),
            's' => run.stop_and_start(),
            'K' => run.go_on_with(Left::All),
            _ => panic!("{letter}"),
        }
    }

    fn check(&self, fault: Fault, at: usize, left: Left) {
        let mut run = self.begin();
        run.fault_at = Some((at, fault));
        run.arm();
        self.live(&mut run);
        run.fault_at = None;
        if fault == Fault::Crash && run.is_dead() {
            run.go_on_with(left);
        }
        run.disarm();
        // What failed for once must work now, and a kill must find it.
        run.begin_step();
        run.flush(0);
        for _ in 0..3 {
            run.append_plain(0);
        }
        run.check_all(0);
        run.go_on_with(Left::All);
    }
}

#[test]
fn a_log_survives_a_crash_an_error_and_a_full_disk_at_every_write() {
    let setting = Setting { dirs: vec!["/data"], topics: vec!["t"], ..ONE };
    for_seeds(1, |seed| {
        for script in LIVES {
            let life = Life { script, seed, setting: &setting };
            let writes = life.live(&mut life.begin());
            assert!(writes > 20, "{script}");
            for at in 1..=writes {
                let power_cut = Left::Some(seed * 1000 + at as u64);
                // Four seeds have all four.
                let (fault, left) = match (at as u64 + seed) % 4 {
                    0 => (Fault::Crash, Left::All),
                    1 => (Fault::Crash, power_cut),
                    2 => (Fault::Error, Left::All),
                    _ => (Fault::Full, Left::All),
                };
                let check = std::panic::AssertUnwindSafe(|| life.check(fault, at, left));
                if let Err(panic) = std::panic::catch_unwind(check) {
                    eprintln!("{fault:?} at {at} of {script}, {left:?}");
                    std::panic::resume_unwind(panic);
                }
            }
        }
    });
}
