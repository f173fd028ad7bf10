//! Waiting, names, and what every scenario needs.

use std::env;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

/// Bounds every wait: a little less than the harness's own, so that the message says what hung.
pub const DEADLINE: Duration = Duration::from_secs(45);

/// A topic or group of this run.
pub fn named(name: &str) -> String {
    format!("{}-{name}", run_id())
}

pub fn run_id() -> String {
    env::var("RUN_ID").expect("RUN_ID")
}

pub fn bootstrap() -> String {
    env::var("BOOTSTRAP").expect("BOOTSTRAP")
}

pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < DEADLINE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn broker(command: &str) {
    let status = Command::new(env::var("BROKER_CTL").expect("BROKER_CTL")).arg(command).status();
    assert!(status.expect("BROKER_CTL runs").success(), "BROKER_CTL {command} failed");
}

/// This program again, as a process of its own, with another scenario.
pub fn child(scenario: &str, slot: usize) -> Child {
    let program = env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.arg(scenario).env("SLOT", slot.to_string()).stdout(Stdio::piped());
    command.spawn().expect("a process")
}

/// "ok", or the error's name as librdkafka has it: MESSAGE_SIZE_TOO_LARGE.
pub fn outcome<T>(result: Result<T, KafkaError>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(error) => name_of(&error),
    }
}

pub fn name_of(error: &KafkaError) -> String {
    eprintln!("{error}");
    let Some(code) = error.rdkafka_error_code() else { return "another error".into() };
    let mut name = String::new();
    for c in format!("{code:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}
