//! Listeners and connections.
//!
//! Enters: sockets. Leaves: requests, in order, to `handlers`; responses, in order, to the socket. May use: handlers, protocol,
//! accepting.

mod admission;
mod advertised;
mod connection;

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ottla_protocol::StrBytes;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::watch;
use tracing::{debug, info};

pub use admission::Admission;
pub use advertised::Advertised;
pub use connection::Limits;

use admission::TooMany;

use crate::accepting::{self, Acceptor};
use crate::broker::{Broker, Endpoint};
use crate::handlers::Client;

/// A listener as it is configured: where to bind, what to tell clients.
#[derive(Clone, Debug)]
pub struct ListenerSpec {
    /// `PLAINTEXT`, `DOCKER`, ...: the listener's name in `listeners`.
    pub name: Arc<str>,
    /// A name or an address; empty for all interfaces.
    pub host: String,
    /// 0 takes a free one.
    pub port: u16,
    /// From `advertised.listeners`; `None` chooses an address that works for each client.
    pub advertised: Option<Endpoint>,
    pub socket: SocketOptions,
}

/// What the system is asked for each socket.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    /// `socket.listen.backlog.size`: clients that have connected and are not accepted yet.
    pub backlog: u32,
    /// `socket.receive.buffer.bytes`; `None` leaves it to the system.
    pub receive_buffer_bytes: Option<u32>,
    /// `socket.send.buffer.bytes`; `None` leaves it to the system.
    pub send_buffer_bytes: Option<u32>,
}

/// A bound listener that has not begun to accept.
#[derive(Debug)]
pub struct Listener {
    name: Arc<str>,
    sockets: Vec<TcpListener>,
    advertised: Advertised,
    port: u16,
}

impl Listener {
    /// Binds every address that the host stands for. The first must be there; the others may be missing: a machine
    /// without IPv6 still serves on 127.0.0.1.
    pub async fn bind(spec: &ListenerSpec) -> io::Result<Listener> {
        let mut sockets: Vec<TcpListener> = Vec::new();
        for mut address in addresses(spec).await? {
            if let (0, Some(first)) = (address.port(), sockets.first()) {
                address.set_port(first.local_addr()?.port());
            }
            match listen(address, spec.socket) {
                Ok(socket) => sockets.push(socket),
                Err(error) if !sockets.is_empty() => debug!(%address, %error, "address left out"),
                Err(error) => {
                    let what = format!("listener {}: cannot listen on {address}: {error}", spec.name);
                    return Err(io::Error::new(error.kind(), what));
                }
            }
        }
        let first = sockets.first().ok_or_else(|| io::Error::other("a listener needs an address"))?;
        let port = first.local_addr()?.port();
        let advertised = Advertised::new(spec.advertised.clone(), port);
        Ok(Listener { name: Arc::clone(&spec.name), sockets, advertised, port })
    }

    /// Every address that is listened on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// What clients are told, in words.
    pub fn advertised(&self) -> &Advertised {
        &self.advertised
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The port that was bound, also where port 0 was asked for.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// For what speaks another protocol than Kafka's.
    pub fn into_sockets(self) -> Vec<TcpListener> {
        self.sockets
    }

    /// The address to write in a ready line: what a client on this machine can use.
    pub fn endpoint(&self) -> Endpoint {
        let local = self.sockets.first().and_then(|socket| socket.local_addr().ok());
        self.advertised.on_this_machine(local)
    }
}

/// Accepts on all listeners until told to stop; ends when every connection has been answered and closed.
pub async fn run(broker: Arc<Broker>, listeners: Vec<Listener>, limits: Limits, stop: watch::Receiver<bool>) {
    let mut sockets = Vec::new();
    for listener in listeners {
        let accept = Accept {
            broker: Arc::clone(&broker),
            name: listener.name,
            advertised: Arc::new(listener.advertised),
            limits: limits.clone(),
            stop: stop.clone(),
        };
        sockets.extend(listener.sockets.into_iter().map(|socket| (socket, accept.clone())));
    }
    accepting::run(sockets, stop).await;
}

fn listen(address: SocketAddr, options: SocketOptions) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    // A broker that starts again takes its port back at once. (On Windows the option means something else.)
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit the buffers; the window's scale is settled before a connection is accepted.
    if let Some(bytes) = options.receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    // A peer that vanished without a word is found out. Accepted sockets inherit it.
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(options.backlog)
}

/// What a listener's host stands for, IPv4 first, as its port is the one that must be free.
async fn addresses(spec: &ListenerSpec) -> io::Result<Vec<SocketAddr>> {
    if spec.host.is_empty() {
        // One socket for both where the system has IPv6; where it has not, binding it fails at once.
        let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, spec.port));
        let has_ipv6 = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).await.is_ok();
        return Ok(vec![if has_ipv6 { all } else { SocketAddr::from((Ipv4Addr::UNSPECIFIED, spec.port)) }]);
    }
    if spec.host == "localhost" {
        // Both, whatever the hosts file says of it (RFC 6761): clients differ in which they try first.
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        return Ok(loopback.map(|ip| SocketAddr::from((ip, spec.port))).into());
    }
    let what = |error: io::Error| {
        io::Error::new(error.kind(), format!("listener {}: host {}: {error}", spec.name, spec.host))
    };
    let mut found: Vec<SocketAddr> =
        lookup_host((spec.host.as_str(), spec.port)).await.map_err(what)?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.dedup();
    Ok(found)
}

#[derive(Clone)]
struct Accept {
    broker: Arc<Broker>,
    name: Arc<str>,
    advertised: Arc<Advertised>,
    limits: Limits,
    stop: watch::Receiver<bool>,
}

impl Acceptor for Accept {
    const CONNECTION: &str = "a connection";

    type Room = ();

    async fn room(&self) -> io::Result<()> {
        self.limits.admission.room(|| self.broker.config()).await;
        Ok(())
    }

    fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        (): (),
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let slot = match self.limits.admission.admit(&self.broker.config(), peer.ip()) {
            Ok(slot) => slot,
            Err(TooMany { limit }) => {
                info!(%peer, limit, "connection refused: max.connections.per.ip");
                return None;
            }
        };
        let client = self.client(&stream, peer)?;
        let serving = connection::serve(stream, client, self.limits.clone(), self.stop.clone());
        Some(async move {
            serving.await;
            drop(slot);
        })
    }
}

impl Accept {
    fn client(&self, stream: &TcpStream, peer: SocketAddr) -> Option<Arc<Client>> {
        let local = stream.local_addr().ok()?;
        let advertised = self.advertised.for_client(&self.name, peer.ip(), local.ip());
        Some(Arc::new(Client {
            broker: Arc::clone(&self.broker),
            peer,
            host: StrBytes::from_string(format!("/{}", peer.ip().to_canonical())),
            local,
            listener: Arc::clone(&self.name),
            advertised,
            produce_turn: tokio::sync::Mutex::default(),
            share: self.broker.share().connection(),
        }))
    }
}
