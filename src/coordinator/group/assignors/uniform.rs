//! `uniform`: every member gets as many partitions as the others, and keeps what it has as far as that allows.

mod heterogeneous;
mod homogeneous;

use uuid::Uuid;

use super::{GroupAssignment, Members, is_homogeneous};

/// The new target assignment; see [`super::Assignor::assign`].
pub fn assign(members: &Members, partitions_of: &dyn Fn(Uuid) -> i32) -> GroupAssignment {
    if is_homogeneous(members) {
        homogeneous::assign(members, partitions_of)
    } else {
        heterogeneous::assign(members, partitions_of)
    }
}
