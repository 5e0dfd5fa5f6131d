//! Clients that people use, behind one face, for the load of the kill tests.
//! None may send a request twice: each has its own retries switched off, and where it cannot switch them off, a server
//! that comes back listens on another port, so that a second attempt reaches nobody.

mod piped;
mod redis_cli;
mod redis_crate;
mod redis_py;

use landfall_sim::client::{Client, Connect};

/// A client and how it connects.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) connect: Connect,
    /// What this machine lacks for it, if anything.
    lacks: fn() -> Option<String>,
}

/// All clients. Ours is the only one that knows which replies of a broken pipeline came before it broke.
pub(crate) const ALL: &[Kind] = &[
    Kind { name: "own", connect: Client::connect_any, lacks: || None },
    Kind { name: "redis-crate", connect: redis_crate::connect, lacks: || None },
    Kind { name: "redis-crate-async", connect: redis_crate::connect_async, lacks: || None },
    Kind { name: "redis-cli", connect: redis_cli::connect, lacks: redis_cli::lacks },
    Kind { name: "redis-py", connect: redis_py::connect, lacks: redis_py::lacks },
];

impl Kind {
    /// What this machine lacks for it, if anything.
    pub(crate) fn lacks(&self) -> Option<String> {
        (self.lacks)()
    }
}
