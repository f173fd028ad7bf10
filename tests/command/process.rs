//! An `ottla` process whose log lines can be waited for.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// A test that waits longer has failed; on an idle machine everything here takes milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A directory of a test's own, removed at its end.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("ottla-command-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // What cannot be removed now is in the directory for temporary files.
        let _removed = std::fs::remove_dir_all(&self.0).is_ok();
    }
}

/// How to start it: in a directory, with nothing in the environment but what is given.
pub fn command(dir: &Dir, args: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.current_dir(dir.path()).env_clear().envs(environment.iter().copied()).args(args);
    command
}

/// Runs to its end: exit code, standard output, standard error.
pub fn run(dir: &Dir, args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = command(dir, args, environment).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A broker that is running.
pub struct Ottla {
    child: Child,
    lines: Receiver<String>,
    /// What it has said so far.
    pub log: Vec<String>,
}

impl Ottla {
    /// Starts it and waits until it says that it is ready.
    pub fn serve(dir: &Dir, args: &[&str], environment: &[(&str, &str)]) -> Ottla {
        let args: Vec<&str> = ["serve"].iter().chain(args).copied().collect();
        Ottla::start(command(dir, &args, environment))
    }

    /// The same, where no file may be larger than so many blocks (of 512 bytes, or 1024: shells do not agree).
    pub fn serve_small_files(dir: &Dir, blocks: u32, args: &[&str]) -> Ottla {
        let mut shell = Command::new("/bin/sh");
        shell.current_dir(dir.path()).env_clear();
        let limited = format!("ulimit -f {blocks} && exec \"$0\" serve \"$@\"");
        shell.args(["-c", &limited, env!("CARGO_BIN_EXE_ottla")]).args(args);
        Ottla::start(shell)
    }

    fn start(mut command: Command) -> Ottla {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let errors = child.stderr.take().unwrap();
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let mut ottla = Ottla { child, lines, log: Vec::new() };
        ottla.wait_for("ready: ");
        ottla
    }

    /// `host:port` of the ready line.
    pub fn bootstrap(&self) -> String {
        let ready = self.said("ready: ").expect("it waited for this line");
        let rest = ready.split_once("bootstrap.servers=").expect("the ready line names its address").1;
        rest.split_whitespace().next().unwrap().to_owned()
    }

    /// The port of the first listener.
    pub fn port(&self) -> u16 {
        self.bootstrap().rsplit_once(':').unwrap().1.parse().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A line that it has said already.
    pub fn said(&self, text: &str) -> Option<&str> {
        self.log.iter().find(|line| line.contains(text)).map(String::as_str)
    }

    /// The first line with `text` in it, said already or within `PATIENCE`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        if let Some(line) = self.said(text) {
            return line.to_owned();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.log.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(why) => panic!("it did not say {text:?} ({why}); it said {:#?}", self.log),
            }
        }
    }

    pub fn terminate(&self) {
        let kill = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.pid())]).status();
        assert!(kill.unwrap().success());
    }

    /// Its exit code, once it has ended by itself.
    #[track_caller]
    pub fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        // Its standard error ends with it.
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end; it said {:#?}", self.log),
            }
        }
        self.child.wait().unwrap().code()
    }

    /// Ends it as a crash does.
    pub fn kill(mut self) {
        self.child.kill().and_then(|()| self.child.wait()).unwrap();
    }

    /// Ends it as a service manager does.
    #[track_caller]
    pub fn stop(&mut self) {
        self.terminate();
        assert_eq!(self.ended(), Some(0), "{:#?}", self.log);
    }
}

impl Drop for Ottla {
    fn drop(&mut self) {
        // It has ended already when a test went well.
        let _ended = self.child.kill().and_then(|()| self.child.wait()).is_ok();
    }
}
