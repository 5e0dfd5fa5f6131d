//! The seam to logs: ordered, durable records in lanes, written by the engine and read by the lander.
//! A log knows nothing of rows, changes or databases: a record's body is bytes.
//!
//! # What every implementation owes
//!
//! - [`Log::append`] gives each lane of the record its next position, in one instant for all of them: records
//!   have one total order (their [`Address`]), and every lane's positions follow it. It does no I/O.
//! - [`Log::commit`] returns only when everything up to the address is written (or synced). Many callers may wait
//!   at once; one of them does the work for all. It takes the end to sync *before* it syncs.
//! - A failed write or sync poisons the log for good: that call and every later append and commit fails with
//!   [`LogError::Poisoned`]. A sync is never tried again. What was safe before stays safe and readable.
//! - When only the *room* for more records cannot be made (a full disk), nothing is poisoned: commit answers
//!   [`LogError::Io`], appends are refused with the same, and both work again once there is room.
//! - [`Log::records`] gives durable records only, in total order, and never skips one in silence.
//! - After a restart every durable record is there, and so is the position and anchor of every lane. Records that
//!   were not durable may be there or not, but what is there is a prefix of the total order, and a record of
//!   several lanes is there for all of them or for none.
//! - A record is kept until every one of its lanes has landed it ([`Log::landed`]), and then for the retention; a gap, until
//!   its lane has landed up to its end.
//! - A note ([`Log::set_note`]) is replaced as a whole or not at all, and is durable when the call returns.
//!
//! # What the owner of a log owes
//!
//! - One background thread that loops over [`Log::wait_upkeep`] and [`Log::upkeep`]. Without it the log is as
//!   safe, but slower (it makes room on the path of a write) and never gets smaller.
//! - After a restart nothing counts as landed: [`Log::landed`] has to be said again for every lane.
//!
//! # What a caller may assume
//!
//! - All calls are safe from any thread. Dropping a caller in the middle of a call leaves the log whole.
//! - Positions of a lane are dense from 1 but for the gaps that [`Log::gap`] makes.

use std::time::Duration;

use smallvec::SmallVec;

use crate::env::planted::{Bug, planted};
pub use crate::error::LogError;
use crate::model::{Anchor, LaneId, Lineage, Position};

pub mod local;
pub mod memory;

#[cfg(test)]
mod conformance;

/// A place in the total order of a log, in bytes from its first record. The end of one record is the start of the next.
pub type Address = u64;

/// The longest note.
pub const NOTE_BYTES_MAX: u64 = 16 << 20;

/// How safe a record has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// Handed to the operating system: survives the end of this process, not of the machine.
    Written,
    /// On the disk, as far as the disk tells the truth.
    Durable,
}

impl Safety {
    /// How safe a record has to be before it lands: what the disk may still lose must not be in the database.
    pub fn to_land() -> Safety {
        if planted(Bug::LandsUnsynced) { Safety::Written } else { Safety::Durable }
    }
}

/// What [`Log::append`] gave a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The address behind the record; commit up to it to make the record safe.
    pub end: Address,
    /// The record's place in each of its lanes, in the order asked.
    pub places: SmallVec<[Place; 1]>,
}

/// A record's place in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The lane.
    pub lane: LaneId,
    /// The record's position.
    pub position: Position,
    /// The lane's last cut ([`Log::cut`]) at that instant; always below `position`.
    pub cut: Position,
}

/// The end of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last position, or 0.
    pub position: Position,
    /// The chained hash there.
    pub anchor: Anchor,
}

/// Positions of a lane that have no record and never will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The lane's end before it.
    pub from: Head,
    /// The lane's end behind it.
    pub to: Head,
}

/// A record read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it starts.
    pub address: Address,
    /// When it was appended, Unix milliseconds. For people and metrics only; order comes from positions.
    pub time_ms: u64,
    /// Its lanes and its position in each.
    pub lanes: SmallVec<[(LaneId, Position); 1]>,
    /// Its content.
    pub body: Vec<u8>,
}

