//! Incremental fetch sessions (KIP-227): the broker remembers what a client fetches, so that each request names only
//! what changed and each response only what is new.
//!
//! Nothing here reads a log: a session turns a request into the whole list of [`FetchTarget`]s, and later leaves out of
//! the results what the client knows already.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::TopicRef;

/// One partition that a client wants to read, with what it knows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchTarget {
    pub topic: TopicRef,
    pub partition: i32,
    /// -1 when the client does not know.
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    /// -1 when the client does not say (KIP-595).
    pub last_fetched_epoch: i32,
    pub max_bytes: i32,
}

impl FetchTarget {
    fn key(&self) -> (&TopicRef, i32) {
        (&self.topic, self.partition)
    }
}

/// What a Fetch request says of its session.
#[derive(Debug)]
pub struct SessionRequest {
    pub id: i32,
    pub epoch: i32,
    pub uses_topic_ids: bool,
    pub targets: Vec<FetchTarget>,
    pub forgotten: Vec<(TopicRef, i32)>,
}

/// Why a request's session cannot be used; the client begins a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// FETCH_SESSION_ID_NOT_FOUND
    IdNotFound,
    /// INVALID_FETCH_SESSION_EPOCH
    InvalidEpoch,
    /// FETCH_SESSION_TOPIC_ID_ERROR: names and ids are not mixed within a session.
    TopicIdError,
}

/// What a client is told of one partition, as far as a session must compare it with what it told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub has_records: bool,
    pub has_error: bool,
    pub high_watermark: i64,
    pub log_start_offset: i64,
}

/// How the results of one fetch are answered.
#[derive(Debug)]
pub enum SessionContext {
    /// Everything is told, nothing is remembered.
    Sessionless,
    /// Everything is told, and remembered when there is room.
    Full { uses_topic_ids: bool, targets: Vec<FetchTarget> },
    /// Only what is new is told.
    Incremental(i32, SessionHandle),
}

/// A session in use by one request; its client sends the next one only after the answer.
#[derive(Clone, Debug)]
pub struct SessionHandle(Arc<Mutex<Session>>);

/// All sessions of this broker, at most `max.incremental.fetch.session.cache.slots`.
#[derive(Debug)]
pub struct FetchSessions {
    max_slots: usize,
    slots: Mutex<HashMap<i32, SessionHandle>>,
}

/// A session that nobody used for so long may make room for another
/// (`min.incremental.fetch.session.eviction.ms`).
const EVICTION_MS: i64 = 120_000;
const FINAL_EPOCH: i32 = -1;
const INITIAL_EPOCH: i32 = 0;

#[derive(Debug)]
struct Session {
    next_epoch: i32,
    uses_topic_ids: bool,
    last_used_ms: i64,
    entries: Vec<Entry>,
}

/// A partition of a session and what the client was last told of it.
#[derive(Clone, Debug)]
struct Entry {
    target: FetchTarget,
    high_watermark: i64,
    log_start_offset: i64,
}

impl FetchSessions {
    pub fn new(max_slots: usize) -> FetchSessions {
        FetchSessions { max_slots, slots: Mutex::default() }
    }

    /// Finds or closes the request's session and says what is to be fetched, in the order in which to fetch it.
    pub fn open(
        &self,
        request: SessionRequest,
        now_ms: i64,
    ) -> Result<(Vec<FetchTarget>, SessionContext), SessionError> {
        match request.epoch {
            FINAL_EPOCH => {
                self.lock().remove(&request.id);
                Ok((request.targets, SessionContext::Sessionless))
            }
            INITIAL_EPOCH => {
                self.lock().remove(&request.id);
                let context = SessionContext::Full {
                    uses_topic_ids: request.uses_topic_ids,
                    targets: request.targets.clone(),
                };
                Ok((request.targets, context))
            }
            _ => self.resume(request, now_ms),
        }
    }

    fn resume(
        &self,
        request: SessionRequest,
        now_ms: i64,
    ) -> Result<(Vec<FetchTarget>, SessionContext), SessionError> {
        let handle = self.lock().get(&request.id).cloned().ok_or(SessionError::IdNotFound)?;
        let targets = {
            let mut session = handle.lock();
            if session.next_epoch != request.epoch {
                return Err(SessionError::InvalidEpoch);
            }
            if session.uses_topic_ids != request.uses_topic_ids {
                return Err(SessionError::TopicIdError);
            }
            session.last_used_ms = now_ms;
            session.next_epoch = session.next_epoch.checked_add(1).unwrap_or(1);
            session.update(request.targets, &request.forgotten);
            session.entries.iter().map(|entry| entry.target.clone()).collect::<Vec<_>>()
        };
        if targets.is_empty() {
            // Nothing is left to remember: Kafka closes the session, and says so by answering with id 0.
            self.lock().remove(&request.id);
            return Ok((targets, SessionContext::Sessionless));
        }
        Ok((targets, SessionContext::Incremental(request.id, handle)))
    }

