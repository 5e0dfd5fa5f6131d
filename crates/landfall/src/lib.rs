//! Landfall is a write-behind cache for SQL databases.
//!
//! An application writes rows and gets its answer at the speed of memory and one disk write; the rows **land** in the
//! database a moment later, merged, in bulk, in order, exactly once. Reads see the newest value at once, and a miss
//! reads through to the database. This crate is the library; the server `landfall` puts the Redis protocol before it.
//!
//! # The model in four sentences
//!
//! 1. The log is the truth until the database has it: what is read is the database and what the log still owes.
//! 2. A write is appended to the log, shown in the cache, and acknowledged when it is as safe as [`Settings::fsync`]
//!    promises; a read never shows a value that is less safe than that.
//! 3. Behind it, changes of a row are merged and committed together with the place that they reach in the log, in
//!    one transaction, so that a crash at any moment neither loses a change nor applies it twice.
//! 4. What the database cannot take now stays in the log and is tried again; a row that it refuses is kept beside the
//!    others as a dead letter, which reads show all the same. Nothing is dropped.
//!
//! # First steps
//!
//! It needs a tokio runtime. For the lines below:
//!
//! ```toml
//! [dependencies]
//! landfall = { path = "landfall/crates/landfall" } # where this repository is
//! tokio = { version = "1", features = ["macros", "rt"] }
//! rusqlite = "0.41" # only to make the table; a program has one SQLite, so another version does not build beside it
//! ```
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! use std::time::Duration;
//! use landfall::{Landfall, Settings, Value, Waited};
//!
//! let file = dir.join("app.db");
//! rusqlite::Connection::open(&file)?
//!     .execute_batch("CREATE TABLE page (id INTEGER PRIMARY KEY, title TEXT, views INTEGER)")?;
//!
//! let (landfall, opened) = Landfall::open_sqlite(Settings::in_dir(dir.join("log")), &file).await?;
//! assert_eq!(opened.tables, ["page"]);
//!
//! let _ = landfall.put("page:1", [("title", "Home".into())]).await?;
//! let receipt = landfall.add("page:1", "views", 3.into()).await?;
//! let page = landfall.get("page:1").await?.expect("it was just written");
//! assert_eq!((&page["title"], &page["views"]), (&Value::from("Home"), &Value::Int(3)));
//!
//! assert_eq!(landfall.wait_landed(&receipt, Duration::from_secs(5)).await, Waited::Landed);
//! assert_eq!(landfall.close(Duration::from_secs(5)).await?.changes, 0);
//! # Ok(()) }
//! ```
//!
//! A longer one is in `examples/page_views.rs`.
//!
//! # Keys
//!
//! The tables, their columns and their keys are read from the database at the start; nothing is configured.
//!
//! | key | is | written with |
//! |---|---|---|
//! | `page:1`, `seat:115:12A` | the row with this primary key | [`put`](Landfall::put), [`add`](Landfall::add), [`delete`](Landfall::delete) |
//! | `page:1:title` | one column of it | [`set`](Landfall::set) |
//! | `click` | the table itself | [`append`](Landfall::append): an event, never merged |
//! | anything else | a key-value key, a string or a hash, in tables of Landfall's own | [`set`](Landfall::set), [`put`](Landfall::put) |
//!
//! A value that its column cannot hold is refused before it is acknowledged, with table, column and type. A `:` or `%`
//! inside a key is written `%3A`, `%25`, and a number has one spelling: `page:01` is refused.
//!
//! # Durability
//!
//! With [`Fsync::Always`](settings::Fsync::Always), the default, an acknowledged write is on the disk. With `Everysec` a
//! power cut may take the last second, with `Os` what the system had not written yet; a process that dies loses nothing
//! in either. [`Landfall::wait_landed`] waits for the database. [`Landfall::close`] lands what is left and says what
//! stays in the log; the next start goes on with it ([`Opened::owed_changes`]).
//!
//! # Errors
//!
//! A [`Refusal`] means that nothing was changed, but for [`Refusal::Log`] with an unknown outcome. With the database
//! down, writes and reads of cached rows go on, up to the bounds in [`Settings`], and a read that has to load answers
//! [`Refusal::DatabaseDown`]. At a bound a writer gets [`Refusal::TryAgain`]; memory and disk never grow beyond it.
//! An [`OpenError`] says what does not fit together and what to do.
//!
//! # What is not promised
//!
//! - The database is a moment behind. Whoever reads it directly sees what has landed, in the order of each row.
//! - Rows that other programs write are seen when the cached row is loaded again, after [`Settings::ttl`].
//! - One disk holds the log. When it dies, what had not landed is gone.
//! - A write that the database refuses for a reason that no column's type tells (a foreign key, a unique index, a
//!   trigger) was acknowledged before. Its row is parked as a [dead letter](Landfall::dead_letters) and the rows around it land. Whoever
//!   reads the database directly does not see it until a later write corrects it, or a person does.
//! - Money, audit trails and whatever else has to be in the database before it is true should be written there.

#![deny(missing_docs)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests prepare files, threads and clocks by hand")
)]

pub mod buffer;
pub mod engine;
pub mod env;
pub mod error;
pub mod lander;
pub mod model;
pub mod settings;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod sink;
mod sync;
pub mod tasks;

pub use engine::letters::Selection;
pub use engine::{Landfall, OpenError, Opened, Receipt, Refusal, Remaining, Row};
pub use lander::{ParkedNow, Waited};
pub use model::{Letter, Value};
pub use settings::Settings;
