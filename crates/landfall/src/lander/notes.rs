//! What a lander keeps beside the log: how far each lane has landed, which starts there were, and which database the log
//! belongs to (docs/format.md, "META and notes"). A note only ever tells what was true; nothing is landed because of one.

use std::collections::BTreeSet;

use super::LaneNote;
use crate::buffer::log::{Log, LogError, NOTE_BYTES_MAX};
use crate::env::Env;
use crate::env::planted::{Bug, planted};
use crate::error::SinkError;
use crate::model::{Catalogue, LaneId, Owner, Position, Start, catalogue_note};
use crate::sink::Database;

/// Which lanes have a row in the database, and how far each is known to have landed.
const LANDED: &str = "landed";
/// The starts that tried to take the lanes over, oldest first.
const STARTS: &str = "starts";
/// The identity of the database, and how it was described.
pub const DATABASE: &str = "database";

/// How many starts are remembered. A database that comes back from further in the past is judged by its history alone.
const STARTS_MAX: usize = 1024;

/// How far each lane that has a row in the database is known to have landed.
///
/// # Errors
/// [`LogError`] when the note cannot be read.
pub fn read_landed(log: &dyn Log) -> Result<Vec<LaneNote>, LogError> {
    let note = log.note(LANDED)?.unwrap_or_default();
    // Twelve bytes a lane: its number and a position, little-endian.
    let notes = note.chunks_exact(12).map(|entry| {
        let (mut lane, mut landed) = ([0; 4], [0; 8]);
        lane.copy_from_slice(&entry[..4]);
        landed.copy_from_slice(&entry[4..]);
        LaneNote { lane: LaneId(u32::from_le_bytes(lane)), landed: u64::from_le_bytes(landed) }
    });
    Ok(notes.collect())
}

/// Keeps how far each lane of the log has landed, so that a database that went back is recognised at the next start. What
/// an adoption noted of lanes that the log has not got stays: it begins behind that when it gets them.
///
/// # Errors
/// [`LogError`] when the note cannot be kept; the one before is still there.
pub fn keep_landed(log: &dyn Log, landed: &[(LaneId, Position)]) -> Result<(), LogError> {
    let ours: BTreeSet<LaneId> = log.lanes().into_iter().map(|(_, lane)| lane).collect();
    let noted = read_landed(log)?.into_iter().filter(|note| !ours.contains(&note.lane));
    let all: Vec<_> = landed.iter().copied().chain(noted.map(|note| (note.lane, note.landed))).collect();
    write_landed(log, &all)
}

/// Notes how far these lanes have landed, and no others.
///
/// # Errors
/// [`LogError`] when the note cannot be kept; the one before is still there.
pub fn write_landed(log: &dyn Log, landed: &[(LaneId, Position)]) -> Result<(), LogError> {
    let mut note = Vec::with_capacity(landed.len() * 12);
    for (lane, position) in landed {
        note.extend_from_slice(&lane.0.to_le_bytes());
        note.extend_from_slice(&position.to_le_bytes());
    }
    log.set_note(LANDED, &note)
}

/// Begins a start: it is remembered durably before it touches the database, or it could not follow itself.
///
/// # Errors
/// [`LogError`] when the note cannot be read or kept.
pub fn begin_start(log: &dyn Log, env: &Env) -> Result<Owner, LogError> {
    let note = log.note(STARTS)?.unwrap_or_default();
    let mut earlier: Vec<Start> = note.chunks_exact(24).map(start_of).collect();
    let start = Start { boot: log.boot(), run: env.random_128() };
    earlier.drain(..earlier.len().saturating_sub(STARTS_MAX - 1));
    let mut note = Vec::with_capacity((earlier.len() + 1) * 24);
    for start in earlier.iter().chain([&start]) {
        note.extend_from_slice(&start.boot.to_le_bytes());
        note.extend_from_slice(&start.run);
    }
    if !planted(Bug::StartNotNoted) {
        log.set_note(STARTS, &note)?;
    }
    Ok(Owner { lineage: log.lineage(), start, earlier })
}

