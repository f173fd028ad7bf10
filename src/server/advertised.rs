//! Which address a client is told: Kafka's `advertised.listeners`, or one that works for the client that asks.
//!
//! With nothing configured, a client is told the address that it reached; a client that came through a container's
//! gateway (a published port) is told `localhost`, since the address it reached exists only inside.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tracing::info;

use crate::broker::Endpoint;

/// Peers whose answer has been logged; past this many, further ones are not told of.
const MAX_LOGGED: usize = 1024;

/// The addresses that one listener tells.
#[derive(Debug)]
pub struct Advertised {
    configured: Option<Endpoint>,
    port: u16,
    gateways: Vec<IpAddr>,
    logged: Mutex<HashSet<(IpAddr, IpAddr)>>,
}

impl Advertised {
    /// `port` is the bound one; an advertised port of 0 means that one, as in Kafka.
    pub fn new(configured: Option<Endpoint>, port: u16) -> Advertised {
        let configured = configured.map(|mut endpoint| {
            if endpoint.port == 0 {
                endpoint.port = port;
            }
            endpoint
        });
        Advertised { configured, port, gateways: container_gateways(), logged: Mutex::default() }
    }

    /// What a client from `peer`, that reached us on `local`, is told; said once per pair in the log.
    pub fn for_client(&self, listener: &str, peer: IpAddr, local: IpAddr) -> Endpoint {
        let (endpoint, reason) = self.choose(peer.to_canonical(), local.to_canonical());
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() < MAX_LOGGED && logged.insert((peer, local)) {
            info!(client = %peer, listener, told = %endpoint, "client told {endpoint}: {reason}");
        }
        endpoint
    }

    /// What a client on this machine would use, for the ready line.
    pub fn on_this_machine(&self, local: Option<SocketAddr>) -> Endpoint {
        if let Some(configured) = &self.configured {
            return configured.clone();
        }
        match local {
            Some(local) if !local.ip().is_unspecified() => {
                Endpoint { host: local.ip().to_string(), port: self.port }
            }
            _ => Endpoint { host: "localhost".into(), port: self.port },
        }
    }

    /// What clients of the listener are told, for the log.
    pub fn rule(&self) -> String {
        match &self.configured {
            Some(configured) => format!("clients are told {configured}"),
            None => "each client is told the address that it reached".to_owned(),
        }
    }

    fn choose(&self, peer: IpAddr, local: IpAddr) -> (Endpoint, &'static str) {
        if let Some(configured) = &self.configured {
            return (configured.clone(), "advertised.listeners says so");
        }
        let localhost = || Endpoint { host: "localhost".into(), port: self.port };
        if self.gateways.contains(&peer) {
            return (localhost(), "it came through the container's gateway");
        }
        if !self.gateways.is_empty() && peer == local && !peer.is_loopback() {
            // Rootless engines forward a published port so; a client inside can use localhost as well.
            return (localhost(), "it came from the container's own address");
        }
        (Endpoint { host: local.to_string(), port: self.port }, "the address it reached")
    }
}

/// The gateways of this container's networks, from the kernel's routing table; none outside a container.
fn container_gateways() -> Vec<IpAddr> {
    let inside = Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists();
    if !inside {
        return Vec::new();
    }
    fs::read_to_string("/proc/net/route").map_or_else(|_| Vec::new(), |table| parse_gateways(&table))
}

/// Lines of `/proc/net/route`: interface, destination, gateway, flags, ..., mask (hexadecimal, little end first).
///
/// The default route names its gateway; the other networks' is their first address, as Docker and Podman give it.
fn parse_gateways(table: &str) -> Vec<IpAddr> {
    let address = |field: Option<&&str>| u32::from_str_radix(field?, 16).ok().map(u32::swap_bytes);
    let mut gateways = Vec::new();
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(network), Some(gateway)) = (address(fields.get(1)), address(fields.get(2))) else {
            continue;
        };
        let gateway = if gateway == 0 { network.wrapping_add(1) } else { gateway };
        gateways.push(IpAddr::V4(Ipv4Addr::from(gateway)));
    }
    gateways
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
        eth1\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";

    fn check(configured: Option<&str>, peer: &str, local: &str, expected: &str) {
        let configured = configured.map(|host| Endpoint { host: host.into(), port: 0 });
        let mut advertised = Advertised::new(configured, 9092);
        advertised.gateways = parse_gateways(ROUTES);
        let told = advertised.for_client("PLAINTEXT", peer.parse().unwrap(), local.parse().unwrap());
        assert_eq!(told.to_string(), expected, "{peer} on {local}");
    }

    #[test]
    fn each_client_is_told_an_address_that_works_for_it() {
        check(None, "127.0.0.1", "127.0.0.1", "127.0.0.1:9092");
        check(None, "::1", "::1", "[::1]:9092");
        check(None, "::ffff:10.0.0.7", "::ffff:10.0.0.9", "10.0.0.9:9092");
        // A sibling container, on either of two networks.
        check(None, "172.17.0.5", "172.17.0.2", "172.17.0.2:9092");
        check(None, "172.18.0.5", "172.18.0.2", "172.18.0.2:9092");
        // The host through a published port: by the default route's gateway, or by the second network's.
        check(None, "172.17.0.1", "172.17.0.2", "localhost:9092");
        check(None, "172.18.0.1", "172.18.0.2", "localhost:9092");
        // A rootless engine's forwarder, and a client beside the broker.
        check(None, "172.17.0.2", "172.17.0.2", "localhost:9092");
        check(None, "127.0.0.1", "127.0.0.1", "127.0.0.1:9092");
        check(Some("kafka.test"), "172.17.0.1", "172.17.0.2", "kafka.test:9092");
    }
}
