//! Strings: key-value strings, cells of rows, and whole rows as JSON.
//! The meaning is the engine's; this file only reads options and writes replies.

use landfall::engine::ops::keys::invalid_expire_time;
use landfall::engine::ops::strings::{self, Condition, Expiry};
use landfall::engine::ops::{keys, numbers, rows};
use landfall::engine::{Refusal, Stop};

use super::{Call, syntax_error};

/// GET key
pub fn get(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    strings::visit(call.unit, call.base, &call.targets[0], |value| call.reply.bulk_or_null(value))
}

/// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
pub fn set(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let (mut condition, mut want_old) = (Condition::Always, false);
    let mut time = Time::default();
    let mut at = 3;
    while let Some(option) = call.request.arg(at) {
        match option.to_ascii_uppercase().as_slice() {
            b"NX" if condition != Condition::Present => condition = Condition::Absent,
            b"XX" if condition != Condition::Absent => condition = Condition::Present,
            b"GET" => want_old = true,
            other => at += time.take(other, b"KEEPTTL", call.request.arg(at + 1))?,
        }
        at += 1;
    }
    let expiry = match time.amount {
        _ if time.alone => Expiry::Keep,
        Some((unit, amount)) => Expiry::At(expiry_ms(amount, unit, call.unit.now_ms(), "set")?),
        None => Expiry::None,
    };
    write(call, (condition, expiry, want_old))
}

/// The option of SET and GETEX that says when a key expires: one of four units with its amount, or a word alone.
#[derive(Default)]
struct Time<'a> {
    amount: Option<(&'static [u8], &'a [u8])>,
    alone: bool,
}

