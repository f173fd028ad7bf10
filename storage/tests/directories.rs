//! Several log directories: where logs go, and what becomes of them when a directory fails.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::*;
use ottla_storage::{AppendError, Home, LocalSettings, LogOptions, Logs, StorageError};

/// Three directories in one.
struct Three(Directory);

impl Three {
    fn new(test: &str) -> Self {
        let all = Self(Directory::new(test));
        fs::create_dir_all(all.0.path()).unwrap();
        all
    }

    fn dirs(&self) -> Vec<PathBuf> {
        ["a", "b", "c"].map(|name| self.0.path().join(name)).into()
    }

    fn open(&self) -> Result<Logs, StorageError> {
        Logs::local(self.dirs(), LocalSettings::default())
    }

    /// Partition n belongs into the directory n.
    fn logs(&self) -> Logs {
        let logs = self.open().unwrap();
        logs.set_placement(Arc::new(|id| Home::In(id.partition as usize)));
        logs
    }

    fn has(&self, dir: &str, log: &str) -> bool {
        self.0.path().join(dir).join(log).is_dir()
    }
}

fn small_segments() -> Arc<LogOptions> {
    Arc::new(LogOptions { segment_bytes: 300, ..LogOptions::default() })
}

fn append(logs: &Logs, partition: i32) -> Result<i64, StorageError> {
    let log = logs.log(&id("t", partition), &small_segments());
    match log.append(batch(1, NOW), client()) {
        Ok(appended) => Ok(appended.base_offset),
        Err(AppendError::Storage(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

fn is_offline<T>(outcome: Result<T, StorageError>) -> bool {
    matches!(outcome, Err(StorageError::Offline { .. }))
}

#[test]
fn a_log_begins_where_it_belongs_and_is_found_wherever_it_is() {
    let all = Three::new("placed");
    let logs = all.logs();
    for partition in [2, 1, 0, 1] {
        append(&logs, partition).unwrap();
    }
    assert!(all.has("a", "t-0") && all.has("b", "t-1") && all.has("c", "t-2"));
    drop(logs);

    // Somebody moved it while nobody ran.
    fs::rename(all.0.path().join("b/t-1"), all.0.path().join("c/t-1")).unwrap();
    let logs = all.logs();
    assert_eq!(append(&logs, 1).unwrap(), 2);
    assert_eq!(logs.dir_of(&id("t", 1)).unwrap(), Some(all.0.path().join("c/t-1")));
    drop(logs);

    // Nobody says where.
    let logs = all.open().unwrap();
    assert_eq!([0, 1, 2].map(|partition| append(&logs, partition).unwrap()), [1, 3, 1]);
    for partition in 3..9 {
        append(&logs, partition).unwrap();
    }
    let count = |dir| (0..9).filter(|n| all.has(dir, &format!("t-{n}"))).count();
    assert_eq!([count("a"), count("b"), count("c")], [3, 3, 3]);
}

#[test]
fn a_directory_that_cannot_be_used_is_offline_alone_and_its_logs_are_not_begun_anew() {
    let all = Three::new("unusable");
    let logs = all.logs();
    (0..3).for_each(|partition| assert_eq!(append(&logs, partition).unwrap(), 0));
    drop(logs);
    let b = all.0.path().join("b");
    fs::rename(&b, all.0.path().join("away")).unwrap();
    fs::write(&b, "a file").unwrap();

    let logs = all.logs();
    assert!(is_offline(append(&logs, 1)) && is_offline(logs.dir_of(&id("t", 1))));
    assert_eq!([append(&logs, 0).unwrap(), append(&logs, 2).unwrap()], [1, 1]);
    assert_eq!(logs.offline_dirs().iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1]);
    assert_eq!(
        logs.describe().unwrap().iter().map(|dir| dir.is_offline).collect::<Vec<_>>(),
        [false, true, false]
    );
    // Deleted meanwhile, it is a stray when it comes back.
    logs.delete(&id("t", 1).topic, id("t", 1).topic_id, 1..2, NOW);
    logs.maintain(NOW);
    logs.close(NOW).unwrap();
    drop(logs);
    // Whoever does not know where it was must not begin it either.
    assert!(is_offline(append(&all.open().unwrap(), 1)));

    fs::remove_file(&b).unwrap();
    fs::rename(all.0.path().join("away"), &b).unwrap();
    let logs = all.logs();
    assert_eq!([0, 1, 2].map(|partition| append(&logs, partition).unwrap()), [2, 1, 2]);
    assert_eq!(logs.offline_dirs(), []);
}

#[test]
fn a_directory_that_vanishes_takes_its_logs_with_it_and_no_others() {
    let all = Three::new("vanished");
    let logs = all.logs();
    (0..3).for_each(|partition| assert_eq!(append(&logs, partition).unwrap(), 0));
    let log = logs.log(&id("t", 1), &small_segments());
    let (b, away) = (all.0.path().join("b"), all.0.path().join("away"));
    fs::rename(&b, &away).unwrap();
    // The open segment goes on; the next cannot be made.
    let refused = (1..10).find_map(|_| append(&logs, 1).err());
    assert!(refused.is_some());
    let acknowledged = log.end_offset().unwrap();
    assert_eq!(logs.offline_dirs().iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1]);
    assert!(is_offline(append(&logs, 1)) && is_offline(log.read(0, limits(100)).map(drop)));
    assert!(!b.exists(), "nothing is made in its place");
    assert_eq!([append(&logs, 0).unwrap(), append(&logs, 2).unwrap()], [1, 1]);
    logs.maintain(NOW);
    logs.close(NOW).unwrap();
    let is_clean = |dir: &Path| dir.join(".kafka_cleanshutdown").exists();
    assert_eq!(all.dirs().iter().map(|dir| is_clean(dir)).collect::<Vec<_>>(), [true, false, true]);
    drop((log, logs));

    fs::rename(&away, &b).unwrap();
    assert_eq!(append(&all.logs(), 1).unwrap(), acknowledged);
}

/// Nobody has noticed yet, and the first to come begins a log.
#[test]
fn a_directory_that_has_vanished_is_not_made_anew_for_a_log_that_begins() {
    let all = Three::new("begun");
    let logs = all.logs();
    let b = all.0.path().join("b");
    fs::rename(&b, all.0.path().join("away")).unwrap();
    assert!(append(&logs, 1).is_err() && !b.exists());
    assert_eq!(logs.offline_dirs().iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1]);
    assert!(is_offline(append(&logs, 1)));
}

/// It was put away, and comes back where its directory has gone.
#[test]
fn a_log_that_has_vanished_does_not_seem_to_be_empty() {
    let all = Three::new("empty");
    let logs = all.logs();
    append(&logs, 1).unwrap();
    logs.maintain(NOW);
    assert_eq!(logs.open_count(), 0);
    fs::rename(all.0.path().join("b"), all.0.path().join("away")).unwrap();
    let log = logs.log(&id("t", 1), &small_segments());
    assert!(is_offline(log.end_offset()) && is_offline(log.read(0, limits(100)).map(drop)));
}

#[test]
fn without_the_first_directory_nothing_begins() {
    let all = Three::new("first");
    fs::write(all.0.path().join("a"), "a file").unwrap();
    let error = all.open().err().map(|error| error.to_string()).unwrap();
    assert!(error.contains("/a"), "{error}");
}

#[test]
fn a_directory_under_two_names_is_refused_and_a_link_to_one_will_do() {
    let all = Three::new("twice");
    fs::create_dir_all(all.0.path().join("real")).unwrap();
    for name in ["a", "b", "c"] {
        std::os::unix::fs::symlink(all.0.path().join("real"), all.0.path().join(name)).unwrap();
    }
    assert!(matches!(all.open().err(), Some(StorageError::Duplicate { .. })));
    let logs = Logs::local(vec![all.0.path().join("b")], LocalSettings::default()).unwrap();
    append(&logs, 0).unwrap();
    assert!(all.has("real", "t-0"));
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let all = Three::new("foreign");
    let logs = all.logs();
    let foreign = ["lost+found", ".DS_Store", "photos-1", "a.b-delete", "x-y"];
    for name in foreign {
        fs::create_dir_all(all.0.path().join("a").join(name)).unwrap();
        fs::write(all.0.path().join("a").join(name).join("file"), "mine").unwrap();
    }
    append(&logs, 0).unwrap();
    fs::write(all.0.path().join("a/t-0/notes.txt"), "mine").unwrap();
    logs.maintain(NOW);
    logs.close(NOW).unwrap();
    drop(logs);
    let logs = all.logs();
    assert_eq!(append(&logs, 0).unwrap(), 1);
    logs.maintain(NOW);
    let mine = foreign.map(|name| format!("{name}/file"));
    for name in mine.iter().map(String::as_str).chain(["t-0/notes.txt"]) {
        assert_eq!(fs::read_to_string(all.0.path().join("a").join(name)).unwrap(), "mine", "{name}");
    }
}
