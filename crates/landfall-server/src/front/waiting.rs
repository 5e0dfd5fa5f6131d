//! What a connection may wait for while the loop serves the others.
//! Every wait has a deadline, and ends with exactly one reply.

use std::time::{Duration, Instant};

use landfall::model::{LaneId, Position};
use landfall_resp::OwnedRequest;

use super::readers::{Reading, WAITED_KEY_BYTES};

/// What a parked connection waits for.
pub enum Wait {
    /// Rows are being loaded; then the request runs again.
    Load {
        /// The request (EXEC for a transaction).
        request: OwnedRequest,
        /// How often it was parked already.
        attempts: u32,
    },
    /// Somebody has to write to one of its keys; then the request runs again.
    Read {
        /// The request, with ids instead of `$`.
        request: OwnedRequest,
        /// Since when and how long.
        reading: Reading,
    },
    /// Positions have to land.
    Landed {
        /// Which.
        places: Vec<(LaneId, Position)>,
        /// When to give up; none: never.
        deadline: Option<Instant>,
        /// What to answer.
        answer: Answer,
    },
    /// Another thread sends the reply.
    Reply,
}

impl Wait {
    /// When the wait has to end; what waits for entries stands in a list of its own.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Wait::Landed { deadline, .. } => *deadline,
            Wait::Read { .. } | Wait::Load { .. } | Wait::Reply => None,
        }
    }

    /// The memory that the wait holds, in bytes.
    pub fn held_bytes(&self) -> usize {
        match self {
            Wait::Load { request, .. } => request.held_bytes(),
            // Each key stands once more in the list of those who wait for it.
            Wait::Read { request, .. } => {
                2 * request.held_bytes() + request.as_request().arg_count() / 2 * WAITED_KEY_BYTES
            }
            Wait::Landed { places, .. } => size_of_val(&**places),
            Wait::Reply => 0,
        }
    }
}

/// Replies of a turn whose writes the log has no room for.
pub struct Held {
    /// The replies.
    pub replies: Vec<u8>,
    /// They may go when the log is safe up to here.
    pub end: u64,
    /// When to answer with errors instead.
    pub until: Instant,
}

/// So long replies wait for room: a file that is rotated away or a quota that is raised is quick, and a client should not
/// take the server for dead.
pub const HELD_MAX: Duration = Duration::from_secs(1);
/// How often it is looked whether there is room again.
pub const HELD_LOOK: Duration = Duration::from_millis(20);

/// What is answered when positions have landed, or have not in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// WAIT: 1 or 0.
    Count,
    /// LANDFALL.FLUSH: OK, or an error that names what holds it up.
    Flush,
}

/// A load that has to be tried more often is given up: the cache lets rows go faster than they come.
pub const LOAD_ATTEMPTS_MAX: u32 = 16;
