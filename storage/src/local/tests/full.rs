//! Writes and syncs that fail for a while: nothing half-written is seen or survives, what was acknowledged is durable, and
//! the log goes on when the disk does.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use ottla_protocol::batch::{BatchBuilder, ValidatedBatches};

use super::simulated_disk::{Fault, Left, SimulatedDisk};
use super::{NOW, RECORDS_PER_BATCH, append, log_with};
use crate::local::disk::{Create, Disk, DiskFile};
use crate::local::{LocalEngine, LocalSettings};
use crate::{AppendContext, AppendError, Appended, Log, LogOptions, Logs, Origin, ReadLimits, StorageError};

/// A disk as kernels make it: after a sync that failed they have forgotten what was to be written.
#[derive(Clone, Default)]
struct Forgetful {
    disk: SimulatedDisk,
    switches: Arc<Switches>,
}

#[derive(Default)]
struct Switches {
    fails_syncs: AtomicBool,
    fails_writes: AtomicBool,
    fails_cuts: AtomicBool,
    fails_creations: AtomicBool,
}

struct ForgetfulFile {
    file: Arc<dyn DiskFile>,
    switches: Arc<Switches>,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    written: Vec<(u64, u64)>,
    /// Written, counted as clean, and not on the disk.
    forgotten: Vec<(u64, u64)>,
}

