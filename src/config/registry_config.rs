//! The Schema Registry's configuration: Confluent's names behind `schema.registry.`, and a few of our own.
//! Enters: texts by key (without the prefix). Leaves: `RegistryConfig`, warnings; or what is wrong with a value.
//!
//! A table of its own, since DescribeConfigs tells of the broker's keys, which are Kafka's.

use super::key::split_list;
use super::topic_config::Texts;
use std::path::PathBuf;

/// What every key of the registry begins with in a file; in the environment it is Confluent's `SCHEMA_REGISTRY_`.
pub const PREFIX: &str = "schema.registry.";

/// Where Java would look for the users: what `SCHEMA_REGISTRY_OPTS` says.
pub const JAAS_FILE: &str = "jaas.file";

/// The port of Confluent's registry.
const DEFAULT_PORT: u16 = 8081;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Where it listens; nowhere if it is turned off.
    pub listeners: Vec<HttpListener>,
    /// Whether somebody asked for these listeners. If not, a broker does without them where the port is taken.
    pub is_asked_for: bool,
    /// `kafkastore.topic`.
    pub topic: String,
    /// `schema.compatibility.level`, in upper case: what holds while no global level is set.
    pub compatibility_level: String,
    /// `mode.mutability`: whether modes may be changed.
    pub mode_mutability: bool,
    /// `schema.registry.group.id`: the id that `/v1/metadata/id` tells.
    pub group_id: String,
    /// None: everyone may do everything.
    pub authentication: Option<BasicAuthentication>,
    /// For listeners with `https`.
    pub tls: Option<TlsFiles>,
    /// None: no header of CORS is ever sent.
    pub cors: Option<Cors>,
}

/// `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpListener {
    pub is_https: bool,
    /// Empty for all interfaces.
    pub host: String,
    /// 0 for any that is free.
    pub port: u16,
}

/// `authentication.method=BASIC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicAuthentication {
    pub realm: String,
    pub users: UsersFile,
    /// Who has none of these is refused; `*` is any.
    pub roles: Vec<String>,
    /// Who may do what; without it, whoever is let in may do everything, as in Confluent's registry.
    pub permissions_file: Option<PathBuf>,
}

/// Where the users are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsersFile {
    /// Lines `user: password,role,role`.
    Lines(PathBuf),
    /// A login configuration of Java, whose section for the realm names such a file.
    Jaas(PathBuf),
}

/// Where certificate and key are, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first; and the unencrypted private key, unless `key` has it.
    pub keystore: PathBuf,
    pub key: Option<PathBuf>,
    /// Certificates of those whose clients are believed.
    pub truststore: Option<PathBuf>,
    pub client_certificates: ClientCertificates,
}

/// `ssl.client.authentication`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    #[default]
    None,
    Requested,
    Required,
}

/// `access.control.allow.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// `*`, or origins with `*` for any part.
    pub origins: Vec<String>,
    pub methods: Vec<String>,
    pub headers: Vec<String>,
}

