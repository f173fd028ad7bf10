//! One client's connection: frames in, responses out, both in order.
//!
//! Requests are handed to their handlers in the order in which they came. A Produce request is submitted to the
//! log the first time its future is polled, so several may wait for their commit at once; any other request is
//! answered before the next frame is read, as Kafka does it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use ottla_protocol::frame::{self, SIZE_LENGTH};
use ottla_protocol::request;
use ottla_protocol::response::ResponseFrame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::{debug, info, warn};

use crate::handlers::{self, Api, Client, Context, PendingReply, Reply};

/// What a connection may use, shared by all of them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `socket.request.max.bytes`: the largest frame that is read.
    pub max_request_bytes: usize,
    /// Bytes of requests that are being handled, over all connections (`queued.max.request.bytes`).
    pub in_flight_bytes: Arc<Semaphore>,
    /// How many bytes `in_flight_bytes` has in all; a larger frame takes them all.
    pub max_in_flight_bytes: usize,
    /// `connections.max.idle.ms`: a connection without a request for so long is closed.
    pub max_idle: Duration,
}

/// Produce requests of one connection that may wait for their commit at once.
const MAX_PIPELINED: usize = 64;
/// A connection's first read; its buffer grows with what has really arrived.
const READ_BYTES: usize = 8 * 1024;
/// How much a large frame's buffer grows at a time, so that a length alone allocates nothing.
const GROW_BYTES: usize = 1024 * 1024;

/// Serves a connection until the client closes it, it breaks the protocol, or the server stops.
pub async fn serve(stream: TcpStream, client: Arc<Client>, limits: Limits, mut stop: watch::Receiver<bool>) {
    let peer = client.peer;
    let mut connection =
        Connection { stream, client, limits, buffer: BytesMut::new(), pending: VecDeque::new() };
    tokio::select! {
        ended = connection.run() => match ended {
            Ok(()) => debug!(%peer, "connection closed by the client"),
            Err(End::Io(error)) => debug!(%peer, %error, "connection lost"),
            Err(End::Idle) => debug!(%peer, "connection idle for connections.max.idle.ms, closed"),
            Err(End::Protocol(reason)) => info!(%peer, %reason, "connection closed: not a request that Kafka accepts"),
            Err(End::Handler) => debug!(%peer, "connection closed by a handler"),
        },
        () = stopped(&mut stop) => {
            // What has been submitted is answered before the connection goes.
            if let Err(End::Io(error)) = connection.finish().await {
                debug!(%peer, %error, "connection lost while stopping");
            }
        }
    }
}

/// Ends when the server has been told to stop.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A server that is gone without a word is one that stopped.
    let _gone = stop.wait_for(|stopping| *stopping).await.is_err();
}

/// Why a connection ended before the client closed it.
#[derive(Debug)]
enum End {
    Io(io::Error),
    Idle,
    Protocol(String),
    Handler,
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        End::Io(error)
    }
}

struct Connection {
    stream: TcpStream,
    client: Arc<Client>,
    limits: Limits,
    buffer: BytesMut,
    pending: VecDeque<Pending>,
}

/// A request that has been handed over and not been answered yet.
struct Pending {
    reply: PendingReply,
    pipelined: bool,
    _in_flight: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(&mut self) -> Result<(), End> {
        loop {
            if self.may_read() {
                // The size of a frame is looked at where it lies: nothing is lost when this future is dropped.
                let frame = tokio::select! {
                    biased;
                    reply = first_reply(&mut self.pending) => Err(reply),
                    frame = read_frame(&mut self.stream, &mut self.buffer, &self.limits) => Ok(frame?),
                };
                match frame {
                    Ok(Some(frame)) => self.submit(frame).await?,
                    Ok(None) => return self.finish().await,
                    Err(reply) => self.answer(reply).await?,
                }
            } else {
                let reply = first_reply(&mut self.pending).await;
                self.answer(reply).await?;
            }
        }
    }

    fn may_read(&self) -> bool {
        self.pending.len() < MAX_PIPELINED && self.pending.back().is_none_or(|last| last.pipelined)
    }

