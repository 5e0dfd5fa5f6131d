//! The bytes of values and changes inside a record's body (docs/format.md, "Body").
//! Decoding answers any input with a value or an error; it never panics and never trusts a length.

use bigdecimal::BigDecimal;

use super::change::{Change, LoggedChange, Op, Upsert};
use super::letter::{Intent, LetterKey};
use super::name::Name;
use super::row::RowKey;
use super::value::Value;

/// Why bytes are not a body, a value or a row identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end in the middle of a field.
    #[error("the record's body ends in the middle of a field")]
    Short,
    /// A field does not have the form that the format asks for.
    #[error("the record's body is malformed: {0}")]
    Malformed(&'static str),
}

const DELETE: u8 = 1;
const UPSERT: u8 = 2;
const REPLACE: u8 = 3;
const APPEND: u8 = 4;
const LETTER: u8 = 5;
const CLEAR: u8 = 6;

const RETRY: u8 = 1;
const DROP: u8 = 2;
const EDIT: u8 = 3;

/// Appends a whole number in 7-bit groups, lowest first (LEB128).
pub fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends a length and then the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a value: one byte that says its kind, then its content.
pub fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0),
        Value::Bool(false) => out.push(1),
        Value::Bool(true) => out.push(2),
        Value::Int(n) => {
            out.push(3);
            put_varint(out, ((n << 1) ^ (n >> 63)) as u64);
        }
        Value::Float(n) => {
            out.push(4);
            out.extend_from_slice(&n.to_bits().to_le_bytes());
        }
        Value::Decimal(n) => {
            out.push(5);
            put_bytes(out, n.to_plain_string().as_bytes());
        }
        Value::Text(text) => {
            out.push(6);
            put_bytes(out, text.as_bytes());
        }
        Value::Bytes(bytes) => put_bytes_value(out, bytes),
    }
}

/// Appends [`Value::Bytes`] without building one.
pub fn put_bytes_value(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(7);
    put_bytes(out, bytes);
}

/// Writes a record's body: how many changes, and then each.
///
/// ```
/// use landfall::model::{codec::{BodyWriter, decode_body}, Change, LoggedChange, Name, RowKey, Value};
/// let row = RowKey::of_table("page", &[Value::Int(7)]);
/// let change = Change::add(Name::column("views"), Value::Int(1));
/// let mut body = Vec::new();
/// BodyWriter::new(&mut body, 1).row(0, row.as_bytes(), &change);
/// assert_eq!(decode_body(&body).unwrap(), vec![(0, LoggedChange::Row { row, change })]);
/// ```
pub struct BodyWriter<'a>(&'a mut Vec<u8>);

impl<'a> BodyWriter<'a> {
    /// Starts a body of `changes` changes at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, changes: usize) -> Self {
        put_varint(out, changes as u64);
        BodyWriter(out)
    }

    /// A change of a row whose lane is number `lane` in the record's list of lanes.
    pub fn row(&mut self, lane: u8, row: &[u8], change: &Change) {
        match change {
            Change::Delete => self.start(lane, DELETE, row),
            Change::Upsert(upsert) => {
                self.upsert(lane, row, upsert.replace, upsert.columns.len());
                for (name, op) in &upsert.columns {
                    self.name(name.as_bytes(), matches!(op, Op::Add(_)));
                    put_value(self.0, op.value());
                }
            }
        }
    }

    /// The head of an upsert; `columns` calls of [`BodyWriter::name`], each with a value, must follow, sorted
    /// by name.
    pub fn upsert(&mut self, lane: u8, row: &[u8], replace: bool, columns: usize) {
        self.start(lane, if replace { REPLACE } else { UPSERT }, row);
        put_varint(self.0, columns as u64);
    }

    /// A column's name and whether its value is added or assigned; the value must follow.
    pub fn name(&mut self, name: &[u8], add: bool) {
        put_bytes(self.0, name);
        self.0.push(u8::from(add));
    }

    /// The name of a hash's field, assigned, without building a [`Name`]; the value must follow.
    pub fn field(&mut self, field: &[u8]) {
        put_varint(self.0, field.len() as u64 + 1);
        self.0.push(b'.');
        self.0.extend_from_slice(field);
        self.0.push(0);
    }

    /// A value of a column.
    pub fn value(&mut self, value: &Value) {
        put_value(self.0, value);
    }

    /// Raw bytes as a column's value.
    pub fn bytes_value(&mut self, bytes: &[u8]) {
        put_bytes_value(self.0, bytes);
    }

    /// An event of `table`.
    pub fn append(&mut self, lane: u8, table: &str, columns: &[(Name, Value)]) {
        self.start(lane, APPEND, table.as_bytes());
        self.columns(columns);
    }

    /// All key-value keys are gone.
    pub fn clear(&mut self, lane: u8) {
        self.start(lane, CLEAR, &[]);
    }

    /// What is asked of a dead letter.
    pub fn letter(&mut self, lane: u8, key: &LetterKey, intent: &Intent) {
        self.start(lane, LETTER, key.as_bytes());
        match intent {
            Intent::Retry => self.0.push(RETRY),
            Intent::Drop => self.0.push(DROP),
            Intent::Edit(columns) => {
                self.0.push(EDIT);
                self.columns(columns);
            }
        }
    }

    fn columns(&mut self, columns: &[(Name, Value)]) {
        put_varint(self.0, columns.len() as u64);
        for (name, value) in columns {
            put_bytes(self.0, name.as_bytes());
            put_value(self.0, value);
        }
    }

    fn start(&mut self, lane: u8, kind: u8, subject: &[u8]) {
        self.0.push(lane);
        self.0.push(kind);
        put_bytes(self.0, subject);
    }
}

