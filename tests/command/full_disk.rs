//! No room for what is produced. The largest size of a file (`ulimit -f`) stands in for a disk that is full: a write fails,
//! and the process lives.

use ottla_protocol::StrBytes;
use ottla_protocol::messages::IncrementalAlterConfigsRequest;
use ottla_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};

use super::client::{Client, fetch, produce_request};
use super::process::{Dir, Ottla};

const ARGS: [&str; 2] = ["--listen=127.0.0.1:0", "--data=data"];
const KAFKA_STORAGE_ERROR: i16 = 56;
/// Two or four MiB.
const BLOCKS: u32 = 4096;

fn set_segment_bytes(client: &mut Client, topic: &str, bytes: u32) {
    const TOPIC: i8 = 2;
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_static_str("segment.bytes"))
        .with_value(Some(StrBytes::from_string(bytes.to_string())));
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(StrBytes::from_string(topic.to_owned()))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    assert_eq!(client.call(1, &request).responses[0].error_code, 0);
}

#[test]
fn appends_are_refused_reads_go_on_and_appends_again_when_there_is_room() {
    let dir = Dir::new("full");
    let mut ottla = Ottla::serve_small_files(&dir, BLOCKS, &ARGS);
    let mut client = Client::connect(ottla.bootstrap());
    client.metadata("t");
    client.metadata("u");
    let value = vec![0; 100_000];
    let mut acknowledged = 0;
    let refused = (0..100).find_map(|_| {
        let response = client.call(7, &produce_request("t", &value, -1));
        let partition = &response.responses[0].partition_responses[0];
        acknowledged += i64::from(partition.error_code == 0);
        (partition.error_code != 0).then_some(partition.error_code)
    });
    assert_eq!(refused, Some(KAFKA_STORAGE_ERROR));
    assert!(acknowledged >= 15, "{acknowledged}");
    ottla.wait_for("takes no writes");

    assert_eq!(client.end_offset("t"), acknowledged);
    let read = client.call(4, &fetch("t", 10_000_000));
    let bytes = read.responses[0].partitions[0].records.as_ref().map_or(0, |records| records.len());
    assert!(bytes > 100_000, "{bytes}");
    assert_eq!(client.produce("u", b"elsewhere"), 0);
    let again = client.call(7, &produce_request("t", &value, -1));
    assert_eq!(again.responses[0].partition_responses[0].error_code, KAFKA_STORAGE_ERROR);

    // Another segment, another file: there is room again.
    set_segment_bytes(&mut client, "t", 1 << 20);
    assert_eq!(client.produce("t", &value), acknowledged);
    ottla.kill();

    let mut ottla = Ottla::serve(&dir, &ARGS, &[]);
    let mut client = Client::connect(ottla.bootstrap());
    assert_eq!(client.end_offset("t"), acknowledged + 1);
    assert_eq!(client.produce("t", &value), acknowledged + 1);
    assert_eq!(client.end_offset("u"), 1);
    ottla.stop();
}
