//! The seam to databases: [`Database`] opens a [`Sink`] to land into and a [`Source`] to load from.
//! A sink knows neither the log nor the cache; it gets a landing and says what became of it.
//!
//! # What every implementation owes
//!
//! - [`Sink::land`] is one transaction. Its first statement is a compare-and-set of each lane's one row
//!   (lineage, epoch, position, anchor), in the order of the lanes; if one does not match, nothing is written
//!   and the answer is [`SinkError::Fenced`].
//! - `Ok` means committed as durably as the database can. An error means rolled back, except
//!   [`SinkError::Unknown`], after which the caller takes the lanes over before it does anything else.
//! - After any error the transaction is rolled back before the call returns; no later statement runs in it.
//! - Operations run in the order of [`Landing::ops`] as far as they touch the same row; in an ordered landing, all
//!   of them do.
//! - [`Sink::take_over`] waits for a transaction of an older owner, so the watermark it returns is final. It takes all
//!   lanes or none, and none that a start took last which the owner does not follow ([`Owner::follows`]).
//! - No call lands in a database that was put in the place of the one it was opened on.
//! - [`Landing::letters`] are written in the same transaction, behind the rows. A letter of a key that has one takes
//!   its place and keeps its id; an id is not given again. A letter's change and key come back byte for byte.
//! - [`Sink::isolate`] writes nothing that stays: it says which operations would be refused if each had to answer for
//!   itself. Its transaction begins like that of the landing, with the compare-and-set.
//! - [`Source::load`] reads the row, its dead letter and the lane's watermark in one snapshot. [`Source::load_head`] may leave
//!   out all entries but the last of a key-value stream that has a head and no letter, and nothing else, and says whether it did.
//! - A key-value key has one place from its first upsert to its delete, and a new key gets a place that no key has: who
//!   pages through [`Source::keys`] by place meets every key that stays, whatever else comes, goes or changes.
//! - [`Source::rows`] pages through a table in an order that never changes, by what its primary key holds, so whoever
//!   pages to the end meets every row that stays. A row without a whole primary key has no key and may be left out.
//!
//! # What a caller may assume
//!
//! - Calls block. A caller owns its sink or source; neither is shared, and none is dropped in the middle.
//! - A row that was never landed reads as absent; NULL columns are left out of a loaded row.
//! - A stored value that is not of its column's type (another program wrote it) reads as text, or as raw bytes
//!   when it is no text; it never makes a load fail.
//! - An `add` is exact: a sum that the column cannot hold, or an `add` to something that is no exact number, is
//!   [`SinkError::Refused`].
//! - Of a key-value key everything reads back as raw bytes, except `=x`, which is a whole number.
//! - An event whose table has a unique `request_id` that is already there changes nothing and is no error.
//! - A key-value key is there from the first upsert to its delete, even when no part of it is left; whoever
//!   empties a hash logs a delete. A stream is there as long as its head is.

use std::sync::Arc;

pub use stored::{KeyKind, StoredKey, StoredKeys};

pub use crate::error::SinkError;
use crate::model::{
    Anchor, Catalogue, Change, Epoch, Incident, LaneId, LaneRow, Letter, LetterKey, Lineage, Name, Owner,
    Position, Reason, RowKey, Table, Value, Watermark,
};

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod audit;
#[cfg(feature = "sqlite")]
mod entries;
pub mod isolate;
pub mod memory;
mod parts;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod protocol;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod stored;

pub(crate) use parts::is_of_schema;

#[cfg(test)]
mod conformance;

/// A database that rows land in.
pub trait Database: Send + Sync {
    /// What it is, for people: `sqlite:app.db`. Never a password.
    fn describe(&self) -> String;

    /// Creates Landfall's own tables where they are missing.
    ///
    /// # Errors
    /// [`SinkError::Unusable`] with what to run when the rights are missing.
    fn set_up(&self) -> Result<(), SinkError>;

    /// The identity that [`Database::set_up`] gave this database, which copies of it share; none before.
    ///
    /// # Errors
    /// [`SinkError`] when the database cannot be read.
    fn identity(&self) -> Result<Option<[u8; 16]>, SinkError>;

    /// Reads the tables, their types and constraints.
    ///
    /// # Errors
    /// [`SinkError`] when the database cannot be read.
    fn catalogue(&self) -> Result<Catalogue, SinkError>;

    /// Opens a connection to land with. How many may land at once is [`Database::sinks_max`].
    ///
    /// # Errors
    /// [`SinkError`] when no connection can be made.
    fn sink(&self, context: LandingContext) -> Result<Box<dyn Sink>, SinkError>;

