//! Transcripts (`transcripts/*.txt`, rewritten with `OTTLA_REWRITE_TRANSCRIPTS=1`) and random commands. Every command
//! goes through the bytes of its records, and the log alone must lead to the same states.

use std::collections::BTreeMap;

use ottla_protocol::{StrBytes, Uuid};

use super::*;
use crate::coordinator::transcripts::{check_transcripts, replay_transcript};
use crate::coordinator::view::TestView;

struct World {
    config: ShareCoordinatorConfig,
    shard: ShareShard,
    log: Vec<RecordBatch>,
    view: TestView,
    now_ms: i64,
}

impl World {
    fn new(updates_per_snapshot: i32) -> World {
        let config = ShareCoordinatorConfig {
            snapshot_update_records_per_snapshot: updates_per_snapshot,
            ..ShareCoordinatorConfig::default()
        };
        let shard = ShareShard::new(config.clone());
        let mut view = TestView::default();
        view.put("t", 3);
        World { config, shard, log: Vec::new(), view, now_ms: 1_000 }
    }

    fn run<R>(&mut self, outcome: ShareOutcome<R>) -> (R, Vec<ShareRecord>) {
        let (response, records, _) = self.shard.apply(outcome);
        self.log.push(ShareShard::to_batch(&records, self.now_ms).expect("short names"));
        let mut replayed = ShareShard::new(self.config.clone());
        for batch in &self.log {
            let records = ShareShard::from_batch(batch).expect("a batch of records");
            records.iter().for_each(|record| replayed.replay(record));
        }
        assert_eq!(self.shard.states(), replayed.states());
        (response, records)
    }
}

/// What [`TestView`] makes of `t`.
fn topic_id() -> Uuid {
    Uuid::from_u128(0x1000 * 256 + u128::from(b't'))
}

#[test]
fn transcripts() {
    check_transcripts("src/coordinator/share/transcripts", |transcript| {
        let mut world = World::new(500);
        replay_transcript(transcript, |command| play_line(&mut world, command))
    });
}

fn play_line(world: &mut World, line: &str) -> Vec<String> {
    let mut words = line.split_whitespace();
    let name = words.next().expect("a command");
    let args: BTreeMap<&str, &str> = words.map(|word| word.split_once('=').expect("key=value")).collect();
    let number = |name: &str, default: i64| args.get(name).map_or(default, |text| text.parse().unwrap());
    let key = SharePartitionKey {
        group_id: StrBytes::from_static_str("g"),
        topic_id: topic_id(),
        partition: number("partition", 0) as i32,
    };
    let (state_epoch, leader_epoch) = (number("state", 1) as i32, number("leader", 0) as i32);
    let start_offset = number("start", -1);
    let now_ms = world.now_ms;
    let (answer, records) = match name {
        "config" => {
            *world = World::new(number("updates", 500) as i32);
            return Vec::new();
        }
        "initialize" => {
            let command = InitializeState { key, state_epoch, start_offset };
            let outcome = world.shard.initialize(&command, now_ms, &world.view);
            show(world.run(outcome))
        }
        "read" => {
            let outcome = world.shard.read(&ReadState { key, leader_epoch }, now_ms, &world.view);
            show(world.run(outcome))
        }
        "write" => {
            let batches = args.get("batches").map(|text| parse_batches(text)).unwrap_or_default();
            let delivery_complete_count = number("complete", -1) as i32;
            let command =
                WriteState { key, state_epoch, leader_epoch, start_offset, delivery_complete_count, batches };
            let outcome = world.shard.write(&command, now_ms, &world.view);
            show(world.run(outcome))
        }
        "summary" => show((world.shard.read_summary(&key, &world.view), Vec::new())),
        "delete" => {
            let outcome = world.shard.delete(&key, &world.view);
            show(world.run(outcome))
        }
        "delete-topic" => {
            world.view.remove("t");
            let outcome = world.shard.topics_deleted(&[topic_id()]).map(Ok::<_, ShareError>);
            show(world.run(outcome))
        }
        "wait" => {
            world.now_ms += number("ms", 0);
            let outcome = world
                .shard
                .expire(&TimerKey::ColdSnapshots, world.now_ms, &world.view)
                .map(Ok::<_, ShareError>);
            show(world.run(outcome))
        }
        _ => panic!("no command {name}"),
    };
    [answer].into_iter().chain(records).collect()
}

fn parse_batches(text: &str) -> Vec<StateBatch> {
    let batch = |text: &str| {
        let numbers: Vec<i64> = text.split(['-', ':', 'x']).map(|number| number.parse().unwrap()).collect();
        let [first_offset, last_offset, state, count] = numbers[..] else { panic!("{text}") };
        StateBatch { first_offset, last_offset, delivery_state: state as i8, delivery_count: count as i16 }
    };
    text.split(',').map(batch).collect()
}

