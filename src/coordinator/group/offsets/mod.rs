//! Committed offsets: how they are written, read, deleted, and forgotten.

mod commit;
mod delete;
mod expire;
mod fetch;

pub(super) use delete::tombstone;
