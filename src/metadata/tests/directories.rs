//! Several log directories: where replicas are placed, and what becomes of those in a directory that has failed.

use ottla_protocol::record_formats::metadata::{PartitionRecord, TopicRecord};

use super::*;

const A: u128 = 0xa0;
const B: u128 = 0xb0;
const C: u128 = 0xc0;

fn register(world: &mut World, directories: BrokerDirectories) {
    let outcome = world.controller.register_broker(RegisterBroker {
        broker_id: 1,
        incarnation_id: Uuid::from_u128(1),
        endpoints: vec![],
        rack: None,
        directories,
    });
    world.commit(outcome);
}

fn world(ids: &[u128]) -> World {
    let mut world = World { controller: Controller::default(), next_id: 1000 };
    world.replay(bootstrap_records(feature_levels()));
    register(&mut world, online(ids));
    world
}

/// Each partition's directory, leader, ISR and eligible leaders.
fn seen(world: &World, topic: &str) -> Vec<String> {
    let topic = world.image().topic(topic).unwrap();
    let partitions = topic.partitions.iter().map(|partition| {
        let membership = &partition.membership;
        let dir = membership.directories.first().map_or(0, Uuid::as_u128);
        format!(
            "{dir:x} {}@{} {:?} {:?}",
            partition.leader, partition.leader_epoch, membership.isr, membership.eligible_leader_replicas
        )
    });
    partitions.collect()
}

fn directories(world: &World, topic: &str) -> Vec<u128> {
    let topic = world.image().topic(topic).unwrap();
    topic.partitions.iter().map(|partition| partition.membership.directories[0].as_u128()).collect()
}

#[test]
fn each_replica_goes_where_the_fewest_are() {
    let mut world = world(&[A, B, C]);
    world.create(&[topic("a", 4, 1), topic("b", 2, 1)]);
    assert_eq!(directories(&world, "a"), [A, B, C, A]);
    assert_eq!(directories(&world, "b"), [B, C]);
    let id = world.image().topic_id("a").unwrap();
    let outcome = world.controller.delete_topics(&[TopicToDelete { name: None, id }]);
    world.commit(outcome);
    world.create(&[topic("c", 5, 1)]);
    assert_eq!(directories(&world, "c"), [A, A, B, C, A]);
}

/// As the reference's metadata log has it when one of three directories fails, and when it comes back.
#[test]
fn what_lies_in_a_failed_directory_has_no_leader_until_it_is_back() {
    let mut world = world(&[A, B, C]);
    world.create(&[topic("t", 3, 1)]);
    let outcome = world.controller.directories_offline(1, &[Uuid::from_u128(B), Uuid::from_u128(0xdd)]);
    assert_eq!(outcome.records.len(), 2);
    world.commit(outcome);
    let failed = ["a0 1@0 [1] []", "b0 -1@1 [] [1]", "c0 1@0 [1] []"];
    assert_eq!(seen(&world, "t"), failed);
    let broker = world.image().broker(1).unwrap();
    assert_eq!(broker.directories, [Uuid::from_u128(A), Uuid::from_u128(C)]);
    let partition = |index| world.image().topic("t").unwrap().partition(index).unwrap();
    let is_offline = [0, 1, 2].map(|index| world.image().is_directory_offline(partition(index), 1));
    assert_eq!(is_offline, [false, true, false]);
    assert!(world.controller.directories_offline(1, &[Uuid::from_u128(B)]).records.is_empty(), "told before");

    world.create(&[topic("u", 4, 1)]);
    assert_eq!(directories(&world, "u"), [A, C, A, C]);
    register(&mut world, BrokerDirectories { has_offline: true, ..online(&[A, C]) });
    assert_eq!(seen(&world, "t"), failed);
    register(&mut world, online(&[A, B, C]));
    assert_eq!(seen(&world, "t"), ["a0 1@0 [1] []", "b0 1@2 [1] []", "c0 1@0 [1] []"]);
}

/// It failed while nobody ran.
#[test]
fn a_broker_that_comes_back_without_a_directory_does_not_lead_what_lies_there() {
    let mut world = world(&[A, B]);
    world.create(&[topic("t", 2, 1)]);
    register(&mut world, BrokerDirectories { has_offline: true, ..online(&[A]) });
    assert_eq!(seen(&world, "t"), ["a0 1@0 [1] []", "b0 -1@1 [] [1]"]);
}

#[test]
fn replicas_are_where_they_were_found() {
    let mut world = world(&[A, B]);
    let topic_id = Uuid::from_u128(7);
    world.replay(vec![TopicRecord { name: text("t"), topic_id }.into()]);
    // One that nobody has told of, one that is elsewhere now, one that is nowhere, and one of which nobody knows.
    for (partition_id, directory) in [(0, 1), (1, A), (2, 0), (3, C)] {
        let record = PartitionRecord {
            partition_id,
            topic_id,
            replicas: vec![1],
            isr: vec![1],
            leader: 1,
            leader_epoch: 0,
            partition_epoch: 0,
            directories: vec![Uuid::from_u128(directory)],
            ..Default::default()
        };
        world.replay(vec![record.into()]);
    }
    let found = [((topic_id, 0), Uuid::from_u128(B)), ((topic_id, 1), Uuid::from_u128(B))].into();
    let directories = BrokerDirectories { found, ..online(&[A, B]) };
    register(&mut world, BrokerDirectories { has_offline: true, ..directories.clone() });
    assert_eq!(seen(&world, "t"), ["b0 1@0 [1] []", "b0 1@0 [1] []", "0 1@0 [1] []", "c0 -1@1 [] [1]"]);
    register(&mut world, directories);
    assert_eq!(seen(&world, "t")[2], "a0 1@0 [1] []");
}
