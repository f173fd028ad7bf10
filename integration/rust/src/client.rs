//! rdkafka, as the scenarios use it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::kit::{DEADLINE, bootstrap, until};

#[derive(Clone, Debug, Default)]
pub struct Record {
    pub topic: String,
    /// For a record to send: -1 leaves it to the partitioner.
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp_ms: Option<i64>,
}

impl Record {
    pub fn new(topic: &str, key: Option<&str>, value: Option<&str>) -> Record {
        let bytes = |text: &str| text.as_bytes().to_vec();
        Record {
            topic: topic.into(),
            partition: -1,
            key: key.map(bytes),
            value: value.map(bytes),
            ..Record::default()
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }

    fn read(message: &BorrowedMessage) -> Record {
        let headers = message.headers().into_iter().flat_map(|h| h.iter());
        Record {
            topic: message.topic().into(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect(),
            timestamp_ms: message.timestamp().to_millis(),
        }
    }
}

/// Records with the numbers from..to as values.
pub fn numbered(topic: &str, from: usize, to: usize) -> Vec<Record> {
    (from..to).map(|i| Record::new(topic, Some(&format!("k{i}")), Some(&i.to_string()))).collect()
}

/// Settings that make scenarios quick; `extra` wins.
pub fn config(extra: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap());
    config.set("topic.metadata.refresh.interval.ms", "500").set("reconnect.backoff.max.ms", "500");
    for (key, value) in extra {
        config.set(*key, *value);
    }
    config
}

#[derive(Clone, Default)]
struct Deliveries {
    errors: Arc<Mutex<Vec<KafkaError>>>,
    acknowledged: Arc<AtomicUsize>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        match result {
            Ok(_) => _ = self.acknowledged.fetch_add(1, Ordering::SeqCst),
            Err((error, _)) => self.errors.lock().unwrap().push(error.clone()),
        }
    }
}

pub struct Producer {
    inner: BaseProducer<Deliveries>,
    deliveries: Deliveries,
}

impl Producer {
    pub fn new(extra: &[(&str, &str)]) -> Producer {
        let deliveries = Deliveries::default();
        let mut all = vec![("acks", "all"), ("linger.ms", "1"), ("allow.auto.create.topics", "false")];
        all.extend_from_slice(extra);
        let inner = config(&all).create_with_context(deliveries.clone()).expect("a producer");
        Producer { inner, deliveries }
    }

    /// Returns once every record is acknowledged, or with the first error.
    pub fn send(&self, records: &[Record]) -> KafkaResult<()> {
        self.submit(records)?;
        until("every delivery", || {
            self.inner.poll(Duration::from_millis(20));
            self.inner.in_flight_count() == 0
        });
        self.deliveries.errors.lock().unwrap().drain(..).next().map_or(Ok(()), Err)
    }

    fn submit(&self, records: &[Record]) -> KafkaResult<()> {
        for r in records {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &r.headers {
                headers = headers.insert(Header { key, value: value.as_ref() });
            }
            let mut out = BaseRecord::<[u8], [u8]>::to(&r.topic);
            (out.key, out.payload, out.timestamp) = (r.key.as_deref(), r.value.as_deref(), r.timestamp_ms);
            out.partition = (r.partition >= 0).then_some(r.partition);
            out.headers = (!r.headers.is_empty()).then_some(headers);
            self.inner.send(out).map_err(|(error, _)| error)?;
        }
        Ok(())
    }

    pub fn acknowledged(&self) -> usize {
        self.deliveries.acknowledged.load(Ordering::SeqCst)
    }
}

pub fn produce(extra: &[(&str, &str)], records: &[Record]) -> KafkaResult<()> {
    Producer::new(extra).send(records)
}

/// Reads one partition without a group.
pub struct Reader {
    inner: BaseConsumer,
}

impl Reader {
    /// `reset` is auto.offset.reset.
    pub fn at(topic: &str, partition: i32, offset: Offset, reset: &str) -> Reader {
        Reader::with(topic, partition, offset, &[("auto.offset.reset", reset)])
    }

