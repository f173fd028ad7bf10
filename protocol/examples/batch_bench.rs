//! What a batch costs: `cargo run --release -p ottla-protocol --example batch_bench`.

// A benchmark measures by the system's clock.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use ottla_protocol::batch::{BatchBuilder, RecordBatch, Records, ValidationRules, validate};
use ottla_protocol::codec::Compression;

const NOW_MS: i64 = 1_700_000_000_000;

fn main() {
    println!("{:34} {:>12} {:>12} {:>10}", "", "ns/batch", "ns/record", "MB/s");
    for (records, value_bytes) in [(1, 100), (100, 100), (10_000, 100), (1000, 1000)] {
        for codec in Compression::ALL {
            let batch = build(records, value_bytes, codec);
            let inflated = records * value_bytes;
            let what = format!("{codec} {records} x {value_bytes} B");
            let rules =
                ValidationRules { max_message_bytes: 16 << 20, ..ValidationRules::new("t", 0, 11, NOW_MS) };
            report(&format!("validate {what}"), records, inflated, || {
                black_box(validate(batch.bytes().clone(), &rules)).is_ok()
            });
            if codec == Compression::None {
                let payload = batch.payload();
                report(&format!("walk {what}"), records, inflated, || {
                    Records::new(&payload, batch.records_count).all(|record| black_box(record).is_ok())
                });
            }
        }
    }
}

fn build(records: usize, value_bytes: usize, codec: Compression) -> RecordBatch {
    let mut builder = BatchBuilder::new().compression(codec, None);
    let mut seed = 1u64;
    for index in 0..records {
        // Half of each value compresses well.
        let value: Vec<u8> = (0..value_bytes)
            .map(|at| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if at % 16 < 8 { (seed >> 56) as u8 } else { b'x' }
            })
            .collect();
        builder.append(NOW_MS + index as i64, Some(&(index as u32).to_be_bytes()), Some(&value));
    }
    builder.build()
}

fn report(what: &str, records: usize, bytes: usize, mut run: impl FnMut() -> bool) {
    let started = Instant::now();
    let mut rounds = 0u32;
    while started.elapsed() < Duration::from_millis(150) {
        assert!(run(), "{what} failed");
        rounds += 1;
    }
    let ns = started.elapsed().as_nanos() as f64 / f64::from(rounds);
    println!("{what:34} {ns:12.0} {:12.1} {:10.0}", ns / records as f64, bytes as f64 / ns * 1000.0);
}
