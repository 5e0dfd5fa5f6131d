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

/// EXPIRE and its kin: when a key-value key ends; for a row (and for a cell, which stays as long as its row), until when it
/// stays in the cache. Answers whether the key is there.
///
/// # Errors
/// [`Stop`].
pub fn expire(unit: &mut Unit<'_>, at: usize, target: &Target, at_ms: u64) -> Result<bool, Stop> {
    if !rows::exists(unit, at, target)? {
        return Ok(false);
    }
    let past = at_ms <= unit.now_ms();
    match (row_of(target), past) {
        (Some(_), _) => unit.keep_until(at, at_ms),
        (None, true) => unit.delete(at),
        (None, false) => unit.set_expiry(at, at_ms),
    }
    Ok(true)
}

/// When an expiry may be set; without any of them, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct When {
    /// Only when there is none.
    pub without: bool,
    /// Only when there is one.
    pub with: bool,
    /// Only when the new one is later; none is later than any.
    pub later: bool,
    /// Only when the new one is earlier; none is later than any.
    pub earlier: bool,
}

impl When {
    /// Whether an expiry at `new_ms` may take the place of `old_ms`; 0: there is none.
    fn allows(self, old_ms: u64, new_ms: u64) -> bool {
        let has = old_ms > 0;
        !(self.without && has
            || self.with && !has
            || self.later && (!has || new_ms <= old_ms)
            || self.earlier && has && new_ms >= old_ms)
    }
}

/// [`expire`] under a condition. Answers whether it was set.
///
/// # Errors
/// [`Stop`].
pub fn expire_when(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    at_ms: u64,
    when: When,
) -> Result<bool, Stop> {
    if when != When::default() {
        if !rows::exists(unit, at, target)? {
            return Ok(false);
        }
        let old_ms = ends_at(unit, at, target)?;
        if !when.allows(old_ms, at_ms) {
            return Ok(false);
        }
    }
    expire(unit, at, target, at_ms)
}

/// PERSIST: whether there was an expiry to take away.
///
/// # Errors
/// [`Stop`].
pub fn persist(unit: &mut Unit<'_>, at: usize, target: &Target) -> Result<bool, Stop> {
    if !rows::exists(unit, at, target)? || ends_at(unit, at, target)? == 0 {
        return Ok(false);
    }
    match row_of(target) {
        Some(_) => unit.keep_as_others(at),
        None => unit.set_expiry(at, 0),
    }
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
    Ok(match ends_at(unit, at, target)? {
        0 => Ttl::Never,
        expires_ms => Ttl::In(expires_ms.saturating_sub(now_ms)),
    })
}

/// When a key-value key ends, or the time ends that a client has given to a row; 0: never.
fn ends_at(unit: &mut Unit<'_>, at: usize, target: &Target) -> Result<u64, Stop> {
    match row_of(target) {
        Some(_) => Ok(unit.stays_until(at)),
        None => Ok(unit.see(at)?.expires_ms),
    }
}

/// TYPE: `string`, `hash`, `stream` or `none`. A row is a hash, a cell a string.
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
        View::Unknown(_) | View::Absent => "none",
        View::String(_) => "string",
        View::Hash(_) | View::Row(_) => "hash",
        View::Stream(_) => "stream",
    })
}

/// A value as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form<'a> {
    /// There is none.
    Absent,
    /// A string, or the text of a cell.
    String(&'a [u8]),
    /// The fields of a hash, or the columns of a row that are not NULL.
    Fields {
        /// How many there are.
        count: usize,
        /// The length of the longest name or value in bytes.
        longest_bytes: usize,
    },
    /// The entries of a stream.
    Stream,
}

/// Shows `visit` in which form a value is kept.
///
/// # Errors
/// [`Stop`].
pub fn form<T>(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    visit: impl FnOnce(Form<'_>) -> T,
) -> Result<T, Stop> {
    if let Target::Table(table) = target {
        return Err(names_a_table(table).into());
    }
    if matches!(target, Target::Cell(..)) {
        let text = super::strings::get(unit, at, target)?;
        return Ok(visit(text.as_deref().map_or(Form::Absent, Form::String)));
    }
    match unit.see(at)?.view {
        View::Unknown(_) | View::Absent => return Ok(visit(Form::Absent)),
        View::String(text) => return Ok(visit(Form::String(text))),
        View::Stream(_) => return Ok(visit(Form::Stream)),
        View::Hash(_) | View::Row(_) => {}
    }
    let (mut count, mut longest_bytes) = (0, 0);
    super::fields::get_all(unit, at, target, |fields, all| {
        count = fields;
        longest_bytes = all.map(|(name, value)| name.len().max(value.len())).max().unwrap_or(0);
    })?;
    Ok(visit(Form::Fields { count, longest_bytes }))
}

/// The refusal for a time that cannot be.
pub fn invalid_expire_time(command: &str) -> Refusal {
    Refusal::invalid(format!("invalid expire time in '{command}' command"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_set_when_its_condition_allows_it() {
        let (none, nx) = (When::default(), When { without: true, ..When::default() });
        let (xx, gt) = (When { with: true, ..none }, When { later: true, ..none });
        let (lt, xx_lt) = (When { earlier: true, ..none }, When { with: true, earlier: true, ..none });
        for (when, old_ms, new_ms, allowed) in [
            (none, 0, 5, true),
            (nx, 0, 5, true),
            (nx, 9, 5, false),
            (xx, 0, 5, false),
            (xx, 9, 5, true),
            (gt, 0, 5, false),
            (gt, 5, 5, false),
            (gt, 5, 6, true),
            (lt, 0, 5, true),
            (lt, 5, 5, false),
            (lt, 6, 5, true),
            (xx_lt, 0, 5, false),
        ] {
            assert_eq!(when.allows(old_ms, new_ms), allowed, "{when:?} {old_ms} {new_ms}");
        }
    }
}
