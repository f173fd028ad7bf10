//! The drafts, by the URLs of their meta-schemas.

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Draft {
    Draft4,
    Draft6,
    Draft7,
    Draft2019,
    Draft2020,
}

/// Where a meta-schema's URL goes on after the scheme. `json-schema.org/schema` was the latest when that was draft 4.
const META_SCHEMAS: [(&str, Draft); 6] = [
    ("json-schema.org/draft-04/schema", Draft::Draft4),
    ("json-schema.org/schema", Draft::Draft4),
    ("json-schema.org/draft-06/schema", Draft::Draft6),
    ("json-schema.org/draft-07/schema", Draft::Draft7),
    ("json-schema.org/draft/2019-09/schema", Draft::Draft2019),
    ("json-schema.org/draft/2020-12/schema", Draft::Draft2020),
];

impl Draft {
    /// The draft that a `$schema` names, if it is one of those known here.
    pub(super) fn of_meta_schema(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
        META_SCHEMAS.into_iter().find(|(known, _)| rest.starts_with(known)).map(|(_, draft)| draft)
    }

    /// Whether siblings of a `$ref` count, and all that came with 2019-09.
    pub(super) fn is_modern(self) -> bool {
        self >= Self::Draft2019
    }

    pub(super) fn id_keyword(self) -> &'static str {
        match self {
            Self::Draft4 => "id",
            _ => "$id",
        }
    }
}
