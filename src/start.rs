//! Puts the rooms together: a broker with its listeners, in a test or in the binary.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::frame::DEFAULT_MAX_REQUEST_BYTES;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::broker::{Broker, Endpoint};
use crate::clock::Clock;
use crate::server::{self, Limits, Listener, ListenerSpec};

/// What a broker is started with.
#[derive(Debug)]
pub struct Builder {
    clock: Clock,
    bind: Vec<SocketAddr>,
}

impl Broker {
    /// A broker on loopback and a free port, for a Rust test.
    pub fn builder() -> Builder {
        Builder { clock: Clock::default(), bind: vec![SocketAddr::from(([127, 0, 0, 1], 0))] }
    }
}

impl Builder {
    /// Listens on `port` of the loopback address; 0 takes a free one.
    pub fn port(mut self, port: u16) -> Builder {
        self.bind = vec![SocketAddr::from(([127, 0, 0, 1], port))];
        self
    }

    pub fn clock(mut self, clock: Clock) -> Builder {
        self.clock = clock;
        self
    }

    /// Binds, and serves until [`Running::stop`].
    pub async fn start(self) -> io::Result<Running> {
        let spec = ListenerSpec { name: Arc::from("PLAINTEXT"), bind: self.bind, advertised: None };
        let listener = Listener::bind(&spec).await?;
        let endpoint = listener.endpoint();
        let broker = Broker::new(self.clock);
        let limits = Limits {
            max_request_bytes: DEFAULT_MAX_REQUEST_BYTES,
            in_flight_bytes: Arc::new(Semaphore::new(MAX_IN_FLIGHT_BYTES)),
            max_idle: Duration::from_mins(10),
        };
        let (stop, stopping) = watch::channel(false);
        let serving = tokio::spawn(server::run(Arc::clone(&broker), vec![listener], limits, stopping));
        Ok(Running { broker, endpoint, stop, serving })
    }
}

/// Requests of all connections that are being handled at once, in bytes.
const MAX_IN_FLIGHT_BYTES: usize = 256 * 1024 * 1024;

/// A broker that serves.
#[derive(Debug)]
pub struct Running {
    broker: Arc<Broker>,
    endpoint: Endpoint,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Running {
    /// `host:port` for a client's `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> String {
        self.endpoint.to_string()
    }

    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Answers what has been accepted, closes the connections and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // The serving task was neither aborted nor does it panic: a connection's panic ends in its own task.
        let _ended = self.serving.await.is_ok();
    }
}
