//! The schema registry in the broker's process, and its topic as clients see it.

use std::sync::Arc;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest};
use ottla::services::client::Client as Inner;
use ottla::services::registry::model::{Deleted, Format, Page, RegisterSchemaRequest, Schema, VersionId};
use ottla::services::registry::{Error, Registry, RegistryConfig};
use ottla::{Broker, Running};
use ottla_protocol::batch::{BatchBuilder, Records};

use crate::data::{FETCH, NONE, UNKNOWN_TOPIC_OR_PARTITION, fetch_request, fetched, name, produce};
use crate::support::{Client, TempDir, start};

const TOPIC: &str = "_schemas";

fn registry(broker: &Running) -> Arc<Registry> {
    Registry::new(RegistryConfig::default(), Inner::new(Arc::clone(broker.broker()), "registry"))
}

fn request(schema: &str) -> RegisterSchemaRequest {
    RegisterSchemaRequest { schema: Some(schema.to_owned()), ..RegisterSchemaRequest::default() }
}

async fn register(registry: &Registry, subject: &str, schema: &str) -> Result<Schema, Error> {
    registry.register(subject, request(schema), false, &Format::default()).await
}

async fn subjects(registry: &Registry) -> Vec<String> {
    let mut subjects = Vec::new();
    let each = |subject| {
        subjects.push(subject);
        Ok(())
    };
    registry.subjects(":*:", Deleted::Hidden, Page::default(), each).await.unwrap();
    subjects
}

/// A schema that goes with none of the others.
fn schema(number: usize) -> String {
    format!(r#"{{"type":"fixed","name":"F{number}","size":{}}}"#, number + 1)
}

/// The records of the topic, as a client reads them.
async fn records(client: &mut Client) -> Result<Vec<(String, Option<String>)>, i16> {
    let answer = client.call(FETCH, &fetch_request(TOPIC, &[(0, 0, 1 << 20)])).await;
    let found = &fetched(answer)[0];
    if found.error_code != NONE {
        return Err(found.error_code);
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut records = Vec::new();
    for batch in ottla_protocol::batch::Batches::new(found.records.clone().unwrap_or_default()) {
        let batch = batch.unwrap();
        let payload = batch.payload();
        for record in Records::new(&payload, batch.header().records_count) {
            let record = record.unwrap();
            records.push((text(record.key.unwrap()), record.value.map(text)));
        }
    }
    Ok(records)
}

#[tokio::test]
async fn the_topic_comes_with_the_first_write() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    let registry = registry(&broker);
    assert_eq!(subjects(&registry).await, Vec::<String>::new());
    assert_eq!(
        registry.version("s", VersionId::Latest, false, &Format::default()).await.unwrap_err().code,
        40401
    );
    assert_eq!(records(&mut client).await, Err(UNKNOWN_TOPIC_OR_PARTITION));
    let registered = register(&registry, "s", "\"string\"").await.unwrap();
    assert_eq!((registered.id, registered.version), (Some(1), Some(1)));
    let written = (
        r#"{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}"#.to_owned(),
        Some(r#"{"subject":"s","version":1,"id":1,"schema":"\"string\"","deleted":false}"#.to_owned()),
    );
    assert_eq!(records(&mut client).await, Ok(vec![written]));
    assert!(!registry.cluster_id().await.unwrap().is_empty());
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_at_once_give_one_id_to_a_schema() {
    let broker = start().await;
    let registry = registry(&broker);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..40 {
        let registry = Arc::clone(&registry);
        tasks.spawn(async move {
            let number = task % 5;
            let registered = register(&registry, &format!("s{}", task % 8), &schema(number)).await;
            // Schemas in one subject must go together, and these do not.
            registered.ok().map(|registered| (number, registered.id.unwrap()))
        });
    }
    let mut ids = std::collections::BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        if let Some((number, id)) = done.unwrap() {
            assert_eq!(*ids.entry(id).or_insert(number), number, "one id for two schemas");
        }
    }
    let schemas: std::collections::BTreeSet<_> = ids.values().collect();
    assert_eq!(schemas.len(), ids.len(), "two ids for one schema: {ids:?}");
    assert_eq!(subjects(&registry).await.len(), 8);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_acknowledged() {
    let dir = TempDir::new();
    let broker = Broker::builder().data(dir.path()).start().await.unwrap();
    let before = registry(&broker);
    for number in 0..20 {
        register(&before, &format!("s{number}"), &schema(number)).await.unwrap();
    }
    before.delete_subject("s3", false).await.unwrap();
    let crashed = dir.copy();
    broker.stop().await.unwrap();

    let broker = Broker::builder().data(crashed.path()).start().await.unwrap();
    let after = registry(&broker);
    after.load().await.unwrap();
    assert_eq!(subjects(&after).await.len(), 19);
    for number in 0..20 {
        let found = after.schema_by_id(number + 1, "", false, &Format::default()).await.unwrap();
        assert_eq!(found.schema, Some(schema(number as usize)));
    }
    assert_eq!(register(&after, "new", &schema(20)).await.unwrap().id, Some(21));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn what_others_write_is_served() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    let registry = registry(&broker);
    register(&registry, "s", "\"string\"").await.unwrap();
    let mut batch = BatchBuilder::new();
    let key = br#"{"keytype":"SCHEMA","subject":"t","version":1,"magic":1}"#;
    let value = br#"{"subject":"t","version":1,"id":7,"schema":"\"int\"","deleted":false}"#;
    batch.append(1_700_000_000_000, Some(b"no JSON"), Some(b"at all"));
    batch.append(1_700_000_000_123, Some(key), Some(value));
    produce(&mut client, TOPIC, 0, batch.build().into_bytes()).await;
    let found = registry.version("t", VersionId::Latest, false, &Format::default()).await.unwrap();
    assert_eq!((found.id, found.ts), (Some(7), Some(1_700_000_000_123)));
    assert_eq!(register(&registry, "u", "\"long\"").await.unwrap().id, Some(8));

    // The topic is taken away, and made anew by someone.
    let gone = DeleteTopicState::default().with_name(Some(name(TOPIC)));
    client.call(6, &DeleteTopicsRequest::default().with_topics(vec![gone]).with_timeout_ms(30_000)).await;
    assert_eq!(subjects(&registry).await, Vec::<String>::new());
    let topic =
        CreatableTopic::default().with_name(name(TOPIC)).with_num_partitions(1).with_replication_factor(1);
    client.call(7, &CreateTopicsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(register(&registry, "u", "\"long\"").await.unwrap().id, Some(1));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_schema_that_no_record_can_hold_is_too_large() {
    let broker = start().await;
    let registry = registry(&broker);
    // Each quotation mark takes two bytes in the record.
    let doc = "\\\"".repeat(300_000);
    let large = format!(r#"{{"type":"fixed","name":"F","size":1,"doc":"{doc}"}}"#);
    let error = register(&registry, "s", &large).await.unwrap_err();
    assert_eq!((error.code, error.status()), (42209, 422));
    assert_eq!(subjects(&registry).await, Vec::<String>::new());
    broker.stop().await.unwrap();
}
