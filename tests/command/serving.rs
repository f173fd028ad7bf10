//! `ottla serve`: what it says, where it listens, what it tells whom.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::path::PathBuf;

use super::client::Client;
use super::process::{Dir, Ottla, run};

const ANY_PORT: &str = "--listen=127.0.0.1:0";

#[test]
fn the_ready_line_says_address_directory_and_time() {
    let dir = Dir::new("ready");
    let mut ottla = Ottla::serve(&dir, &[ANY_PORT, "--data", "here"], &[]);
    let line = ottla.wait_for("ready: ");
    let said = line.split_once("ready: ").unwrap().1;
    let port = ottla.port();
    let ms = said
        .strip_prefix(&format!("bootstrap.servers=127.0.0.1:{port} data=here in "))
        .and_then(|rest| rest.strip_suffix(" ms"))
        .unwrap_or_else(|| panic!("{said}"));
    assert!(ms.parse::<u32>().is_ok(), "{said}");
    assert!(!line.contains('\x1b'), "colours are for terminals: {line:?}");
    assert!(Client::connect(ottla.bootstrap()).ping() > 0);
    assert!(dir.path().join("here/meta.properties").exists());
    ottla.stop();
}

#[test]
fn localhost_is_both_loopback_addresses() {
    let dir = Dir::new("localhost");
    let ottla = Ottla::serve(&dir, &["--memory", "--override=listeners=PLAINTEXT://localhost:0"], &[]);
    let port = ottla.port();
    let mut listens_on = format!("127.0.0.1:{port}");
    assert_eq!(Client::connect(("127.0.0.1", port)).told(), format!("localhost:{port}"));
    if has_ipv6() {
        assert_eq!(Client::connect(("::1", port)).told(), format!("localhost:{port}"));
        listens_on.push_str(&format!(" and [::1]:{port}"));
    }
    let line = format!("listener PLAINTEXT on {listens_on}: clients are told localhost:{port}");
    assert!(ottla.said(&line).is_some(), "{line}: {:#?}", ottla.log);
}

#[test]
fn on_all_interfaces_each_client_is_told_the_address_it_reached() {
    let dir = Dir::new("reached");
    let mut ottla = Ottla::serve(&dir, &["--memory"], &[("OTTLA_LISTEN", ":0")]);
    let port = ottla.port();
    ottla.wait_for("each client is told the address that it reached");
    assert_eq!(Client::connect(("127.0.0.1", port)).told(), format!("127.0.0.1:{port}"));
    ottla.wait_for(&format!("client told 127.0.0.1:{port}: the address it reached"));
    if has_ipv6() {
        assert_eq!(Client::connect(("::1", port)).told(), format!("::1:{port}"));
        ottla.wait_for(&format!("client told [::1]:{port}: the address it reached"));
    }
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[test]
fn listeners_have_addresses_of_their_own() {
    let dir = Dir::new("listeners");
    let environment = [
        ("KAFKA_LISTENERS", "INSIDE://127.0.0.1:0,OUTSIDE://127.0.0.1:0,CONTROLLER://127.0.0.1:9"),
        ("KAFKA_ADVERTISED_LISTENERS", "INSIDE://broker:9092,OUTSIDE://localhost:29092"),
        ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
        ("KAFKA_INTER_BROKER_LISTENER_NAME", "INSIDE"),
    ];
    let mut ottla = Ottla::serve(&dir, &["--memory"], &environment);
    for (listener, told) in [("INSIDE", "broker:9092"), ("OUTSIDE", "localhost:29092")] {
        let line = ottla.wait_for(&format!("listener {listener} on 127.0.0.1:"));
        let (address, rule) = line.split_once(" on ").unwrap().1.split_once(": ").unwrap();
        assert_eq!(rule, format!("clients are told {told}"));
        assert_eq!(Client::connect(address).told(), told);
        ottla.wait_for(&format!("client told {told}: advertised.listeners says so"));
    }
    assert!(ottla.said("listener CONTROLLER").is_none(), "no such listener opens");
}

#[test]
fn keys_without_effect_are_named() {
    let dir = Dir::new("warnings");
    std::fs::write(dir.path().join("a.properties"), "num.partitons=3\nnum.io.threads=3\n").unwrap();
    let args = ["--memory", ANY_PORT, "--config=a.properties", "--override=max.connection.creation.rate=9"];
    let mut ottla = Ottla::serve(&dir, &args, &[("KAFKA_NO_SUCH", "1"), ("KAFKA_CFG_NUM_PARTITIONS", "2")]);
    for (level, text) in [
        ("WARN", "a.properties:1: unknown key num.partitons is ignored; did you mean num.partitions?"),
        ("WARN", "KAFKA_NO_SUCH: unknown key no.such is ignored"),
        ("WARN", "known, but not yet honoured: max.connection.creation.rate"),
    ] {
        let line = ottla.wait_for(text);
        assert!(line.contains(level), "{line}");
    }
    let metadata = Client::connect(ottla.bootstrap()).metadata("t");
    assert!(metadata.topics.len() == 1, "what the environment says holds");
}

#[test]
fn in_memory_no_disk_is_touched() {
    let dir = Dir::new("memory");
    let mut ottla = Ottla::serve(&dir, &["--memory", ANY_PORT], &[("KAFKA_CREATE_TOPICS", "t:1:1")]);
    let mut client = Client::connect(ottla.bootstrap());
    for offset in 0..10 {
        assert_eq!(client.produce("t", &[7; 10_000]), offset);
    }
    assert_eq!(client.end_offset("t"), 10);
    check_process_wrote_nothing(ottla.pid());
    ottla.stop();
    assert!(ottla.said("on the disk").is_none(), "nothing is");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made where it ran");
}

/// Linux tells of every process what it has open and what it has written to files. What this test has open itself, such
/// as a file that its output goes to, the broker has inherited.
fn check_process_wrote_nothing(pid: u32) {
    let inherited = open_files("self");
    for file in open_files(&pid.to_string()) {
        let is_file = file.starts_with("/") && !file.starts_with("/dev") && file.exists();
        assert!(!is_file || inherited.contains(&file), "{} is open", file.display());
    }
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    for line in io.lines().filter(|line| line.starts_with("write_bytes:")) {
        assert_eq!(line, "write_bytes: 0");
    }
}

/// What a process has open; nothing where there is no `/proc`.
fn open_files(process: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten();
    entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).collect()
}