/// A value that is not one of its key's: the key without the prefix, and why.
pub type Invalid = (&'static str, String);

/// What is read. Everything else is in `NO_EFFECT`, in `NOT_YET`, or unknown.
const HONOURED: &[&str] = &[
    "access.control.allow.headers",
    "access.control.allow.methods",
    "access.control.allow.origin",
    "authentication.method",
    "authentication.realm",
    "authentication.roles",
    "avro.compatibility.level",
    "enable",
    JAAS_FILE,
    "kafkastore.topic",
    "listeners",
    "mode.mutability",
    "permissions.file",
    "schema.compatibility.level",
    "schema.registry.group.id",
    "ssl.client.auth",
    "ssl.client.authentication",
    "ssl.key.location",
    "ssl.keystore.location",
    "ssl.keystore.type",
    "ssl.truststore.location",
    "ssl.truststore.type",
    "users.file",
];

/// Beginnings of keys that tune what is not there: a connection to Kafka, other instances, Jetty, Java.
const NO_EFFECT: &[&str] = &[
    "compression.enable",
    "debug",
    "eligible.for.leader.election",
    "graceful.shutdown",
    "host.name",
    "idle.timeout.ms",
    "inter.instance.",
    "kafkastore.",
    "leader.",
    "master.",
    "max.schemas.per.subject",
    "metric",
    "port",
    "request.",
    "schema.cache.",
    "schema.registry.zk.",
    "shutdown.graceful.ms",
    "thread.pool.",
    "zookeeper.",
];

/// Beginnings of keys that do something in Confluent's registry, and nothing here yet.
const NOT_YET: &[&str] = &[
    "access.control.skip.options",
    "authentication.skip.paths",
    "authorization.",
    "csrf.",
    "dos.filter.",
    "http2.",
    "listener.",
    "nosniff.",
    "reject.options.request",
    "resource.extension.class",
    "response.",
    "rest.servlet.",
    "schema.providers",
    "schema.search.",
    "sni.",
    "ssl.",
];

impl RegistryConfig {
    /// `given`: by key without the prefix. `broker`: host and port of the broker's first listener, where the registry
    /// listens if nobody says where.
    pub fn new(given: &Texts, broker: (&str, u16)) -> Result<RegistryConfig, Invalid> {
        let texts = Given(given);
        let asked = texts.list("listeners");
        let is_enabled = texts.flag("enable", true)?;
        let listeners = match (is_enabled, asked.is_empty()) {
            (false, _) => Vec::new(),
            (true, false) => asked.iter().map(|text| listener(text)).collect::<Result<_, _>>()?,
            // Who lets the system choose the broker's port wants no fixed one beside it.
            (true, true) => {
                let port = if broker.1 == 0 { 0 } else { DEFAULT_PORT };
                vec![HttpListener { is_https: false, host: broker.0.to_owned(), port }]
            }
        };
        let tls = tls(&texts)?;
        if tls.is_none() && listeners.iter().any(|listener| listener.is_https) {
            return Err(("ssl.keystore.location", "a listener with https needs it".to_owned()));
        }
        Ok(RegistryConfig {
            listeners,
            is_asked_for: !asked.is_empty(),
            topic: texts.text("kafkastore.topic").unwrap_or("_schemas").to_owned(),
            compatibility_level: compatibility_level(&texts)?,
            mode_mutability: texts.flag("mode.mutability", true)?,
            group_id: texts.text("schema.registry.group.id").unwrap_or("schema-registry").to_owned(),
            authentication: authentication(&texts)?,
            tls,
            cors: cors(&texts),
        })
    }
}

/// Keys that change nothing although whoever set them may think so, with the reason.
pub fn without_effect(given: &Texts) -> impl Iterator<Item = (&str, &'static str)> {
    let is_among =
        |name: &str, beginnings: &[&str]| beginnings.iter().any(|beginning| name.starts_with(beginning));
    given.keys().map(String::as_str).filter_map(move |name| {
        if HONOURED.contains(&name) || is_among(name, NO_EFFECT) {
            return None;
        }
        Some((
            name,
            if is_among(name, NOT_YET) { "is known, but not yet honoured" } else { "is unknown and ignored" },
        ))
    })
}

struct Given<'a>(&'a Texts);

impl<'a> Given<'a> {
    /// None also where it is empty, which is how an environment says nothing.
    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    fn list(&self, name: &str) -> Vec<String> {
        split_list(self.text(name).unwrap_or_default())
            .into_iter()
            .filter(|entry| !entry.is_empty())
            .collect()
    }

    fn flag(&self, name: &'static str, default: bool) -> Result<bool, Invalid> {
        match self.text(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err((name, format!("{other} (allowed: true, false)"))),
        }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }
}

fn listener(text: &str) -> Result<HttpListener, Invalid> {
    let parse = || {
        let (scheme, address) = text.split_once("://")?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let (host, port) = address.trim_end_matches('/').rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Some(HttpListener { is_https, host: host.to_owned(), port: port.parse().ok()? })
    };
    parse().ok_or_else(|| ("listeners", format!("{text} (allowed: http://HOST:PORT, https://HOST:PORT)")))
}

