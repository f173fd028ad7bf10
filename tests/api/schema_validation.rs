//! Topics that take only records whose key and value name a registered schema (`confluent.value.schema.validation`).

use bytes::Bytes;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    IncrementalAlterConfigsRequest, ProduceRequest, ProduceResponse, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, StrBytes};
use ottla::{Broker, Running};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::codec::Compression;

use crate::data::{ACKS_ALL, NONE, PRODUCE, batch, create, latest_offset, produce, produce_request};
use crate::rest::ask;
use crate::support::{Client, TempDir, start};

const INVALID_RECORD: i16 = 87;
const NOW_MS: i64 = 1_700_000_000_000;
const ID: &[u8] = &[0, 0, 0, 0, 1];
const OTHER_ID: &[u8] = &[0, 0, 0, 0, 2];
const MESSAGE_ID: &[u8] = &[0, 0, 0, 0, 3];

const VALUE: (&str, &str) = ("confluent.value.schema.validation", "true");
const KEY: (&str, &str) = ("confluent.key.schema.validation", "true");
const BY_RECORD: (&str, &str) =
    ("confluent.value.subject.name.strategy", "io.confluent.kafka.serializers.subject.RecordNameStrategy");
const BY_TOPIC_AND_RECORD: (&str, &str) = (
    "confluent.value.subject.name.strategy",
    "io.confluent.kafka.serializers.subject.TopicRecordNameStrategy",
);

