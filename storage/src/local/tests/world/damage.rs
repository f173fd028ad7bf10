//! Files that something changes while no broker runs: the logs open or say why not, serve nothing that is wrong, lose
//! nothing that lies before the damage, and go on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_protocol::batch::{BatchBuilder, Batches, ValidatedBatches};

use super::ledger::Ledger;
use super::{ONE, Run, Setting};
use crate::local::disk::Disk;
use crate::local::segment::parse_segment_name;
use crate::local::tests::logs_in;
use crate::local::tests::random::{Random, for_seeds};
use crate::local::tests::simulated_disk::{Left, SimulatedDisk};
use crate::{AppendContext, Log, Logs, Origin, ReadLimits};

/// Of a header, what its CRC does not cover: base offset, length, leader epoch, magic and the CRC.
const UNPROVEN_BYTES: usize = 21;
const BLOCK_BYTES: usize = 64;
const LIMITS: ReadLimits = ReadLimits { max_bytes: 500, upper_offset: i64::MAX, whole_first_batch: true };

/// What somebody did to a file, and from which position it is not what it was.
type Damaged = (PathBuf, usize);

struct Damage<'a> {
    random: &'a mut Random,
    disk: &'a SimulatedDisk,
    files: &'a BTreeMap<PathBuf, Vec<u8>>,
}

impl Damage<'_> {
    fn pick(&mut self) -> PathBuf {
        let paths: Vec<_> = self.files.keys().collect();
        paths[self.random.below(paths.len() as u64) as usize].clone()
    }

    /// Changes some file.
    fn strike(&mut self) -> Vec<Damaged> {
        let path = self.pick();
        let mut world = self.disk.world();
        match self.random.below(13) {
            0 => world.take(&path),
            1 => world.put_dir(&path),
            2 => {
                world.unreadable.insert(path.clone());
            }
            3 => world.put(&path, Vec::new()),
            4 => {
                drop(world);
                return self.exchange(path);
            }
            _ => {
                let (bytes, from) = self.changed(&path);
                world.put(&path, bytes);
                return vec![(path, from)];
            }
        }
        vec![(path, 0)]
    }

    /// With another one of the same directory. (That a batch is another log's nobody can tell.)
    fn exchange(&mut self, path: PathBuf) -> Vec<Damaged> {
        let other = self.pick();
        if other.parent() != path.parent() {
            return Vec::new();
        }
        let mut world = self.disk.world();
        world.put(&path, self.files[&other].clone());
        if self.random.is_one_in(2) {
            world.put(&other, self.files[&path].clone());
            return vec![(path, 0), (other, 0)];
        }
        vec![(path, 0)]
    }

    fn changed(&mut self, path: &Path) -> (Vec<u8>, usize) {
        let (mut bytes, random) = (self.files[path].clone(), &mut *self.random);
        let size = bytes.len();
        let at = if size == 0 { 0 } else { random.below(size as u64) as usize };
        let block = at..size.min(at + BLOCK_BYTES);
        match random.below(8) {
            // Without a checksum one topic id is as good as another, one base offset as another.
            0..3 if name(path) != "partition.metadata" => {
                for byte in bytes.iter_mut().skip(at).take(1 + random.below(3) as usize) {
                    *byte ^= 1 << random.below(8);
                }
                (bytes, at)
            }
            3 => {
                bytes.truncate(at);
                (bytes, at)
            }
            4 => {
                let count = random.pick(&[1, 10, 200, 300_000]);
                let is_zeros = random.is_one_in(2);
                bytes.extend((0..count).map(|_| if is_zeros { 0 } else { random.next() as u8 }));
                (bytes, size)
            }
            5 => {
                bytes[block].fill(0);
                (bytes, at)
            }
            6 => {
                let again = bytes[block.clone()].to_vec();
                let to = random.below(size as u64 + 1) as usize;
                bytes.splice(to..to, again);
                (bytes, to)
            }
            _ => {
                let again = bytes[block.clone()].to_vec();
                let to = random.below(size as u64 + 1) as usize;
                let end = size.min(to + again.len());
                bytes[to..end].copy_from_slice(&again[..end - to]);
                (bytes, to)
            }
        }
    }

    /// What a cleaner left that did not finish: not whole, or of no use.
    fn leave(&mut self) {
        let Some(dir) = self.pick().parent().map(Path::to_owned) else { return };
        let ending = self.random.pick(&[".log.swap", ".index.swap", ".timeindex.swap", ".log.cleaned"]);
        let ending = self.random.pick(&[ending, ".log.deleted", ".log.tmp", ".txnindex.swap", ".snapshot"]);
        // (An empty .swap says that compaction has left nothing.)
        let garbage = (0..self.random.between(1, 100)).map(|_| self.random.next() as u8).collect();
        let path = dir.join(format!("{:020}{ending}", self.random.between(0, 50)));
        let is_new = !self.files.contains_key(&path) && self.disk.list(&dir).is_ok();
        if is_new {
            self.disk.world().put(&path, garbage);
        }
    }
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn parse(bytes: &[u8]) -> Vec<(i64, Bytes)> {
    let batches = Batches::new(Bytes::copy_from_slice(bytes)).map_while(Result::ok);
    batches.map(|batch| (batch.base_offset, batch.into_bytes())).collect()
}

