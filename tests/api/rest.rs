//! The Schema Registry's REST API, by transcripts: `rest/*.txt`. A block is a request and, after the line that begins with
//! `=`, its answer; blocks are separated by empty lines.
//!
//! ```text
//! POST /subjects/a/versions
//! content-type: application/json
//! {"schema":"\"string\""}
//! = 200
//! {"id":1}
//! ```
//!
//! A request without `content-type` has none. After `=` stand the status, and headers that the answer must have
//! (`name: value`); its body is the rest, to the letter. A body `...` is any.

use std::sync::Arc;

use ottla::{Broker, Running};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::support::TempDir;

/// What answers are by default.
const MEDIA: &str = "application/vnd.schemaregistry.v1+json";

/// One request and its answer.
#[derive(Default)]
struct Block {
    line: usize,
    request: Vec<String>,
    body: String,
    status: String,
    headers: Vec<String>,
    answer: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = vec![Block::default()];
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
        let block = blocks.last_mut().unwrap();
        let is_header = line.split_once(": ").is_some_and(|(name, _)| name.chars().all(is_of_name));
        if line.is_empty() {
            if !block.status.is_empty() {
                blocks.push(Block::default());
            }
        } else if let Some(status) = line.strip_prefix("= ") {
            block.status = status.to_owned();
        } else if block.request.is_empty() {
            (block.line, block.request) = (at + 1, vec![line.to_owned()]);
        } else if is_header && block.status.is_empty() {
            block.request.push(line.to_owned());
        } else if is_header {
            block.headers.push(line.to_owned());
        } else if block.status.is_empty() {
            block.body.push_str(line);
        } else {
            block.answer.push_str(line);
        }
    }
    blocks.retain(|block| !block.status.is_empty());
    blocks
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_lowercase() || c == '-'
}

struct Http {
    stream: BufStream<TcpStream>,
}

impl Http {
    async fn connect(broker: &Running) -> Http {
        let address =
            broker.registry_url().and_then(|url| url.strip_prefix("http://")).expect("it has a registry");
        Http { stream: BufStream::new(TcpStream::connect(address).await.unwrap()) }
    }

    /// Status, headers in lower case, body.
    async fn ask(&mut self, block: &Block) -> (String, Vec<String>, String) {
        let mut head = format!("{} HTTP/1.1\r\nhost: registry\r\n", block.request[0]);
        for header in &block.request[1..] {
            head.push_str(&format!("{header}\r\n"));
        }
        if !block.body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", block.body.len()));
        }
        self.stream.write_all(format!("{head}\r\n{}", block.body).as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
        let status = self.line().await.strip_prefix("HTTP/1.1 ").expect("an answer of HTTP")[..3].to_owned();
        let (mut headers, mut size) = (Vec::new(), 0);
        loop {
            let line = self.line().await;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").expect("a header");
            if name == "content-length" {
                size = value.parse().unwrap();
            }
            headers.push(format!("{}: {value}", name.to_ascii_lowercase()));
        }
        let is_head = block.request[0].starts_with("HEAD ");
        let mut body = vec![0; if is_head { 0 } else { size }];
        self.stream.read_exact(&mut body).await.unwrap();
        (status, headers, String::from_utf8(body).unwrap())
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.stream.read_line(&mut line).await.unwrap(), 0, "the registry closed the connection");
        line.trim_end().to_owned()
    }
}

