//! Topics that are deleted: their names are free at once, their files go later, and nobody else's ever.

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::*;
use ottla_storage::{LogId, LogOptions, Logs, StorageError};
use uuid::Uuid;

fn partition(topic_id: u128, partition: i32) -> LogId {
    LogId { topic: "t".into(), topic_id: Uuid::from_u128(topic_id), partition }
}

fn fill(logs: &Logs, id: &LogId, records: i64) {
    logs.log(id, &options()).append(batch(records, 1000), client()).unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.filter(|name| name.starts_with("t-")).collect();
    names.sort();
    names
}

#[test]
fn a_name_is_free_at_once_and_the_files_go_later() {
    let dir = Directory::new("name-is-free");
    let logs = dir.logs();
    for n in 0..200 {
        fill(&logs, &partition(1, n), 2);
    }
    let reader = logs.log(&partition(1, 3), &options());
    logs.delete(&"t".into(), Uuid::from_u128(1), 0..200, NOW + 5000);
    assert!(reader.append(batch(1, 1000), client()).is_err());
    assert!(matches!(reader.end_offset(), Err(StorageError::Deleted)));
    // Before the background has come to it, or after.
    for n in (0..200).rev() {
        let again = logs.log(&partition(2, n), &options());
        assert_eq!(again.end_offset().unwrap(), 0);
        again.append(batch(1, 1000), client()).unwrap();
    }
    let old = |name: &String| name.ends_with("00000000000000000000000000000001-delete");
    wait_until("all have their new names", || {
        names(dir.path()).iter().filter(|name| old(name)).count() == 200
    });
    logs.maintain(NOW + 4999);
    assert_eq!(names(dir.path()).len(), 400);
    logs.maintain(NOW + 5000);
    wait_until("the old ones are removed", || names(dir.path()).len() == 200);
    assert!(!dir.path().join(".deleted-topics").exists());
    for n in 0..200 {
        assert_eq!(logs.log(&partition(2, n), &options()).end_offset().unwrap(), 1);
    }
    logs.close(NOW).unwrap();
    assert!(!dir.path().join(".deleted-topics").exists());
}

#[test]
fn a_topic_does_not_begin_where_an_earlier_one_of_its_name_did() {
    let dir = Directory::new("begins-anew");
    let logs = dir.logs();
    fill(&logs, &partition(1, 0), 10);
    logs.log(&partition(1, 0), &options()).set_start_offset(8, NOW).unwrap();
    logs.checkpoint(NOW).unwrap();
    logs.delete(&"t".into(), Uuid::from_u128(1), 0..1, NOW);
    fill(&logs, &partition(2, 0), 3);
    drop(logs); // killed

    let logs = dir.logs();
    let log = logs.log(&partition(2, 0), &options());
    assert_eq!((log.start_offset().unwrap(), log.end_offset().unwrap()), (0, 3));
}

#[test]
fn a_stop_in_the_middle_of_a_deletion_leaves_nothing() {
    let dir = Directory::new("stopped-deleting");
    let logs = dir.logs();
    for n in 0..300 {
        fill(&logs, &partition(1, n), 1);
    }
    logs.delete(&"t".into(), Uuid::from_u128(1), 0..300, NOW);
    logs.close(NOW).unwrap();
    drop(logs);
    assert!(names(dir.path()).iter().all(|name| name.ends_with("-delete")));
    let logs = dir.logs();
    logs.maintain(NOW);
    wait_until("all are removed", || names(dir.path()).is_empty());
}

#[test]
fn what_a_killed_process_had_begun_to_delete_is_deleted_and_strays_are_kept() {
    let dir = Directory::new("strays");
    let logs = dir.logs();
    for (id, n) in [(1, 0), (1, 1), (2, 2), (3, 3)] {
        fill(&logs, &partition(id, n), 1);
    }
    drop(logs);
    // Killed between the answer and the new names of topic 1.
    fs::write(dir.path().join(".deleted-topics"), format!("{}\n", Uuid::from_u128(1).simple())).unwrap();
    fs::create_dir(dir.path().join("t-9")).unwrap(); // somebody's own

    let logs = dir.logs();
    // A topic of this name is there again, with two partitions; nothing is known of the others.
    logs.settle_strays(&|_, n| n < 2, NOW).unwrap();
    let (deleted, stray) = (
        |n: u32, id: u32| format!("t-{n}.{id:032x}-delete"),
        |n: u32, id: u32| format!("t-{n}.{id:032x}-stray"),
    );
    let mut expected = vec![deleted(0, 1), deleted(1, 1), stray(2, 2), stray(3, 3), "t-9".to_owned()];
    expected.sort();
    assert_eq!(names(dir.path()), expected);
    assert!(!dir.path().join(".deleted-topics").exists());
    logs.maintain(NOW);
    wait_until_gone(&dir.path().join(deleted(0, 1)));
    wait_until_gone(&dir.path().join(deleted(1, 1)));
    assert!(dir.path().join(stray(2, 2)).join("00000000000000000000.log").exists());
}

#[test]
fn a_log_whose_id_was_damaged_is_set_aside_and_not_removed() {
    let dir = Directory::new("damaged-id");
    let logs = dir.logs();
    fill(&logs, &partition(1, 0), 3);
    drop(logs);
    let file = dir.path().join("t-0/partition.metadata");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("AAAAAAAQ", "AAAAABAQ")).unwrap();
    assert_ne!(fs::read_to_string(&file).unwrap(), text);

    let logs = dir.logs();
    logs.settle_strays(&|_, _| true, NOW).unwrap();
    let options = Arc::new(LogOptions { file_delete_delay_ms: 0, ..LogOptions::default() });
    assert_eq!(logs.log(&partition(1, 0), &options).end_offset().unwrap(), 0);
    logs.maintain(NOW + 1_000_000);
    logs.close(NOW).unwrap();
    let stray = names(dir.path()).into_iter().find(|name| name.ends_with("-stray")).unwrap();
    // Its owner gives it its name and its id back.
    fs::rename(dir.path().join(stray), dir.path().join("t-0")).unwrap();
    fs::write(&file, text).unwrap();
    drop(logs);
    assert_eq!(dir.logs().log(&partition(1, 0), &options).end_offset().unwrap(), 3);
}
