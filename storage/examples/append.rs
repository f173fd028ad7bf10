//! What appends and reads cost, without a server: `cargo run --release -p ottla-storage --example append DIR`.
//! The files stay, for Kafka's dump-log.
#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ottla_protocol::batch::{BatchBuilder, ValidatedBatches};
use ottla_storage::{AppendContext, LocalSettings, LogId, LogOptions, Logs, Origin, ReadLimits};
use uuid::Uuid;

const NOW_MS: i64 = 1_800_000_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("name a directory")?);
    let logs = Logs::local(vec![dir], LocalSettings::default())?;
    for (name, size, count) in
        [("small", 130, 200_000), ("medium", 16 * 1024, 20_000), ("large", 1 << 20, 500)]
    {
        let id = LogId { topic: name.into(), topic_id: Uuid::from_u128(size as u128), partition: 0 };
        let options = LogOptions { segment_bytes: 100 << 20, ..LogOptions::default() };
        let log = logs.log(&id, &Arc::new(options));
        let mut builder = BatchBuilder::new();
        builder.append(NOW_MS, Some(b"key"), Some(&vec![b'x'; size]));
        let batch = builder.build();

        let begun = Instant::now();
        for n in 0..count {
            let context =
                AppendContext { leader_epoch: 0, now_ms: NOW_MS + n as i64, origin: Origin::Client };
            log.append(ValidatedBatches::internal([batch.clone()]), context)?;
        }
        let took = begun.elapsed();
        let bytes = (count * batch.size()) as f64;
        println!(
            "{name:7} append {:8.2} us each, {:7.1} MB/s",
            took.as_secs_f64() * 1e6 / count as f64,
            bytes / 1e6 / took.as_secs_f64()
        );

        let limits = ReadLimits { max_bytes: 1 << 20, upper_offset: i64::MAX, whole_first_batch: true };
        let (begun, mut offset, mut bytes, mut reads) = (Instant::now(), 0, 0, 0);
        while offset < log.end_offset()? {
            let records = log.read(offset, limits)?.wait()?;
            (offset, bytes, reads) = (records.next_offset, bytes + records.bytes, reads + 1);
        }
        let took = begun.elapsed();
        println!(
            "{name:7} read   {:8.1} us each, {:7.1} MB/s",
            took.as_secs_f64() * 1e6 / reads as f64,
            bytes as f64 / 1e6 / took.as_secs_f64()
        );
        let (begun, last) = (Instant::now(), log.end_offset()? - 1);
        for _ in 0..10_000 {
            log.read(last, limits)?.wait()?;
        }
        println!("{name:7} tail   {:8.2} us each", begun.elapsed().as_secs_f64() * 1e6 / 10_000.0);
    }
    let begun = Instant::now();
    logs.close(NOW_MS)?;
    println!("close   {:?}", begun.elapsed());
    Ok(())
}
