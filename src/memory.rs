//! Gives free memory back to the system. glibc does so only at the end of its heaps: behind one small block that is in
//! use, hundreds of megabytes that an answer or a hundred thousand logs needed for a while would stay the process's.

/// What is worth the time that it takes.
const WORTH_BYTES: u64 = 16 << 20;
/// As much as so many logs have.
const WORTH_LOGS: usize = 5_000;
/// Less than this between two looks is no growth.
const STEADY_BYTES: u64 = 1 << 20;

/// Looks from time to time how much memory the process has.
#[derive(Debug, Default)]
pub struct Trimming {
    last_bytes: u64,
    trimmed_bytes: u64,
    /// Logs that were in memory at once since the last time: what those had that are put away may be free.
    most_open: usize,
}

impl Trimming {
    /// To be called every ten seconds or so, off the async threads, with the number of logs in memory.
    pub fn look(&mut self, open_logs: usize) {
        let Some(bytes) = resident_bytes() else { return };
        if self.is_worth_it(bytes, open_logs) {
            trim();
            self.trimmed_bytes = resident_bytes().unwrap_or(bytes);
            self.most_open = open_logs;
        }
    }

    /// Whether there is much more than after the last time, or much of it may be free, and it has stopped growing.
    fn is_worth_it(&mut self, bytes: u64, open_logs: usize) -> bool {
        let last_bytes = std::mem::replace(&mut self.last_bytes, bytes);
        self.trimmed_bytes = self.trimmed_bytes.min(bytes);
        self.most_open = self.most_open.max(open_logs);
        let is_free = self.most_open - open_logs >= WORTH_LOGS;
        (is_free || bytes >= self.trimmed_bytes + WORTH_BYTES) && bytes <= last_bytes + STEADY_BYTES
    }
}

/// The process's resident memory, where the system tells it.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    // SAFETY: it may be called at any time and from any thread, and has no other argument than how much to keep.
    #[expect(unsafe_code, reason = "glibc's own call, which no crate wraps")]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Other allocators give back what they have on their own.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    #[test]
    fn memory_is_given_back_once_it_has_grown_and_rests() {
        let mut trimming = Trimming { trimmed_bytes: 10 * MB, ..Trimming::default() };
        for (bytes, expected) in [(20, false), (20, false), (30, false), (30, true), (90, false), (60, true)]
        {
            assert_eq!(trimming.is_worth_it(bytes * MB, 0), expected, "{bytes} MB");
        }
        // What is in use cannot be given back: until it grows again it is not tried again.
        trimming.trimmed_bytes = 60 * MB;
        for (bytes, expected) in
            [(60, false), (61, false), (76, false), (76, true), (40, false), (56, false), (56, true)]
        {
            assert_eq!(trimming.is_worth_it(bytes * MB, 0), expected, "{bytes} MB");
        }
        // Unless many logs were put away.
        for (open_logs, expected) in [(9_000, false), (5_000, false), (4_000, true)] {
            assert_eq!(trimming.is_worth_it(40 * MB, open_logs), expected, "{open_logs} logs");
        }
    }
}
