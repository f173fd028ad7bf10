//! A group between the classic and the consumer protocol (KIP-848): its members are upgraded, or brought back, one by
//! one, while they read on.
//!
//! A member of the consumer protocol that joins a classic group makes it a consumer group ([`upgrade`]); its classic
//! members live on in there ([`join`], [`member`]) and are told what they have to read in the consumers' own embedded
//! messages ([`embedded`]). When the last member of the consumer protocol is gone the group becomes a classic one again
//! ([`downgrade`]). Pure.

mod downgrade;
mod embedded;
mod join;
mod member;
mod upgrade;

#[cfg(test)]
mod simulator;

/// `group.consumer.migration.policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationPolicy {
    Disabled,
    Upgrade,
    Downgrade,
    Bidirectional,
}

impl MigrationPolicy {
    /// The policy of that name, in any case.
    pub fn by_name(name: &str) -> Option<Self> {
        let is = |policy: &str| name.eq_ignore_ascii_case(policy);
        match () {
            () if is("disabled") => Some(MigrationPolicy::Disabled),
            () if is("upgrade") => Some(MigrationPolicy::Upgrade),
            () if is("downgrade") => Some(MigrationPolicy::Downgrade),
            () if is("bidirectional") => Some(MigrationPolicy::Bidirectional),
            () => None,
        }
    }

    pub fn may_upgrade(self) -> bool {
        matches!(self, MigrationPolicy::Upgrade | MigrationPolicy::Bidirectional)
    }

    pub fn may_downgrade(self) -> bool {
        matches!(self, MigrationPolicy::Downgrade | MigrationPolicy::Bidirectional)
    }
}