fn start_of(entry: &[u8]) -> Start {
    let (mut boot, mut run) = ([0; 8], [0; 16]);
    boot.copy_from_slice(&entry[..8]);
    run.copy_from_slice(&entry[8..]);
    Start { boot: u64::from_le_bytes(boot), run }
}

/// Whether a database was noted.
///
/// # Errors
/// [`LogError`] when the note cannot be read.
pub fn has_database(log: &dyn Log) -> Result<bool, LogError> {
    Ok(log.note(DATABASE)?.is_some_and(|note| note.len() >= 16))
}

/// How the database was described that the note [`DATABASE`] tells of, as in `sqlite:app.db`.
pub fn described(note: &[u8]) -> Option<String> {
    let (_, described) = note.split_at_checked(16)?;
    Some(String::from_utf8_lossy(described).into_owned())
}

/// The refusal when the database that was named is not there, and this log belongs to one that is described otherwise.
///
/// # Errors
/// [`LogError`] when the note cannot be read.
pub fn missing_database(log: &dyn Log, named: &str) -> Result<Option<SinkError>, LogError> {
    let noted = log.note(DATABASE)?.as_deref().and_then(described).filter(|noted| noted != named);
    Ok(noted.map(|noted| SinkError::WrongDatabase { noted, found: format!("{named} is not there") }))
}

/// Keeps which database this log belongs to.
///
/// # Errors
/// [`OpenError`](super::OpenError) when the database cannot be asked, or the note not be kept.
pub fn write_database(log: &dyn Log, database: &dyn Database) -> Result<(), super::OpenError> {
    let Some(identity) = database.identity()? else { return Ok(()) };
    let mut note = identity.to_vec();
    note.extend_from_slice(database.describe().as_bytes());
    if log.note(DATABASE)?.as_ref() != Some(&note) {
        log.set_note(DATABASE, &note)?;
    }
    Ok(())
}

/// Keeps how the database of this log describes its tables, for a start while it is away.
///
/// # Errors
/// [`LogError`] when the note cannot be read or kept.
pub fn write_catalogue(log: &dyn Log, catalogue: &Catalogue) -> Result<(), LogError> {
    let mut note = catalogue_note::written(catalogue);
    if note.len() as u64 > NOTE_BYTES_MAX {
        // So many tables are not known to a start without the database, and an older note must not pass for them.
        note.clear();
    }
    if log.note(catalogue_note::NOTE)?.as_ref() == Some(&note) {
        return Ok(());
    }
    log.set_note(catalogue_note::NOTE, &note)
}

/// The tables as the database of this log described them last; none when that is not known.
///
/// # Errors
/// [`LogError`] when the note cannot be read.
pub fn read_catalogue(log: &dyn Log) -> Result<Option<Catalogue>, LogError> {
    Ok(log.note(catalogue_note::NOTE)?.and_then(|note| catalogue_note::read(&note)))
}

/// Whether the log belongs to another database than this one.
///
/// # Errors
/// [`OpenError`](super::OpenError) when the database cannot be asked.
pub fn is_other_database(log: &dyn Log, database: &dyn Database) -> Result<bool, super::OpenError> {
    match check_database(log, database) {
        Ok(()) => Ok(false),
        Err(super::OpenError::Sink(SinkError::WrongDatabase { .. })) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Refuses a database that is not the one that this log belongs to. A log that has not landed yet belongs to none.
pub(super) fn check_database(log: &dyn Log, database: &dyn Database) -> Result<(), super::OpenError> {
    let Some(note) = log.note(DATABASE)? else { return Ok(()) };
    let Some((noted, belongs)) = note.get(..16).zip(described(&note)) else { return Ok(()) };
    let found = match database.identity()? {
        Some(identity) if identity == noted => return Ok(()),
        Some(_) => format!("{} is another one", database.describe()),
        None => format!(
            "{} has none of Landfall's tables: it is new, was emptied, or was put in the place of the right one",
            database.describe()
        ),
    };
    Err(SinkError::WrongDatabase { noted: belongs, found }.into())
}
