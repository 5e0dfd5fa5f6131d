//! SQLite: rows land in a file, through one writing connection; several others read.
//! Every statement names its columns and binds its values; no value ever becomes part of a statement's text.
//!
//! # What SQLite does that others do not
//!
//! - Types are advice. A value of another type than its column's is refused here, because SQLite would keep it.
//! - Decimals are kept as binary floats, which are exact to 15 digits. Wider columns are offered with 15 digits.
//!   Sums are computed exactly by Landfall in the landing transaction, which holds the only write lock.
//! - A sum that leaves 64 bits would become a float; it is refused.
//! - Booleans are 1 and 0; dates, times and timestamps are text in their canonical form. A row whose key another
//!   program wrote in another spelling is not found.
//! - A column declared `json` or `uuid` has numeric affinity: text that looks like a number would be changed, and
//!   is refused.
//! - `numeric` and `decimal` without digits are floats to SQLite, so they are to Landfall.
//! - One writer: `BEGIN IMMEDIATE`, and [`SinkError::Busy`] when another process keeps the lock for longer than
//!   [`SqliteSettings::writer_busy_timeout_ms`].

use std::path::{Path, PathBuf};

use super::{Database, LandingContext, Sink, SinkError, Source};
use crate::model::{Catalogue, LaneId, Watermark};

mod audit;
mod catalogue;
mod connect;
mod convert;
mod declared;
#[cfg(feature = "fuzz")]
pub mod doors;
mod errors;
mod incidents;
mod key_value;
mod land;
mod lanes;
mod letters;
mod load;
mod pages;
mod place;
mod planned;
mod rows;
mod schema;
mod statements;
mod streams;

pub use schema::{SCHEMA, set_up_script};

#[cfg(test)]
mod tests;

/// How Landfall uses a SQLite file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSettings {
    /// How long a landing waits for another process's lock. Short: the lander tries again, and says so.
    pub writer_busy_timeout_ms: u32,
    /// How long a load waits for a lock. Longer: somebody waits for the answer, and a retry would not be faster.
    pub reader_busy_timeout_ms: u32,
    /// The page cache of one connection. 64 MiB keeps the inner pages of some ten million rows.
    pub cache_kib_max: u32,
    /// Prepared statements kept per connection: a few per table and set of columns.
    pub statements_max: usize,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        SqliteSettings {
            writer_busy_timeout_ms: 250,
            reader_busy_timeout_ms: 1000,
            cache_kib_max: 64 * 1024,
            statements_max: 256,
        }
    }
}

/// A SQLite file that rows land in.
///
/// ```
/// use landfall::sink::sqlite::{SqliteDatabase, SqliteSettings};
/// use landfall::sink::Database;
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("app.db");
/// let database = SqliteDatabase::open(&path, SqliteSettings::default())?;
/// database.set_up()?;
/// assert!(database.catalogue()?.is_empty());
/// # Ok::<(), landfall::sink::SinkError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SqliteDatabase {
    path: PathBuf,
    settings: SqliteSettings,
}

impl SqliteDatabase {
    /// Opens the file, or creates it with a write-ahead log. A file that holds anything keeps its journal mode.
    ///
    /// # Errors
    /// [`SinkError::Unusable`] with what to do, when the path is no file that can be written or no database.
    pub fn open(path: impl AsRef<Path>, settings: SqliteSettings) -> Result<SqliteDatabase, SinkError> {
        let path = path.as_ref().to_path_buf();
        connect::prepare_file(&path, &settings)?;
        Ok(SqliteDatabase { path, settings })
    }

    /// Where a lane is, or none when it has no row; unlike a take-over it changes nothing.
    ///
    /// # Errors
    /// [`SinkError`] when the file cannot be read, or has never had lanes.
    pub fn watermark(&self, lane: LaneId) -> Result<Option<Watermark>, SinkError> {
        lanes::watermark(&connect::reader(&self.path, &self.settings)?, lane)
    }

    /// A file that was there before, and is never made anew: while it is away, every call answers
    /// [`SinkError::Unavailable`].
    ///
    /// # Errors
    /// As [`SqliteDatabase::open`], when it is there.
    pub fn open_known(path: impl AsRef<Path>, settings: SqliteSettings) -> Result<SqliteDatabase, SinkError> {
        let path = path.as_ref();
        match place::Place::of(path).and_then(|_| SqliteDatabase::open(path, settings.clone())) {
            Err(error) if error.is_transient() => Ok(SqliteDatabase { path: path.to_path_buf(), settings }),
            opened => opened,
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Database for SqliteDatabase {
    fn describe(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    fn set_up(&self) -> Result<(), SinkError> {
        schema::set_up(&connect::writer(&self.path, &self.settings)?)
    }

    fn identity(&self) -> Result<Option<[u8; 16]>, SinkError> {
        schema::identity(&connect::reader(&self.path, &self.settings)?)
    }

    fn catalogue(&self) -> Result<Catalogue, SinkError> {
        catalogue::read(&connect::reader(&self.path, &self.settings)?)
    }

    fn sink(&self, context: LandingContext) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(land::SqliteSink::open(self.clone(), context)?))
    }

    fn source(&self, context: LandingContext) -> Result<Box<dyn Source>, SinkError> {
        Ok(Box::new(load::SqliteSource::open(self.clone(), context)?))
    }

    fn sinks_max(&self) -> usize {
        1
    }
}
