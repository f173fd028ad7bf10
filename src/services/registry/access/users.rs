//! The file of users, as Jetty's PropertyFileLoginModule has it: lines `user: password,role,role`.

use std::collections::HashMap;

use super::AccessError;
use super::password::Password;
use crate::config::properties;

pub struct Users {
    by_name: HashMap<String, User>,
}

struct User {
    password: Password,
    roles: Vec<String>,
}

impl Users {
    pub fn parse(text: &str) -> Result<Users, AccessError> {
        let mut by_name = HashMap::new();
        for property in properties::parse(text) {
            let mut parts = property.value.split(',').map(str::trim);
            let given = parts.next().unwrap_or_default();
            let Some(password) = Password::parse(given).filter(|_| !given.is_empty()) else {
                return Err(AccessError(format!(
                    "line {}: the password of {} (allowed: as it is, OBF:..., MD5:...)",
                    property.line, property.key
                )));
            };
            let roles = parts.filter(|role| !role.is_empty()).map(str::to_owned).collect();
            by_name.insert(property.key, User { password, roles });
        }
        Ok(Users { by_name })
    }

    /// The roles of whoever has this name and this password.
    pub fn roles(&self, name: &str, password: &str) -> Option<&[String]> {
        let user = self.by_name.get(name)?;
        user.password.is(password).then_some(&user.roles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_users() {
        let users = Users::parse("# people\na: b\nc=MD5:5ebe2294ecd0e0f08eab7690d2a6ee69 , x, ,y\n").unwrap();
        assert_eq!(users.roles("a", "b"), Some(&[][..]));
        assert_eq!(users.roles("a", "c"), None);
        assert_eq!(users.roles("c", "secret"), Some(&["x".to_owned(), "y".to_owned()][..]));
        assert_eq!(users.roles("d", "d"), None);
    }

    #[test]
    fn a_password_of_another_kind_is_told_without_it() {
        let told = |text: &str| Users::parse(text).err().unwrap().to_string();
        assert_eq!(told("\na: CRYPT:xyz"), "line 2: the password of a (allowed: as it is, OBF:..., MD5:...)");
        assert!(told("a:").contains("line 1"));
    }
}
