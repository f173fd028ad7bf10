//! What the cleaner of compacted logs is configured to.

use super::key::Value;
use super::server_config::ServerConfig;

/// `log.cleaner.*`, as far as it is not a default of topics. Bytes are those of all threads together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleanerConfig {
    pub enable: bool,
    pub threads: usize,
    pub dedupe_buffer_bytes: u64,
    /// How full the memory of keys may get.
    pub io_buffer_load_factor: f64,
    pub io_buffer_bytes: u32,
    pub io_max_bytes_per_second: f64,
    pub backoff_ms: i64,
}

/// A thread has at least so much memory for keys.
const DEDUPE_BUFFER_MIN_BYTES: i64 = 1 << 20;

impl CleanerConfig {
    pub fn new(config: &ServerConfig) -> CleanerConfig {
        CleanerConfig {
            enable: config.value("log.cleaner.enable") == Some(Value::Boolean(true)),
            threads: usize::try_from(integer(config, "log.cleaner.threads")).unwrap_or(0),
            dedupe_buffer_bytes: u64::try_from(integer(config, "log.cleaner.dedupe.buffer.size"))
                .unwrap_or(0),
            io_buffer_load_factor: double(config, "log.cleaner.io.buffer.load.factor"),
            io_buffer_bytes: u32::try_from(integer(config, "log.cleaner.io.buffer.size")).unwrap_or(0),
            io_max_bytes_per_second: io_max_bytes_per_second(config),
            backoff_ms: integer(config, "log.cleaner.backoff.ms"),
        }
    }
}

/// The one of these values that is asked for all the time while a log is compacted.
pub fn io_max_bytes_per_second(config: &ServerConfig) -> f64 {
    double(config, "log.cleaner.io.max.bytes.per.second")
}

/// Kafka's rules between the keys of the cleaner, in Kafka's words.
pub(super) fn check_cleaner(config: &ServerConfig) -> Result<(), String> {
    if !CleanerConfig::new(config).enable {
        return Ok(());
    }
    let bytes = integer(config, "log.cleaner.dedupe.buffer.size");
    match bytes.checked_div(integer(config, "log.cleaner.threads")) {
        // Kafka's own words are "/ by zero".
        None => Err("Log cleaner threads should be at least 1".to_owned()),
        Some(bytes) if bytes <= DEDUPE_BUFFER_MIN_BYTES => {
            Err("requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread."
                .to_owned())
        }
        Some(_) => Ok(()),
    }
}

fn integer(config: &ServerConfig, name: &str) -> i64 {
    match config.value(name) {
        Some(Value::Integer(number)) => number,
        other => unreachable!("{name} is a number, not {other:?}"),
    }
}

fn double(config: &ServerConfig, name: &str) -> f64 {
    match config.value(name) {
        Some(Value::Double(number)) => number,
        other => unreachable!("{name} is a number, not {other:?}"),
    }
}