impl<'a> Time<'a> {
    /// Takes an option, in capitals; how many of the words behind it belong to it. One unit may be said twice, as in
    /// Redis, and the later amount counts.
    fn take(&mut self, option: &[u8], alone: &[u8], next: Option<&'a [u8]>) -> Result<usize, Stop> {
        if option == alone && self.amount.is_none() {
            self.alone = true;
            return Ok(0);
        }
        let units: [&'static [u8]; 4] = [b"EX", b"PX", b"EXAT", b"PXAT"];
        let unit = units.into_iter().find(|unit| *unit == option).ok_or_else(syntax_error)?;
        let other = self.alone || self.amount.is_some_and(|(have, _)| have != unit);
        match next.filter(|_| !other) {
            Some(amount) => {
                self.amount = Some((unit, amount));
                Ok(1)
            }
            None => Err(syntax_error()),
        }
    }
}

/// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`
pub fn getex(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let mut time = Time::default();
    let mut at = 2;
    while let Some(option) = call.request.arg(at) {
        let option = option.to_ascii_uppercase();
        at += 1 + time.take(&option, b"PERSIST", call.request.arg(at + 1))?;
    }
    let Some(value) = strings::get(call.unit, call.base, &call.targets[0])? else {
        call.reply.null();
        return Ok(());
    };
    if time.alone {
        keys::persist(call.unit, call.base, &call.targets[0])?;
    } else if let Some((unit, amount)) = time.amount {
        let at_ms = expiry_ms(amount, unit, call.unit.now_ms(), "getex")?;
        keys::expire(call.unit, call.base, &call.targets[0], at_ms)?;
    }
    call.reply.bulk(&value);
    Ok(())
}

/// SETNX key value
pub fn setnx(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let (wrote, _) = put(call, 2, (Condition::Absent, Expiry::None, false))?;
    call.reply.integer(i64::from(wrote));
    Ok(())
}

/// SETEX key seconds value
pub fn setex(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    set_for(call, b"EX", "setex")
}

/// PSETEX key milliseconds value
pub fn psetex(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    set_for(call, b"PX", "psetex")
}

fn set_for(call: &mut Call<'_, '_>, unit: &[u8], command: &str) -> Result<(), Stop> {
    let at_ms = expiry_ms(call.arg(2), unit, call.unit.now_ms(), command)?;
    put(call, 3, (Condition::Always, Expiry::At(at_ms), false))?;
    call.reply.ok();
    Ok(())
}

/// GETSET key value
pub fn getset(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let (_, old) = put(call, 2, (Condition::Always, Expiry::None, true))?;
    call.reply.bulk_or_null(old.as_deref());
    Ok(())
}

/// GETDEL key
pub fn getdel(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let value = strings::get(call.unit, call.base, &call.targets[0])?;
    if value.is_some() {
        keys::delete(call.unit, call.base, &call.targets[0])?;
    }
    call.reply.bulk_or_null(value.as_deref());
    Ok(())
}

/// APPEND key value
pub fn append(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let tail = call.request.arg(2).unwrap_or_default();
    let length = strings::append(call.unit, call.base, &call.targets[0], tail)?;
    call.reply.integer(length as i64);
    Ok(())
}

/// STRLEN key
pub fn strlen(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let value = strings::get(call.unit, call.base, &call.targets[0])?;
    call.reply.integer(value.map_or(0, |value| value.len()) as i64);
    Ok(())
}

/// GETRANGE key start end
pub fn getrange(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let (start, end) = (numbers::integer(call.arg(2))?, numbers::integer(call.arg(3))?);
    strings::visit(call.unit, call.base, &call.targets[0], |value| {
        let value = value.unwrap_or_default();
        call.reply.bulk(&value[range(start, end, value.len())]);
    })
}

/// What GETRANGE means by two numbers, of which negative ones count from the end.
fn range(start: i64, end: i64, length: usize) -> std::ops::Range<usize> {
    let length = length as i64;
    let from_end = |at: i64| if at < 0 { at.saturating_add(length).max(0) } else { at };
    let (first, last) = (from_end(start), from_end(end).min(length - 1));
    if length == 0 || (start < 0 && end < 0 && start > end) || first > last {
        return 0..0;
    }
    first as usize..last as usize + 1
}

/// SETRANGE key offset value
pub fn setrange(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let offset = numbers::integer(call.arg(2))?;
    let value = call.request.arg(3).unwrap_or_default();
    let offset = usize::try_from(offset).map_err(|_| Refusal::invalid("offset is out of range"))?;
    let bytes_max = landfall_resp::Limits::authenticated().bulk_bytes_max as usize;
    let length = strings::set_range(call.unit, call.base, &call.targets[0], (offset, value), bytes_max)?;
    call.reply.integer(length as i64);
    Ok(())
}

/// `MGET key [key ..]`
pub fn mget(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    call.reply.array_header(call.targets.len());
    for (at, target) in call.targets.iter().enumerate() {
        let reply = &mut call.reply;
        match strings::visit(call.unit, call.base + at, target, |value| reply.bulk_or_null(value)) {
            Ok(()) => {}
            // As in Redis, a key of another type counts as absent here.
            Err(Stop::Refused(Refusal::WrongType)) => call.reply.null(),
            Err(stop) => return Err(stop),
        }
    }
    Ok(())
}

/// `MSET key value [key value ..]`
pub fn mset(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    put_pairs(call, "mset")?;
    call.reply.ok();
    Ok(())
}

/// `MSETNX key value [key value ..]`
pub fn msetnx(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    pairs_only(call, "msetnx")?;
    for (at, target) in call.targets.iter().enumerate() {
        if rows::exists(call.unit, call.base + at, target)? {
            call.reply.integer(0);
            return Ok(());
        }
    }
    put_pairs(call, "msetnx")?;
    call.reply.integer(1);
    Ok(())
}

fn pairs_only(call: &Call<'_, '_>, command: &str) -> Result<(), Stop> {
    match call.request.arg_count().is_multiple_of(2) {
        true => Err(Refusal::invalid(format!("wrong number of arguments for '{command}' command")).into()),
        false => Ok(()),
    }
}

fn put_pairs(call: &mut Call<'_, '_>, command: &str) -> Result<(), Stop> {
    pairs_only(call, command)?;
    for at in 0..call.targets.len() {
        put_target(call, at, 2 + 2 * at, (Condition::Always, Expiry::None, false))?;
    }
    Ok(())
}

fn write(call: &mut Call<'_, '_>, how: (Condition, Expiry, bool)) -> Result<(), Stop> {
    let (wrote, old) = put(call, 2, how)?;
    match how.2 {
        true => call.reply.bulk_or_null(old.as_deref()),
        false if wrote => call.reply.ok(),
        false => call.reply.null(),
    }
    Ok(())
}

type Old = Option<std::sync::Arc<[u8]>>;

fn put(
    call: &mut Call<'_, '_>,
    value_at: usize,
    how: (Condition, Expiry, bool),
) -> Result<(bool, Old), Stop> {
    put_target(call, 0, value_at, how)
}

fn put_target(
    call: &mut Call<'_, '_>,
    target: usize,
    value_at: usize,
    how: (Condition, Expiry, bool),
) -> Result<(bool, Old), Stop> {
    let value = call.request.arg(value_at).unwrap_or_default();
    let ignore = match &call.targets[target] {
        landfall::model::mapping::Target::Row(table, _) => {
            call.engine.table_settings(table).map_or(&[][..], |own| &own.ignore)
        }
        _ => &[],
    };
    strings::set(call.unit, call.base + target, &call.targets[target], value, how, ignore)
}

/// An expiry as Unix milliseconds, from an amount in a unit.
///
/// # Errors
/// As Redis has them: no whole number, or a time that cannot be.
pub fn expiry_ms(amount: &[u8], unit: &[u8], now_ms: u64, command: &str) -> Result<u64, Refusal> {
    let amount = numbers::integer(amount)?;
    if amount <= 0 {
        return Err(invalid_expire_time(command));
    }
    let scaled = match unit {
        b"EX" | b"EXAT" => amount.checked_mul(1000),
        _ => Some(amount),
    };
    let absolute = match unit {
        b"EX" | b"PX" => scaled.and_then(|ms| ms.checked_add_unsigned(now_ms)),
        _ => scaled,
    };
    absolute.and_then(|ms| u64::try_from(ms).ok()).ok_or_else(|| invalid_expire_time(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_as_redis_cuts_them() {
        for (start, end, length, expected) in [
            (0, -1, 5, 0..5),
            (1, 2, 5, 1..3),
            (-3, -2, 5, 2..4),
            (-9, 1, 5, 0..2),
            (3, 99, 5, 3..5),
            (5, 9, 5, 0..0),
            (-1, -3, 5, 0..0),
            (-9, -7, 5, 0..1),
            (0, -9, 5, 0..1),
            (0, 0, 0, 0..0),
            (i64::MIN, i64::MAX, 3, 0..3),
        ] {
            assert_eq!(range(start, end, length), expected, "{start} {end} of {length}");
        }
    }
}
