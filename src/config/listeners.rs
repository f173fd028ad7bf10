//! Listeners: their names, protocols, addresses, and what clients are told.
//! Enters: `listeners`, `advertised.listeners`, `listener.security.protocol.map` and their companions.
//! Leaves: the listeners to open, without the controller's; or the message with which Kafka refuses.

use super::key::split_list;
use std::collections::BTreeMap;
use std::fmt;

/// One listener to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// In upper case, as Kafka has it.
    pub name: String,
    pub protocol: SecurityProtocol,
    /// Empty for all interfaces; a name stands for all its addresses (`localhost` for IPv4's and IPv6's).
    pub host: String,
    /// 0 for any that is free.
    pub port: u16,
    pub advertised: Advertised,
}

/// What clients of a listener are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advertised {
    /// This; port 0 stands for the port that was bound.
    Fixed { host: String, port: u16 },
    /// Nothing was said and the bound address says nothing: each client is told the address that it reached.
    AsReached,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

/// What this module reads of a configuration.
pub trait Settings {
    fn list(&self, name: &str) -> Vec<String>;
    fn text(&self, name: &str) -> Option<String>;
    /// Whether somebody set the key, so that the value is not the default.
    fn is_given(&self, name: &str) -> bool;
}

/// All listeners of a broker.
pub struct Listeners {
    pub list: Vec<Listener>,
    pub inter_broker: String,
}

/// `NAME://host:port` taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    name: String,
    host: String,
    port: u16,
}

impl Listeners {
    pub fn new(settings: &impl Settings) -> Result<Listeners, String> {
        let protocols = protocol_map(settings)?;
        let controllers: Vec<String> =
            settings.list("controller.listener.names").iter().map(|name| name.to_uppercase()).collect();
        let is_controller = |endpoint: &Endpoint| controllers.contains(&endpoint.name);

        let mut bound = endpoints(&settings.list("listeners"), &protocols, &controllers)?;
        unique_ports(&bound, &settings.list("listeners"))?;
        bound.retain(|endpoint| !is_controller(endpoint));
        let mut told = endpoints(&settings.list("advertised.listeners"), &protocols, &controllers)?;
        told.retain(|endpoint| !is_controller(endpoint));
        if bound.is_empty() {
            return Err("requirement failed: There must be at least one broker advertised listener. Perhaps all listeners \
                        appear in controller.listener.names?"
                .to_owned());
        }
        check_advertised(&bound, &told)?;

        let is_given = settings.is_given("listeners");
        let has_told = settings.is_given("advertised.listeners");
        let mut list = Vec::new();
        for endpoint in bound {
            let told = told.iter().find(|told| told.name == endpoint.name);
            let advertised = match told {
                Some(told) if told.host.is_empty() => Advertised::AsReached,
                Some(told) => Advertised::Fixed { host: told.host.clone(), port: told.port },
                // Kafka would not tell clients of this listener at all; it is open, so it answers for itself.
                None if has_told || !is_given || is_wildcard(&endpoint.host) => Advertised::AsReached,
                None => Advertised::Fixed { host: endpoint.host.clone(), port: endpoint.port },
            };
            let protocol = protocols[&endpoint.name];
            list.push(Listener {
                name: endpoint.name,
                protocol,
                host: endpoint.host,
                port: endpoint.port,
                advertised,
            });
        }
        let inter_broker = inter_broker(settings, &list, &protocols)?;
        Ok(Listeners { list, inter_broker })
    }
}

impl SecurityProtocol {
    fn parse(name: &str) -> Option<SecurityProtocol> {
        match name.to_uppercase().as_str() {
            "PLAINTEXT" => Some(SecurityProtocol::Plaintext),
            "SSL" => Some(SecurityProtocol::Ssl),
            "SASL_PLAINTEXT" => Some(SecurityProtocol::SaslPlaintext),
            "SASL_SSL" => Some(SecurityProtocol::SaslSsl),
            _ => None,
        }
    }
}

impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        })
    }
}

/// `a:b,c:d` as pairs, split at the last colon, so that an IPv6 address may stand on the left. None if one has no colon.
pub fn parse_pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |entry: String| {
        let (left, right) = entry.rsplit_once(':')?;
        Some((left.trim().to_owned(), right.trim().to_owned()))
    };
    split_list(text).into_iter().map(pair).collect()
}

fn protocol_map(settings: &impl Settings) -> Result<BTreeMap<String, SecurityProtocol>, String> {
    let name = "listener.security.protocol.map";
    let text = settings.text(name).unwrap_or_default();
    let pairs = parse_pairs(&text)
        .ok_or_else(|| format!("Error parsing configuration property '{name}': '{text}'"))?;
    let parse = |(listener, protocol): (String, String)| match SecurityProtocol::parse(&protocol) {
        Some(parsed) => Ok((listener.to_uppercase(), parsed)),
        None => Err(format!("Invalid security protocol `{protocol}` defined in {name}")),
    };
    pairs.into_iter().map(parse).collect()
}

