//! Who asks, over which connection, and what answers.

use std::net::SocketAddr;
use std::sync::Arc;

use ottla_protocol::StrBytes;
use ottla_protocol::request::RequestHeader;

use crate::broker::share::ShareConnection;
use crate::broker::{Broker, Endpoint};

/// One connection as its handlers see it.
pub struct Client {
    pub broker: Arc<Broker>,
    pub peer: SocketAddr,
    /// Its address as Java writes one that was never looked up.
    pub host: StrBytes,
    /// The address on our side that the client reached.
    pub local: SocketAddr,
    /// Name of the listener that accepted it, such as PLAINTEXT.
    pub listener: Arc<str>,
    /// Where this client is told to connect to.
    pub advertised: Endpoint,
    /// Held while a Produce request's records go to the logs: a later one of the same connection waits for it.
    pub produce_turn: tokio::sync::Mutex<()>,
    /// Its share sessions, which end with it.
    pub share: ShareConnection,
}

/// One request's surroundings; the body is the handler's other argument.
#[derive(Clone)]
pub struct Context {
    pub client: Arc<Client>,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
    /// How large the whole request is: what a slice of it keeps in memory.
    pub request_bytes: usize,
}

impl Context {
    pub fn new(client: Arc<Client>, header: RequestHeader, request_bytes: usize) -> Context {
        Context {
            client,
            api_version: header.api_version,
            correlation_id: header.correlation_id,
            client_id: header.client_id,
            request_bytes,
        }
    }

    pub fn broker(&self) -> &Arc<Broker> {
        &self.client.broker
    }

    /// The host and port of this broker that work for this client.
    pub fn advertised(&self) -> &Endpoint {
        &self.client.advertised
    }

    pub fn client_host(&self) -> StrBytes {
        self.client.host.clone()
    }

    /// The client's id, empty when it gave none.
    pub fn client_id(&self) -> &str {
        self.client_id.as_deref().unwrap_or("")
    }
}
