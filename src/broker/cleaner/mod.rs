//! The cleaner: which compacted log is compacted when (`log.cleaner.*`). What is done in a log is storage's.
//!
//! Enters: a tick every second or so, changes of configuration. Leaves: compacted logs, one line for each pass.
//! May use: the broker's partitions, the image, storage, config. `looks` says which logs need a look, `throttle` how fast.
//!
//! A round begins `log.cleaner.backoff.ms` after the last one ended. It looks at every log of a topic with `compact` in
//! its policy that has been written to since, compacts the dirtiest one first, and looks again, until none is dirty
//! enough. Threads live as long as a round has work; without compacted topics there are none.

mod looks;
mod throttle;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use ottla_protocol::Uuid;
use ottla_storage::{Compacted, CompactionCandidate, CompactionLimits, Pace, StorageError};
use tracing::{error, info, warn};

use super::Broker;
use super::partition::Partition;
use crate::clock;
use crate::config::{CleanerConfig, TopicConfig, io_max_bytes_per_second};
use crate::metadata::{Image, ResourceType, Topic};
use looks::{Key, Lags, Looks};
use throttle::Throttle;

#[derive(Default)]
pub struct Cleaner {
    state: Mutex<State>,
    /// A thread has ended.
    ended: Condvar,
    throttle: Throttle,
    is_stopping: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Those that run.
    threads: usize,
    /// None until the first tick.
    next_round_ms: Option<i64>,
    looks: Looks,
    /// What is to be compacted in this round, the dirtiest last.
    queue: Vec<Job>,
    in_progress: HashSet<Key>,
    /// Their last pass failed for a reason that stays: left alone until the next start.
    uncleanable: HashSet<Key>,
}

/// A log that is dirty enough.
struct Job {
    partition: Arc<Partition>,
    dirty_ratio: f64,
    lags: Lags,
    /// Of the looks when it was found.
    version: u64,
}

impl Job {
    fn key(&self) -> Key {
        key_of(&self.partition)
    }
}

impl Broker {
    /// To be called every second or so: begins a round when it is time and there is anything that could be compacted.
    pub(super) fn clean_logs(self: &Arc<Self>, now_ms: i64) {
        let config = CleanerConfig::new(&self.config());
        let is_due = self.cleaner.state().is_due(now_ms, config.backoff_ms);
        if !is_due || !config.enable || config.threads == 0 {
            return;
        }
        if self.compacted_topics(&self.image()).next().is_none() {
            self.cleaner.state().next_round_ms = Some(now_ms.saturating_add(config.backoff_ms));
            return;
        }
        self.start_cleaner_thread(Part::Leads);
    }

