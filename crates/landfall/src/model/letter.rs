//! Dead letters: what a row or event owes the database after the database refused it, and what may be asked of it.
//! Pure. A letter never loses a part of the change that it holds; only its display text is cut.

use std::fmt::Write;
use std::sync::Arc;

use super::change::{Change, LoggedChange, Op};
use super::codec::{BodyWriter, CodecError, decode_body};
use super::lane::{Anchor, LaneId, Position};
use super::name::Name;
use super::row::{RowKey, RowName};
use super::types;
use super::value::Value;

/// The first byte of an event's key; those of rows begin with 0 and 1.
const EVENT: u8 = 2;
/// The most bytes of [`Letter::display`]. 1 KiB: a line or two on a screen.
pub const DISPLAY_BYTES_MAX: usize = 1024;
/// The most bytes of one value in it.
const DISPLAY_VALUE_BYTES_MAX: usize = 80;

/// What a letter is found by: a row has one letter at most, an event one of its own.
///
/// ```
/// use landfall::model::{Anchor, LaneId, RowKey, Value, letter::LetterKey};
/// let seat = RowKey::of_table("seat", &[Value::Int(12)]);
/// assert_eq!(LetterKey::of_row(&seat).row(), Some(seat));
/// assert_eq!(LetterKey::of_event(LaneId(3), (17, Anchor::START), 0).row(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LetterKey(Arc<[u8]>);

impl LetterKey {
    /// The key of a row's letter: the row's identity.
    pub fn of_row(row: &RowKey) -> LetterKey {
        LetterKey(row.as_bytes().into())
    }

    /// The key of an event's letter: its place in the log with the anchor there, and its number in the record.
    ///
    /// The anchor is in it because a place alone is not unique: behind a log that was lost, or two copies of one, the
    /// same position is used again for another event, whose letter must not take the place of this one.
    pub fn of_event(lane: LaneId, (position, anchor): (Position, Anchor), number: u32) -> LetterKey {
        let mut bytes = Vec::with_capacity(33);
        bytes.push(EVENT);
        bytes.extend_from_slice(&lane.0.to_be_bytes());
        bytes.extend_from_slice(&position.to_be_bytes());
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&anchor.0);
        LetterKey(bytes.into())
    }

    /// A key from the bytes that a record or a table has.
    pub fn from_bytes(bytes: &[u8]) -> LetterKey {
        LetterKey(bytes.into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The row, or none for an event.
    pub fn row(&self) -> Option<RowKey> {
        (self.0.first() != Some(&EVENT)).then(|| RowKey::from_bytes(&self.0))
    }
}

/// A change that the database refused, kept in the database beside the rows.
/// [`Landfall::dead_letters`](crate::Landfall::dead_letters) has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The number that the database gave it; 0 before it has one.
    pub id: u64,
    /// What it is found by.
    pub key: LetterKey,
    /// The lane of its last change.
    pub lane: LaneId,
    /// The position of its first change.
    pub first: Position,
    /// The position of its last change.
    pub last: Position,
    /// All that the row is owed, merged; or the event.
    pub change: LoggedChange,
    /// Why it was refused, the last time.
    pub reason: Reason,
    /// How often it was refused.
    pub attempts: u32,
    /// When it was refused for the first time, Unix milliseconds.
    pub first_ms: u64,
    /// When it was refused the last time.
    pub last_ms: u64,
}

/// Why a database refuses a row. It never holds a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reason {
    /// The table.
    pub table: Arc<str>,
    /// What kind of refusal it is, in one word: a constraint, a type, an error code of the database.
    pub class: Arc<str>,
    /// The database's words.
    pub text: Arc<str>,
}

impl Reason {
    /// The class of a row whose table is not in the catalogue.
    pub const NO_TABLE: &'static str = "no-such-table";
}

/// What a person asks of a letter. The log carries it, so that it has its place among the changes of the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Try it again.
    Retry,
    /// Give it up.
    Drop,
    /// An event: try it again with these columns changed.
    Edit(Vec<(Name, Value)>),
}

