//! Keys of any kind: deleting, existence, time to live.
//! The meaning is the engine's; this file only reads arguments and writes replies.

use landfall::engine::ops::keys::{self, Ttl, When, invalid_expire_time};
use landfall::engine::ops::{copies, numbers, rows};
use landfall::engine::{Refusal, Stop};
use landfall::model::mapping::Target;

use super::{Call, syntax_error};

/// `DEL key [key ..]`
pub fn del(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let mut count = 0;
    for (at, target) in call.targets.iter().enumerate() {
        // Of a key that is named twice the second sees the first one's work.
        count += i64::from(keys::delete(call.unit, call.base + at, target)?);
    }
    call.reply.integer(count);
    Ok(())
}

/// `EXISTS key [key ..]`
pub fn exists(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let mut there = 0;
    for (at, target) in call.targets.iter().enumerate() {
        there += i64::from(rows::exists(call.unit, call.base + at, target)?);
    }
    call.reply.integer(there);
    Ok(())
}

/// TYPE key
pub fn kind(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let kind = keys::kind(call.unit, call.base, &call.targets[0])?;
    call.reply.simple(kind);
    Ok(())
}

/// `TOUCH key [key ..]`: reading a key is what keeps it in the cache.
pub fn touch(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    exists(call)
}

/// RENAME key newkey
pub fn rename(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    if !copies::rename(call.unit, call.base, targets(call), is_same(call), false)? {
        return Err(Refusal::invalid("no such key").into());
    }
    call.reply.ok();
    Ok(())
}

/// RENAMENX key newkey
pub fn renamenx(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    if matches!(keys::kind(call.unit, call.base, &call.targets[0])?, "none") {
        return Err(Refusal::invalid("no such key").into());
    }
    let renamed = copies::rename(call.unit, call.base, targets(call), is_same(call), true)?;
    call.reply.integer(i64::from(renamed));
    Ok(())
}

/// `COPY source destination [DB number] [REPLACE]`
pub fn copy(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let (mut replaces, mut at) = (false, 3);
    while let Some(word) = call.request.arg(at) {
        match (word, call.request.arg(at + 1)) {
            (word, _) if word.eq_ignore_ascii_case(b"REPLACE") => replaces = true,
            (word, Some(number)) if word.eq_ignore_ascii_case(b"DB") => {
                if numbers::integer(number)? != 0 {
                    return Err(Refusal::invalid("DB index is out of range").into());
                }
                at += 1;
            }
            _ => return Err(syntax_error()),
        }
        at += 1;
    }
    if is_same(call) {
        return Err(Refusal::invalid("source and destination objects are the same").into());
    }
    let copied = copies::copy(call.unit, call.base, targets(call), replaces)?;
    call.reply.integer(i64::from(copied));
    Ok(())
}

fn targets<'t>(call: &Call<'t, '_>) -> (&'t Target, &'t Target) {
    (&call.targets[0], &call.targets[1])
}

fn is_same(call: &Call<'_, '_>) -> bool {
    call.arg(1) == call.arg(2)
}

/// `EXPIRE key seconds [NX | XX | GT | LT]`
pub fn expire(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    set_expiry(call, 1000, true, "expire")
}

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]`
pub fn pexpire(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    set_expiry(call, 1, true, "pexpire")
}

/// `EXPIREAT key unix-seconds [NX | XX | GT | LT]`
pub fn expireat(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    set_expiry(call, 1000, false, "expireat")
}

/// `PEXPIREAT key unix-milliseconds [NX | XX | GT | LT]`
pub fn pexpireat(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    set_expiry(call, 1, false, "pexpireat")
}

fn set_expiry(call: &mut Call<'_, '_>, scale: i64, relative: bool, command: &str) -> Result<(), Stop> {
    let when = expiry_condition(call)?;
    let amount = numbers::integer(call.arg(2))?;
    let now_ms = if relative { call.unit.now_ms() } else { 0 };
    let at_ms = amount
        .checked_mul(scale)
        .and_then(|ms| ms.checked_add_unsigned(now_ms))
        .ok_or_else(|| invalid_expire_time(command))?;
    // A time before 1970 has passed like any other.
    let at_ms = u64::try_from(at_ms).unwrap_or(0);
    let set = keys::expire_when(call.unit, call.base, &call.targets[0], at_ms, when)?;
    call.reply.integer(i64::from(set));
    Ok(())
}

/// `NX | XX | GT | LT` behind an expiry; XX goes with GT and with LT.
fn expiry_condition(call: &Call<'_, '_>) -> Result<When, Refusal> {
    let mut when = When::default();
    let (mut greater, mut less) = (false, false);
    for option in call.request.args().skip(3) {
        match option.to_ascii_uppercase().as_slice() {
            b"NX" => when.without = true,
            b"XX" => when.with = true,
            b"GT" => greater = true,
            b"LT" => less = true,
            _ => {
                let shown = String::from_utf8_lossy(&option[..option.len().min(64)]).into_owned();
                return Err(Refusal::invalid(format!("Unsupported option {shown}")));
            }
        }
    }
    if when.without && (when.with || greater || less) {
        return Err(Refusal::invalid("NX and XX, GT or LT options at the same time are not compatible"));
    }
    if greater && less {
        return Err(Refusal::invalid("GT and LT options at the same time are not compatible"));
    }
    when.later = greater;
    when.earlier = less;
    Ok(when)
}

/// PERSIST key
pub fn persist(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let persisted = keys::persist(call.unit, call.base, &call.targets[0])?;
    call.reply.integer(i64::from(persisted));
    Ok(())
}

/// TTL key
pub fn ttl(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    answer_ttl(call, |ms| (ms + 500) / 1000)
}

/// PTTL key
pub fn pttl(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    answer_ttl(call, |ms| ms)
}

/// EXPIRETIME key
pub fn expiretime(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let now_ms = call.unit.now_ms();
    answer_ttl(call, |ms| (ms + now_ms + 500) / 1000)
}

/// PEXPIRETIME key
pub fn pexpiretime(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let now_ms = call.unit.now_ms();
    answer_ttl(call, |ms| ms + now_ms)
}

fn answer_ttl(call: &mut Call<'_, '_>, scale: impl Fn(u64) -> u64) -> Result<(), Stop> {
    let answer = match keys::ttl(call.unit, call.base, &call.targets[0])? {
        Ttl::Absent => -2,
        Ttl::Never => -1,
        Ttl::In(ms) => scale(ms) as i64,
    };
    call.reply.integer(answer);
    Ok(())
}