fn endpoints(
    texts: &[String],
    protocols: &BTreeMap<String, SecurityProtocol>,
    controllers: &[String],
) -> Result<Vec<Endpoint>, String> {
    let shown = texts.join(", ");
    let refuse = |why: String| format!("Error creating broker listeners from '[{shown}]': {why}");
    let mut list: Vec<Endpoint> = Vec::new();
    for text in texts {
        let endpoint = parse_endpoint(text)
            .ok_or_else(|| refuse(format!("Unable to parse {text} to a broker endpoint")))?;
        if !protocols.contains_key(&endpoint.name) && !controllers.contains(&endpoint.name) {
            return Err(refuse(format!("No security protocol defined for listener {}", endpoint.name)));
        }
        if list.iter().any(|other| other.name == endpoint.name) {
            return Err(refuse(format!("Each listener must have a different name, listeners: [{shown}]")));
        }
        list.push(endpoint);
    }
    Ok(list)
}

fn parse_endpoint(text: &str) -> Option<Endpoint> {
    let (name, address) = text.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None => host,
    };
    let is_host = host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:%".contains(c));
    if !is_name || !is_host {
        return None;
    }
    Some(Endpoint { name: name.to_uppercase(), host: host.to_owned(), port: port.parse().ok()? })
}

/// Ports differ, but for 0, and but for a pair of an IPv4 and an IPv6 address (KIP-797).
fn unique_ports(list: &[Endpoint], texts: &[String]) -> Result<(), String> {
    let is_v6 = |endpoint: &Endpoint| endpoint.host.contains(':');
    for (at, one) in list.iter().enumerate() {
        for other in &list[at + 1..] {
            let is_pair = one.port == other.port && is_v6(one) != is_v6(other);
            if one.port == other.port && one.port != 0 && !is_pair {
                let shown = texts.join(", ");
                return Err(format!(
                    "Error creating broker listeners from '[{shown}]': Each listener must have a different port, \
                     listeners: [{shown}]"
                ));
            }
        }
    }
    Ok(())
}

fn check_advertised(bound: &[Endpoint], told: &[Endpoint]) -> Result<(), String> {
    let names =
        |list: &[Endpoint]| list.iter().map(|endpoint| endpoint.name.as_str()).collect::<Vec<_>>().join(",");
    if let Some(endpoint) = told.iter().find(|endpoint| endpoint.host == "0.0.0.0") {
        return Err(format!(
            "requirement failed: advertised.listeners cannot use the nonroutable meta-address {}. Use a routable IP address.",
            endpoint.host
        ));
    }
    if told.iter().any(|told| bound.iter().all(|bound| bound.name != told.name)) {
        return Err(format!(
            "requirement failed: advertised.listeners listener names must be equal to or a subset of the ones defined in \
             listeners. Found {}. The valid options based on the current configuration are {}",
            names(told),
            names(bound)
        ));
    }
    Ok(())
}

fn inter_broker(
    settings: &impl Settings,
    list: &[Listener],
    protocols: &BTreeMap<String, SecurityProtocol>,
) -> Result<String, String> {
    let valid = list.iter().map(|listener| listener.name.as_str()).collect::<Vec<_>>().join(",");
    let missing = format!(
        "requirement failed: inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid \
         options based on currently configured listeners are {valid}"
    );
    if let Some(name) = settings.text("inter.broker.listener.name") {
        let name = name.to_uppercase();
        if settings.is_given("security.inter.broker.protocol") {
            return Err(
                "Only one of inter.broker.listener.name and security.inter.broker.protocol should be set."
                    .to_owned(),
            );
        }
        if !protocols.contains_key(&name) {
            return Err(format!(
                "Listener with name {name} defined in inter.broker.listener.name not found in listener.security.protocol.map."
            ));
        }
        return if list.iter().any(|listener| listener.name == name) { Ok(name) } else { Err(missing) };
    }
    // A lone broker speaks to nobody: where Kafka insists on a listener called PLAINTEXT, the first one will do.
    let protocol =
        settings.text("security.inter.broker.protocol").and_then(|name| SecurityProtocol::parse(&name));
    let by_protocol = list.iter().find(|listener| Some(listener.protocol) == protocol);
    Ok(by_protocol.unwrap_or(&list[0]).name.clone())
}

fn is_wildcard(host: &str) -> bool {
    matches!(host, "" | "0.0.0.0" | "::")
}
