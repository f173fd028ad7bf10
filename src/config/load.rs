//! From the places where a configuration is written to the broker's configuration.
//! Enters: server.properties, the environment and flags, as texts. Leaves: `Loaded`, or the one error that stops the start.
//! A later place wins over an earlier one: defaults, file, environment, `--override`.

use super::environment::{self, Variable};
use super::key::{Honour, split_list};
use super::keys;
use super::properties;
use super::registry_config::{self, RegistryConfig};
use super::server_config::ServerConfig;
use super::topic_config::Texts;
use std::collections::BTreeMap;
use std::fmt;

/// All places, unread.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The path of server.properties, for messages, and its text.
    pub file: Option<(String, String)>,
    pub environment: Vec<(String, String)>,
    /// `key=value` of each `--override`.
    pub overrides: Vec<String>,
}

/// What the places say together.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: ServerConfig,
    /// The Schema Registry's.
    pub registry: RegistryConfig,
    /// As given; 22 characters of base64 in Kafka, any text here.
    pub cluster_id: Option<String>,
    /// To create when the broker starts and they are not there.
    pub create_topics: Vec<TopicAtStart>,
    /// For the log, a line each.
    pub warnings: Vec<String>,
}

/// A topic of `KAFKA_CREATE_TOPICS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicAtStart {
    pub name: String,
    pub partitions: i32,
    pub replication_factor: i16,
    pub cleanup_policy: Option<String>,
}

/// Why the broker does not start: one line that names the key, its value, what is allowed and the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

/// One setting and the place it stands in: `server.properties:12`, `KAFKA_NUM_PARTITIONS`, `--override`.
#[derive(Clone, Debug)]
struct Setting {
    value: String,
    place: String,
    source: &'static str,
}

/// What the places say, unchecked: the strongest setting of every key, and what is no key.
struct Read {
    settings: BTreeMap<String, Setting>,
    /// By key without its prefix.
    registry: BTreeMap<String, Setting>,
    cluster_id: Option<String>,
    create_topics: Vec<TopicAtStart>,
}

impl Sources {
    /// Reads all places. Unknown keys and such as are not acted upon become warnings; an invalid value is an error.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let Read { settings, registry, cluster_id, create_topics } = self.read()?;
        for (name, setting) in &settings {
            check(name, setting)?;
        }
        let mut warnings = unknown_keys(&settings);
        warnings.extend(keys_without_effect(&settings));
        warnings.extend(lone_node(&settings)?);
        let given: Texts =
            settings.iter().map(|(name, setting)| (name.clone(), setting.value.clone())).collect();
        let config = ServerConfig::new(given).map_err(|message| whole_error(&message, &settings))?;
        refuse_security(&config)?;
        let registry = registry_config(&registry, &config, &mut warnings)?;
        Ok(Loaded { config, registry, cluster_id, create_topics, warnings })
    }

    fn read(&self) -> Result<Read, ConfigError> {
        let mut settings = BTreeMap::new();
        let (mut cluster_id, mut create_topics) = (None, Vec::new());
        if let Some((path, text)) = &self.file {
            for property in properties::parse(text) {
                let place = format!("{path}:{}", property.line);
                settings.insert(property.key, Setting { value: property.value, place, source: "the file" });
            }
        }
        for (name, value) in &self.environment {
            match environment::meaning(name) {
                Variable::Key(key) => {
                    let setting =
                        Setting { value: value.clone(), place: name.clone(), source: "the environment" };
                    settings.insert(key, setting);
                }
                Variable::ClusterId if !value.is_empty() => cluster_id = Some(value.clone()),
                Variable::CreateTopics => create_topics = topics_at_start(value)?,
                Variable::RegistryJavaOptions => {
                    if let Some(file) = jaas_file(value) {
                        let key = format!("{}{}", registry_config::PREFIX, registry_config::JAAS_FILE);
                        let source = "the environment";
                        settings.insert(key, Setting { value: file.to_owned(), place: name.clone(), source });
                    }
                }
                Variable::ClusterId | Variable::Other => {}
            }
        }
        for text in &self.overrides {
            let Some((key, value)) = text.split_once('=') else {
                return Err(ConfigError(format!("--override {text}: it must be key=value")));
            };
            let setting =
                Setting { value: value.to_owned(), place: "--override".to_owned(), source: "--override" };
            settings.insert(key.trim().to_owned(), setting);
        }
        if !settings.contains_key("listeners") {
            let unsaid = unsaid_listeners(&settings, &self.environment);
            settings.extend(unsaid.map(|setting| ("listeners".to_owned(), setting)));
        }
        let mut registry = settings.split_off(registry_config::PREFIX);
        settings.append(&mut registry.split_off(AFTER_REGISTRY_PREFIX));
        let unprefixed = registry
            .into_iter()
            .map(|(name, setting)| (name[registry_config::PREFIX.len()..].to_owned(), setting));
        Ok(Read { settings, registry: unprefixed.collect(), cluster_id, create_topics })
    }
}

