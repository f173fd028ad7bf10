//! Share sessions: the broker remembers what a member fetches, and on which connection. No session outlives its
//! connection, and what its member has is released with it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottla_protocol::Uuid;

use super::partition::MemberId;

/// A partition of a topic, as share requests name it.
pub type TopicPartition = (Uuid, i32);

/// Whose session it is: a member has one on each broker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    pub group_id: Arc<str>,
    pub member_id: MemberId,
}

/// What a ShareFetch says of its session.
#[derive(Debug)]
pub struct SessionRequest {
    pub key: SessionKey,
    pub epoch: i32,
    pub targets: Vec<TopicPartition>,
    pub forgotten: Vec<TopicPartition>,
    pub has_acknowledgements: bool,
    pub connection: u64,
}

/// What a ShareFetch is to fetch.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened {
    /// Nothing: the session ends.
    Final,
    /// All that the request names.
    New(Vec<TopicPartition>),
    /// All that the session has, beginning elsewhere each time, so that no partition starves.
    Resumed(Vec<TopicPartition>),
}

/// Why a request's session cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// SHARE_SESSION_NOT_FOUND
    NotFound,
    /// INVALID_SHARE_SESSION_EPOCH
    InvalidEpoch,
    /// SHARE_SESSION_LIMIT_REACHED
    LimitReached,
    /// INVALID_REQUEST: who begins has nothing to acknowledge.
    AcknowledgesAtOnce,
}

/// What a fetch found in a partition, as far as the session must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub target: TopicPartition,
    pub has_records: bool,
    pub has_error: bool,
}

/// All share sessions of this broker, at most `group.share.max.share.sessions`.
#[derive(Debug)]
pub struct ShareSessions {
    max_sessions: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<SessionKey, Session>,
    by_connection: HashMap<u64, HashSet<SessionKey>>,
}

#[derive(Debug)]
struct Session {
    next_epoch: i32,
    connection: u64,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    target: TopicPartition,
    /// The client is told of it even if there is nothing to tell.
    is_due: bool,
}

const INITIAL_EPOCH: i32 = 0;
/// Ends a session.
pub const FINAL_EPOCH: i32 = -1;

impl ShareSessions {
    pub fn new(max_sessions: usize) -> ShareSessions {
        ShareSessions { max_sessions, inner: Mutex::default() }
    }

    /// Begins a session or goes on with one. The session of a final request stays until [`ShareSessions::close`].
    pub fn open(&self, request: SessionRequest) -> Result<Opened, SessionError> {
        let mut inner = self.lock();
        match request.epoch {
            FINAL_EPOCH => {
                inner.sessions.get(&request.key).ok_or(SessionError::NotFound)?;
                Ok(Opened::Final)
            }
            INITIAL_EPOCH => {
                if request.has_acknowledgements {
                    return Err(SessionError::AcknowledgesAtOnce);
                }
                inner.remove(&request.key);
                if inner.sessions.len() >= self.max_sessions {
                    return Err(SessionError::LimitReached);
                }
                Ok(Opened::New(inner.begin(request)))
            }
            epoch => {
                let session = inner.sessions.get_mut(&request.key).ok_or(SessionError::NotFound)?;
                session.advance(epoch)?;
                session.update(request.targets, &request.forgotten);
                Ok(Opened::Resumed(session.rotated(epoch)))
            }
        }
    }

    /// A ShareAcknowledge of the session; it cannot be the first request.
    pub fn acknowledge(&self, key: &SessionKey, epoch: i32) -> Result<(), SessionError> {
        if epoch == INITIAL_EPOCH {
            return Err(SessionError::InvalidEpoch);
        }
        let mut inner = self.lock();
        let session = inner.sessions.get_mut(key).ok_or(SessionError::NotFound)?;
        if epoch == FINAL_EPOCH { Ok(()) } else { session.advance(epoch) }
    }

    /// Which results of a resumed session the client has to be told.
    pub fn tell(&self, key: &SessionKey, told: &[Told]) -> Vec<bool> {
        match self.lock().sessions.get_mut(key) {
            Some(session) => session.tell(told),
            None => vec![true; told.len()],
        }
    }

