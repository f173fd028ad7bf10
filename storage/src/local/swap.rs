//! What a compaction that was interrupted leaves behind, Kafka's or ours (`replace`). It writes new segments as `.cleaned`, renames them to
//! `.swap` once they are on the disk, removes the segments that they replace (by way of `.deleted`), and drops the
//! suffix. So a `.swap` is good, whatever it replaces may go; a `.cleaned` may not be whole.

use std::io;
use std::path::Path;

use super::disk::{Create, Disk};
use super::scan::Scanner;
use super::segment::{FILE_SUFFIXES, parse_segment_name};
use crate::batch_info::crc_matches;

pub(crate) const CLEANED: &str = ".cleaned";
pub(crate) const DELETED: &str = ".deleted";
pub(crate) const SWAP: &str = ".swap";
/// Snapshots of the metadata log on their way out: whoever keeps that log removes them.
const DELETED_CHECKPOINT: &str = ".checkpoint.deleted";
const TEMPORARY: &str = ".tmp";

/// Finishes what was begun, removes what is of no use, and lists what is left in the directory.
pub(crate) fn tidy(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<String>> {
    let mut names = match disk.list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let first_cleaned =
        names.iter().filter(|name| name.ends_with(CLEANED)).filter_map(|name| base_offset(name)).min();
    names.retain(|name| {
        let is_deleted = name.ends_with(DELETED) && !name.ends_with(DELETED_CHECKPOINT);
        // One segment that is split into several: not all of them were there yet.
        let is_of_split = name.ends_with(SWAP)
            && first_cleaned.zip(base_offset(name)).is_some_and(|(first, base)| base >= first);
        let is_useless = is_deleted || is_of_split || name.ends_with(CLEANED) || name.ends_with(TEMPORARY);
        if is_useless && let Err(error) = disk.remove_file(&dir.join(name)) {
            tracing::warn!(dir = %dir.display(), name, %error, "could not remove");
        }
        !is_useless
    });
    if !names.iter().any(|name| name.ends_with(SWAP)) {
        return Ok(names);
    }
    match replaced(disk, dir, &names)? {
        Some((first, end)) => swap(disk, dir, &names, first, end)?,
        // Should not be, and what it replaces may be here yet.
        None => {
            tracing::warn!(dir = %dir.display(), "ignoring a damaged .swap file of an unfinished compaction")
        }
    }
    disk.list(dir)
}

/// From where to where the new segments replace old ones; nothing when one of them is damaged.
fn replaced(disk: &dyn Disk, dir: &Path, names: &[String]) -> io::Result<Option<(i64, i64)>> {
    let (mut first, mut end) = (i64::MAX, i64::MIN);
    for name in names {
        let Some((base_offset, ".log.swap")) = parse_segment_name(name) else { continue };
        let file = disk.open(&dir.join(name), Create::Never)?;
        let (size, mut position, mut next_offset) = (file.size()?, 0, base_offset);
        let mut scanner = Scanner::new(&*file, size);
        while let Some(batch) = scanner.header(position)? {
            if batch.base_offset < next_offset || !crc_matches(scanner.bytes(position, batch.size as usize)?)
            {
                break;
            }
            (position, next_offset) = (position + u64::from(batch.size), batch.next_offset());
        }
        if position < size {
            return Ok(None);
        }
        // One without batches replaces at least its namesake.
        (first, end) = (first.min(base_offset), end.max(next_offset).max(base_offset.saturating_add(1)));
    }
    Ok(Some((first, end)))
}

fn swap(disk: &dyn Disk, dir: &Path, names: &[String], first: i64, end: i64) -> io::Result<()> {
    for name in names {
        let Some((base_offset, suffix)) = parse_segment_name(name) else { continue };
        if (first..end).contains(&base_offset) && FILE_SUFFIXES.contains(&suffix) {
            disk.remove_file(&dir.join(name))?;
        }
    }
    for name in names {
        if let Some(finished) = name.strip_suffix(SWAP) {
            disk.rename(&dir.join(name), &dir.join(finished))?;
        }
    }
    tracing::info!(dir = %dir.display(), first, end, "finished a compaction that a crash had interrupted");
    Ok(())
}

fn base_offset(name: &str) -> Option<i64> {
    parse_segment_name(name).map(|(base_offset, _)| base_offset)
}
