//! Each expectation is what Kafka 4.3.1 answered to the same request.

use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};

use super::*;
use TopicError::*;

/// Creates one topic beside `a1` (two partitions) and `x.y`, and compares the refusal; `None` for success.
fn check_create(topic: CreatableTopic, expected: Option<TopicError>) {
    let mut world = World::new();
    world.create(&[super::topic("a1", 2, 1), super::topic("x.y", 1, 1)]);
    let outcome = world.decide_create(std::slice::from_ref(&topic), false);
    let (name, result) = &outcome.response[0];
    assert_eq!(name.as_str(), topic.name.as_str());
    assert_eq!(result.as_ref().err(), expected.as_ref(), "{}", topic.name.as_str());
    assert_eq!(outcome.records.is_empty(), expected.is_some());
}

#[test]
fn topics_are_refused_in_the_references_words() {
    check_create(topic("a1", 2, 1), Some(AlreadyExists("Topic 'a1' already exists.".into())));
    check_create(
        topic("x_y", 1, 1),
        Some(InvalidName("Topic 'x_y' collides with existing topic: x.y".into())),
    );
    check_create(
        topic("", 1, 1),
        Some(InvalidName("Topic name is invalid: the empty string is not allowed".into())),
    );
    let count = "Number of partitions was set to an invalid non-positive value.";
    check_create(topic("b", 0, 1), Some(InvalidPartitions(count.into())));
    check_create(topic("b", -2, 1), Some(InvalidPartitions(count.into())));
    let factor = "Replication factor must be larger than 0, or -1 to use the default value.";
    check_create(topic("b", 1, 0), Some(InvalidReplicationFactor(factor.into())));
    check_create(topic("b", 1, -2), Some(InvalidReplicationFactor(factor.into())));
    check_create(
        topic("b", 1, 3),
        Some(InvalidReplicationFactor(
            "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because \
             only 1 broker(s) are registered or some brokers have all their log directories cordoned."
                .into(),
        )),
    );
    check_create(
        topic("__cluster_metadata", 1, 1),
        Some(InvalidRequest("Creation of internal topic __cluster_metadata is prohibited.".into())),
    );
    check_create(
        configured("b", &[("retention.ms", None)]),
        Some(InvalidConfig("Null value not supported for topic configs: retention.ms".into())),
    );
    check_create(
        configured("b", &[("foo", Some("1"))]),
        Some(InvalidConfig("Unknown topic config name: foo".into())),
    );
    check_create(
        topic("b", 10_001, 1),
        Some(PolicyViolation("Excessively large number of partitions per request.".into())),
    );
    check_create(
        topic("b", 10_000, 1),
        Some(PolicyViolation("Unable to perform excessively large batch operation.".into())),
    );
    check_create(topic("b", 9_999, 1), None);
    check_create(topic("b", -1, -1), None);
    check_create(configured("b", &[("retention.ms", Some("5")), ("retention.ms", Some("6"))]), None);
}

#[test]
fn manual_assignments_are_refused_in_the_references_words() {
    let invalid = |message: &str| Some(InvalidReplicaAssignment(message.into()));
    let empty = "The manual partition assignment includes an empty replica list.";
    check_create(assigned("m", &[(0, &[])]), invalid(empty));
    check_create(assigned("m", &[(0, &[1]), (1, &[])]), invalid(empty));
    let unknown = "The manual partition assignment includes broker 7, but no such broker is registered.";
    check_create(assigned("m", &[(0, &[7])]), invalid(unknown));
    check_create(assigned("m", &[(0, &[1]), (1, &[1, 7])]), invalid(unknown));
    let twice = "The manual partition assignment includes the broker 1 more than once.";
    check_create(assigned("m", &[(0, &[1, 1])]), invalid(twice));
    check_create(assigned("m", &[(0, &[9, 8, 1, 1])]), invalid(twice));
    let gap = "partitions should be a consecutive 0-based integer sequence";
    check_create(assigned("m", &[(1, &[1])]), invalid(gap));
    check_create(assigned("m", &[(0, &[1]), (2, &[1])]), invalid(gap));
    check_create(
        assigned("m", &[(0, &[1]), (0, &[1])]),
        invalid("Found multiple manual partition assignments for partition 0"),
    );
    let request = |message: &str| Some(InvalidRequest(message.into()));
    check_create(
        assigned("m", &[(0, &[1])]).with_replication_factor(1),
        request("A manual partition assignment was specified, but replication factor was not set to -1."),
    );
    check_create(
        assigned("m", &[(0, &[1])]).with_num_partitions(1),
        request("A manual partition assignment was specified, but numPartitions was not set to -1."),
    );
    check_create(assigned("m", &[(1, &[1]), (0, &[1])]), None);
}