    /// Ends a session; the partitions in which its member may have records.
    pub fn close(&self, key: &SessionKey) -> Option<Vec<TopicPartition>> {
        self.lock().remove(key)
    }

    /// Ends all sessions of a connection.
    pub fn disconnect(&self, connection: u64) -> Vec<(SessionKey, Vec<TopicPartition>)> {
        let mut inner = self.lock();
        let Some(keys) = inner.by_connection.remove(&connection) else { return Vec::new() };
        keys.into_iter().filter_map(|key| inner.remove(&key).map(|targets| (key, targets))).collect()
    }

    pub fn has_group(&self, group_id: &str) -> bool {
        self.lock().sessions.keys().any(|key| &*key.group_id == group_id)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn begin(&mut self, request: SessionRequest) -> Vec<TopicPartition> {
        let entries = unique(&request.targets).map(|target| Entry { target, is_due: false }).collect();
        let session = Session { next_epoch: 1, connection: request.connection, entries };
        let targets = session.targets();
        self.by_connection.entry(request.connection).or_default().insert(request.key.clone());
        self.sessions.insert(request.key, session);
        targets
    }

    fn remove(&mut self, key: &SessionKey) -> Option<Vec<TopicPartition>> {
        let session = self.sessions.remove(key)?;
        if let Some(keys) = self.by_connection.get_mut(&session.connection) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_connection.remove(&session.connection);
            }
        }
        Some(session.targets())
    }
}

impl Session {
    fn advance(&mut self, epoch: i32) -> Result<(), SessionError> {
        if epoch != self.next_epoch {
            return Err(SessionError::InvalidEpoch);
        }
        self.next_epoch = epoch.checked_add(1).unwrap_or(1);
        Ok(())
    }

    fn update(&mut self, targets: Vec<TopicPartition>, forgotten: &[TopicPartition]) {
        let known: HashSet<TopicPartition> = self.entries.iter().map(|entry| entry.target).collect();
        let added = unique(&targets).filter(|target| !known.contains(target));
        self.entries.extend(added.map(|target| Entry { target, is_due: true }));
        if !forgotten.is_empty() {
            let forgotten: HashSet<&TopicPartition> = forgotten.iter().collect();
            self.entries.retain(|entry| !forgotten.contains(&entry.target));
        }
    }

    fn targets(&self) -> Vec<TopicPartition> {
        self.entries.iter().map(|entry| entry.target).collect()
    }

    fn rotated(&self, epoch: i32) -> Vec<TopicPartition> {
        let mut targets = self.targets();
        if !targets.is_empty() {
            let by = usize::try_from(epoch).unwrap_or(0) % targets.len();
            targets.rotate_left(by);
        }
        targets
    }

    /// What has nothing new is left out; what had records goes to the end.
    fn tell(&mut self, told: &[Told]) -> Vec<bool> {
        let place: HashMap<TopicPartition, usize> =
            self.entries.iter().enumerate().map(|(at, entry)| (entry.target, at)).collect();
        let mut served = HashSet::new();
        let mut is_told = Vec::with_capacity(told.len());
        for told in told {
            let Some(entry) = place.get(&told.target).and_then(|at| self.entries.get_mut(*at)) else {
                is_told.push(true);
                continue;
            };
            is_told.push(told.has_records || told.has_error || entry.is_due);
            // After an error the client hears of the partition again.
            entry.is_due = told.has_error;
            if told.has_records {
                served.insert(told.target);
            }
        }
        self.entries.sort_by_key(|entry| served.contains(&entry.target));
        is_told
    }
}