impl Letter {
    /// The change as bytes: a record's body with one change (docs/format.md).
    pub fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = BodyWriter::new(&mut out, 1);
        match &self.change {
            LoggedChange::Row { row, change } => writer.row(0, row.as_bytes(), change),
            LoggedChange::Append { table, columns } => writer.append(0, table, columns),
            LoggedChange::Letter { key, intent } => writer.letter(0, key, intent),
            LoggedChange::Clear => writer.clear(0),
        }
        out
    }

    /// The change from its bytes.
    ///
    /// # Errors
    /// [`CodecError`] when they are not one change of a row or an event.
    pub fn decoded(bytes: &[u8]) -> Result<LoggedChange, CodecError> {
        let mut changes = decode_body(bytes)?;
        match (changes.pop(), changes.is_empty()) {
            (Some((_, LoggedChange::Letter { .. } | LoggedChange::Clear)), _) | (None, _) | (_, false) => {
                Err(CodecError::Malformed("a dead letter holds one change"))
            }
            (Some((_, change)), true) => Ok(change),
        }
    }

    /// What the letter counts for, in bytes: what its table keeps of it, about.
    pub fn bytes(&self) -> u64 {
        let change = match &self.change {
            LoggedChange::Row { change, .. } => change.memory_bytes(),
            LoggedChange::Append { columns, .. } => columns
                .iter()
                .fold(32, |sum, (name, value)| sum + name.as_bytes().len() + 24 + value.memory_bytes()),
            LoggedChange::Letter { .. } | LoggedChange::Clear => 0,
        };
        (change + 2 * self.key.as_bytes().len() + 256) as u64
    }

    /// The table that it belongs to; `landfall_key` for key-value keys. What refused it may be another one.
    pub fn table(&self) -> Arc<str> {
        match &self.change {
            LoggedChange::Append { table, .. } => table.clone(),
            LoggedChange::Row { row, .. } => match row.decode() {
                Ok(RowName::Table { table, .. }) => table.into(),
                _ => "landfall_key".into(),
            },
            LoggedChange::Letter { .. } | LoggedChange::Clear => "".into(),
        }
    }

    /// The change of a row, or none for an event.
    pub fn row_change(&self) -> Option<(&RowKey, &Change)> {
        match &self.change {
            LoggedChange::Row { row, change } => Some((row, change)),
            _ => None,
        }
    }

    /// The subject and its change for people, bounded and cut: `seat:12 no = '7A', price + 3`.
    pub fn display(&self) -> String {
        let mut text = String::new();
        match &self.change {
            LoggedChange::Row { row, change } => {
                subject(&mut text, row);
                describe(&mut text, change);
            }
            LoggedChange::Append { table, columns } => {
                let _ = write!(text, "event of {table}");
                for (at, (name, value)) in columns.iter().enumerate() {
                    if !column(&mut text, at, &name.to_text(), '=', value) {
                        break;
                    }
                }
            }
            LoggedChange::Letter { .. } | LoggedChange::Clear => {}
        }
        cut(&mut text, DISPLAY_BYTES_MAX);
        text
    }
}

/// A row's identity as a client writes it, cut where it is long.
pub fn subject(out: &mut String, row: &RowKey) {
    match row.decode() {
        Ok(RowName::Key(key)) => out.push_str(&shown(key)),
        Ok(RowName::Table { table, key }) => {
            out.push_str(table);
            for value in &key {
                out.push(':');
                let mut bytes = Vec::new();
                types::render(value, &mut bytes);
                out.push_str(&shown(&bytes));
            }
        }
        Err(_) => out.push('?'),
    }
}

