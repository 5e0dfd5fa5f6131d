//! The table of dead letters: written in the landing transaction, read by keys and in pages.
//! Keys and changes are bytes, so that whatever the rows' own table refused fits here; no value is in a message.

use super::errors::plain;
use super::text;
use super::wire::{Answer, Cell, Step, Wire};
use crate::error::SinkError;
use crate::model::{Change, LaneId, Letter, LetterKey, LoggedChange, Reason, RowKey};
use crate::sink::LetterStep;

pub(super) const TABLE: &str = "landfall_dead_letter";

fn run(wire: &mut Wire, steps: &[Step]) -> Result<Answer, SinkError> {
    let answers = wire.run(steps).map_err(|failure| plain(TABLE, failure))?;
    Ok(answers.into_iter().last().unwrap_or_default())
}

/// What a landing does to one letter. A letter keeps its number as long as it is there; a number is used once.
pub(super) fn written(step: &LetterStep) -> Vec<Step> {
    let letter = match step {
        LetterStep::Park(letter) => letter,
        LetterStep::Remove(key) => {
            let sql = "DELETE FROM landfall.landfall_dead_letter WHERE landfall.indexed(key) = landfall.indexed($1::bytea)";
            return vec![Step::new(sql, vec![Some(text::hex(key.as_bytes()))])];
        }
    };
    let count = "UPDATE landfall.landfall_letter_number \
         SET last = greatest(last, (SELECT coalesce(max(id), 0) FROM landfall.landfall_dead_letter)) + 1";
    let sql = "INSERT INTO landfall.landfall_dead_letter (id, key, change, display, table_name, lane, first_position, \
         last_position, class, reason, attempts, first_ms, last_ms) \
         VALUES ((SELECT last FROM landfall.landfall_letter_number), $1::bytea, $2::bytea, $3::text, $4::text, $5::bigint, \
         $6::bigint, $7::bigint, $8::text, $9::text, $10::bigint, $11::bigint, $12::bigint) \
         ON CONFLICT (landfall.indexed(key)) DO UPDATE SET change = excluded.change, display = excluded.display, \
         table_name = excluded.table_name, lane = excluded.lane, first_position = excluded.first_position, \
         last_position = excluded.last_position, class = excluded.class, reason = excluded.reason, \
         attempts = excluded.attempts, first_ms = excluded.first_ms, last_ms = excluded.last_ms";
    let bound = vec![
        Some(text::hex(letter.key.as_bytes())),
        Some(text::hex(&letter.encoded())),
        words(&letter.display()),
        words(&letter.reason.table),
        text::number(letter.lane.0.into()),
        text::number(signed(letter.first)),
        text::number(signed(letter.last)),
        words(&letter.reason.class),
        words(&letter.reason.text),
        text::number(letter.attempts.into()),
        text::number(signed(letter.first_ms)),
        text::number(signed(letter.last_ms)),
    ];
    vec![Step::bare(count), Step::new(sql, bound)]
}

/// A text for people; PostgreSQL has none with a zero byte.
fn words(text: &str) -> Cell {
    Some(text.replace('\0', "\u{fffd}").into_bytes())
}

/// What asks for the letter of a row; [`owed`] understands the answer.
pub(super) fn asked(row: &RowKey) -> Step {
    let sql = "SELECT change FROM landfall.landfall_dead_letter WHERE landfall.indexed(key) = landfall.indexed($1::bytea)";
    Step::new(sql, vec![Some(text::hex(row.as_bytes()))])
}

/// What a row is owed by its letter.
pub(super) fn owed(answer: &Answer) -> Result<Option<Change>, SinkError> {
    let Some(row) = answer.rows.first() else { return Ok(None) };
    let bytes = text::bytes(row.first()).ok_or_else(changed_by_hand)?;
    match Letter::decoded(&bytes) {
        Ok(LoggedChange::Row { change, .. }) => Ok(Some(change)),
        _ => Err(changed_by_hand()),
    }
}

/// Letters with an id above `after`, by id.
pub(super) fn page(wire: &mut Wire, after: u64, most: usize) -> Result<Vec<Letter>, SinkError> {
    let sql = "SELECT id, key, change, table_name, lane, first_position, last_position, class, reason, attempts, \
         first_ms, last_ms FROM landfall.landfall_dead_letter WHERE id > $1::bigint ORDER BY id LIMIT $2::bigint";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let answer = run(wire, &[Step::new(sql, vec![text::number(signed(after)), text::number(most)])])?;
    answer.rows.iter().map(|row| read(row).ok_or_else(changed_by_hand)).collect()
}

/// What asks whether some key-value key has a letter; the answer then has a row.
pub(super) fn asked_for_keys() -> Step {
    // The identity of a key-value key begins with 0, that of a row with 1.
    Step::bare("SELECT 1 FROM landfall.landfall_dead_letter WHERE landfall.indexed(key) < '\\x01' LIMIT 1")
}

fn read(row: &[Cell]) -> Option<Letter> {
    let number = |at: usize| text::whole(row.get(at)).map(|n| n.max(0) as u64);
    let words = |at: usize| text::string(row.get(at));
    Some(Letter {
        id: number(0)?,
        key: LetterKey::from_bytes(&text::bytes(row.get(1))?),
        change: Letter::decoded(&text::bytes(row.get(2))?).ok()?,
        reason: Reason { table: words(3)?.into(), class: words(7)?.into(), text: words(8)?.into() },
        lane: LaneId(u32::try_from(number(4)?).ok()?),
        first: number(5)?,
        last: number(6)?,
        attempts: u32::try_from(number(9)?).ok()?,
        first_ms: number(10)?,
        last_ms: number(11)?,
    })
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
