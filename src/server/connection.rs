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
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::{debug, info};

use super::Admission;
use crate::accepting::stopped;
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
    /// `connections.max.idle.ms`: a connection without a request for so long is closed, and so is one whose client does
    /// not take its answers for so long.
    pub max_idle: Duration,
    /// `max.connections` and its kin.
    pub admission: Arc<Admission>,
}

/// Once a frame has begun, its bytes are budgeted for: who sends none for so long is holding up others.
const MAX_SILENCE_IN_FRAME: Duration = Duration::from_secs(30);
/// When the broker stops, a client gets so long to take the answers to what it produced.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// Produce requests of one connection that may wait for their commit at once.
const MAX_PIPELINED: usize = 64;
/// A connection's first read; its buffer grows with what has really arrived.
const READ_BYTES: usize = 8 * 1024;
/// How much a large frame's buffer grows at a time, so that a length alone allocates nothing.
const GROW_BYTES: usize = 1024 * 1024;

/// Serves a connection until the client closes it, it breaks the protocol, or the server stops.
pub async fn serve(stream: TcpStream, client: Arc<Client>, limits: Limits, mut stop: watch::Receiver<bool>) {
    let peer = client.peer;
    let mut connection = Connection {
        stream,
        client,
        limits,
        buffer: BytesMut::new(),
        budget: None,
        pending: VecDeque::new(),
        writing: VecDeque::new(),
    };
    tokio::select! {
        ended = connection.run() => match ended {
            Ok(()) => debug!(%peer, "connection closed by the client"),
            Err(End::Io(error)) => debug!(%peer, %error, "connection lost"),
            Err(End::Idle) => debug!(%peer, "connection idle for connections.max.idle.ms, closed"),
            Err(End::Stalled) => info!(%peer, "connection closed: the rest of a request did not come"),
            Err(End::Protocol(reason)) => info!(%peer, %reason, "connection closed: not a request that Kafka accepts"),
            Err(End::Handler) => debug!(%peer, "connection closed by a handler"),
        },
        () = stopped(&mut stop) => {
            match tokio::time::timeout(FINISH_WITHIN, connection.finish_writes()).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => debug!(%peer, ?why, "connection lost while stopping"),
                Err(_) => info!(%peer, "the client did not take its last answers"),
            }
        }
    }
}

/// Why a connection ended before the client closed it.
#[derive(Debug)]
enum End {
    Io(io::Error),
    Idle,
    Stalled,
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
    /// What `Limits::in_flight_bytes` gave for the frame that is being read.
    budget: Option<OwnedSemaphorePermit>,
    pending: VecDeque<Pending>,
    /// What the client has not taken yet of the answer that is being written.
    writing: VecDeque<Bytes>,
}

/// A request that has been handed over and not been answered yet.
struct Pending {
    reply: PendingReply,
    pipelined: bool,
    _in_flight: Option<OwnedSemaphorePermit>,
}

impl Connection {
    async fn run(&mut self) -> Result<(), End> {
        loop {
            if self.may_read() {
                // The size of a frame is looked at where it lies: nothing is lost when this future is dropped.
                let (stream, buffer, budget) = (&mut self.stream, &mut self.buffer, &mut self.budget);
                let frame = tokio::select! {
                    biased;
                    reply = first_reply(&mut self.pending) => Err(reply),
                    frame = read_frame(stream, buffer, budget, &self.limits) => Ok(frame?),
                };
                match frame {
                    Ok(Some((frame, in_flight))) => self.submit(frame, in_flight).await?,
                    Ok(None) => return self.finish().await,
                    Err(reply) => self.answer(reply).await?,
                }
            } else {
                // Kafka, too, counts a client as idle that waits for an answer.
                let waiting = tokio::time::timeout(self.limits.max_idle, first_reply(&mut self.pending));
                let reply = waiting.await.map_err(|_| End::Idle)?;
                self.answer(reply).await?;
            }
        }
    }

    fn may_read(&self) -> bool {
        self.pending.len() < MAX_PIPELINED && self.pending.back().is_none_or(|last| last.pipelined)
    }

