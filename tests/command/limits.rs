//! What one client may take: connections, time, bytes.

use std::io::Write;
use std::time::{Duration, Instant};

use ottla_protocol::messages::ApiVersionsRequest;

use super::client::{Client, fetch, frame, is_timeout, produce_request};
use super::process::{Dir, Ottla, PATIENCE};

fn serve(dir: &Dir, settings: &[&str]) -> Ottla {
    let settings: Vec<String> = settings.iter().map(|setting| format!("--override={setting}")).collect();
    let mut args = vec!["--memory", "--listen=127.0.0.1:0"];
    args.extend(settings.iter().map(String::as_str));
    Ottla::serve(dir, &args, &[("KAFKA_CREATE_TOPICS", "t:1:1")])
}

#[test]
fn an_address_has_only_so_many_connections() {
    let dir = Dir::new("per-ip");
    let mut ottla = serve(&dir, &["max.connections.per.ip.overrides=127.0.0.1:2"]);
    let mut first = Client::connect(ottla.bootstrap());
    let mut second = Client::connect(ottla.bootstrap());
    assert!(first.ping() > 0 && second.ping() > 0);
    assert!(Client::connect(ottla.bootstrap()).is_closed());
    ottla.wait_for("max.connections.per.ip");
    drop(second);
    // The broker hears of it when it hears of it; then there is room again.
    while Client::connect(ottla.bootstrap()).try_ping().is_none() {}
    assert!(first.ping() > 0, "the others are untouched");
}

#[test]
fn at_max_connections_the_next_client_waits_its_turn() {
    let dir = Dir::new("all");
    let ottla = serve(&dir, &["max.connections=1"]);
    let mut first = Client::connect(ottla.bootstrap());
    assert!(first.ping() > 0);
    let mut second = Client::connect(ottla.bootstrap());
    second.send(0, &ApiVersionsRequest::default());
    second.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(is_timeout(&second.receive().unwrap_err()), "there is no room for a second one");
    assert!(first.ping() > 0);
    drop(first);
    second.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(second.receive().is_ok());
}

#[test]
fn an_idle_connection_is_closed() {
    let dir = Dir::new("idle");
    let ottla = serve(&dir, &["connections.max.idle.ms=200"]);
    let mut client = Client::connect(ottla.bootstrap());
    assert!(client.ping() > 0);
    assert!(client.is_closed());
}

#[test]
fn a_frame_over_the_limit_closes_its_connection_alone() {
    let dir = Dir::new("frame");
    let ottla = serve(&dir, &["socket.request.max.bytes=10000"]);
    let mut other = Client::connect(ottla.bootstrap());
    let mut client = Client::connect(ottla.bootstrap());
    assert_eq!(client.produce("t", &[1; 9000]), 0);
    client.stream.write_all(&10_001_i32.to_be_bytes()).unwrap();
    assert!(client.is_closed());
    assert_eq!(other.produce("t", b"still here"), 1);
}

#[test]
fn requests_larger_than_the_whole_budget_go_one_after_the_other() {
    let dir = Dir::new("budget");
    let ottla = serve(&dir, &["queued.max.request.bytes=100000", "socket.request.max.bytes=100000"]);
    let value = vec![3; 90_000];
    let mut clients: Vec<Client> = (0..4).map(|_| Client::connect(ottla.bootstrap())).collect();
    // Each sends several at once: their answers give the bytes back that the next ones wait for.
    for client in &mut clients {
        for _ in 0..3 {
            client.send(7, &produce_request("t", &value, -1));
        }
    }
    for client in &mut clients {
        for _ in 0..3 {
            assert!(client.receive().is_ok());
        }
    }
    assert_eq!(clients[0].end_offset("t"), 12);
}

#[test]
fn who_takes_no_answers_is_not_read_any_more() {
    const SENT_AT_MOST: usize = 256 << 20;
    let dir = Dir::new("slow");
    let ottla = serve(&dir, &[]);
    let mut slow = Client::connect(ottla.bootstrap());
    let asked = frame(1, 0, &ApiVersionsRequest::default());
    let block = asked.repeat(1000);
    slow.stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut sent = 0;
    let stuck = loop {
        assert!(sent < SENT_AT_MOST, "{sent} bytes were taken although nobody reads the answers");
        match slow.stream.write(&block[sent % asked.len()..]) {
            Ok(written) => sent += written,
            Err(error) => break error,
        }
    };
    assert!(is_timeout(&stuck), "{stuck}");
    // It is held, not lost: whoever reads on gets every answer.
    for _ in 0..sent / asked.len() {
        assert!(slow.receive().is_ok());
    }
    assert!(Client::connect(ottla.bootstrap()).ping() > 0);
}

#[test]
fn readers_who_take_nothing_hold_only_so_much() {
    const ASKED: i32 = 50 << 20;
    const HELD_AT_MOST: usize = (256 << 20) + (20 << 20);
    let dir = Dir::new("fetched");
    let args = ["--listen=127.0.0.1:0", "--data=data"];
    let ottla = Ottla::serve(&dir, &args, &[("KAFKA_CREATE_TOPICS", "t:1:1")]);
    let mut producer = Client::connect(ottla.bootstrap());
    let value = vec![5; 1_000_000];
    for offset in 0..60 {
        assert_eq!(producer.produce("t", &value), offset);
    }
    let mut announced = Vec::new();
    let slow: Vec<Client> = (0..20)
        .map(|_| {
            let mut client = Client::connect(ottla.bootstrap());
            client.send(4, &fetch("t", ASKED));
            announced.push(client.size_of_answer());
            client
        })
        .collect();
    assert!(announced[0] > 49_000_000, "{announced:?}");
    assert!(announced.iter().all(|size| *size > value.len()), "everyone gets a batch: {announced:?}");
    // The system's own buffers have taken a part of it already.
    assert!(announced.iter().sum::<usize>() < HELD_AT_MOST + 20 * value.len(), "{announced:?}");
    drop(slow);
    // Room comes back as the broker hears that they are gone.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut client = Client::connect(ottla.bootstrap());
        client.send(4, &fetch("t", ASKED));
        if client.size_of_answer() > 49_000_000 {
            break;
        }
        assert!(Instant::now() < deadline, "the room never comes back");
    }
}
