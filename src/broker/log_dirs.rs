//! The log directories and what lies in them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ottla_storage::{LogDir, LogId, StorageError};

use super::Broker;

impl Broker {
    /// The directories with those of `ids` that lie in them, and their sizes in bytes. A log that nothing was written to
    /// has no files yet, but its place is known. Reads the disk.
    pub fn log_dirs(&self, ids: Vec<LogId>) -> Result<Vec<LogDir>, StorageError> {
        let mut dirs = self.logs().describe()?;
        let mut open = HashMap::new();
        for dir in &mut dirs {
            for (id, size) in dir.logs.drain(..) {
                open.insert((id.topic_id, id.partition), size);
            }
        }
        for id in ids {
            let path = self.logs().dir_of(&id)?;
            let size = match (open.get(&(id.topic_id, id.partition)), &path) {
                (Some(size), _) => *size,
                // Not in use since the start: its files say how large it is, and opening it would cost more.
                (None, Some(path)) => size_of_segments(path).unwrap_or(0),
                (None, None) => 0,
            };
            let home = path.as_deref().and_then(Path::parent).map(PathBuf::from).unwrap_or_default();
            if let Some(dir) = dirs.iter_mut().find(|dir| dir.path == home) {
                dir.logs.push((id, size));
            }
        }
        Ok(dirs)
    }
}

fn size_of_segments(dir: &Path) -> io::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            size += entry.metadata()?.len();
        }
    }
    Ok(size)
}
