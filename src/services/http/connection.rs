//! One connection: requests in, answers out, one after the other; hyper reads ahead what a client pipelines.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
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
        async move { Ok::<_, Infallible>(answer(&shared, request).await.map(Full::new)) }
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
    if body.is_end_stream() {
        return shared.service.answer(Request::from_parts(head, Bytes::new())).await;
    }
    // Memory for the body is asked for before it is read; who does not say how long it is gets the most.
    let size = body.size_hint().upper().and_then(|most| usize::try_from(most).ok());
    let size = size.unwrap_or(shared.limits.body_bytes);
    if size > shared.limits.body_bytes {
        return closing(&body, shared.service.malformed(413));
    }
    let permits = u32::try_from(size).unwrap_or(u32::MAX);
    let Ok(_permit) = shared.bodies.acquire_many(permits).await else {
        return shared.service.malformed(503);
    };
    match read(body, shared.limits.body_bytes, shared.limits.body_within).await {
        Ok(body) => shared.service.answer(Request::from_parts(head, body)).await,
        Err(status) => closed(shared.service.malformed(status)),
    }
}

/// The whole body; or the status that says why there is none.
async fn read(body: Incoming, most: usize, within: Duration) -> Result<Bytes, u16> {
    match timeout(within, Limited::new(body, most).collect()).await {
        Ok(Ok(read)) => Ok(read.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(413),
        Ok(Err(_)) => Err(400),
        Err(_) => Err(408),
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
