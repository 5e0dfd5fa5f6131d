//! Streams over key-value keys: entries that are added, read and trimmed. Reads that may wait are in [`reads`].
//! The meaning is the engine's; this file only reads arguments and writes replies.

use landfall::engine::ops::numbers;
use landfall::engine::ops::streams::{self, Keep, NewEntry, NewId, Trim};
use landfall::engine::{Refusal, Stop, Stream};
use landfall::model::mapping::Target;
use landfall::model::stream::fields;
use landfall::model::{EntryId, stream};
use landfall_resp::{ReplyWriter, Request};

use super::{Call, events, syntax_error};

pub mod info;
pub mod reads;

/// So many entries a trim that is not exact removes at most, unless LIMIT says otherwise.
const ABOUT_LIMIT: u64 = 10_000;
/// The longest text of an id.
const ID_BYTES_MAX: usize = 127;

fn refused<T>(sentence: &str) -> Result<T, Stop> {
    Err(Refusal::invalid(sentence).into())
}

/// An id as Redis reads it: without a number of its own it has this one.
fn id(word: &[u8], seq: u64) -> Result<EntryId, Stop> {
    let text =
        Some(word).filter(|word| word.len() <= ID_BYTES_MAX).and_then(|word| std::str::from_utf8(word).ok());
    match text.and_then(|text| EntryId::parse(text, seq)) {
        Some(id) => Ok(id),
        None => refused("Invalid stream ID specified as stream command argument"),
    }
}

/// An id that a new entry is to have: `ms-seq`, `ms-*`, or `ms`, which is `ms-0`.
fn new_id(word: &[u8]) -> Result<NewId, Stop> {
    let within =
        word.strip_suffix(b"-*").and_then(|ms| std::str::from_utf8(ms).ok()).and_then(stream::number);
    match within {
        Some(ms) => Ok(NewId::Within(ms)),
        None => id(word, 0).map(NewId::Given),
    }
}

/// What XADD and XTRIM have before the id or the end.
#[derive(Default)]
struct Options {
    only_there: bool,
    keep: Option<Keep>,
    about: bool,
    limit: Option<u64>,
    id: Option<NewId>,
    /// The argument behind all of it.
    end: usize,
}

impl Options {
    /// Reads from argument 2 on, up to the id, which only XADD has.
    fn parse(request: &Request<'_>, adds: bool) -> Result<Options, Stop> {
        let mut options = Options::default();
        let mut at = 2;
        while let Some(word) = request.arg(at) {
            let has_more = at + 1 < request.arg_count();
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if adds && word == b"*" {
                options.id = Some(NewId::Now);
                break;
            } else if is("MAXLEN") && has_more {
                at = options.about(request, at)?;
                let most = numbers::integer(request.arg(at).unwrap_or_default())?;
                let Ok(most) = u64::try_from(most) else {
                    return refused("The MAXLEN argument must be >= 0.");
                };
                options.keep = Some(Keep::Newest(most));
            } else if is("MINID") && has_more {
                at = options.about(request, at)?;
                options.keep = Some(Keep::From(id(request.arg(at).unwrap_or_default(), 0)?));
            } else if is("LIMIT") && has_more {
                at += 1;
                let limit = numbers::integer(request.arg(at).unwrap_or_default())?;
                let Ok(limit) = u64::try_from(limit) else {
                    return refused("The LIMIT argument must be >= 0.");
                };
                options.limit = Some(limit);
            } else if adds && is("NOMKSTREAM") {
                options.only_there = true;
            } else if adds {
                options.id = Some(new_id(word)?);
                break;
            } else {
                return Err(syntax_error());
            }
            at += 1;
        }
        options.end = at + 1;
        options.check(adds)?;
        Ok(options)
    }

    /// The `~` or `=` behind MAXLEN and MINID at `at`; the argument of the threshold.
    fn about(&mut self, request: &Request<'_>, at: usize) -> Result<usize, Stop> {
        if self.keep.is_some() {
            return refused("syntax error, MAXLEN and MINID options at the same time are not compatible");
        }
        let is_mark = at + 2 < request.arg_count() && matches!(request.arg(at + 1), Some(b"~" | b"="));
        self.about = is_mark && request.arg(at + 1) == Some(b"~");
        Ok(at + 1 + usize::from(is_mark))
    }

    fn check(&self, adds: bool) -> Result<(), Stop> {
        match (self.keep, self.limit) {
            (None, Some(limit)) if limit > 0 => {
                refused("syntax error, LIMIT cannot be used without specifying a trimming strategy")
            }
            (None, _) if !adds => refused("syntax error, XTRIM must be called with a trimming strategy"),
            (_, Some(_)) if !self.about => {
                refused("syntax error, LIMIT cannot be used without the special ~ option")
            }
            _ => Ok(()),
        }
    }

    fn trim(&self) -> Option<Trim> {
        let about = self.about.then(|| self.limit.unwrap_or(ABOUT_LIMIT));
        self.keep.map(|keep| Trim { keep, about })
    }
}

/// `XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT count]] *|id field value [field value ..]`
pub fn xadd(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    if !matches!(call.targets[0], Target::Key) {
        return events::xadd(call);
    }
    let options = Options::parse(&call.request, true)?;
    let parts: Vec<&[u8]> = call.request.args().skip(options.end).collect();
    let (Some(id), false, true) = (options.id, parts.is_empty(), parts.len().is_multiple_of(2)) else {
        return refused("wrong number of arguments for 'xadd' command");
    };
    if id == NewId::Given(EntryId::MIN) {
        return refused("The ID specified in XADD must be greater than 0-0");
    }
    let new = NewEntry { id, only_there: options.only_there, trim: options.trim(), parts: &parts };
    match streams::add(call.unit, call.base, &call.targets[0], &new)? {
        Some(id) => write_id(&mut call.reply, id),
        None => call.reply.null(),
    }
    Ok(())
}