    /// Opens a connection to load with.
    ///
    /// # Errors
    /// [`SinkError`] when no connection can be made.
    fn source(&self, context: LandingContext) -> Result<Box<dyn Source>, SinkError>;

    /// How many sinks are of use at once.
    fn sinks_max(&self) -> usize;
}

/// What a sink or source has to know of the tables.
#[derive(Debug, Clone)]
pub struct LandingContext {
    /// The catalogue that changes were checked against.
    pub catalogue: Arc<Catalogue>,
    /// Tables whose landed changes are recorded in another table: (table, change-log table).
    pub audits: Arc<Vec<(String, String)>>,
}

/// Lands batches.
pub trait Sink: Send {
    /// Inserts the rows of lanes that this log has never landed, at position 0.
    ///
    /// A row that exists with this lineage is left alone (the process died between the insert and its mark).
    ///
    /// # Errors
    /// [`SinkError::ForeignLineage`] when a lane belongs to another log.
    fn create_lanes(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError>;

    /// Raises the epoch of the lanes, puts the owner's start into them, and returns their watermarks, in the order asked.
    ///
    /// # Errors
    /// [`SinkError::LaneMissing`], [`SinkError::ForeignLineage`], [`SinkError::OtherStart`], or what the database answers.
    fn take_over(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError>;

    /// The rows of the lanes, in the order asked and of one moment; none for a lane without a row. Changes nothing.
    ///
    /// # Errors
    /// [`SinkError`] when the database cannot answer.
    fn lanes(&mut self, lanes: &[LaneId]) -> Result<Vec<Option<LaneRow>>, SinkError>;

    /// The lanes that have a row, whoever they belong to.
    ///
    /// # Errors
    /// [`SinkError`] when the database cannot answer.
    fn lane_ids(&mut self) -> Result<Vec<LaneId>, SinkError>;

    /// Gives lanes the rows that a person has decided on, and keeps the incidents that tell of it, in one transaction.
    ///
    /// # Errors
    /// [`SinkError::Fenced`] when a lane's row is not what was found before: nothing was changed.
    fn adopt(&mut self, lanes: &[Adopted], incidents: &[Incident]) -> Result<(), SinkError>;

    /// Keeps incidents, those it has already under their id included.
    ///
    /// # Errors
    /// [`SinkError`] when they cannot be kept now.
    fn declare(&mut self, incidents: &[Incident]) -> Result<(), SinkError>;

    /// Lands one batch in one transaction.
    ///
    /// # Errors
    /// See the module: everything but [`SinkError::Unknown`] means that nothing was written.
    fn land(&mut self, landing: &Landing) -> Result<(), SinkError>;

    /// Tries the operations of a landing one by one, in their order, each in a savepoint of its own, and rolls
    /// everything back. What is refused is left out, and its change is merged in front of the next change of
    /// the same row; an event stands for itself. The refusals come in the order of the operations; each names
    /// an operation that was refused with what it carried.
    ///
    /// # Errors
    /// As [`Sink::land`], but for refusals of single operations, which are the answer.
    fn isolate(&mut self, landing: &Landing) -> Result<Vec<RefusedOp>, SinkError>;

    /// At most `most` dead letters with an id above `after`, by id. After a take-over they are final: only who
    /// owns a lane writes them.
    ///
    /// # Errors
    /// [`SinkError`] when the database cannot answer, or a letter was changed by hand.
    fn letters(&mut self, after: u64, most: usize) -> Result<Vec<Letter>, SinkError>;
}

/// How a person's decision changes a lane's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adopted {
    /// The lane.
    pub lane: LaneId,
    /// The row as it has to be.
    pub found: Option<LaneRow>,
    /// The row as it becomes.
    pub becomes: LaneRow,
}

/// Loads rows.
pub trait Source: Send {
    /// Reads one row, its dead letter, and the watermark of its lane, in one snapshot.
    ///
    /// # Errors
    /// [`SinkError`] when the database cannot answer.
    fn load(&mut self, row: &RowKey, lane: LaneId) -> Result<Loaded, SinkError>;

    /// The same for who needs no more of a stream than its head.
    ///
    /// # Errors
    /// [`SinkError`] when the database cannot answer.
    fn load_head(&mut self, row: &RowKey, lane: LaneId) -> Result<Loaded, SinkError> {
        self.load(row, lane)
    }

    /// As [`Sink::letters`].
    ///
    /// # Errors
    /// [`SinkError`] when the database cannot answer, or a letter was changed by hand.
    fn letters(&mut self, after: u64, most: usize) -> Result<Vec<Letter>, SinkError>;

    /// Whether the key-value tables hold no key at all, and no dead letter does.
    ///
    /// # Errors
    /// [`SinkError`] when the database cannot answer.
    fn key_values_are_empty(&mut self) -> Result<bool, SinkError>;