/// A broker with the topic `t`, and three schemas: 1 of an Avro record `a.R` under some subjects, 2 of an Avro string under
/// `t-key`, 3 of two Protobuf messages under `p.Second` and `t-p.First.Inner`.
async fn with_schemas(configs: &[(&str, &str)]) -> (Running, Client) {
    let broker = Broker::builder().registry().start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 1, configs).await;
    let record = r#"{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a\",\"fields\":[]}"#;
    let file = "package p; message First { message Inner {} } message Second {}";
    for subject in ["t-value", "a.R"] {
        register(&broker, subject, &format!(r#"{{"schema":"{record}"}}"#), 1).await;
    }
    register(&broker, "t-key", r#"{"schema":"\"string\""}"#, 2).await;
    for subject in ["p.Second", "t-p.First.Inner"] {
        register(&broker, subject, &format!(r#"{{"schemaType":"PROTOBUF","schema":"{file}"}}"#), 3).await;
    }
    (broker, client)
}

async fn register(broker: &Running, subject: &str, body: &str, id: i32) {
    let answer = ask(broker, &format!("POST /subjects/{subject}/versions"), body).await;
    assert!(answer.contains(&format!("\"id\":{id},")), "{answer}");
}

type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// A record: its key, its value, its headers.
type Given<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, &'a [Header<'a>]);

fn records(compression: Compression, given: &[Given<'_>]) -> Bytes {
    let mut builder = BatchBuilder::new().compression(compression, None);
    for (key, value, headers) in given {
        builder.append_with_headers(NOW_MS, *key, *value, headers);
    }
    builder.build().into_bytes()
}

/// What a topic with these settings says of one record, without compression and with: nothing, or why it is refused.
async fn check(configs: &[(&str, &str)], cases: &[(Given<'_>, Option<&str>)]) {
    let (broker, mut client) = with_schemas(configs).await;
    for (given, expected) in cases {
        for compression in [Compression::None, Compression::Zstd] {
            let before = latest_offset(&mut client, "t", 0).await;
            let answer = produce(&mut client, "t", 0, records(compression, &[*given])).await;
            assert_eq!(why(&answer).as_deref(), *expected, "{given:?} {compression:?}");
            let appended = latest_offset(&mut client, "t", 0).await - before;
            assert_eq!(appended, i64::from(expected.is_none()));
        }
    }
    broker.stop().await.unwrap();
}

/// The reason that stands in a refusal's only record error.
fn why(answer: &PartitionProduceResponse) -> Option<String> {
    const BY: &str = "is rejected by the record interceptor io.confluent.kafka.schemaregistry.validator.RecordSchemaValidator: ";
    if answer.error_code == NONE {
        assert!(answer.record_errors.is_empty() && answer.error_message.is_none());
        return None;
    }
    assert_eq!(answer.error_code, INVALID_RECORD);
    let [error] = &answer.record_errors[..] else { panic!("{answer:?}") };
    let message = error.batch_index_error_message.as_deref().expect("words");
    let all = answer.error_message.as_deref().expect("words");
    let record = format!("Log record DefaultRecord(offset={}, timestamp={NOW_MS}, ", error.batch_index);
    assert!(message.starts_with(&record), "{message}");
    assert!(
        all.starts_with("One or more records have been rejected due to 1 record errors in total"),
        "{all}"
    );
    assert!(all.contains(message), "{all}");
    Some(message.split_once(BY).expect("the interceptor").1.to_owned())
}

const NO_ID: &str = "its value names no schema: there is neither a header __value_schema_id nor a magic byte and an id at its beginning";

#[tokio::test]
async fn values_have_a_schema_of_their_topic() {
    let long = [ID, &[7; 5000]].concat();
    check(
        &[VALUE],
        &[
            ((None, Some(ID), &[]), None),
            ((Some(b"any key"), Some(&long), &[(b"h", None), (b"__key_schema_id", Some(b"?"))]), None),
            // A tombstone has no schema.
            ((Some(b"key"), None, &[]), None),
            ((None, None, &[(b"__value_schema_id", Some(b"?"))]), None),
            ((None, Some(b"text"), &[]), Some(NO_ID)),
            ((None, Some(b""), &[]), Some(NO_ID)),
            ((None, Some(&ID[..4]), &[]), Some(NO_ID)),
            (
                (None, Some(OTHER_ID), &[]),
                Some("the schema of its value, id 2, is not registered under subject t-value"),
            ),
            (
                (None, Some(&[0, 0x7f, 0xff, 0xff, 0xff]), &[]),
                Some("the schema of its value, id 2147483647, is not registered under subject t-value"),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn headers_count_before_the_value() {
    let guid = {
        let (broker, _client) = with_schemas(&[]).await;
        let answer = ask(&broker, "GET /subjects/t-value/versions/1", "").await;
        broker.stop().await.unwrap();
        let (_, rest) = answer.split_once(r#""guid":""#).expect("a guid");
        uuid::Uuid::parse_str(&rest[..36]).unwrap()
    };
    let known = [&[1], &guid.as_bytes()[..]].concat();
    let unknown = [&[1][..], &[0xab; 16]].concat();
    const NAME: &[u8] = b"__value_schema_id";
    let long = [9; 5000];
    check(
        &[VALUE],
        &[
            ((None, Some(b"text"), &[(NAME, Some(&known))]), None),
            ((None, Some(b"text"), &[(b"other", Some(&known)), (NAME, Some(ID))]), None),
            ((None, Some(&known), &[]), None),
            ((Some(&long), Some(&long), &[(&long, Some(&long)), (NAME, Some(&known)), (&long, None)]), None),
            // The last one counts, and null is none.
            ((None, Some(b"text"), &[(NAME, Some(&unknown)), (NAME, Some(&known))]), None),
            ((None, Some(ID), &[(NAME, Some(&unknown)), (NAME, None)]), None),
            ((None, Some(ID), &[(NAME, Some(b"?"))]), Some(NO_ID)),
            ((None, Some(b"text"), &[(b"__value_schema_ix", Some(&known))]), Some(NO_ID)),
            (
                (None, Some(ID), &[(NAME, Some(&unknown))]),
                Some(
                    "the schema of its value, guid abababab-abab-abab-abab-abababababab, is not registered under subject t-value",
                ),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn keys_are_checked_for_themselves() {
    check(
        &[KEY, VALUE],
        &[
            ((Some(OTHER_ID), Some(ID), &[]), None),
            ((None, Some(ID), &[]), None),
            ((None, None, &[]), None),
            (
                (Some(ID), Some(ID), &[]),
                Some("the schema of its key, id 1, is not registered under subject t-key"),
            ),
            (
                (Some(b"k"), Some(ID), &[]),
                Some(
                    "its key names no schema: there is neither a header __key_schema_id nor a magic byte and an id at its beginning",
                ),
            ),
        ],
    )
    .await;
    check(&[KEY], &[((Some(OTHER_ID), Some(b"anything"), &[]), None)]).await;
}

#[tokio::test]
async fn subjects_are_named_after_records() {
    let message = |path: &[u8]| [MESSAGE_ID, path].concat();
    let (inner, second, first) = (message(&[4, 0, 0]), message(&[2, 2, 0xff]), message(&[0]));
    check(
        &[VALUE, BY_RECORD],
        &[
            ((None, Some(ID), &[]), None),
            ((None, Some(&second), &[]), None),
            (
                (None, Some(&first), &[]),
                Some("the schema of its value, id 3, is not registered under subject p.First"),
            ),
            (
                (None, Some(OTHER_ID), &[]),
                Some("the schema of its value, id 2, is not registered or has no name"),
            ),
            (
                (None, Some(&message(&[2, 8])), &[]),
                Some("the schema of its value, id 3, is not registered or has no name"),
            ),
            (
                (None, Some(&[0, 0, 0, 0, 9]), &[]),
                Some("the schema of its value, id 9, is not registered or has no name"),
            ),
        ],
    )
    .await;
    check(
        &[VALUE, BY_TOPIC_AND_RECORD],
        &[
            ((None, Some(&inner), &[]), None),
            (
                (None, Some(ID), &[]),
                Some("the schema of its value, id 1, is not registered under subject t-a.R"),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn one_bad_record_refuses_its_batch_and_no_other() {
    let (broker, mut client) = with_schemas(&[VALUE]).await;
    create(&mut client, "free", 1, &[]).await;
    for compression in [Compression::None, Compression::Gzip, Compression::Lz4] {
        let given: Vec<Given<'_>> =
            (0..100).map(|n| (None, Some(if n == 70 { &b"bad"[..] } else { ID }), &[][..])).collect();
        let mut bad = produce_request("t", 0, ACKS_ALL, records(compression, &given));
        let good = produce_request("t", 0, ACKS_ALL, records(compression, &given[..70]));
        let free = produce_request("free", 0, ACKS_ALL, records(compression, &given));
        // In one request, the good batch of another topic is appended.
        bad.topic_data.extend(free.topic_data);
        let answer = client.call(PRODUCE, &bad).await;
        let refused = &answer.responses[0].partition_responses[0];
        assert_eq!((refused.error_code, refused.base_offset), (INVALID_RECORD, -1));
        let at: Vec<i32> = refused.record_errors.iter().map(|error| error.batch_index).collect();
        assert_eq!(at, [70]);
        assert_eq!(answer.responses[1].partition_responses[0].error_code, NONE);
        let answer = client.call(PRODUCE, &good).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, NONE);
    }
    assert_eq!(latest_offset(&mut client, "t", 0).await, 210);
    assert_eq!(latest_offset(&mut client, "free", 0).await, 300);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn with_acks_0_the_connection_is_closed() {
    let (broker, mut client) = with_schemas(&[VALUE]).await;
    client.send(PRODUCE, &produce_request("t", 0, 0, batch(&[ID]))).await;
    assert_eq!(latest_offset(&mut client, "t", 0).await, 1);
    client.send(PRODUCE, &produce_request("t", 0, 0, batch(&[b"bad"]))).await;
    assert_eq!(client.receive().await, None);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_registered_and_deleted_counts_at_once() {
    let (broker, mut client) = with_schemas(&[VALUE]).await;
    let new = batch(&[&[0, 0, 0, 0, 4]]);
    let code = async |client: &mut Client, records: &Bytes| {
        produce(client, "t", 0, records.clone()).await.error_code
    };
    assert_eq!(code(&mut client, &new).await, INVALID_RECORD);
    ask(&broker, "PUT /config/t-value", r#"{"compatibility":"NONE"}"#).await;
    register(&broker, "t-value", r#"{"schema":"\"long\""}"#, 4).await;
    assert_eq!(code(&mut client, &new).await, NONE);
    // Old records may still be copied to the topic after a soft deletion.
    ask(&broker, "DELETE /subjects/t-value/versions/2", "").await;
    assert_eq!(code(&mut client, &new).await, NONE);
    ask(&broker, "DELETE /subjects/t-value/versions/2?permanent=true", "").await;
    assert_eq!(code(&mut client, &new).await, INVALID_RECORD);
    // It is the topic's own setting.
    alter(&mut client, "t", VALUE.0, "false").await;
    assert_eq!(code(&mut client, &new).await, NONE);
    alter(&mut client, "t", VALUE.0, "true").await;
    assert_eq!(code(&mut client, &new).await, INVALID_RECORD);
    broker.stop().await.unwrap();
}

async fn alter(client: &mut Client, topic: &str, name: &str, value: &str) {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let config = AlterableConfig::default().with_name(text(name)).with_value(Some(text(value)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(topic))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    assert_eq!(client.call(1, &request).await.responses[0].error_code, NONE);
}

#[tokio::test]
async fn the_first_record_after_a_start_finds_its_schema() {
    let dir = TempDir::new();
    for start in 0..3 {
        let broker = Broker::builder().registry().data(dir.path()).start().await.unwrap();
        let mut client = Client::connect(&broker).await;
        if start == 0 {
            create(&mut client, "t", 1, &[VALUE]).await;
            for n in 0..200 {
                let subject = format!("s{n}");
                register(
                    &broker,
                    &subject,
                    &format!(r#"{{"schema":"{{\"type\":\"fixed\",\"name\":\"F\",\"size\":{n}}}"}}"#),
                    n + 1,
                )
                .await;
            }
            register(&broker, "t-value", r#"{"schema":"\"string\""}"#, 201).await;
        }
        let answer = produce(&mut client, "t", 0, batch(&[&[0, 0, 0, 0, 201]])).await;
        assert_eq!((answer.error_code, answer.base_offset), (NONE, start));
        broker.stop().await.unwrap();
    }
}

#[tokio::test]
async fn without_a_registry_nothing_is_taken() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 1, &[VALUE]).await;
    let answer = produce(&mut client, "t", 0, batch(&[ID])).await;
    assert_eq!(answer.error_code, INVALID_RECORD);
    assert_eq!(
        answer.error_message.as_deref(),
        Some("The topic validates schemas, but the broker runs without a schema registry")
    );
    assert!(answer.record_errors.is_empty());
    broker.stop().await.unwrap();
}

/// Requests that wait for the registry keep their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_stay_in_order() {
    let (broker, mut client) = with_schemas(&[VALUE]).await;
    create(&mut client, "free", 1, &[]).await;
    let request = |n: usize| -> ProduceRequest {
        let (topic, value) = [("t", ID), ("free", b"v"), ("t", b"bad")][n % 3];
        produce_request(topic, 0, ACKS_ALL, batch(&[value]))
    };
    for n in 0..90 {
        client.send(PRODUCE, &request(n)).await;
    }
    for n in 0..90 {
        let mut answer = client.receive().await.expect("an answer");
        ResponseHeader::decode(&mut answer, 1).unwrap();
        let answer = ProduceResponse::decode(&mut answer, PRODUCE).unwrap();
        let of = |partition: &PartitionProduceResponse| (partition.error_code, partition.base_offset);
        let expected = if n % 3 == 2 { (INVALID_RECORD, -1) } else { (NONE, n / 3) };
        assert_eq!(of(&answer.responses[0].partition_responses[0]), expected, "{n}");
    }
    broker.stop().await.unwrap();
}