fn refuse(switch: &AtomicBool) -> io::Result<()> {
    if switch.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

impl Disk for Forgetful {
    fn open(&self, path: &Path, create: Create) -> io::Result<Arc<dyn DiskFile>> {
        if create == Create::IfMissing && self.disk.open(path, Create::Never).is_err() {
            // Not the first of the three files.
            let is_index = path.extension().is_some_and(|extension| extension == "index");
            refuse(&self.switches.fails_creations)
                .or_else(|full| if is_index { Err(full) } else { Ok(()) })?;
        }
        let file = self.disk.open(path, create)?;
        Ok(Arc::new(ForgetfulFile { file, switches: self.switches.clone(), pages: Mutex::default() }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
}

impl DiskFile for ForgetfulFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn modified_ms(&self) -> io::Result<i64> {
        self.file.modified_ms()
    }

    fn set_modified_ms(&self, modified_ms: i64) -> io::Result<()> {
        self.file.set_modified_ms(modified_ms)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        if let Err(full) = refuse(&self.switches.fails_writes) {
            // Whole batches may be in what was still written.
            self.file.write_at(&bytes[..bytes.len() * 3 / 4], position)?;
            return Err(full);
        }
        let mut pages = self.pages.lock().unwrap();
        let end = position + bytes.len() as u64;
        pages.forgotten.retain(|(from, to)| !(position <= *from && *to <= end));
        pages.written.push((position, end));
        self.file.write_at(bytes, position)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        refuse(&self.switches.fails_cuts)?;
        self.file.set_size(size)
    }

    fn sync(&self) -> io::Result<()> {
        let mut pages = self.pages.lock().unwrap();
        let written = std::mem::take(&mut pages.written);
        if let Err(full) = refuse(&self.switches.fails_syncs) {
            pages.forgotten.extend(written);
            return Err(full);
        }
        // It says so, and has nothing of it.
        if pages.forgotten.is_empty() { self.file.sync() } else { Ok(()) }
    }
}

impl Forgetful {
    fn logs(&self) -> Logs {
        if self.list(Path::new("/data")).is_err() {
            self.disk.world().put_dir(Path::new("/data"));
        }
        let settings = LocalSettings { open_files_max: 100, ..LocalSettings::default() };
        let engine = LocalEngine::on(Arc::new(self.clone()), vec!["/data".into()], vec![None], settings);
        Logs::on(engine.unwrap())
    }

    fn after_power_cut(&self) -> Logs {
        let disk = self.disk.after_crash(Left::Some(0));
        Self { disk, ..Self::default() }.logs()
    }
}

fn set(switch: &AtomicBool, fails: bool) {
    switch.store(fails, Ordering::Relaxed);
}

fn each_flushed() -> LogOptions {
    LogOptions { segment_bytes: 700, flush_messages: 1, ..LogOptions::default() }
}

/// What a client is told in the end.
fn produce(log: &Log, offset: i64) -> Result<(), AppendError> {
    let mut builder = BatchBuilder::new().producer(1, 0, offset as i32);
    for n in 0..RECORDS_PER_BATCH {
        builder.append(NOW + offset + n, Some(b"key"), Some(b"value"));
    }
    let context = AppendContext { leader_epoch: 0, now_ms: NOW, origin: Origin::Client };
    let Appended { commit, .. } = log.append(ValidatedBatches::internal([builder.build()]), context)?;
    match pin!(commit).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Ok(outcome?),
        Poll::Pending => panic!("flushes run on this thread"),
    }
}

fn read(log: &Log, from: i64) -> usize {
    let limits = ReadLimits { max_bytes: 400, upper_offset: i64::MAX, whole_first_batch: true };
    log.read(from, limits).unwrap().wait().unwrap().bytes
}

#[test]
fn what_a_failed_sync_has_lost_is_written_again_before_anything_is_acknowledged() {
    let disk = Forgetful::default();
    let logs = disk.logs();
    let log = log_with(&logs, &each_flushed());
    (0..8).for_each(|n| produce(&log, n * RECORDS_PER_BATCH).unwrap());
    set(&disk.switches.fails_syncs, true);
    let end = 8 * RECORDS_PER_BATCH;
    assert!(produce(&log, end).is_err());
    for _ in 0..3 {
        // Sent again: it is in the log, and still not on the disk.
        let refused = produce(&log, end);
        assert!(matches!(refused, Err(AppendError::Storage(StorageError::NotDurable { .. }))), "{refused:?}");
        assert!(read(&log, 0) > 0 && read(&log, end) > 0);
        logs.maintain(NOW);
    }
    set(&disk.switches.fails_syncs, false);
    logs.maintain(NOW);
    produce(&log, end).unwrap();
    (9..20).for_each(|n| produce(&log, n * RECORDS_PER_BATCH).unwrap());
    drop(log);
    let after = log_with(&disk.after_power_cut(), &each_flushed());
    assert_eq!(after.end_offset().unwrap(), 20 * RECORDS_PER_BATCH);
}

#[test]
fn a_clean_stop_after_a_failed_sync_is_none_until_the_disk_has_everything() {
    let disk = Forgetful::default();
    let logs = disk.logs();
    let log = log_with(&logs, &LogOptions::default());
    append(&log, 0).unwrap();
    set(&disk.switches.fails_syncs, true);
    assert!(logs.close(NOW).is_err());
    assert!(!disk.list(Path::new("/data")).unwrap().contains(&".kafka_cleanshutdown".to_owned()));
    set(&disk.switches.fails_syncs, false);
    logs.close(NOW).unwrap();
    assert_eq!(log_with(&disk.after_power_cut(), &LogOptions::default()).end_offset().unwrap(), 3);
}

/// Three batches in one append, of which two are written before the disk is full, and cannot be cut off.
#[test]
fn what_a_failed_write_has_left_is_gone_before_anything_follows() {
    let disk = Forgetful::default();
    let logs = disk.logs();
    let log = log_with(&logs, &LogOptions::default());
    append(&log, 0).unwrap();
    let one = |value: &[u8]| {
        let mut builder = BatchBuilder::new();
        builder.append(NOW, None, Some(value));
        builder.build()
    };
    let context = AppendContext { leader_epoch: 0, now_ms: NOW, origin: Origin::Client };
    set(&disk.switches.fails_writes, true);
    set(&disk.switches.fails_cuts, true);
    let three = ValidatedBatches::internal([one(b"first"), one(b"wrong"), one(&[0; 50])]);
    assert!(log.append(three, context).is_err());
    set(&disk.switches.fails_writes, false);
    assert!(append(&log, 3).is_err(), "the rest could not be cut");
    set(&disk.switches.fails_cuts, false);
    // As long as the first of the three: the second would follow.
    log.append(ValidatedBatches::internal([one(b"right")]), context).unwrap();
    drop((log, logs));
    let disk = Forgetful { disk: disk.disk.after_crash(Left::All), ..Forgetful::default() };
    assert_eq!(log_with(&disk.logs(), &LogOptions::default()).end_offset().unwrap(), 4);
}

#[test]
fn a_segment_that_cannot_be_begun_leaves_nothing() {
    let disk = Forgetful::default();
    let logs = disk.logs();
    let log = log_with(&logs, &LogOptions { segment_bytes: 700, ..LogOptions::default() });
    set(&disk.switches.fails_creations, true);
    assert!(append(&log, 0).is_err());
    set(&disk.switches.fails_creations, false);
    append(&log, 0).unwrap();
    set(&disk.switches.fails_creations, true);
    let full = (1..20).find(|n| append(&log, n * RECORDS_PER_BATCH).is_err()).unwrap();
    // The segment has room after all: what comes now must not be looked for in the next one.
    log.update_options(Arc::new(LogOptions::default()));
    (full..20).for_each(|n| assert!(append(&log, n * RECORDS_PER_BATCH).unwrap()));
    assert!((0..60).all(|offset| read(&log, offset) > 0));
    drop((log, logs));
    let disk = Forgetful { disk: disk.disk.after_crash(Left::All), ..Forgetful::default() };
    let log = log_with(&disk.logs(), &LogOptions::default());
    assert!(log.end_offset().unwrap() == 60 && (0..60).all(|offset| read(&log, offset) > 0));
}

#[test]
fn checkpoints_that_could_not_be_written_are_written_later() {
    let disk = Forgetful::default();
    let logs = disk.logs();
    let log = log_with(&logs, &LogOptions::default());
    (0..4).for_each(|n| assert!(append(&log, n * RECORDS_PER_BATCH).unwrap()));
    logs.maintain(NOW);
    set(&disk.switches.fails_writes, true);
    log.set_start_offset(5, NOW).unwrap();
    logs.maintain(NOW + 1000);
    set(&disk.switches.fails_writes, false);
    logs.maintain(NOW + 2000);
    drop((log, logs));
    let disk = Forgetful { disk: disk.disk.after_crash(Left::All), ..Forgetful::default() };
    assert_eq!(log_with(&disk.logs(), &LogOptions::default()).start_offset().unwrap(), 5);
}

/// A snapshot of producers is all that says what they have sent when its batches are deleted.
#[test]
fn producers_are_known_when_all_they_sent_is_deleted_on_a_full_disk() {
    let options =
        LogOptions { retention_ms: 10, file_delete_delay_ms: 0, segment_bytes: 100, ..LogOptions::default() };
    for at in 1.. {
        let disk = SimulatedDisk::default();
        let logs = super::logs(&disk).unwrap();
        let log = log_with(&logs, &options);
        for builder in [BatchBuilder::new().producer(9, 0, 0), BatchBuilder::new()] {
            let mut builder = builder;
            builder.append(NOW, None, Some(b"value"));
            let context = AppendContext { leader_epoch: 0, now_ms: NOW, origin: Origin::Client };
            log.append(ValidatedBatches::internal([builder.build()]), context).unwrap();
        }
        // As when it could not be written.
        disk.remove_file(Path::new("/data/t-0/00000000000000000001.snapshot")).unwrap();
        let first = disk.world().operations + at;
        disk.world().fault = Some((first..=first + 3, Fault::Full));
        let _ = log.apply_retention(NOW + 1000, 2);
        let is_over = disk.world().hits == 0;
        disk.world().fault = None;
        drop(log);
        logs.maintain(NOW + 1_000_000);
        let log = log_with(&logs, &options);
        assert!(log.is_closed(), "it is put away");
        let producers = log.producers().unwrap();
        assert_eq!(producers.len(), 1, "a full disk at {at}");
        if is_over {
            break;
        }
    }
}
