//! The transactions' shard in the tests' world.

use super::{Transaction, TransactionShard};

pub type World = crate::coordinator::harness::World<TransactionShard>;

impl World {
    /// Live and reloaded shards must agree on everything but the one thing that is not logged.
    pub fn check_replayed(&self) {
        let replayed = self.replayed();
        assert_eq!(self.shard.transactions.len(), replayed.transactions.len());
        for (transactional_id, live) in &self.shard.transactions {
            let logged = replayed.transactions.get(transactional_id).expect("the same ids");
            let live = Transaction { last_producer_epoch: logged.last_producer_epoch, ..live.clone() };
            assert_eq!(&live, logged, "{transactional_id}");
        }
    }
}