/// How much of the log has not landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owed {
    /// Records accepted and not landed (a record of several lanes counts once a lane).
    pub records: u64,
    /// Bytes of log that must be kept for them.
    pub bytes: u64,
    /// When the oldest of them was appended, Unix milliseconds; 0 when nothing is owed.
    pub oldest_ms: u64,
}

/// What a log holds of the system's means, for status and alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Segments, each an open file.
    pub segments: u64,
    /// Files prepared for next segments, each open too.
    pub spares: u64,
    /// Segments that have landed and are kept for a database that goes back.
    pub landed_segments: u64,
    /// Bytes of the file with what only groups that do not land need of segments that are gone.
    pub spilled_bytes: u64,
    /// Bytes of all these files.
    pub disk_bytes: u64,
    /// Memory of the index of records.
    pub index_bytes: u64,
    /// Memory of records that are not written yet.
    pub unwritten_bytes: u64,
    /// How long the longest sync took, in milliseconds.
    pub sync_ms_max: u64,
}

/// What a lane is called. The name is stable over restarts; the number is never reused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LaneName {
    /// The landing group.
    pub group: String,
    /// The lane's index in the group.
    pub index: u32,
}

/// A durable sequence of records in lanes.
pub trait Log: Send + Sync {
    /// The identity of this incarnation.
    fn lineage(&self) -> Lineage;

    /// How often this incarnation was opened, this time included. A restored copy has a number that is too small.
    fn boot(&self) -> u64;

    /// All lanes that were ever added, with their numbers.
    fn lanes(&self) -> Vec<(LaneName, LaneId)>;

    /// The numbers of these lanes; unknown ones are added, durably, before this returns.
    ///
    /// # Errors
    /// [`LogError`] when the lane map cannot be made durable.
    fn add_lanes(&self, names: &[LaneName]) -> Result<Vec<LaneId>, LogError>;

    /// Appends one record to these lanes (distinct, 1 to 255). Cheap: no I/O.
    ///
    /// # Errors
    /// [`LogError::Full`], [`LogError::TooLarge`] or [`LogError::Io`]: nothing was appended.
    /// [`LogError::Poisoned`] or [`LogError::Closed`]: nothing was appended and nothing ever will be.
    ///
    /// # Panics
    /// When a lane was never added, or there are none or more than 255.
    fn append(&self, lanes: &[LaneId], body: &[u8]) -> Result<Appended, LogError>;

    /// Makes everything up to `end` as safe as asked.
    ///
    /// # Errors
    /// [`LogError::Poisoned`]: the outcome of what was not yet safe is unknown. [`LogError::Io`]: there is no room
    /// for it; it is kept in memory, in its order, and a later call may make it safe.
    fn commit(&self, end: Address, safety: Safety) -> Result<(), LogError>;

    /// The address behind the last appended record.
    fn accepted(&self) -> Address;

    /// The address up to which everything is as safe as asked.
    fn safe(&self, safety: Safety) -> Address;

    /// Whether the log has room on its disk for what was appended. While it has none, appends are refused.
    fn has_room(&self) -> bool {
        true
    }

    /// The last position of a lane that is as safe as asked, or one below it. Not for the path of a write.
    fn safe_position(&self, lane: LaneId, safety: Safety) -> Position {
        if self.safe(safety) >= self.accepted() { self.head(lane).position } else { 0 }
    }

    /// What the log holds of the system's means.
    fn usage(&self) -> Usage {
        Usage::default()
    }

    /// The reason, once the log is poisoned.
    fn poisoned(&self) -> Option<LogError>;

    /// The end of a lane: the last appended position.
    fn head(&self, lane: LaneId) -> Head;

    /// The position behind which every record of a lane is kept, and the anchor there.
    fn oldest(&self, lane: LaneId) -> Head;

