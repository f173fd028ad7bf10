//! One connection: requests in, answers out, one after the other; hyper reads ahead what a client pipelines.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, watch};
use tokio::time::timeout;

use super::stalled::Stalled;
use super::tls::TlsSettings;
use super::{Service, Shared};
use crate::accepting::stopped;

/// Serves a connection until the client closes it, breaks the protocol, asks for nothing, or the server stops.
pub async fn serve<S: Service>(
    stream: TcpStream,
    tls: Option<TlsSettings>,
    shared: Arc<Shared<S>>,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    match tls {
        None => speak(stream, shared, stop).await,
        Some(tls) => {
            let shaking = timeout(shared.limits.head_within, tls.accept(stream));
            let stream = shaking.await.map_err(io::Error::other)??;
            speak(stream, shared, stop).await
        }
    }
}

async fn speak<S: Service>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    shared: Arc<Shared<S>>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let limits = shared.limits;
    let stream = TokioIo::new(Stalled::new(stream, limits.stalled_within));
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(held(&shared, answer(&shared, request).await).map(Full::new)) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(MIN_BUFFER_BYTES));
    let mut connection = pin!(builder.serve_connection(stream, service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            timeout(limits.finish_within, connection).await.map_err(io::Error::other)?
        }
    };
    ended.map_err(io::Error::other)
}

/// What hyper needs at least.
const MIN_BUFFER_BYTES: usize = 8 * 1024;

async fn answer<S: Service>(shared: &Shared<S>, request: Request<Incoming>) -> Response<Bytes> {
    let (head, body) = request.into_parts();
    if let Some(refused) = shared.service.refuse(&head) {
        return closing(&body, refused);
    }
    // Who does not say how long the body is gets the most.
    let size = body.size_hint().upper().and_then(|most| usize::try_from(most).ok());
    if size.is_some_and(|size| size > shared.limits.body_bytes) {
        return closing(&body, shared.service.malformed(413));
    }
    let size = size.unwrap_or(shared.limits.body_bytes);
    let reading =
        timeout(shared.limits.body_within, read(body, size, shared.limits.small_bytes, &shared.bodies));
    match reading.await.unwrap_or(Err(408)) {
        Ok((body, _room)) => shared.service.answer(Request::from_parts(head, body)).await,
        Err(status) => closed(shared.service.malformed(status)),
    }
}

/// The whole body, with its share of what all of them may take; or the status that says why there is none. A share is asked for once
/// the body is not small any more: those who send much, and slowly, do not hold up those who send little.
async fn read<'a>(
    mut body: Incoming,
    most: usize,
    small: usize,
    bodies: &'a Semaphore,
) -> Result<(Bytes, Option<SemaphorePermit<'a>>), u16> {
    let mut room = None;
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| 400_u16)?.into_data() else { continue };
        if read.len() + data.len() > most {
            return Err(413);
        }
        if room.is_none() && read.len() + data.len() > small {
            let permits = u32::try_from(most).unwrap_or(u32::MAX);
            room = Some(bodies.acquire_many(permits).await.map_err(|_| 503_u16)?);
        }
        read.extend_from_slice(&data);
    }
    Ok((read.freeze(), room))
}

/// The answer as it is written, with its share of what all of them may take until it is. Large ones find room or are given up: waiting,
/// they would take it as well.
fn held<S: Service>(shared: &Shared<S>, response: Response<Bytes>) -> Response<Bytes> {
    let size = response.body().len();
    if size <= shared.limits.small_bytes {
        return response;
    }
    let permits = u32::try_from(size).unwrap_or(u32::MAX);
    match Arc::clone(&shared.answers).try_acquire_many_owned(permits) {
        Ok(room) => response.map(|bytes| Bytes::from_owner(Held { bytes, _room: room })),
        Err(_) => shared.service.malformed(503),
    }
}

struct Held {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// An answer to a request whose body nobody reads: the connection cannot be used again.
fn closing(body: &Incoming, response: Response<Bytes>) -> Response<Bytes> {
    if body.is_end_stream() { response } else { closed(response) }
}

fn closed(mut response: Response<Bytes>) -> Response<Bytes> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
