//! The local engine on a disk that fails: crashes at each write, power cuts, full disks.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ottla_protocol::batch::{BatchBuilder, Batches, ValidatedBatches};
use uuid::Uuid;

use super::disk::{Create, Disk, DiskFile};
use super::{LocalEngine, LocalSettings};
use crate::{AppendContext, AppendError, Log, LogId, LogOptions, Logs, Origin, ReadLimits, StorageError};

const NOW: i64 = 1_800_000_000_000;
const RECORDS_PER_BATCH: i64 = 3;

/// What befalls one of the operations that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The write is torn, and nothing works after it.
    Crash,
    /// The write is torn, with an error, and the next one works.
    Full,
}

/// What is left after a crash of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// The process died alone: everything.
    All,
    /// The machine died: nothing, half of it, or zeros in its place; by this seed.
    Some(u64),
}

#[derive(Default)]
struct World {
    files: BTreeMap<PathBuf, Contents>,
    dirs: BTreeSet<PathBuf>,
    operations: usize,
    fault: Option<(usize, Fault)>,
    is_dead: bool,
}

#[derive(Default, Clone)]
struct Contents {
    bytes: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Default, Clone)]
struct SimulatedDisk(Arc<Mutex<World>>);

impl SimulatedDisk {
    /// Counts an operation; the part of it that still happens, or the error that it ends in.
    fn operation(world: &mut World) -> Result<(), (bool, io::Error)> {
        if world.is_dead {
            return Err((false, io::Error::other("dead")));
        }
        world.operations += 1;
        match world.fault {
            Some((at, Fault::Crash)) if at == world.operations => {
                world.is_dead = true;
                Err((true, io::Error::other("crash")))
            }
            Some((at, Fault::Full)) if at == world.operations => {
                Err((true, io::ErrorKind::StorageFull.into()))
            }
            _ => Ok(()),
        }
    }

    fn change(&self, work: impl FnOnce(&mut World)) -> io::Result<()> {
        let mut world = self.0.lock().unwrap();
        Self::operation(&mut world).map_err(|(_, error)| error)?;
        work(&mut world);
        Ok(())
    }