    /// Cuts these lanes here, in one instant: returns the address behind the last record and each lane's last
    /// position. Every record appended later has a higher position and a higher address.
    fn cut(&self, lanes: &[LaneId]) -> (Address, Vec<Position>);

    /// The records of these lanes behind the given positions, in total order, up to the address `upto`. What is not
    /// durable yet is not given. A record of several lanes comes once.
    ///
    /// # Errors
    /// [`LogError::Trimmed`] when the first of them is no longer kept; [`LogError::Damaged`] when what is on disk
    /// is not what was written.
    fn records(&self, after: &[(LaneId, Position)], upto: Address)
    -> Result<Box<dyn Records + '_>, LogError>;

    /// The chained hash of a lane at a position that is still kept, or none. Below the lane's end it may be none for what is not
    /// written yet, which nobody can have landed.
    ///
    /// # Errors
    /// [`LogError`] when the disk cannot be read.
    fn anchor_at(&self, lane: LaneId, position: Position) -> Result<Option<Anchor>, LogError>;

    /// Moves the ends of these lanes (distinct) up, past positions that no record of this log will ever have: a durable gap
    /// in each. The end that a lane has already is fine and does nothing.
    ///
    /// # Errors
    /// [`LogError`] when the gaps cannot be made durable, or when one would move an end down; then there is none.
    fn gap(&self, ends: &[(LaneId, Head)]) -> Result<(), LogError>;

    /// The gap that begins at this position of a lane or reaches over it: the next record, if there is one, comes behind
    /// it. None when the next record follows at once, when nothing follows, and at the end of a gap.
    fn gap_over(&self, lane: LaneId, position: Position) -> Option<Gap>;

    /// Says that a lane has landed up to `position`, so that older segments may be let go. It never goes
    /// back except by [`Log::rewind`]. Cheap: no I/O, [`Log::upkeep`] does the work.
    fn landed(&self, lane: LaneId, position: Position);

    /// Takes a lane's landed position back to where the database now is, for landing again.
    ///
    /// # Errors
    /// [`LogError::Trimmed`] when the records behind `position` are no longer kept.
    fn rewind(&self, lane: LaneId, position: Position) -> Result<(), LogError>;

    /// What has not landed.
    fn owed(&self) -> Owed;

    /// What has not landed of one lane; what is kept for it is kept from its oldest record on.
    fn owed_by(&self, lane: LaneId) -> Owed;

    /// [`Owed::records`] alone, without any lock: cheap enough to ask before every write.
    fn owed_records(&self) -> u64;

    /// The content last kept under a name, or none.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when it is not what was written; [`LogError::Io`] when it cannot be read.
    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, LogError>;

    /// Keeps a little content (at most [`NOTE_BYTES_MAX`]) under a name of `a-z`, `0-9`, `-` and `_`, durably, in
    /// the place of what was there. Not for the path of a write: it syncs a file of its own.
    ///
    /// # Errors
    /// [`LogError`] when it cannot be kept; what was there before is still there.
    fn set_note(&self, name: &str, content: &[u8]) -> Result<(), LogError>;

    /// Does the work that is due beside the path of a write: prepares room, lets go of what nobody needs, marks
    /// what is durable.
    ///
    /// # Errors
    /// [`LogError`]: something could not be done. No record is lost by it, and the next call tries again.
    fn upkeep(&self) -> Result<(), LogError>;

    /// Waits until there is work for [`Log::upkeep`], or for this long.
    fn wait_upkeep(&self, timeout: Duration);

    /// Writes and syncs everything, and marks the end. Later appends fail.
    ///
    /// # Errors
    /// [`LogError::Poisoned`] when that fails.
    fn close(&self) -> Result<(), LogError>;
}

/// Records in total order.
pub trait Records {
    /// The next record, or none behind the last.
    ///
    /// # Errors
    /// [`LogError`] when the disk cannot be read or holds something else than was written.
    fn next(&mut self) -> Result<Option<Record>, LogError>;
}
