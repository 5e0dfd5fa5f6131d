//! Keys of any kind: deleting, existence, time to live.
//! The meaning is the engine's; this file only reads arguments and writes replies.

use landfall::engine::ops::keys::{self, Ttl, invalid_expire_time};
use landfall::engine::ops::{numbers, rows};
use landfall::engine::{Refusal, Stop};

use super::Call;

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

/// EXPIRE key seconds
pub fn expire(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    set_expiry(call, 1000, true, "expire")
}

/// PEXPIRE key milliseconds
pub fn pexpire(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    set_expiry(call, 1, true, "pexpire")
}

/// EXPIREAT key unix-seconds
pub fn expireat(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    set_expiry(call, 1000, false, "expireat")
}

/// PEXPIREAT key unix-milliseconds
pub fn pexpireat(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    set_expiry(call, 1, false, "pexpireat")
}

fn set_expiry(call: &mut Call<'_, '_>, scale: i64, relative: bool, command: &str) -> Result<(), Stop> {
    if call.request.arg_count() > 3 {
        return Err(
            Refusal::invalid(format!("options of {command} are not built yet (NX, XX, GT, LT)")).into()
        );
    }
    let amount = numbers::integer(call.arg(2))?;
    let now_ms = if relative { call.unit.now_ms() } else { 0 };
    let at_ms = amount
        .checked_mul(scale)
        .and_then(|ms| ms.checked_add_unsigned(now_ms))
        .ok_or_else(|| invalid_expire_time(command))?;
    // A time before 1970 has passed like any other.
    let at_ms = u64::try_from(at_ms).unwrap_or(0);
    let there = keys::expire(call.unit, call.base, &call.targets[0], at_ms)?;
    call.reply.integer(i64::from(there));
    Ok(())
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

fn answer_ttl(call: &mut Call<'_, '_>, scale: impl Fn(u64) -> u64) -> Result<(), Stop> {
    let answer = match keys::ttl(call.unit, call.base, &call.targets[0])? {
        Ttl::Absent => -2,
        Ttl::Never => -1,
        Ttl::In(ms) => scale(ms) as i64,
    };
    call.reply.integer(answer);
    Ok(())
}
