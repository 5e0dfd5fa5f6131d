//! GET and SET: strings of key-value keys, cells of rows, and whole rows as JSON.
//! A plain SET never reads: it waits for no load, and so for no database.

use std::sync::Arc;

use super::{json, names_a_table, row_of, rows};
use crate::engine::refusal::{Refusal, Stop};
use crate::engine::unit::Unit;
use crate::model::mapping::Target;
use crate::model::types;

/// When SET may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// Always.
    #[default]
    Always,
    /// Only when the key is absent.
    Absent,
    /// Only when the key is present.
    Present,
}

/// The value before a SET, when it was asked for and there was one.
pub type OldValue = Option<Arc<[u8]>>;

/// What SET does to the expiry of a key-value key, or to how long a row stays in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expiry {
    /// None: the key stays.
    #[default]
    None,
    /// At this time, Unix milliseconds; a time that has passed deletes the key, and lets the row go when it has landed.
    At(u64),
    /// As it was.
    Keep,
}

/// Reads a string, a cell as text, or a row as JSON. None when it is absent.
///
/// # Errors
/// [`Stop`].
pub fn get(unit: &mut Unit<'_>, at: usize, target: &Target) -> Result<Option<Arc<[u8]>>, Stop> {
    match target {
        Target::Key => Ok(unit.string(at)?.map(|(value, _)| value.into())),
        Target::Cell(table, key, column) => {
            let Some(row) = unit.row(at)? else { return Ok(None) };
            let value = rows::cell(table, key, row, *column);
            Ok(value.map(|value| {
                let mut text = Vec::new();
                types::render(value, &mut text);
                text.into()
            }))
        }
        Target::Row(table, key) => {
            let Some(row) = unit.row(at)? else { return Ok(None) };
            Ok(Some(json::of_row(table, key, row).into()))
        }
        Target::Table(table) => Err(names_a_table(table).into()),
    }
}

/// Reads the same and hands it to `visit`; a string of a key-value key is not copied for that.
///
/// # Errors
/// [`Stop`].
pub fn visit(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    visit: impl FnOnce(Option<&[u8]>),
) -> Result<(), Stop> {
    match target {
        Target::Key => visit(unit.string(at)?.map(|(value, _)| value)),
        _ => visit(get(unit, at, target)?.as_deref()),
    }
    Ok(())
}

/// SET. Answers whether it wrote, and the old value when `want_old`.
///
/// # Errors
/// [`Stop`].
pub fn set(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    value: &[u8],
    (condition, expiry, want_old): (Condition, Expiry, bool),
    ignore: &[String],
) -> Result<(bool, OldValue), Stop> {
    let old = if want_old { get(unit, at, target)? } else { None };
    if condition != Condition::Always {
        let present = rows::exists(unit, at, target)?;
        if present != (condition == Condition::Present) {
            return Ok((false, old));
        }
    }
    match target {
        Target::Key => {
            let expires_ms = match expiry {
                Expiry::None => 0,
                Expiry::At(ms) if ms <= unit.now_ms() => {
                    unit.delete(at);
                    return Ok((true, old));
                }
                Expiry::At(ms) => ms,
                Expiry::Keep => unit.see(at)?.expires_ms,
            };
            unit.set_string(at, value.into(), expires_ms);
        }
        Target::Cell(table, _, column) => {
            let change = rows::put(table, &[(*column, value)])?;
            rows::write(unit, at, table, change)?;
            // One column is written, as by HSET: without a word on it, its row stays as long as before.
            if let Expiry::At(ms) = expiry {
                unit.keep_until(at, ms);
            }
        }
        Target::Row(table, key) => {
            let change = json::to_put(table, key, value, ignore)?;
            rows::write(unit, at, table, change)?;
            match expiry {
                Expiry::At(ms) => unit.keep_until(at, ms),
                Expiry::None if unit.stays_until(at) > 0 => unit.keep_as_others(at),
                Expiry::None | Expiry::Keep => {}
            }
        }
        Target::Table(table) => return Err(names_a_table(table).into()),
    }
    Ok((true, old))
}

/// APPEND to a key-value string. Answers the new length.
///
/// # Errors
/// [`Stop`].
pub fn append(unit: &mut Unit<'_>, at: usize, target: &Target, tail: &[u8]) -> Result<usize, Stop> {
    key_value_only(target, "APPEND")?;
    let (old, expires_ms) = unit.string(at)?.unwrap_or_default();
    let value = [old, tail].concat();
    let length = value.len();
    unit.set_string(at, value.into(), expires_ms);
    Ok(length)
}

/// SETRANGE of a key-value string: `value` from `offset` on, with zeros between the end and it. Answers the new length,
/// which may be `bytes_max` at most.
///
/// # Errors
/// [`Stop`].
pub fn set_range(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    (offset, value): (usize, &[u8]),
    bytes_max: usize,
) -> Result<usize, Stop> {
    key_value_only(target, "SETRANGE")?;
    let (old, expires_ms) = unit.string(at)?.unwrap_or_default();
    if value.is_empty() {
        return Ok(old.len());
    }
    let end = offset.saturating_add(value.len());
    if end > bytes_max {
        return Err(Refusal::invalid("string exceeds maximum allowed size (proto-max-bulk-len)").into());
    }
    let mut new = old.to_vec();
    new.resize(old.len().max(end), 0);
    new[offset..end].copy_from_slice(value);
    let length = new.len();
    unit.set_string(at, new.into(), expires_ms);
    Ok(length)
}

/// Refuses a command on rows that only makes sense for key-value keys.
///
/// # Errors
/// [`Refusal::Invalid`] for a row.
pub fn key_value_only(target: &Target, command: &str) -> Result<(), Stop> {
    match row_of(target) {
        Some((table, _)) => Err(Refusal::invalid(format!(
            "{command} works on key-value keys, and this key is a row of table {}",
            table.name
        ))
        .into()),
        None => Ok(()),
    }
}