impl ConfigError {
    /// An error of reading a place at all.
    pub fn new(message: String) -> ConfigError {
        ConfigError(message)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// What to listen on when nobody says: the image's choice, or what the advertised addresses mean. Who tells clients an
/// address wants to be reached, so it is not loopback then. Kafka's own default has one listener, PLAINTEXT on 9092; for
/// other names Confluent's image listens on the ports that it advertises.
fn unsaid_listeners(
    settings: &BTreeMap<String, Setting>,
    environment: &[(String, String)],
) -> Option<Setting> {
    let listen = environment.iter().find(|(name, _)| name == LISTEN).map(|(_, value)| value.as_str());
    let address = listen.unwrap_or(":9092");
    let Some(advertised) = settings.get("advertised.listeners") else {
        let value = format!("PLAINTEXT://{}", listen?);
        return Some(Setting { value, place: LISTEN.to_owned(), source: "the environment" });
    };
    let bind = |entry: &String| -> Option<String> {
        let (name, host_and_port) = entry.split_once("://")?;
        if name == "PLAINTEXT" {
            return Some(format!("PLAINTEXT://{address}"));
        }
        let (_, port) = host_and_port.rsplit_once(':')?;
        Some(format!("{name}://:{port}"))
    };
    let list: Option<Vec<String>> = split_list(&advertised.value).iter().map(bind).collect();
    Some(Setting { value: list?.join(","), ..advertised.clone() })
}

/// The variable by which an image says where to listen, weaker than every other place.
const LISTEN: &str = "OTTLA_LISTEN";

/// The file that Java reads the registry's logins from.
fn jaas_file(options: &str) -> Option<&str> {
    options.split_whitespace().find_map(|option| option.strip_prefix("-Djava.security.auth.login.config="))
}

/// The first text after all that begin with the prefix of the registry's keys.
const AFTER_REGISTRY_PREFIX: &str = "schema.registry/";

fn registry_config(
    settings: &BTreeMap<String, Setting>,
    config: &ServerConfig,
    warnings: &mut Vec<String>,
) -> Result<RegistryConfig, ConfigError> {
    let prefix = registry_config::PREFIX;
    let given: Texts = settings.iter().map(|(name, setting)| (name.clone(), setting.value.clone())).collect();
    let place = |name: &str| settings.get(name).map_or("", |setting| setting.place.as_str());
    for (name, why) in registry_config::without_effect(&given) {
        warnings.push(format!("{}: {prefix}{name} {why}", place(name)));
    }
    let first = config.listeners.first().map_or(("", 0), |listener| (listener.host.as_str(), listener.port));
    RegistryConfig::new(&given, first).map_err(|(name, why)| {
        let separator = if place(name).is_empty() { "" } else { ": " };
        ConfigError(format!("{}{separator}{prefix}{name}: {why}", place(name)))
    })
}

fn check(name: &str, setting: &Setting) -> Result<(), ConfigError> {
    let Some(key) = keys::broker_key(name) else { return Ok(()) };
    match key.parse(&setting.value) {
        Ok(_) => Ok(()),
        Err(invalid) => {
            Err(ConfigError(format!("{}: {invalid} (allowed: {})", setting.place, key.allowed())))
        }
    }
}

/// An error of the whole configuration, with the places of the keys that it names.
fn whole_error(message: &str, settings: &BTreeMap<String, Setting>) -> ConfigError {
    let message = message.trim_start_matches("requirement failed: ");
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_' || c == '-';
    let mut places: Vec<String> = Vec::new();
    for (name, setting) in settings {
        let names_it = message.match_indices(name.as_str()).any(|(at, _)| {
            !message[..at].ends_with(is_word) && !message[at + name.len()..].starts_with(is_word)
        });
        if names_it {
            let sensitive = keys::broker_key(name).is_none_or(|key| key.is_sensitive());
            let value = if sensitive { "[hidden]" } else { &setting.value };
            places.push(format!("{name}={value} from {}", setting.place));
        }
    }
    if places.is_empty() {
        return ConfigError(message.to_owned());
    }
    ConfigError(format!("{message} ({})", places.join("; ")))
}

fn unknown_keys(settings: &BTreeMap<String, Setting>) -> Vec<String> {
    let unknown =
        settings.iter().filter(|(name, _)| keys::broker_key(name).is_none() && !is_pass_through(name));
    let warn = |(name, setting): (&String, &Setting)| {
        let place = &setting.place;
        if let Some(why) = removed(name) {
            return format!("{place}: {name} is ignored: {why}");
        }
        match nearest(name) {
            Some(known) => format!("{place}: unknown key {name} is ignored; did you mean {known}?"),
            None => format!("{place}: unknown key {name} is ignored"),
        }
    };
    unknown.map(warn).collect()
}

/// One line a source for keys that are not honoured yet, and one for keys that cannot have an effect.
fn keys_without_effect(settings: &BTreeMap<String, Setting>) -> Vec<String> {
    let mut lines: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (name, setting) in settings {
        let what = match keys::broker_key(name).map(|key| key.honour) {
            Some(Honour::Honoured) => continue,
            Some(Honour::NoEffect) if is_of_every_kraft_file(name) => continue,
            Some(Honour::NoEffect) => "known, but there is nothing here that it could tune",
            Some(Honour::NotYet) => "known, but not yet honoured",
            None if is_pass_through(name) => "known, but not yet honoured",
            None => continue,
        };
        lines.entry((setting.source, what)).or_default().push(name);
    }
    lines
        .into_iter()
        .map(|((source, what), names)| format!("{source}: {what}: {}", names.join(", ")))
        .collect()
}

/// What stands in every configuration of a KRaft node and holds here too: one process, its own controller.
fn is_of_every_kraft_file(name: &str) -> bool {
    matches!(
        name,
        "process.roles"
            | "controller.listener.names"
            | "controller.quorum.voters"
            | "controller.quorum.bootstrap.servers"
    )
}

/// Keys of plugins and of single listeners, which Kafka reads without having them in its table.
fn is_pass_through(name: &str) -> bool {
    const NAMES: [&str; 2] = ["super.users", "allow.everyone.if.no.acl.found"];
    const PREFIXES: [&str; 3] = ["listener.name.", "rlmm.config.", "rsm.config."];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Why a key of older Kafkas means nothing any more.
fn removed(name: &str) -> Option<&'static str> {
    const ZOOKEEPER: &str = "there is no ZooKeeper since Kafka 4.0";
    const GONE: &str = "Kafka 4.0 removed it";
    match name {
        "inter.broker.protocol.version" | "log.message.format.version" | "control.plane.listener.name" => {
            Some(GONE)
        }
        "log.message.timestamp.difference.max.ms" | "offsets.commit.required.acks" => Some(GONE),
        "advertised.host.name" | "advertised.port" | "host.name" | "port" => {
            Some("use listeners and advertised.listeners")
        }
        "broker.id.generation.enable" | "reserved.broker.max.id" => Some(ZOOKEEPER),
        _ if name.starts_with("zookeeper.") || name.starts_with("password.encoder.") => Some(ZOOKEEPER),
        _ => None,
    }
}

/// The known key that differs in at most a quarter of its letters.
fn nearest(name: &str) -> Option<&'static str> {
    let distances = keys::broker_keys().map(|key| (distance(name, key.name), key.name));
    let (least, known) = distances.min()?;
    (least <= known.len() / 4).then_some(known)
}

/// Levenshtein's: the letters to insert, drop or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// A configuration written for several nodes is taken for one, where that can be meant.
fn lone_node(settings: &BTreeMap<String, Setting>) -> Result<Option<String>, ConfigError> {
    let roles = settings.get("process.roles");
    if let Some(roles) = roles.filter(|roles| roles.value.trim() == "controller") {
        return Err(ConfigError(format!(
            "{}: process.roles=controller: a controller of its own does not exist here (allowed: broker; broker,controller)",
            roles.place
        )));
    }
    let Some(voters) = settings.get("controller.quorum.voters") else { return Ok(None) };
    let others = voters.value.split(',').count();
    Ok((others > 1).then(|| {
        format!(
            "{}: {others} voters are named; this broker is a cluster of its own and speaks to none of them",
            voters.place
        )
    }))
}

fn refuse_security(config: &ServerConfig) -> Result<(), ConfigError> {
    use super::listeners::SecurityProtocol::Plaintext;
    match config.listeners.iter().find(|listener| listener.protocol != Plaintext) {
        None => Ok(()),
        Some(listener) => Err(ConfigError(format!(
            "listener {} speaks {}, which is not there yet (allowed: PLAINTEXT)",
            listener.name, listener.protocol
        ))),
    }
}

/// `name:partitions:replication[:policy]`, separated by commas; spaces and line ends do not count.
fn topics_at_start(text: &str) -> Result<Vec<TopicAtStart>, ConfigError> {
    let entries = text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
    let parse = |entry: &str| {
        let mut fields = entry.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
        let partitions = fields.next().map_or(Some(1), |n| n.parse().ok()).filter(|n| *n > 0)?;
        let replication_factor = fields.next().map_or(Some(1), |n| n.parse().ok()).filter(|n| *n > 0)?;
        let cleanup_policy = fields.next().map(|policy| policy.replace('+', ","));
        let known = cleanup_policy.as_deref().is_none_or(|policy| {
            let key = keys::topic_key("cleanup.policy").expect("a row of the table");
            key.parse(policy).is_ok()
        });
        (known && fields.next().is_none()).then_some(TopicAtStart {
            name,
            partitions,
            replication_factor,
            cleanup_policy,
        })
    };
    let refuse = |entry: &str| {
        ConfigError(format!(
            "KAFKA_CREATE_TOPICS: '{entry}' (allowed: name:partitions:replication[:compact|:delete|:compact+delete])"
        ))
    };
    entries.map(|entry| parse(entry).ok_or_else(|| refuse(entry))).collect()
}

#[cfg(test)]
mod tests;
