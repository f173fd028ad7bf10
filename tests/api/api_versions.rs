use bytes::Buf;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::{Decodable, StrBytes};

use crate::support::{Client, start};

fn request() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("librdkafka"))
        .with_client_software_version(StrBytes::from_static_str("2.3.0"))
}

#[tokio::test]
async fn every_version_tells_the_same_table() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    let newest = client.call(4, &request()).await;
    assert!(
        newest.api_keys.iter().any(|api| api.api_key == 18 && api.min_version == 0 && api.max_version == 4)
    );
    for version in 0..=3 {
        let response =
            client.call(version, &if version < 3 { ApiVersionsRequest::default() } else { request() }).await;
        assert_eq!((response.error_code, &response.api_keys), (0, &newest.api_keys), "v{version}");
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn an_unknown_version_is_answered_in_v0_with_the_window_to_choose_from() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    // Recorded from Kafka 4.3.1: error 35, one row.
    client.send_frame(&[0, 18, 0, 9, 0, 0, 0, 1, 0, 1, b'a', 0]).await;
    let mut answer = client.receive().await.unwrap();
    assert_eq!(answer[..], [0, 0, 0, 1, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]);
    assert_eq!(answer.get_i32(), 1);
    let response = ApiVersionsResponse::decode(&mut answer, 0).unwrap();
    let own = ApiVersion::default().with_api_key(18).with_min_version(0).with_max_version(4);
    assert_eq!((response.error_code, response.api_keys), (35, vec![own]));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_client_without_a_software_name_is_refused() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.call(3, &ApiVersionsRequest::default()).await.error_code, 42);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_no_request_closes_its_connection_and_no_other() {
    let broker = start().await;
    let mut bystander = Client::connect(&broker).await;
    let unknown_api: &[u8] = &[0, 99, 0, 0, 0, 0, 0, 1, 0, 1, b'a'];
    let unknown_version: &[u8] = &[0, 3, 0, 99, 0, 0, 0, 1, 0, 1, b'a', 0];
    let absurd_array: &[u8] = &[0, 3, 0, 12, 0, 0, 0, 1, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
    for bad in [unknown_api, unknown_version, absurd_array, b"", b"GET / HTTP/1.1"] {
        let mut client = Client::connect(&broker).await;
        client.send_frame(bad).await;
        assert!(client.receive().await.is_none(), "{bad:?} is not answered");
    }
    assert_eq!(bystander.call(4, &request()).await.error_code, 0);
    broker.stop().await.unwrap();
}
