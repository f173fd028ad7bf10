//! Work that holds a thread: kept from holding up the connections that share it.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Runs work that may take long (the disk, a large inflation) here and now, while the runtime moves this thread's other
/// tasks to another one. Unlike a blocking task it keeps the caller's place in the order of things.
pub fn in_place<T>(work: impl FnOnce() -> T) -> T {
    // A test's runtime of one thread has nowhere to move them to.
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}
