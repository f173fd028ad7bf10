//! Scenarios about groups: members share partitions, and none of the records.

use std::sync::{Arc, Mutex};

use rdkafka::consumer::CommitMode;

use crate::client::{Admin, Member, Producer, Record, Tally, create, numbered, place, produce};
use crate::kit::{name_of, named, until};

const MANUAL: (&str, &str) = ("enable.auto.commit", "false");

/// How many partitions each member has, smallest first, once together they have all of them, evenly.
pub fn shares(members: &[&Member], partitions: usize) -> String {
    let mut line = String::new();
    until(&format!("{} members sharing {partitions} partitions", members.len()), || {
        for m in members {
            assert!(m.error().is_none(), "a member ended: {:?}", m.error());
        }
        let mut all: Vec<String> = members.iter().flat_map(|m| m.assigned()).collect();
        let mut counts: Vec<usize> = members.iter().map(|m| m.assigned().len()).collect();
        all.sort();
        all.dedup();
        counts.sort();
        line = counts.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
        let evenly = counts[counts.len() - 1] - counts[0] <= 1;
        evenly && all.len() == partitions && counts.iter().sum::<usize>() == partitions
    });
    line
}

pub fn groups() {
    join_and_leave(&[]);
}

pub fn cooperative() {
    join_and_leave(&[("partition.assignment.strategy", "cooperative-sticky")]);
}

/// 1 to 5 members come and go, one at a time, while records are produced.
pub fn join_and_leave(extra: &[(&str, &str)]) {
    let (topic, group) = (named("groups"), named("group"));
    create(&topic, 6, &[]);
    let (producer, tally) = (Producer::new(&[]), Tally::shared());
    let mut members: Vec<Member> = Vec::new();
    let mut sent = 0;
    for joins in [true, true, true, true, true, false, false, false, false] {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for at in (sent..sent + 300).step_by(20) {
                    producer.send(&numbered(&topic, at, at + 20)).expect("an acknowledgement");
                }
            });
            if joins {
                members.push(Member::join(&group, &topic, &tally, extra));
            } else {
                members.remove(0).close();
            }
            println!("{} members: {}", members.len(), shares(&members.iter().collect::<Vec<_>>(), 6));
        });
        sent += 300;
    }
    until("all records", || tally.lock().unwrap().seen.len() >= sent);
    members.remove(0).close();
    let (tally, admin) = (tally.lock().unwrap(), Admin::new());
    let committed: i64 = (0..6).filter_map(|p| admin.committed(&group, &topic, p).0).sum();
    let distinct = tally.seen.len();
    println!(
        "delivered {sent}, duplicates {}, lost {}, committed {committed}",
        tally.count - distinct,
        sent - distinct
    );
}

pub fn static_members() {
    let (topic, group) = (named("static"), named("group"));
    create(&topic, 4, &[]);
    let tally = Tally::shared();
    let join = |instance: &str| Member::join(&group, &topic, &tally, &[("group.instance.id", instance)]);
    let one = join("one");
    shares(&[&one], 4);
    let two = join("two");
    println!("2 members: {}", shares(&[&one, &two], 4));
    let (before, rebalances) = (one.assigned(), two.rebalances());
    one.close();
    let one = join("one");
    until("the partitions again", || !one.assigned().is_empty());
    println!(
        "restarted: same partitions {}, rebalances of the other {}",
        one.assigned() == before,
        two.rebalances() - rebalances
    );
    let again = join("one");
    until("the first member's end", || one.error().is_some());
    println!("the first of two with one id: {}", name_of(&one.error().expect("an error")));
    until("the second's partitions", || again.assigned() == before);
    println!("the second: same partitions true");
}

