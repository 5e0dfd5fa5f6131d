//! Strings: key-value strings, cells of rows, and whole rows as JSON.
//! The meaning is the engine's; this file only reads options and writes replies.

use landfall::engine::ops::keys::invalid_expire_time;
use landfall::engine::ops::strings::{self, Condition, Expiry};
use landfall::engine::ops::{keys, numbers};
use landfall::engine::{Refusal, Stop};

use super::{Call, syntax_error};

/// GET key
pub fn get(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    strings::visit(call.unit, call.base, &call.targets[0], |value| call.reply.bulk_or_null(value))
}

/// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
pub fn set(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let (mut condition, mut expiry, mut want_old) = (Condition::Always, Expiry::None, false);
    let mut at = 3;
    while let Some(option) = call.request.arg(at) {
        let none_yet = expiry == Expiry::None;
        match option.to_ascii_uppercase().as_slice() {
            b"NX" if condition == Condition::Always => condition = Condition::Absent,
            b"XX" if condition == Condition::Always => condition = Condition::Present,
            b"GET" => want_old = true,
            b"KEEPTTL" if none_yet => expiry = Expiry::Keep,
            unit @ (b"EX" | b"PX" | b"EXAT" | b"PXAT") if none_yet => {
                at += 1;
                let amount = call.request.arg(at).ok_or_else(syntax_error)?;
                expiry = Expiry::At(expiry_ms(amount, unit, call.unit.now_ms(), "set")?);
            }
            _ => return Err(syntax_error()),
        }
        at += 1;
    }
    write(call, (condition, expiry, want_old))
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
    if call.request.arg_count().is_multiple_of(2) {
        return Err(Refusal::invalid("wrong number of arguments for 'mset' command").into());
    }
    for at in 0..call.targets.len() {
        put_target(call, at, 2 + 2 * at, (Condition::Always, Expiry::None, false))?;
    }
    call.reply.ok();
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
