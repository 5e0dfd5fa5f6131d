//! PostgreSQL: rows land through one connection for each sink, many in a statement; others read.
//! Every statement names its columns and binds its values; no value ever becomes part of a statement's text.
//!
//! # What PostgreSQL does that others do not
//!
//! - It answers the COMMIT of a failed transaction with ROLLBACK and no error. Landfall speaks the protocol itself and
//!   takes only the tag COMMIT, without a warning, for a commit; a lost answer is [`SinkError::Unknown`].
//! - It would round a decimal or a time that is finer than its column, and cut spaces of a `char`: such values are
//!   refused. A text cannot hold a zero byte.
//! - `jsonb` and `uuid` read back as PostgreSQL spells them.
//! - Settings are of one transaction only and statements have no name, so that a pooler can stand between.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Database, LandingContext, Sink, SinkError, Source};
use crate::env::Clock;
use crate::model::{Catalogue, LaneId, Watermark};

mod address;
mod audit;
mod bulk;
mod catalogue;
mod connect;
mod errors;
#[cfg(feature = "tls")]
mod fingerprint;
mod frame;
mod incidents;
mod key_value;
mod land;
mod lanes;
mod letters;
mod load;
mod loader;
mod mapped;
mod pages;
mod plan;
mod raw;
mod rows;
mod schema;
mod settings;
mod text;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_absent.rs"]
mod tls;
mod wire;
mod writer;

pub use loader::{PostgresCopy, PostgresLoader};
pub use schema::{SCHEMA, set_up_script};
pub use settings::{PostgresPem, PostgresPlace, PostgresSettings, PostgresTarget, PostgresTls};

#[cfg(test)]
mod tests;

/// Landing connections that are of use at once: beyond, PostgreSQL lands no more.
const SINKS_MAX: usize = 4;

/// Lost connections whose transactions are remembered; of older ones the server itself sees the end.
const LEFT_OPEN_MAX: usize = 16;

/// A PostgreSQL database that rows land in.
#[derive(Clone)]
pub struct PostgresDatabase {
    settings: PostgresSettings,
    clock: Arc<dyn Clock>,
    /// Transactions on lost connections, whose end nobody has seen; a take-over ends them.
    left_open: Arc<Mutex<Vec<frame::Session>>>,
}

impl PostgresDatabase {
    /// The database of these settings. It connects to nothing yet; the clock is for deadlines.
    pub fn new(settings: PostgresSettings, clock: Arc<dyn Clock>) -> PostgresDatabase {
        PostgresDatabase { settings, clock, left_open: Arc::default() }
    }

    /// Where a lane is, or none when it has no row; unlike a take-over it changes nothing.
    ///
    /// # Errors
    /// [`SinkError`] when the database cannot be read, or has never had lanes.
    pub fn watermark(&self, lane: LaneId) -> Result<Option<Watermark>, SinkError> {
        let mut wire = self.connect()?;
        frame::open(&mut wire, frame::Purpose::Reading, &self.settings)?;
        Ok(lanes::row(&mut wire, lane)?.map(|row| row.watermark))
    }

    fn leave_open(&self, session: frame::Session) {
        let mut left_open = self.left_open.lock();
        if left_open.len() >= LEFT_OPEN_MAX {
            left_open.remove(0);
        }
        left_open.push(session);
    }

    /// Ends what lost connections left open.
    fn end_left_open(&self, wire: &mut wire::Wire) -> Result<(), SinkError> {
        let left_open = self.left_open.lock().clone();
        for session in &left_open {
            frame::end(wire, session)?;
        }
        self.left_open.lock().retain(|session| !left_open.contains(session));
        Ok(())
    }

    fn connect(&self) -> Result<wire::Wire, SinkError> {
        connect::connect(&self.settings, &self.clock)
    }

    /// A connection in the place of one that was lost: to the same database, whatever answers at its place now.
    fn connect_again(&self, expected: Option<[u8; 16]>) -> Result<wire::Wire, SinkError> {
        let mut wire = self.connect()?;
        match schema::identity(&mut wire)? {
            found if found == expected => Ok(wire),
            _ => Err(SinkError::Unavailable(format!(
                "another database is in the place of {}; nothing is written to it",
                self.settings
            ))),
        }
    }
}

impl Database for PostgresDatabase {
    fn describe(&self) -> String {
        self.settings.to_string()
    }

    fn set_up(&self) -> Result<(), SinkError> {
        schema::set_up(&mut self.connect()?)
    }

    fn identity(&self) -> Result<Option<[u8; 16]>, SinkError> {
        schema::identity(&mut self.connect()?)
    }

    fn catalogue(&self) -> Result<Catalogue, SinkError> {
        catalogue::read(&mut self.connect()?, &self.settings)
    }

    fn sink(&self, context: LandingContext) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(land::PostgresSink::open(self.clone(), context)?))
    }

    fn source(&self, context: LandingContext) -> Result<Box<dyn Source>, SinkError> {
        Ok(Box::new(load::PostgresSource::open(self.clone(), context)?))
    }

    fn sinks_max(&self) -> usize {
        SINKS_MAX
    }
}