    /// Ends the round that is under way, and begins none any more. Waits for the threads.
    pub(super) fn stop_cleaner(&self) {
        self.cleaner.is_stopping.store(true, Ordering::Release);
        let mut state = self.cleaner.state();
        while state.threads > 0 {
            state = self.cleaner.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// All topics with `compact` in their policy.
    fn compacted_topics<'a>(&self, image: &'a Image) -> impl Iterator<Item = &'a Arc<Topic>> + use<'a> {
        let is_default = self.config().topic_defaults().cleanup_compact;
        let all = is_default.then(|| image.topics()).into_iter().flatten();
        let configured = (!is_default).then(|| image.configured(ResourceType::Topic)).into_iter().flatten();
        all.chain(configured.filter_map(|name| image.topic(name))).filter(move |topic| {
            let own = image.configs(ResourceType::Topic, &topic.name);
            match own.and_then(|own| own.get("cleanup.policy")) {
                Some(policy) => policy.split(',').any(|entry| entry.trim() == "compact"),
                None => is_default,
            }
        })
    }

    fn start_cleaner_thread(self: &Arc<Self>, part: Part) {
        self.cleaner.state().threads += 1;
        let broker = Arc::clone(self);
        let started = thread::Builder::new().name("cleaner".to_owned()).spawn(move || {
            let _ends = Ends(&broker);
            match part {
                Part::Leads => broker.clean_round(),
                Part::Helps => drop(broker.clean_queue()),
            }
        });
        if let Err(error) = started {
            warn!(%error, "no thread for the cleaner");
            self.cleaner.ended();
        }
    }

    /// Looks and compacts until nothing is left to do.
    fn clean_round(self: &Arc<Self>) {
        loop {
            let now_ms = self.clock.now_ms();
            self.find_dirty_logs(now_ms);
            let (found, running) = {
                let state = self.cleaner.state();
                (state.queue.len(), state.threads)
            };
            for _ in running..found.min(CleanerConfig::new(&self.config()).threads) {
                self.start_cleaner_thread(Part::Helps);
            }
            if self.clean_queue() == 0 {
                break;
            }
        }
        self.apply_retention_to_compacted();
        let backoff_ms = CleanerConfig::new(&self.config()).backoff_ms;
        self.cleaner.state().next_round_ms = Some(self.clock.now_ms().saturating_add(backoff_ms));
    }

    /// Puts the logs that are dirty enough into the queue.
    fn find_dirty_logs(&self, now_ms: i64) {
        let image = self.image();
        let compacted: HashSet<Uuid> = self.compacted_topics(&image).map(|topic| topic.id).collect();
        let version = {
            let mut state = self.cleaner.state();
            state.looks.keep_only(&compacted);
            state.uncleanable.retain(|(topic_id, _)| image.topic_by_id(topic_id).is_some());
            state.looks.version()
        };
        let mut stored = None;
        for topic in self.compacted_topics(&image) {
            for index in 0..topic.partition_count() {
                if self.cleaner.is_stopping() {
                    return;
                }
                let key = (topic.id, index);
                let in_use = self.partitions.peek(topic.id, index);
                if self.cleaner.state().needs_no_look(key, in_use.as_deref(), now_ms) {
                    continue;
                }
                if let Some(partition) = in_use {
                    self.look_at(partition, now_ms, version);
                    continue;
                }
                let stored = stored.get_or_insert_with(|| self.stored_logs());
                if !stored.contains(&(topic.name.to_string(), index)) {
                    self.cleaner.state().looks.postpone(key, 0, i64::MAX, now_ms, version);
                    continue;
                }
                // A log that cannot be opened has said so; one that is not led here is somebody else's.
                let Ok(led) = self.led(&image, topic, index, -1) else { continue };
                self.look_at(led.partition, now_ms, version);
                self.partitions.put_away(topic.id, index);
            }
        }
        self.cleaner.state().queue.sort_by(|a, b| a.dirty_ratio.total_cmp(&b.dirty_ratio));
    }

    fn stored_logs(&self) -> HashSet<(String, i32)> {
        self.logs().stored().map_or_else(
            |error| {
                warn!(%error, "the cleaner could not look at the logs");
                HashSet::new()
            },
            |stored| stored.into_iter().collect(),
        )
    }

    fn look_at(&self, partition: Arc<Partition>, now_ms: i64, version: u64) {
        // Asked first: what is appended from here on is another look's.
        let end_offset = partition.high_watermark();
        let config = partition.config();
        let candidate = partition.log().compaction_candidate(now_ms);
        let key = key_of(&partition);
        let mut state = self.cleaner.state();
        match candidate {
            Ok(Some(found)) if is_dirty_enough(&found, &config) => {
                let (dirty_ratio, lags) = (found.dirty_ratio, lags(&config));
                state.queue.push(Job { partition, dirty_ratio, lags, version });
            }
            Ok(_) => state.looks.settle(key, end_offset, lags(&config), now_ms, version),
            Err(error) => {
                drop(state);
                let job = Job { partition, dirty_ratio: 0.0, lags: lags(&config), version };
                self.pass_failed(&job, &error, now_ms);
            }
        }
    }

    /// Compacts what is in the queue, and whatever else; how many logs that were.
    fn clean_queue(&self) -> usize {
        let mut cleaned = 0;
        while !self.cleaner.is_stopping() {
            let Some(job) = self.cleaner.take_job() else { break };
            let _in_progress = InProgress { cleaner: &self.cleaner, key: job.key() };
            self.clean(&job);
            cleaned += 1;
        }
        cleaned
    }

    fn clean(&self, job: &Job) {
        let config = CleanerConfig::new(&self.config());
        let (now_ms, began) = (self.clock.now_ms(), clock::monotonic());
        let end_offset = job.partition.high_watermark();
        let limits = limits(&config);
        let compacted = job.partition.log().compact(&limits, now_ms, &mut |bytes| self.pace(bytes));
        match compacted {
            Ok(done) => {
                self.tell(job, &done, (clock::monotonic() - began).as_secs_f64());
                if done.next_dirty_offset <= done.first_dirty_offset {
                    // It would be found dirty again and again.
                    let mut state = self.cleaner.state();
                    state.looks.settle(job.key(), end_offset, job.lags, now_ms, job.version);
                }
            }
            Err(error) => self.pass_failed(job, &error, now_ms),
        }
    }

    /// Between two pieces of a pass: waits as long as the rate asks for, or ends the pass.
    fn pace(&self, bytes: u64) -> Pace {
        self.cleaner.throttle.took(bytes);
        loop {
            if self.cleaner.is_stopping() {
                return Pace::Stop;
            }
            let rate = io_max_bytes_per_second(&self.config());
            match self.cleaner.throttle.nap(rate, clock::monotonic()) {
                Some(nap) => thread::sleep(nap),
                None => return Pace::Go,
            }
        }
    }

    fn tell(&self, job: &Job, done: &Compacted, seconds: f64) {
        if done.bytes_read == 0 {
            return;
        }
        info!(
            log = %job.partition.id(),
            "compacted {} to {} bytes, {} to {} records, dirty from offset {} to {}: {:.3} s, {:.1} MB/s read, {} keys",
            done.bytes_before,
            done.bytes_after,
            done.records_before,
            done.records_after,
            done.first_dirty_offset,
            done.next_dirty_offset,
            seconds,
            done.bytes_read as f64 / 1e6 / seconds.max(0.001),
            done.map_entries,
        );
    }

    fn pass_failed(&self, job: &Job, error: &StorageError, now_ms: i64) {
        let log = job.partition.id();
        match error {
            StorageError::Deleted => {}
            StorageError::Corrupt { .. } => {
                error!(%log, %error, "the log cannot be compacted: it is left as it is until the next start");
                self.cleaner.state().uncleanable.insert(job.key());
            }
            _ => {
                warn!(%log, %error, "a compaction failed; it is tried again");
                let backoff_ms = CleanerConfig::new(&self.config()).backoff_ms;
                let (end_offset, due_ms) =
                    (job.partition.high_watermark(), now_ms.saturating_add(backoff_ms));
                self.cleaner.state().looks.postpone(job.key(), end_offset, due_ms, now_ms, job.version);
            }
        }
    }

    /// Logs with `compact,delete` let go of what is too old or too much in the cleaner's rounds, as Kafka's do; those
    /// that nobody uses when all logs do.
    fn apply_retention_to_compacted(&self) {
        let now_ms = self.clock.now_ms();
        let image = self.image();
        for topic in self.compacted_topics(&image) {
            for partition in self.partitions.of_topic(topic.id, topic.partition_count()) {
                if self.cleaner.is_stopping() {
                    return;
                }
                if partition.config().cleanup_delete {
                    partition.apply_retention(now_ms);
                }
            }
        }
    }
}

/// What a thread of the cleaner does.
enum Part {
    /// Looks for dirty logs, and has others help when there are many.
    Leads,
    /// Compacts what was found.
    Helps,
}

/// The end of a thread, also by a panic.
struct Ends<'a>(&'a Broker);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.cleaner.ended();
    }
}

