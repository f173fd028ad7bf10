//! `ottla log dump`: what the files of a log hold, in the words of Kafka's own dump-log.
//!
//! Enters: paths of files, and what to show of them. Leaves: lines, equal to those of Kafka's tool; complaints at the end.
//! May use: the readers of `ottla_storage` and `ottla_protocol`. It knows no broker, and writes to no file.
//!
//! `options` reads the arguments; `log_file` shows batches and records, `small_files` what lies beside them; `decoders`
//! turn keys and values into text, those of Kafka's own records over `json`; `java` spells as Java does.

mod decoders;
mod java;
mod json;
mod log_file;
mod options;
mod segment;
mod small_files;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use options::{HELP, Options, OptionsError};

use decoders::Decoder;

/// Why the dump ends early.
#[derive(Debug)]
pub enum DumpError {
    Read(PathBuf, io::Error),
    /// Nobody takes the lines any more.
    Write(io::Error),
    /// The file is not what its name says, and where.
    Damaged(PathBuf, String),
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DumpError::Read(path, error) => write!(f, "{}: {error}", path.display()),
            DumpError::Write(error) => error.fmt(f),
            DumpError::Damaged(path, why) => write!(f, "{}: {why}", path.display()),
        }
    }
}

impl std::error::Error for DumpError {}

impl From<io::Error> for DumpError {
    fn from(error: io::Error) -> Self {
        DumpError::Write(error)
    }
}

fn damaged(path: &Path, why: impl fmt::Display) -> DumpError {
    DumpError::Damaged(path.to_owned(), why.to_string())
}

/// Shows every file, then what is wrong between them. Ends at the first that cannot be read on.
pub fn dump(options: &Options, out: &mut dyn Write, complaints: &mut dyn Write) -> Result<(), DumpError> {
    let mut found = Complaints::default();
    for target in &options.targets {
        for path in files_of(target)? {
            writeln!(out, "Dumping {}", path.display())?;
            dump_file(&path, options, out, &mut found)?;
        }
    }
    found.write(complaints)?;
    Ok(())
}

fn dump_file(
    path: &Path,
    options: &Options,
    out: &mut dyn Write,
    found: &mut Complaints,
) -> Result<(), DumpError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let suffix = name.rfind('.').map_or("", |at| &name[at..]);
    match suffix {
        ".log" | ".checkpoint" => {
            let decoder = options.decoder.clone().unwrap_or_else(|| Decoder::for_topic(path));
            log_file::dump(path, options, &decoder, out, found)
        }
        ".index" => small_files::offset_index(path, options, out, found),
        ".timeindex" => small_files::time_index(path, options, out, found),
        ".snapshot" => small_files::producer_snapshot(path, out, found),
        ".txnindex" => small_files::transaction_index(path, out),
        _ => {
            found.others.push(format!("Ignoring unknown file {}", path.display()));
            Ok(())
        }
    }
}

/// A file is itself; a directory is the files in it that can be shown, by name.
fn files_of(target: &Path) -> Result<Vec<PathBuf>, DumpError> {
    if !target.is_dir() {
        return Ok(vec![target.to_owned()]);
    }
    let failed = |error| DumpError::Read(target.to_owned(), error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(target).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let kinds = ["log", "index", "timeindex", "txnindex", "snapshot", "checkpoint"];
        if path.extension().and_then(|kind| kind.to_str()).is_some_and(|kind| kinds.contains(&kind)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What is only told when all files have been shown.
#[derive(Default)]
struct Complaints {
    others: Vec<String>,
    /// By file: indexed offset, and the last offset of the batch at its position.
    index_mismatches: Vec<(PathBuf, Vec<(i64, i64)>)>,
    /// By file: indexed timestamp, and the greatest in the batch.
    time_mismatches: Vec<(PathBuf, Vec<(i64, i64)>)>,
    /// By file: indexed timestamp, and the one before it.
    times_out_of_order: Vec<(PathBuf, Vec<(i64, i64)>)>,
    /// Indexed offset, and the batch's that was found.
    not_found: Vec<(i64, i64)>,
    /// By file: offsets of records that follow each other.
    gaps: Vec<(PathBuf, Vec<(i64, i64)>)>,
}

fn note(of: &mut Vec<(PathBuf, Vec<(i64, i64)>)>, path: &Path, pair: (i64, i64)) {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match of.iter_mut().find(|(known, _)| *known == path) {
        Some((_, pairs)) => pairs.push(pair),
        None => of.push((path, vec![pair])),
    }
}

impl Complaints {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for line in &self.others {
            writeln!(out, "{line}")?;
        }
        for (path, pairs) in &self.index_mismatches {
            writeln!(out, "Mismatches in :{}", path.display())?;
            // The tool shows the last one first.
            for (indexed, found) in pairs.iter().rev() {
                writeln!(out, "  Index offset: {indexed}, log offset: {found}")?;
            }
        }
        for (path, pairs) in &self.time_mismatches {
            writeln!(out, "Found timestamp mismatch in :{}", path.display())?;
            for (indexed, found) in pairs {
                writeln!(out, "  Index timestamp: {indexed}, log timestamp: {found}")?;
            }
        }
        for (path, pairs) in &self.times_out_of_order {
            writeln!(out, "Found out of order timestamp in :{}", path.display())?;
            for (indexed, previous) in pairs {
                writeln!(out, "  Index timestamp: {indexed}, Previously indexed timestamp: {previous}")?;
            }
        }
        if !self.not_found.is_empty() {
            writeln!(out, "The following indexed offsets are not found in the log.")?;
            for (indexed, found) in &self.not_found {
                writeln!(out, "Indexed offset: {indexed}, found log offset: {found}")?;
            }
        }
        for (path, pairs) in &self.gaps {
            writeln!(out, "Non-consecutive offsets in {}", path.display())?;
            for (first, second) in pairs {
                writeln!(out, "  {first} is followed by {second}")?;
            }
        }
        Ok(())
    }
}