    /// Hands a frame to its handler and polls it once, which is what puts its records in the log's order.
    async fn submit(&mut self, frame: Bytes) -> Result<(), End> {
        let permits = u32::try_from(frame.len().min(self.limits.max_in_flight_bytes)).unwrap_or(u32::MAX);
        let in_flight = Arc::clone(&self.limits.in_flight_bytes)
            .acquire_many_owned(permits)
            .await
            .map_err(|_| End::Handler)?;
        let (api, mut reply) = dispatch(&self.client, frame)?;
        match poll_fn(|context| Poll::Ready(reply.as_mut().poll(context))).await {
            Poll::Ready(reply) if self.pending.is_empty() => self.answer(reply).await,
            Poll::Ready(ready) => {
                let reply: PendingReply = Box::pin(std::future::ready(ready));
                self.pending.push_back(Pending { reply, pipelined: api.pipelined, _in_flight: in_flight });
                Ok(())
            }
            Poll::Pending => {
                self.pending.push_back(Pending { reply, pipelined: api.pipelined, _in_flight: in_flight });
                Ok(())
            }
        }
    }

    async fn finish(&mut self) -> Result<(), End> {
        while !self.pending.is_empty() {
            let reply = first_reply(&mut self.pending).await;
            self.answer(reply).await?;
        }
        Ok(())
    }

    async fn answer(&mut self, reply: Reply) -> Result<(), End> {
        match reply {
            Reply::Respond(frame) => Ok(write_all(&mut self.stream, frame).await?),
            Reply::Nothing => Ok(()),
            Reply::Close => Err(End::Handler),
        }
    }
}

/// Waits for the oldest pending reply and takes it from the queue; never ends while the queue is empty.
async fn first_reply(pending: &mut VecDeque<Pending>) -> Reply {
    let reply = poll_fn(|context| match pending.front_mut() {
        Some(first) => first.reply.as_mut().poll(context),
        None => Poll::Pending,
    })
    .await;
    pending.pop_front();
    reply
}

/// The next whole frame without its size; `None` when the client closed between two frames.
async fn read_frame(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    limits: &Limits,
) -> Result<Option<Bytes>, End> {
    loop {
        if let Some(prefix) = buffer.first_chunk::<SIZE_LENGTH>() {
            let size = frame::request_size(*prefix, limits.max_request_bytes)
                .map_err(|e| End::Protocol(e.to_string()))?;
            if buffer.len() >= SIZE_LENGTH + size {
                buffer.advance(SIZE_LENGTH);
                return Ok(Some(buffer.split_to(size).freeze()));
            }
            let missing = SIZE_LENGTH + size - buffer.len();
            buffer.reserve(missing.min(GROW_BYTES));
        } else {
            wait_readable(stream, buffer, limits).await?;
            buffer.reserve(READ_BYTES);
        }
        let read =
            tokio::time::timeout(limits.max_idle, stream.read_buf(buffer)).await.map_err(|_| End::Idle)??;
        if read == 0 {
            return if buffer.is_empty() {
                Ok(None)
            } else {
                Err(End::Io(io::ErrorKind::UnexpectedEof.into()))
            };
        }
    }
}

/// An idle connection keeps no buffer: it is allocated when there is something to read.
async fn wait_readable(stream: &TcpStream, buffer: &mut BytesMut, limits: &Limits) -> Result<(), End> {
    if buffer.is_empty() {
        *buffer = BytesMut::new();
        tokio::time::timeout(limits.max_idle, stream.readable()).await.map_err(|_| End::Idle)??;
    }
    Ok(())
}

fn dispatch(client: &Arc<Client>, mut frame: Bytes) -> Result<(&'static Api, PendingReply), End> {
    let header = request::decode_header(&mut frame).map_err(|e| End::Protocol(e.to_string()))?;
    let Some(api) = handlers::find(header.api_key) else {
        return Err(End::Protocol(format!("API key {} is not served", header.api_key)));
    };
    let context = Context::new(Arc::clone(client), header);
    match api.call(context, frame) {
        Ok(reply) => Ok((api, reply)),
        Err(error) => {
            warn!(peer = %client.peer, api = api.name, %error, "request refused");
            Err(End::Protocol(error.to_string()))
        }
    }
}

/// Writes a response's parts with as few system calls as the kernel allows, without joining them.
async fn write_all(stream: &mut TcpStream, frame: ResponseFrame) -> io::Result<()> {
    const MAX_SLICES: usize = 64;
    let mut parts: VecDeque<Bytes> = frame.parts.into();
    while !parts.is_empty() {
        let slices: Vec<IoSlice<'_>> = parts.iter().take(MAX_SLICES).map(|part| IoSlice::new(part)).collect();
        let mut written = stream.write_vectored(&slices).await?;
        if written == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(part) = parts.front_mut() {
            if part.len() > written {
                part.advance(written);
                break;
            }
            written -= part.len();
            parts.pop_front();
        }
    }
    Ok(())
}
