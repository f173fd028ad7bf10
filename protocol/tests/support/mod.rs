//! Bodies made from the table of shapes, and every request type by its key.

// Each test file uses its part of this.
#![allow(dead_code)]

use bytes::Bytes;
use ottla_protocol::shapes::{Field, Kind, Message, Shape};
use ottla_protocol::varint;

/// A tag that no message knows.
const UNKNOWN_TAG: u32 = 9_999;

/// Calls a macro with every request type.
macro_rules! with_every_request {
    ($action:ident) => {
        $action! {
            ProduceRequest FetchRequest ListOffsetsRequest MetadataRequest OffsetCommitRequest OffsetFetchRequest
            FindCoordinatorRequest JoinGroupRequest HeartbeatRequest LeaveGroupRequest SyncGroupRequest
            DescribeGroupsRequest ListGroupsRequest SaslHandshakeRequest ApiVersionsRequest CreateTopicsRequest
            DeleteTopicsRequest DeleteRecordsRequest InitProducerIdRequest OffsetForLeaderEpochRequest
            AddPartitionsToTxnRequest AddOffsetsToTxnRequest EndTxnRequest WriteTxnMarkersRequest
            TxnOffsetCommitRequest DescribeAclsRequest CreateAclsRequest DeleteAclsRequest DescribeConfigsRequest
            AlterConfigsRequest AlterReplicaLogDirsRequest DescribeLogDirsRequest SaslAuthenticateRequest
            CreatePartitionsRequest CreateDelegationTokenRequest RenewDelegationTokenRequest
            ExpireDelegationTokenRequest DescribeDelegationTokenRequest DeleteGroupsRequest ElectLeadersRequest
            IncrementalAlterConfigsRequest AlterPartitionReassignmentsRequest ListPartitionReassignmentsRequest
            OffsetDeleteRequest DescribeClientQuotasRequest AlterClientQuotasRequest
            DescribeUserScramCredentialsRequest AlterUserScramCredentialsRequest DescribeQuorumRequest
            UpdateFeaturesRequest DescribeClusterRequest DescribeProducersRequest UnregisterBrokerRequest
            DescribeTransactionsRequest ListTransactionsRequest ConsumerGroupHeartbeatRequest
            ConsumerGroupDescribeRequest GetTelemetrySubscriptionsRequest PushTelemetryRequest
            ListConfigResourcesRequest DescribeTopicPartitionsRequest ShareGroupHeartbeatRequest
            ShareGroupDescribeRequest ShareFetchRequest ShareAcknowledgeRequest AddRaftVoterRequest
            RemoveRaftVoterRequest InitializeShareGroupStateRequest ReadShareGroupStateRequest
            WriteShareGroupStateRequest DeleteShareGroupStateRequest ReadShareGroupStateSummaryRequest
            DescribeShareGroupOffsetsRequest AlterShareGroupOffsetsRequest DeleteShareGroupOffsetsRequest
            StreamsGroupHeartbeatRequest StreamsGroupDescribeRequest
        }
    };
}
pub(crate) use with_every_request;

/// xorshift64*: the same numbers for the same seed, everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    pub fn is_lucky(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// What the bodies are made of.
#[derive(Clone, Copy)]
pub enum Style {
    /// All that Kafka could write: a few elements, nulls where they are allowed, tagged fields.
    Filled,
    /// The same with tagged fields of a Kafka to come.
    Newer,
    /// As much memory for as few bytes as can be: very many elements with nothing in them.
    Bloated { elements: usize },
}

/// A well-formed body of the message in this version, in the one way in which an encoder would write it.
pub fn body(message: &Message, version: i16, style: Style, random: &mut Random) -> Bytes {
    let flexible = message.flexible.contains(version);
    let mut maker = Maker { out: Vec::new(), version, flexible, style, random, depth: 0 };
    maker.shape(&message.body);
    maker.out.into()
}

