//! A member of a classic group, as the live group knows it.

use bytes::Bytes;
use ottla_protocol::StrBytes;

use super::super::commands::{Join, Protocol};
use super::super::hard::{LoggedMember, kept};
use crate::coordinator::Ticket;

/// A member. Not to be confused with a pending one, which only has an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub id: StrBytes,
    pub group_instance_id: Option<StrBytes>,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// What the member offers, the most wanted first.
    pub protocols: Vec<Protocol>,
    pub assignment: Bytes,
    pub awaiting_join: Option<Ticket>,
    pub awaiting_sync: Option<Ticket>,
    /// Has not seen a generation yet, so it cannot heartbeat.
    pub is_new: bool,
}

impl Member {
    /// A member that joins for the first time, waiting for its answer.
    pub fn joining(join: &Join, id: StrBytes) -> Self {
        Member {
            id: kept(&id),
            group_instance_id: join.group_instance_id.as_ref().map(kept),
            client_id: kept(&join.client_id),
            client_host: kept(&join.client_host),
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            session_timeout_ms: join.session_timeout_ms,
            protocols: kept_protocols(&join.protocols),
            assignment: Bytes::new(),
            awaiting_join: Some(join.ticket),
            awaiting_sync: None,
            is_new: true,
        }
    }

    /// A member as the log remembers it: of its protocols only the chosen one.
    pub fn from_logged(logged: &LoggedMember, protocol: &StrBytes) -> Self {
        let rebalance_timeout_ms = if logged.rebalance_timeout_ms < 0 {
            logged.session_timeout_ms
        } else {
            logged.rebalance_timeout_ms
        };
        Member {
            id: logged.member_id.clone(),
            group_instance_id: logged.group_instance_id.clone(),
            client_id: logged.client_id.clone(),
            client_host: logged.client_host.clone(),
            rebalance_timeout_ms,
            session_timeout_ms: logged.session_timeout_ms,
            protocols: vec![Protocol { name: protocol.clone(), metadata: logged.subscription.clone() }],
            assignment: logged.assignment.clone(),
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
        }
    }

    /// As the log remembers it.
    pub fn to_logged(&self, protocol: &StrBytes) -> LoggedMember {
        LoggedMember {
            member_id: self.id.clone(),
            group_instance_id: self.group_instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }

    /// Takes over what a further JoinGroup says. The host and client id stay those of the first.
    pub fn update(&mut self, join: &Join) {
        self.protocols = kept_protocols(&join.protocols);
        self.rebalance_timeout_ms = join.rebalance_timeout_ms;
        self.session_timeout_ms = join.session_timeout_ms;
    }

    pub fn is_static(&self) -> bool {
        self.group_instance_id.is_some()
    }

    /// What the member told its leader for `protocol`; empty if it does not offer it.
    pub fn metadata(&self, protocol: &StrBytes) -> Bytes {
        let offered = self.protocols.iter().find(|offered| offered.name == *protocol);
        offered.map(|offered| offered.metadata.clone()).unwrap_or_default()
    }

    /// A member that waits for our answer cannot heartbeat, so its silence is no death. A new one can: it may be gone
    /// without a trace, and nothing else would ever remove it.
    pub fn is_excused_from_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }
}

/// Copies of their own, so that no request frame is kept in memory.
fn kept_protocols(protocols: &[Protocol]) -> Vec<Protocol> {
    let kept_protocol = |protocol: &Protocol| Protocol {
        name: kept(&protocol.name),
        metadata: Bytes::copy_from_slice(&protocol.metadata),
    };
    protocols.iter().map(kept_protocol).collect()
}