/// XLEN key
pub fn xlen(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let length =
        streams::read(call.unit, call.base, &call.targets[0], |stream| stream.map_or(0, Stream::len))?;
    call.reply.integer(length as i64);
    Ok(())
}

/// `XRANGE key start end [COUNT count]`
pub fn xrange(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    range(call, (2, 3), false)
}

/// `XREVRANGE key end start [COUNT count]`
pub fn xrevrange(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    range(call, (3, 2), true)
}

fn range(call: &mut Call<'_, '_>, (start, end): (usize, usize), backwards: bool) -> Result<(), Stop> {
    let Some(start) = bound(call.arg(start), 0, EntryId::next)? else {
        return refused("invalid start ID for the interval");
    };
    let Some(end) = bound(call.arg(end), u64::MAX, EntryId::previous)? else {
        return refused("invalid end ID for the interval");
    };
    let mut most = None;
    let mut at = 4;
    while let Some(word) = call.request.arg(at) {
        let (true, Some(count)) = (word.eq_ignore_ascii_case(b"COUNT"), call.request.arg(at + 1)) else {
            return Err(syntax_error());
        };
        most = Some(usize::try_from(numbers::integer(count)?.max(0)).unwrap_or(usize::MAX));
        at += 2;
    }
    let reply = &mut call.reply;
    streams::read(call.unit, call.base, &call.targets[0], |stream| match (stream, most) {
        (None, _) => reply.array_header(0),
        (Some(_), Some(0)) => reply.null_array(),
        (Some(stream), most) => {
            let most = most.unwrap_or(usize::MAX);
            match backwards {
                false => write_entries(reply, || stream.range(start..=end).take(most)),
                true => write_entries(reply, || stream.range(start..=end).rev().take(most)),
            }
        }
    })
}

/// One end of an interval: `-`, `+`, an id, or `(` and an id, which is then left out; none when nothing lies beyond it.
fn bound(word: &[u8], seq: u64, beyond: fn(EntryId) -> Option<EntryId>) -> Result<Option<EntryId>, Stop> {
    match word {
        b"-" => Ok(Some(EntryId::MIN)),
        b"+" => Ok(Some(EntryId::MAX)),
        [b'(', word @ ..] => Ok(beyond(id(word, seq)?)),
        word => id(word, seq).map(Some),
    }
}

/// `XDEL key id [id ..]`
pub fn xdel(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    // Redis looks at the key first, and at the ids only when it is there.
    let there = streams::read(call.unit, call.base, &call.targets[0], |stream| stream.is_some())?;
    let removed = match there {
        true => {
            let ids = call.request.args().skip(2).map(|word| id(word, 0)).collect::<Result<Vec<_>, _>>()?;
            streams::delete(call.unit, call.base, &call.targets[0], &ids)?
        }
        false => 0,
    };
    call.reply.integer(removed as i64);
    Ok(())
}

/// `XTRIM key MAXLEN|MINID [=|~] threshold [LIMIT count]`
pub fn xtrim(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let Some(trim) = Options::parse(&call.request, false)?.trim() else { return Err(syntax_error()) };
    let removed = streams::trim(call.unit, call.base, &call.targets[0], &trim)?;
    call.reply.integer(removed as i64);
    Ok(())
}

/// `XSETID key last-id [ENTRIESADDED count] [MAXDELETEDID id]`
pub fn xsetid(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let last = id(call.arg(2), 0)?;
    let (mut added, mut deleted) = (None, None);
    let mut at = 3;
    while let Some(word) = call.request.arg(at) {
        let Some(value) = call.request.arg(at + 1) else { return Err(syntax_error()) };
        if word.eq_ignore_ascii_case(b"ENTRIESADDED") {
            let Ok(count) = u64::try_from(numbers::integer(value)?) else {
                return refused("entries_added must be positive");
            };
            added = Some(count);
        } else if word.eq_ignore_ascii_case(b"MAXDELETEDID") {
            let id = id(value, 0)?;
            if last < id {
                return refused(
                    "The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                );
            }
            deleted = Some(id).filter(|id| *id > EntryId::MIN);
        } else {
            return Err(syntax_error());
        }
        at += 2;
    }
    streams::set_id(call.unit, call.base, &call.targets[0], last, (added, deleted))?;
    call.reply.ok();
    Ok(())
}

fn write_id(reply: &mut ReplyWriter<'_>, id: EntryId) {
    reply.bulk(id.to_string().as_bytes());
}

/// An array of entries; they are gone through twice, once to be counted.
fn write_entries<'s, I>(reply: &mut ReplyWriter<'_>, entries: impl Fn() -> I)
where
    I: Iterator<Item = (EntryId, &'s std::sync::Arc<[u8]>)>,
{
    reply.array_header(entries().count());
    entries().for_each(|entry| write_entry(reply, entry));
}

/// An entry: its id, and its fields and values one after the other.
fn write_entry(reply: &mut ReplyWriter<'_>, (id, entry): (EntryId, &std::sync::Arc<[u8]>)) {
    reply.array_header(2);
    write_id(reply, id);
    let parts = fields(entry);
    reply.array_header(parts.clone().count());
    parts.for_each(|part| reply.bulk(part));
}