/// The changes of a body, each with the number of its lane in the record's list of lanes.
///
/// # Errors
/// [`CodecError`] when the bytes are not a whole body.
pub fn decode_body(body: &[u8]) -> Result<Vec<(u8, LoggedChange)>, CodecError> {
    let mut reader = Reader::new(body);
    let count = reader.varint()?;
    let mut changes = Vec::with_capacity(count.min(body.len() as u64 / 3 + 1) as usize);
    for _ in 0..count {
        changes.push(reader.change()?);
    }
    if reader.is_empty() { Ok(changes) } else { Err(CodecError::Malformed("bytes behind the last change")) }
}

/// Reads the fields of a body, one after the other.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left to read.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`CodecError::Short`] at the end.
    pub fn byte(&mut self) -> Result<u8, CodecError> {
        let (&first, rest) = self.0.split_first().ok_or(CodecError::Short)?;
        self.0 = rest;
        Ok(first)
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`CodecError::Short`] when there are fewer.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(CodecError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number written by [`put_varint`].
    ///
    /// # Errors
    /// [`CodecError`] at the end, or when the number is longer than 64 bits.
    pub fn varint(&mut self) -> Result<u64, CodecError> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err(CodecError::Malformed("a number of more than 64 bits"))
    }

    /// Bytes written by [`put_bytes`].
    ///
    /// # Errors
    /// [`CodecError`] when the length is more than what is left.
    pub fn bytes(&mut self) -> Result<&'a [u8], CodecError> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| CodecError::Short)?)
    }

    /// A value written by [`put_value`].
    ///
    /// # Errors
    /// [`CodecError`] when the bytes are no value.
    pub fn value(&mut self) -> Result<Value, CodecError> {
        Ok(match self.byte()? {
            0 => Value::Null,
            1 => Value::Bool(false),
            2 => Value::Bool(true),
            3 => {
                let n = self.varint()?;
                Value::Int((n >> 1) as i64 ^ -((n & 1) as i64))
            }
            4 => {
                let bits = self.take(8)?.try_into().map_err(|_| CodecError::Short)?;
                Value::Float(f64::from_bits(u64::from_le_bytes(bits)))
            }
            5 => {
                let text = self.text("decimal")?;
                // Ten bytes with an exponent would become a number of a billion digits.
                if text.contains(['e', 'E']) {
                    return Err(CodecError::Malformed("decimal with an exponent"));
                }
                let number: BigDecimal = text.parse().map_err(|_| CodecError::Malformed("decimal"))?;
                Value::decimal(number)
            }
            6 => Value::from(self.text("text")?),
            7 => Value::bytes(self.bytes()?),
            _ => return Err(CodecError::Malformed("kind of value")),
        })
    }

    fn text(&mut self, what: &'static str) -> Result<&'a str, CodecError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| CodecError::Malformed(what))
    }

    fn change(&mut self) -> Result<(u8, LoggedChange), CodecError> {
        let lane = self.byte()?;
        let kind = self.byte()?;
        let subject = self.bytes()?;
        let logged = match kind {
            DELETE => LoggedChange::Row { row: RowKey::from_bytes(subject), change: Change::Delete },
            UPSERT | REPLACE => {
                let columns = self.columns(|reader| {
                    let add = reader.byte()? != 0;
                    let value = reader.value()?;
                    Ok(if add { Op::Add(value) } else { Op::Assign(value) })
                })?;
                if !columns.is_sorted_by(|(a, _), (b, _)| a < b) {
                    return Err(CodecError::Malformed("columns out of order"));
                }
                let change = Change::Upsert(Upsert { replace: kind == REPLACE, columns });
                LoggedChange::Row { row: RowKey::from_bytes(subject), change }
            }
            APPEND => {
                let table = std::str::from_utf8(subject).map_err(|_| CodecError::Malformed("table name"))?;
                LoggedChange::Append { table: table.into(), columns: self.columns(Self::value)? }
            }
            LETTER => {
                let intent = match self.byte()? {
                    RETRY => Intent::Retry,
                    DROP => Intent::Drop,
                    EDIT => Intent::Edit(self.columns(Self::value)?),
                    _ => return Err(CodecError::Malformed("what is asked of a dead letter")),
                };
                LoggedChange::Letter { key: LetterKey::from_bytes(subject), intent }
            }
            CLEAR if subject.is_empty() => LoggedChange::Clear,
            _ => return Err(CodecError::Malformed("kind of change")),
        };
        Ok((lane, logged))
    }

    fn columns<T>(
        &mut self,
        mut content: impl FnMut(&mut Self) -> Result<T, CodecError>,
    ) -> Result<Vec<(Name, T)>, CodecError> {
        let count = self.varint()?;
        let mut columns = Vec::with_capacity(count.min(self.0.len() as u64 / 2 + 1) as usize);
        for _ in 0..count {
            let name = Name::from_bytes(self.bytes()?);
            columns.push((name, content(self)?));
        }
        Ok(columns)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Anchor;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::Float),
            (any::<i64>(), 0i64..30).prop_map(|(n, scale)| Value::decimal(BigDecimal::new(n.into(), scale))),
            ".{0,12}".prop_map(|text: String| Value::from(text.as_str())),
            prop::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| Value::bytes(&bytes)),
        ]
    }

    fn logged() -> impl Strategy<Value = LoggedChange> {
        let name = prop::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| Name::from_bytes(&bytes));
        let op = prop_oneof![value().prop_map(Op::Assign), any::<i64>().prop_map(|n| Op::Add(Value::Int(n)))];
        let key = prop::collection::vec(any::<u8>(), 0..9).prop_map(|key| RowKey::of_key(&key));
        prop_oneof![
            Just(LoggedChange::Clear),
            key.clone().prop_map(|row| LoggedChange::Row { row, change: Change::Delete }),
            (key, any::<bool>(), prop::collection::vec((name.clone(), op), 0..4)).prop_map(
                |(row, replace, columns)| LoggedChange::Row { row, change: Change::upsert(replace, columns) }
            ),
            prop::collection::vec((name.clone(), value()), 0..4)
                .prop_map(|columns| LoggedChange::Append { table: "click".into(), columns }),
            (any::<u64>(), prop::option::of(prop::collection::vec((name, value()), 0..4))).prop_map(
                |(position, edit)| LoggedChange::Letter {
                    key: LetterKey::of_event(crate::model::LaneId(7), (position, Anchor::START), 1),
                    intent: edit.map_or(Intent::Drop, Intent::Edit),
                }
            ),
        ]
    }

    #[test]
    fn a_decimal_with_an_exponent_is_refused_and_not_spelled_out() {
        for text in ["6e1", "1E999999999", "1e-999999999"] {
            let mut bytes = vec![5];
            put_bytes(&mut bytes, text.as_bytes());
            assert!(Reader::new(&bytes).value().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_body_decodes_to_what_was_encoded(changes in prop::collection::vec((any::<u8>(), logged()), 0..6)) {
            let mut body = Vec::new();
            let mut writer = BodyWriter::new(&mut body, changes.len());
            for (lane, logged) in &changes {
                match logged {
                    LoggedChange::Row { row, change } => writer.row(*lane, row.as_bytes(), change),
                    LoggedChange::Append { table, columns } => writer.append(*lane, table, columns),
                    LoggedChange::Letter { key, intent } => writer.letter(*lane, key, intent),
                    LoggedChange::Clear => writer.clear(*lane),
                }
            }
            prop_assert_eq!(decode_body(&body).unwrap(), changes);
            for cut in 0..body.len() {
                prop_assert!(decode_body(&body[..cut]).is_err() || body.len() == cut);
            }
        }

        #[test]
        fn garbage_is_answered_with_an_error_or_a_body(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode_body(&bytes);
        }
    }
}
