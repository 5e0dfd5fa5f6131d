//! What a connection may wait for while the loop serves the others.
//! Every wait has a deadline, and ends with exactly one reply.

use std::time::Instant;

use landfall::model::{LaneId, Position};
use landfall_resp::OwnedRequest;

/// What a parked connection waits for.
pub enum Wait {
    /// Rows are being loaded; then the request runs again.
    Load {
        /// The request (EXEC for a transaction).
        request: OwnedRequest,
        /// How often it was parked already.
        attempts: u32,
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
    /// When the wait has to end.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Wait::Landed { deadline, .. } => *deadline,
            Wait::Load { .. } | Wait::Reply => None,
        }
    }
}

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
