//! Private servers for tests and benchmarks, on free ports and in temporary folders.
//! None must ever outlive its owner, share a folder with another, or fail without showing what it said.
//!
//! A server started here dies with the *thread* that started it, where the system can see to that: start it on the
//! thread that outlives the work.

mod landfall;
mod pgbouncer;
mod postgres;
mod process;
mod redis;

pub use landfall::{Landfall, LandfallOptions};
pub use pgbouncer::PgBouncer;
pub use postgres::Postgres;
pub use process::tail_of;
pub use redis::{Appendfsync, Redis};
