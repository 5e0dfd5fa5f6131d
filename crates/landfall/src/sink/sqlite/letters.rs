//! The table of dead letters: written in the landing transaction, read by keys and in pages.
//! Keys and changes are blobs, so that whatever the rows' own table refused fits here; no value is in a message.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::errors::classify;
use crate::error::SinkError;
use crate::model::{Change, LaneId, Letter, LetterKey, LoggedChange, Reason, RowKey};
use crate::sink::LetterStep;

const TABLE: &str = "landfall_dead_letter";

fn failed(error: rusqlite::Error) -> SinkError {
    classify(TABLE, &error)
}

/// Does what a landing does to one letter. A letter keeps its number as long as it is there; a number is used once.
pub(super) fn write(connection: &Connection, step: &LetterStep) -> Result<(), SinkError> {
    let letter = match step {
        LetterStep::Park(letter) => letter,
        LetterStep::Remove(key) => {
            return connection
                .prepare_cached("DELETE FROM landfall_dead_letter WHERE key = ?1")
                .and_then(|mut delete| delete.execute([key.as_bytes()]))
                .map(|_| ())
                .map_err(failed);
        }
    };
    connection
        .prepare_cached(
            "UPDATE landfall_letter_number \
             SET last = max(last, (SELECT coalesce(max(id), 0) FROM landfall_dead_letter)) + 1",
        )
        .and_then(|mut count| count.execute([]))
        .map_err(failed)?;
    connection
        .prepare_cached(
            "INSERT INTO landfall_dead_letter (id, key, change, display, table_name, lane, first_position, \
             last_position, class, reason, attempts, first_ms, last_ms) \
             VALUES ((SELECT last FROM landfall_letter_number), ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
             ON CONFLICT (key) DO UPDATE SET change = ?2, display = ?3, table_name = ?4, lane = ?5, \
             first_position = ?6, last_position = ?7, class = ?8, reason = ?9, attempts = ?10, first_ms = ?11, \
             last_ms = ?12",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                letter.key.as_bytes(),
                letter.encoded(),
                letter.display(),
                &*letter.reason.table,
                letter.lane.0,
                signed(letter.first),
                signed(letter.last),
                &*letter.reason.class,
                &*letter.reason.text,
                letter.attempts,
                signed(letter.first_ms),
                signed(letter.last_ms),
            ])
        })
        .map(|_| ())
        .map_err(failed)
}

/// What a row is owed by its letter.
pub(super) fn owed(connection: &Connection, row: &RowKey) -> Result<Option<Change>, SinkError> {
    let found = connection
        .prepare_cached("SELECT change FROM landfall_dead_letter WHERE key = ?1")
        .and_then(|mut select| select.query_row([row.as_bytes()], |row| row.get::<_, Vec<u8>>(0)).optional())
        .map_err(failed)?;
    let Some(bytes) = found else { return Ok(None) };
    match Letter::decoded(&bytes) {
        Ok(LoggedChange::Row { change, .. }) => Ok(Some(change)),
        _ => Err(changed_by_hand()),
    }
}

/// Letters with an id above `after`, by id.
pub(super) fn page(connection: &Connection, after: u64, most: usize) -> Result<Vec<Letter>, SinkError> {
    let mut select = connection
        .prepare_cached(
            "SELECT id, key, change, table_name, lane, first_position, last_position, class, reason, attempts, \
             first_ms, last_ms FROM landfall_dead_letter WHERE id > ?1 ORDER BY id LIMIT ?2",
        )
        .map_err(failed)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut rows = select.query(params![signed(after), most]).map_err(failed)?;
    let mut letters = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        letters.push(read(row).map_err(failed)?.ok_or_else(changed_by_hand)?);
    }
    Ok(letters)
}

/// Whether some key-value key has a letter.
pub(super) fn holds_keys(connection: &Connection) -> Result<bool, SinkError> {
    // The identity of a key-value key begins with 0, that of a row with 1.
    connection
        .prepare_cached("SELECT 1 FROM landfall_dead_letter WHERE key < x'01' LIMIT 1")
        .and_then(|mut select| select.exists([]))
        .map_err(failed)
}

/// Whether some row of a table has a letter, or some event.
pub(super) fn holds_rows(connection: &Connection) -> Result<bool, SinkError> {
    connection
        .prepare_cached("SELECT 1 FROM landfall_dead_letter WHERE key >= x'01' LIMIT 1")
        .and_then(|mut select| select.exists([]))
        .map_err(failed)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Option<Letter>> {
    let number = |at| row.get::<_, i64>(at).map(|n| n.max(0) as u64);
    let change: Vec<u8> = row.get(2)?;
    let Ok(change) = Letter::decoded(&change) else { return Ok(None) };
    Ok(Some(Letter {
        id: number(0)?,
        key: LetterKey::from_bytes(&row.get::<_, Vec<u8>>(1)?),
        change,
        reason: Reason {
            table: row.get::<_, String>(3)?.into(),
            class: row.get::<_, String>(7)?.into(),
            text: row.get::<_, String>(8)?.into(),
        },
        lane: LaneId(row.get(4)?),
        first: number(5)?,
        last: number(6)?,
        attempts: row.get(9)?,
        first_ms: number(10)?,
        last_ms: number(11)?,
    }))
}

fn changed_by_hand() -> SinkError {
    SinkError::Unusable(
        "a row of landfall_dead_letter was changed by hand and cannot be read; restore it, or delete it if what \
         it holds is not needed"
            .into(),
    )
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
