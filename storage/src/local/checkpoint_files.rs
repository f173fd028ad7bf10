//! The text files of a log directory: `recovery-point-offset-checkpoint` and the others of the same shape. They are read
//! at the start and written again at each checkpoint, so that the next start need look into no log that was closed.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::disk::{Disk, read_whole, write_whole};

pub(crate) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
pub(crate) const START_OFFSETS: &str = "log-start-offset-checkpoint";
/// Up to where the logs were compacted.
pub(crate) const CLEANED: &str = "cleaner-offset-checkpoint";
pub(crate) const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";

/// More than a million partitions with long names.
const MAX_BYTES: u64 = 1 << 30;

/// What the next start must know of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Checkpoint {
    pub start_offset: i64,
    /// Everything before it is on the disk.
    pub recovery_point: i64,
    pub high_watermark: i64,
    /// Put away by this process: nothing in its files is in doubt, wherever the recovery point is. In no file.
    pub is_closed: bool,
}

/// By the name of the log's directory.
pub(crate) type Checkpoints = BTreeMap<String, Checkpoint>;

/// The same, of compacted logs alone: where their last compaction ended.
pub(crate) type CleanedOffsets = BTreeMap<String, i64>;

/// Reads the files of a directory. A damaged one counts as missing: logs are then checked from their start.
pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Checkpoints {
    let mut all = Checkpoints::new();
    let mut take = |file: &str, set: fn(&mut Checkpoint, i64)| match read_offsets(disk, &dir.join(file)) {
        Ok(offsets) => {
            for (log, offset) in offsets {
                set(all.entry(log).or_default(), offset);
            }
        }
        Err(error) => {
            tracing::warn!(dir = %dir.display(), file, %error, "ignoring a damaged checkpoint file")
        }
    };
    take(RECOVERY_POINTS, |checkpoint, offset| checkpoint.recovery_point = offset);
    take(START_OFFSETS, |checkpoint, offset| checkpoint.start_offset = offset);
    take(HIGH_WATERMARKS, |checkpoint, offset| checkpoint.high_watermark = offset);
    all
}

/// Reads `cleaner-offset-checkpoint`. Without it logs are compacted from their start.
pub(crate) fn read_cleaned(disk: &dyn Disk, dir: &Path) -> CleanedOffsets {
    let offsets = read_offsets(disk, &dir.join(CLEANED)).unwrap_or_else(|error| {
        tracing::warn!(dir = %dir.display(), file = CLEANED, %error, "ignoring a damaged checkpoint file");
        Vec::new()
    });
    offsets.into_iter().collect()
}

/// Replaces it, all or nothing. Afterwards a power cut cannot bring the old one back: a log without an entry is taken to
/// have no gaps.
pub(crate) fn write_cleaned(disk: &dyn Disk, dir: &Path, cleaned: &CleanedOffsets) -> io::Result<()> {
    let offsets = cleaned.iter().map(|(log, offset)| (log, *offset));
    write_whole(disk, &dir.join(CLEANED), encode(offsets.collect()).as_bytes())?;
    disk.sync_dir(dir)
}

/// Replaces the files, each all or nothing. Afterwards a power cut cannot bring the old ones back.
pub(crate) fn write(disk: &dyn Disk, dir: &Path, all: &Checkpoints) -> io::Result<()> {
    let offsets = |get: fn(&Checkpoint) -> Option<i64>| {
        encode(all.iter().filter_map(|(log, checkpoint)| Some((log, get(checkpoint)?))).collect())
    };
    let start = offsets(|checkpoint| (checkpoint.start_offset > 0).then_some(checkpoint.start_offset));
    write_whole(disk, &dir.join(START_OFFSETS), start.as_bytes())?;
    let recovery = offsets(|checkpoint| Some(checkpoint.recovery_point));
    write_whole(disk, &dir.join(RECOVERY_POINTS), recovery.as_bytes())?;
    let high = offsets(|checkpoint| Some(checkpoint.high_watermark));
    write_whole(disk, &dir.join(HIGH_WATERMARKS), high.as_bytes())?;
    disk.sync_dir(dir)
}

fn encode(offsets: Vec<(&String, i64)>) -> String {
    let mut text = format!("0\n{}\n", offsets.len());
    for (log, offset) in offsets {
        if let Some((topic, partition)) = log.rsplit_once('-') {
            text.push_str(&format!("{topic} {partition} {offset}\n"));
        }
    }
    text
}

fn read_offsets(disk: &dyn Disk, path: &Path) -> io::Result<Vec<(String, i64)>> {
    let Some(bytes) = read_whole(disk, path, MAX_BYTES)? else { return Ok(Vec::new()) };
    let text = std::str::from_utf8(&bytes).map_err(io::Error::other)?;
    if text.is_empty() {
        return Ok(Vec::new()); // Kafka makes them empty
    }
    parse(text).ok_or_else(|| io::Error::other("not a version 0 checkpoint file"))
}

/// Version 0, the count, and `topic partition offset` lines.
fn parse(text: &str) -> Option<Vec<(String, i64)>> {
    let mut lines = text.lines();
    lines.next().filter(|version| *version == "0")?;
    let count: usize = lines.next()?.parse().ok()?;
    let mut offsets = Vec::new();
    for line in lines {
        let mut words = line.split(' ');
        let (topic, partition, offset) = (words.next()?, words.next()?, words.next()?);
        let partition: u32 = partition.parse().ok()?;
        let offset: i64 = offset.parse().ok().filter(|offset| (0..=i64::MAX / 2).contains(offset))?;
        offsets.push((format!("{topic}-{partition}"), offset));
    }
    (offsets.len() == count).then_some(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_hold_together_is_refused() {
        let expected = Some(vec![("a-b-0".to_owned(), 3), ("c-12".to_owned(), 0)]);
        assert_eq!(parse("0\n2\na-b 0 3\nc 12 0\n"), expected);
        for text in ["1\n0\n", "0\n2\na 0 3\n", "0\n1\na 0\n", "0\n1\na 0 -3\n", "0\nx\n"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
