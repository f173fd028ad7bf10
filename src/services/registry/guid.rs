//! What makes a schema the same as another: a hash of its text, its references, its metadata and its rules. It is the schema's
//! guid, in all registries.

use md5::{Digest, Md5};

use super::model::{Metadata, Rule, RuleKind, RuleMode, RuleSet, SchemaReference};

/// MD5 over what a schema says, shown as a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Guid([u8; 16]);

impl Guid {
    pub fn of(
        schema: &str,
        references: &[SchemaReference],
        metadata: Option<&Metadata>,
        rule_set: Option<&RuleSet>,
    ) -> Guid {
        let mut hash = Md5::new();
        hash.update(schema);
        for SchemaReference { name, subject, version } in references {
            hash.update(name);
            hash.update(subject);
            hash.update(version.to_be_bytes());
        }
        if let Some(metadata) = metadata {
            hash.update([1]);
            metadata_into(&mut hash, metadata);
        }
        if let Some(RuleSet { migration_rules, domain_rules, encoding_rules }) = rule_set {
            hash.update([1]);
            for rule in migration_rules.iter().chain(domain_rules).chain(encoding_rules) {
                rule_into(&mut hash, rule);
            }
        }
        Guid(hash.finalize().into())
    }

    /// As it stands in a record.
    pub fn of_bytes(bytes: [u8; 16]) -> Guid {
        Guid(bytes)
    }

    /// As a UUID is written.
    pub fn parse(text: &str) -> Option<Guid> {
        let uuid = uuid::Uuid::try_parse(text).ok()?;
        Some(Guid(uuid.into_bytes()))
    }
}

impl std::fmt::Display for Guid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        uuid::Uuid::from_bytes(self.0).fmt(f)
    }
}

fn metadata_into(hash: &mut Md5, Metadata { tags, properties, sensitive }: &Metadata) {
    for (path, tags) in tags {
        hash.update(path);
        tags.iter().for_each(|tag| hash.update(tag));
    }
    for (key, value) in properties {
        hash.update(key);
        hash.update(value);
    }
    sensitive.iter().for_each(|name| hash.update(name));
}

fn rule_into(hash: &mut Md5, rule: &Rule) {
    let mut optional = |text: &Option<String>| hash.update(text.as_deref().unwrap_or_default());
    optional(&rule.name);
    optional(&rule.doc);
    hash.update(kind_name(rule.kind));
    hash.update(mode_name(rule.mode));
    hash.update(rule.rule_type.as_deref().unwrap_or_default());
    rule.tags.iter().for_each(|tag| hash.update(tag));
    for (key, value) in &rule.params {
        hash.update(key);
        hash.update(value);
    }
    let mut optional = |text: &Option<String>| hash.update(text.as_deref().unwrap_or_default());
    optional(&rule.expr);
    optional(&rule.on_success);
    optional(&rule.on_failure);
    if rule.disabled {
        hash.update([1]);
    }
}

fn kind_name(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::Transform => "TRANSFORM",
        RuleKind::Condition => "CONDITION",
    }
}

fn mode_name(mode: RuleMode) -> &'static str {
    match mode {
        RuleMode::Upgrade => "UPGRADE",
        RuleMode::Downgrade => "DOWNGRADE",
        RuleMode::Updown => "UPDOWN",
        RuleMode::Write => "WRITE",
        RuleMode::Read => "READ",
        RuleMode::WriteRead => "WRITEREAD",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str =
        r#"{"type":"record","name":"myrecord","fields":[{"type":"string","default":null,"name":"f"}]}"#;
    const PERSON: &str = r#"{"type":"record","name":"Person","namespace":"io.confluent.kafka.example","fields":[{"name":"name","type":"string"},{"name":"age","type":"int"},{"name":"ssn","type":"string"},{"name":"user","type":"io.confluent.kafka.example.User"},{"name":"address","type":"io.confluent.kafka.example.Address"}]}"#;

    fn reference(name: &str, subject: &str, version: i32) -> SchemaReference {
        SchemaReference { name: name.to_owned(), subject: subject.to_owned(), version }
    }

    fn metadata() -> Metadata {
        serde_json::from_str(
            r#"{"tags": {"environment": ["staging", "production"], "team": ["data-engineering"]},
                "properties": {"version": "1.0.0", "owner": "data-team", "description": "Person schema for user management"},
                "sensitive": ["ssn", "credit-card"]}"#,
        )
        .unwrap()
    }

    /// The guids that Confluent's registry has for the same.
    #[test]
    fn the_guids_of_confluents_registry() {
        let references = [
            reference("io.confluent.kafka.example.User", "User", 1),
            reference("io.confluent.kafka.example.Address", "Address", 2),
        ];
        let empty =
            (Metadata::default(), RuleSet { migration_rules: vec![Rule::default()], ..RuleSet::default() });
        for (guid, expected) in [
            (Guid::of(RECORD, &[], None, None), "1d20cbb9-e5e3-5e97-54e7-da170b6e5ddb"),
            (Guid::of(RECORD, &[], Some(&empty.0), Some(&empty.1)), "16f1eca5-ebf9-22b3-da80-212f8fa7342e"),
            (Guid::of(PERSON, &[], None, None), "d629bb05-ad85-3d20-fbcb-895de3c459f7"),
            (Guid::of(PERSON, &references, None, None), "5c08d70e-5347-41b2-6369-199425d044eb"),
            (Guid::of(PERSON, &[], Some(&metadata()), None), "2034166c-90a8-1166-0ff2-f5f62c80dbe0"),
            (Guid::of(PERSON, &references, Some(&metadata()), None), "3619d8e0-2ee8-de51-0d9e-2520d39174d5"),
        ] {
            assert_eq!(guid.to_string(), expected);
            assert_eq!(Guid::parse(expected), Some(guid));
        }
        assert_eq!(Guid::parse("no guid"), None);
    }
}