fn show<R: Show>((answer, records): (Result<R, ShareError>, Vec<ShareRecord>)) -> (String, Vec<String>) {
    let answer = answer.map_or_else(|error| format!("{error:?}"), |answer| answer.show());
    (answer, records.iter().map(show_record).collect())
}

trait Show {
    fn show(&self) -> String;
}

impl Show for () {
    fn show(&self) -> String {
        "ok".to_owned()
    }
}

impl Show for ReadAnswer {
    fn show(&self) -> String {
        format!(
            "state={} start={} batches={}",
            self.state_epoch,
            self.start_offset,
            show_batches(&self.batches)
        )
    }
}

impl Show for SummaryAnswer {
    fn show(&self) -> String {
        let SummaryAnswer { state_epoch, leader_epoch, start_offset, delivery_complete_count } = self;
        format!(
            "state={state_epoch} leader={leader_epoch} start={start_offset} complete={delivery_complete_count}"
        )
    }
}

fn show_record(record: &ShareRecord) -> String {
    match record {
        ShareRecord::Snapshot { key, state: None } => format!("log: {} tombstone", key.partition),
        ShareRecord::Snapshot { key, state: Some(state) } => format!(
            "log: {} snapshot={} state={} leader={} start={} complete={} created={} written={} batches={}",
            key.partition,
            state.snapshot_epoch,
            state.state_epoch,
            state.leader_epoch,
            state.start_offset,
            state.delivery_complete_count,
            state.create_timestamp_ms,
            state.write_timestamp_ms,
            show_batches(&state.batches),
        ),
        ShareRecord::Update { key, update } => format!(
            "log: {} update={} leader={} start={} complete={} batches={}",
            key.partition,
            update.snapshot_epoch,
            update.leader_epoch,
            update.start_offset,
            update.delivery_complete_count,
            show_batches(&update.batches),
        ),
    }
}

fn show_batches(batches: &[StateBatch]) -> String {
    let batch = |batch: &StateBatch| {
        let StateBatch { first_offset, last_offset, delivery_state, delivery_count } = batch;
        format!("{first_offset}-{last_offset}:{delivery_state}x{delivery_count}")
    };
    batches.iter().map(batch).collect::<Vec<_>>().join(",")
}

/// Whatever is written between snapshots, a reader finds of each offset what was said of it last or loudest.
#[test]
fn a_reader_finds_what_was_written() {
    for seed in 1..200_u64 {
        let mut random = seed;
        let mut below = move |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % bound
        };
        let mut world = World::new(below(4) as i32);
        let key = SharePartitionKey { group_id: StrBytes::new(), topic_id: topic_id(), partition: 0 };
        let begin = InitializeState { key: key.clone(), state_epoch: 0, start_offset: 0 };
        let outcome = world.shard.initialize(&begin, 0, &world.view);
        world.run(outcome).0.expect("a beginning");
        let mut model: BTreeMap<i64, (i16, i8)> = BTreeMap::new();
        let mut start = 0;
        for _ in 0..30 {
            let first_offset = start + below(20) as i64;
            let batch = StateBatch {
                first_offset,
                last_offset: first_offset + below(5) as i64,
                delivery_state: [0, 2, 4][below(3) as usize],
                delivery_count: 1 + below(4) as i16,
            };
            start += below(3) as i64;
            let start_offset = if below(3) == 0 { -1 } else { start };
            for offset in batch.first_offset..=batch.last_offset {
                let said = (batch.delivery_count, batch.delivery_state);
                model.entry(offset).and_modify(|rank| *rank = said.max(*rank)).or_insert(said);
            }
            if start_offset != -1 {
                model.retain(|offset, _| *offset >= start_offset);
            } else {
                start = world.shard.states().get(&key).expect("the state").state.start_offset;
                model.retain(|offset, _| *offset >= start);
            }
            let write = WriteState {
                key: key.clone(),
                state_epoch: 0,
                leader_epoch: 0,
                start_offset,
                delivery_complete_count: 0,
                batches: vec![batch],
            };
            let outcome = world.shard.write(&write, 0, &world.view);
            world.run(outcome).0.expect("a write");
            let read = world.shard.read(&ReadState { key: key.clone(), leader_epoch: 0 }, 0, &world.view);
            let read = world.run(read).0.expect("a reading");
            let offsets = |batch: &StateBatch| {
                let rank = (batch.delivery_count, batch.delivery_state);
                (batch.first_offset..=batch.last_offset).map(move |offset| (offset, rank))
            };
            assert_eq!(read.start_offset, start, "seed {seed}");
            let found: BTreeMap<i64, (i16, i8)> = read.batches.iter().flat_map(offsets).collect();
            assert_eq!(found, model, "seed {seed}");
        }
    }
}
