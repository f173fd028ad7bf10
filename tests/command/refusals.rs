//! What `ottla serve` refuses to start with, and how it says so.

use std::net::TcpListener;

use super::process::{Dir, Ottla, run};

/// Exit code and all words that the last line must have.
#[track_caller]
fn check(dir: &Dir, args: &[&str], environment: &[(&str, &str)], code: i32, words: &[&str]) {
    let args: Vec<&str> = ["serve"].iter().chain(args).copied().collect();
    let (found, _, errors) = run(dir, &args, environment);
    assert_eq!(found, Some(code), "{args:?}: {errors}");
    let last = errors.lines().last().unwrap_or_default();
    for word in words {
        assert!(last.contains(word), "{word:?} is not in: {last}");
    }
    assert!(!errors.contains("ready: "), "{errors}");
}

#[test]
fn an_invalid_value_is_named_with_its_key_its_place_and_what_is_allowed() {
    let dir = Dir::new("invalid");
    std::fs::write(dir.path().join("a.properties"), "\nlog.cleanup.policy=throw\n").unwrap();
    check(
        &dir,
        &["--override=num.partitions=many"],
        &[],
        1,
        &["num.partitions", "many", "--override", "allowed"],
    );
    check(
        &dir,
        &["--config=a.properties"],
        &[],
        1,
        &["a.properties:2", "log.cleanup.policy", "throw", "compact"],
    );
    check(&dir, &[], &[("KAFKA_MAX_CONNECTIONS", "-5")], 1, &["KAFKA_MAX_CONNECTIONS", "-5", "allowed"]);
    check(&dir, &[], &[("KAFKA_CREATE_TOPICS", "t:none")], 1, &["KAFKA_CREATE_TOPICS", "t:none", "allowed"]);
    check(&dir, &["--override=listeners=SSL://:0"], &[], 1, &["SSL", "PLAINTEXT"]);
    check(&dir, &["--config=not-there"], &[], 1, &["not-there", "No such file"]);
    check(&dir, &["--no-such-option"], &[], 2, &["--no-such-option", "ottla help"]);
    assert!(!dir.path().join("data").exists(), "who cannot start makes no directories");
}

#[test]
fn a_port_in_use_is_named() {
    let dir = Dir::new("port");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check(&dir, &["--listen", &address], &[], 1, &["PLAINTEXT", &address, "in use"]);
}

#[test]
fn what_the_registry_was_asked_for_must_be_there() {
    let dir = Dir::new("registry");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let listen = "--listen=127.0.0.1:0";
    check(&dir, &[listen, "--registry", &address], &[], 1, &["schema registry", &address, "in use"]);
    check(&dir, &[listen, "--registry=nowhere"], &[], 1, &["schema.registry.listeners", "http://HOST:PORT"]);
    let of_users =
        [("SCHEMA_REGISTRY_AUTHENTICATION_METHOD", "BASIC"), ("SCHEMA_REGISTRY_USERS_FILE", "users")];
    check(&dir, &[listen], &of_users, 1, &["schema registry", "users", "No such file"]);
    let of_java = [
        ("SCHEMA_REGISTRY_AUTHENTICATION_METHOD", "BASIC"),
        ("SCHEMA_REGISTRY_AUTHENTICATION_REALM", "Props"),
        ("SCHEMA_REGISTRY_OPTS", "-Xmx1g -Djava.security.auth.login.config=jaas"),
    ];
    std::fs::write(dir.path().join("jaas"), "Props { x.PropertyFileLoginModule required file=\"people\"; };")
        .unwrap();
    check(&dir, &[listen], &of_java, 1, &["schema registry", "people", "No such file"]);
    std::fs::write(dir.path().join("users"), "a: CRYPT:x").unwrap();
    check(&dir, &[listen], &of_users, 1, &["users", "line 1", "MD5"]);
    check(
        &dir,
        &[listen],
        &[("SCHEMA_REGISTRY_SSL_KEYSTORE_LOCATION", "users")],
        1,
        &["schema registry", "users", "PEM"],
    );
    check(
        &dir,
        &[listen, "--override=schema.registry.schema.compatibility.level=some"],
        &[],
        1,
        &["--override", "schema.registry.schema.compatibility.level", "full_transitive"],
    );
}

#[test]
fn a_data_directory_in_use_is_named() {
    let dir = Dir::new("lock");
    let args = ["--listen=127.0.0.1:0", "--data=here"];
    let mut first = Ottla::serve(&dir, &args, &[]);
    check(&dir, &args, &[], 1, &["here", "another process"]);
    first.stop();
    Ottla::serve(&dir, &args, &[]).stop();
}

#[test]
fn a_data_directory_of_another_node_is_refused() {
    let dir = Dir::new("identity");
    let args = ["--listen=127.0.0.1:0", "--data=here"];
    Ottla::serve(&dir, &args, &[("CLUSTER_ID", "4L6g3nShT-eMCtK--X86sw")]).stop();
    check(&dir, &args, &[("KAFKA_NODE_ID", "7")], 1, &["node id", "7", "meta.properties"]);
    check(&dir, &args, &[("CLUSTER_ID", "another")], 1, &["cluster.id", "another", "4L6g3nShT-eMCtK--X86sw"]);
}

#[test]
fn a_topic_that_cannot_be_created_stops_the_start() {
    let dir = Dir::new("topic");
    let args = ["--memory", "--listen=127.0.0.1:0"];
    check(
        &dir,
        &args,
        &[("KAFKA_CREATE_TOPICS", "a b:1:1")],
        1,
        &["KAFKA_CREATE_TOPICS", "a b", "Topic name"],
    );
    check(
        &dir,
        &args,
        &[("KAFKA_CREATE_TOPICS", "t:1:3")],
        1,
        &["KAFKA_CREATE_TOPICS", "topic t", "replication"],
    );
}
