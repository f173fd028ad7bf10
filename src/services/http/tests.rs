//! What the server does with well-meant, slow, large and broken requests, over real sockets.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::{Bound, Limits, Service, TlsSettings, run};
use crate::config::{ClientCertificates, TlsFiles};

/// Answers with the method, the path and the length of the body; knows a path that it refuses.
struct Echo;

impl Service for Echo {
    fn refuse(&self, head: &Parts) -> Option<Response<Bytes>> {
        (head.uri.path() == "/refused").then(|| self.malformed(401))
    }

    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let size = match request.uri().path() {
            "/large" => return Response::new(Bytes::from(vec![b'x'; 64 * 1024 * 1024])),
            "/slow" => {
                tokio::time::sleep(Duration::from_millis(200)).await;
                0
            }
            _ => request.body().len(),
        };
        Response::new(Bytes::from(format!("{} {} {size}", request.method(), request.uri())))
    }

    fn malformed(&self, status: u16) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::from(format!("malformed {status}"))).unwrap()
    }
}

struct Server {
    address: std::net::SocketAddr,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Server {
    async fn start(tls: Option<TlsSettings>, limits: Limits) -> Server {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (stop, stopping) = watch::channel(false);
        let running = tokio::spawn(run(vec![Bound { socket, tls }], Echo, limits, stopping));
        Server { address, stop, running }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// Short waits, small bodies.
fn tight() -> Limits {
    let short = Duration::from_millis(150);
    Limits {
        head_bytes: 1024,
        body_bytes: 1000,
        small_bytes: 100,
        bodies_bytes: 1000,
        head_within: short,
        body_within: short,
        stalled_within: short,
        ..Limits::default()
    }
}

/// All that comes until the server closes.
async fn all(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    // A server that closes while we still write resets the connection: what came before counts.
    let _lost = stream.read_to_end(&mut read).await.is_err();
    String::from_utf8_lossy(&read).into_owned()
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), text: &str) {
    // It may have answered and closed already.
    let _refused = stream.write_all(text.as_bytes()).await.is_err();
}

/// What the server says to `sent` until it closes, without the date: status lines and bodies.
async fn exchange(server: &Server, sent: &str) -> Vec<String> {
    let mut stream = server.connect().await;
    send(&mut stream, sent).await;
    let answer = all(&mut stream).await;
    let mut said = Vec::new();
    let mut lines = answer.split("\r\n");
    while let Some(line) = lines.next() {
        if let Some(status) = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 ")) {
            said.push(status.to_owned());
        } else if line.is_empty()
            && let Some(rest) = lines.next()
        {
            // The next answer's status line follows the body at once.
            let (body, next) =
                rest.split_once("HTTP/1.1 ").map_or((rest, None), |(body, next)| (body, Some(next)));
            said.extend(Some(body).filter(|body| !body.is_empty()).map(str::to_owned));
            said.extend(next.map(str::to_owned));
        }
    }
    said
}

#[tokio::test]
async fn requests_of_a_connection_are_answered_in_order() {
    let server = Server::start(None, tight()).await;
    let check =
        async |sent: &str, expected: &[&str]| assert_eq!(exchange(&server, sent).await, expected, "{sent}");
    check("GET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", &["200 OK", "GET /a 0"]).await;
    // Kept alive until it asks for nothing; three at once.
    check(
        "GET /slow HTTP/1.1\r\nhost: x\r\n\r\nPOST /2 HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhelloDELETE /3 HTTP/1.1\r\nhost: x\r\n\r\n",
        &["200 OK", "GET /slow 0", "200 OK", "POST /2 5", "200 OK", "DELETE /3 0"],
    )
    .await;
    check(
        "PUT /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        &["200 OK", "PUT /c 5"],
    )
    .await;
    check("HEAD /h HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", &["200 OK"]).await;
    check("GET /%2F%zz?a=%00 HTTP/1.0\r\n\r\n", &["200 OK", "GET /%2F%zz?a=%00 0"]).await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_unread() {
    let server = Server::start(None, tight()).await;
    let check = async |sent: &str, expected: &[&str]| assert_eq!(exchange(&server, sent).await, expected);
    let refused = &["413 Payload Too Large", "malformed 413"];
    check("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\n\r\n", refused).await;
    check("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999\r\n\r\n", refused).await;
    let chunk = format!("{:x}\r\n{}\r\n", 600, "x".repeat(600));
    let chunked =
        format!("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    check(&chunked, refused).await;
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(20_000));
    check(&long, &["431 Request Header Fields Too Large"]).await;
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(70_000));
    assert!(exchange(&server, &long).await[0].starts_with('4'));
    check(
        "POST /refused HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\n",
        &["401 Unauthorized", "malformed 401"],
    )
    .await;
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let server = Server::start(None, tight()).await;
    for sent in [
        "\u{0}\u{1}\u{2}\u{3}\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    ] {
        let said = exchange(&server, sent).await;
        assert!(said.first().is_some_and(|status| status.starts_with("400")), "{sent:?}: {said:?}");
    }
    let broken = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    assert_eq!(exchange(&server, broken).await, ["400 Bad Request", "malformed 400"]);
}

#[tokio::test]
async fn who_is_slow_holds_nobody_up() {
    let server = Server::start(None, tight()).await;
    // Nothing at all, half a head, half a body: each is over within its time.
    assert_eq!(exchange(&server, "").await, [""; 0]);
    exchange(&server, "GET / HTTP/1.1\r\nhos").await;
    let half = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{}", "x".repeat(500));
    let small = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody";
    // One holds all the bytes that bodies may have, the other waits for them; what is small needs none.
    let mut served = 0;
    let large = {
        let mut large = pin!(async { tokio::join!(exchange(&server, &half), exchange(&server, &half)) });
        loop {
            tokio::select! {
                said = &mut large => break said,
                said = exchange(&server, small) => assert_eq!(said, ["200 OK", "POST / 4"]),
            }
            served += 1;
        }
    };
    assert!(served > 0);
    for said in [large.0, large.1] {
        assert_eq!(said, ["408 Request Timeout", "malformed 408"]);
    }
    // Who takes nothing of its answer.
    let mut stream = server.connect().await;
    send(&mut stream, "GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.stop.send_replace(true);
    server.running.await.unwrap();
    assert!(all(&mut stream).await.len() < 64 * 1024 * 1024, "it was given up");
}

#[tokio::test]
async fn answers_that_nobody_takes_are_bounded() {
    const LARGE: &str = "GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers_bytes = 100 * 1024 * 1024;
    let server = Server::start(None, Limits { answers_bytes, ..Limits::default() }).await;
    let mut first = server.connect().await;
    send(&mut first, LARGE).await;
    // Its answer has begun, and has taken what there is room for.
    first.readable().await.unwrap();
    assert_eq!(exchange(&server, LARGE).await, ["503 Service Unavailable", "malformed 503"]);
    let small = "GET /small HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(&server, small).await, ["200 OK", "GET /small 0"]);
    drop(first);
    while exchange(&server, LARGE).await[0] != "200 OK" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stop_lets_answers_finish() {
    let server = Server::start(None, Limits::default()).await;
    let mut idle = server.connect().await;
    let mut stream = server.connect().await;
    send(&mut stream, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    send(&mut idle, "GET /a HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // The first answer is there: the connections are served, and this one is idle now.
    let mut byte = [0];
    idle.read_exact(&mut byte).await.unwrap();
    server.stop.send_replace(true);
    assert!(all(&mut stream).await.ends_with("GET /slow 0"));
    assert!(all(&mut idle).await.ends_with("GET /a 0"));
    server.running.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn further_clients_wait_for_a_place() {
    let server = Server::start(None, Limits { connections: 1, ..Limits::default() }).await;
    let request = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let only = server.connect().await;
    let mut next = server.connect().await;
    send(&mut next, request).await;
    let waiting = tokio::time::timeout(Duration::from_millis(100), next.readable()).await;
    assert!(waiting.is_err(), "the only place is taken");
    drop(only);
    assert!(all(&mut next).await.ends_with("GET / 0"));
}

fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/services/http/testdata").join(name)
}

fn files(client_certificates: ClientCertificates) -> TlsFiles {
    TlsFiles {
        keystore: testdata("localhost.pem"),
        key: None,
        truststore: Some(testdata("clients-ca.pem")),
        client_certificates,
    }
}

/// What a client that trusts our certificate gets, with its own one or without.
async fn over_tls(server: &Server, own: Option<&str>) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(testdata("localhost.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some(file) => {
            let certificate = CertificateDer::from_pem_file(testdata(file)).unwrap();
            let key = PrivateKeyDer::from_pem_file(testdata(file)).unwrap();
            config.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let Ok(mut stream) = connector.connect(name, server.connect().await).await else { return String::new() };
    send(&mut stream, "GET /tls HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    all(&mut stream).await
}

#[tokio::test]
async fn tls_asks_for_certificates_where_it_should() {
    for (asked, without, with) in [
        (ClientCertificates::None, true, true),
        (ClientCertificates::Requested, true, true),
        (ClientCertificates::Required, false, true),
    ] {
        let tls = TlsSettings::load(&files(asked)).unwrap();
        let server = Server::start(Some(tls), Limits::default()).await;
        let is_answered = async |own| over_tls(&server, own).await.ends_with("GET /tls 0");
        assert_eq!(is_answered(None).await, without, "{asked:?} without a certificate");
        assert_eq!(is_answered(Some("client.pem")).await, with, "{asked:?} with one");
        let said = exchange(&server, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert_eq!(said, [""; 0], "plain HTTP gets no answer");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let check = |files: TlsFiles, words: &[&str]| {
        let error = TlsSettings::load(&files).err().expect("refused").to_string();
        for word in words {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
    };
    let good = files(ClientCertificates::Required);
    check(TlsFiles { keystore: testdata("missing.pem"), ..good.clone() }, &["missing.pem"]);
    check(
        TlsFiles { keystore: testdata("clients-ca.pem"), ..good.clone() },
        &["clients-ca.pem", "private key"],
    );
    check(TlsFiles { key: Some(testdata("client.pem")), ..good.clone() }, &["localhost.pem"]);
    check(TlsFiles { truststore: None, ..good }, &["ssl.truststore.location"]);
}
