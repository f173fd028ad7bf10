//! The hash by which a group of the newer protocols notices that its topics changed (KIP-1101), as Kafka computes it:
//! it is in the group's record, so another coordinator must come to the same number.

use ottla_protocol::StrBytes;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use crate::coordinator::{ClusterView, TopicView};

/// The first byte of what is hashed; another algorithm would have another.
const VERSION: u8 = 0;

/// The hash of the topics among `names` that exist; 0 if none does. The order of the names does not matter.
pub fn metadata_hash<'a>(names: impl IntoIterator<Item = &'a StrBytes>, view: &dyn ClusterView) -> i64 {
    let mut topics: Vec<TopicView> = names.into_iter().filter_map(|name| view.topic(name)).collect();
    if topics.is_empty() {
        return 0;
    }
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    topics.dedup();
    let mut hasher = Xxh3Default::new();
    for topic in &topics {
        hasher.update(&topic_hash(topic).to_le_bytes());
    }
    hasher.digest().cast_signed()
}

/// Numbers go in with their smallest byte first, a string as its UTF-16 units and their count. The racks of a
/// partition's replicas would follow its number: brokers have none here.
fn topic_hash(topic: &TopicView) -> u64 {
    let (most, least) = topic.id.as_u64_pair();
    let mut bytes = vec![VERSION];
    bytes.extend(most.to_le_bytes());
    bytes.extend(least.to_le_bytes());
    let mut length = 0_i32;
    for unit in topic.name.encode_utf16() {
        bytes.extend(unit.to_le_bytes());
        length += 1;
    }
    bytes.extend(length.to_le_bytes());
    bytes.extend(topic.partitions.to_le_bytes());
    for partition in 0..topic.partitions {
        bytes.extend(partition.to_le_bytes());
    }
    xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::view::TestView;

    /// The numbers are from the records of a Kafka 4.3.1 with these topics.
    #[test]
    fn is_kafkas() {
        let mut view = TestView::default();
        for (name, id) in [
            ("in", 0x51006cf5ba9f43eda4744abdc9c25ef0_u128),
            ("app-rep", 0x2a505a2ea3ac4fbbb847a042f33c3546),
            ("app-clog", 0x4ec9a96238504c90944ad7de408915c3),
        ] {
            view.put(name, 3);
            let name = StrBytes::from_static_str(name);
            view.topics.get_mut(&name).expect("a topic").id = uuid::Uuid::from_u128(id);
        }
        let names = ["app-rep", "in", "app-clog", "missing"].map(StrBytes::from_static_str);
        assert_eq!(metadata_hash(&names[1..2], &view), -4_809_928_151_548_039_752);
        assert_eq!(metadata_hash(&names, &view), 4_125_626_260_456_512_801);
        assert_eq!(metadata_hash(&names[3..], &view), 0);
    }
}
