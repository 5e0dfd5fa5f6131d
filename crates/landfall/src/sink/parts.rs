//! What changes mean to every sink: the parts of a key-value key, sums, and words for what is refused.
//! Pure; it never sees a database, and no message carries a value.

use std::borrow::Cow;

use bigdecimal::BigDecimal;

use super::LandingOp;
use crate::env::planted::{Bug, planted};
use crate::error::SinkError;
use crate::model::row::RowName;
use crate::model::{Column, EntryId, LaneId, LaneRow, Name, Op, Owner, Reason, RowKey, Table, Value, types};

/// The most digits of a number inside a key-value key that is added to.
const NUMBER_BYTES_MAX: usize = 1024;

/// One part of a key-value key, as [`Name`] spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// The value of a string.
    Value,
    /// When the key expires.
    Expires,
    /// A field of a hash.
    Field(&'a [u8]),
    /// The head of a stream.
    Stream,
    /// An entry of a stream.
    Entry(EntryId),
}

impl Part<'_> {
    pub(crate) fn of(name: &Name) -> Result<Part<'_>, SinkError> {
        match name.as_bytes() {
            Name::STRING => Ok(Part::Value),
            Name::EXPIRES => Ok(Part::Expires),
            Name::STREAM => Ok(Part::Stream),
            _ => match (name.as_field(), name.as_entry()) {
                (Some(field), _) => Ok(Part::Field(field)),
                (None, Some(id)) => Ok(Part::Entry(id)),
                (None, None) => Err(refused_key("a part of an unknown name")),
            },
        }
    }
}

/// The bytes that a string or a field is stored as; none for NULL.
pub(crate) fn stored(value: &Value) -> Option<Vec<u8>> {
    bytes(value).map(Cow::into_owned)
}

/// The same, where they lie if they lie somewhere.
pub(crate) fn bytes(value: &Value) -> Option<Cow<'_, [u8]>> {
    match value {
        Value::Null => None,
        Value::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
        other => {
            let mut bytes = Vec::new();
            types::render(other, &mut bytes);
            Some(Cow::Owned(bytes))
        }
    }
}

/// The sum of a stored number (absent counts as 0) and a delta.
pub(crate) fn stored_sum(old: Option<&[u8]>, delta: &Value) -> Result<Value, SinkError> {
    let no_number = || refused_key("an add to a value that is no number");
    let old = match old {
        None => Value::Null,
        Some(bytes) if bytes.len() > NUMBER_BYTES_MAX => return Err(no_number()),
        Some(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| no_number())?;
            if text.bytes().any(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'.')) {
                return Err(no_number());
            }
            Value::decimal(text.parse::<BigDecimal>().map_err(|_| no_number())?)
        }
    };
    match delta {
        Value::Int(_) | Value::Decimal(_) => Ok(old.plus(delta)),
        _ => Err(refused_key("an add of something that is no exact number")),
    }
}

/// When a key expires, in Unix milliseconds; none for NULL.
pub(crate) fn expiry(value: &Value) -> Result<Option<i64>, SinkError> {
    match value {
        Value::Null => Ok(None),
        Value::Int(ms) => Ok(Some(*ms)),
        _ => Err(refused_key("a time of expiry that is no whole number")),
    }
}

/// The head or the fields that a change leaves of a stream; none for NULL.
pub(crate) fn of_stream(op: &Op) -> Result<Option<&[u8]>, SinkError> {
    match op {
        Op::Assign(Value::Null) => Ok(None),
        Op::Assign(Value::Bytes(bytes)) => Ok(Some(bytes)),
        _ => Err(refused_key("a part of a stream that is no bytes")),
    }
}

/// The parts of a row's identity.
pub(crate) fn row_name(row: &RowKey) -> Result<RowName<'_>, SinkError> {
    row.decode().map_err(|error| SinkError::Refused { table: "?".into(), reason: error.to_string() })
}

/// The table that an operation writes.
pub(crate) fn table_of(op: &LandingOp) -> String {
    match op {
        LandingOp::Clear => "landfall_key".into(),
        LandingOp::Append { table, .. } => table.to_string(),
        LandingOp::Row { row, .. } => match row.decode() {
            Ok(RowName::Table { table, .. }) => table.to_owned(),
            _ => "landfall_key".into(),
        },
    }
}

/// The refusal of a row of `table`.
pub(crate) fn refused(table: &str, reason: impl Into<String>) -> SinkError {
    SinkError::Refused { table: table.into(), reason: reason.into() }
}

/// The refusal of a key-value key.
pub(crate) fn refused_key(reason: &str) -> SinkError {
    refused("landfall_key", reason)
}

/// The refusal of a change whose table is gone.
pub(crate) fn no_such_table(table: &str) -> SinkError {
    refused(table, NO_SUCH_TABLE)
}