fn compatibility_level(texts: &Given<'_>) -> Result<String, Invalid> {
    const LEVELS: [&str; 7] = [
        "NONE",
        "BACKWARD",
        "BACKWARD_TRANSITIVE",
        "FORWARD",
        "FORWARD_TRANSITIVE",
        "FULL",
        "FULL_TRANSITIVE",
    ];
    for name in ["schema.compatibility.level", "avro.compatibility.level"] {
        let Some(text) = texts.text(name) else { continue };
        let level = text.to_ascii_uppercase();
        return match LEVELS.contains(&level.as_str()) {
            true => Ok(level),
            false => Err((name, format!("{text} (allowed: {})", LEVELS.join(", ").to_ascii_lowercase()))),
        };
    }
    Ok("BACKWARD".to_owned())
}

fn authentication(texts: &Given<'_>) -> Result<Option<BasicAuthentication>, Invalid> {
    match texts.text("authentication.method").map(str::to_ascii_uppercase).as_deref() {
        None | Some("NONE") => return Ok(None),
        Some("BASIC") => {}
        Some(other) => return Err(("authentication.method", format!("{other} (allowed: NONE, BASIC)"))),
    }
    let users = match (texts.path("users.file"), texts.path(JAAS_FILE)) {
        (Some(file), _) => UsersFile::Lines(file),
        (None, Some(file)) => UsersFile::Jaas(file),
        (None, None) => return Err(("users.file", "authentication.method=BASIC needs it".to_owned())),
    };
    let roles = texts.list("authentication.roles");
    Ok(Some(BasicAuthentication {
        realm: texts.text("authentication.realm").unwrap_or("SchemaRegistry").to_owned(),
        users,
        roles: if roles.is_empty() { vec!["*".to_owned()] } else { roles },
        permissions_file: texts.path("permissions.file"),
    }))
}

fn tls(texts: &Given<'_>) -> Result<Option<TlsFiles>, Invalid> {
    for name in ["ssl.keystore.type", "ssl.truststore.type"] {
        match texts.text(name) {
            None => {}
            Some(kind) if kind.eq_ignore_ascii_case("PEM") => {}
            Some(kind) => return Err((name, format!("{kind} (allowed: PEM; openssl and keytool convert)"))),
        }
    }
    let Some(keystore) = texts.path("ssl.keystore.location") else { return Ok(None) };
    let client_certificates = match texts.text("ssl.client.authentication") {
        None if texts.flag("ssl.client.auth", false)? => ClientCertificates::Required,
        None => ClientCertificates::None,
        Some(text) => match text.to_ascii_uppercase().as_str() {
            "NONE" => ClientCertificates::None,
            "REQUESTED" => ClientCertificates::Requested,
            "REQUIRED" => ClientCertificates::Required,
            _ => {
                let name = "ssl.client.authentication";
                return Err((name, format!("{text} (allowed: NONE, REQUESTED, REQUIRED)")));
            }
        },
    };
    let truststore = texts.path("ssl.truststore.location");
    if client_certificates != ClientCertificates::None && truststore.is_none() {
        return Err((
            "ssl.truststore.location",
            "client certificates are asked for, which needs it".to_owned(),
        ));
    }
    Ok(Some(TlsFiles { keystore, key: texts.path("ssl.key.location"), truststore, client_certificates }))
}

