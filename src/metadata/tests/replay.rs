//! Live state = replayed state = state from a snapshot, after whatever commands.

use bytes::Bytes;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_protocol::record_formats::metadata::{PartitionChangeRecord, PartitionRecord, TopicRecord};

use super::*;

/// A small generator with a seed: the same commands for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn name(&mut self) -> String {
        let separator = [".", "_", "-"][self.roll(3) as usize];
        format!("t{separator}{}", self.roll(8))
    }
}

fn random_command(world: &mut World, dice: &mut Dice) -> Vec<MetadataRecord> {
    let name = dice.name();
    match dice.roll(7) {
        0 | 1 => world.decide_create(&[topic(&name, 1 + dice.roll(4) as i32, 1)], false).records,
        2 => {
            let configs = [("retention.ms", Some("5")), ("min.insync.replicas", Some("1"))];
            world.decide_create(&[configured(&name, &configs)], false).records
        }
        3 => {
            let delete = TopicToDelete { name: Some(text(&name)), id: Uuid::nil() };
            world.controller.delete_topics(&[delete]).records
        }
        4 => {
            let grow = CreatePartitionsTopic::default()
                .with_name(TopicName(text(&name)))
                .with_count(1 + dice.roll(9) as i32)
                .with_assignments(None);
            world.controller.create_partitions(&[grow], false, &mut Uuid::nil).records
        }
        5 => {
            let change = ConfigChange {
                resource: ResourceType::Topic,
                name: text(&name),
                ops: vec![(text("retention.ms"), ConfigOp::Set((dice.roll(2) == 0).then(|| text("9"))))],
                replace: false,
            };
            world.controller.alter_configs(&[change], false, &Rules).records
        }
        _ => world.controller.allocate_producer_ids(1).records,
    }
}

/// Through the bytes that the log would hold.
fn through_bytes(record: &MetadataRecord) -> MetadataRecord {
    let value: Bytes = record.encode(record.versions().max).unwrap();
    MetadataRecord::decode(value).unwrap().0
}

fn rebuilt(records: impl Iterator<Item = MetadataRecord>, image: &Image) -> Image {
    let mut rebuilt = Controller::default();
    for record in records {
        rebuilt.replay(&through_bytes(&record)).unwrap();
    }
    rebuilt.replay_position(image.offset, image.epoch);
    rebuilt.image().clone()
}

#[test]
fn live_state_is_replayed_state_is_a_snapshots_state() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let mut world = World::new();
        let mut log: Vec<MetadataRecord> = Vec::new();
        log.extend(world.image().records());
        for _ in 0..40 {
            let records = random_command(&mut world, &mut dice);
            log.extend(records.iter().cloned());
            world.replay(records);
        }
        let live = world.image();
        assert_eq!(&rebuilt(log.into_iter(), live), live, "seed {seed}: the log");
        assert_eq!(&rebuilt(live.records(), live), live, "seed {seed}: a snapshot");
    }
}

#[test]
fn published_images_do_not_change() {
    let mut world = World::new();
    world.create(&[topic("a", 1, 1)]);
    let before = world.image().clone();
    world.create(&[topic("b", 1, 1)]);
    let grow =
        CreatePartitionsTopic::default().with_name(TopicName(text("a"))).with_count(3).with_assignments(None);
    let outcome = world.controller.create_partitions(&[grow], false, &mut Uuid::nil);
    world.commit(outcome);
    assert!(before.topic("b").is_none());
    assert_eq!(before.topic("a").unwrap().partition_count(), 1);
    assert_eq!(world.image().topic("a").unwrap().partition_count(), 3);
}

#[test]
fn a_broker_that_returns_leads_what_a_clean_stop_left_without_a_leader() {
    let mut world = World::new();
    world.create(&[topic("t", 2, 1)]);
    let id = world.image().topic_id("t").unwrap();
    // What Kafka writes when a single node stops.
    let stopped = |partition_id| PartitionChangeRecord {
        partition_id,
        topic_id: id,
        isr: Some(vec![]),
        leader: -1,
        eligible_leader_replicas: Some(vec![1]),
        last_known_elr: Some(vec![1]),
        ..Default::default()
    };
    world.replay(vec![stopped(0).into(), stopped(1).into()]);
    assert_eq!(world.image().partition(&id, 0).unwrap().leader, -1);

    world.register(1);
    for index in 0..2 {
        let partition = world.image().partition(&id, index).unwrap();
        assert_eq!((partition.leader, partition.leader_epoch, partition.partition_epoch), (1, 2, 2));
        assert_eq!(partition.membership.isr, [1]);
        assert!(partition.membership.eligible_leader_replicas.is_empty());
    }
}

#[test]
fn partitions_share_what_is_true_of_all_of_them() {
    let mut world = World::new();
    world.create(&[topic("a", 50, 1), topic("b", 50, 1)]);
    let first = &world.image().topic("a").unwrap().partitions[0].membership;
    for topic in world.image().topics() {
        assert!(
            topic.partitions.iter().all(|partition| std::sync::Arc::ptr_eq(&partition.membership, first))
        );
    }
    assert!(size_of::<Partition>() <= 24);
}

#[test]
fn a_record_that_cannot_follow_is_an_error() {
    let mut controller = Controller::default();
    let id = Uuid::from_u128(5);
    let partition = |partition_id| PartitionRecord { partition_id, topic_id: id, ..Default::default() };
    assert_eq!(controller.replay(&partition(0).into()), Err(ReplayError::UnknownTopic(id)));
    controller.replay(&TopicRecord { name: text("t"), topic_id: id }.into()).unwrap();
    for index in [-1, i32::MAX] {
        assert_eq!(
            controller.replay(&partition(index).into()),
            Err(ReplayError::InvalidPartition(id, index))
        );
    }
    let change = PartitionChangeRecord { partition_id: 3, topic_id: id, ..Default::default() };
    assert_eq!(controller.replay(&change.into()), Err(ReplayError::UnknownPartition(id, 3)));
}
