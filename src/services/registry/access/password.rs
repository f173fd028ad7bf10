//! A password as a file of users has it: as it is, obfuscated (`OBF:`, which hides it from a glance), or hashed (`MD5:`).
//! Jetty's tool makes them.

use md5::{Digest, Md5};

/// What a password is held against.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    Plain(String),
    Md5([u8; 16]),
}

impl Password {
    /// None: no password of these kinds.
    pub fn parse(text: &str) -> Option<Password> {
        if let Some(hidden) = text.strip_prefix("OBF:") {
            return reveal(hidden).map(Password::Plain);
        }
        if let Some(digits) = text.strip_prefix("MD5:") {
            let number = u128::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 32)?;
            return Some(Password::Md5(number.to_be_bytes()));
        }
        (!text.starts_with("CRYPT:")).then(|| Password::Plain(text.to_owned()))
    }

    pub fn is(&self, given: &str) -> bool {
        match self {
            Password::Plain(password) => is_same(password.as_bytes(), given.as_bytes()),
            Password::Md5(hash) => is_same(hash, &Md5::digest(given)),
        }
    }
}

/// In a time that says nothing of where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// Four digits to the base of 36 are a byte and its counterpart from the end; `U` goes before a byte that has none.
fn reveal(hidden: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = hidden;
    while !rest.is_empty() {
        let is_single = rest.starts_with('U');
        let at = usize::from(is_single);
        let number = u32::from_str_radix(rest.get(at..at + 4)?, 36).ok()?;
        let (high, low) = (number >> 8, number & 0xff);
        let byte = if is_single { high } else { (high + low).checked_sub(254)? / 2 };
        bytes.push(u8::try_from(byte).ok()?);
        rest = rest.get(at + 4..)?;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, password: &str) {
        let parsed = Password::parse(text).unwrap_or_else(|| panic!("{text}"));
        assert!(parsed.is(password), "{text}");
        assert!(!parsed.is(&format!("{password}x")) && !parsed.is(""), "{text}");
    }

    #[test]
    fn the_kinds_of_jettys_tool() {
        check("secret", "secret");
        check("MD5:5ebe2294ecd0e0f08eab7690d2a6ee69", "secret");
        check("OBF:1vny1zlo1x8e1vnw1vn61x8g1zlu1vn4", "storepwd");
        check("OBF:1v2j1uum1xtv1zej1zer1xtn1uvk1v1v", "password");
        for wrong in ["CRYPT:adpexzg3FUZAk", "MD5:5ebe", "MD5:zz", "OBF:1vny1", "OBF:€€€€", "OBF:zzzz"]
        {
            assert!(Password::parse(wrong).is_none(), "{wrong}");
        }
    }
}
