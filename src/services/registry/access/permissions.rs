//! Who may do what with which subjects. A line gives a user, or with `role.` before its name everyone who has the role,
//! permissions with what their subjects begin with:
//!
//! ```text
//! alice        = admin *
//! role.billing = write invoices-, write payments-, read *
//! role.guests  = read :.public:
//! ```
//!
//! What no line gives is refused. `write` holds `read`, `admin` holds `write`: to delete, and to change settings. `*` is all.

use std::collections::HashMap;

use super::AccessError;
use crate::config::properties;

/// What may be done, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    Read,
    Write,
    Admin,
}

/// One permission, for subjects that begin so.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    permission: Permission,
    prefix: String,
}

/// What one user may do.
#[derive(Debug, PartialEq, Eq)]
pub struct Permissions {
    grants: Vec<Grant>,
}

impl Permissions {
    pub fn everything() -> Permissions {
        Permissions { grants: vec![Grant { permission: Permission::Admin, prefix: String::new() }] }
    }

    /// `subject`: as it is kept, without the default context. Empty stands for all.
    pub fn may(&self, permission: Permission, subject: &str) -> bool {
        self.having(permission).any(|grant| subject.starts_with(&grant.prefix))
    }

    /// With any subject at all.
    pub fn may_some(&self, permission: Permission) -> bool {
        self.having(permission).next().is_some()
    }

    /// With some subject that begins so.
    pub fn may_some_of(&self, permission: Permission, prefix: &str) -> bool {
        self.having(permission)
            .any(|grant| prefix.starts_with(&grant.prefix) || grant.prefix.starts_with(prefix))
    }

    fn having(&self, permission: Permission) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(move |grant| grant.permission >= permission)
    }
}

/// The file.
pub struct Rules {
    users: HashMap<String, Vec<Grant>>,
    roles: HashMap<String, Vec<Grant>>,
}

impl Rules {
    pub fn parse(text: &str) -> Result<Rules, AccessError> {
        let (mut users, mut roles) = (HashMap::new(), HashMap::new());
        for property in properties::parse(text) {
            let grants: Option<Vec<Grant>> =
                property.value.split(',').map(|text| grant(text.trim())).collect();
            let Some(grants) = grants else {
                return Err(AccessError(format!(
                    "line {}: {} = {} (allowed: read, write or admin, each with a subject's beginning or *)",
                    property.line, property.key, property.value
                )));
            };
            let (of, name) = match property.key.strip_prefix("role.") {
                Some(role) => (&mut roles, role),
                None => (&mut users, property.key.as_str()),
            };
            of.entry(name.to_owned()).or_insert_with(Vec::new).extend(grants);
        }
        Ok(Rules { users, roles })
    }

    pub fn of(&self, user: &str, roles: &[String]) -> Permissions {
        let of_roles = roles.iter().filter_map(|role| self.roles.get(role));
        let grants = self.users.get(user).into_iter().chain(of_roles).flatten().cloned().collect();
        Permissions { grants }
    }
}

/// `read prefix`.
fn grant(text: &str) -> Option<Grant> {
    let (permission, prefix) = text.split_once(' ')?;
    let permission = match permission.to_ascii_lowercase().as_str() {
        "read" => Permission::Read,
        "write" => Permission::Write,
        "admin" => Permission::Admin,
        _ => return None,
    };
    // `orders-*` is meant as `orders-` is.
    let prefix = prefix.trim();
    let prefix = prefix.strip_suffix('*').unwrap_or(prefix);
    (!prefix.contains([' ', '*'])).then(|| Grant { permission, prefix: prefix.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::Permission::{Admin, Read, Write};
    use super::*;

    const FILE: &str = "\
alice = admin *
role.billing = write invoices-, write payments-*, READ *
role.guests = read :.public:
bob = admin bob-
";

    #[track_caller]
    fn check(user: &str, roles: &[&str], permission: Permission, subject: &str, expected: bool) {
        let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
        let found = Rules::parse(FILE).unwrap().of(user, &roles).may(permission, subject);
        assert_eq!(found, expected, "{user} {roles:?} {permission:?} {subject}");
    }

    #[test]
    fn what_no_line_gives_is_refused() {
        check("alice", &[], Admin, "anything", true);
        check("alice", &[], Admin, "", true);
        check("bob", &[], Admin, "bob-value", true);
        check("bob", &[], Read, "bo", false);
        check("bob", &[], Admin, "", false);
        check("x", &["billing"], Write, "invoices-value", true);
        check("x", &["billing"], Write, "payments-value", true);
        check("x", &["billing"], Admin, "payments-value", false);
        check("x", &["billing"], Read, ":.ctx:a", true);
        check("x", &["billing"], Write, ":.ctx:invoices-value", false);
        check("x", &["guests"], Read, ":.public:a", true);
        check("x", &["guests"], Read, "a", false);
        check("bob", &["billing"], Admin, "bob-value", true);
        check("x", &[], Read, "a", false);
        check("billing", &[], Read, "a", false);
    }

    #[test]
    fn some_subject_will_do_for_lists() {
        let rules = Rules::parse(FILE).unwrap();
        let guests = rules.of("x", &["guests".to_owned()]);
        assert!(guests.may_some(Read) && !guests.may_some(Write));
        assert!(guests.may_some_of(Read, ":.public:") && !guests.may_some_of(Read, ":.other:"));
        assert!(guests.may_some_of(Read, ""), "the default context's prefix is everyone's");
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for (text, line) in [
            ("a = all *", 1),
            ("\na = read", 2),
            ("a = read x y", 1),
            ("a = read *x", 1),
            ("a", 1),
            ("role.x = y", 1),
        ] {
            let error = Rules::parse(text).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with(&format!("line {line}:")), "{text}: {error}");
        }
    }
}
