//! `ottla health`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use super::process::{Dir, Ottla, run};

#[test]
fn a_broker_that_serves_is_healthy() {
    let dir = Dir::new("healthy");
    let mut ottla = Ottla::serve(&dir, &["--memory", "--listen=127.0.0.1:0"], &[("CLUSTER_ID", "mine")]);
    let address = ottla.bootstrap();
    let expected = format!("the broker at {address} serves cluster mine with ");
    let (code, line, errors) = run(&dir, &["health", "--bootstrap-server", &address], &[]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(line.starts_with(&expected), "{line}");
    // As in a container: the broker's own environment says where it is.
    let listeners = format!("PLAINTEXT://127.0.0.1:{}", ottla.port());
    let (code, line, _) = run(&dir, &["health"], &[("KAFKA_LISTENERS", &listeners)]);
    assert_eq!(code, Some(0));
    assert!(line.starts_with(&expected), "{line}");
    ottla.stop();
    check_unhealthy(&address, "refused");
}

#[test]
fn whoever_says_nothing_is_not_healthy() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    check_unhealthy(&silent.local_addr().unwrap().to_string(), "no answer within 5 s");
}

#[test]
fn whoever_speaks_another_protocol_is_not_healthy() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let answering = thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let asked = stream.read(&mut [0; 100]).unwrap();
        assert!(asked > 0);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        stream.read(&mut [0]).map_or(0, |read| read)
    });
    check_unhealthy(&address, "no Kafka broker");
    answering.join().unwrap();
}

#[track_caller]
fn check_unhealthy(address: &str, why: &str) {
    let dir = Dir::new(&format!("unhealthy-{}", address.replace([':', '.'], "-")));
    let (code, out, errors) = run(&dir, &["health", "--bootstrap-server", address], &[]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.starts_with(&format!("the broker at {address} is not healthy: ")), "{errors}");
    assert!(errors.contains(why), "{errors}");
}
