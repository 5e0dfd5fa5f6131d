//! DEL, EXPIRE, TTL, PERSIST and TYPE.
//! Deleting a row never waits for a load, clearing a cell does; the time to live of a row is residency and never touches the row.

use super::{names_a_table, row_of, rows};
use crate::buffer::cache::View;
use crate::engine::refusal::{Refusal, Stop};
use crate::engine::unit::Unit;
use crate::model::mapping::Target;
use crate::model::{Change, Name};

/// What TTL answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// There is no such key.
    Absent,
    /// It never expires.
    Never,
    /// It expires in so many milliseconds.
    In(u64),
}

/// DEL of one key or cell: whether it was there (for a row: whether it is not known to be absent).
///
/// # Errors
/// [`Stop`].
pub fn delete(unit: &mut Unit<'_>, at: usize, target: &Target) -> Result<bool, Stop> {
    match target {
        Target::Table(table) => Err(names_a_table(table).into()),
        Target::Cell(table, _, column) => {
            let cleared = rows::cleared(table, *column)?;
            // Clearing a cell of a row that is not there would make the row, so it is loaded first.
            let there = rows::exists(unit, at, target)?;
            let name = Name::column(&table.columns[*column].name);
            if there {
                rows::write(unit, at, table, Change::put([(name, cleared)]))?;
            }
            Ok(there)
        }
        Target::Row(..) => {
            let there = unit.peek(at).is_none_or(|seen| !matches!(seen.view, View::Absent));
            if there {
                unit.delete(at);
            }
            Ok(there)
        }
        Target::Key => {
            let there = !matches!(unit.see(at)?.view, View::Absent);
            if there {
                unit.delete(at);
            }
            Ok(there)
        }
    }
}

/// EXPIRE and its kin: when a key-value key ends; for a row a time in the past evicts it, and a later one changes
/// nothing but the answer. Answers whether the key is there.
///
/// # Errors
/// [`Stop`].
pub fn expire(unit: &mut Unit<'_>, at: usize, target: &Target, at_ms: u64) -> Result<bool, Stop> {
    if !rows::exists(unit, at, target)? {
        return Ok(false);
    }
    let past = at_ms <= unit.now_ms();
    match (row_of(target), past) {
        (Some(_), true) => {
            unit.evict(at);
        }
        (Some(_), false) => {}
        (None, true) => unit.delete(at),
        (None, false) => unit.set_expiry(at, at_ms),
    }
    Ok(true)
}

/// PERSIST: whether there was an expiry to take away.
///
/// # Errors
/// [`Stop`].
pub fn persist(unit: &mut Unit<'_>, at: usize, target: &Target) -> Result<bool, Stop> {
    if row_of(target).is_some() || unit.see(at)?.expires_ms == 0 {
        return Ok(false);
    }
    unit.set_expiry(at, 0);
    Ok(true)
}

/// How long a key has to live.
///
/// # Errors
/// [`Stop`].
pub fn ttl(unit: &mut Unit<'_>, at: usize, target: &Target) -> Result<Ttl, Stop> {
    if !rows::exists(unit, at, target)? {
        return Ok(Ttl::Absent);
    }
    let now_ms = unit.now_ms();
    Ok(match unit.see(at)?.expires_ms {
        0 => Ttl::Never,
        expires_ms => Ttl::In(expires_ms.saturating_sub(now_ms)),
    })
}

/// TYPE: `string`, `hash` or `none`. A row is a hash, a cell a string.
///
/// # Errors
/// [`Stop`].
pub fn kind(unit: &mut Unit<'_>, at: usize, target: &Target) -> Result<&'static str, Stop> {
    if matches!(target, Target::Cell(..)) {
        return Ok(if rows::exists(unit, at, target)? { "string" } else { "none" });
    }
    if let Target::Table(table) = target {
        return Err(names_a_table(table).into());
    }
    Ok(match unit.see(at)?.view {
        View::Unknown | View::Absent => "none",
        View::String(_) => "string",
        View::Hash(_) | View::Row(_) => "hash",
    })
}

/// The refusal for a time that cannot be.
pub fn invalid_expire_time(command: &str) -> Refusal {
    Refusal::invalid(format!("invalid expire time in '{command}' command"))
}
