//! The `ottla` command as its users meet it: a process with arguments, an environment, signals and an exit code.
#![expect(clippy::disallowed_methods, reason = "a test's deadlines are the wall's")]

mod client;
mod full_disk;
mod health;
mod limits;
mod log_dump;
mod process;
mod refusals;
mod serving;
mod stopping;