fn describe(out: &mut String, change: &Change) {
    let Change::Upsert(upsert) = change else {
        out.push_str(" deleted");
        return;
    };
    if upsert.replace {
        out.push_str(" becomes");
    }
    for (at, (name, op)) in upsert.columns.iter().enumerate() {
        let (sign, value) = match op {
            Op::Assign(value) => ('=', value),
            Op::Add(value) => ('+', value),
        };
        let name = match name.as_bytes() {
            Name::STRING => "value".into(),
            Name::EXPIRES => "expires".into(),
            Name::STREAM => "stream".into(),
            _ => match (name.as_field(), name.as_entry()) {
                (Some(field), _) => String::from_utf8_lossy(field),
                (None, Some(id)) => format!("entry {id}").into(),
                (None, None) => name.to_text(),
            },
        };
        if !column(out, at, &name, sign, value) {
            return;
        }
    }
}

/// Appends one column; whether there is room for more.
fn column(out: &mut String, at: usize, name: &str, sign: char, value: &Value) -> bool {
    out.push_str(if at == 0 { " " } else { ", " });
    out.push_str(&shown(name.as_bytes()));
    out.push(' ');
    out.push(sign);
    out.push(' ');
    match value {
        Value::Null => out.push_str("NULL"),
        // Only the beginning is rendered: a value may be as large as a record.
        Value::Text(text) => out.push_str(&quoted(text.as_bytes())),
        Value::Bytes(bytes) => out.push_str(&quoted(bytes)),
        value => {
            let mut bytes = Vec::new();
            types::render(value, &mut bytes);
            out.push_str(&shown(&bytes));
        }
    }
    out.len() < DISPLAY_BYTES_MAX
}

fn quoted(bytes: &[u8]) -> String {
    format!("'{}'", shown(bytes))
}

/// Printable, and never longer than a value may be.
fn shown(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(DISPLAY_VALUE_BYTES_MAX)];
    let mut text: String = String::from_utf8_lossy(head)
        .chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if bytes.len() > head.len() {
        let _ = write!(text, ".. ({} bytes)", bytes.len());
    }
    text
}

fn cut(text: &mut String, bytes_max: usize) {
    if text.len() <= bytes_max {
        return;
    }
    let mut end = bytes_max - 2;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push_str("..");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(change: LoggedChange) -> Letter {
        let reason = Reason { table: "seat".into(), class: "unique".into(), text: "taken".into() };
        let key = LetterKey::of_event(LaneId(1), (2, Anchor::START), 0);
        let (lane, first, last) = (LaneId(1), 2, 2);
        Letter { id: 0, key, lane, first, last, change, reason, attempts: 1, first_ms: 0, last_ms: 0 }
    }

    #[test]
    fn a_letter_comes_back_from_its_bytes() {
        let row = RowKey::of_table("seat", &[Value::Int(12)]);
        for change in [
            LoggedChange::Row { row: row.clone(), change: Change::Delete },
            LoggedChange::Row { row, change: Change::add(Name::column("price"), Value::Int(3)) },
            LoggedChange::Append { table: "click".into(), columns: vec![(Name::column("a"), Value::Null)] },
        ] {
            assert_eq!(Letter::decoded(&letter(change.clone()).encoded()), Ok(change));
        }
        let intent = LoggedChange::Letter { key: LetterKey::from_bytes(b"\0k"), intent: Intent::Retry };
        assert!(Letter::decoded(&letter(intent).encoded()).is_err());
        assert!(Letter::decoded(b"").is_err());
    }

    #[test]
    fn what_people_see_is_bounded_and_printable() {
        let row = RowKey::of_table("seat", &[Value::Int(12)]);
        let change = Change::upsert(
            false,
            [
                (Name::column("no"), Op::Assign(Value::from("7A"))),
                (Name::column("price"), Op::Add(Value::Int(3))),
            ],
        );
        assert_eq!(letter(LoggedChange::Row { row, change }).display(), "seat:12 no = '7A', price + 3");
        let row = RowKey::of_key(&[0xff; 4000]);
        let columns = (0..2000).map(|n| (Name::field(&[n as u8, 9, 10]), Value::bytes(&[0; 3000])));
        let huge = letter(LoggedChange::Row { row, change: Change::put(columns) }).display();
        assert!(huge.len() <= DISPLAY_BYTES_MAX && huge.ends_with(".."), "{}", huge.len());
        assert!(!huge.chars().any(char::is_control));
    }
}