/// One log as it was before.
struct Known {
    dir: PathBuf,
    ledger: Ledger,
    /// Every batch that lies in a file of its, and what its CRC proves of it.
    proven: BTreeSet<Bytes>,
    /// Before it all is where it was.
    sound_until: i64,
    is_start_known: bool,
}

impl Known {
    fn new(ledger: Ledger, files: &BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let name = ledger.id.dir_name();
        let dirs = files.keys().filter_map(|path| path.parent());
        let dir = dirs.into_iter().find(|dir| dir.ends_with(&name)).map(Path::to_owned).unwrap_or_default();
        let of_log = files.iter().filter(|(path, _)| path.parent() == Some(&dir));
        let logs = of_log.filter(|(path, _)| self::name(path).contains(".log"));
        let proven = logs.flat_map(|(_, bytes)| parse(bytes));
        let proven = proven.map(|(_, bytes)| bytes.slice(UNPROVEN_BYTES..)).collect();
        // Compaction and then no compaction any more: gaps may look like a loss.
        let was_compacted = ledger.written.iter().any(|batch| batch.horizon_ms.is_some());
        let sound_until = if was_compacted && !ledger.options.cleanup_compact { 0 } else { i64::MAX };
        Self { dir, ledger, proven, sound_until, is_start_known: true }
    }

    fn damaged(&mut self, (path, from): &Damaged, files: &BTreeMap<PathBuf, Vec<u8>>) {
        if name(path) == "log-start-offset-checkpoint" {
            self.is_start_known = false;
            // What a power cut took before the start looks like a loss to who does not know the start.
            let pairs = self.ledger.written.windows(2);
            let holes = pairs.filter(|pair| pair[0].last_offset + 1 < pair[1].base_offset);
            let before = holes.map(|pair| pair[1].base_offset).find(|end| *end <= self.ledger.start);
            self.sound_until = self.sound_until.min(before.unwrap_or(i64::MAX));
        }
        if path.parent() != Some(&self.dir) {
            return;
        }
        if name(path) == "partition.metadata" {
            self.sound_until = 0; // another topic's
        }
        let Some((base_offset, ".log")) = parse_segment_name(name(path)) else { return };
        let mut position = 0;
        let batches = parse(&files[path]);
        let first_damaged = batches.iter().find(|(_, bytes)| {
            position += bytes.len();
            position > *from
        });
        let after = batches.last().map_or(base_offset, |last| last.0 + 1);
        let next = self.ledger.written.iter().map(|batch| batch.base_offset).find(|base| *base >= after);
        let until = first_damaged.map(|(base, _)| *base).or(next).unwrap_or(i64::MAX);
        self.sound_until =
            self.sound_until.min(if batches.is_empty() || *from == 0 { base_offset } else { until });
    }

    fn check(&self, log: &Log, random: &mut Random) {
        let (Ok(start), Ok(end)) = (log.start_offset(), log.end_offset()) else { return };
        let is_start_known = self.is_start_known && self.ledger.start < self.sound_until;
        assert!(!is_start_known || start <= self.ledger.start, "{start}, not {}", self.ledger.start);
        // (What compaction did before the start nobody has seen.)
        let from = start.max(self.ledger.start);
        for batch in self.ledger.batches_from(from).filter(|batch| batch.last_offset < self.sound_until) {
            let from = batch.base_offset.max(start);
            let is_it = self.read(log, from).first().is_some_and(|(_, served)| *served == batch.bytes);
            assert!(is_it, "{from} of {start}..{end}, sound until {}", self.sound_until);
        }
        let mut offset = start;
        while offset < end {
            let served = self.read(log, offset).last().map(|(next, _)| *next);
            let next_written = || self.ledger.batches_from(offset + 1).map(|batch| batch.last_offset).next();
            assert!(served.is_none_or(|next| next <= end), "{served:?} is behind the end at {end}");
            let Some(next) = served.or_else(next_written) else { break };
            offset = next;
        }
        // Whatever these answer now, they answer.
        let time = random.between(super::NOW - 100, super::NOW + 2000);
        let _ = (log.offset_for_timestamp(time), log.max_timestamp(), log.size(), log.producers());
        let _ = (log.latest_epoch(), log.end_offset_for_epoch(random.between(0, 3) as i32));
        let _ = log.aborted_transactions(start, end).and_then(|read| read.wait());
        let mut builder = BatchBuilder::new();
        builder.append(super::NOW, Some(b"key"), Some(&random.next().to_be_bytes()));
        let context = AppendContext { leader_epoch: 9, now_ms: super::NOW, origin: Origin::Coordinator };
        let batches = ValidatedBatches::internal([builder.build()]);
        if let Ok(appended) = log.append(batches, context) {
            assert_eq!(appended.base_offset, end);
            let records = log.read(end, LIMITS).unwrap().wait().unwrap();
            assert_eq!(parse(&records.chunks.concat())[0].0, end);
        }
    }

