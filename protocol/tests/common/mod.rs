//! What the batch tests share.

// Each test binary uses a part of it.
#![allow(dead_code)]

use bytes::Bytes;
use ottla_protocol::batch::{RecordBatch, Records};

pub const INFLATION_LIMIT: usize = 1 << 20;

/// A batch from `golden/java_batches.txt`.
pub fn golden(name: &str) -> Bytes {
    let lines = include_str!("../golden/java_batches.txt").lines();
    let hex = lines.filter_map(|line| line.split_once(' ')).find(|(key, _)| *key == name).map(|(_, hex)| hex);
    unhex(hex.unwrap_or_else(|| panic!("no golden batch {name}")))
}

pub fn unhex(hex: &str) -> Bytes {
    assert_eq!(hex.len() % 2, 0, "half a byte in {hex}");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// A record as a consumer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

pub fn records(batch: &RecordBatch) -> Vec<Record> {
    let payload = batch.inflate(INFLATION_LIMIT).unwrap();
    let views = Records::new(&payload, batch.records_count).map(Result::unwrap);
    views
        .map(|view| Record {
            offset: batch.offset_of(view.offset_delta),
            timestamp_ms: batch.timestamp_of(view.timestamp_delta),
            key: view.key.map(<[u8]>::to_vec),
            value: view.value.map(<[u8]>::to_vec),
            headers: view.headers().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect(),
        })
        .collect()
}

/// Pseudo-random numbers from a seed (xorshift64*).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}
