//! `partition.metadata`: the topic id of the partition in this directory.

use std::io;
use std::path::Path;

use uuid::Uuid;

use super::disk::{Disk, read_whole, write_whole};

const FILE: &str = "partition.metadata";
const MAX_BYTES: u64 = 1024;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(crate) fn write(disk: &dyn Disk, dir: &Path, topic_id: Uuid) -> io::Result<()> {
    let text = format!("version: 0\ntopic_id: {}", encode(topic_id));
    write_whole(disk, &dir.join(FILE), text.as_bytes())
}

/// Nothing when there is no such file, or it holds no id.
pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Uuid>> {
    let Some(bytes) = read_whole(disk, &dir.join(FILE), MAX_BYTES)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().find_map(|line| decode(line.strip_prefix("topic_id: ")?.trim())))
}

/// Base 64 for URLs, without padding: how Kafka writes ids.
fn encode(id: Uuid) -> String {
    let bits = id.as_u128();
    // 128 bits are 21 digits of six bits, and one of two.
    (0..22)
        .map(|digit| {
            let shift = 122 - 6 * digit;
            let value = if shift >= 0 { bits >> shift } else { bits << -shift };
            char::from(ALPHABET[(value & 63) as usize])
        })
        .collect()
}

fn decode(text: &str) -> Option<Uuid> {
    if text.len() != 22 {
        return None;
    }
    let mut bits: u128 = 0;
    for (digit, letter) in text.bytes().enumerate() {
        let value = ALPHABET.iter().position(|known| *known == letter)? as u128;
        bits = if digit < 21 { bits << 6 | value } else { bits << 2 | value >> 4 };
    }
    Some(Uuid::from_u128(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_kafka_does() {
        let id = Uuid::from_u128(0x2a14_b809_4348_4950_b382_19d1_3641_e77f);
        assert_eq!(encode(id), "KhS4CUNISVCzghnRNkHnfw");
        assert_eq!(decode("KhS4CUNISVCzghnRNkHnfw"), Some(id));
        assert_eq!(encode(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(decode("AAAAAAAAAAAAAAAAAAAAAQ"), Some(Uuid::from_u128(1)));
        assert_eq!(decode("short"), None);
    }
}
