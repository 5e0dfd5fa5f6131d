//! Hashes: fields of key-value hashes, columns of rows.
//! The meaning is the engine's; this file only reads arguments and writes replies.

use landfall::engine::ops::{fields, numbers};
use landfall::engine::{Refusal, Stop};
use landfall_resp::Protocol;
use smallvec::SmallVec;

use super::{Call, chance, syntax_error};

/// So many fields HRANDFIELD chooses at most when it may choose one again and again.
const FIELDS_CHOSEN_MAX: u64 = 1 << 20;

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

/// HSTRLEN key field
pub fn hstrlen(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let field = call.request.arg(2).unwrap_or_default();
    let mut length = 0;
    fields::get(call.unit, call.base, &call.targets[0], &[field], |value| {
        length = value.map_or(0, <[u8]>::len);
    })?;
    call.reply.integer(length as i64);
    Ok(())
}

/// `HRANDFIELD key [count [WITHVALUES]]`
pub fn hrandfield(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let Some(count) = call.request.arg(2) else {
        let reply = &mut call.reply;
        return fields::get_all(call.unit, call.base, &call.targets[0], |count, all| {
            let chosen = if count == 0 { None } else { all.nth(chance::below(count)) };
            reply.bulk_or_null(chosen.map(|(name, _)| name));
        });
    };
    let count = numbers::integer(count)?;
    let with_values = match call.request.arg(3) {
        None => false,
        Some(word) if word.eq_ignore_ascii_case(b"WITHVALUES") && call.request.arg_count() == 4 => true,
        Some(_) => return Err(syntax_error()),
    };
    if count.unsigned_abs() > FIELDS_CHOSEN_MAX && count < 0 {
        return Err(Refusal::invalid("value is out of range").into());
    }
    let reply = &mut call.reply;
    fields::get_all(call.unit, call.base, &call.targets[0], |have, all| {
        let all: Vec<(&[u8], &[u8])> = all.collect();
        let chosen = match usize::try_from(count) {
            Ok(count) => chance::some_of(have, count),
            Err(_) if have == 0 => Vec::new(),
            Err(_) => (0..count.unsigned_abs()).map(|_| chance::below(have)).collect(),
        };
        let nested = with_values && reply.protocol() == Protocol::Resp3;
        reply.array_header(chosen.len() * if with_values && !nested { 2 } else { 1 });
        for (name, value) in chosen.into_iter().map(|at| all[at]) {
            if nested {
                reply.array_header(2);
            }
            reply.bulk(name);
            if with_values {
                reply.bulk(value);
            }
        }
    })
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
