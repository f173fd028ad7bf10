//! The Fetch response (1), versions 4 to 18, framed around record batches that are shared and never copied.
//!
//! kafka-protocol's encoder would copy all records into one buffer. Here the frame is cut where records belong: what stands between them
//! is written into one buffer, and the parts alternate between its slices and the records' own bytes.

use bytes::{Bytes, BytesMut};

use crate::frame::SIZE_LENGTH;
use crate::messages::TopicName;
use crate::response::{ResponseError, ResponseFrame, header_size, put_header};
use crate::wire::{
    Layout, TaggedFields, WireError, put_array, put_i16, put_i32, put_i64, put_nullable_array,
    put_nullable_string, put_string, put_uuid, put_varint,
};
use crate::{StrBytes, Uuid};

/// The first version with varint lengths and tagged fields.
const FLEXIBLE: i16 = 12;
/// The first version that names topics by id.
const TOPIC_IDS: i16 = 13;
/// The first version that can say where the leaders are (KIP-951).
const NODE_ENDPOINTS: i16 = 16;

/// Room to begin with, in bytes: for the frame, and for each topic and partition.
const ROOM: usize = 64;

/// What a Fetch is answered with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchReply {
    pub throttle_time_ms: i32,
    /// From version 7.
    pub error_code: i16,
    /// From version 7; 0 outside a fetch session.
    pub session_id: i32,
    pub topics: Vec<FetchTopic>,
    /// From version 16. The leaders that partitions name.
    pub node_endpoints: Vec<NodeEndpoint>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchTopic {
    /// To version 12.
    pub name: TopicName,
    /// From version 13.
    pub topic_id: Uuid,
    pub partitions: Vec<FetchPartition>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FetchPartition {
    pub index: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    /// From version 5.
    pub log_start_offset: i64,
    /// From version 12: where the fetcher's log and the leader's part ways, as (epoch, end offset).
    pub diverging_epoch: Option<(i32, i64)>,
    /// From version 12: (leader id, leader epoch).
    pub current_leader: Option<(i32, i32)>,
    /// From version 12: (end offset, epoch).
    pub snapshot_id: Option<(i64, i32)>,
    /// (producer id, first offset) of each; null for a consumer that reads uncommitted records.
    pub aborted_transactions: Option<Vec<(i64, i64)>>,
    /// From version 11; -1 for none.
    pub preferred_read_replica: i32,
    /// Whole batches, in order, in as many pieces as they come in.
    pub records: Vec<Bytes>,
}

impl Default for FetchPartition {
    fn default() -> Self {
        FetchPartition {
            index: 0,
            error_code: 0,
            high_watermark: 0,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            snapshot_id: None,
            aborted_transactions: None,
            preferred_read_replica: -1,
            records: Vec::new(),
        }
    }
}

/// Where a broker is reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: StrBytes,
    pub port: i32,
    pub rack: Option<StrBytes>,
}

/// Frames a reply to a Fetch of the given version.
pub fn encode_fetch_response(
    correlation_id: i32,
    version: i16,
    reply: FetchReply,
) -> Result<ResponseFrame, ResponseError> {
    let mut writer = Writer::new(version, &reply);
    writer.reply(reply).map_err(|error| ResponseError(error.to_string()))?;
    writer.finish(correlation_id)
}

struct Writer {
    version: i16,
    layout: Layout,
    header_size: usize,
    /// All but the records, after room for the size and the header.
    out: BytesMut,
    /// Records, and the position in `out` that they come before.
    records: Vec<(usize, Vec<Bytes>)>,
}

impl Writer {
    fn new(version: i16, reply: &FetchReply) -> Self {
        let header_size = header_size(if version >= FLEXIBLE { 1 } else { 0 });
        let partitions: usize = reply.topics.iter().map(|topic| 1 + topic.partitions.len()).sum();
        let mut out = BytesMut::with_capacity(ROOM * (1 + partitions));
        out.resize(SIZE_LENGTH + header_size, 0);
        let layout = Layout::flexible(version >= FLEXIBLE);
        Writer { version, layout, header_size, out, records: Vec::with_capacity(partitions) }
    }

    fn reply(&mut self, reply: FetchReply) -> Result<(), WireError> {
        put_i32(&mut self.out, reply.throttle_time_ms);
        if self.version >= 7 {
            put_i16(&mut self.out, reply.error_code);
            put_i32(&mut self.out, reply.session_id);
        }
        self.count(reply.topics.len())?;
        for topic in reply.topics {
            self.topic(topic)?;
        }
        let mut tagged = TaggedFields::default();
        if self.version >= NODE_ENDPOINTS && !reply.node_endpoints.is_empty() {
            tagged.add(0, |out| {
                put_array(out, &reply.node_endpoints, Layout::Compact, |out, node| {
                    put_i32(out, node.node_id);
                    put_string(out, &node.host, Layout::Compact)?;
                    put_i32(out, node.port);
                    put_nullable_string(out, node.rack.as_deref(), Layout::Compact)?;
                    put_varint(out, 0);
                    Ok(())
                })
            })?;
        }
        self.tagged(tagged);
        Ok(())
    }