const NO_SUCH_TABLE: &str =
    "the database has no such table, or its key changed since the write; reload the catalogue";

/// The class of a refusal in Landfall's own words, or in those that databases have for constraints.
pub(crate) fn class_of(words: &str) -> &'static str {
    const CLASSES: [(&str, &str); 7] = [
        ("UNIQUE constraint", "unique"),
        ("FOREIGN KEY constraint", "foreign-key"),
        ("NOT NULL constraint", "not-null"),
        ("CHECK constraint", "check"),
        ("no such ", "schema"),
        ("there is no column ", "schema"),
        ("a trigger ", "trigger"),
    ];
    if words == NO_SUCH_TABLE {
        return Reason::NO_TABLE;
    }
    let known = CLASSES.iter().find(|(start, _)| words.starts_with(start));
    known.map_or("value", |(_, class)| class)
}

/// Whether a refusal is for want of a table or a column.
pub(crate) fn is_of_schema(words: &str) -> bool {
    matches!(class_of(words), "schema" | Reason::NO_TABLE)
}

/// The column that a change names.
pub(crate) fn column<'t>(table: &'t Table, name: &Name) -> Result<(usize, &'t Column), SinkError> {
    let found = std::str::from_utf8(name.as_bytes()).ok().and_then(|name| table.column_index(name));
    match found {
        Some(at) if table.columns[at].generated => {
            Err(refused(&table.name, format!("column {} is computed by the database", name.to_text())))
        }
        Some(at) => Ok((at, &table.columns[at])),
        None => Err(refused(
            &table.name,
            format!("there is no column {}; was it dropped or renamed since the write?", name.to_text()),
        )),
    }
}

/// Asks whether a column can hold a value, as it was asked when the write came in: the schema may have changed.
pub(crate) fn check(table: &Table, column: &Column, value: &Value) -> Result<(), SinkError> {
    types::fits(column, value).map_err(|misfit| misfit_refusal(table, column, &misfit))
}

/// The refusal of a value by a column.
pub(crate) fn misfit_refusal(table: &Table, column: &Column, misfit: &types::Misfit) -> SinkError {
    refused(
        &table.name,
        format!("a value does not fit column {} ({}): {}", column.name, misfit.expected, misfit.hint),
    )
}

/// Whether `request_id` alone is unique in `table`, so that an event that is there already can be left out.
pub(crate) fn has_request_id(table: &Table) -> bool {
    table.column_index(REQUEST_ID).is_some_and(|at| {
        table.primary_key == [at] || table.unique.iter().any(|columns| columns.as_slice() == [at])
    })
}

/// The column that makes an event idempotent.
pub(crate) const REQUEST_ID: &str = "request_id";

/// The answer when a lane's row does not belong to the log that asks, or is not there.
pub(crate) fn check_lineage(
    lane: LaneId,
    found: Option<crate::model::Lineage>,
    ours: &crate::model::Lineage,
) -> Result<(), SinkError> {
    match found {
        None => Err(SinkError::LaneMissing { lane }),
        Some(found) if found != *ours && !planted(Bug::NoLineage) => {
            Err(SinkError::ForeignLineage { lane, found, ours: *ours })
        }
        Some(_) => Ok(()),
    }
}

/// The row that a take-over leaves, or why it may not.
pub(crate) fn taken_over(lane: LaneId, found: Option<&LaneRow>, owner: &Owner) -> Result<LaneRow, SinkError> {
    check_lineage(lane, found.map(|row| row.watermark.lineage), &owner.lineage)?;
    let Some(found) = found else { return Err(SinkError::LaneMissing { lane }) };
    if !owner.follows(&found.start) && !planted(Bug::AnyStartFollows) {
        return Err(SinkError::OtherStart { lane, found: found.start.boot, ours: owner.start.boot });
    }
    let watermark = crate::model::Watermark { epoch: found.watermark.epoch + 1, ..found.watermark };
    Ok(LaneRow { watermark, start: owner.start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_number_grows_exactly_or_is_refused() {
        assert_eq!(stored_sum(None, &Value::Int(3)).unwrap(), Value::Int(3));
        assert_eq!(stored_sum(Some(b"-5"), &Value::Int(3)).unwrap(), Value::Int(-2));
        let max = i64::MAX.to_string();
        let over = stored_sum(Some(max.as_bytes()), &Value::Int(1)).unwrap();
        assert_eq!(stored(&over).unwrap(), b"9223372036854775808");
        for text in ["", "abc", "1e9", "-", &"9".repeat(2000)] {
            assert!(stored_sum(Some(text.as_bytes()), &Value::Int(1)).is_err(), "{text:.9}");
        }
        assert!(stored_sum(None, &Value::Float(0.5)).is_err());
    }
}