#[test]
fn a_name_asked_for_twice_is_refused_once_and_last() {
    let mut world = World::new();
    let answers = world.create(&[topic("dup", 1, 1), topic("dup", 1, 1), topic("other", 1, 1)]);
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0].0.as_str(), "other");
    assert!(answers[0].1.is_ok());
    assert_eq!(answers[1], (text("dup"), Err(InvalidRequest("Duplicate topic name.".into()))));
    assert!(world.image().topic("dup").is_none());
}

#[test]
fn validate_only_answers_and_writes_nothing() {
    let mut world = World::new();
    let outcome = world.decide_create(&[topic("b", 3, 1)], true);
    assert_eq!(outcome.response[0].1.as_ref().unwrap().partitions, 3);
    assert!(outcome.records.is_empty());
}

fn check_grow(count: i32, assignments: Option<&[&[i32]]>, expected: Option<TopicError>) {
    let mut world = World::new();
    world.create(&[topic("t", 2, 1)]);
    let assignment = |brokers: &&[i32]| {
        CreatePartitionsAssignment::default().with_broker_ids(brokers.iter().map(|id| (*id).into()).collect())
    };
    let request = CreatePartitionsTopic::default()
        .with_name(TopicName(text("t")))
        .with_count(count)
        .with_assignments(assignments.map(|all| all.iter().map(assignment).collect()));
    let outcome = world.controller.create_partitions(&[request], false, &mut Uuid::nil);
    assert_eq!(outcome.response[0].1.as_ref().err(), expected.as_ref());
    let grown = expected.is_none();
    world.commit(outcome);
    assert_eq!(world.image().topic("t").unwrap().partition_count(), if grown { count } else { 2 });
}

#[test]
fn growing_is_refused_in_the_references_words() {
    let partitions = |message: &str| Some(InvalidPartitions(message.into()));
    check_grow(2, None, partitions("Topic already has 2 partition(s)."));
    check_grow(1, None, partitions("The topic t currently has 2 partition(s); 1 would not be an increase."));
    check_grow(
        -1,
        None,
        partitions("The topic t currently has 2 partition(s); -1 would not be an increase."),
    );
    let invalid = |message: &str| Some(InvalidReplicaAssignment(message.into()));
    check_grow(
        4,
        Some(&[&[1]]),
        invalid("Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."),
    );
    check_grow(
        3,
        Some(&[&[9]]),
        invalid("The manual partition assignment includes broker 9, but no such broker is registered."),
    );
    check_grow(3, Some(&[&[]]), invalid("The manual partition assignment includes an empty replica list."));
    check_grow(20_000, None, Some(TooManyRecords));
    check_grow(4, Some(&[&[1], &[1]]), None);
    check_grow(5, None, None);
}

#[test]
fn deletion_by_name_and_by_id() {
    let mut world = World::new();
    world.create(&[topic("a", 1, 1), topic("b", 1, 1), topic("c", 1, 1)]);
    let id = |name: &str| world.image().topic_id(name).unwrap();
    let by_name = |name: &str| TopicToDelete { name: Some(text(name)), id: Uuid::nil() };
    let by_id = |id: Uuid| TopicToDelete { name: None, id };
    let (b, c) = (id("b"), id("c"));
    let outcome = world.controller.delete_topics(&[
        by_name("a"),
        by_id(b),
        by_name("c"),
        by_id(c),
        by_name("nope"),
        by_id(Uuid::from_u128(1)),
        by_id(Uuid::nil()),
        TopicToDelete { name: Some(text("a")), id: b },
        by_name("twice"),
        by_name("twice"),
    ]);
    let said: Vec<(Option<&str>, Uuid, Option<&TopicError>)> = outcome
        .response
        .iter()
        .map(|deleted| (deleted.name.as_deref(), deleted.id, deleted.result.as_ref().err()))
        .collect();
    let both = InvalidRequest("You may not specify both topic name and topic id.".into());
    let neither = InvalidRequest("Neither topic name nor id were specified.".into());
    let twice = InvalidRequest("Duplicate topic name.".into());
    let already = InvalidRequest("The provided topic name maps to an ID that was already supplied.".into());
    let a = id("a");
    assert_eq!(
        said,
        [
            (Some("a"), a, None),
            (Some("b"), b, None),
            (Some("c"), c, Some(&already)),
            (Some("nope"), Uuid::nil(), Some(&UnknownTopic)),
            (None, Uuid::from_u128(1), Some(&UnknownTopicId)),
            (None, Uuid::nil(), Some(&neither)),
            (Some("a"), b, Some(&both)),
            (Some("twice"), Uuid::nil(), Some(&twice)),
        ]
    );
    world.commit(outcome);
    let left: Vec<&str> = world.image().topics().map(|topic| topic.name.as_str()).collect();
    assert_eq!(left, ["c"]);
}

