use super::*;
use crate::config::listeners::Advertised;

fn environment(pairs: &[(&str, &str)]) -> Sources {
    let environment = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources { environment, ..Sources::default() }
}

fn overrides(list: &[&str]) -> Sources {
    Sources { overrides: list.iter().map(|text| (*text).to_owned()).collect(), ..Sources::default() }
}

#[track_caller]
fn check_error(sources: &Sources, expected: &str) {
    assert_eq!(sources.load().unwrap_err().to_string(), expected);
}

#[test]
fn nothing_at_all_is_a_configuration() {
    let loaded = Sources::default().load().unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let [listener] = loaded.config.listeners.as_slice() else { panic!("one listener") };
    assert_eq!((listener.host.as_str(), listener.port), ("localhost", 9092));
    assert_eq!(listener.advertised, Advertised::AsReached);
    assert_eq!(loaded.config.group_initial_rebalance_delay_ms, 0);
    assert_eq!(loaded.config.log_dirs, [std::path::Path::new("./data")]);
}

#[test]
fn a_later_place_wins() {
    let mut sources = environment(&[("KAFKA_NUM_PARTITIONS", "3"), ("KAFKA_NODE_ID", "7")]);
    sources.file = Some(("s.properties".into(), "num.partitions=2\nnode.id=6\nbroker.rack=r1\n".into()));
    sources.overrides = vec!["num.partitions=4".into()];
    let config = sources.load().unwrap().config;
    assert_eq!((config.num_partitions, config.node_id), (4, 7));
    assert_eq!(config.rack.as_deref(), Some("r1"));
}

/// The environment of the compose files that apache/kafka's and Confluent's documentation give.
#[test]
fn a_compose_file_written_for_kafka_works() {
    let loaded = environment(&[
        ("PATH", "/bin"),
        ("KAFKA_NODE_ID", "1"),
        ("KAFKA_PROCESS_ROLES", "broker,controller"),
        (
            "KAFKA_LISTENERS",
            "PLAINTEXT://0.0.0.0:19092,CONTROLLER://broker:29093,PLAINTEXT_HOST://0.0.0.0:9092",
        ),
        ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://broker:19092,PLAINTEXT_HOST://localhost:9092"),
        (
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT",
        ),
        ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
        ("KAFKA_INTER_BROKER_LISTENER_NAME", "PLAINTEXT"),
        ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@broker:29093"),
        ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
        ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "100"),
        ("KAFKA_LOG_DIRS", "/tmp/kraft-combined-logs"),
        ("KAFKA_HEAP_OPTS", "-Xmx1G"),
        ("CLUSTER_ID", "MkU3OEVBNTcwNTJENDM2Qk"),
        ("KAFKA_CREATE_TOPICS", "a:3:1, b:1:1:compact"),
    ])
    .load()
    .unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert_eq!(loaded.cluster_id.as_deref(), Some("MkU3OEVBNTcwNTJENDM2Qk"));
    let told: Vec<_> =
        loaded.config.listeners.iter().map(|l| (l.name.as_str(), l.port, &l.advertised)).collect();
    let fixed = |host: &str, port| Advertised::Fixed { host: host.to_owned(), port };
    assert_eq!(
        told,
        [("PLAINTEXT", 19092, &fixed("broker", 19092)), ("PLAINTEXT_HOST", 9092, &fixed("localhost", 9092)),]
    );
    assert_eq!(loaded.config.group_initial_rebalance_delay_ms, 100);
    assert_eq!(loaded.create_topics.len(), 2);
    assert_eq!(loaded.create_topics[1].cleanup_policy.as_deref(), Some("compact"));
}