    fn topic(&mut self, topic: FetchTopic) -> Result<(), WireError> {
        if self.version >= TOPIC_IDS {
            put_uuid(&mut self.out, topic.topic_id);
        } else {
            put_string(&mut self.out, &topic.name, self.layout)?;
        }
        self.count(topic.partitions.len())?;
        for partition in topic.partitions {
            self.partition(partition)?;
        }
        self.tagged(TaggedFields::default());
        Ok(())
    }

    fn partition(&mut self, partition: FetchPartition) -> Result<(), WireError> {
        let (out, layout) = (&mut self.out, self.layout);
        put_i32(out, partition.index);
        put_i16(out, partition.error_code);
        put_i64(out, partition.high_watermark);
        put_i64(out, partition.last_stable_offset);
        if self.version >= 5 {
            put_i64(out, partition.log_start_offset);
        }
        put_nullable_array(out, partition.aborted_transactions.as_deref(), layout, |out, aborted| {
            put_i64(out, aborted.0);
            put_i64(out, aborted.1);
            if layout == Layout::Compact {
                put_varint(out, 0);
            }
            Ok(())
        })?;
        if self.version >= 11 {
            put_i32(out, partition.preferred_read_replica);
        }
        let tagged = partition_tags(&partition)?;
        self.records(partition.records)?;
        self.tagged(tagged);
        Ok(())
    }

    fn records(&mut self, records: Vec<Bytes>) -> Result<(), WireError> {
        self.count(records.iter().map(Bytes::len).sum())?;
        if !records.is_empty() {
            self.records.push((self.out.len(), records));
        }
        Ok(())
    }

    /// The length of an array or of records.
    fn count(&mut self, count: usize) -> Result<(), WireError> {
        match self.layout {
            Layout::Classic => put_i32(&mut self.out, i32::try_from(count).map_err(|_| WireError::TooLong)?),
            Layout::Compact => {
                put_varint(&mut self.out, u32::try_from(count + 1).map_err(|_| WireError::TooLong)?);
            }
        }
        Ok(())
    }

    fn tagged(&mut self, fields: TaggedFields) {
        if self.layout == Layout::Compact {
            fields.finish(&mut self.out);
        }
    }

    fn finish(mut self, correlation_id: i32) -> Result<ResponseFrame, ResponseError> {
        let records: usize = self.records.iter().flat_map(|(_, records)| records).map(Bytes::len).sum();
        let prefix = SIZE_LENGTH + self.header_size;
        let body_size = self.out.len() - prefix + records;
        let mut header = BytesMut::with_capacity(prefix);
        put_header(&mut header, self.header_size, body_size, correlation_id)?;
        self.out[..prefix].copy_from_slice(&header);
        Ok(ResponseFrame { parts: weave(self.out.freeze(), self.records) })
    }
}

/// Known epochs and leaders only: an absent tag says unknown.
fn partition_tags(partition: &FetchPartition) -> Result<TaggedFields, WireError> {
    let mut tagged = TaggedFields::default();
    if let Some((epoch, end_offset)) = partition.diverging_epoch {
        tagged.add(0, |out| {
            put_i32(out, epoch);
            put_i64(out, end_offset);
            put_varint(out, 0);
            Ok(())
        })?;
    }
    if let Some((leader_id, leader_epoch)) = partition.current_leader {
        tagged.add(1, |out| {
            put_i32(out, leader_id);
            put_i32(out, leader_epoch);
            put_varint(out, 0);
            Ok(())
        })?;
    }
    if let Some((end_offset, epoch)) = partition.snapshot_id {
        tagged.add(2, |out| {
            put_i64(out, end_offset);
            put_i32(out, epoch);
            put_varint(out, 0);
            Ok(())
        })?;
    }
    Ok(tagged)
}