    pub fn with(topic: &str, partition: i32, offset: Offset, extra: &[(&str, &str)]) -> Reader {
        let mut all = vec![("group.id", "unused"), ("enable.auto.commit", "false"), ("fetch.wait.max.ms", "200")];
        all.extend_from_slice(extra);
        let inner: BaseConsumer = config(&all).create().expect("a consumer");
        let mut places = TopicPartitionList::new();
        places.add_partition_offset(topic, partition, offset).expect("a place");
        inner.assign(&places).expect("an assignment");
        Reader { inner }
    }

    /// None when nothing came for a while.
    pub fn poll(&self, wait: Duration) -> Option<KafkaResult<Record>> {
        self.inner.poll(wait).map(|polled| polled.map(|message| Record::read(&message)))
    }

    pub fn read(&self, n: usize) -> Vec<Record> {
        let begin = Instant::now();
        let mut records = Vec::new();
        while records.len() < n {
            assert!(begin.elapsed() < DEADLINE, "only {} of {n} records came", records.len());
            if let Some(polled) = self.poll(Duration::from_millis(100)) {
                records.push(polled.expect("a record"));
            }
        }
        records
    }
}

pub fn read(topic: &str, partition: i32, n: usize) -> Vec<Record> {
    Reader::at(topic, partition, Offset::Beginning, "error").read(n)
}

/// What members of a group handled.
#[derive(Default)]
pub struct Tally {
    pub count: usize,
    pub seen: HashMap<(String, String), usize>,
    pub first: HashMap<String, Record>,
    pub last_offset: HashMap<String, i64>,
    pub ordered: bool,
}

impl Tally {
    pub fn shared() -> Arc<Mutex<Tally>> {
        Arc::new(Mutex::new(Tally { ordered: true, ..Tally::default() }))
    }

    fn handle(&mut self, record: Record) {
        let at = place(&record.topic, record.partition);
        let last = self.last_offset.insert(at.clone(), record.offset);
        self.ordered &= last.is_none_or(|last| last + 1 == record.offset);
        self.count += 1;
        *self.seen.entry((record.topic.clone(), record.text())).or_default() += 1;
        self.first.entry(at).or_insert(record);
    }
}

pub fn place(topic: &str, partition: i32) -> String {
    format!("{topic}/{partition}")
}

/// Before a partition goes to another member, what was handled of it is committed.
struct Commits {
    on_revoke: AtomicBool,
    assignments: AtomicUsize,
}

impl ClientContext for Commits {}

impl ConsumerContext for Commits {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(_) => _ = self.assignments.fetch_add(1, Ordering::SeqCst),
            Rebalance::Revoke(_) if self.on_revoke.load(Ordering::SeqCst) => commit_handled(consumer),
            _ => {}
        }
    }
}

fn commit_handled(consumer: &BaseConsumer<Commits>) {
    match consumer.commit_consumer_state(CommitMode::Sync) {
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
        Err(error) => eprintln!("commit: {error}"),
    }
}

