//! The metadata image as the coordinators see it.

use std::sync::{Arc, Weak};

use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::Broker;
use crate::coordinator::{ClusterSource, ClusterView, TopicView};
use crate::metadata::{Image, ResourceType, Topic};

impl ClusterView for Image {
    fn version(&self) -> i64 {
        self.offset
    }

    fn topic(&self, name: &str) -> Option<TopicView> {
        Image::topic(self, name).map(|topic| view(topic))
    }

    fn topic_by_id(&self, id: Uuid) -> Option<TopicView> {
        Image::topic_by_id(self, &id).map(|topic| view(topic))
    }

    fn topic_names(&self) -> Vec<StrBytes> {
        self.topics().map(|topic| topic.name.clone()).collect()
    }

    fn group_config(&self, group_id: &str, key: &str) -> Option<String> {
        self.configs(ResourceType::Group, group_id)?.get(key).cloned()
    }
}

fn view(topic: &Topic) -> TopicView {
    TopicView { name: topic.name.clone(), id: topic.id, partitions: topic.partition_count() }
}

/// The image that is committed now; an empty one once the broker is gone.
pub struct PresentImage(pub Weak<Broker>);

impl ClusterSource for PresentImage {
    fn view(&self) -> Arc<dyn ClusterView> {
        match self.0.upgrade() {
            Some(broker) => broker.image(),
            None => Arc::new(Image::default()),
        }
    }
}