    /// Ends a fetch: says which results the client has to be told, and under which session id.
    ///
    /// `told` stands in the order of the targets that [`FetchSessions::open`] gave. `id` is a random number, used when
    /// a session begins.
    pub fn close(&self, context: SessionContext, told: &[Told], id: i32, now_ms: i64) -> (i32, Vec<bool>) {
        match context {
            SessionContext::Sessionless => (0, vec![true; told.len()]),
            SessionContext::Full { uses_topic_ids, targets } => {
                let session = Session::new(uses_topic_ids, targets, told, now_ms);
                (self.insert(id, session), vec![true; told.len()])
            }
            SessionContext::Incremental(id, handle) => (id, handle.lock().tell(told)),
        }
    }

    /// The id under which the session is kept, or 0 when there is no room for it.
    fn insert(&self, id: i32, session: Session) -> i32 {
        let mut slots = self.lock();
        if session.entries.is_empty() || slots.contains_key(&id) {
            return 0;
        }
        if slots.len() >= self.max_slots {
            let Some(evicted) = evictable(&slots, session.last_used_ms, session.entries.len()) else {
                return 0;
            };
            slots.remove(&evicted);
        }
        slots.insert(id, SessionHandle(Arc::new(Mutex::new(session))));
        id
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, SessionHandle>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The session that makes room: the one longest unused if long enough, else the smallest one, if it is smaller.
fn evictable(slots: &HashMap<i32, SessionHandle>, now_ms: i64, partitions: usize) -> Option<i32> {
    let (id, last_used_ms) =
        slots.iter().map(|(id, handle)| (*id, handle.lock().last_used_ms)).min_by_key(|(_, used)| *used)?;
    if now_ms - last_used_ms > EVICTION_MS {
        return Some(id);
    }
    let (id, smallest) =
        slots.iter().map(|(id, handle)| (*id, handle.lock().entries.len())).min_by_key(|(_, size)| *size)?;
    (smallest < partitions).then_some(id)
}

impl SessionHandle {
    fn lock(&self) -> MutexGuard<'_, Session> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn new(uses_topic_ids: bool, targets: Vec<FetchTarget>, told: &[Told], now_ms: i64) -> Session {
        let entries = targets
            .into_iter()
            .zip(told)
            .map(|(target, told)| Entry {
                target,
                high_watermark: told.high_watermark,
                log_start_offset: told.log_start_offset,
            })
            .collect();
        Session { next_epoch: 1, uses_topic_ids, last_used_ms: now_ms, entries }
    }

    fn update(&mut self, targets: Vec<FetchTarget>, forgotten: &[(TopicRef, i32)]) {
        let mut known: HashMap<(TopicRef, i32), usize> = HashMap::new();
        if !targets.is_empty() {
            known = self
                .entries
                .iter()
                .enumerate()
                .map(|(at, e)| ((e.target.topic.clone(), e.target.partition), at))
                .collect();
        }
        for target in targets {
            match known.get(&(target.topic.clone(), target.partition)) {
                Some(at) => self.entries[*at].target = target,
                None => {
                    known.insert((target.topic.clone(), target.partition), self.entries.len());
                    self.entries.push(Entry { target, high_watermark: -1, log_start_offset: -1 });
                }
            }
        }
        if !forgotten.is_empty() {
            let forgotten: HashSet<(&TopicRef, i32)> =
                forgotten.iter().map(|(topic, partition)| (topic, *partition)).collect();
            self.entries.retain(|entry| !forgotten.contains(&entry.target.key()));
        }
    }

    /// Which partitions are told; those with records go to the end, so that none starves the others.
    fn tell(&mut self, told: &[Told]) -> Vec<bool> {
        let mut fresh = Vec::with_capacity(told.len());
        for (entry, told) in self.entries.iter_mut().zip(told) {
            let is_new = told.has_records
                || told.has_error
                || entry.high_watermark != told.high_watermark
                || entry.log_start_offset != told.log_start_offset;
            // After an error the partition is told again, whatever it is by then.
            entry.high_watermark = if told.has_error { -1 } else { told.high_watermark };
            entry.log_start_offset = told.log_start_offset;
            fresh.push(is_new);
        }
        if told.iter().any(|told| told.has_records) {
            let (mut quiet, mut served) = (Vec::with_capacity(self.entries.len()), Vec::new());
            for (at, entry) in std::mem::take(&mut self.entries).into_iter().enumerate() {
                let has_records = told.get(at).is_some_and(|told| told.has_records);
                if has_records { served.push(entry) } else { quiet.push(entry) }
            }
            quiet.append(&mut served);
            self.entries = quiet;
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::StrBytes;

    use super::*;

    fn target(partition: i32, fetch_offset: i64) -> FetchTarget {
        FetchTarget {
            topic: TopicRef::Name(StrBytes::from_static_str("t")),
            partition,
            current_leader_epoch: -1,
            fetch_offset,
            last_fetched_epoch: -1,
            max_bytes: 1024,
        }
    }

    fn request(id: i32, epoch: i32, targets: Vec<FetchTarget>) -> SessionRequest {
        SessionRequest { id, epoch, uses_topic_ids: false, targets, forgotten: vec![] }
    }

    fn told(has_records: bool, high_watermark: i64) -> Told {
        Told { has_records, has_error: false, high_watermark, log_start_offset: 0 }
    }

    fn begin(sessions: &FetchSessions, id: i32, targets: Vec<FetchTarget>, now_ms: i64) -> i32 {
        let (targets, context) = sessions.open(request(0, 0, targets), now_ms).unwrap();
        sessions.close(context, &vec![told(false, 0); targets.len()], id, now_ms).0
    }

    #[test]
    fn a_session_tells_only_what_is_new_and_serves_all_in_turn() {
        let sessions = FetchSessions::new(10);
        assert_eq!(begin(&sessions, 7, vec![target(0, 0), target(1, 0)], 0), 7);
        let (targets, context) = sessions.open(request(7, 1, vec![target(1, 5)]), 1).unwrap();
        assert_eq!(targets, [target(0, 0), target(1, 5)]);
        assert_eq!(sessions.close(context, &[told(true, 3), told(false, 0)], 9, 1), (7, vec![true, false]));
        // Partition 0 had records: it comes last now. Its high watermark is known.
        let (targets, context) = sessions.open(request(7, 2, vec![target(0, 3)]), 2).unwrap();
        assert_eq!(targets, [target(1, 5), target(0, 3)]);
        assert_eq!(sessions.close(context, &[told(false, 1), told(false, 3)], 9, 2), (7, vec![true, false]));
    }

    #[test]
    fn wrong_ids_epochs_and_kinds_are_refused() {
        let sessions = FetchSessions::new(10);
        let id = begin(&sessions, 7, vec![target(0, 0)], 0);
        let error = |request| sessions.open(request, 1).map(|_| ()).unwrap_err();
        assert_eq!(error(request(8, 1, vec![])), SessionError::IdNotFound);
        assert_eq!(error(request(id, 2, vec![])), SessionError::InvalidEpoch);
        let by_id = SessionRequest { uses_topic_ids: true, ..request(id, 1, vec![]) };
        assert_eq!(error(by_id), SessionError::TopicIdError);
        // A full fetch with the old id closes it; so does the final epoch.
        sessions.open(request(id, 0, vec![target(0, 0)]), 1).unwrap();
        assert_eq!(error(request(id, 1, vec![])), SessionError::IdNotFound);
    }

    #[test]
    fn a_session_that_forgets_everything_is_closed() {
        let sessions = FetchSessions::new(10);
        let id = begin(&sessions, 7, vec![target(0, 0)], 0);
        let forgotten = vec![(TopicRef::Name(StrBytes::from_static_str("t")), 0)];
        let (targets, context) =
            sessions.open(SessionRequest { forgotten, ..request(id, 1, vec![]) }, 1).unwrap();
        assert!(targets.is_empty());
        assert_eq!(sessions.close(context, &[], 9, 1).0, 0);
        assert_eq!(sessions.open(request(id, 2, vec![]), 1).map(|_| ()), Err(SessionError::IdNotFound));
    }

    #[test]
    fn the_number_of_sessions_is_bounded() {
        let sessions = FetchSessions::new(2);
        assert_eq!(begin(&sessions, 1, vec![target(0, 0)], 0), 1);
        assert_eq!(begin(&sessions, 2, vec![target(0, 0)], 0), 2);
        assert_eq!(begin(&sessions, 3, vec![target(0, 0)], 1), 0, "no room, and no smaller session");
        assert_eq!(
            begin(&sessions, 4, vec![target(0, 0), target(1, 0)], 1),
            4,
            "a larger one takes a smaller's place"
        );
        assert_eq!(begin(&sessions, 5, vec![target(0, 0)], EVICTION_MS + 2), 5, "an unused one makes room");
        assert_eq!(sessions.lock().len(), 2);
    }
}