    /// At most `most` key-value keys whose place is above `after`, by place, and the watermarks of `lanes`, in one snapshot.
    ///
    /// # Errors
    /// [`SinkError`] when the database cannot answer.
    fn keys(&mut self, after: u64, most: usize, lanes: &[LaneId]) -> Result<StoredKeys, SinkError>;

    /// At most `most` rows of a table behind the place `after` (none: from the first), and the watermarks of `lanes`, in one
    /// snapshot.
    ///
    /// # Errors
    /// [`SinkError`] when the database cannot answer.
    fn rows(
        &mut self,
        table: &Table,
        after: Option<&RowPlace>,
        most: usize,
        lanes: &[LaneId],
    ) -> Result<StoredRows, SinkError>;
}

/// Where a row stands in its table, in the words of the source that gave it: only a source of the same database reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPlace(Arc<[u8]>);

impl RowPlace {
    /// A place in a source's own words.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> RowPlace {
        RowPlace(bytes.into())
    }

    /// The source's own words.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Some rows of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRows {
    /// The rows, by place.
    pub rows: Vec<StoredRow>,
    /// The place of the last row that was looked at; none when there is no row behind `after`.
    pub last: Option<RowPlace>,
    /// The watermarks of the lanes that were asked for, in their order.
    pub watermarks: Vec<Watermark>,
}

/// A row of a table as the database holds it, without its columns.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow {
    /// The primary key as a load gives it.
    pub key: Vec<Value>,
    /// It has a dead letter, so that this is not what readers see.
    pub is_parked: bool,
}

/// One batch: what to write, and how each lane's row moves.
#[derive(Debug, Clone)]
pub struct Landing {
    /// A random number of this batch, for tracing.
    pub batch: [u8; 16],
    /// When the batch lands, in Unix milliseconds, for change-log tables; a sink has no clock of its own.
    pub time_ms: u64,
    /// The log that lands.
    pub lineage: Lineage,
    /// The lanes, sorted by number.
    pub lanes: Vec<LaneStep>,
    /// What to write.
    pub ops: Vec<LandingOp>,
    /// What becomes of dead letters, each key once.
    pub letters: Vec<LetterStep>,
    /// Whether `ops` must run exactly in their order (a group with constraints); else a sink may sort by row.
    pub ordered: bool,
}

/// How a landing moves one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneStep {
    /// The lane.
    pub lane: LaneId,
    /// The owner that this landing acts for.
    pub epoch: Epoch,
    /// Where the lane is.
    pub from: (Position, Anchor),
    /// Where this landing moves it.
    pub to: (Position, Anchor),
}

/// One thing that a landing writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LandingOp {
    /// A row's merged change; `lane` is the row's lane.
    Row {
        /// The lane of the row.
        lane: LaneId,
        /// The row.
        row: RowKey,
        /// What happens to it.
        change: Change,
    },
    /// All key-value keys are gone. It is alone in its landing.
    Clear,
    /// An event.
    Append {
        /// The table.
        table: Arc<str>,
        /// The columns that are given.
        columns: Vec<(Name, Value)>,
    },
}

/// What a landing does to one dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LetterStep {
    /// The letter is there, in place of any that has its key.
    Park(Letter),
    /// No letter has this key.
    Remove(LetterKey),
}

/// An operation that the database refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedOp {
    /// Its number in [`Landing::ops`].
    pub op: usize,
    /// Why.
    pub reason: Reason,
}

/// A row as the database has it, and how far its lane had landed in that snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The columns that are not NULL, sorted by name, or none for an absent row. Key-value keys use the parts
    /// that [`Name`] describes; a mapped row includes its key columns.
    pub row: Option<Vec<(Name, Value)>>,
    /// What the row is owed by its dead letter, if it has one: the view is the row with this applied.
    pub letter: Option<Change>,
    /// The lane's watermark in the same snapshot.
    pub watermark: Watermark,
    /// The row is a stream, and all its entries but the last may have been left out.
    pub only_head: bool,
}

impl Loaded {
    /// The same as [`Source::load_head`] may give it, for sources that hold all in memory.
    #[must_use]
    pub fn without_entries(mut self) -> Loaded {
        if let (Some(parts), None) = (&mut self.row, &self.letter) {
            let has_head = parts.iter().any(|(name, _)| name.as_bytes() == Name::STREAM);
            let entries = parts.iter().filter(|(name, _)| name.as_entry().is_some()).count();
            if has_head && entries > 1 {
                self.only_head = true;
                // By their ids, and before all other parts.
                parts.drain(..entries - 1);
            }
        }
        self
    }
}
