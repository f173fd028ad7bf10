//! What goes wrong, with Confluent's codes and sentences.

use std::fmt;

/// An answer that is an error: `{"error_code": .., "message": ..}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub code: i32,
    pub message: String,
}

const INVALID_SCHEMA: i32 = 42201;

impl Error {
    fn new(code: i32, message: impl Into<String>) -> Error {
        Error { code, message: message.into() }
    }

    /// The status of HTTP: the code's first three digits.
    pub fn status(&self) -> u16 {
        let mut status = self.code;
        while status > 999 {
            status /= 10;
        }
        u16::try_from(status).unwrap_or(500)
    }

    pub fn subject_not_found(subject: &str) -> Error {
        Error::new(40401, format!("Subject '{subject}' not found."))
    }

    pub fn version_not_found(version: i32) -> Error {
        Error::new(40402, format!("Version {version} not found."))
    }

    pub fn schema_not_found() -> Error {
        Error::new(40403, "Schema not found")
    }

    /// By its id or its guid.
    pub fn schema_not_found_by(id: impl fmt::Display) -> Error {
        Error::new(40403, format!("Schema {id} not found"))
    }

    pub fn subject_soft_deleted(subject: &str) -> Error {
        Error::new(
            40404,
            format!("Subject '{subject}' was soft deleted.Set permanent=true to delete permanently"),
        )
    }

    pub fn subject_not_soft_deleted(subject: &str) -> Error {
        Error::new(
            40405,
            format!("Subject '{subject}' was not deleted first before being permanently deleted"),
        )
    }

    pub fn version_soft_deleted(subject: &str, version: impl fmt::Display) -> Error {
        Error::new(
            40406,
            format!(
                "Subject '{subject}' Version {version} was soft deleted.Set permanent=true to delete permanently"
            ),
        )
    }

    pub fn version_not_soft_deleted(subject: &str, version: impl fmt::Display) -> Error {
        Error::new(
            40407,
            format!(
                "Subject '{subject}' Version {version} was not deleted first before being permanently deleted"
            ),
        )
    }

    pub fn no_config_of(subject: &str) -> Error {
        Error::new(40408, format!("Subject '{subject}' does not have subject-level compatibility configured"))
    }

    pub fn no_mode_of(subject: &str) -> Error {
        Error::new(40409, format!("Subject '{subject}' does not have subject-level mode configured"))
    }

    /// `details`: the lines of what does not go together.
    pub fn incompatible(subject: &str, details: &[String]) -> Error {
        let details = details.join(", ");
        Error::new(
            409,
            format!(
                "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{details}]"
            ),
        )
    }

    pub fn invalid_schema(why: impl Into<String>) -> Error {
        Error::new(INVALID_SCHEMA, why)
    }

    pub fn is_invalid_schema(&self) -> bool {
        self.code == INVALID_SCHEMA
    }

    pub fn invalid_version(version: &str) -> Error {
        Error::new(
            42202,
            format!(
                "The specified version '{version}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\""
            ),
        )
    }

    pub fn invalid_compatibility_level() -> Error {
        Error::new(
            42203,
            "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive",
        )
    }

    pub fn invalid_mode() -> Error {
        Error::new(
            42204,
            "Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, IMPORT, and FORWARD",
        )
    }

    pub fn not_permitted(why: impl Into<String>) -> Error {
        Error::new(42205, why)
    }

    /// `referenced`: subject and version.
    pub fn reference_exists(subject: &str, version: i32) -> Error {
        Error::new(
            42206,
            format!(
                "One or more references exist to the schema {{magic=1,keytype=SCHEMA,subject={subject},version={version}}}."
            ),
        )
    }

    pub fn id_does_not_match(why: impl Into<String>) -> Error {
        Error::new(42207, why)
    }

    pub fn invalid_subject(subject: &str) -> Error {
        Error::new(42208, format!("The specified subject '{subject}' is not a valid."))
    }

    pub fn schema_too_large(why: impl Into<String>) -> Error {
        Error::new(42209, why)
    }

    pub fn invalid_rule_set(why: impl Into<String>) -> Error {
        Error::new(42210, why)
    }

    pub fn context_not_empty(context: &str) -> Error {
        Error::new(42211, format!("The specified context '{context}' is not empty."))
    }

    /// The topic cannot be written or read.
    pub fn store(why: impl Into<String>) -> Error {
        Error::new(50001, why)
    }

    pub fn timeout(why: impl Into<String>) -> Error {
        Error::new(50002, why)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; error code: {}", self.message, self.code)
    }
}

impl std::error::Error for Error {}