#[test]
fn configurations_change_together_or_not_at_all() {
    let mut world = World::new();
    world.create(&[configured("t", &[("retention.ms", Some("7"))])]);
    let change = |ops: &[(&str, ConfigOp)]| ConfigChange {
        resource: ResourceType::Topic,
        name: text("t"),
        ops: ops.iter().map(|(key, op)| (text(key), op.clone())).collect(),
        replace: false,
    };
    let set = |value: &str| ConfigOp::Set(Some(text(value)));
    let altered = |world: &World| {
        let configs = world.image().configs(ResourceType::Topic, "t");
        configs.map(|configs| format!("{configs:?}")).unwrap_or_default()
    };

    let bad = change(&[("retention.ms", set("8")), ("nope", set("1"))]);
    let list = change(&[("retention.ms", ConfigOp::Append(text("1")))]);
    let good = change(&[("cleanup.policy", ConfigOp::Append(text("compact")))]);
    let outcome = world.controller.alter_configs(&[bad, list, good], false, &Rules);
    let results = world.commit(outcome);
    assert_eq!(results[0].as_ref().unwrap_err().message, "Unknown topic config name: nope");
    assert_eq!(
        results[1].as_ref().unwrap_err().message,
        "Can't APPEND to key retention.ms because its type is not LIST."
    );
    assert!(results[2].is_ok());
    assert_eq!(altered(&world), r#"{"cleanup.policy": "delete,compact", "retention.ms": "7"}"#);

    let replaced = ConfigChange { replace: true, ..change(&[("cleanup.policy", set("compact"))]) };
    let outcome = world.controller.alter_configs(&[replaced], false, &Rules);
    world.commit(outcome)[0].as_ref().unwrap();
    assert_eq!(altered(&world), r#"{"cleanup.policy": "compact"}"#);

    let gone = change(&[
        ("cleanup.policy", ConfigOp::Subtract(text("compact"))),
        ("cleanup.policy", ConfigOp::Delete),
    ]);
    let outcome = world.controller.alter_configs(&[gone], false, &Rules);
    world.commit(outcome)[0].as_ref().unwrap();
    assert_eq!(altered(&world), "");
}

#[test]
fn min_insync_replicas_of_the_cluster_stays() {
    let check = |name: &str, op: ConfigOp, message: &str| {
        let world = World::new();
        let change = ConfigChange {
            resource: ResourceType::Broker,
            name: text(name),
            ops: vec![(text("min.insync.replicas"), op)],
            replace: false,
        };
        let outcome = world.controller.alter_configs(&[change], false, &Rules);
        assert_eq!(outcome.response[0].as_ref().unwrap_err().message, message);
    };
    check("", ConfigOp::Delete, "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.");
    check(
        "1",
        ConfigOp::Set(Some(text("2"))),
        "Broker-level min.insync.replicas cannot be altered while ELR is enabled.",
    );
}

#[test]
fn producer_ids_come_in_blocks_of_a_thousand() {
    let mut world = World::new();
    for first in [0, 1000, 2000] {
        let outcome = world.controller.allocate_producer_ids(1);
        assert_eq!(world.commit(outcome), Some(ProducerIdBlock { first }));
    }
}

#[test]
fn replicas_are_spread_over_the_brokers_in_turn() {
    let mut world = World::new();
    world.register(2);
    world.register(3);
    world.create(&[topic("t", 6, 2)]);
    let topic = world.image().topic("t").unwrap();
    let mut leaders: Vec<i32> = topic.partitions.iter().map(|partition| partition.leader).collect();
    leaders.sort_unstable();
    assert_eq!(leaders, [1, 1, 2, 2, 3, 3]);
    for partition in &topic.partitions {
        assert_eq!(partition.membership.replicas.len(), 2);
        assert_ne!(partition.membership.replicas[0], partition.membership.replicas[1]);
        assert_eq!(partition.membership.isr, partition.membership.replicas);
    }
}

/// What a partition costs while nobody uses it.
#[test]
fn partitions_are_small_and_share_what_is_true_of_all() {
    assert_eq!(size_of::<Partition>(), 24);
    let mut world = World::new();
    world.create(&[topic("t", 10, 1)]);
    let partitions = &world.image().topic("t").unwrap().partitions;
    assert_eq!(partitions.capacity(), 10);
    let is_shared = |one: &Partition| std::sync::Arc::ptr_eq(&one.membership, &partitions[0].membership);
    assert!(partitions.iter().all(is_shared));
}
