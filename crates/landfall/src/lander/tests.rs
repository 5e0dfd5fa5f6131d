//! The landing protocol against a log and a database in memory.

mod alone;
mod durable;
mod faults;
mod flow;
#[cfg(feature = "interleavings")]
mod interleavings;
mod park;
mod park_model;
mod start;
mod stuck;