    /// What is served from an offset on, and what follows each: whole batches with the right CRC, in order, each of them
    /// written here, or nothing.
    fn read(&self, log: &Log, from: i64) -> Vec<(i64, Bytes)> {
        let Ok(records) = log.read(from, LIMITS).and_then(|read| read.wait()) else { return Vec::new() };
        let mut offset = from;
        let batches = records.chunks.into_iter().flat_map(Batches::new).map(|batch| {
            let batch = batch.unwrap();
            assert!(batch.is_crc_valid() && batch.last_offset() >= offset, "at {offset}");
            offset = batch.next_offset();
            let bytes = batch.bytes();
            let is_ours = batch.partition_leader_epoch == 9 && batch.records_count == 1;
            let is_known = is_ours || self.proven.contains(&bytes.slice(UNPROVEN_BYTES..));
            assert!(is_known, "nobody wrote what is served at {offset}");
            (offset, batch.into_bytes())
        });
        batches.collect()
    }
}

fn check(logs: &Logs, known: &[Known], random: &mut Random) {
    let _ = (logs.stored(), logs.describe());
    for one in known {
        let log = logs.log(&one.ledger.id, &std::sync::Arc::new(one.ledger.options.clone()));
        one.check(&log, random);
    }
}

fn run(seed: u64, setting: &Setting) {
    let mut run = Run::new(seed, setting);
    run.live();
    let is_clean = run.random.is_one_in(2);
    if is_clean {
        run.logs.close(run.now_ms).unwrap();
    } else {
        run.logs.checkpoint(run.now_ms).unwrap();
    }
    let Run { mut random, disk, ledgers, is_traced, .. } = run;
    let disk = disk.unwrap().after_crash(Left::All);
    let files = disk.world().files();
    if files.is_empty() {
        return;
    }
    let mut known: Vec<_> = ledgers.into_iter().map(|ledger| Known::new(ledger, &files)).collect();
    let mut damage = Damage { random: &mut random, disk: &disk, files: &files };
    for _ in 0..damage.random.between(1, 3) {
        for damaged in damage.strike() {
            if is_traced {
                eprintln!("damaged: {damaged:?}");
            }
            known.iter_mut().for_each(|known| known.damaged(&damaged, &files));
        }
    }
    if damage.random.is_one_in(4) {
        damage.leave();
    }
    let total: usize = disk.world().files().values().map(Vec::len).sum();
    for again in 0..2 {
        let disk = if again == 0 { disk.clone() } else { disk.after_crash(Left::All) };
        let Ok(logs) = logs_in(&disk, &setting.dirs) else { return };
        for one in &known {
            // Opening is bounded by what is there.
            let log = logs.log(&one.ledger.id, &std::sync::Arc::new(one.ledger.options.clone()));
            let _ = log.start_offset();
        }
        let world = disk.world();
        let (read, largest) = (world.bytes_read, world.largest_read);
        drop(world);
        assert!(read < 40 * total as u64 + (1 << 20), "{read} bytes were read of {total}");
        assert!(largest < total + (1 << 20), "{largest} bytes were read at once of {total}");
        check(&logs, &known, &mut random);
        if random.is_one_in(2) {
            let _ = logs.close(super::NOW);
        }
    }
}

#[test]
fn a_damaged_log_opens_or_says_why_and_keeps_what_lies_before_the_damage() {
    let one = Setting { dirs: vec!["/data"], topics: vec!["t"], steps: 40, ..ONE };
    for_seeds(200, |seed| run(seed, &one));
}

#[test]
fn damaged_logs_in_several_directories_serve_nothing_that_is_wrong() {
    let two = Setting { dirs: vec!["/data", "/more"], topics: vec!["t", "u"], steps: 80, ..ONE };
    for_seeds(50, |seed| run(seed, &two));
}
