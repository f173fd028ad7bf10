//! DescribeCluster (60) v0-2. v1: the type of the endpoint (KIP-919); v2: fenced brokers (KIP-1073).

use ottla_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use ottla_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use ottla_protocol::{ErrorCode, StrBytes};

use super::Context;
use super::topic_answers::{ALL_CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, address};

/// The types of endpoints, as numbered on the wire.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub async fn handle(context: Context, request: DescribeClusterRequest) -> DescribeClusterResponse {
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let message = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER";
            return refused(ErrorCode::MismatchedEndpointType, message.to_owned());
        }
        other => {
            let message = format!("Unsupported endpoint type {other}");
            return refused(ErrorCode::UnsupportedEndpointType, message);
        }
    }
    let image = context.broker().image();
    let brokers = image.brokers().filter(|broker| request.include_fenced_brokers || !broker.fenced);
    let brokers = brokers.filter_map(|broker| {
        let (host, port) = address(&context, broker)?;
        let seen = DescribeClusterBroker::default()
            .with_broker_id(BrokerId(broker.id))
            .with_host(host)
            .with_port(port)
            .with_rack(broker.rack.clone());
        // v2 has a word for it.
        Some(seen.with_is_fenced(broker.fenced))
    });
    let operations = match request.include_cluster_authorized_operations {
        true => ALL_CLUSTER_OPERATIONS,
        false => OPERATIONS_NOT_ASKED,
    };
    DescribeClusterResponse::default()
        .with_endpoint_type(BROKERS)
        .with_cluster_id(context.broker().cluster.cluster_id().clone())
        .with_controller_id(BrokerId(context.broker().node_id()))
        .with_brokers(brokers.collect())
        .with_cluster_authorized_operations(operations)
}

fn refused(error: ErrorCode, message: String) -> DescribeClusterResponse {
    DescribeClusterResponse::default()
        .with_error_code(error.code())
        .with_error_message(Some(StrBytes::from_string(message)))
        .with_endpoint_type(BROKERS)
        .with_controller_id(BrokerId(-1))
}
