//! INCR and its kin.
//! Sums are computed where the row is locked; this file only reads arguments and writes replies.

use landfall::engine::ops::numbers::{self, fractions};
use landfall::engine::{Refusal, Stop};

use super::Call;

/// INCR key
pub fn incr(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    by(call, 1)
}

/// DECR key
pub fn decr(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    by(call, -1)
}

/// INCRBY key delta
pub fn incrby(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let delta = numbers::integer(call.arg(2))?;
    by(call, delta)
}

/// DECRBY key delta
pub fn decrby(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let delta = numbers::integer(call.arg(2))?
        .checked_neg()
        .ok_or_else(|| Refusal::invalid("decrement would overflow"))?;
    by(call, delta)
}

/// HINCRBY key field delta
pub fn hincrby(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let delta = numbers::integer(call.arg(3))?;
    let field = call.request.arg(2).unwrap_or_default();
    let sum = numbers::increment_field(call.unit, call.base, &call.targets[0], field, delta)?;
    call.reply.integer(sum);
    Ok(())
}

/// INCRBYFLOAT key delta
pub fn incrbyfloat(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let delta = call.request.arg(2).unwrap_or_default();
    let sum = fractions::increment(call.unit, call.base, &call.targets[0], delta)?;
    call.reply.bulk(&sum);
    Ok(())
}

/// HINCRBYFLOAT key field delta
pub fn hincrbyfloat(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let (field, delta) = (call.request.arg(2).unwrap_or_default(), call.request.arg(3).unwrap_or_default());
    let sum = fractions::increment_field(call.unit, call.base, &call.targets[0], field, delta)?;
    call.reply.bulk(&sum);
    Ok(())
}

fn by(call: &mut Call<'_, '_>, delta: i64) -> Result<(), Stop> {
    let sum = numbers::increment(call.unit, call.base, &call.targets[0], delta)?;
    call.reply.integer(sum);
    Ok(())
}
