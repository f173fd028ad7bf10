//! What a machine may know of the cluster: a picture that does not change while a command runs.

use ottla_protocol::StrBytes;
use uuid::Uuid;

/// The topics and the groups' configurations, as the metadata log has them. The broker's image is one.
pub trait ClusterView: Send + Sync {
    /// Grows with every change of the metadata: what was worked out from a view of the same version still holds.
    fn version(&self) -> i64;

    fn topic(&self, name: &str) -> Option<TopicView>;

    fn topic_by_id(&self, id: Uuid) -> Option<TopicView>;

    /// All topics' names, in order.
    fn topic_names(&self) -> Vec<StrBytes>;

    /// What a group's own configuration (the GROUP resource) says of `key`; `None` if it says nothing.
    fn group_config(&self, group_id: &str, key: &str) -> Option<String>;
}

/// Where the runtime gets the present view from.
pub trait ClusterSource: Send + Sync + 'static {
    fn view(&self) -> std::sync::Arc<dyn ClusterView>;
}

/// A topic as a machine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicView {
    pub name: StrBytes,
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: i32,
}

/// A view that is made up.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
pub struct TestView {
    pub version: i64,
    pub topics: std::collections::BTreeMap<StrBytes, TopicView>,
    pub group_configs: std::collections::BTreeMap<(String, String), String>,
}

#[cfg(test)]
impl TestView {
    /// Adds a topic, or partitions to it. Its id is made from its name's bytes.
    pub fn put(&mut self, name: &str, partitions: i32) {
        self.version += 1;
        let id = name.bytes().fold(0x1000_u128, |id, byte| id * 256 + u128::from(byte));
        let name = StrBytes::from_string(name.to_owned());
        self.topics.insert(name.clone(), TopicView { name, id: Uuid::from_u128(id), partitions });
    }

    pub fn remove(&mut self, name: &str) {
        self.version += 1;
        self.topics.retain(|topic, _| topic.as_str() != name);
    }

    pub fn configure(&mut self, group_id: &str, key: &str, value: &str) {
        self.version += 1;
        self.group_configs.insert((group_id.to_owned(), key.to_owned()), value.to_owned());
    }
}

#[cfg(test)]
impl ClusterView for TestView {
    fn version(&self) -> i64 {
        self.version
    }

    fn topic(&self, name: &str) -> Option<TopicView> {
        self.topics.get(&StrBytes::from_string(name.to_owned())).cloned()
    }

    fn topic_by_id(&self, id: Uuid) -> Option<TopicView> {
        self.topics.values().find(|topic| topic.id == id).cloned()
    }

    fn topic_names(&self) -> Vec<StrBytes> {
        self.topics.keys().cloned().collect()
    }

    fn group_config(&self, group_id: &str, key: &str) -> Option<String> {
        self.group_configs.get(&(group_id.to_owned(), key.to_owned())).cloned()
    }
}