fn cors(texts: &Given<'_>) -> Option<Cors> {
    let origins = texts.list("access.control.allow.origin");
    if origins.is_empty() {
        return None;
    }
    // The defaults of Jetty's filter.
    let or = |list: Vec<String>, default: &[&str]| {
        if list.is_empty() { default.iter().map(|text| (*text).to_owned()).collect() } else { list }
    };
    Some(Cors {
        origins,
        methods: or(texts.list("access.control.allow.methods"), &["GET", "POST", "HEAD"]),
        headers: or(
            texts.list("access.control.allow.headers"),
            &["X-Requested-With", "Content-Type", "Accept", "Origin"],
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(given: &[(&str, &str)]) -> Result<RegistryConfig, Invalid> {
        let given = given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        RegistryConfig::new(&given, ("localhost", 9092))
    }

    fn http(host: &str, port: u16) -> HttpListener {
        HttpListener { is_https: false, host: host.to_owned(), port }
    }

    #[track_caller]
    fn check_listeners(given: &[(&str, &str)], expected: &[HttpListener], is_asked_for: bool) {
        let config = config(given).unwrap();
        assert_eq!((config.listeners.as_slice(), config.is_asked_for), (expected, is_asked_for));
    }

    #[test]
    fn it_listens_beside_the_broker_unless_somebody_says_where() {
        check_listeners(&[], &[http("localhost", 8081)], false);
        check_listeners(&[("enable", "false")], &[], false);
        check_listeners(&[("enable", "false"), ("listeners", "http://:1")], &[], true);
        check_listeners(&[("listeners", "")], &[http("localhost", 8081)], false);
        check_listeners(&[("listeners", "http://0.0.0.0:8081")], &[http("0.0.0.0", 8081)], true);
        let several = [http("::1", 1), HttpListener { is_https: true, ..http("b", 2) }];
        check_listeners(
            &[("listeners", "http://[::1]:1/, HTTPS://b:2"), ("ssl.keystore.location", "pem")],
            &several,
            true,
        );
        let free = RegistryConfig::new(&Texts::new(), ("127.0.0.1", 0)).unwrap();
        assert_eq!(free.listeners, [http("127.0.0.1", 0)]);
    }

    #[track_caller]
    fn check_refused(given: &[(&str, &str)], key: &str, words: &str) {
        let (name, why) = config(given).unwrap_err();
        assert_eq!(name, key, "{why}");
        assert!(why.contains(words), "{words:?} is not in: {why}");
    }

    #[test]
    fn values_that_are_not_allowed_are_told() {
        check_refused(&[("listeners", "localhost:8081")], "listeners", "http://HOST:PORT");
        check_refused(&[("listeners", "ftp://a:1")], "listeners", "ftp://a:1");
        check_refused(&[("listeners", "http://a:99999")], "listeners", "99999");
        check_refused(&[("listeners", "https://a:1")], "ssl.keystore.location", "https");
        check_refused(&[("enable", "yes")], "enable", "true, false");
        check_refused(
            &[("schema.compatibility.level", "any")],
            "schema.compatibility.level",
            "full_transitive",
        );
        check_refused(&[("authentication.method", "BEARER")], "authentication.method", "BASIC");
        check_refused(&[("authentication.method", "BASIC")], "users.file", "BASIC");
        check_refused(&[("ssl.keystore.type", "JKS")], "ssl.keystore.type", "PEM");
        check_refused(
            &[("ssl.keystore.location", "a"), ("ssl.client.auth", "true")],
            "ssl.truststore.location",
            "client certificates",
        );
        check_refused(
            &[("ssl.keystore.location", "a"), ("ssl.client.authentication", "MAYBE")],
            "ssl.client.authentication",
            "REQUESTED",
        );
    }

    #[test]
    fn the_rest_has_confluents_defaults() {
        let config = config(&[]).unwrap();
        assert_eq!(config.topic, "_schemas");
        assert_eq!(config.compatibility_level, "BACKWARD");
        assert_eq!(config.group_id, "schema-registry");
        assert!(config.mode_mutability);
        assert_eq!((config.authentication, config.tls, config.cors), (None, None, None));
    }

    #[test]
    fn keys_without_effect_are_told() {
        let given: Texts =
            ["listeners", "host.name", "kafkastore.bootstrap.servers", "ssl.cipher.suites", "user.file"]
                .into_iter()
                .map(|name| (name.to_owned(), String::new()))
                .collect();
        let found: Vec<_> = without_effect(&given).collect();
        assert_eq!(
            found,
            [
                ("ssl.cipher.suites", "is known, but not yet honoured"),
                ("user.file", "is unknown and ignored")
            ]
        );
    }
}
