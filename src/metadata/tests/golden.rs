//! The same commands write the same bytes as the reference's controller. Ids and epochs are taken from its log.

use ottla_protocol::record_formats::metadata::{PartitionRecord, TopicRecord};

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(records: &[MetadataRecord], expected: &[&str]) {
    let written: Vec<String> =
        records.iter().map(|record| hex(&encoded(record, newest_metadata_version()).unwrap())).collect();
    assert_eq!(written, expected);
}

/// As the reference registered: the directory's id is in its partitions' records.
fn world(directory: u128) -> World {
    let mut world = World { controller: Controller::default(), next_id: 0 };
    world.replay(bootstrap_records(feature_levels()));
    let command = RegisterBroker {
        broker_id: 1,
        incarnation_id: Uuid::from_u128(1),
        endpoints: vec![],
        rack: None,
        directories: online(&[directory]),
    };
    let outcome = world.controller.register_broker(command);
    world.commit(outcome);
    world
}

const DIRECTORY: u128 = 0x4ca0_d72b_9302_4090_bcc6_9da3_0c7c_0652;
const TOPIC: u128 = 0xc563_64da_a8a6_473e_a0ab_0809_3308_1704;

#[test]
fn the_first_records() {
    let records = bootstrap_records(feature_levels());
    check(&records[1..2], &["010c00116d657461646174612e76657273696f6e001e00"]);
    check(&records[7..8], &["0104000401146d696e2e696e73796e632e7265706c69636173023100"]);
}

#[test]
fn a_topic_with_configurations() {
    let mut world = world(DIRECTORY);
    world.next_id = TOPIC - 1;
    let configs = [("min.insync.replicas", Some("1")), ("retention.ms", Some("7"))];
    let outcome = world.decide_create(&[configured("min", &configs)], false);
    check(
        &outcome.records,
        &[
            "010200046d696ec56364daa8a6473ea0ab08093308170400",
            "01040002046d696e146d696e2e696e73796e632e7265706c69636173023100",
            "01040002046d696e0d726574656e74696f6e2e6d73023700",
            "011c00046d696e00",
            concat!(
                "01030200000000c56364daa8a6473ea0ab080933081704020000000102000000",
                "010101000000010000000000000000024ca0d72b93024090bcc69da30c7c065200"
            ),
        ],
    );
    world.commit(outcome);

    let change = ConfigChange {
        resource: ResourceType::Topic,
        name: text("min"),
        ops: vec![(text("cleanup.policy"), ConfigOp::Append(text("compact")))],
        replace: false,
    };
    let outcome = world.controller.alter_configs(&[change], false, &Rules);
    check(
        &outcome.records,
        &["01040002046d696e0f636c65616e75702e706f6c6963790f64656c6574652c636f6d7061637400"],
    );
}

#[test]
fn a_broker_that_returns() {
    let mut world = World { controller: Controller::default(), next_id: 0 };
    world.replay(bootstrap_records(feature_levels()));
    let topic_id = Uuid::from_u128(0x2aa6_b094_7215_41c4_a5e6_aa47_e524_f24f);
    world.replay(vec![TopicRecord { name: text("t"), topic_id }.into()]);
    let led = |partition_id, leader| PartitionRecord {
        partition_id,
        topic_id,
        leader,
        replicas: vec![1],
        eligible_leader_replicas: (leader == -1).then(|| vec![1]),
        ..Default::default()
    };
    world.replay(vec![led(0, 1).into(), led(1, 1).into(), led(2, -1).into()]);
    world.controller.replay_position(13, 1);
    let command = RegisterBroker {
        broker_id: 1,
        incarnation_id: Uuid::from_u128(1),
        endpoints: vec![],
        rack: None,
        directories: BrokerDirectories::default(),
    };
    let outcome = world.controller.register_broker(command);
    check(
        &outcome.records[1..],
        &[
            "01110000000001000000000000000e010001ff",
            "010502000000022aa6b094721541c4a5e6aa47e524f24f0400050200000001010400000001060101070101",
        ],
    );
    world.commit(outcome);
    let outcome = world.controller.allocate_producer_ids(1);
    check(&outcome.records, &["010f0000000001000000000000000e00000000000003e800"]);
}

#[test]
fn a_topic_removed() {
    let mut world = world(DIRECTORY);
    let id = Uuid::from_u128(0x1eec_2cd9_2ee6_4ac6_824e_b293_014b_5f1d);
    world.next_id = id.as_u128() - 1;
    world.create(&[topic("auto1", 1, 1)]);
    let outcome = world.controller.delete_topics(&[TopicToDelete { name: None, id }]);
    check(&outcome.records, &["0109001eec2cd92ee64ac6824eb293014b5f1d00"]);
}
