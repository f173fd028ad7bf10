//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs and ListConfigResources against a recorded conversation with
//! Apache Kafka.

use std::fmt::Write;

use kafka_protocol::messages::alter_configs_request as legacy;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
    ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use ottla::Broker;
use ottla_protocol::batch::BatchBuilder;

use crate::support::{Client, TempDir, create_topic, start};

#[tokio::test]
async fn answers_are_those_of_the_reference() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create_topic(&mut client, "t", 1).await;
    let mut lines = include_str!("recorded/configs.txt").lines().peekable();
    let mut cases = 0;
    while let Some(question) = lines.next() {
        if question.starts_with('#') {
            continue;
        }
        let mut expected = String::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('>')) {
            writeln!(expected, "{line}").unwrap();
        }
        // Ottla's own default (COMPATIBILITY.md).
        let expected = expected.replace("heartbeat.interval.ms=5000", "heartbeat.interval.ms=1000");
        assert_eq!(ask(&mut client, question).await, expected, "{question}");
        cases += 1;
    }
    assert!(cases > 200, "{cases}");
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn altered_defaults_reach_topics_that_are_in_use() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create_topic(&mut client, "t", 1).await;
    assert_eq!(produce(&mut client, "t").await, 0);
    ask(&mut client, "> incremental\t1\tdo\t@4:\tmessage.max.bytes=10").await;
    assert_eq!(produce(&mut client, "t").await, MESSAGE_TOO_LARGE);
    ask(&mut client, "> incremental\t1\tdo\t@2:t\tmax.message.bytes=100000").await;
    assert_eq!(produce(&mut client, "t").await, 0);
    ask(&mut client, "> incremental\t1\tdo\t@2:t\tmax.message.bytes-").await;
    ask(&mut client, "> incremental\t1\tdo\t@4:\tmessage.max.bytes-").await;
    assert_eq!(produce(&mut client, "t").await, 0);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_topic_is_checked_against_the_defaults_that_brokers_have_now() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create_topic(&mut client, "t", 1).await;
    let change = "> incremental\t1\tvalidate\t@2:t\tmin.compaction.lag.ms=2000";
    assert_eq!(ask(&mut client, change).await, "< 0\t\\N\n");
    ask(&mut client, "> incremental\t1\tdo\t@4:\tlog.cleaner.max.compaction.lag.ms=1000").await;
    let refused = "conflict topic config setting min.compaction.lag.ms (2000) > max.compaction.lag.ms (1000)";
    assert_eq!(ask(&mut client, change).await, format!("< 40\t{refused}\n"));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn what_was_altered_outlasts_a_restart() {
    let data = TempDir::new();
    let describe = "> describe\t4\tplain\t@4:1\tmessage.max.bytes\t@2:t\tretention.ms\tmax.message.bytes";
    let mut answers = Vec::new();
    for start in 0..2 {
        let broker = Broker::builder().data(data.path()).start().await.unwrap();
        let mut client = Client::connect(&broker).await;
        if start == 0 {
            create_topic(&mut client, "t", 1).await;
            ask(&mut client, "> incremental\t1\tdo\t@4:1\tmessage.max.bytes=10\t@2:t\tretention.ms=77").await;
        }
        answers.push(ask(&mut client, describe).await);
        assert_eq!(produce(&mut client, "t").await, MESSAGE_TOO_LARGE);
        broker.stop().await.unwrap();
    }
    assert!(
        answers[0].contains("message.max.bytes=10\t2\t3") && answers[0].contains("retention.ms=77\t1\t5")
    );
    assert_eq!(answers[0], answers[1]);
}

const MESSAGE_TOO_LARGE: i16 = 10;

/// The error code with which one record is answered.
async fn produce(client: &mut Client, topic: &str) -> i16 {
    let mut batch = BatchBuilder::new();
    batch.append(1, None, Some(b"a value"));
    let records = Some(batch.build().bytes().clone());
    let partition = PartitionProduceData::default().with_index(0).with_records(records);
    let data =
        TopicProduceData::default().with_name(TopicName(text(topic))).with_partition_data(vec![partition]);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(5000).with_topic_data(vec![data]);
    client.call(9, &request).await.responses[0].partition_responses[0].error_code
}

#[tokio::test]
async fn a_broker_tells_every_key_with_its_documentation() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    let resource = DescribeConfigsResource::default()
        .with_resource_type(4)
        .with_resource_name(text("1"))
        .with_configuration_keys(None);
    let request =
        DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_documentation(true);
    let response = client.call(4, &request).await;
    let configs = &response.results[0].configs;
    assert_eq!(configs.len(), 340);
    let undocumented = configs.iter().find(|c| c.documentation.as_deref().is_none_or(str::is_empty));
    assert_eq!(undocumented, None);
    broker.stop().await.unwrap();
}

async fn ask(client: &mut Client, question: &str) -> String {
    let mut fields = question.split('\t');
    let (api, version) = (fields.next().unwrap(), fields.next().unwrap().parse().unwrap());
    match api {
        "> incremental" => incremental(client, version, fields.collect()).await,
        "> alter" => alter(client, version, fields.collect()).await,
        "> describe" => describe(client, version, fields.collect()).await,
        "> list" => list(client, version, fields.collect()).await,
        other => panic!("{other}"),
    }
}

