//! A Kafka that stopped while it compacted a log: whatever it left, the log opens with each batch once.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::*;
use ottla_storage::LogOptions;

const BATCHES: i64 = 30;

/// The files of a log with several segments of one-record batches, and where each segment begins.
fn written(dir: &Directory) -> Vec<i64> {
    let logs = dir.logs();
    let log = logs.log(&id("t", 0), &small());
    for n in 0..BATCHES {
        log.append(batch(1, 1000 + n), client()).unwrap();
    }
    logs.close(NOW).unwrap();
    let names = std::fs::read_dir(dir.path().join("t-0")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut bases: Vec<i64> = names.filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect();
    bases.sort();
    assert!(bases.len() > 3, "{bases:?}");
    bases
}

fn small() -> Arc<LogOptions> {
    let options = LogOptions { segment_bytes: 600, cleanup_compact: true, ..LogOptions::default() };
    Arc::new(options)
}

fn file(home: &Path, base_offset: i64, suffix: &str) -> std::path::PathBuf {
    home.join(format!("{base_offset:020}{suffix}"))
}

/// Writes the first two segments as one that lacks the batches at odd offsets, then does what is left to `finish`.
/// All that is then left in the log are `expected` and what follows the second segment.
fn check(name: &str, suffix: &str, finish: impl Fn(&Path, &[i64]), is_compacted: bool, is_clean: bool) {
    let dir = Directory::new(name);
    let bases = written(&dir);
    let home = dir.path().join("t-0");
    let mut bytes = Vec::new();
    for base in &bases[..2] {
        let segment = std::fs::read(file(&home, *base, ".log")).unwrap();
        for batch in ottla_protocol::batch::Batches::new(segment.into()) {
            let batch = batch.unwrap();
            if batch.base_offset % 2 == 0 {
                bytes.extend_from_slice(batch.bytes());
            }
        }
    }
    std::fs::write(file(&home, bases[0], suffix), bytes).unwrap();
    finish(&home, &bases);
    if !is_clean {
        let _ = std::fs::remove_file(dir.path().join(".kafka_cleanshutdown"));
        let _ = std::fs::remove_file(dir.path().join("recovery-point-offset-checkpoint"));
    }

    let logs = dir.logs();
    let log = logs.log(&id("t", 0), &small());
    assert_eq!((log.start_offset().unwrap(), log.end_offset().unwrap()), (0, BATCHES), "{name}");
    let (mut offset, mut seen) = (0, Vec::new());
    while offset < BATCHES {
        let records = read(&log, offset, 1 << 20);
        assert!(records.bytes > 0, "{name}: nothing at {offset}");
        seen.extend(base_offsets(&records));
        offset = records.next_offset;
    }
    let is_kept = |offset: &i64| !is_compacted || *offset >= bases[2] || offset % 2 == 0;
    assert_eq!(seen, (0..BATCHES).filter(is_kept).collect::<Vec<_>>(), "{name}");
    for entry in std::fs::read_dir(&home).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!([".swap", ".cleaned", ".deleted"].iter().all(|end| !name.ends_with(end)), "{name} is left");
    }
    assert_eq!(log.append(batch(1, 5000), client()).unwrap().base_offset, BATCHES);
}

#[test]
fn an_unfinished_compaction_is_finished_or_undone() {
    let rename = |home: &Path, base: i64| {
        for suffix in [".log", ".index", ".timeindex"] {
            let to = file(home, base, &format!("{suffix}.deleted"));
            std::fs::rename(file(home, base, suffix), to).unwrap();
        }
    };
    for is_clean in [true, false] {
        let name = |what: &str| format!("compaction-{what}-{is_clean}");
        check(&name("cleaned"), ".log.cleaned", |_, _| (), false, is_clean);
        check(&name("swap"), ".log.swap", |_, _| (), true, is_clean);
        check(&name("one-gone"), ".log.swap", |home, bases| rename(home, bases[1]), true, is_clean);
        let both = |home: &Path, bases: &[i64]| bases[..2].iter().for_each(|base| rename(home, *base));
        check(&name("both-gone"), ".log.swap", both, true, is_clean);
        // Where a segment was being split, the parts are swapped in together or not at all.
        let split = |home: &Path, _: &[i64]| std::fs::write(file(home, 0, ".log.cleaned"), b"part").unwrap();
        check(&name("split"), ".log.swap", split, false, is_clean);
    }
}
