//! Files that something changes while no broker runs: the log opens or says why not, serves nothing that is wrong, and
//! loses nothing that lies before the damage.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_protocol::batch::{BatchBuilder, Batches, ValidatedBatches};

use super::random::{Random, for_seeds};
use super::simulated_disk::{Left, SimulatedDisk};
use super::{NOW, log_with, logs};
use crate::local::disk::Disk;
use crate::local::segment::parse_segment_name;
use crate::{AppendContext, Log, LogOptions, Logs, Origin, ReadLimits};

const LIMITS: ReadLimits = ReadLimits { max_bytes: 500, upper_offset: i64::MAX, whole_first_batch: true };

fn options() -> LogOptions {
    LogOptions { segment_bytes: 700, index_interval_bytes: 150, ..LogOptions::default() }
}

fn append(log: &Log, random: &mut Random, sequence: Option<i32>) -> Option<i64> {
    let mut builder = BatchBuilder::new();
    if let Some(sequence) = sequence {
        builder = builder.producer(1, 0, sequence);
    }
    for _ in 0..random.between(1, 4) {
        builder.append(NOW + random.between(0, 1000), Some(b"key"), Some(&random.next().to_be_bytes()));
    }
    let context = AppendContext { leader_epoch: 0, now_ms: NOW, origin: Origin::Coordinator };
    log.append(ValidatedBatches::internal([builder.build()]), context)
        .ok()
        .map(|appended| appended.base_offset)
}

/// A log of some segments, closed or not. Returns where it starts.
fn write(disk: &SimulatedDisk, random: &mut Random) -> i64 {
    let logs = logs(disk).unwrap();
    let log = log_with(&logs, &options());
    for n in 0..random.between(5, 40) {
        let sequence = random.is_one_in(2).then_some(n as i32);
        append(&log, random, sequence).unwrap();
        if random.is_one_in(10) {
            logs.checkpoint(NOW).unwrap();
        }
    }
    if random.is_one_in(3) {
        log.set_start_offset(random.between(0, log.end_offset().unwrap()), NOW).unwrap();
    }
    logs.checkpoint(NOW).unwrap();
    if random.is_one_in(2) {
        logs.close(NOW).unwrap();
    }
    log.start_offset().unwrap()
}

