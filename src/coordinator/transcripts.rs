//! Transcripts: the machines' tests as text, a command a line and after it what came of it.

use std::path::{Path, PathBuf};

/// Plays each transcript (`*.txt`) of a folder of this package and compares what comes with what is written;
/// `OTTLA_REWRITE_TRANSCRIPTS=1` writes down what comes now, to be read in the diff. `play` returns the transcript with
/// what came of its commands in place of what was expected.
pub fn check_transcripts(folder: &str, play: impl Fn(&str) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).expect("the folder of transcripts");
    let files = entries.map(|entry| entry.expect("a transcript").path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|it| it == "txt")).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let expected = std::fs::read_to_string(&file).expect("a readable transcript");
        let actual = play(&expected);
        if std::env::var_os("OTTLA_REWRITE_TRANSCRIPTS").is_some() {
            std::fs::write(&file, actual).expect("a writable transcript");
        } else {
            assert_eq!(actual, expected, "{}", file.display());
        }
    }
}

/// Keeps a transcript's comments and commands (`> command`), each followed by the lines that `command` returns.
pub fn replay_transcript(transcript: &str, mut command: impl FnMut(&str) -> Vec<String>) -> String {
    let mut output = String::new();
    for line in transcript.lines() {
        if line.is_empty() || line.starts_with('#') {
            output.push_str(line);
            output.push('\n');
        } else if let Some(text) = line.strip_prefix("> ") {
            for line in std::iter::once(line.to_owned()).chain(command(text)) {
                output.push_str(&line);
                output.push('\n');
            }
        }
    }
    output
}
