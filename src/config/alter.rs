//! Whether a change of a resource's configuration is allowed: brokers, groups, client metrics subscriptions (topics are
//! `validate_topic`'s). The rules and the words are Kafka's.
//! Enters: the configuration, what is altered now, the change. Leaves: nothing, or a refusal.

use super::key::{Kind, Update, Value, split_list};
use super::keys;
use super::server_config::{ConfigSource, ServerConfig};
use super::topic_config::Texts;

/// Why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// INVALID_REQUEST
    Request(String),
    /// INVALID_CONFIG
    Config(String),
}

/// One operation of IncrementalAlterConfigs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    Set(&'a str),
    Delete,
    Append(&'a str),
    Subtract(&'a str),
}

/// The keys of TLS that may change while the broker runs, but only for one listener.
const PER_LISTENER_ONLY: [&str; 10] = [
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// Keys that may have a listener's prefix in the configuration of the whole cluster.
const CLUSTER_LISTENER_KEYS: [&str; 3] =
    ["max.connection.creation.rate", "max.connections", "num.network.threads"];

/// Counts of threads, which may at most double or halve at a time.
const THREADS: [&str; 10] = [
    "background.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.follower.thread.pool.size",
    "remote.log.reader.threads",
    "log.cleaner.threads",
];

/// What the altered texts of a broker (or of the cluster's default) become.
pub fn alter_broker(altered: &Texts, changes: &[(&str, Change)]) -> Result<Texts, Refusal> {
    let mut altered = altered.clone();
    for (name, change) in changes {
        let (word, entries) = match change {
            Change::Set(text) => {
                altered.insert((*name).to_owned(), (*text).to_owned());
                continue;
            }
            Change::Delete => {
                altered.remove(*name);
                continue;
            }
            Change::Append(text) => ("append", split_list(text)),
            Change::Subtract(text) => ("subtract", split_list(text)),
        };
        let Some(key) = keys::broker_key(name) else {
            return Err(Refusal::Config(format!("Unknown config name: {name}")));
        };
        if key.kind != Kind::List {
            return Err(Refusal::Config(format!(
                "Config value {word} is not allowed for config key: {name}"
            )));
        }
        let now = altered.get(*name).map(String::as_str).or_else(|| keys::broker_default(key));
        let mut list = split_list(now.unwrap_or_default());
        list.retain(|entry| !entries.contains(entry));
        if word == "append" {
            list = split_list(now.unwrap_or_default());
            list.extend(entries.into_iter().filter(|entry| !now_has(now, entry)));
        }
        altered.insert((*name).to_owned(), list.join(","));
    }
    Ok(altered)
}

/// Checks all dynamic texts of one broker, as they would be after a change.
pub fn validate_broker(server: &ServerConfig, altered: &Texts) -> Result<(), Refusal> {
    check_names(altered)?;
    let cluster = server.layer(ConfigSource::DynamicDefaultBroker).expect("a layer");
    let changed = server.with_dynamic(cluster, altered).map_err(Refusal::Request)?;
    check_steps(server, &changed)
}

/// Checks all dynamic texts of the whole cluster, as they would be after a change.
pub fn validate_cluster_default(server: &ServerConfig, altered: &Texts) -> Result<(), Refusal> {
    check_names(altered)?;
    let of_one_broker = |name: &&String| match listener_key(name) {
        Some(base) => !CLUSTER_LISTENER_KEYS.contains(&base),
        None => keys::broker_key(name).is_some_and(|key| key.update == Update::PerBroker),
    };
    let what = "Cannot update these configs at default cluster level, broker id must be specified";
    refuse_names(altered.keys().filter(of_one_broker), what)?;
    let broker = server.layer(ConfigSource::DynamicBroker).expect("a layer");
    let changed = server.with_dynamic(altered, broker).map_err(Refusal::Request)?;
    check_steps(server, &changed)
}

/// Checks what is altered of a group.
pub fn validate_group(server: &ServerConfig, altered: &Texts) -> Result<(), Refusal> {
    if let Some(name) = altered.keys().find(|name| keys::group_key(name).is_none()) {
        return Err(Refusal::Config(format!("Unknown group config name: {name}")));
    }
    for key in keys::GROUP {
        let Some(text) = altered.get(key.name) else { continue };
        let value = key.parse(text).map_err(|invalid| Refusal::Config(invalid.to_string()))?;
        if let Some(message) = out_of_bounds(server, key.name, key.name, &value) {
            return Err(Refusal::Config(message));
        }
    }
    Ok(())
}

/// Checks what is set of a client metrics subscription (KIP-714).
pub fn validate_client_metrics(altered: &Texts) -> Result<(), Refusal> {
    for (name, text) in altered {
        let Some(key) = keys::client_metrics_key(name) else {
            return Err(Refusal::Request(format!("Unknown client metrics configuration: {name}")));
        };
        let value = key.parse(text).map_err(|invalid| Refusal::Config(invalid.to_string()))?;
        match (name.as_str(), value) {
            ("interval.ms", Value::Integer(ms)) if !(100..=3_600_000).contains(&ms) => {
                return Err(Refusal::Request(format!(
                    "Invalid value {ms} for interval.ms, interval must be between 100 and 3600000 (1 hour)"
                )));
            }
            ("match", Value::List(patterns)) => {
                if let Some(pattern) = patterns.iter().find(|pattern| !is_client_pattern(pattern)) {
                    return Err(Refusal::Config(format!("Illegal client matching pattern: {pattern}")));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What follows `listener.name.NAME.`.
pub(super) fn listener_key(name: &str) -> Option<&str> {
    name.strip_prefix("listener.name.")?.split_once('.').map(|(_listener, base)| base)
}

/// The complaint about a value of the group key `name` that leaves the bounds which the broker sets; `told_as` is how
/// the complaint names the key.
pub(super) fn out_of_bounds(
    server: &ServerConfig,
    name: &str,
    told_as: &str,
    value: &Value,
) -> Option<String> {
    let Value::Integer(value) = value else { return None };
    for (bound, words) in [("min", "greater than or equal to"), ("max", "less than or equal to")] {
        let Some(limit) = bound_key(name, bound) else { continue };
        let Some(Value::Integer(limit_value)) = server.value(&limit) else { continue };
        let holds = if bound == "min" { *value >= limit_value } else { *value <= limit_value };
        if !holds {
            return Some(format!("{told_as} must be {words} {limit}"));
        }
    }
    None
}

/// The broker key that bounds a group's: `min` of `consumer.session.timeout.ms` is `group.consumer.min.session.timeout.ms`.
fn bound_key(name: &str, bound: &str) -> Option<String> {
    let (kind, rest) = name.split_once('.')?;
    let rest = rest.strip_prefix("num.").unwrap_or(rest);
    let limit = format!("group.{kind}.{bound}.{rest}");
    keys::broker_key(&limit).map(|_| limit)
}

fn now_has(now: Option<&str>, entry: &str) -> bool {
    split_list(now.unwrap_or_default()).iter().any(|other| other == entry)
}

/// The rules that look at each key alone.
fn check_names(altered: &Texts) -> Result<(), Refusal> {
    let read_only = |name: &&String| keys::broker_key(name).is_some_and(|key| key.update == Update::ReadOnly);
    refuse_names(altered.keys().filter(read_only), "Cannot update these configs dynamically")?;
    let without_prefix = |name: &&String| PER_LISTENER_ONLY.contains(&name.as_str());
    let what =
        "These security configs can be dynamically updated only per-listener using the listener prefix";
    refuse_names(altered.keys().filter(without_prefix), what)?;
    for (name, text) in altered {
        let key = keys::broker_key(name).or_else(|| keys::dynamic_only_key(name));
        if let Some(key) = key.or_else(|| listener_key(name).and_then(keys::broker_key)) {
            key.parse(text).map_err(|invalid| Refusal::Request(invalid.to_string()))?;
        }
    }
    Ok(())
}

fn refuse_names<'a>(names: impl Iterator<Item = &'a String>, what: &str) -> Result<(), Refusal> {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() { Ok(()) } else { Err(Refusal::Request(format!("{what}: [{}]", names.join(", ")))) }
}

/// The rules that look at the way from the old value to the new.
fn check_steps(old: &ServerConfig, new: &ServerConfig) -> Result<(), Refusal> {
    let refuse = |why: String| {
        let wrapped = format!("org.apache.kafka.common.config.ConfigException: {why}");
        let what = "Invalid dynamic configuration";
        Err(Refusal::Request(format!("Invalid value {wrapped} for configuration {what}")))
    };
    for name in THREADS {
        let (Some(Value::Integer(was)), Some(Value::Integer(becomes))) = (old.value(name), new.value(name))
        else {
            continue;
        };
        let failed = format!("Dynamic thread count update validation failed for {name}={becomes}");
        if name == "log.cleaner.threads" && becomes < was / 2 {
            return refuse(format!(
                "Log cleaner threads cannot be reduced to less than half the current value {was}"
            ));
        }
        if name == "log.cleaner.threads" && becomes > was * 2 {
            return refuse(format!(
                "Log cleaner threads cannot be increased to more than double the current value {was}"
            ));
        }
        if becomes < was / 2 {
            return refuse(format!("{failed}, value should be at least half the current value {was}"));
        }
        if becomes > was * 2 {
            return refuse(format!(
                "{failed}, value should not be greater than double the current value {was}"
            ));
        }
    }
    for name in ["max.connections", "max.connection.creation.rate"] {
        if new.value(name) == Some(Value::Integer(0)) {
            return refuse(format!("Invalid {name} 0"));
        }
    }
    Ok(())
}

/// `attribute=regular expression`. The expression is only looked at for brackets that do not match.
fn is_client_pattern(pattern: &str) -> bool {
    const ATTRIBUTES: [&str; 6] = [
        "client_instance_id",
        "client_id",
        "client_software_name",
        "client_software_version",
        "client_source_address",
        "client_source_port",
    ];
    let Some((attribute, expression)) = pattern.split_once('=') else { return false };
    let mut open = Vec::new();
    let mut chars = expression.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_none() => return false,
            '[' | '(' => open.push(c),
            ']' if open.last() == Some(&'[') => {
                open.pop();
            }
            ')' if open.last() != Some(&'[') && open.pop().is_none() => return false,
            _ => {}
        }
    }
    ATTRIBUTES.contains(&attribute.trim()) && !expression.is_empty() && open.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(name: &str, text: &str) -> Texts {
        Texts::from([(name.to_owned(), text.to_owned())])
    }

    fn shown(result: Result<(), Refusal>) -> String {
        match result {
            Ok(()) => "ok".to_owned(),
            Err(Refusal::Request(message)) => format!("42 {message}"),
            Err(Refusal::Config(message)) => format!("40 {message}"),
        }
    }

    /// Columns: `1` for a broker or `` for the cluster, key, text, answer.
    #[test]
    fn refusals_of_brokers_are_those_of_the_reference() {
        let server = ServerConfig::new(Texts::new()).unwrap();
        for line in include_str!("testdata/validate-broker.tsv").lines() {
            let mut fields = line.splitn(4, '\t');
            let [broker, name, text, expected] = std::array::from_fn(|_| fields.next().expect("four fields"));
            let altered = texts(name, text);
            let found = match broker {
                "" => validate_cluster_default(&server, &altered),
                _ => validate_broker(&server, &altered),
            };
            assert_eq!(shown(found), expected, "{broker} {name}={text}");
        }
    }

    #[test]
    fn refusals_of_groups_and_subscriptions_are_those_of_the_reference() {
        let server = ServerConfig::new(Texts::new()).unwrap();
        for line in include_str!("testdata/validate-group.tsv").lines() {
            let mut fields = line.splitn(4, '\t');
            let [resource, name, text, expected] =
                std::array::from_fn(|_| fields.next().expect("four fields"));
            let altered = texts(name, text);
            let found = match resource {
                "group" => validate_group(&server, &altered),
                _ => validate_client_metrics(&altered),
            };
            assert_eq!(shown(found), expected, "{resource} {name}={text}");
        }
    }

    #[test]
    fn lists_are_appended_to_and_subtracted_from() {
        let change = |now: &Texts, change| alter_broker(now, &[("log.cleanup.policy", change)]).unwrap();
        let both = change(&Texts::new(), Change::Append("compact,delete"));
        assert_eq!(both, texts("log.cleanup.policy", "delete,compact"));
        assert_eq!(change(&both, Change::Subtract("delete")), texts("log.cleanup.policy", "compact"));
        assert_eq!(change(&both, Change::Delete), Texts::new());
        let refused = alter_broker(&Texts::new(), &[("message.max.bytes", Change::Append("1"))]);
        let message = "Config value append is not allowed for config key: message.max.bytes";
        assert_eq!(refused, Err(Refusal::Config(message.to_owned())));
    }
}