/// A log that a thread compacts just now.
struct InProgress<'a> {
    cleaner: &'a Cleaner,
    key: Key,
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        let mut state = self.cleaner.state();
        state.in_progress.remove(&self.key);
        if thread::panicking() {
            state.uncleanable.insert(self.key);
        }
    }
}

impl Cleaner {
    /// The log goes out of use.
    pub fn put_away(&self, partition: &Partition) {
        self.state().looks.put_away(key_of(partition), partition.high_watermark());
    }

    /// The configuration of a topic, or of all of them, changed: their logs are looked at anew.
    pub fn config_changed(&self, topic_id: Option<Uuid>) {
        self.state().looks.config_changed(topic_id);
    }

    fn take_job(&self) -> Option<Job> {
        let mut state = self.state();
        let job = state.queue.pop()?;
        state.in_progress.insert(job.key());
        Some(job)
    }

    fn ended(&self) {
        self.state().threads -= 1;
        self.ended.notify_all();
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_due(&self, now_ms: i64, backoff_ms: i64) -> bool {
        // A clock that was set back must not hold the next round up.
        self.threads == 0
            && self.next_round_ms.is_none_or(|next_ms| now_ms >= next_ms || next_ms - now_ms > backoff_ms)
    }

    fn needs_no_look(&self, key: Key, in_use: Option<&Partition>, now_ms: i64) -> bool {
        self.in_progress.contains(&key)
            || self.uncleanable.contains(&key)
            || self.looks.is_settled(key, in_use.map(Partition::high_watermark), now_ms)
    }
}

/// Kafka's rule; a time that has passed (`max.compaction.lag.ms`) overrules the ratio.
fn is_dirty_enough(candidate: &CompactionCandidate, config: &TopicConfig) -> bool {
    candidate.total_bytes > 0
        && ((candidate.must_compact && candidate.dirty_bytes > 0)
            || candidate.dirty_ratio > config.min_cleanable_dirty_ratio)
}

fn lags(config: &TopicConfig) -> Lags {
    Lags { min_ms: config.min_compaction_lag_ms, max_ms: config.max_compaction_lag_ms }
}

/// A thread's share of the memory.
fn limits(config: &CleanerConfig) -> CompactionLimits {
    let threads = config.threads.max(1) as u64;
    // Storage fills its map to nine tenths, which is Kafka's default.
    let fill = if config.io_buffer_load_factor > 0.0 { config.io_buffer_load_factor / 0.9 } else { 0.0 };
    CompactionLimits {
        dedupe_buffer_bytes: (config.dedupe_buffer_bytes as f64 * fill) as u64 / threads,
        io_buffer_bytes: u32::try_from(u64::from(config.io_buffer_bytes) / threads / 2).unwrap_or(u32::MAX),
    }
}

fn key_of(partition: &Partition) -> Key {
    (partition.id().topic_id, partition.id().partition)
}
