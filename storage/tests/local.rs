//! The local engine: what a restart finds, after a clean stop and after none.

mod common;

use std::sync::Arc;

use common::*;
use ottla_storage::{AppendContext, LogOptions, StorageError};

fn small_segments() -> Arc<LogOptions> {
    Arc::new(LogOptions { segment_bytes: 1000, index_interval_bytes: 200, ..LogOptions::default() })
}

#[test]
fn nothing_is_made_before_the_first_append() {
    let dir = Directory::new("nothing");
    let logs = dir.logs();
    let log = logs.log(&id("t", 3), &options());
    assert_eq!(log.end_offset().unwrap(), 0);
    assert_eq!(base_offsets(&read(&log, 0, 100)), [] as [i64; 0]);
    assert!(!dir.path().join("t-3").exists());
    log.append(batch(1, 1000), client()).unwrap();
    let mut names: Vec<_> =
        std::fs::read_dir(dir.path().join("t-3")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let expected = [
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000000.timeindex",
        "leader-epoch-checkpoint",
        "partition.metadata",
    ];
    assert_eq!(names, expected);
}

/// Everything that can be asked, before and after a restart.
fn restart(name: &str, is_clean: bool) {
    let dir = Directory::new(name);
    let logs = dir.logs();
    let log = logs.log(&id("t", 0), &small_segments());
    for n in 0..40 {
        log.append(idempotent(7, 0, n * 3, 3), client()).unwrap();
    }
    log.set_start_offset(7, NOW).unwrap();
    logs.maintain(NOW);
    let before = (log.start_offset().unwrap(), log.end_offset().unwrap(), log.size().unwrap());
    assert_eq!((before.0, before.1), (7, 120));
    let all = (log.producers().unwrap(), log.latest_epoch().unwrap(), log.max_timestamp().unwrap());
    if is_clean {
        logs.close(NOW).unwrap();
    }
    drop((log, logs));

    let logs = dir.logs();
    let log = logs.log(&id("t", 0), &small_segments());
    assert_eq!((log.start_offset().unwrap(), log.end_offset().unwrap(), log.size().unwrap()), before);
    assert_eq!((log.producers().unwrap(), log.latest_epoch().unwrap(), log.max_timestamp().unwrap()), all);
    let mut offset = 7;
    let mut seen = Vec::new();
    while offset < 120 {
        let records = read(&log, offset, 300);
        seen.extend(base_offsets(&records));
        offset = records.next_offset;
    }
    assert_eq!(seen, (2..40).map(|n| n * 3).collect::<Vec<_>>());
    assert!(log.append(idempotent(7, 0, 117, 3), client()).unwrap().duplicate);
    assert_eq!(log.append(idempotent(7, 0, 120, 3), client()).unwrap().base_offset, 120);
}

#[test]
fn a_clean_stop_loses_nothing() {
    restart("clean", true);
}

#[test]
fn a_killed_process_loses_nothing() {
    restart("killed", false);
}

#[test]
fn a_torn_tail_is_cut_and_the_log_goes_on() {
    let dir = Directory::new("torn");
    let logs = dir.logs();
    let log = logs.log(&id("t", 0), &options());
    for _ in 0..3 {
        log.append(batch(2, 1000), client()).unwrap();
    }
    drop((log, logs));
    let file = dir.path().join("t-0/00000000000000000000.log");
    let whole = std::fs::read(&file).unwrap();
    let size = whole.len() / 3;

    let mut flipped = whole.clone();
    flipped[size + 70] ^= 1;
    let mut longer = whole.clone();
    longer.extend([0; 100]);
    for (bytes, end) in
        [(&whole[..whole.len() - 1], 4), (&whole[..size + 5], 2), (&flipped[..], 2), (&longer[..], 6)]
    {
        std::fs::write(&file, bytes).unwrap();
        let logs = dir.logs();
        let log = logs.log(&id("t", 0), &options());
        assert_eq!(log.end_offset().unwrap(), end);
        assert_eq!(log.append(batch(1, 1000), client()).unwrap().base_offset, end);
        assert_eq!(base_offsets(&read(&log, 0, 1 << 20)).last(), Some(&end));
    }
}

#[test]
fn a_second_process_is_kept_out() {
    // Locks of this kind are a process's: the same one may take them again, so another holds it here.
    let dir = Directory::new("locked");
    std::fs::create_dir_all(dir.path()).unwrap();
    let python = "import fcntl,sys,time; f=open(sys.argv[1],'w'); fcntl.lockf(f,fcntl.LOCK_EX); print('x',flush=True); sys.stdin.read()";
    let spawned = std::process::Command::new("python3")
        .args(["-c", python, dir.path().join(".lock").to_str().unwrap()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut other) = spawned else { return };
    let mut one = [0];
    std::io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut one).unwrap();
    let refused = ottla_storage::Logs::local(vec![dir.path().into()], Default::default());
    assert!(matches!(refused.err(), Some(StorageError::Locked { .. })));
    drop(other.stdin.take());
    other.wait().unwrap();
}

#[test]
fn a_deleted_topic_is_renamed_then_removed() {
    let dir = Directory::new("deleted");
    let logs = dir.logs();
    let log = logs.log(&id("t", 0), &options());
    log.append(batch(1, 1000), client()).unwrap();
    delete(&logs, &log, NOW + 60_000);
    let renamed = dir.path().join("t-0.00000000000000000123456789abcdef-delete");
    wait_until("the directory has its new name", || renamed.exists());
    assert!(!dir.path().join("t-0").exists());
    logs.maintain(NOW + 59_999);
    assert!(renamed.exists());
    logs.maintain(NOW + 60_000);
    wait_until_gone(&renamed);

    // One that was renamed and not removed before the process died goes with the first upkeep of the next.
    drop(logs);
    std::fs::create_dir_all(&renamed).unwrap();
    let logs = dir.logs();
    logs.maintain(NOW);
    wait_until_gone(&renamed);
}

#[test]
fn an_idle_log_is_not_looked_at_and_stays_readable() {
    let dir = Directory::new("idle");
    let logs = dir.logs();
    let log = logs.log(&id("t", 0), &options());
    log.append(batch(2, 1000), client()).unwrap();
    logs.maintain(NOW + 20_000);
    let checkpoints = dir.path().join("replication-offset-checkpoint");
    assert_eq!(std::fs::read_to_string(&checkpoints).unwrap(), "0\n1\nt 0 2\n");
    std::fs::remove_file(&checkpoints).unwrap();
    logs.maintain(NOW + 200_000);
    assert!(!checkpoints.exists(), "nothing changed, so nothing is written");
    assert!(matches!(log.read(0, limits(100)).unwrap(), ottla_storage::Read::Cold(_)));
    assert_eq!(base_offsets(&read(&log, 0, 100)), [0]);
    log.append(batch(1, 1000), client()).unwrap();
    assert!(matches!(log.read(2, limits(100)).unwrap(), ottla_storage::Read::Ready(_)));
    logs.maintain(NOW + 300_000);
    assert_eq!(std::fs::read_to_string(&checkpoints).unwrap(), "0\n1\nt 0 3\n");
}

#[test]
fn retention_drops_what_is_too_old_and_too_much() {
    let dir = Directory::new("retention");
    let logs = dir.logs();
    let log = logs.log(&id("t", 0), &small_segments());
    for n in 0..80 {
        log.append(batch(3, NOW + n * 10), client()).unwrap();
    }
    let first_left = |options: LogOptions, now| {
        log.update_options(Arc::new(options));
        log.apply_retention(now, log.end_offset().unwrap()).unwrap()
    };
    let small = (*small_segments()).clone();
    assert_eq!(first_left(LogOptions { retention_ms: 1000, ..small.clone() }, NOW + 1000), 0);
    let start = first_left(LogOptions { retention_ms: 1000, ..small.clone() }, NOW + 1200);
    assert!((12..60).contains(&start), "{start}");
    let size = log.size().unwrap();
    let by_size = LogOptions { retention_ms: -1, retention_bytes: 2000, ..small.clone() };
    assert!(first_left(by_size, NOW) > start);
    assert!((2000..3000).contains(&log.size().unwrap()) && size > 3000);
    assert_eq!(first_left(LogOptions { retention_ms: 0, ..small }, NOW + 5000), 240);
    assert_eq!(log.size().unwrap(), 0);
    assert_eq!(log.append(batch(1, NOW), client()).unwrap().base_offset, 240);
}

#[test]
fn a_flush_policy_makes_appends_wait_for_the_disk() {
    let dir = Directory::new("flush");
    let logs = dir.logs();
    let each = Arc::new(LogOptions { flush_messages: 1, ..LogOptions::default() });
    let log = logs.log(&id("t", 0), &each);
    for _ in 0..20 {
        let appended = log.append(batch(1, 1000), client()).unwrap();
        wait(appended.commit);
    }
    logs.close(NOW).unwrap();
    let text = std::fs::read_to_string(dir.path().join("recovery-point-offset-checkpoint")).unwrap();
    assert_eq!(text, "0\n1\nt 0 20\n");
    assert!(dir.path().join(".kafka_cleanshutdown").exists());
}

/// Waits for a future on this thread.
fn wait(commit: ottla_storage::Commit) {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut commit = std::pin::pin!(commit);
    loop {
        match commit.as_mut().poll(&mut context) {
            std::task::Poll::Ready(outcome) => return outcome.unwrap(),
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn a_start_that_was_noted_survives_a_crash() {
    let dir = Directory::new("noted-start");
    let logs = dir.logs();
    let log = logs.log(&id("t", 0), &options());
    logs.maintain(NOW); // the first checkpoint
    log.append(batch(5, 1000), client()).unwrap();
    log.set_start_offset(3, NOW).unwrap();
    logs.note_starts(NOW).unwrap();
    drop((log, logs));
    let logs = dir.logs();
    let log = logs.log(&id("t", 0), &options());
    assert_eq!(log.start_offset().unwrap(), 3);
}

/// Flushes one by one while appends go on: what came in between counts for the next.
#[test]
fn flush_ms_counts_from_the_first_append_that_is_not_flushed() {
    let dir = Directory::new("flush-ms");
    let logs = dir.logs();
    let options = Arc::new(LogOptions { flush_ms: 1000, ..LogOptions::default() });
    let log = logs.log(&id("t", 0), &options);
    let noted = || {
        logs.checkpoint(NOW).unwrap();
        let text = std::fs::read_to_string(dir.path().join("recovery-point-offset-checkpoint")).unwrap();
        text.trim().rsplit(' ').next().unwrap().parse::<i64>().unwrap()
    };
    log.append(batch(2, 1000), client()).unwrap();
    logs.maintain(NOW + 999);
    assert_eq!(noted(), 0);
    logs.maintain(NOW + 1000);
    wait_until("the log is flushed", || noted() == 2);
    log.append(batch(1, 1000), AppendContext { now_ms: NOW + 5000, ..client() }).unwrap();
    logs.maintain(NOW + 5999);
    assert_eq!(noted(), 2);
    logs.maintain(NOW + 6000);
    wait_until("the log is flushed", || noted() == 3);
}

/// Long before the next checkpoint is due, so that a recovery does not read it again.
#[test]
fn a_large_flush_is_noted_at_once() {
    let dir = Directory::new("large-flush");
    let logs = dir.logs();
    let options = Arc::new(LogOptions { segment_bytes: 70 << 20, ..LogOptions::default() });
    let log = logs.log(&id("t", 0), &options);
    logs.maintain(NOW);
    let value = vec![b'x'; 1 << 20];
    for _ in 0..75 {
        log.append(sized_batch(&value, NOW), client()).unwrap();
    }
    // The segment that was full is flushed in the background.
    wait_until("the recovery point is noted", || {
        logs.maintain(NOW + 1000);
        let text = std::fs::read_to_string(dir.path().join("recovery-point-offset-checkpoint"));
        let noted = text.ok().and_then(|text| text.trim().rsplit(' ').next().and_then(|at| at.parse().ok()));
        noted.is_some_and(|at: i64| (69..=75).contains(&at))
    });
}