/// A group member: a thread that handles records until it is closed.
pub struct Member {
    inner: Arc<BaseConsumer<Commits>>,
    error: Arc<Mutex<Option<KafkaError>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Member {
    /// With `enable.auto.commit` in `extra` it commits as that says; otherwise what it handled, before partitions go.
    pub fn join(group: &str, topic: &str, tally: &Arc<Mutex<Tally>>, extra: &[(&str, &str)]) -> Member {
        let on_revoke = !extra.iter().any(|(key, _)| *key == "enable.auto.commit");
        let mut all = vec![
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("fetch.wait.max.ms", "200"),
        ];
        // The consumer protocol goes at the broker's pace, with the broker's assignors.
        if !extra.contains(&("group.protocol", "consumer")) {
            all.extend([("heartbeat.interval.ms", "100"), ("partition.assignment.strategy", "roundrobin")]);
        }
        all.extend_from_slice(extra);
        let context = Commits { on_revoke: AtomicBool::new(on_revoke), assignments: AtomicUsize::new(0) };
        let inner: Arc<BaseConsumer<Commits>> =
            Arc::new(config(&all).create_with_context(context).expect("a consumer"));
        inner.subscribe(&[topic]).expect("a subscription");
        let (error, stop) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (inner, tally, error, stop) = (inner.clone(), tally.clone(), error.clone(), stop.clone());
            move || {
                while !stop.load(Ordering::SeqCst) {
                    match inner.poll(Duration::from_millis(20)) {
                        None => {}
                        Some(Ok(message)) => tally.lock().unwrap().handle(Record::read(&message)),
                        Some(Err(KafkaError::MessageConsumption(code))) if passes(code) => {
                            eprintln!("member: {code}")
                        }
                        Some(Err(e)) => _ = error.lock().unwrap().get_or_insert(e),
                    }
                }
            }
        });
        Member { inner, error, stop, thread: Some(thread) }
    }

    /// "topic/partition", sorted.
    pub fn assigned(&self) -> Vec<String> {
        let assignment = self.inner.assignment().expect("the assignment");
        let mut places: Vec<String> =
            assignment.elements().iter().map(|e| place(e.topic(), e.partition())).collect();
        places.sort();
        places
    }

    pub fn rebalances(&self) -> usize {
        self.inner.context().assignments.load(Ordering::SeqCst)
    }

    /// What ended the member, if something did.
    pub fn error(&self) -> Option<KafkaError> {
        if let Some((code, _)) = self.inner.client().fatal_error() {
            return Some(KafkaError::MessageConsumption(code));
        }
        self.error.lock().unwrap().clone()
    }

    pub fn commit(
        &self,
        topic: &str,
        partition: i32,
        next: i64,
        metadata: &str,
        mode: CommitMode,
    ) -> KafkaResult<()> {
        let mut places = TopicPartitionList::new();
        places.add_partition_offset(topic, partition, Offset::Offset(next))?;
        places.find_partition(topic, partition).expect("just added").set_metadata(metadata);
        self.inner.commit(&places, mode)
    }

    pub fn pause(&self, topic: &str, partition: i32) -> KafkaResult<()> {
        self.inner.pause(&one(topic, partition))
    }

    pub fn resume(&self, topic: &str, partition: i32) -> KafkaResult<()> {
        self.inner.resume(&one(topic, partition))
    }

    pub fn close(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().expect("a thread").join().expect("the member's thread");
        // Dropping the consumer takes what is left in its queue, handles it not, and would commit it all the same.
        if self.inner.context().on_revoke.swap(false, Ordering::SeqCst) {
            commit_handled(&self.inner);
        }
    }
}

/// Errors of a broker that is away or of a topic that was deleted: librdkafka goes on by itself.
fn passes(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, UnknownTopic, UnknownTopicOrPartition};
    matches!(code, AllBrokersDown | BrokerTransportFailure | UnknownTopic | UnknownTopicOrPartition)
}

fn one(topic: &str, partition: i32) -> TopicPartitionList {
    let mut places = TopicPartitionList::new();
    places.add_partition(topic, partition);
    places
}

/// The AdminClient, and a consumer for what it cannot ask.
pub struct Admin {
    inner: AdminClient<DefaultClientContext>,
    options: AdminOptions,
}

type Topics = Vec<Result<String, (String, RDKafkaErrorCode)>>;

fn only(results: Topics) -> KafkaResult<()> {
    results.into_iter().next().expect("a result").map(drop).map_err(|(_, code)| KafkaError::AdminOp(code))
}

impl Admin {
    pub fn new() -> Admin {
        let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
        Admin { inner: config(&[]).create().expect("an admin client"), options }
    }

    pub fn create(&self, topic: &str, partitions: i32, configs: &[(&str, &str)]) -> KafkaResult<()> {
        let mut wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (key, value) in configs {
            wanted = wanted.set(key, value);
        }
        only(block_on(self.inner.create_topics([&wanted], &self.options))?)
    }