#[test]
fn topics_of_the_environment_are_there_when_it_is_ready() {
    let dir = Dir::new("topics");
    let args = [ANY_PORT, "--data=data"];
    let mut ottla = Ottla::serve(&dir, &args, &[("KAFKA_CREATE_TOPICS", "a:3:1, b:2:1:compact")]);
    let mut client = Client::connect(ottla.bootstrap());
    assert_eq!(client.metadata("a").topics[0].partitions.len(), 3);
    assert_eq!(client.metadata("b").topics[0].partitions.len(), 2);
    ottla.wait_for("topic b created with 2 partitions");
    ottla.stop();
    // Those that are there stay as they are.
    let mut ottla = Ottla::serve(&dir, &args, &[("KAFKA_CREATE_TOPICS", "a:5:1,c:1:1")]);
    let mut client = Client::connect(ottla.bootstrap());
    assert_eq!(client.metadata("a").topics[0].partitions.len(), 3);
    assert_eq!(client.metadata("c").topics[0].partitions.len(), 1);
    ottla.wait_for("topic a is there already");
    ottla.stop();
}

#[test]
fn the_schema_registry_is_beside_the_broker() {
    let dir = Dir::new("registry");
    let mut ottla = Ottla::serve(&dir, &["--memory", ANY_PORT], &[]);
    let line = ottla.wait_for("schema registry on ");
    let address = line.split_once("schema registry on ").unwrap().1.strip_suffix(" (http)").unwrap();
    assert_eq!(get(address, "/subjects"), "[]");
    ottla.stop();
    let mut ottla = Ottla::serve(&dir, &["--memory", ANY_PORT, "--no-registry"], &[]);
    assert!(ottla.said("schema registry").is_none());
    ottla.stop();
}

/// An address of this test's own, whose ports nobody else takes.
#[cfg(target_os = "linux")]
#[test]
fn a_broker_goes_on_without_a_registry_that_nobody_asked_for() {
    let dir = Dir::new("no-registry");
    let listen = "--listen=127.81.81.81:9092";
    let mut first = Ottla::serve(&dir, &["--memory", listen], &[]);
    first.wait_for("schema registry on 127.81.81.81:8081 (http)");
    let again = "--listen=127.81.81.81:9093";
    let mut second = Ottla::serve(&dir, &["--memory", again], &[]);
    let line = second.wait_for("goes on without a schema registry");
    assert!(line.contains("WARN") && line.contains("127.81.81.81:8081") && line.contains("in use"), "{line}");
    second.stop();
    first.stop();
}

/// The body of an answer to a GET.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn version_and_help() {
    let dir = Dir::new("help");
    let version = format!("ottla {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&dir, &["version"], &[]), (Some(0), version, String::new()));
    let (code, help, _) = run(&dir, &["help"], &[]);
    assert_eq!(code, Some(0));
    for word in ["serve", "health", "--config", "--override", "--memory", "--no-registry", "KAFKA_"] {
        assert!(help.contains(word), "{word}");
    }
}
