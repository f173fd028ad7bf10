//! A raw Kafka client: one connection, typed requests, blocking.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

use bytes::{Bytes, BytesMut};
use ottla_protocol::StrBytes;
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    ApiVersionsRequest, Decodable, Encodable, FetchRequest, HeaderVersion, ListOffsetsRequest,
    MetadataRequest, MetadataResponse, ProduceRequest, Request, RequestHeader, ResponseHeader, TopicName,
};

use super::process::PATIENCE;

pub struct Client {
    pub stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    pub fn connect(address: impl ToSocketAddrs) -> Client {
        let stream = TcpStream::connect(address).expect("the broker listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream, correlation_id: 0 }
    }

    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request);
        let mut answer = self.receive().expect("the broker answers");
        let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, self.correlation_id);
        R::Response::decode(&mut answer, version).unwrap()
    }

    /// Sends a request without waiting for its answer.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) {
        self.correlation_id += 1;
        let frame = frame(self.correlation_id, version, request);
        self.stream.write_all(&frame).unwrap();
    }

    /// The next frame, without its size.
    pub fn receive(&mut self) -> io::Result<Bytes> {
        let mut frame = vec![0; self.read_size()?];
        self.stream.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    /// How large the next frame is, which is left where it is.
    #[track_caller]
    pub fn size_of_answer(&mut self) -> usize {
        self.read_size().expect("the broker answers")
    }

    fn read_size(&mut self) -> io::Result<usize> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        Ok(usize::try_from(i32::from_be_bytes(size)).unwrap())
    }

    /// Whether the broker closes the connection, which may look like a reset.
    #[track_caller]
    pub fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => {
                assert!(!is_timeout(&error), "the connection stays open");
                true
            }
        }
    }

    /// How many APIs it serves, which every broker says.
    pub fn ping(&mut self) -> usize {
        self.call(0, &ApiVersionsRequest::default()).api_keys.len()
    }

    /// The same, or nothing when the broker does not want this connection.
    pub fn try_ping(&mut self) -> Option<()> {
        self.stream.write_all(&frame(1, 0, &ApiVersionsRequest::default())).ok()?;
        self.receive().ok().map(drop)
    }

    /// What the broker tells of itself and of a topic, which is created if it is not there.
    pub fn metadata(&mut self, topic: &str) -> MetadataResponse {
        let asked = MetadataRequestTopic::default().with_name(Some(name(topic)));
        self.call(
            4,
            &MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(true),
        )
    }

    /// `host:port` by which this client is told to reach the broker.
    pub fn told(&mut self) -> String {
        let asked = MetadataRequest::default().with_topics(Some(Vec::new()));
        let broker = self.call(4, &asked).brokers.remove(0);
        format!("{}:{}", broker.host, broker.port)
    }

    /// Appends one record with acks=all; its offset.
    pub fn produce(&mut self, topic: &str, value: &[u8]) -> i64 {
        let response = self.call(7, &produce_request(topic, value, -1));
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(partition.error_code, 0, "{partition:?}");
        partition.base_offset
    }

    /// The log's end offset.
    pub fn end_offset(&mut self, topic: &str) -> i64 {
        const LATEST: i64 = -1;
        let partition = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(LATEST);
        let asked = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![asked]);
        self.call(2, &request).topics[0].partitions[0].offset
    }
}

pub fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

/// A whole frame, as it goes over the wire.
pub fn frame<R: Request>(correlation_id: i32, version: i16, request: &R) -> BytesMut {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str("test")));
    let header_version = R::header_version(version);
    let mut frame = BytesMut::zeroed(4);
    header.encode(&mut frame, header_version).unwrap();
    request.encode(&mut frame, version).unwrap();
    let size = i32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&size.to_be_bytes());
    frame
}

pub fn produce_request(topic: &str, value: &[u8], acks: i16) -> ProduceRequest {
    let mut batch = BatchBuilder::new();
    batch.append(1_700_000_000_000, None, Some(value));
    let partition = PartitionProduceData::default().with_records(Some(batch.build().into_bytes()));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![partition]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

/// A fetch of partition 0 from its start.
pub fn fetch(topic: &str, max_bytes: i32) -> FetchRequest {
    let partition = FetchPartition::default().with_partition_max_bytes(max_bytes);
    let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition]);
    FetchRequest::default().with_min_bytes(1).with_max_bytes(max_bytes).with_topics(vec![topic])
}

/// A fetch from an empty partition that waits for longer than any test.
pub fn long_poll(topic: &str) -> FetchRequest {
    fetch(topic, 1 << 20).with_max_wait_ms(600_000)
}

pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
