//! SIGTERM: what was accepted is answered and kept; nobody holds up the end.

use std::io::Write;
use std::time::{Duration, Instant};

use super::client::{Client, long_poll, produce_request};
use super::process::{Dir, Ottla};

const ARGS: [&str; 2] = ["--listen=127.0.0.1:0", "--data=data"];

#[test]
fn what_was_produced_is_answered_and_there_again() {
    let dir = Dir::new("produced");
    let mut ottla = Ottla::serve(&dir, &ARGS, &[("KAFKA_CREATE_TOPICS", "t:1:1")]);
    let mut client = Client::connect(ottla.bootstrap());
    assert_eq!(client.produce("t", b"first"), 0);
    client.send(7, &produce_request("t", b"second", -1));
    let acknowledged = client.receive().is_ok();
    assert!(acknowledged);
    client.send(7, &produce_request("t", b"third", -1));
    ottla.stop();
    ottla.wait_for("stopped, everything is on the disk");
    // The third may have come before the signal or after it; whoever got an answer is kept.
    let least = if client.receive().is_ok() { 3 } else { 2 };
    let mut ottla = Ottla::serve(&dir, &ARGS, &[]);
    let end = Client::connect(ottla.bootstrap()).end_offset("t");
    assert!((least..=3).contains(&end), "{end} of at least {least}");
    ottla.stop();
}

#[test]
fn a_long_poll_a_half_sent_frame_and_an_idle_client_do_not_hold_it_up() {
    let dir = Dir::new("bound");
    let mut ottla = Ottla::serve(&dir, &ARGS, &[("KAFKA_CREATE_TOPICS", "t:1:1")]);
    let mut idle = Client::connect(ottla.bootstrap());
    idle.ping();
    let mut half = Client::connect(ottla.bootstrap());
    half.ping();
    half.stream.write_all(&[0, 0, 1, 0, 0]).unwrap();
    let mut waiting = Client::connect(ottla.bootstrap());
    waiting.ping();
    waiting.send(4, &long_poll("t"));
    let asked = Instant::now();
    ottla.stop();
    assert!(asked.elapsed() < Duration::from_secs(15), "it took {:?}", asked.elapsed());
    assert!(idle.is_closed() && half.is_closed() && waiting.is_closed());
}
