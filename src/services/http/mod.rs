//! HTTP/1.1, plain or with TLS, for services that are asked that way.
//!
//! Enters: bound sockets, a [`Service`]. Leaves: requests with their whole body; the service's answers, in order. Knows
//! nothing of what is asked. What a client may use of the broker's memory and time is in [`Limits`].

mod connection;
mod stalled;
mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::debug;

pub use tls::{TlsError, TlsSettings};

use crate::accepting::{self, Acceptor};

/// What answers.
pub trait Service: Send + Sync + 'static {
    /// Looks at a request before its body is read; an answer ends it here.
    fn refuse(&self, head: &Parts) -> Option<Response<Bytes>>;

    /// Answers a request.
    fn answer(&self, request: Request<Bytes>) -> impl Future<Output = Response<Bytes>> + Send;

    /// The answer to what is wrong with a request on the level of HTTP: a body that is too large (413) or too slow (408); too many
    /// answers that nobody takes (503).
    fn malformed(&self, status: u16) -> Response<Bytes>;
}

/// One bound address, and how it is spoken there.
pub struct Bound {
    pub socket: TcpListener,
    pub tls: Option<TlsSettings>,
}

/// What clients may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Further clients wait in the system's backlog.
    pub connections: usize,
    /// A request's line and headers.
    pub head_bytes: usize,
    pub body_bytes: usize,
    /// Bodies and answers up to this are not counted in the next two: there are only so many connections.
    pub small_bytes: usize,
    /// Of all bodies that are being read or answered.
    pub bodies_bytes: usize,
    /// Of all answers that are being written: a client that finds no room gets 503.
    pub answers_bytes: usize,
    /// Until a request's head is there; a connection that asks for nothing is closed then, too.
    pub head_within: Duration,
    /// Until its body is there.
    pub body_within: Duration,
    /// A client that takes nothing of its answer for so long is given up.
    pub stalled_within: Duration,
    /// When the server stops, an answer may take so long.
    pub finish_within: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 1024,
            head_bytes: 32 * 1024,
            body_bytes: 8 * 1024 * 1024,
            small_bytes: 16 * 1024,
            bodies_bytes: 64 * 1024 * 1024,
            answers_bytes: 256 * 1024 * 1024,
            // The idle timeout of Confluent's registry.
            head_within: Duration::from_secs(30),
            body_within: Duration::from_secs(30),
            stalled_within: Duration::from_secs(30),
            finish_within: Duration::from_secs(5),
        }
    }
}

/// What the connections of one server have in common.
struct Shared<S> {
    service: S,
    limits: Limits,
    connections: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    answers: Arc<Semaphore>,
}

/// Serves on all sockets until told to stop; ends when every connection has been answered and closed.
pub async fn run<S: Service>(bound: Vec<Bound>, service: S, limits: Limits, stop: watch::Receiver<bool>) {
    let shared = Arc::new(Shared {
        service,
        limits,
        connections: Arc::new(Semaphore::new(limits.connections)),
        bodies: Arc::new(Semaphore::new(limits.bodies_bytes)),
        answers: Arc::new(Semaphore::new(limits.answers_bytes)),
    });
    let accept = |tls| Accept { tls, shared: Arc::clone(&shared), stop: stop.clone() };
    let sockets = bound.into_iter().map(|Bound { socket, tls }| (socket, accept(tls))).collect();
    accepting::run(sockets, stop).await;
}

struct Accept<S> {
    tls: Option<TlsSettings>,
    shared: Arc<Shared<S>>,
    stop: watch::Receiver<bool>,
}

impl<S: Service> Acceptor for Accept<S> {
    const CONNECTION: &str = "an HTTP connection";

    type Room = OwnedSemaphorePermit;

    async fn room(&self) -> io::Result<OwnedSemaphorePermit> {
        Arc::clone(&self.shared.connections).acquire_owned().await.map_err(io::Error::other)
    }

    fn serve(
        &self,
        stream: TcpStream,
        _: SocketAddr,
        room: OwnedSemaphorePermit,
    ) -> Option<impl Future<Output = ()> + Send + use<S>> {
        let serving =
            connection::serve(stream, self.tls.clone(), Arc::clone(&self.shared), self.stop.clone());
        Some(async move {
            if let Err(error) = serving.await {
                debug!(%error, "an HTTP connection ended early");
            }
            drop(room);
        })
    }
}

#[cfg(test)]
mod tests;
