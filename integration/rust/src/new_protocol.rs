//! Groups of the consumer protocol (KIP-848): the broker assigns, and evaluates patterns.

use std::io::{BufRead, BufReader};
use std::sync::{Arc, Mutex};

use crate::client::{Member, Tally, create, numbered, produce};
use crate::groups::{join_and_leave, shares};
use crate::kit::{child, name_of, named, until};

const NEW: (&str, &str) = ("group.protocol", "consumer");

pub fn new_protocol() {
    join_and_leave(&[NEW]);
    pattern();
    static_members();
    crash();
}

/// A pattern that the broker evaluates; a topic made later joins it.
fn pattern() {
    create(&named("rx-a"), 1, &[]);
    create(&named("other"), 1, &[]);
    let member = Member::join(&named("pattern"), &format!("^{}.*", named("rx-")), &Tally::shared(), &[NEW]);
    shares(&[&member], 1);
    println!("assigned: {:?}", member.assigned());
    create(&named("rx-b"), 2, &[]);
    until("the new topic's partitions", || member.assigned().len() == 3);
    println!("assigned: {:?}", member.assigned());
    member.close();
}

/// A static member comes back to its own partitions; a second one of its id is refused while it is there.
fn static_members() {
    let (topic, group) = (named("static"), named("static"));
    create(&topic, 4, &[]);
    let tally = Tally::shared();
    let join = |instance: &str| Member::join(&group, &topic, &tally, &[NEW, ("group.instance.id", instance)]);
    let (one, two) = (join("one"), join("two"));
    println!("2 members: {}", shares(&[&one, &two], 4));
    let (before, other) = (one.assigned(), two.assigned());
    one.close();
    let one = join("one");
    until("the partitions again", || !one.assigned().is_empty());
    println!("restarted: same partitions {}, of the other too {}", one.assigned() == before, two.assigned() == other);
    let again = join("one");
    until("the second's refusal", || again.error().is_some());
    println!("the second of the same id: {}", name_of(&again.error().expect("an error")));
}

/// A member that is killed loses its partitions when its session ends.
fn crash() {
    let topic = named("crash");
    create(&topic, 6, &[]);
    let mut process = child("crash-member", 0);
    let last = Arc::new(Mutex::new(String::new()));
    std::thread::spawn({
        let (out, last) = (process.stdout.take().expect("its output"), last.clone());
        move || BufReader::new(out).lines().for_each(|line| *last.lock().unwrap() = line.expect("a line"))
    });
    let tally = Tally::shared();
    let member = Member::join(&named("crash"), &topic, &tally, &[NEW]);
    until("both to have their share", || member.assigned().len() == 3 && *last.lock().unwrap() == "3");
    produce(&[], &numbered(&topic, 0, 300)).expect("acknowledgements");
    process.kill().expect("a kill");
    process.wait().expect("its end");
    until("the other to have all", || member.assigned().len() == 6);
    // What the killed one had processed and not committed is there again.
    until("all records", || tally.lock().unwrap().seen.len() == 300);
    println!("after a crash: {}", shares(&[&member], 6));
    member.close();
}

/// The process that is killed: it commits nothing, and says how many partitions it has.
pub fn crash_member() {
    let manual = ("enable.auto.commit", "false");
    let member = Member::join(&named("crash"), &named("crash"), &Tally::shared(), &[NEW, manual]);
    let mut told = None;
    until("being killed", || {
        let count = member.assigned().len();
        if told.replace(count) != Some(count) {
            println!("{count}");
        }
        false
    });
}
