//! Scenarios in which topics, groups and the broker come and go.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::client::{Admin, Member, Producer, Record, Tally, create, numbered, place, produce, read};
use crate::kit::{broker, named, outcome, run_id, until};
use crate::records::stock;

/// A producer and a group member run while their topic grows, goes and comes back.
pub fn topics() {
    let topic = named("topic");
    create(&topic, 1, &[]);
    let (admin, producer, tally) = (Admin::new(), Producer::new(&[]), Tally::shared());
    let member = Member::join(&named("group"), &topic, &tally, &[]);
    let has = |partition| tally.lock().unwrap().first.contains_key(&place(&topic, partition));
    let send = |partition, value: &str| {
        producer.send(&[Record { partition, ..Record::new(&topic, None, Some(value)) }]).is_ok()
    };
    producer.send(&numbered(&topic, 0, 10)).expect("an acknowledgement");
    until("10 records", || tally.lock().unwrap().seen.len() == 10);
    println!("created: consumed 10");

    admin.grow(&topic, 3).expect("more partitions");
    until("a record in the new partition", || send(2, "grown"));
    until("it to be consumed", || has(2));
    until("all partitions", || member.assigned().len() == 3);
    println!("grown: assigned 3, consumed from partition 2");

    admin.delete(&topic).expect("a deletion");
    until("the topic to be gone", || !admin.topics().contains_key(&topic));
    println!("deleted: listed false");
    admin.create(&topic, 2, &[]).expect("the topic again");
    until("a record in the topic made again", || send(1, "again"));
    let first = read(&topic, 1, 1).remove(0);
    println!("made again: offset {}, value {}", first.offset, first.text());
    until("the member to consume it", || {
        tally.lock().unwrap().seen.contains_key(&(topic.clone(), "again".into()))
    });
    until("the new partitions", || member.assigned().len() == 2);
    println!("made again: assigned 2, consumed");
    member.close();
}

/// What belongs to this run, without its prefix.
fn mine(names: impl IntoIterator<Item = String>) -> String {
    let prefix = format!("{}-", run_id());
    let mut kept: Vec<String> =
        names.into_iter().filter_map(|n| n.strip_prefix(&prefix).map(str::to_owned)).collect();
    kept.sort();
    kept.join(" ")
}

pub fn admin() {
    let admin = Admin::new();
    let (topic, other, group, missing) = (named("topic"), named("other"), named("group"), named("missing"));
    let topics = || mine(admin.topics().into_keys());
    println!("create: {}", outcome(admin.create(&topic, 3, &[("retention.ms", "3600000")])));
    println!("create again: {}", outcome(admin.create(&topic, 3, &[])));
    println!("create with a bad name: {}", outcome(admin.create(&named("bad name!"), 1, &[])));
    println!("create with a bad config: {}", outcome(admin.create(&other, 1, &[("retention.ms", "soon")])));
    println!(
        "create with an unknown config: {}",
        outcome(admin.create(&other, 1, &[("retention.years", "1")]))
    );
    println!("create the other: {}", outcome(admin.create(&other, 1, &[])));
    until("both topics", || topics() == "other topic");
    println!("partitions: {}", admin.topics()[&topic]);

    println!("grow to 5: {}", outcome(admin.grow(&topic, 5)));
    println!("grow to 2: {}", outcome(admin.grow(&topic, 2)));
    println!("grow a missing topic: {}", outcome(admin.grow(&missing, 2)));
    until("5 partitions", || admin.topics()[&topic] == 5);

    for key in ["retention.ms", "cleanup.policy", "max.message.bytes", "compression.type"] {
        println!("config {key}: {}", admin.config(&topic, key));
    }
    println!("set retention.ms: {}", outcome(admin.set_config(&topic, "retention.ms", "7200000")));
    until("the new value", || admin.config(&topic, "retention.ms").starts_with("7200000"));
    println!("set a bad value: {}", outcome(admin.set_config(&topic, "retention.ms", "soon")));
    println!("set for a missing topic: {}", outcome(admin.set_config(&missing, "retention.ms", "1")));

    produce(&[], &numbered(&other, 0, 20)).expect("an acknowledgement");
    println!("offsets: {:?}", admin.range(&other, 0));
    println!("delete records: {}", outcome(admin.delete_records(&other, 0, 5)));
    println!("delete records beyond the end: {}", outcome(admin.delete_records(&other, 0, 500)));
    println!("offsets: {:?}", admin.range(&other, 0));

    let tally = Tally::shared();
    let member = Member::join(&group, &other, &tally, &[]);
    until("15 records", || tally.lock().unwrap().count >= 15);
    until("a stable group", || admin.group(&group) == "Stable, members 1");
    println!("groups: {}", mine(admin.groups()));
    println!("delete a group in use: {}", outcome(admin.delete_group(&group)));
    member.close();
    until("an empty group", || admin.group(&group) == "Empty, members 0");
    println!("committed: {:?}", admin.committed(&group, &other, 0).0);
    println!("delete the group: {}", outcome(admin.delete_group(&group)));
    println!("delete it again: {}", outcome(admin.delete_group(&group)));
    println!("groups: {}", mine(admin.groups()));

    println!("delete: {}", outcome(admin.delete(&topic)));
    println!("delete a missing topic: {}", outcome(admin.delete(&missing)));
    until("the topic to be gone", || topics() == "other");
    println!("brokers: {}", admin.brokers());
}

/// The broker stops and starts twice under a load.
pub fn restart() {
    const TOTAL: usize = 3000;
    const CHUNK: usize = 50;
    let topic = named("restart");
    create(&topic, 3, &[]);
    let tally = Tally::shared();
    let member = Member::join(&named("group"), &topic, &tally, &[]);
    let producer = Producer::new(&[("enable.idempotence", "true")]);
    let finished = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for from in (0..TOTAL).step_by(CHUNK) {
                producer.send(&numbered(&topic, from, from + CHUNK)).expect("an acknowledgement");
            }
            finished.store(true, Ordering::SeqCst);
        });
        for at in [500, 1500] {
            until(&format!("{at} acknowledged"), || producer.acknowledged() >= at);
            broker("restart");
        }
        until("producing", || finished.load(Ordering::SeqCst));
    });
    until("the member to have all", || tally.lock().unwrap().seen.len() == TOTAL);
    member.close();
    let (stored, distinct, ordered) = stock(&topic, 3);
    let (lost, duplicates) = (TOTAL - distinct, stored - distinct);
    println!(
        "acknowledged {}, lost {lost}, duplicates {duplicates}, in order {ordered}",
        producer.acknowledged()
    );
}
