//! What the tests of Landfall and its benchmarks share: a checker of histories, a small client, private servers, and
//! a load that writes through every family of commands.
//! It must never be part of the product, share code with what it checks, or leave a server behind.
//!
//! The pure parts know nothing of sockets and files: [`checker`] decides from a list of operations whether a store kept
//! its promises, [`chance`] makes a run repeatable. Around them: [`client`] speaks RESP, [`servers`] starts servers in
//! temporary folders, [`load`] writes and reads and keeps the history, [`audit`] compares the server's answers with
//! the database file, [`round`] puts these together. For what the system itself does badly there are [`disk`], a real file
//! system whose power can be cut, inside of [`private_mounts`], [`strace`] for calls that fail, and [`skipping`] for machines
//! that allow no such thing. [`proxy`] is a network that fails.

#![deny(missing_docs)]

pub mod audit;
pub mod chance;
pub mod checker;
pub mod client;
#[cfg(feature = "core")]
pub mod core;
pub mod disk;
pub mod load;
pub mod private_mounts;
pub mod proxy;
pub mod round;
pub mod servers;
pub mod skipping;
pub mod strace;
pub mod tools;
pub mod waiting;
