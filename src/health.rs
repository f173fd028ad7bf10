//! `ottla health`: asks a broker what a client asks first.
//! Enters: an address. Leaves: one line for people, good or bad. It is a client, and knows nothing of the broker's inside.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_protocol::messages::{
    ApiVersionsRequest, Decodable, Encodable, HeaderVersion, MetadataRequest, Request, RequestHeader,
    ResponseHeader,
};
use ottla_protocol::{ErrorCode, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::{Listener, Loaded};

/// A broker that has not answered by then is not healthy.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Our answers are some hundred bytes long; whoever announces more speaks another protocol.
const MAX_ANSWER_BYTES: i32 = 1024 * 1024;

/// Without null for "all": the answer names brokers and no topics.
const METADATA_VERSION: i16 = 4;
const API_VERSIONS_VERSION: i16 = 0;

/// Why a broker is not well, in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Unhealthy(String);

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unhealthy {}

/// Asks the broker at `host:port` for its versions and its cluster; the line says what it answered.
pub async fn check(bootstrap_server: &str) -> Result<String, Unhealthy> {
    let asked = tokio::time::timeout(ANSWER_WITHIN, ask(bootstrap_server)).await;
    let silent = || format!("no answer within {} s", ANSWER_WITHIN.as_secs());
    asked
        .unwrap_or_else(|_| Err(silent()))
        .map_err(|why| Unhealthy(format!("the broker at {bootstrap_server} is not healthy: {why}")))
}

/// Where the broker listens that this configuration is for, seen from the same machine. None if it takes a free port.
pub fn address_of(loaded: &Loaded) -> Option<String> {
    let Listener { host, port, .. } = loaded.config.listeners.iter().find(|listener| listener.port != 0)?;
    Some(match host.as_str() {
        "" | "0.0.0.0" | "::" => format!("127.0.0.1:{port}"),
        address if address.contains(':') => format!("[{address}]:{port}"),
        name => format!("{name}:{port}"),
    })
}

async fn ask(bootstrap_server: &str) -> Result<String, String> {
    let stream = TcpStream::connect(bootstrap_server).await.map_err(|error| error.to_string())?;
    let mut client = Client { stream, correlation_id: 0 };
    let versions = client.call(API_VERSIONS_VERSION, &ApiVersionsRequest::default()).await?;
    if versions.error_code != 0 {
        return Err(format!("ApiVersions: {}", ErrorCode::from(versions.error_code)));
    }
    let asks_for_no_topics =
        MetadataRequest::default().with_topics(Some(Vec::new())).with_allow_auto_topic_creation(false);
    let metadata = client.call(METADATA_VERSION, &asks_for_no_topics).await?;
    if metadata.brokers.is_empty() {
        return Err("it knows of no broker in its cluster".to_owned());
    }
    let cluster = metadata.cluster_id.as_deref().unwrap_or("?").to_owned();
    Ok(format!(
        "the broker at {bootstrap_server} serves cluster {cluster} with {} APIs",
        versions.api_keys.len()
    ))
}

struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    async fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, String> {
        self.correlation_id += 1;
        let frame = self.encode(version, request).map_err(|error| error.to_string())?;
        self.stream.write_all(&frame).await.map_err(lost)?;
        let size = self.stream.read_i32().await.map_err(lost)?;
        if !(4..=MAX_ANSWER_BYTES).contains(&size) {
            return Err("what answers there is no Kafka broker".to_owned());
        }
        let mut answer = vec![0; size.unsigned_abs() as usize];
        self.stream.read_exact(&mut answer).await.map_err(lost)?;
        self.decode::<R>(version, answer.into()).ok_or_else(|| "its answer cannot be read".to_owned())
    }

    fn encode<R: Request>(
        &self,
        version: i16,
        request: &R,
    ) -> Result<BytesMut, Box<dyn std::error::Error + Send + Sync>> {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("ottla-health")));
        let mut frame = BytesMut::zeroed(4);
        header.encode(&mut frame, R::header_version(version))?;
        request.encode(&mut frame, version)?;
        let size = i32::try_from(frame.len() - 4)?;
        frame[..4].copy_from_slice(&size.to_be_bytes());
        Ok(frame)
    }

    fn decode<R: Request>(&self, version: i16, mut answer: Bytes) -> Option<R::Response> {
        let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version)).ok()?;
        if header.correlation_id != self.correlation_id {
            return None;
        }
        R::Response::decode(&mut answer, version).ok()
    }
}

fn lost(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "it closed the connection instead of answering".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[track_caller]
    fn check_address(environment: &[(&str, &str)], expected: Option<&str>) {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let loaded = Sources { environment, ..Sources::default() }.load().unwrap();
        assert_eq!(address_of(&loaded).as_deref(), expected);
    }

    #[test]
    fn the_environment_says_where_to_ask() {
        check_address(&[], Some("localhost:9092"));
        check_address(&[("OTTLA_LISTEN", ":9092")], Some("127.0.0.1:9092"));
        check_address(&[("KAFKA_LISTENERS", "PLAINTEXT://:29092")], Some("127.0.0.1:29092"));
        check_address(&[("KAFKA_LISTENERS", "PLAINTEXT://[::1]:29092")], Some("[::1]:29092"));
        check_address(&[("KAFKA_LISTENERS", "PLAINTEXT://broker:0")], None);
        let confluent = [
            ("KAFKA_LISTENERS", "CONTROLLER://broker:29093,PLAINTEXT://broker:29092,HOST://0.0.0.0:9092"),
            (
                "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,HOST:PLAINTEXT",
            ),
            ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://broker:29092,HOST://localhost:9092"),
        ];
        check_address(&confluent, Some("broker:29092"));
    }
}
