//! Hashes: fields of key-value hashes, columns of rows.
//! The meaning is the engine's; this file only reads arguments and writes replies.

use landfall::engine::ops::{fields, numbers, rows};
use landfall::engine::{Refusal, Stop};
use landfall_resp::Protocol;
use smallvec::SmallVec;

use super::keyspace::{Options, cursor};
use super::{Call, chance, glob, syntax_error};

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

/// So many pages a whole scan has at most: each looks at all fields.
const SCAN_PAGES_MAX: usize = 64;
/// A hash of so few fields is answered in one page, whatever was asked for.
const SCANNED_AT_ONCE: usize = 128;

/// `HSCAN key cursor [MATCH pattern] [COUNT count]`
pub fn hscan(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let from = cursor(call.arg(2))?;
    // Redis looks at the key first, and at the options only when it is there.
    fields::get(call.unit, call.base, &call.targets[0], &[], |_| {})?;
    if !rows::exists(call.unit, call.base, &call.targets[0])? {
        call.reply.array_header(2);
        call.reply.bulk(b"0");
        call.reply.array_header(0);
        return Ok(());
    }
    let options = Options::parse(&call.request, 3, false)?;
    let reply = &mut call.reply;
    fields::get_all(call.unit, call.base, &call.targets[0], |count, all| {
        // Fields have a place by their hash, which stays whatever comes and goes, so a cursor needs no memory.
        let most = options.count.max(SCANNED_AT_ONCE).max(count / SCAN_PAGES_MAX);
        let places = match count <= most {
            true => 1 << 32,
            false => ((most as u64) << 32) / count as u64,
        };
        let to = from.saturating_add(places);
        let page: Vec<(&[u8], &[u8])> = all
            .filter(|(field, _)| {
                let place = landfall::model::row::lane_hash(field) >> 32;
                (from..to).contains(&place)
                    && options.pattern.is_none_or(|pattern| glob::matches(pattern, field))
            })
            .collect();
        let next = if to >> 32 == 0 { to } else { 0 };
        reply.array_header(2);
        reply.bulk(next.to_string().as_bytes());
        reply.array_header(page.len() * 2);
        for (field, value) in page {
            reply.bulk(field);
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