pub fn commit() {
    let (topic, manual, auto) = (named("commit"), named("manual"), named("auto"));
    create(&topic, 1, &[]);
    produce(&[], &numbered(&topic, 0, 100)).expect("an acknowledgement");
    let admin = Admin::new();
    let show = |group: &str, what: &str, want: i64| {
        until(&format!("{what}: committed {want}"), || admin.committed(group, &topic, 0).0 == Some(want));
        println!("{what}: committed {want}");
    };
    let handled =
        |tally: &Arc<Mutex<Tally>>, n| until(&format!("{n} records"), || tally.lock().unwrap().count == n);

    let tally = Tally::shared();
    let member = Member::join(
        &auto,
        &topic,
        &tally,
        &[("enable.auto.commit", "true"), ("auto.commit.interval.ms", "100")],
    );
    handled(&tally, 100);
    show(&auto, "automatic", 100);
    member.close();

    let tally = Tally::shared();
    let member = Member::join(&manual, &topic, &tally, &[MANUAL]);
    handled(&tally, 100);
    member.commit(&topic, 0, 50, "", CommitMode::Sync).expect("a commit");
    show(&manual, "synchronous", 50);
    member.commit(&topic, 0, 60, "", CommitMode::Async).expect("a commit");
    show(&manual, "asynchronous", 60);
    member.commit(&topic, 0, 70, "a note", CommitMode::Sync).expect("a commit");
    show(&manual, "with metadata", 70);
    println!("metadata: {:?}", admin.committed(&manual, &topic, 0).1);
    member.close();
    show(&manual, "after leaving", 70);

    let tally = Tally::shared();
    let member = Member::join(&manual, &topic, &tally, &[MANUAL]);
    handled(&tally, 30);
    println!("the next member begins at {}", tally.lock().unwrap().first[&place(&topic, 0)].offset);
    member.close();
}

pub fn reset() {
    let topic = named("reset");
    create(&topic, 1, &[]);
    let producer = Producer::new(&[]);
    producer.send(&numbered(&topic, 0, 10)).expect("an acknowledgement");
    let join = |group: &str, reset: &str| {
        let tally = Tally::shared();
        (Member::join(&named(group), &topic, &tally, &[MANUAL, ("auto.offset.reset", reset)]), tally)
    };

    let (member, tally) = join("earliest", "earliest");
    until("10 records", || tally.lock().unwrap().count == 10);
    println!("earliest: begins at {}", tally.lock().unwrap().first[&place(&topic, 0)].offset);
    member.close();

    let (member, tally) = join("latest", "latest");
    shares(&[&member], 1);
    until("a new record", || {
        producer.send(&[Record::new(&topic, None, Some("new"))]).expect("an acknowledgement");
        std::thread::sleep(std::time::Duration::from_millis(20));
        tally.lock().unwrap().count > 0
    });
    println!("latest: nothing old {}", tally.lock().unwrap().first[&place(&topic, 0)].offset >= 10);
    member.close();

    let (member, tally) = join("none", "error");
    until("an error", || member.error().is_some());
    println!(
        "none: {}, records {}",
        name_of(&member.error().expect("an error")),
        tally.lock().unwrap().count
    );
    member.close();
}

pub fn pause() {
    let topic = named("pause");
    create(&topic, 2, &[]);
    let (producer, tally) = (Producer::new(&[]), Tally::shared());
    let member = Member::join(&named("group"), &topic, &tally, &[MANUAL]);
    let count =
        |partition| tally.lock().unwrap().last_offset.get(&place(&topic, partition)).map_or(0, |o| o + 1);
    let both = |from, to| {
        for partition in 0..2 {
            for record in numbered(&topic, from, to) {
                producer.send(&[Record { partition, ..record }]).expect("an acknowledgement");
            }
        }
        until(&format!("{to} records"), || count(1) >= to as i64);
    };
    both(0, 10);
    until("10 records", || count(0) == 10);
    member.pause(&topic, 0).expect("a pause");
    both(10, 60); // What a fetch under way brings may still arrive here.
    let before = count(0);
    both(60, 110);
    println!("paused: partition 0 stands still {}, partition 1 has {}", count(0) == before, count(1));
    member.resume(&topic, 0).expect("to go on");
    until("110 records", || count(0) >= 110);
    member.close();
    let ordered = tally.lock().unwrap().ordered;
    println!("resumed: partition 0 has {}, partition 1 has {}, in order {ordered}", count(0), count(1));
}

pub fn regex() {
    for name in ["rx-a", "other"] {
        create(&named(name), 1, &[]);
        produce(&[], &numbered(&named(name), 0, 10)).expect("an acknowledgement");
    }
    let tally = Tally::shared();
    let member = Member::join(&named("group"), &format!("^{}.*", named("rx-")), &tally, &[]);
    let handled = |n| until(&format!("{n} records"), || tally.lock().unwrap().seen.len() == n);
    handled(10);
    println!("assigned: {}", member.assigned().join(" "));
    create(&named("rx-b"), 2, &[]);
    until("the new topic's partitions", || member.assigned().len() == 3);
    println!("assigned: {}", member.assigned().join(" "));
    produce(&[], &numbered(&named("rx-b"), 0, 10)).expect("an acknowledgement");
    handled(20);
    member.close();
    let tally = tally.lock().unwrap();
    println!(
        "consumed {}, of another topic {}",
        tally.seen.len(),
        tally.first.contains_key(&place(&named("other"), 0))
    );
}