    pub fn grow(&self, topic: &str, total: usize) -> KafkaResult<()> {
        only(block_on(self.inner.create_partitions([&NewPartitions::new(topic, total)], &self.options))?)
    }

    pub fn delete(&self, topic: &str) -> KafkaResult<()> {
        only(block_on(self.inner.delete_topics(&[topic], &self.options))?)
    }

    pub fn delete_group(&self, group: &str) -> KafkaResult<()> {
        only(block_on(self.inner.delete_groups(&[group], &self.options))?)
    }

    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) -> KafkaResult<()> {
        let mut places = TopicPartitionList::new();
        places.add_partition_offset(topic, partition, Offset::Offset(before))?;
        let answer = block_on(self.inner.delete_records(&places, &self.options))?;
        answer.elements()[0].error()
    }

    /// Topic names and their partition counts.
    pub fn topics(&self) -> BTreeMap<String, usize> {
        let metadata = self.inner.inner().fetch_metadata(None, DEADLINE).expect("metadata");
        metadata.topics().iter().map(|t| (t.name().to_owned(), t.partitions().len())).collect()
    }

    pub fn brokers(&self) -> usize {
        self.inner.inner().fetch_metadata(None, DEADLINE).expect("metadata").brokers().len()
    }

    pub fn config(&self, topic: &str, key: &str) -> String {
        let resources =
            block_on(self.inner.describe_configs([&ResourceSpecifier::Topic(topic)], &self.options));
        let resource = resources.expect("an answer").remove(0).expect("a topic's configs");
        let entry = resource.get(key).expect("the key");
        format!("{} {:?}", entry.value.as_deref().unwrap_or("null"), entry.source)
    }

    pub fn set_config(&self, topic: &str, key: &str, value: &str) -> KafkaResult<()> {
        let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(key, value);
        let results = block_on(self.inner.alter_configs([&change], &self.options))?;
        results.into_iter().next().expect("a result").map(drop).map_err(|(_, code)| KafkaError::AdminOp(code))
    }

    /// First and end offset.
    pub fn range(&self, topic: &str, partition: i32) -> (i64, i64) {
        self.inner.inner().fetch_watermarks(topic, partition, DEADLINE).expect("watermarks")
    }

    /// Where a group has its state, and how many members.
    pub fn group(&self, group: &str) -> String {
        let listed = self.inner.inner().fetch_group_list(Some(group), DEADLINE).expect("groups");
        let found = listed.groups().iter().find(|g| g.name() == group);
        found.map_or("absent".into(), |g| format!("{}, members {}", g.state(), g.members().len()))
    }

    pub fn groups(&self) -> Vec<String> {
        let listed = self.inner.inner().fetch_group_list(None, DEADLINE).expect("groups");
        listed.groups().iter().map(|g| g.name().to_owned()).collect()
    }

    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> (Option<i64>, String) {
        let consumer: BaseConsumer = config(&[("group.id", group)]).create().expect("a consumer");
        let places = consumer.committed_offsets(one(topic, partition), DEADLINE).expect("committed offsets");
        let found = &places.elements()[0];
        (found.offset().to_raw().filter(|o| *o >= 0), found.metadata().to_owned())
    }

    pub fn offset_for_time(&self, topic: &str, partition: i32, timestamp_ms: i64) -> Offset {
        let consumer: BaseConsumer = config(&[]).create().expect("a consumer");
        let mut places = TopicPartitionList::new();
        places.add_partition_offset(topic, partition, Offset::Offset(timestamp_ms)).expect("a place");
        consumer.offsets_for_times(places, DEADLINE).expect("offsets").elements()[0].offset()
    }
}

pub fn create(topic: &str, partitions: i32, configs: &[(&str, &str)]) {
    let admin = Admin::new();
    admin.create(topic, partitions, configs).expect("a new topic");
    until("the topic", || admin.topics().get(topic) == Some(&(partitions as usize)));
}
