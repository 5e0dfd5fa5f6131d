//! RENAME and COPY of key-value keys: the value and its expiry, in one record with all that goes.
//! Rows are refused: the columns of a row say what it is, and its key is one of them.

use super::strings::key_value_only;
use crate::buffer::cache::{Compact, FieldEdits, StreamEdits, View};
use crate::engine::refusal::Stop;
use crate::engine::unit::Unit;
use crate::model::mapping::Target;

/// A value as it is carried from one key to the other.
enum Value {
    String(Compact),
    Fields(FieldEdits),
    Stream(StreamEdits),
}

/// RENAME of key `at` to the key behind it; whether it was done. With `same` both are one key. With `only_new` nothing is
/// done when the other key is there.
///
/// # Errors
/// [`Stop`].
pub fn rename(
    unit: &mut Unit<'_>,
    at: usize,
    targets: (&Target, &Target),
    same: bool,
    only_new: bool,
) -> Result<bool, Stop> {
    key_value_only(targets.0, "RENAME")?;
    key_value_only(targets.1, "RENAME")?;
    let Some((value, expires_ms)) = read(unit, at)? else { return Ok(false) };
    if same {
        return Ok(!only_new);
    }
    if only_new && is_there(unit, at + 1)? {
        return Ok(false);
    }
    write(unit, at + 1, value, expires_ms);
    unit.delete(at);
    Ok(true)
}

/// COPY of key `at` to the key behind it, which is another one; whether it was done.
///
/// # Errors
/// [`Stop`].
pub fn copy(
    unit: &mut Unit<'_>,
    at: usize,
    targets: (&Target, &Target),
    replaces: bool,
) -> Result<bool, Stop> {
    key_value_only(targets.0, "COPY")?;
    key_value_only(targets.1, "COPY")?;
    let Some((value, expires_ms)) = read(unit, at)? else { return Ok(false) };
    if !replaces && is_there(unit, at + 1)? {
        return Ok(false);
    }
    write(unit, at + 1, value, expires_ms);
    Ok(true)
}

fn read(unit: &mut Unit<'_>, at: usize) -> Result<Option<(Value, u64)>, Stop> {
    let seen = unit.see(at)?;
    let value = match seen.view {
        View::String(value) => Value::String(value.clone()),
        View::Hash(hash) => {
            Value::Fields(FieldEdits::new(hash.iter().map(|(field, value)| (field, Some(value)))))
        }
        View::Stream(stream) => Value::Stream(super::streams::whole(stream)),
        View::Absent | View::Unknown(_) | View::Row(_) => return Ok(None),
    };
    Ok(Some((value, seen.expires_ms)))
}

fn is_there(unit: &mut Unit<'_>, at: usize) -> Result<bool, Stop> {
    Ok(!matches!(unit.see(at)?.view, View::Absent))
}

/// Makes the key this value, whatever it was: it need not be known.
fn write(unit: &mut Unit<'_>, at: usize, value: Value, expires_ms: u64) {
    match value {
        Value::String(value) => unit.set_string(at, value, expires_ms),
        Value::Stream(edits) => unit.edit_stream(at, edits, Some(expires_ms)),
        Value::Fields(fields) => {
            unit.delete(at);
            unit.set_fields(at, fields);
            if expires_ms > 0 {
                unit.set_expiry(at, expires_ms);
            }
        }
    }
}
