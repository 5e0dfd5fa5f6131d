//! The landing protocol against a log and a database in memory.

mod durable;
mod faults;
mod flow;
mod start;