    /// Hands a frame to its handler and polls it once, which is what puts its records in the log's order. What is not
    /// pipelined begins when everything before it is answered: a fetch sees what the connection has produced.
    async fn submit(&mut self, frame: Bytes, in_flight: OwnedSemaphorePermit) -> Result<(), End> {
        // What waits for long is small: it must not keep the bytes from those who would end its waiting.
        let is_small = frame.len() <= READ_BYTES;
        let (api, mut reply) = dispatch(&self.client, frame)?;
        let polled = if api.pipelined || self.pending.is_empty() {
            poll_fn(|context| Poll::Ready(reply.as_mut().poll(context))).await
        } else {
            Poll::Pending
        };
        match polled {
            Poll::Ready(reply) if self.pending.is_empty() => self.answer(reply).await,
            polled => {
                if let Poll::Ready(ready) = polled {
                    reply = Box::pin(std::future::ready(ready));
                }
                let _in_flight = (!is_small).then_some(in_flight);
                self.pending.push_back(Pending { reply, pipelined: api.pipelined, _in_flight });
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

    /// Answers what has been submitted to a log, and what has its answer already. Whoever waits for something to happen
    /// waits for another broker.
    async fn finish_writes(&mut self) -> Result<(), End> {
        // The stop may have come in the middle of an answer.
        self.write().await?;
        while let Some(reply) = first_write(&mut self.pending).await {
            self.answer(reply).await?;
        }
        Ok(())
    }

    async fn answer(&mut self, reply: Reply) -> Result<(), End> {
        match reply {
            Reply::Respond(frame) => {
                self.writing = frame.parts.into();
                self.write().await
            }
            Reply::Nothing => Ok(()),
            Reply::Close => Err(End::Handler),
        }
    }

    async fn write(&mut self) -> Result<(), End> {
        write_all(&mut self.stream, &mut self.writing, self.limits.max_idle).await
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

/// Like [`first_reply`], but ends with nothing where only something else than the log could bring the reply.
async fn first_write(pending: &mut VecDeque<Pending>) -> Option<Reply> {
    let reply = poll_fn(|context| match pending.front_mut() {
        Some(first) => match first.reply.as_mut().poll(context) {
            Poll::Pending if first.pipelined => Poll::Pending,
            Poll::Pending => Poll::Ready(None),
            Poll::Ready(reply) => Poll::Ready(Some(reply)),
        },
        None => Poll::Ready(None),
    })
    .await;
    pending.pop_front();
    reply
}

/// The next whole frame without its size, and its share of the bytes in flight; `None` when the client closed between
/// two frames. Memory for a frame's bytes is asked for before they are read.
async fn read_frame(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    budget: &mut Option<OwnedSemaphorePermit>,
    limits: &Limits,
) -> Result<Option<(Bytes, OwnedSemaphorePermit)>, End> {
    loop {
        let mut patience = limits.max_idle;
        if let Some(prefix) = buffer.first_chunk::<SIZE_LENGTH>() {
            let size = frame::request_size(*prefix, limits.max_request_bytes)
                .map_err(|e| End::Protocol(e.to_string()))?;
            let in_flight = match budget.take() {
                Some(in_flight) => in_flight,
                None => acquire(limits, size).await?,
            };
            if buffer.len() >= SIZE_LENGTH + size {
                buffer.advance(SIZE_LENGTH);
                // Where nothing follows, the frame takes the buffer along: a batch that nobody shares is not copied.
                let is_whole = buffer.len() == size;
                let frame = if is_whole { std::mem::take(buffer) } else { buffer.split_to(size) };
                return Ok(Some((frame.freeze(), in_flight)));
            }
            *budget = Some(in_flight);
            patience = patience.min(MAX_SILENCE_IN_FRAME);
            let missing = SIZE_LENGTH + size - buffer.len();
            buffer.reserve(missing.min(GROW_BYTES));
        } else {
            wait_readable(stream, buffer, limits).await?;
            buffer.reserve(READ_BYTES);
        }
        let silent = |_| if budget.is_some() { End::Stalled } else { End::Idle };
        let read = tokio::time::timeout(patience, stream.read_buf(buffer)).await.map_err(silent)??;
        if read == 0 {
            return if buffer.is_empty() {
                Ok(None)
            } else {
                Err(End::Io(io::ErrorKind::UnexpectedEof.into()))
            };
        }
    }
}

/// Waits until a frame of `size` bytes may be held. Answering gives bytes back, so the waiting ends.
async fn acquire(limits: &Limits, size: usize) -> Result<OwnedSemaphorePermit, End> {
    let permits = u32::try_from(size.min(limits.max_in_flight_bytes)).unwrap_or(u32::MAX);
    Arc::clone(&limits.in_flight_bytes).acquire_many_owned(permits).await.map_err(|_| End::Handler)
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
    let request_bytes = frame.len();
    let header = request::decode_header(&mut frame).map_err(|e| End::Protocol(e.to_string()))?;
    let Some(api) = handlers::find(header.api_key) else {
        return Err(End::Protocol(format!("API key {} is not served", header.api_key)));
    };
    let context = Context::new(Arc::clone(client), header, request_bytes);
    let reply = api.call(context, frame).map_err(|error| End::Protocol(format!("{}: {error}", api.name)))?;
    Ok((api, reply))
}

/// Writes a response's parts with as few system calls as the kernel allows, without joining them. A client that takes
/// nothing for `max_idle` is given up. What is left in `parts` when this future is dropped has not been written.
async fn write_all(
    stream: &mut TcpStream,
    parts: &mut VecDeque<Bytes>,
    max_idle: Duration,
) -> Result<(), End> {
    const MAX_SLICES: usize = 64;
    while !parts.is_empty() {
        let slices: Vec<IoSlice<'_>> = parts.iter().take(MAX_SLICES).map(|part| IoSlice::new(part)).collect();
        let writing = tokio::time::timeout(max_idle, stream.write_vectored(&slices));
        let mut written = writing.await.map_err(|_| End::Idle)??;
        if written == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(End::Io(io::ErrorKind::WriteZero.into()));
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