fn parse(bytes: &[u8]) -> Vec<(i64, Bytes)> {
    let batches = Batches::new(Bytes::copy_from_slice(bytes));
    batches.map(|batch| batch.unwrap()).map(|batch| (batch.base_offset, batch.into_bytes())).collect()
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Changes some file. Returns the files and the position from which they are not what they were.
fn damage(disk: &SimulatedDisk, random: &mut Random) -> Vec<(PathBuf, usize)> {
    let mut world = disk.world();
    let files = world.files();
    let paths: Vec<_> = files.keys().cloned().collect();
    let mut pick = || paths[random.below(paths.len() as u64) as usize].clone();
    let (path, other) = (pick(), pick());
    let size = files[&path].len();
    let at = if size == 0 { 0 } else { random.below(size as u64) as usize };
    // Without a checksum a topic id is as good as another: then the directory is another topic's.
    let may_flip = size > 0 && name(&path) != "partition.metadata";
    let kind = random.below(6);
    if kind == 4 {
        world.take(&path);
        return vec![(path, 0)];
    }
    let from = {
        let mut bytes = files[&path].clone();
        let from = match kind {
            0 | 1 if may_flip => {
                for byte in bytes.iter_mut().skip(at).take(1 + random.below(3) as usize) {
                    *byte ^= 1 << random.below(8);
                }
                at
            }
            2 => {
                bytes.truncate(at);
                at
            }
            3 => {
                let is_zeros = random.is_one_in(2);
                bytes.extend(
                    (0..random.between(1, 200)).map(|_| if is_zeros { 0 } else { random.next() as u8 }),
                );
                size
            }
            _ => 0,
        };
        world.put(&path, bytes);
        from
    };
    if kind == 5 {
        world.put(&path, files[&other].clone());
        world.put(&other, files[&path].clone());
        return vec![(path, 0), (other, 0)];
    }
    vec![(path, from)]
}

/// What a cleaner left that did not finish: not whole, or of no use.
fn leave(disk: &SimulatedDisk, random: &mut Random) {
    let suffix = [".log.swap", ".index.swap", ".timeindex.swap", ".log.cleaned", ".log.deleted", ".log.tmp"];
    let suffix = suffix[random.below(6) as usize];
    let dir = Path::new("/data/t-0");
    let garbage = (0..random.between(1, 100)).map(|_| random.next() as u8).collect();
    let path = dir.join(format!("{:020}{suffix}", random.between(0, 50)));
    let is_there = disk.list(dir).is_ok();
    if is_there {
        disk.world().put(&path, garbage);
    }
}

fn run(seed: u64) {
    let mut random = Random::new(seed);
    let disk = SimulatedDisk::default();
    let start = write(&disk, &mut random);
    let disk = disk.after_crash(Left::All);
    let files = disk.world().files();
    let written: Vec<_> = files
        .iter()
        .filter(|(path, _)| name(path).ends_with(".log"))
        .flat_map(|(_, bytes)| parse(bytes))
        .collect();

    let (mut sound_until, mut is_start_known) = (i64::MAX, true);
    for _ in 0..random.between(1, 3) {
        for (path, from) in damage(&disk, &mut random) {
            is_start_known &= name(&path) != "log-start-offset-checkpoint";
            if let Some((base_offset, ".log")) = parse_segment_name(name(&path)) {
                let mut position = 0;
                let batches = parse(&files[&path]);
                let damaged = batches.iter().find(|(_, bytes)| {
                    position += bytes.len();
                    position > from
                });
                let next = written
                    .iter()
                    .map(|(base, _)| *base)
                    .find(|base| Some(*base) > batches.last().map(|last| last.0));
                let until = damaged.map(|(base, _)| *base).or(next).unwrap_or(i64::MAX);
                sound_until = sound_until.min(if batches.is_empty() { base_offset } else { until });
            }
        }
    }
    if random.is_one_in(4) {
        leave(&disk, &mut random);
    }
    let is_start_known = is_start_known && start < sound_until;
    for _ in 0..2 {
        let Ok(logs) = logs(&disk) else { return };
        check(&logs, &written, sound_until, is_start_known.then_some(start), &mut random);
        if random.is_one_in(2) {
            let _ = logs.close(NOW);
        }
    }
}

fn check(logs: &Logs, written: &[(i64, Bytes)], sound_until: i64, start: Option<i64>, random: &mut Random) {
    let log = log_with(logs, &options());
    let (Ok(first), Ok(end)) = (log.start_offset(), log.end_offset()) else { return };
    assert!(start.is_none_or(|start| first <= start), "{first}, not {start:?}");
    for (base_offset, bytes) in written {
        let served = read(&log, *base_offset);
        let is_sound = *base_offset >= first && *base_offset < sound_until;
        let is_it = served.first().is_some_and(|served| served == bytes);
        assert!(is_it || !is_sound, "{base_offset} of {first}..{end}, sound until {sound_until}");
    }
    for _ in 0..5 {
        read(&log, random.between(first, end));
    }
    // Whatever these answer now, they answer.
    let _ = (log.offset_for_timestamp(NOW + random.between(0, 1000)), log.max_timestamp());
    let _ = (log.producers(), log.latest_epoch(), log.end_offset_for_epoch(0), log.size());
    if let Some(base_offset) = append(&log, random, None) {
        assert_eq!(base_offset, end);
        let batch = read(&log, base_offset);
        assert_eq!(parse(&batch[0])[0].0, base_offset);
    }
}

/// What is served from an offset on: whole batches with the right CRC, or nothing.
fn read(log: &Log, from: i64) -> Vec<Bytes> {
    let records = log.read(from, LIMITS).and_then(|read| read.wait());
    let chunks = records.map(|records| records.chunks).unwrap_or_default();
    let batches = chunks.into_iter().flat_map(Batches::new).map(|batch| {
        let batch = batch.unwrap();
        assert!(batch.is_crc_valid(), "from {from}");
        batch.into_bytes()
    });
    batches.collect()
}

#[test]
fn a_damaged_log_opens_or_says_why_and_keeps_what_lies_before_the_damage() {
    for_seeds(1500, run);
}
