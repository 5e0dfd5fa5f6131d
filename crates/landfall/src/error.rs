//! The errors of the library: whose fault, whether trying again helps, what to do.
//! Messages never carry a value, a key's content from the database path, or a password.

use std::path::{Path, PathBuf};

use crate::model::{LaneId, Lineage, Position};

/// Why the log refused or failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// A write or sync failed: what it covered is unknown, and nothing more is acknowledged by this process.
    #[error(
        "the log is poisoned: {reason}. Writes that were not acknowledged have an unknown outcome; fix the disk and restart"
    )]
    Poisoned {
        /// What failed, first.
        reason: String,
    },
    /// The log was closed by its owner.
    #[error("the log is closed")]
    Closed,
    /// A bound of the log would be exceeded.
    #[error("the log is at its bound of {bytes_max} bytes")]
    Full {
        /// The bound.
        bytes_max: u64,
    },
    /// A record is larger than a segment may be.
    #[error("a record of {bytes} bytes is larger than the limit of {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// Acknowledged bytes of the log are damaged.
    #[error(
        "the log is damaged: {file} at offset {offset}: {what}. Nothing was changed. Restore the file, or see what is lost with `landfall log check {dir}` and what `landfall log repair {dir}` would do", dir = data_dir_of(file).display()
    )]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where in the segment.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The directory belongs to another process.
    #[error("{dir} is in use by another Landfall process{owner}")]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// Who holds it, when known: ` (pid 12)`.
        owner: String,
    },
    /// A file of a newer or foreign format.
    #[error(
        "{file} was written in a format that this version cannot read ({what}); use the version that wrote it"
    )]
    Format {
        /// The file.
        file: PathBuf,
        /// What was found.
        what: String,
    },
    /// An operation of the file system failed while nothing was at stake.
    #[error("{what}: {reason}")]
    Io {
        /// What was tried, with the path.
        what: String,
        /// The system's words.
        reason: String,
    },
    /// A record that the lander asks for is no longer kept.
    #[error("lane {lane} position {position} is no longer in the log")]
    Trimmed {
        /// The lane.
        lane: LaneId,
        /// The position.
        position: Position,
    },
}

/// The data directory that a file of a log is in.
fn data_dir_of(file: &Path) -> &Path {
    let folder = file.parent().unwrap_or(file);
    let inner = folder.file_name().is_some_and(|name| name == "log" || name == "notes");
    if inner { folder.parent().unwrap_or(folder) } else { folder }
}

/// Why a database did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SinkError {
    /// The database cannot be used now; trying again helps.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Another process or transaction is in the way; trying again helps.
    #[error("the database is busy: {0}")]
    Busy(String),
    /// The lane's row in the database is not what this owner left there.
    #[error("lane {lane} was taken over or moved by somebody else")]
    Fenced {
        /// The lane.
        lane: LaneId,
    },
    /// The lane's row belongs to another log.
    #[error(
        "lane {lane} of this database belongs to log {found}, and this log is {ours}. Two logs must not land into one database: use the data directory that this database knows, or another database; if that data directory is lost, run `landfall adopt`"
    )]
    ForeignLineage {
        /// The lane.
        lane: LaneId,
        /// Whose it is.
        found: Lineage,
        /// Who asked.
        ours: Lineage,
    },
    /// The lane was taken over by a start that this data directory does not know.
    #[error(
        "lane {lane} was taken over by start {found} of this log, and this data directory (at start {ours}) knows nothing of it: it is a copy, or was restored from one, and another copy has run since. Nothing was written. Use the data directory that ran last; if it is lost, run `landfall adopt`"
    )]
    OtherStart {
        /// The lane.
        lane: LaneId,
        /// The number of the other start.
        found: u64,
        /// The number of ours.
        ours: u64,
    },
    /// The database is not the one that this log belongs to.
    #[error(
        "this log belongs to the database {noted}, and {found}. Nothing was written. Name the right database with --database, put it back, or give this one a data directory of its own with --data-dir; if the right one is lost, run `landfall adopt`"
    )]
    WrongDatabase {
        /// Which database the log belongs to.
        noted: String,
        /// What was found, in words.
        found: String,
    },
    /// The lane's row is missing although it was created before.
    #[error(
        "lane {lane} has no row in `landfall_lane` although this log has landed there before: a wrong, emptied or restored database? Nothing was written. Point --database at the database this log belongs to, or give this database a data directory of its own with --data-dir; if the right one is lost, run `landfall adopt`"
    )]
    LaneMissing {
        /// The lane.
        lane: LaneId,
    },
    /// The outcome of a commit is not known; a take-over tells it.
    #[error("the outcome of a commit is unknown: {0}")]
    Unknown(String),
    /// The database refuses a row or statement, and would refuse it again.
    #[error("table {table} refused a row: {reason}")]
    Refused {
        /// The table.
        table: String,
        /// The database's words, without values.
        reason: String,
    },
    /// The database, or its file, cannot be used as it is; a person has to act.
    #[error("{0}")]
    Unusable(String),
}

impl SinkError {
    /// Whether the same request may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, SinkError::Unavailable(_) | SinkError::Busy(_) | SinkError::Unknown(_))
    }
}
