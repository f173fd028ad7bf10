//! Who may do what: basic authentication from a file of users, and permissions by roles and subjects.
//!
//! Enters: the texts of the two files; an `Authorization` header. Leaves: what its sender may do, or why it is refused. Pure.

pub mod jaas;
mod password;
mod permissions;
mod users;

use std::fmt;
use std::sync::Arc;

use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use base64::{Engine, alphabet};

use self::permissions::Rules;
use self::users::Users;

pub use self::permissions::{Permission, Permissions};

/// What the files say.
pub struct Access {
    realm: String,
    /// Who has none of these is refused; `*` is any.
    roles: Vec<String>,
    users: Users,
    /// None: whoever is let in may do everything.
    rules: Option<Rules>,
}

/// A line of a file that says nothing that is understood.
#[derive(Debug, PartialEq, Eq)]
pub struct AccessError(String);

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AccessError {}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No name, or one that is not known, or another password.
    Unknown,
    /// Known, and without a role that is asked for.
    NoRole,
}

impl Refusal {
    /// HTTP's status and its words.
    pub fn status(self) -> (i32, &'static str) {
        match self {
            Refusal::Unknown => (401, "Unauthorized"),
            Refusal::NoRole => (403, "Forbidden"),
        }
    }
}

impl Access {
    /// `users`, `permissions`: the texts of the files.
    pub fn new(
        realm: String,
        roles: Vec<String>,
        users: &str,
        permissions: Option<&str>,
    ) -> Result<Access, AccessError> {
        let rules = permissions.map(Rules::parse).transpose()?;
        Ok(Access { realm, roles, users: Users::parse(users)?, rules })
    }

    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// What the sender of this `Authorization` may do.
    pub fn permissions(&self, authorization: Option<&[u8]>) -> Result<Arc<Permissions>, Refusal> {
        let (name, password) = authorization.and_then(credentials).ok_or(Refusal::Unknown)?;
        let roles = self.users.roles(&name, &password).ok_or(Refusal::Unknown)?;
        let is_let_in = self.roles.iter().any(|role| role == "*" || roles.contains(role));
        if !is_let_in {
            return Err(Refusal::NoRole);
        }
        Ok(match &self.rules {
            Some(rules) => Arc::new(rules.of(&name, roles)),
            None => Arc::new(Permissions::everything()),
        })
    }
}

/// Name and password of `Basic ...`.
fn credentials(header: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(header).ok()?;
    let (scheme, encoded) = text.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(base64(encoded.trim())?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Standard base64, with its padding or without, whatever bits its last digit has too many.
fn base64(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose =
        GeneralPurpose::new(&alphabet::STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));
    LENIENT.decode(text.trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "alice: secret,admin\nbob: pass:word,developer,reader\ncarol: x\n";

    #[track_caller]
    fn check(roles: &[&str], header: Option<&str>, expected: Result<(), Refusal>) {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let access = Access::new("realm".to_owned(), roles, USERS, None).unwrap();
        let found = access.permissions(header.map(str::as_bytes)).map(|_| ());
        assert_eq!(found, expected, "{header:?}");
    }

    #[test]
    fn who_has_the_password_and_a_role_is_let_in() {
        let alice = Some("Basic YWxpY2U6c2VjcmV0");
        check(&["*"], alice, Ok(()));
        check(&["admin", "x"], alice, Ok(()));
        check(&["developer"], alice, Err(Refusal::NoRole));
        check(&["reader"], Some("basic  Ym9iOnBhc3M6d29yZA=="), Ok(()));
        check(&["*"], Some("Basic Y2Fyb2w6eA"), Ok(()));
        for unknown in [
            "",
            "Basic",
            "Basic ",
            "Basic !!!!",
            "Basic YWxpY2U=",
            "Bearer YWxpY2U6c2VjcmV0",
            "Basic YWxpY2U6eA==",
            "Basic /////w==",
        ] {
            check(&["*"], Some(unknown), Err(Refusal::Unknown));
        }
        check(&["*"], None, Err(Refusal::Unknown));
    }

    #[test]
    fn base64_is_read_with_or_without_padding() {
        assert_eq!(base64("aGVsbG8="), Some(b"hello".to_vec()));
        assert_eq!(base64("aGVsbG8"), Some(b"hello".to_vec()));
        assert_eq!(base64(""), Some(Vec::new()));
        assert_eq!(base64("+/8A"), Some(vec![0xfb, 0xff, 0]));
        assert_eq!(base64("aGVsbG9="), Some(b"hello".to_vec()), "a last digit with bits too many");
        assert_eq!(base64("a-b_"), None);
        assert_eq!(base64("A"), None);
    }
}