/// Each once, in order.
fn unique(targets: &[TopicPartition]) -> impl Iterator<Item = TopicPartition> {
    let mut seen = HashSet::new();
    targets.iter().copied().filter(move |target| seen.insert(*target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(partition: i32) -> TopicPartition {
        (Uuid::from_u128(1), partition)
    }

    fn targets(partitions: &[i32]) -> Vec<TopicPartition> {
        partitions.iter().map(|partition| target(*partition)).collect()
    }

    fn key(member: &str) -> SessionKey {
        SessionKey { group_id: Arc::from("g"), member_id: Arc::from(member) }
    }

    fn request(member: &str, epoch: i32, partitions: &[i32]) -> SessionRequest {
        SessionRequest {
            key: key(member),
            epoch,
            targets: targets(partitions),
            forgotten: Vec::new(),
            has_acknowledgements: false,
            connection: 7,
        }
    }

    #[test]
    fn a_session_goes_on_with_what_it_has() {
        let sessions = ShareSessions::new(10);
        assert_eq!(sessions.open(request("a", 0, &[0, 1, 0])), Ok(Opened::New(targets(&[0, 1]))));
        assert_eq!(sessions.open(request("a", 1, &[])), Ok(Opened::Resumed(targets(&[1, 0]))));
        let forgetful = SessionRequest { forgotten: targets(&[0, 5]), ..request("a", 2, &[2, 1]) };
        assert_eq!(sessions.open(forgetful), Ok(Opened::Resumed(targets(&[1, 2]))));
        assert_eq!(sessions.acknowledge(&key("a"), 3), Ok(()));
        assert_eq!(sessions.open(request("a", 4, &[])), Ok(Opened::Resumed(targets(&[1, 2]))));
        assert_eq!(sessions.open(request("a", -1, &[])), Ok(Opened::Final));
        assert_eq!(sessions.close(&key("a")), Some(targets(&[1, 2])));
        assert_eq!(sessions.open(request("a", -1, &[])), Err(SessionError::NotFound));
    }

    #[test]
    fn wrong_epochs_are_refused_and_change_nothing() {
        let sessions = ShareSessions::new(10);
        assert_eq!(sessions.open(request("a", 1, &[0])), Err(SessionError::NotFound));
        assert_eq!(sessions.acknowledge(&key("a"), 1), Err(SessionError::NotFound));
        let early = SessionRequest { has_acknowledgements: true, ..request("a", 0, &[0]) };
        assert_eq!(sessions.open(early), Err(SessionError::AcknowledgesAtOnce));
        sessions.open(request("a", 0, &[0])).unwrap();
        for epoch in [2, -2, i32::MAX] {
            assert_eq!(sessions.open(request("a", epoch, &[])), Err(SessionError::InvalidEpoch), "{epoch}");
            assert_eq!(sessions.acknowledge(&key("a"), epoch), Err(SessionError::InvalidEpoch), "{epoch}");
        }
        assert_eq!(sessions.acknowledge(&key("a"), 0), Err(SessionError::InvalidEpoch));
        assert_eq!(sessions.open(request("a", 1, &[])), Ok(Opened::Resumed(targets(&[0]))));
    }

    #[test]
    fn the_client_is_told_what_is_new() {
        let sessions = ShareSessions::new(10);
        sessions.open(request("a", 0, &[0, 1, 2])).unwrap();
        sessions.open(request("a", 1, &[3])).unwrap();
        let told =
            |partition, has_records, has_error| Told { target: target(partition), has_records, has_error };
        let first =
            [told(0, true, false), told(1, false, false), told(2, false, true), told(3, false, false)];
        assert_eq!(sessions.tell(&key("a"), &first), [true, false, true, true]);
        let second = [told(2, false, false), told(3, false, false)];
        assert_eq!(sessions.tell(&key("a"), &second), [true, false], "after an error, and only once");
        // What had records comes last: 1 2 3 0, begun at the second.
        assert_eq!(sessions.open(request("a", 2, &[])), Ok(Opened::Resumed(targets(&[3, 0, 1, 2]))));
    }

    #[test]
    fn sessions_end_with_their_connection() {
        let sessions = ShareSessions::new(2);
        sessions.open(request("a", 0, &[0])).unwrap();
        sessions.open(request("b", 0, &[1])).unwrap();
        assert_eq!(sessions.open(request("c", 0, &[0])), Err(SessionError::LimitReached));
        sessions.open(SessionRequest { connection: 8, ..request("b", 0, &[2]) }).unwrap();
        assert_eq!(sessions.disconnect(7), [(key("a"), targets(&[0]))]);
        assert!(sessions.has_group("g") && !sessions.has_group("h"));
        assert_eq!(sessions.disconnect(7), []);
        assert_eq!(sessions.disconnect(8), [(key("b"), targets(&[2]))]);
        assert!(!sessions.has_group("g"));
    }
}
