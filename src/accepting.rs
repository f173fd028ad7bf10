//! Accepts connections, until told to stop, for whatever is spoken on them.
//!
//! Enters: bound sockets, each with an [`Acceptor`]. Leaves: accepted streams, each served in a task of its own. May use: nothing
//! of the other rooms.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, error, warn};

/// Who serves what is accepted.
pub trait Acceptor: Send + Sync + 'static {
    /// What the log calls a connection, with its article.
    const CONNECTION: &str;

    /// What [`Acceptor::room`] gives for one connection.
    type Room: Send;

    /// Waits until one more connection may be accepted: further clients stay in the listener's backlog.
    fn room(&self) -> impl Future<Output = io::Result<Self::Room>> + Send;

    /// Serves a connection until it has ended or the server stops; none where it is refused.
    fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        room: Self::Room,
    ) -> Option<impl Future<Output = ()> + Send + use<Self>>;
}

/// Accepts on all sockets until told to stop; ends when every connection has ended.
pub async fn run<A: Acceptor>(sockets: Vec<(TcpListener, A)>, stop: watch::Receiver<bool>) {
    let mut accepting = JoinSet::new();
    for (socket, acceptor) in sockets {
        accepting.spawn(accept_all(socket, acceptor, stop.clone()));
    }
    while accepting.join_next().await.is_some() {}
}

/// Ends when the server has been told to stop.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A server that is gone without a word is one that stopped.
    let _gone = stop.wait_for(|stopping| *stopping).await.is_err();
}

async fn accept_all<A: Acceptor>(socket: TcpListener, acceptor: A, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&socket, &acceptor) => accepted,
            Some(ended) = connections.join_next() => {
                log_panic::<A>(ended);
                continue;
            }
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, peer, room)) => {
                if let Some(serving) = acceptor.serve(stream, peer, room) {
                    connections.spawn(serving);
                }
            }
            Err(error) => {
                // Out of file descriptors, mostly: connections that end free some.
                warn!(%error, "cannot accept {}", A::CONNECTION);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(socket);
    while let Some(ended) = connections.join_next().await {
        log_panic::<A>(ended);
    }
}

async fn accept<A: Acceptor>(
    socket: &TcpListener,
    acceptor: &A,
) -> io::Result<(TcpStream, SocketAddr, A::Room)> {
    let room = acceptor.room().await?;
    let (stream, peer) = socket.accept().await?;
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "TCP_NODELAY refused");
    }
    Ok((stream, peer, room))
}

/// How long to wait before accepting again after the system refused.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn log_panic<A: Acceptor>(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "{}'s task panicked; its connection is closed, the others go on", A::CONNECTION);
    }
}
