//! Transactions under bad luck: producers that crash and leave zombies, requests that are lost or late, appends that
//! fail, shards that are read again, brokers that die between the decision and the last marker. The partitions' logs
//! are there as far as transactions go, and so is whoever sends the markers (in `senders`, as the runtime does it).

use std::collections::{BTreeMap, HashMap};

use ottla_protocol::StrBytes;

use super::commands::*;
use super::harness::World;
use super::*;
use crate::coordinator::chance::{Chance, for_each_seed};

const PARTITIONS: i32 = 4;
const TIMEOUT_MS: i32 = 30_000;

#[test]
fn transactions_survive_bad_luck() {
    for_each_seed(2_000, |seed| Simulation::new(seed).run());
}

struct Simulation {
    world: World,
    chance: Chance,
    clients: Vec<Client>,
    logs: BTreeMap<TopicPartition, PartitionLog>,
    /// Those who send markers; one for a transactional id at most.
    senders: Vec<Markers>,
    /// Requests that are still under way although their client has given them up.
    late: Vec<Late>,
    next_producer_id: i64,
    last_transaction: u32,
    /// How the transactions of the clients ended, as far as a client was told.
    told: BTreeMap<u32, TransactionResult>,
}

enum Late {
    Init(InitProducerId),
    Add(AddPartitions),
    End(EndTxn),
    Write { client: usize, to: Write },
}

/// A producer's process.
struct Client {
    id: StrBytes,
    version: TransactionVersion,
    phase: Phase,
}

#[derive(Clone, PartialEq, Debug)]
enum Phase {
    /// It has no epoch yet, or wants the next one after an error.
    Starting(Option<ProducerIdAndEpoch>),
    Ready(ProducerIdAndEpoch),
    /// In a transaction, with the writes that were acknowledged.
    Open {
        producer: ProducerIdAndEpoch,
        transaction: u32,
        writes: u32,
    },
    Ending {
        producer: ProducerIdAndEpoch,
        transaction: u32,
        result: TransactionResult,
    },
    /// Fenced, or crashed.
    Gone,
}

#[derive(Clone)]
struct Write {
    partition: TopicPartition,
    producer: ProducerIdAndEpoch,
    transaction: u32,
}

/// What a partition's leader knows of transactional producers.
#[derive(Default)]
struct PartitionLog {
    epochs: HashMap<i64, i16>,
    /// Open transactions: of which client transaction the records are, by producer id.
    open: BTreeMap<i64, Vec<u32>>,
    ended: Vec<(u32, TransactionResult)>,
}

impl PartitionLog {
    /// Whether the record was taken.
    fn write(&mut self, write: &Write) -> bool {
        let ProducerIdAndEpoch { producer_id, producer_epoch } = write.producer;
        let epoch = self.epochs.entry(producer_id).or_insert(producer_epoch);
        if producer_epoch < *epoch {
            return false;
        }
        *epoch = producer_epoch;
        self.open.entry(producer_id).or_default().push(write.transaction);
        true
    }