fn weave(out: Bytes, records: Vec<(usize, Vec<Bytes>)>) -> Vec<Bytes> {
    let mut parts =
        Vec::with_capacity(1 + records.iter().map(|(_, records)| 1 + records.len()).sum::<usize>());
    let mut from = 0;
    for (at, records) in records {
        parts.push(out.slice(from..at));
        parts.extend(records.into_iter().filter(|piece| !piece.is_empty()));
        from = at;
    }
    if from < out.len() {
        parts.push(out.slice(from..));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::fetch_response::{
        AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch,
        NodeEndpoint as CrateNode, PartitionData, SnapshotId,
    };
    use crate::messages::{BrokerId, FetchResponse, ProducerId};
    use crate::response::encode_response;

    fn text(text: &'static str) -> StrBytes {
        StrBytes::from_static_str(text)
    }

    /// Two topics: one partition with all that it can have, one with an error and nothing.
    fn reply(version: i16) -> FetchReply {
        let full = FetchPartition {
            index: 3,
            error_code: 0,
            high_watermark: 100,
            last_stable_offset: 90,
            log_start_offset: 7,
            diverging_epoch: (version >= 12).then_some((4, 55)),
            current_leader: (version >= 12).then_some((1, 9)),
            snapshot_id: (version >= 12).then_some((77, 2)),
            aborted_transactions: Some(vec![(1000, 5), (1001, 6)]),
            preferred_read_replica: if version >= 11 { 2 } else { -1 },
            records: vec![Bytes::from_static(b"first batch"), Bytes::from(vec![7; 300]), Bytes::new()],
        };
        let failed = FetchPartition { index: 0, error_code: 1, high_watermark: -1, ..Default::default() };
        let named = |name| TopicName(text(name));
        let topic = |name, id, partitions| FetchTopic {
            name: named(name),
            topic_id: Uuid::from_u128(id),
            partitions,
        };
        FetchReply {
            throttle_time_ms: 11,
            error_code: 0,
            session_id: if version >= 7 { 12_345 } else { 0 },
            topics: vec![
                topic("a", 1, vec![full.clone(), failed.clone()]),
                topic("b", 2, vec![failed, full]),
            ],
            node_endpoints: if version >= 16 {
                vec![
                    NodeEndpoint { node_id: 1, host: text("h"), port: 9092, rack: None },
                    NodeEndpoint { node_id: 2, host: text("i"), port: 9093, rack: Some(text("r")) },
                ]
            } else {
                vec![]
            },
        }
    }

    fn as_crate(reply: &FetchReply, version: i16) -> FetchResponse {
        let partition = |p: &FetchPartition| {
            let mut data = PartitionData::default()
                .with_partition_index(p.index)
                .with_error_code(p.error_code)
                .with_high_watermark(p.high_watermark)
                .with_last_stable_offset(p.last_stable_offset)
                .with_log_start_offset(p.log_start_offset)
                .with_aborted_transactions(p.aborted_transactions.as_ref().map(|all| {
                    let aborted = |&(id, first)| {
                        AbortedTransaction::default()
                            .with_producer_id(ProducerId(id))
                            .with_first_offset(first)
                    };
                    all.iter().map(aborted).collect()
                }))
                .with_preferred_read_replica(BrokerId(p.preferred_read_replica))
                .with_records(Some(p.records.concat().into()));
            if let Some((epoch, end)) = p.diverging_epoch {
                data.diverging_epoch = EpochEndOffset::default().with_epoch(epoch).with_end_offset(end);
            }
            if let Some((id, epoch)) = p.current_leader {
                data.current_leader =
                    LeaderIdAndEpoch::default().with_leader_id(BrokerId(id)).with_leader_epoch(epoch);
            }
            if let Some((end, epoch)) = p.snapshot_id {
                data.snapshot_id = SnapshotId::default().with_end_offset(end).with_epoch(epoch);
            }
            data
        };
        let topic = |t: &FetchTopic| {
            let topic = FetchableTopicResponse::default()
                .with_partitions(t.partitions.iter().map(partition).collect());
            if version >= 13 { topic.with_topic_id(t.topic_id) } else { topic.with_topic(t.name.clone()) }
        };
        let node = |n: &NodeEndpoint| {
            let node = CrateNode::default().with_node_id(BrokerId(n.node_id)).with_host(n.host.clone());
            node.with_port(n.port).with_rack(n.rack.clone())
        };
        FetchResponse::default()
            .with_throttle_time_ms(reply.throttle_time_ms)
            .with_error_code(reply.error_code)
            .with_session_id(reply.session_id)
            .with_responses(reply.topics.iter().map(topic).collect())
            .with_node_endpoints(reply.node_endpoints.iter().map(node).collect())
    }

    #[test]
    fn every_version_byte_for_byte() {
        for version in 4..=18 {
            for reply in [FetchReply::default(), reply(version)] {
                let expected = encode_response(42, version, &as_crate(&reply, version)).unwrap().to_bytes();
                let frame = encode_fetch_response(42, version, reply).unwrap();
                assert_eq!(frame.to_bytes(), expected, "version {version}");
                assert_eq!(frame.len(), expected.len());
            }
        }
    }

    #[test]
    fn records_are_shared() {
        let reply = reply(17);
        let batch = reply.topics[0].partitions[0].records[1].clone();
        let frame = encode_fetch_response(1, 17, reply).unwrap();
        assert!(frame.parts.iter().any(|part| part.as_ptr() == batch.as_ptr() && part.len() == batch.len()));
        assert!(frame.parts.iter().all(|part| !part.is_empty()));
    }
}
