//! Locks, condition variables and atomic numbers of everything that threads share: the real ones, and in the build for
//! interleaving tests those of a scheduler that chooses at each of them who goes on. It must never add a meaning of its own.
//!
//! A lock of another kind may only be held where none of these is touched: the scheduler's threads take turns on one
//! thread of the system, and one that waits for such a lock would wait for ever.

#[cfg(not(feature = "interleavings"))]
pub(crate) use std::sync::atomic;
#[cfg(not(feature = "interleavings"))]
pub(crate) use std::thread_local;

#[cfg(not(feature = "interleavings"))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

#[cfg(feature = "interleavings")]
mod scheduled;

#[cfg(feature = "interleavings")]
pub(crate) use scheduled::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(feature = "interleavings")]
pub(crate) use shuttle::sync::atomic;
#[cfg(feature = "interleavings")]
pub(crate) use shuttle::thread_local;

#[cfg(all(test, feature = "interleavings"))]
pub(crate) mod explore;

#[cfg(all(test, not(feature = "interleavings")))]
pub(crate) mod explore {
    /// Nobody: threads of the system go on by themselves.
    pub(crate) fn others_go_on() {}
}