    fn mark(&mut self, markers: &Markers) {
        let ProducerIdAndEpoch { producer_id, producer_epoch } = markers.producer;
        let epoch = self.epochs.entry(producer_id).or_insert(producer_epoch);
        assert!(producer_epoch >= *epoch, "a marker of an old epoch: {markers:?} after {epoch}");
        *epoch = producer_epoch;
        let records = self.open.remove(&producer_id).unwrap_or_default();
        self.ended.extend(records.into_iter().map(|transaction| (transaction, markers.result)));
    }
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let ids = 1 + chance.below(2);
        let client = |chance: &mut Chance| Client {
            id: StrBytes::from_string(format!("id{}", chance.below(ids))),
            version: if chance.one_in(3) { TransactionVersion::V0 } else { TransactionVersion::V2 },
            phase: Phase::Starting(None),
        };
        let clients = (0..1 + chance.below(4)).map(|_| client(&mut chance)).collect();
        let mut simulation = Simulation {
            world: World::new(TransactionConfig::default()),
            chance,
            clients,
            logs: BTreeMap::new(),
            senders: Vec::new(),
            late: Vec::new(),
            next_producer_id: 1000,
            last_transaction: 0,
            told: BTreeMap::new(),
        };
        simulation.use_up_epochs(ids);
        simulation
    }

    /// Some producer ids are near the end of their epochs.
    fn use_up_epochs(&mut self, ids: u64) {
        for n in 0..ids {
            if self.chance.one_in(4) {
                let id = StrBytes::from_string(format!("id{n}"));
                let unused = Transaction::unused(self.new_producer_id(), TIMEOUT_MS, self.world.now_ms);
                let epoch = i16::MAX - 6 + self.chance.below(6) as i16;
                let begun = unused.with_epoch(epoch, NO_PRODUCER_EPOCH, TIMEOUT_MS, self.world.now_ms);
                let outcome = self.world.shard.put(&id, begun);
                self.world.run(outcome);
            }
        }
    }

    fn run(mut self) {
        for step in 0..120 {
            self.misfortune();
            let client = self.chance.index(self.clients.len());
            self.act(client);
            self.take_errands();
            if self.chance.one_in(2) {
                self.send_markers();
            }
            if step % 10 == 0 {
                self.world.check_replayed();
            }
        }
        self.settle();
        self.world.check_replayed();
        self.check_log();
        self.check_transactions();
    }

    fn misfortune(&mut self) {
        match self.chance.below(40) {
            // The shard is read again; or the broker dies, and with it whoever sends markers.
            0 => self.world.reload(),
            1 => {
                self.senders.clear();
                self.world.errands.clear();
                self.world.reload();
            }
            2 => self.world.failing_appends = 1,
            3 | 4 => {
                let client = self.chance.index(self.clients.len());
                self.clients[client].phase = Phase::Starting(None);
            }
            // A new process with the same transactional id, and the old one knows nothing of it.
            5 if self.clients.len() < 6 => {
                let zombie = self.chance.index(self.clients.len());
                let Client { id, version, .. } = &self.clients[zombie];
                let client = Client { id: id.clone(), version: *version, phase: Phase::Starting(None) };
                self.clients.push(client);
            }
            6 | 7 => self.world.advance(self.chance.below(2 * TIMEOUT_MS as u64) as i64),
            8..12 if !self.late.is_empty() => {
                let late = self.chance.index(self.late.len());
                match self.late.swap_remove(late) {
                    Late::Init(init) => drop(self.send_init(init)),
                    Late::Add(add) => drop(self.send_add(&add)),
                    Late::End(end) => drop(self.send_end(end)),
                    Late::Write { client, to } => drop(self.write(client, to)),
                }
            }
            _ => self.world.advance(self.chance.below(1_000) as i64),
        }
    }

    /// What the client does next in a world without misfortune.
    fn act(&mut self, index: usize) {
        match self.clients[index].phase.clone() {
            Phase::Starting(expected) => self.start(index, expected),
            Phase::Ready(producer) => {
                self.last_transaction += 1;
                let transaction = self.last_transaction;
                self.clients[index].phase = Phase::Open { producer, transaction, writes: 0 };
            }
            Phase::Open { producer, transaction, writes } => {
                // Before version 2 only what was begun may be ended.
                let may_end = writes > 0 || self.clients[index].version == TransactionVersion::V2;
                if may_end && self.chance.one_in(3) {
                    let is_commit = writes > 0 && !self.chance.one_in(3);
                    let result = if is_commit { TransactionResult::Commit } else { TransactionResult::Abort };
                    self.clients[index].phase = Phase::Ending { producer, transaction, result };
                } else {
                    self.write_somewhere(index, producer, transaction);
                }
            }
            Phase::Ending { producer, transaction, result } => self.end(index, producer, transaction, result),
            Phase::Gone => {
                if self.chance.one_in(4) {
                    self.clients[index].phase = Phase::Starting(None);
                }
            }
        }
    }

    fn start(&mut self, index: usize, expected: Option<ProducerIdAndEpoch>) {
        let client = &self.clients[index];
        let init = InitProducerId {
            transactional_id: client.id.clone(),
            timeout_ms: TIMEOUT_MS,
            expected,
            new_producer_id: None,
        };
        if self.chance.one_in(20) {
            self.late.push(Late::Init(init));
            return;
        }
        let answer = self.send_init(init);
        if self.chance.one_in(20) {
            return;
        }
        match answer {
            Some(Ok(producer)) => self.clients[index].phase = Phase::Ready(producer),
            Some(Err(TransactionError::ConcurrentTransactions)) | None => {}
            Some(Err(TransactionError::ProducerFenced | TransactionError::EpochExhausted)) => {
                self.clients[index].phase = Phase::Gone;
            }
            Some(Err(other)) => panic!("InitProducerId refused with {other:?}"),
        }
    }

    fn write_somewhere(&mut self, index: usize, producer: ProducerIdAndEpoch, transaction: u32) {
        let partition = self.chance.below(PARTITIONS as u64) as i32;
        let partition = TopicPartition { topic: StrBytes::from_static_str("t"), partition };
        let add = AddPartitions {
            transactional_id: self.clients[index].id.clone(),
            producer,
            partitions: vec![partition.clone()],
            client_version: self.clients[index].version,
        };
        if self.chance.one_in(20) {
            self.late.push(Late::Add(add));
            return;
        }
        match self.send_add(&add) {
            Some(Ok(())) => {}
            Some(Err(TransactionError::ConcurrentTransactions)) | None => return,
            Some(Err(error)) => return self.refused(index, error),
        }
        let write = Write { partition, producer, transaction };
        // Records of version 2 carry an epoch that is theirs alone: they may come late.
        if self.chance.one_in(15) && self.clients[index].version == TransactionVersion::V2 {
            self.late.push(Late::Write { client: index, to: write });
            return;
        }
        if let Some(Ok(())) = self.write(index, write)
            && let Phase::Open { writes, .. } = &mut self.clients[index].phase
        {
            *writes += 1;
        }
    }

    /// The partition's leader asks the coordinator before it takes the record.
    fn write(&mut self, index: usize, write: Write) -> Option<Result<(), TransactionError>> {
        let verify = VerifyPartitions {
            transactional_id: self.clients[index].id.clone(),
            producer: write.producer,
            partitions: vec![write.partition.clone()],
        };
        let verified = match self.world.shard.verify_partitions(&verify) {
            Ok(verified) => verified[0],
            Err(error) => Err(error),
        };
        if let Err(error) = verified {
            return Some(Err(error));
        }
        let is_taken = self.logs.entry(write.partition.clone()).or_default().write(&write);
        Some(if is_taken { Ok(()) } else { Err(TransactionError::ProducerFenced) })
    }

    fn end(
        &mut self,
        index: usize,
        producer: ProducerIdAndEpoch,
        transaction: u32,
        result: TransactionResult,
    ) {
        let Client { id, version, .. } = &self.clients[index];
        let version = *version;
        let end = EndTxn {
            transactional_id: id.clone(),
            producer,
            result,
            client_version: version,
            new_producer_id: None,
        };
        if self.chance.one_in(15) && version == TransactionVersion::V2 {
            self.late.push(Late::End(end));
            return;
        }
        let answer = self.send_end(end);
        if self.chance.one_in(15) {
            return;
        }
        match answer {
            Some(Ok(next)) => {
                self.told.insert(transaction, result);
                let next = if version.bumps_epoch() { next } else { producer };
                self.clients[index].phase = Phase::Ready(next);
            }
            Some(Err(TransactionError::ConcurrentTransactions)) | None => {}
            Some(Err(error)) => self.refused(index, error),
        }
    }

    fn refused(&mut self, index: usize, error: TransactionError) {
        self.clients[index].phase = match error {
            TransactionError::ProducerFenced
            | TransactionError::InvalidProducerIdMapping
            | TransactionError::InvalidTxnState => Phase::Gone,
            other => panic!("refused with {other:?}"),
        };
    }

    fn send_init(
        &mut self,
        mut init: InitProducerId,
    ) -> Option<Result<ProducerIdAndEpoch, TransactionError>> {
        loop {
            let outcome = self.world.shard.init_producer_id(&init, self.world.now_ms);
            match self.world.try_run(outcome)? {
                Ok(Decision::NeedsProducerId) => init.new_producer_id = Some(self.new_producer_id()),
                Ok(Decision::Done(producer)) => return Some(Ok(producer)),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn send_add(&mut self, add: &AddPartitions) -> Option<Result<(), TransactionError>> {
        let outcome = self.world.shard.add_partitions(add, self.world.now_ms);
        self.world.try_run(outcome)
    }

    fn send_end(&mut self, mut end: EndTxn) -> Option<Result<ProducerIdAndEpoch, TransactionError>> {
        loop {
            let outcome = self.world.shard.end(&end, self.world.now_ms);
            match self.world.try_run(outcome)? {
                Ok(Decision::NeedsProducerId) => end.new_producer_id = Some(self.new_producer_id()),
                Ok(Decision::Done(producer)) => return Some(Ok(producer)),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn new_producer_id(&mut self) -> i64 {
        self.next_producer_id += 1;
        self.next_producer_id
    }

    /// What the runtime does with errands: a transactional id has one sender at most.
    fn take_errands(&mut self) {
        for errand in std::mem::take(&mut self.world.errands) {
            match errand {
                Errand::SendMarkers(transactional_id) => {
                    let is_known = |known: &Markers| known.transactional_id == transactional_id;
                    if !self.senders.iter().any(is_known) {
                        // It may have come late, when its decision is carried out already.
                        self.senders.extend(self.world.shard.markers_to_send(&transactional_id));
                    }
                }
                Errand::AbortTimedOut { transactional_id, producer } => {
                    let new_id = Some(self.new_producer_id());
                    let now_ms = self.world.now_ms;
                    let outcome =
                        self.world.shard.abort_timed_out(&transactional_id, producer, new_id, now_ms);
                    self.world.try_run(outcome);
                }
            }
        }
    }

    /// One more marker of one of the senders; when none is left, the coordinator is told.
    fn send_markers(&mut self) {
        if self.senders.is_empty() {
            return;
        }
        let index = self.chance.index(self.senders.len());
        let sender = &mut self.senders[index];
        let prepared = self.world.shard.transaction(&sender.transactional_id).expect("a known id");
        assert_eq!(prepared.state.prepared(), Some(sender.result), "{sender:?} although {prepared:?}");
        assert_eq!(prepared.identity(), sender.producer, "{sender:?} although {prepared:?}");
        if let Some(partition) = sender.partitions.last().cloned() {
            self.logs.entry(partition).or_default().mark(sender);
            // The answer may be lost: then it is written twice.
            if !self.chance.one_in(10) {
                sender.partitions.pop();
            }
            return;
        }
        let sender = self.senders.swap_remove(index);
        let outcome =
            self.world.shard.markers_written(&sender.transactional_id, sender.producer, self.world.now_ms);
        // If it fails, the shard that is loaded again has asked once more.
        self.world.try_run(outcome);
        self.take_errands();
    }

    /// Without misfortune everything ends: time passes, and nobody asks for anything.
    fn settle(&mut self) {
        self.world.failing_appends = 0;
        self.late.clear();
        for _ in 0..120 {
            self.take_errands();
            self.send_markers();
            self.world.advance(1_000);
        }
        for (id, transaction) in &self.world.shard.transactions {
            let is_at_rest =
                transaction.state == TransactionState::Empty || transaction.state.completed().is_some();
            assert!(is_at_rest, "{id} is stuck: {transaction:?}");
        }
        for (partition, log) in &self.logs {
            assert!(log.open.is_empty(), "{partition:?} has open transactions: {:?}", log.open);
        }
    }

    /// What the log says: epochs never go back, and a decision is followed by what it says and nothing else.
    fn check_log(&self) {
        let mut last: HashMap<StrBytes, Transaction> = HashMap::new();
        for TransactionRecord { transactional_id, transaction } in &self.world.log {
            let Some(next) = transaction else {
                last.remove(transactional_id);
                continue;
            };
            if let Some(before) = last.get(transactional_id) {
                let is_newer = next.producer_id > before.producer_id
                    || (next.producer_id == before.producer_id
                        && next.producer_epoch >= before.producer_epoch);
                assert!(is_newer, "{next:?} after {before:?}");
                if let Some(decision) = before.state.prepared() {
                    assert_eq!(next.state.completed(), Some(decision), "{next:?} after {before:?}");
                }
            }
            last.insert(transactional_id.clone(), next.clone());
        }
    }

    /// A client's transaction is committed or aborted in all partitions, and so as the client was told.
    fn check_transactions(&self) {
        let mut results: BTreeMap<u32, TransactionResult> = self.told.clone();
        for (partition, log) in &self.logs {
            for (transaction, result) in &log.ended {
                let expected = results.entry(*transaction).or_insert(*result);
                assert_eq!(result, expected, "transaction {transaction} in {partition:?}");
            }
        }
    }
}
