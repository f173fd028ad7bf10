//! The environment as the public images read it: `KAFKA_FOO_BAR` of apache/kafka and confluentinc/cp-kafka, `KAFKA_CFG_FOO_BAR`
//! of bitnami/kafka, `SCHEMA_REGISTRY_FOO_BAR` of confluentinc/cp-schema-registry, and what they say besides keys.
//! Enters: a variable's name. Leaves: what it means.

use super::registry_config;

/// What a variable of the environment means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// The broker key of this name.
    Key(String),
    ClusterId,
    /// Topics to create at the start: `name:partitions:replication[:policy]`, separated by commas.
    CreateTopics,
    /// Options of the Java machine that runs Confluent's registry: they say where its users are.
    RegistryJavaOptions,
    /// It speaks to the image's scripts or to the Java machine, or is nobody's.
    Other,
}

/// Variables that begin as keys do and are none.
const NO_KEYS: &[&str] = &[
    "KAFKA_HOME",
    "KAFKA_VERSION",
    "KAFKA_HEAP_OPTS",
    "KAFKA_OPTS",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_ZOOKEEPER_CLIENT_CNXN_SOCKET",
    "KAFKA_DEBUG",
    "KAFKA_MODE",
    "KAFKA_ENABLE_KRAFT",
    "KAFKA_EXTRA_FLAGS",
    "KAFKA_CONF_FILE",
    "KAFKA_INITIAL_CONTROLLERS",
    "KAFKA_SKIP_KRAFT_STORAGE_INIT",
    "KAFKA_CERTIFICATE_PASSWORD",
    // Kubernetes tells every container where the service called "kafka" is.
    "KAFKA_PORT",
];

const NO_KEY_PREFIXES: &[&str] = &[
    "KAFKA_LOG4J",
    "KAFKA_JMX_",
    "KAFKA_CONF_DIR",
    "KAFKA_MOUNTED_CONF_",
    "KAFKA_VOLUME_",
    "KAFKA_DATA_",
    "KAFKA_DAEMON_",
    "KAFKA_CLIENT_",
    "KAFKA_INTER_BROKER_",
    "KAFKA_CONTROLLER_USER",
    "KAFKA_CONTROLLER_PASSWORD",
    "KAFKA_TLS_",
    "KAFKA_ZOOKEEPER_PASSWORD",
    "KAFKA_ZOOKEEPER_USER",
    "KAFKA_SERVICE_",
    "KAFKA_PORT_",
];

/// What follows `SCHEMA_REGISTRY_` where it is no key: what speaks to the image's scripts or to Java, and where Kubernetes
/// says that the service called "schema-registry" is.
const REGISTRY_NO_KEYS: &[&str] =
    &["CUB_", "HEAP_OPTS", "JMX_", "JVM_PERFORMANCE_OPTS", "LOG4J_", "PORT", "SERVICE_"];

/// What the variable `name` means. A key's name is what follows the prefix in lower case, with `_` for a dot, `__` for an
/// underscore and `___` for a dash.
pub fn meaning(name: &str) -> Variable {
    match name {
        "CLUSTER_ID" | "KAFKA_CLUSTER_ID" | "KAFKA_KRAFT_CLUSTER_ID" => return Variable::ClusterId,
        "KAFKA_CREATE_TOPICS" => return Variable::CreateTopics,
        "SCHEMA_REGISTRY_OPTS" => return Variable::RegistryJavaOptions,
        _ => {}
    }
    if let Some(rest) = name.strip_prefix("KAFKA_CFG_") {
        return Variable::Key(key_name(rest));
    }
    if let Some(rest) = name.strip_prefix("SCHEMA_REGISTRY_") {
        let is_image = REGISTRY_NO_KEYS.iter().any(|prefix| rest.starts_with(prefix));
        let key = || Variable::Key(format!("{}{}", registry_config::PREFIX, key_name(rest)));
        return if is_image { Variable::Other } else { key() };
    }
    // Keys that begin as the images' own variables do.
    let is_key = matches!(name, "KAFKA_INTER_BROKER_LISTENER_NAME" | "KAFKA_CLIENT_QUOTA_CALLBACK_CLASS");
    let is_image = NO_KEYS.contains(&name) || NO_KEY_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    match name.strip_prefix("KAFKA_") {
        Some(rest) if is_key || !is_image => Variable::Key(key_name(rest)),
        _ => Variable::Other,
    }
}

fn key_name(rest: &str) -> String {
    let mut key = String::with_capacity(rest.len());
    let mut underscores = 0;
    for c in rest.chars().chain(['\0']) {
        if c == '_' {
            underscores += 1;
            continue;
        }
        // Three at a time from the left, as the images' replacements run.
        key.push_str(&"-".repeat(underscores / 3));
        key.push_str(["", ".", "_"][underscores % 3]);
        underscores = 0;
        if c != '\0' {
            key.push(c.to_ascii_lowercase());
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_they_mean_in_the_images() {
        let key = |name: &str| Variable::Key(name.to_owned());
        for (name, expected) in [
            ("KAFKA_ADVERTISED_LISTENERS", key("advertised.listeners")),
            ("KAFKA_CFG_ADVERTISED_LISTENERS", key("advertised.listeners")),
            ("KAFKA_INTER_BROKER_LISTENER_NAME", key("inter.broker.listener.name")),
            ("KAFKA_A__B___C_D", key("a_b-c.d")),
            ("KAFKA_NODE_ID", key("node.id")),
            ("KAFKA_HEAP_OPTS", Variable::Other),
            ("KAFKA_LOG4J_LOGGERS", Variable::Other),
            ("KAFKA_JMX_PORT", Variable::Other),
            ("KAFKA_PORT_9092_TCP_ADDR", Variable::Other),
            ("SCHEMA_REGISTRY_LISTENERS", key("schema.registry.listeners")),
            ("SCHEMA_REGISTRY_SCHEMA_COMPATIBILITY_LEVEL", key("schema.registry.schema.compatibility.level")),
            ("SCHEMA_REGISTRY_OPTS", Variable::RegistryJavaOptions),
            ("SCHEMA_REGISTRY_HEAP_OPTS", Variable::Other),
            ("SCHEMA_REGISTRY_PORT_8081_TCP_ADDR", Variable::Other),
            ("PATH", Variable::Other),
            ("CLUSTER_ID", Variable::ClusterId),
            ("KAFKA_KRAFT_CLUSTER_ID", Variable::ClusterId),
            ("KAFKA_CREATE_TOPICS", Variable::CreateTopics),
        ] {
            assert_eq!(meaning(name), expected, "{name}");
        }
    }
}