/// Plays a transcript over one connection, and tells of all that differs.
async fn play(broker: &Running, name: &str, text: &str) {
    let mut http = Http::connect(broker).await;
    let mut wrong = String::new();
    for block in blocks(text) {
        let (status, headers, body) = http.ask(&block).await;
        let mut expected = block.headers.clone();
        if !block.answer.is_empty() && !expected.iter().any(|header| header.starts_with("content-type: ")) {
            expected.push(format!("content-type: {MEDIA}"));
        }
        let missing: Vec<&String> = expected.iter().filter(|header| !headers.contains(header)).collect();
        let is_same = body == block.answer || block.answer == "...";
        if status != block.status || !is_same || !missing.is_empty() {
            let asked = &block.request[0];
            wrong.push_str(&format!("{name}:{}: {asked}\n= {status}\n{body}\n", block.line));
            if !missing.is_empty() {
                wrong.push_str(&format!("missing {missing:?} in {headers:?}\n"));
            }
        }
        if headers.iter().any(|header| header == "connection: close") {
            http = Http::connect(broker).await;
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// One request; its answer's body.
pub async fn ask(broker: &Running, request: &str, body: &str) -> String {
    let request = vec![request.to_owned(), format!("content-type: {MEDIA}")];
    let block = Block { request, body: body.to_owned(), ..Block::default() };
    let (status, _, body) = Http::connect(broker).await.ask(&block).await;
    assert_eq!(status, "200", "{body}");
    body
}

/// A transcript against a registry of its own.
macro_rules! transcript {
    ($name:ident) => {
        #[tokio::test]
        async fn $name() {
            let broker = Broker::builder().registry().start().await.unwrap();
            let name = concat!("tests/api/rest/", stringify!($name), ".txt");
            play(&broker, name, include_str!(concat!("rest/", stringify!($name), ".txt"))).await;
            broker.stop().await.unwrap();
        }
    };
}

transcript!(http);
transcript!(subjects);
transcript!(schemas);
transcript!(settings);
transcript!(contexts);
transcript!(compatibility);

/// Not as a transcript: a schema comes with the time when it was written.
#[tokio::test]
async fn tags_are_found_where_they_are_asked_for() {
    let broker = Broker::builder().registry().start().await.unwrap();
    let schema = r#"{\"properties\":{\"a\":{\"type\":\"string\",\"confluent:tags\":[\"PII\"]}}}"#;
    let body = format!(r#"{{"schemaType":"JSON","schema":"{schema}"}}"#);
    ask(&broker, "POST /subjects/s/versions", &body).await;
    let tags =
        r#""schemaTags":[{"schemaEntity":{"entityPath":"object.a","entityType":"sr_field"},"tags":["PII"]}]"#;
    for (request, are_found) in [
        ("/subjects/s/versions/1?findTags=PII", true),
        ("/subjects/s/versions/latest?findTags=OTHER&findTags=PII", true),
        ("/subjects/s/versions/1?findTags=OTHER", false),
        ("/subjects/s/versions/1", false),
        ("/schemas/ids/1?findTags=*", true),
        ("/schemas/ids/1/schema?findTags=*", false),
    ] {
        let answer = ask(&broker, &format!("GET {request}"), "").await;
        assert_eq!(answer.contains(tags), are_found, "{request}: {answer}");
        assert_eq!(answer.contains("schemaTags"), are_found, "{request}: {answer}");
    }
    let change =
        r#"{"newVersion":2,"tagsToAdd":[{"schemaEntity":{"entityPath":"object.a"},"tags":["NEW"]}]}"#;
    let answer = ask(&broker, "POST /subjects/s/versions/1/tags", change).await;
    assert!(answer.starts_with(r#"{"version":2,"id":2,"#) && answer.contains("NEW"), "{answer}");
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn access() {
    let dir = TempDir::new();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let users = write(
        "users",
        "admin: a,staff\nwriter: w,staff\nreader: MD5:4b43b0aee35624cd95b910189b3dc231,staff\nstray: s\n",
    );
    let permissions = write(
        "permissions",
        "admin = admin *\nrole.staff = read orders-\nwriter = write orders-, write :.ctx:\n",
    );
    let broker = Broker::builder()
        .registry()
        .set("schema.registry.authentication.method", "BASIC")
        .set("schema.registry.authentication.roles", "staff")
        .set("schema.registry.authentication.realm", "Registry")
        .set("schema.registry.users.file", users)
        .set("schema.registry.permissions.file", permissions)
        .set("schema.registry.access.control.allow.origin", "http://here,*")
        .start()
        .await
        .unwrap();
    play(&broker, "tests/api/rest/access.txt", include_str!("rest/access.txt")).await;
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn over_tls() {
    let keystore = concat!(env!("CARGO_MANIFEST_DIR"), "/src/services/http/testdata/localhost.pem");
    let broker = Broker::builder()
        .registry()
        .set("schema.registry.listeners", "https://127.0.0.1:0")
        .set("schema.registry.ssl.keystore.location", keystore)
        .start()
        .await
        .unwrap();
    let address =
        broker.registry_url().and_then(|url| url.strip_prefix("https://")).expect("it has one with TLS");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(keystore).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    stream.write_all(b"GET /subjects HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    // It may close without a word of TLS.
    let _unclean = stream.read_to_string(&mut answer).await.is_err();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("[]"), "{answer}");
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_broker_has_none_unless_asked() {
    let broker = super::support::start().await;
    assert_eq!(broker.registry_url(), None);
    broker.stop().await.unwrap();
}
