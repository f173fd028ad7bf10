//! The groups' shard in the tests' world.

pub type World = crate::coordinator::harness::World<super::GroupShard>;
