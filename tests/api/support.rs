//! A raw Kafka client: one connection, typed requests through kafka-protocol's own codec.

use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{CreateTopicsRequest, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use ottla::{Broker, Running};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

/// A broker in memory on a free port.
pub async fn start() -> Running {
    Broker::builder().start().await.expect("a broker in memory starts")
}

pub struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    pub async fn connect(broker: &Running) -> Client {
        let stream = TcpStream::connect(broker.bootstrap_servers()).await.expect("the broker accepts");
        // A frame leaves in two writes; the second must not wait for the first to be acknowledged.
        stream.set_nodelay(true).unwrap();
        Client { stream, correlation_id: 0 }
    }

    /// Sends a request and decodes its answer.
    pub async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request).await;
        let mut answer = self.receive().await.expect("the broker answers");
        let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, self.correlation_id);
        let response = R::Response::decode(&mut answer, version).unwrap();
        assert_eq!(answer.remaining(), 0, "nothing stands after the answer");
        response
    }

    /// Sends a request without waiting for its answer.
    pub async fn send<R: Request>(&mut self, version: i16, request: &R) {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("test")));
        let mut body = BytesMut::new();
        let header_version = R::header_version(version);
        header.encode(&mut body, header_version).unwrap();
        request.encode(&mut body, version).unwrap();
        self.send_frame(&body).await;
    }

    /// Sends bytes as one frame.
    pub async fn send_frame(&mut self, body: &[u8]) {
        self.stream.write_i32(i32::try_from(body.len()).unwrap()).await.unwrap();
        self.stream.write_all(body).await.unwrap();
    }

    /// Waits until an answer has begun to come, without taking anything of it.
    pub async fn answer_begins(&mut self) {
        self.stream.peek(&mut [0]).await.unwrap();
    }

    /// The next frame, or `None` when the broker has closed the connection.
    pub async fn receive(&mut self) -> Option<Bytes> {
        let size = self.stream.read_i32().await.ok()?;
        let mut frame = vec![0; usize::try_from(size).unwrap()];
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(frame.into())
    }
}

/// Creates a topic and returns its id.
pub async fn create_topic(client: &mut Client, name: &str, partitions: i32) -> Uuid {
    let topic = CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_string(name.to_owned())))
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    let response = client.call(7, &CreateTopicsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
    response.topics[0].topic_id
}

/// A directory of its own, gone with the value.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> TempDir {
        let path = std::env::temp_dir().join(format!("ottla-test-{}", Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        TempDir(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What a crash at this moment would leave behind, in a directory of its own.
    pub fn copy(&self) -> TempDir {
        let copy = TempDir::new();
        copy_all(self.path(), copy.path());
        copy
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A test that fails to clean up has not failed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            match std::fs::copy(entry.path(), target) {
                // Gone since the directory was read: a crash a moment later would not have left it either.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            }
        }
    }
}
