//! What a start after a crash costs, without a server:
//! `cargo run --release -p ottla-storage --example recovery DIR GB [upkeep]`. Writes so much to one log in batches of several
//! sizes, forgets it as a crash does, and opens it again. With upkeep, which comes once a second (here: each 200 MB), never
//! much more than a gigabyte is unflushed.
#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ottla_protocol::batch::{BatchBuilder, ValidatedBatches};
use ottla_storage::{AppendContext, LocalSettings, LogId, LogOptions, Logs, Origin};
use uuid::Uuid;

const NOW_MS: i64 = 1_800_000_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("name a directory")?);
    let gigabytes: f64 = std::env::args().nth(2).map_or(Ok(1.0), |text| text.parse())?;
    let has_upkeep = std::env::args().nth(3).is_some();
    for (name, size) in [("medium", 16 * 1024), ("small", 130), ("large", 1 << 20)] {
        let id = LogId { topic: name.into(), topic_id: Uuid::from_u128(size as u128), partition: 0 };
        let options = Arc::new(LogOptions::default());
        let mut builder = BatchBuilder::new();
        builder.append(NOW_MS, Some(b"key"), Some(&vec![b'x'; size]));
        let batch = builder.build();
        let count = (gigabytes * 1e9 / batch.size() as f64) as i64;

        let logs = Logs::local(vec![dir.clone()], LocalSettings::default())?;
        let log = logs.log(&id, &options);
        let per_upkeep = (200_000_000 / batch.size()) as i64;
        for n in 0..count {
            if has_upkeep && n % per_upkeep == 0 {
                logs.maintain(NOW_MS);
            }
            let context = AppendContext { leader_epoch: 0, now_ms: NOW_MS + n, origin: Origin::Client };
            log.append(ValidatedBatches::internal([batch.clone()]), context)?;
        }
        let bytes = log.size()?;
        drop((log, logs));

        let logs = Logs::local(vec![dir.clone()], LocalSettings::default())?;
        let begun = Instant::now();
        let end_offset = logs.log(&id, &options).end_offset()?;
        let took = begun.elapsed().as_secs_f64();
        assert_eq!(end_offset, count);
        println!(
            "{name:7} {:5.2} GB opened in {took:6.3} s, {:5.3} s/GB",
            bytes as f64 / 1e9,
            took / (bytes as f64 / 1e9)
        );
        logs.close(NOW_MS)?;
        std::fs::remove_dir_all(dir.join(id.dir_name()))?;
    }
    Ok(())
}