async fn incremental(client: &mut Client, version: i16, fields: Vec<&str>) -> String {
    let resource = |(kind, name, keys): (i8, &str, &[&str])| {
        let configs = keys.iter().map(|field| {
            let (key, operation, value) = config(field);
            AlterableConfig::default().with_name(text(key)).with_config_operation(operation).with_value(value)
        });
        AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configs(configs.collect())
    };
    let request = IncrementalAlterConfigsRequest::default()
        .with_resources(resources(&fields[1..]).into_iter().map(resource).collect())
        .with_validate_only(fields[0] == "validate");
    let mut answer = String::new();
    for response in client.call(version, &request).await.responses {
        writeln!(answer, "< {}\t{}", response.error_code, shown(&response.error_message)).unwrap();
    }
    answer
}

async fn alter(client: &mut Client, version: i16, fields: Vec<&str>) -> String {
    let resource = |(kind, name, keys): (i8, &str, &[&str])| {
        let configs = keys.iter().map(|field| {
            let (key, _, value) = config(field);
            legacy::AlterableConfig::default().with_name(text(key)).with_value(value)
        });
        legacy::AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configs(configs.collect())
    };
    let request = AlterConfigsRequest::default()
        .with_resources(resources(&fields[1..]).into_iter().map(resource).collect())
        .with_validate_only(fields[0] == "validate");
    let mut answer = String::new();
    for response in client.call(version, &request).await.responses {
        writeln!(answer, "< {}\t{}", response.error_code, shown(&response.error_message)).unwrap();
    }
    answer
}

async fn describe(client: &mut Client, version: i16, fields: Vec<&str>) -> String {
    let resource = |(kind, name, keys): (i8, &str, &[&str])| {
        let keys = (keys != ["*"]).then(|| keys.iter().map(|key| text(key)).collect());
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(keys)
    };
    let request = DescribeConfigsRequest::default()
        .with_resources(resources(&fields[1..]).into_iter().map(resource).collect())
        .with_include_synonyms(fields[0] == "synonyms");
    let mut answer = String::new();
    for result in client.call(version, &request).await.results {
        writeln!(answer, "< {}\t{}", result.error_code, shown(&result.error_message)).unwrap();
        for entry in result.configs {
            let kind = if version < 3 { "-".to_owned() } else { entry.config_type.to_string() };
            let flags = match (entry.read_only, entry.is_sensitive) {
                (true, true) => "read-only,sensitive",
                (true, false) => "read-only",
                (false, true) => "sensitive",
                (false, false) => "-",
            };
            let synonyms =
                entry.synonyms.iter().map(|s| format!("{}:{}={}", s.source, &*s.name, shown(&s.value)));
            let synonyms = synonyms.collect::<Vec<_>>().join(" ");
            let (name, value, source) = (&*entry.name, shown(&entry.value), entry.config_source);
            let line = format!("  {name}={value}\t{source}\t{kind}\t{flags}\t{synonyms}");
            writeln!(answer, "{}", line.trim_end()).unwrap();
        }
    }
    answer
}

async fn list(client: &mut Client, version: i16, fields: Vec<&str>) -> String {
    let types = fields.iter().map(|field| field.parse().unwrap()).collect();
    let request = ListConfigResourcesRequest::default().with_resource_types(types);
    let response = client.call(version, &request).await;
    let mut answer = format!("< {}", response.error_code);
    for resource in response.config_resources {
        write!(answer, "\t{}:{}", resource.resource_type, &*resource.resource_name).unwrap();
    }
    answer + "\n"
}

/// `@2:t key key @4:1 key` as (2, t, [key, key]), (4, 1, [key]).
fn resources<'a, 'b>(fields: &'b [&'a str]) -> Vec<(i8, &'a str, &'b [&'a str])> {
    let mut list = Vec::new();
    let mut rest = fields;
    while let Some((head, tail)) = rest.split_first() {
        let (kind, name) = head.strip_prefix('@').unwrap().split_once(':').unwrap();
        let end = tail.iter().position(|field| field.starts_with('@')).unwrap_or(tail.len());
        list.push((kind.parse().unwrap(), name, &tail[..end]));
        rest = &tail[end..];
    }
    list
}

/// `key=value`, `key-`, `key+=value`, `key~=value`: the key, the operation, the value.
fn config(field: &str) -> (&str, i8, Option<StrBytes>) {
    let end = field.find(|c: char| !c.is_ascii_alphanumeric() && !"._".contains(c)).unwrap();
    let (key, rest) = field.split_at(end);
    let (operation, value) = [("+=", 2), ("~=", 3), ("?=", 9), ("=", 0), ("-", 1)]
        .into_iter()
        .find_map(|(sign, operation)| Some((operation, rest.strip_prefix(sign)?)))
        .unwrap();
    let is_null = value == r"\N" || (operation == 1 && value.is_empty());
    (key, operation, (!is_null).then(|| text(value)))
}

fn shown(value: &Option<StrBytes>) -> String {
    value.as_ref().map_or(r"\N".to_owned(), |value| value.to_string())
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
