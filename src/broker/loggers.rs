//! The levels of the broker's log, which may be altered while it runs (KIP-412). They last until it stops.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub const ROOT: &str = "root";

/// The loggers: one for each part of the program. A logger without a level of its own has the root's.
const NAMES: [&str; 8] = [
    "ottla.broker",
    "ottla.coordinator",
    "ottla.handlers",
    "ottla.metadata",
    "ottla.server",
    "ottla_protocol",
    "ottla_storage",
    ROOT,
];

/// In the order in which Kafka lists them.
pub const LEVELS: [&str; 6] = ["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];

#[derive(Default)]
pub struct Loggers {
    state: Mutex<State>,
}

type Hook = Box<dyn Fn(&str) + Send>;

#[derive(Default)]
struct State {
    levels: BTreeMap<&'static str, &'static str>,
    apply: Option<Hook>,
}

impl Loggers {
    /// Every logger with the level that it has now, by name.
    pub fn levels(&self) -> Vec<(&'static str, &'static str)> {
        let state = self.state();
        let root = state.levels.get(ROOT).copied().unwrap_or("INFO");
        NAMES.iter().map(|name| (*name, state.levels.get(name).copied().unwrap_or(root))).collect()
    }

    pub fn exists(name: &str) -> bool {
        NAMES.contains(&name)
    }

    /// Gives a logger a level of its own. Nothing happens when either is unknown.
    pub fn set(&self, name: &str, level: &str) {
        let name = NAMES.iter().find(|known| **known == name);
        let level = LEVELS.iter().find(|known| **known == level);
        if let (Some(name), Some(level)) = (name, level) {
            let mut state = self.state();
            state.levels.insert(name, level);
            state.apply();
        }
    }

    /// Gives a logger the root's level again.
    pub fn unset(&self, name: &str) {
        let mut state = self.state();
        state.levels.remove(name);
        state.apply();
    }

    /// Who is told of changes, as directives of tracing's filter: `info,ottla::server=debug`.
    pub fn on_change(&self, apply: impl Fn(&str) + Send + 'static) {
        self.state().apply = Some(Box::new(apply));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&self) {
        let Some(apply) = &self.apply else { return };
        let level = |name: &str| match name {
            "FATAL" => "error".to_owned(),
            other => other.to_ascii_lowercase(),
        };
        let mut directives = level(self.levels.get(ROOT).copied().unwrap_or("INFO"));
        for (name, own) in &self.levels {
            if *name != ROOT {
                // Writing to a String cannot fail.
                let _ = write!(directives, ",{}={}", name.replace('.', "::"), level(own));
            }
        }
        apply(&directives);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_level_lasts_until_it_is_taken_back() {
        let told = Arc::new(Mutex::new(String::new()));
        let loggers = Loggers::default();
        let sink = Arc::clone(&told);
        loggers.on_change(move |directives| directives.clone_into(&mut sink.lock().unwrap()));
        let level = |name| loggers.levels().into_iter().find(|(known, _)| *known == name).unwrap().1;
        loggers.set("ottla.server", "DEBUG");
        loggers.set(ROOT, "FATAL");
        assert_eq!((level("ottla.server"), level("ottla.broker")), ("DEBUG", "FATAL"));
        assert_eq!(*told.lock().unwrap(), "error,ottla::server=debug");
        loggers.unset("ottla.server");
        assert_eq!(level("ottla.server"), "FATAL");
        assert_eq!(*told.lock().unwrap(), "error");
    }
}
