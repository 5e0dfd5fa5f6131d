//! The buffer between the engine and the lander: the log first, and then the cache.
//! The log is the truth until the database has it; the cache only holds the view, and never decides what lands.

pub mod cache;
pub mod log;
