//! What a simulation needs of the library: the engine in steps that one thread takes in any order, a strict disk in
//! memory, and chance that follows from a seed. It must never be part of a product: the feature `simulation` is for tests.
//!
//! A simulated run opens a [`LocalLog`](crate::buffer::log::local::LocalLog) over a
//! [`StrictDisk`](strict_disk::StrictDisk) and a [`Stepwise`] engine over that log and any
//! [`Database`](crate::sink::Database), and then takes steps: a turn of the lander, a round of the keeper, half a load.
//! Each step is the code that the threads of [`Engine`](crate::engine::Engine) run; only their waits are left out, so
//! what happens between two steps is for the caller to choose. What other threads may do in the middle of a step is
//! done from inside the calls of the database and of the disk ([`StrictDisk::set_hook`](strict_disk::StrictDisk::set_hook)).

pub use crate::engine::stepwise::{LoadStep, Stepwise};
pub use crate::env::{seeded, strict_disk};
