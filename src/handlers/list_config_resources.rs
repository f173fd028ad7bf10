//! ListConfigResources (74) v0-1. v0 was ListClientMetricsResources (KIP-714); v1 lists every type (KIP-1142).

use ottla_protocol::messages::list_config_resources_response::ConfigResource;
use ottla_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use ottla_protocol::{ErrorCode, StrBytes};

use super::Context;
use crate::metadata::{Image, ResourceType};

/// The order in which types are listed.
const ALL: [ResourceType; 5] = [
    ResourceType::Group,
    ResourceType::ClientMetrics,
    ResourceType::BrokerLogger,
    ResourceType::Broker,
    ResourceType::Topic,
];

pub async fn handle(context: Context, request: ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    let asked = match context.api_version {
        0 => vec![ResourceType::ClientMetrics.id()],
        _ if request.resource_types.is_empty() => ALL.iter().map(|resource| resource.id()).collect(),
        _ => request.resource_types,
    };
    if asked.iter().any(|id| ResourceType::from_id(*id).is_none()) {
        return ListConfigResourcesResponse::default().with_error_code(ErrorCode::UnsupportedVersion.code());
    }
    let image = context.broker().image();
    let mut resources = Vec::new();
    for resource in ALL.into_iter().filter(|resource| asked.contains(&resource.id())) {
        for name in names(&image, resource) {
            let listed = ConfigResource::default().with_resource_name(name).with_resource_type(resource.id());
            resources.push(listed);
        }
    }
    ListConfigResourcesResponse::default().with_config_resources(resources)
}

fn names(image: &Image, resource: ResourceType) -> Vec<StrBytes> {
    match resource {
        ResourceType::Topic => image.topics().map(|topic| topic.name.clone()).collect(),
        ResourceType::Broker | ResourceType::BrokerLogger => {
            image.brokers().map(|broker| StrBytes::from_string(broker.id.to_string())).collect()
        }
        ResourceType::Group | ResourceType::ClientMetrics => {
            let mut names: Vec<StrBytes> = image.configured(resource).cloned().collect();
            names.sort();
            names
        }
    }
}