    /// The disk as the next process finds it.
    fn after_crash(&self, left: Left) -> Self {
        let world = self.0.lock().unwrap();
        let mut next = World { dirs: world.dirs.clone(), ..World::default() };
        for (at, (path, contents)) in world.files.iter().enumerate() {
            let mut bytes = contents.bytes.clone();
            if let Left::Some(seed) = left
                && bytes != contents.synced
            {
                let common = bytes.iter().zip(&contents.synced).take_while(|(now, then)| now == then).count();
                let unsynced = bytes.len() - common;
                match (seed + at as u64) % 3 {
                    0 => bytes = contents.synced.clone(),
                    1 => bytes.truncate(common + unsynced / 2),
                    _ => bytes[common..].fill(0),
                }
            }
            next.files.insert(path.clone(), Contents { synced: bytes.clone(), bytes });
        }
        Self(Arc::new(Mutex::new(next)))
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, create: Create) -> io::Result<Arc<dyn DiskFile>> {
        let exists = self.0.lock().unwrap().files.contains_key(path);
        match create {
            _ if exists => {}
            Create::Never => return Err(io::ErrorKind::NotFound.into()),
            Create::IfMissing => self.change(|world| {
                world.files.insert(path.to_owned(), Contents::default());
            })?,
        }
        Ok(Arc::new(SimulatedFile { disk: self.clone(), path: path.to_owned() }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let world = self.0.lock().unwrap();
        if !world.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = world.files.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(|world| {
            world.dirs.insert(dir.to_owned());
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|world| {
            let contents = world.files.remove(from).unwrap();
            world.files.insert(to.to_owned(), contents);
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let exists = self.0.lock().unwrap().files.contains_key(path);
        if !exists {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change(|world| {
            world.files.remove(path);
        })
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(|world| {
            world.dirs.remove(dir);
            world.files.retain(|path, _| !path.starts_with(dir));
        })
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.change(|_| ())
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    path: PathBuf,
}

impl SimulatedFile {
    fn read<T>(&self, work: impl FnOnce(&Contents) -> T) -> io::Result<T> {
        let world = self.disk.0.lock().unwrap();
        world.files.get(&self.path).map(work).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl DiskFile for SimulatedFile {
    fn size(&self) -> io::Result<u64> {
        self.read(|contents| contents.bytes.len() as u64)
    }

    fn modified_ms(&self) -> io::Result<i64> {
        Ok(NOW)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.read(|contents| {
            let from = (position as usize).min(contents.bytes.len());
            let count = buffer.len().min(contents.bytes.len() - from);
            buffer[..count].copy_from_slice(&contents.bytes[from..from + count]);
            count
        })
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let mut world = self.disk.0.lock().unwrap();
        let outcome = SimulatedDisk::operation(&mut world);
        let written = match &outcome {
            Ok(()) => bytes,
            Err((true, _)) => &bytes[..bytes.len() / 2],
            Err((false, _)) => &[],
        };
        if let Some(contents) = world.files.get_mut(&self.path) {
            let end = position as usize + written.len();
            contents.bytes.resize(contents.bytes.len().max(end), 0);
            contents.bytes[position as usize..end].copy_from_slice(written);
        }
        outcome.map_err(|(_, error)| error)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.disk.change(|world| {
            if let Some(contents) = world.files.get_mut(&self.path) {
                contents.bytes.resize(size as usize, 0);
            }
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.change(|world| {
            if let Some(contents) = world.files.get_mut(&self.path) {
                contents.synced = contents.bytes.clone();
            }
        })
    }
}

fn logs(disk: &SimulatedDisk) -> Result<Logs, StorageError> {
    disk.0.lock().unwrap().dirs.insert("/data".into());
    let settings = LocalSettings { open_files_max: 5 };
    let engine = LocalEngine::on(Arc::new(disk.clone()), vec!["/data".into()], vec![None], settings)?;
    Ok(Logs::on(engine))
}

fn log(logs: &Logs) -> Arc<Log> {
    let options = LogOptions { segment_bytes: 700, index_interval_bytes: 150, ..LogOptions::default() };
    let id = LogId { topic: "t".into(), topic_id: Uuid::from_u128(7), partition: 0 };
    logs.log(&id, &Arc::new(options))
}

/// The batch that begins at this offset, whoever writes it and whenever.
fn append(log: &Log, offset: i64) -> Result<bool, AppendError> {
    let mut builder = BatchBuilder::new().producer(1, 0, offset as i32);
    for n in 0..RECORDS_PER_BATCH {
        let value = format!("value of {}", offset + n);
        builder.append(NOW + offset + n, Some(b"key"), Some(value.as_bytes()));
    }
    let context = AppendContext { leader_epoch: (offset / 30) as i32, now_ms: NOW, origin: Origin::Client };
    let appended = log.append(ValidatedBatches::internal([builder.build()]), context)?;
    assert_eq!(appended.base_offset, offset);
    Ok(!appended.duplicate)
}

/// What a run was promised before it ended.
#[derive(Default, Debug)]
struct Promised {
    appended: i64,
    flushed: i64,
    start: i64,
}

/// Appends, with flushes, checkpoints and a deletion of records, until the disk fails or 20 batches are in.
fn run(logs: &Logs, promised: &mut Promised) -> Result<(), AppendError> {
    let log = log(logs);
    for n in 0..20 {
        append(&log, n * RECORDS_PER_BATCH)?;
        promised.appended = (n + 1) * RECORDS_PER_BATCH;
        if n % 5 == 2 {
            log.flush()?;
            promised.flushed = promised.appended;
        }
        if n == 12 {
            promised.start = 8; // from here on it may be
            log.set_start_offset(8, NOW)?;
        }
        if n % 6 == 5 {
            logs.checkpoint(NOW)?;
        }
    }
    logs.close(NOW)?;
    promised.flushed = promised.appended;
    Ok(())
}

/// The log holds a run of whole batches, in order, each as it was written, and goes on. Returns its end.
fn check(logs: &Logs, promised: &Promised, what: &str) -> i64 {
    let log = log(logs);
    let (start, end) = (log.start_offset().unwrap(), log.end_offset().unwrap());
    assert!(start <= promised.start && end % RECORDS_PER_BATCH == 0, "{what}: {start}..{end}, {promised:?}");
    let mut offset = start;
    while offset < end {
        let limits = ReadLimits { max_bytes: 400, upper_offset: i64::MAX, whole_first_batch: true };
        let records = log.read(offset, limits).unwrap().wait().unwrap();
        assert!(records.bytes > 0, "{what}: nothing at {offset} of {start}..{end}");
        for batch in records.chunks.into_iter().flat_map(Batches::new) {
            let batch = batch.unwrap();
            assert!(batch.is_crc_valid() && batch.base_offset <= offset, "{what}: at {offset}");
            assert_eq!(batch.base_timestamp_ms, NOW + batch.base_offset, "{what}");
            offset = batch.next_offset();
        }
        assert_eq!(records.next_offset, offset, "{what}");
    }
    let sequences: Vec<_> = log.producers().unwrap().iter().map(|producer| producer.last_sequence).collect();
    assert_eq!(sequences, if end == 0 { vec![] } else { vec![end as i32 - 1] }, "{what}");
    let found = log.offset_for_timestamp(NOW + end - 1).unwrap().map(|found| found.offset);
    assert_eq!(found, (end > start).then_some(end - 1), "{what}");
    assert!(end == 0 || !append(&log, end - RECORDS_PER_BATCH).unwrap(), "{what}: the last batch is known");
    assert!(append(&log, end).unwrap(), "{what}");
    end
}

fn operations_of_a_whole_run() -> usize {
    let disk = SimulatedDisk::default();
    run(&logs(&disk).unwrap(), &mut Promised::default()).unwrap();
    let operations = disk.0.lock().unwrap().operations;
    assert!(operations > 100, "{operations}");
    operations
}

fn run_with(fault: Fault, at: usize) -> (SimulatedDisk, Promised) {
    let disk = SimulatedDisk::default();
    disk.0.lock().unwrap().fault = Some((at, fault));
    let mut promised = Promised::default();
    if let Ok(logs) = logs(&disk) {
        let _ = run(&logs, &mut promised);
    }
    (disk, promised)
}

#[test]
fn a_process_that_dies_at_any_write_loses_nothing_that_it_acknowledged() {
    for at in 1..=operations_of_a_whole_run() {
        let (disk, promised) = run_with(Fault::Crash, at);
        let disk = disk.after_crash(Left::All);
        let end = check(&logs(&disk).unwrap(), &promised, &format!("crash at {at}"));
        // One more may be in, whose answer got lost.
        assert!(
            end >= promised.appended && end <= promised.appended + RECORDS_PER_BATCH,
            "crash at {at}: {end}"
        );
    }
}

#[test]
fn a_machine_that_dies_at_any_write_loses_nothing_that_was_flushed() {
    for at in 1..=operations_of_a_whole_run() {
        for seed in 0..3 {
            let (disk, promised) = run_with(Fault::Crash, at);
            let disk = disk.after_crash(Left::Some(seed));
            let what = format!("power cut at {at}, seed {seed}");
            let end = check(&logs(&disk).unwrap(), &promised, &what);
            assert!(end >= promised.flushed, "{what}: {end}, {promised:?}");
        }
    }
}

#[test]
fn a_full_disk_fails_an_append_and_no_more() {
    for at in 1..=operations_of_a_whole_run() {
        let disk = SimulatedDisk::default();
        disk.0.lock().unwrap().fault = Some((at, Fault::Full));
        let Ok(logs) = logs(&disk) else { continue };
        let log = log(&logs);
        let mut refused = 0;
        for n in 0..20 {
            while append(&log, n * RECORDS_PER_BATCH).is_err() {
                refused += 1;
                assert_eq!(log.end_offset().unwrap_or(n * RECORDS_PER_BATCH), n * RECORDS_PER_BATCH);
            }
        }
        disk.0.lock().unwrap().fault = None;
        assert!(refused <= 1, "full at {at}: {refused} were refused");
        let promised = Promised { appended: 60, ..Promised::default() };
        assert_eq!(check(&logs, &promised, &format!("full at {at}")), 60);
        drop((log, logs));
        let reopened = self::logs(&disk.after_crash(Left::All)).unwrap();
        assert_eq!(check(&reopened, &promised, &format!("reopened after full at {at}")), 63);
    }
}
