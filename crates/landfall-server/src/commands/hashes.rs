//! Hashes: fields of key-value hashes, columns of rows.
//! The meaning is the engine's; this file only reads arguments and writes replies.

use landfall::engine::ops::fields;
use landfall::engine::{Refusal, Stop};

use smallvec::SmallVec;

use super::Call;

/// `HSET key field value [field value ..]`
pub fn hset(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let new = set(call, "hset")?;
    call.reply.integer(new as i64);
    Ok(())
}

/// `HMSET key field value [field value ..]`
pub fn hmset(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    set(call, "hmset")?;
    call.reply.ok();
    Ok(())
}

fn set(call: &mut Call<'_, '_>, command: &str) -> Result<usize, Stop> {
    if !call.request.arg_count().is_multiple_of(2) {
        return Err(Refusal::invalid(format!("wrong number of arguments for '{command}' command")).into());
    }
    let arg = |at| call.request.arg(at).unwrap_or_default();
    let pairs: SmallVec<[(&[u8], &[u8]); 8]> =
        (2..call.request.arg_count()).step_by(2).map(|at| (arg(at), arg(at + 1))).collect();
    fields::set(call.unit, call.base, &call.targets[0], &pairs)
}

/// HSETNX key field value
pub fn hsetnx(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let (field, value) = (call.request.arg(2).unwrap_or_default(), call.request.arg(3).unwrap_or_default());
    let mut there = false;
    fields::get(call.unit, call.base, &call.targets[0], &[field], |value| there = value.is_some())?;
    if !there {
        fields::set(call.unit, call.base, &call.targets[0], &[(field, value)])?;
    }
    call.reply.integer(i64::from(!there));
    Ok(())
}

/// HGET key field
pub fn hget(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let field = call.request.arg(2).unwrap_or_default();
    fields::get(call.unit, call.base, &call.targets[0], &[field], |value| call.reply.bulk_or_null(value))
}

/// `HMGET key field [field ..]`
pub fn hmget(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let names: Vec<&[u8]> = call.request.args().skip(2).collect();
    call.reply.array_header(names.len());
    fields::get(call.unit, call.base, &call.targets[0], &names, |value| call.reply.bulk_or_null(value))
}

/// HGETALL key
pub fn hgetall(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let reply = &mut call.reply;
    fields::get_all(call.unit, call.base, &call.targets[0], |count, all| {
        reply.map_header(count);
        for (name, value) in all {
            reply.bulk(name);
            reply.bulk(value);
        }
    })
}

/// HKEYS key
pub fn hkeys(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let reply = &mut call.reply;
    fields::get_all(call.unit, call.base, &call.targets[0], |count, all| {
        reply.array_header(count);
        all.for_each(|(name, _)| reply.bulk(name));
    })
}

/// HVALS key
pub fn hvals(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let reply = &mut call.reply;
    fields::get_all(call.unit, call.base, &call.targets[0], |count, all| {
        reply.array_header(count);
        all.for_each(|(_, value)| reply.bulk(value));
    })
}

/// HLEN key
pub fn hlen(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let reply = &mut call.reply;
    fields::get_all(call.unit, call.base, &call.targets[0], |count, _| reply.integer(count as i64))
}

/// HEXISTS key field
pub fn hexists(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let field = call.request.arg(2).unwrap_or_default();
    let mut there = false;
    fields::get(call.unit, call.base, &call.targets[0], &[field], |value| there = value.is_some())?;
    call.reply.integer(i64::from(there));
    Ok(())
}

/// `HDEL key field [field ..]`
pub fn hdel(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let names: Vec<&[u8]> = call.request.args().skip(2).collect();
    let removed = fields::delete(call.unit, call.base, &call.targets[0], &names)?;
    call.reply.integer(removed as i64);
    Ok(())
}
