//! Whether the database was met since the start, and whether that asks for an engine that is opened anew.
//! It decides nothing: the lander says what it found, and the owner of the engine acts on it.

use crate::sync::atomic::{AtomicBool, Ordering};

use crate::sync::Mutex;

use super::{Progress, Subscriber};

#[derive(Default)]
pub(super) struct Meeting {
    /// The database was reached and found to be the one of this log.
    joined: AtomicBool,
    /// What is served was made without the database, and does not fit what was found there.
    outdated: AtomicBool,
    /// Opens the engine anew.
    owner: Mutex<Option<Subscriber>>,
}

impl Progress {
    /// Whether the database was reached and found to be the one of this log.
    pub fn is_joined(&self) -> bool {
        self.meeting.joined.load(Ordering::Acquire)
    }

    pub(in crate::lander) fn set_joined(&self) {
        self.meeting.joined.store(true, Ordering::Release);
    }

    /// Whether the database was found to be other than the engine knew it: its tables changed, or it is ahead of a log that was
    /// opened without it.
    pub fn is_outdated(&self) -> bool {
        self.meeting.outdated.load(Ordering::Acquire)
    }

    /// Has `reopen` called on the lander's thread, again and again, while [`Progress::is_outdated`]: until the engine is
    /// opened anew nothing more lands. Without it, an engine with the tables of before goes on.
    pub fn on_outdated(&self, reopen: Subscriber) {
        *self.meeting.owner.lock() = Some(reopen);
    }

    /// Says that the engine is outdated; whether somebody will open it anew.
    pub(in crate::lander) fn set_outdated(&self) -> bool {
        self.meeting.outdated.store(true, Ordering::Release);
        let owner = self.meeting.owner.lock().clone();
        owner.is_some_and(|reopen| {
            reopen();
            true
        })
    }
}