#[test]
fn a_bitnami_compose_file_works() {
    let loaded = environment(&[
        ("KAFKA_CFG_NODE_ID", "0"),
        ("KAFKA_CFG_PROCESS_ROLES", "controller,broker"),
        ("KAFKA_CFG_LISTENERS", "PLAINTEXT://:9092,CONTROLLER://:9093"),
        ("KAFKA_CFG_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
        ("KAFKA_CFG_CONTROLLER_QUORUM_VOTERS", "0@kafka:9093"),
        ("KAFKA_CFG_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
        ("KAFKA_KRAFT_CLUSTER_ID", "abc"),
        ("KAFKA_ENABLE_KRAFT", "yes"),
        ("ALLOW_PLAINTEXT_LISTENER", "yes"),
    ])
    .load()
    .unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert_eq!((loaded.config.node_id, loaded.config.listeners.len()), (0, 1));
    assert_eq!(loaded.config.listeners[0].advertised, Advertised::AsReached);
}

#[test]
fn invalid_values_stop_the_start_and_say_where_they_stand() {
    let text = "\n\nnum.partitions = none\n".to_owned();
    check_error(
        &Sources { file: Some(("/etc/server.properties".to_owned(), text)), ..Sources::default() },
        "/etc/server.properties:3: Invalid value none for configuration num.partitions: Not a number of type INT \
         (allowed: int, at least 1)",
    );
    check_error(
        &environment(&[("KAFKA_NUM_PARTITIONS", "0")]),
        "KAFKA_NUM_PARTITIONS: Invalid value 0 for configuration num.partitions: Value must be at least 1 (allowed: int, at \
         least 1)",
    );
    check_error(
        &overrides(&["compression.type=lzma"]),
        "--override: Invalid value lzma for configuration compression.type: String must be one of: uncompressed, zstd, lz4, \
         snappy, gzip, producer (allowed: one of uncompressed, zstd, lz4, snappy, gzip, producer)",
    );
    check_error(&overrides(&["num.partitions"]), "--override num.partitions: it must be key=value");
    check_error(
        &overrides(&["log.retention.ms=0"]),
        "log.retention.ms must be unlimited (-1) or, greater than or equal to 1 (log.retention.ms=0 from --override)",
    );
    check_error(
        &overrides(&["node.id=1", "broker.id=2"]),
        "You must set `node.id` to the same value as `broker.id`. (broker.id=2 from --override; node.id=1 from --override)",
    );
    check_error(
        &environment(&[("KAFKA_PROCESS_ROLES", "controller")]),
        "KAFKA_PROCESS_ROLES: process.roles=controller: a controller of its own does not exist here (allowed: broker; \
         broker,controller)",
    );
    check_error(
        &environment(&[("KAFKA_CREATE_TOPICS", "a:b:c")]),
        "KAFKA_CREATE_TOPICS: 'a:b:c' (allowed: name:partitions:replication[:compact|:delete|:compact+delete])",
    );
    check_error(
        &overrides(&["listeners=SSL://:9092"]),
        "listener SSL speaks SSL, which is not there yet (allowed: PLAINTEXT)",
    );
}

#[test]
fn what_is_not_acted_upon_is_said_once() {
    let loaded = overrides(&[
        "num.partition=3",
        "whatever=1",
        "zookeeper.connect=z:2181",
        "num.io.threads=4",
        "num.network.threads=4",
        "ssl.keystore.location=/x",
        "listener.name.a.ssl.keystore.location=/x",
    ])
    .load()
    .unwrap();
    assert_eq!(
        loaded.warnings,
        [
            "--override: unknown key num.partition is ignored; did you mean num.partitions?",
            "--override: unknown key whatever is ignored",
            "--override: zookeeper.connect is ignored: there is no ZooKeeper since Kafka 4.0",
            "--override: known, but not yet honoured: listener.name.a.ssl.keystore.location, ssl.keystore.location",
            "--override: known, but there is nothing here that it could tune: num.io.threads, num.network.threads",
        ]
    );
}

/// The messages with which the reference's own start ends, without the "requirement failed: " before some.
#[test]
fn listeners_are_refused_as_the_reference_refuses_them() {
    for (list, expected) in [
        (
            "PLAINTEXT://h:1,PLAINTEXT://h:2",
            "Error creating broker listeners from '[PLAINTEXT://h:1, PLAINTEXT://h:2]': Each listener must have a different name, listeners: [PLAINTEXT://h:1, PLAINTEXT://h:2]",
        ),
        (
            "PLAINTEXT://h:1,SSL://h:1",
            "Error creating broker listeners from '[PLAINTEXT://h:1, SSL://h:1]': Each listener must have a different port, listeners: [PLAINTEXT://h:1, SSL://h:1]",
        ),
        (
            "FOO://h:1",
            "Error creating broker listeners from '[FOO://h:1]': No security protocol defined for listener FOO",
        ),
        (
            "PLAINTEXT://h",
            "Error creating broker listeners from '[PLAINTEXT://h]': Unable to parse PLAINTEXT://h to a broker endpoint",
        ),
        ("h:1", "Error creating broker listeners from '[h:1]': Unable to parse h:1 to a broker endpoint"),
        (
            "PLAINTEXT:/h:1",
            "Error creating broker listeners from '[PLAINTEXT:/h:1]': Unable to parse PLAINTEXT:/h:1 to a broker endpoint",
        ),
        (
            "CONTROLLER://h:2",
            "There must be at least one broker advertised listener. Perhaps all listeners appear in controller.listener.names?",
        ),
    ] {
        let error = overrides(&[&format!("listeners={list}")]).load().unwrap_err().to_string();
        let message = error.split(" (listeners=").next().unwrap_or_default();
        assert_eq!(message, expected, "{list}");
    }
    for (given, expected) in [
        (
            ["advertised.listeners=PLAINTEXT://0.0.0.0:1", ""],
            "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.",
        ),
        (
            ["inter.broker.listener.name=FOO", ""],
            "Listener with name FOO defined in inter.broker.listener.name not found in listener.security.protocol.map.",
        ),
        (
            ["inter.broker.listener.name=PLAINTEXT", "security.inter.broker.protocol=PLAINTEXT"],
            "Only one of inter.broker.listener.name and security.inter.broker.protocol should be set.",
        ),
        (
            ["listener.security.protocol.map=A:FOO", ""],
            "Invalid security protocol `FOO` defined in listener.security.protocol.map",
        ),
    ] {
        let given: Vec<&str> =
            given.into_iter().filter(|text| !text.is_empty()).chain(["listeners=PLAINTEXT://h:1"]).collect();
        let error = overrides(&given).load().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{given:?}: {error}");
    }
}

#[test]
fn an_ipv4_and_an_ipv6_listener_may_share_a_port() {
    let list = "listeners=A://1.2.3.4:1,B://[::1]:1,CONTROLLER://h:2";
    let map = "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT,CONTROLLER:PLAINTEXT";
    let config = overrides(&[list, map]).load().unwrap().config;
    let hosts: Vec<&str> = config.listeners.iter().map(|listener| listener.host.as_str()).collect();
    assert_eq!(hosts, ["1.2.3.4", "::1"]);
    assert_eq!(config.inter_broker_listener, "A");
}

#[test]
fn where_to_listen_when_only_the_advertised_addresses_are_known() {
    let listeners = |pairs: &[(&str, &str)]| {
        let config = environment(pairs).load().unwrap().config;
        let shown = config.listeners.iter().map(|l| format!("{}://{}:{}", l.name, l.host, l.port));
        shown.collect::<Vec<_>>().join(",")
    };
    let told = |text| ("KAFKA_ADVERTISED_LISTENERS", text);
    let map = ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "IN:PLAINTEXT,OUT:PLAINTEXT");
    assert_eq!(listeners(&[told("PLAINTEXT://localhost:19092")]), "PLAINTEXT://:9092");
    assert_eq!(listeners(&[told("IN://kafka:1,OUT://localhost:2"), map]), "IN://:1,OUT://:2");
    assert_eq!(listeners(&[("OTTLA_LISTEN", "0.0.0.0:9092")]), "PLAINTEXT://0.0.0.0:9092");
    assert_eq!(
        listeners(&[("OTTLA_LISTEN", "0.0.0.0:9"), ("KAFKA_LISTENERS", "PLAINTEXT://a:1")]),
        "PLAINTEXT://a:1"
    );
}
