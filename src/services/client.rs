//! A client of the broker within its process: typed requests through the API table, encoded and decoded as on the wire, without
//! a socket between.
//! Enters: a typed request. Leaves: its typed response.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use bytes::{Bytes, BytesMut};
use ottla_protocol::messages::{Decodable, HeaderVersion, MetadataRequest, Request, ResponseHeader};
use ottla_protocol::request::RequestHeader;
use ottla_protocol::{ErrorCode, StrBytes};

use crate::broker::{Broker, Endpoint};
use crate::handlers::{self, Context, Reply};

/// One "connection" to the broker of this process.
pub struct Client {
    connection: Arc<handlers::Client>,
    client_id: StrBytes,
    correlation_id: AtomicI32,
}

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// Not served, or closed as a connection would be.
    Refused(&'static str),
    /// The request does not fit its version, or the answer cannot be read.
    Malformed(String),
    /// The answer says so.
    Kafka(ErrorCode, String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Refused(what) => write!(f, "the broker closed the connection at {what}"),
            CallError::Malformed(why) => f.write_str(why),
            CallError::Kafka(code, message) if message.is_empty() => code.fmt(f),
            CallError::Kafka(code, message) => write!(f, "{code}: {message}"),
        }
    }
}

impl std::error::Error for CallError {}

/// Where its requests come from.
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Client {
    pub fn new(broker: Arc<Broker>, client_id: &'static str) -> Client {
        let share = broker.share().connection();
        let connection = handlers::Client {
            broker,
            peer: LOOPBACK,
            host: StrBytes::from_string(format!("/{}", LOOPBACK.ip())),
            local: LOOPBACK,
            listener: Arc::from("INTERNAL"),
            advertised: Endpoint { host: LOOPBACK.ip().to_string(), port: LOOPBACK.port() },
            produce_turn: tokio::sync::Mutex::default(),
            share,
        };
        Client {
            connection: Arc::new(connection),
            client_id: StrBytes::from_static_str(client_id),
            correlation_id: AtomicI32::new(0),
        }
    }

    /// Sends a request and waits for its answer.
    pub async fn call<R: Request>(&self, version: i16, request: &R) -> Result<R::Response, CallError> {
        let api = handlers::find(R::KEY).ok_or(CallError::Refused("an API that is not served"))?;
        let body = encode(version, request)?;
        let header = RequestHeader {
            api_key: R::KEY,
            api_version: version,
            correlation_id: self.correlation_id.fetch_add(1, Ordering::Relaxed),
            client_id: Some(self.client_id.clone()),
        };
        let context = Context::new(Arc::clone(&self.connection), header, body.len());
        let reply = api.call(context, body).map_err(|error| CallError::Malformed(error.to_string()))?;
        match reply.await {
            Reply::Respond(frame) => decode::<R>(version, frame.to_bytes()),
            Reply::Nothing | Reply::Close => Err(CallError::Refused(api.name)),
        }
    }

    /// The time by the broker's clock.
    pub fn now_ms(&self) -> i64 {
        self.connection.broker.clock.now_ms()
    }

    /// The id of the cluster, as Metadata tells it.
    pub async fn cluster_id(&self) -> Result<String, CallError> {
        let no_topics =
            MetadataRequest::default().with_topics(Some(Vec::new())).with_allow_auto_topic_creation(false);
        let metadata = self.call(9, &no_topics).await?;
        Ok(metadata.cluster_id.as_deref().unwrap_or_default().to_owned())
    }
}

fn encode<R: Request>(version: i16, request: &R) -> Result<Bytes, CallError> {
    let mut body = BytesMut::new();
    request.encode(&mut body, version).map_err(|error| CallError::Malformed(error.to_string()))?;
    Ok(body.freeze())
}

/// The frame's size stands before the header.
const SIZE_BYTES: usize = 4;

fn decode<R: Request>(version: i16, mut frame: Bytes) -> Result<R::Response, CallError> {
    let unreadable = |error: String| CallError::Malformed(error);
    let mut answer = frame.split_off(SIZE_BYTES.min(frame.len()));
    ResponseHeader::decode(&mut answer, R::Response::header_version(version))
        .map_err(|error| unreadable(error.to_string()))?;
    R::Response::decode(&mut answer, version).map_err(|error| unreadable(error.to_string()))
}