struct Maker<'a> {
    out: Vec<u8>,
    version: i16,
    flexible: bool,
    style: Style,
    random: &'a mut Random,
    /// How many arrays the walk is inside of.
    depth: usize,
}

impl Maker<'_> {
    fn shape(&mut self, shape: &Shape) {
        for field in shape.fields {
            if field.tag.is_none() && field.versions.contains(self.version) {
                let null = field.nullable.contains(self.version) && self.chooses_null();
                self.value(field, &field.kind, null);
            }
        }
        if self.flexible {
            self.tags(shape);
        }
    }

    fn chooses_null(&mut self) -> bool {
        match self.style {
            Style::Filled | Style::Newer => self.random.below(3) == 0,
            Style::Bloated { .. } => false,
        }
    }

    fn tags(&mut self, shape: &Shape) {
        let mut known: Vec<&Field> = Vec::new();
        for field in shape.fields {
            if field.tag.is_some() && field.versions.contains(self.version) && self.random.is_lucky() {
                known.push(field);
            }
        }
        known.sort_by_key(|field| field.tag);
        let has_unknown = matches!(self.style, Style::Newer) && self.random.is_lucky();
        self.varint(known.len() + usize::from(has_unknown));
        for field in known {
            let before = std::mem::take(&mut self.out);
            self.value(field, &field.kind, false);
            let value = std::mem::replace(&mut self.out, before);
            self.varint(field.tag.unwrap() as usize);
            self.varint(value.len());
            self.out.extend(value);
        }
        if has_unknown {
            self.varint(UNKNOWN_TAG as usize);
            self.varint(3);
            self.out.extend(b"abc");
        }
    }

    fn value(&mut self, field: &Field, kind: &Kind, null: bool) {
        match kind {
            Kind::Fixed(width) => {
                // Small, positive and odd: no default, and true where it is a bool.
                self.out.extend(std::iter::repeat_n(0, width - 1));
                let number = if *width == 1 { 1 } else { 1 + 2 * self.random.below(60) };
                self.out.push(number as u8);
            }
            Kind::String => {
                let length = self.text_length();
                self.length(2, length, null);
                self.text(length, null);
            }
            Kind::Bytes => {
                let length = self.text_length();
                self.length(4, length, null);
                self.text(length, null);
            }
            Kind::Array(element) => self.array(field, element, null),
            Kind::Struct(shape) => {
                if field.nullable.contains(self.version) {
                    self.out.push(if null { 0xff } else { 1 });
                }
                if !null {
                    self.shape(shape);
                }
            }
        }
    }

    fn array(&mut self, field: &Field, element: &Kind, null: bool) {
        let count = match self.style {
            Style::Filled | Style::Newer => 1 + self.random.below(3),
            Style::Bloated { elements } => elements * usize::from(self.depth == 0),
        };
        self.length(4, count, null);
        self.depth += 1;
        for _ in 0..if null { 0 } else { count } {
            match element {
                // That the array may be null says nothing of its elements.
                Kind::Struct(shape) => self.shape(shape),
                _ => self.value(field, element, false),
            }
        }
        self.depth -= 1;
    }

    fn text_length(&mut self) -> usize {
        match self.style {
            Style::Filled | Style::Newer => 1 + self.random.below(8),
            Style::Bloated { .. } => 0,
        }
    }

    fn text(&mut self, length: usize, null: bool) {
        if !null {
            self.out.extend(std::iter::repeat_n(b'x', length));
        }
    }

    fn length(&mut self, width: usize, length: usize, null: bool) {
        if self.flexible {
            self.varint(if null { 0 } else { length + 1 });
        } else {
            let length = if null { -1 } else { i64::try_from(length).unwrap() };
            self.out.extend(&length.to_be_bytes()[8 - width..]);
        }
    }

    fn varint(&mut self, value: usize) {
        let (bytes, length) = varint::encode_unsigned(u32::try_from(value).unwrap());
        self.out.extend(&bytes[..length]);
    }
}
