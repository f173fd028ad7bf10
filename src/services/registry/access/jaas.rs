//! A login configuration of Java, of which one thing is read: the file of users that PropertyFileLoginModule has for a realm.
//!
//! ```text
//! SchemaRegistry-Props {
//!   org.eclipse.jetty.jaas.spi.PropertyFileLoginModule required file="/etc/users" debug="false";
//! };
//! ```

/// The path of the file of users.
pub fn users_file<'a>(text: &'a str, realm: &str) -> Option<&'a str> {
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once('{')?;
        let (section, next) = after.split_once('}')?;
        // What ended the section before stands before the name.
        if name.trim_start_matches([';', ' ', '\t', '\r', '\n']).trim_end().lines().last()?.trim() == realm {
            let (_, options) = section.split_once("PropertyFileLoginModule")?;
            let (_, value) = options.split(';').next()?.split_once("file=")?;
            return value.trim_start().strip_prefix('"')?.split('"').next();
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_realms_section_names_the_file() {
        let text = "// logins\nKafkaClient {\n  x required;\n};\nSchemaRegistry-Props {\n  \
            org.eclipse.jetty.jaas.spi.PropertyFileLoginModule required\n  file=\"/etc/users file\"\n  debug=\"false\";\n};\n";
        assert_eq!(users_file(text, "SchemaRegistry-Props"), Some("/etc/users file"));
        assert_eq!(users_file(text, "KafkaClient"), None);
        assert_eq!(users_file(text, "Other"), None);
        assert_eq!(users_file("SchemaRegistry-Props {", "SchemaRegistry-Props"), None);
        assert_eq!(users_file("", "x"), None);
        let one_line = "A{y.PropertyFileLoginModule required file=\"f\";};";
        assert_eq!(users_file(one_line, "A"), Some("f"));
    }
}
