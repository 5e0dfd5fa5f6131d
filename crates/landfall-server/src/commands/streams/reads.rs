//! XREAD: entries behind the ids that a client knows, of several streams, and waiting for the next one.
//! It never holds a lock while it waits: a waiting connection keeps its request, and runs it again when an entry comes.

use landfall::engine::Stop;
use landfall::engine::ops::{numbers, streams};
use landfall::model::EntryId;
use landfall_resp::{Decoded, Limits, OwnedRequest, Protocol, Request, RequestDecoder, encode_request};

use super::{id, refused, write_entries};
use crate::commands::spec::Keys;
use crate::commands::{Call, syntax_error};

/// What XREAD found nothing of, and is to wait for.
pub struct Blocking {
    /// So long, in milliseconds; 0: without end.
    pub timeout_ms: u64,
    /// The id behind which each of its streams is read.
    after: Vec<EntryId>,
}

impl Blocking {
    /// The request as it is to be run again: `$` means the last id of when it was asked. None for one that is then too long.
    pub fn resolved(&self, request: &Request<'_>) -> Option<OwnedRequest> {
        let ids = request.arg_count() - self.after.len();
        if (ids..request.arg_count()).all(|at| request.arg(at) != Some(b"$")) {
            return Some(request.to_owned_request());
        }
        let given = self.after.iter().map(|id| id.to_string().into_bytes());
        let words: Vec<Vec<u8>> = request.args().take(ids).map(<[u8]>::to_vec).chain(given).collect();
        let mut bytes = Vec::new();
        encode_request(&mut bytes, &words);
        match RequestDecoder::new(Limits::authenticated()).decode(&bytes) {
            Ok(Decoded::Complete { request, .. }) => Some(request.to_owned_request()),
            _ => None,
        }
    }
}

/// What XREAD has before its streams.
#[derive(Default)]
struct Options {
    /// At most so many entries of each stream; 0: all.
    count: u64,
    timeout_ms: Option<u64>,
}

impl Options {
    fn parse(request: &Request<'_>) -> Result<Options, Stop> {
        let mut options = Options::default();
        let mut at = 1;
        while let Some(word) = request.arg(at) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let value = request.arg(at + 1);
            match value {
                Some(value) if is("BLOCK") => options.timeout_ms = Some(timeout(value)?),
                Some(value) if is("COUNT") => {
                    options.count = u64::try_from(numbers::integer(value)?).unwrap_or(0);
                }
                Some(_) if is("STREAMS") && Keys::of_streams(request, 0).is_some() => return Ok(options),
                Some(_) if is("STREAMS") => {
                    return refused(
                        "Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
                    );
                }
                Some(_) if is("GROUP") && at + 2 < request.arg_count() => {
                    return refused(
                        "The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
                    );
                }
                _ if is("NOACK") => {
                    return refused(
                        "The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
                    );
                }
                _ => return Err(syntax_error()),
            }
            at += 2;
        }
        Err(syntax_error())
    }
}

fn timeout(word: &[u8]) -> Result<u64, Stop> {
    match numbers::integer(word).map(u64::try_from) {
        Ok(Ok(ms)) => Ok(ms),
        Ok(Err(_)) => refused("timeout is negative"),
        Err(_) => refused("timeout is not an integer or out of range"),
    }
}

/// `XREAD [COUNT count] [BLOCK ms] STREAMS key [key ..] id [id ..]`
pub fn xread(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let options = Options::parse(&call.request)?;
    let Some((first, count)) = Keys::of_streams(&call.request, 0) else { return Err(syntax_error()) };
    let mut after = Vec::with_capacity(count);
    let mut found = Vec::new();
    for at in 0..count {
        let word = call.request.arg(first + count + at).unwrap_or_default();
        let (given, top) = streams::read(call.unit, call.base + at, &call.targets[at], |stream| {
            let last = stream.map_or(EntryId::MIN, |stream| stream.head().last);
            (last, stream.and_then(|stream| stream.last()))
        })?;
        let behind = match word {
            b"$" => given,
            b">" => {
                return refused(
                    "The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
                );
            }
            word => id(word, 0)?,
        };
        if top.is_some_and(|top| top > behind) {
            found.push(at);
        }
        after.push(behind);
    }
    if found.is_empty() {
        call.reply.null_array();
        call.blocking = options.timeout_ms.map(|timeout_ms| Blocking { timeout_ms, after });
        return Ok(());
    }
    let is_map = call.reply.protocol() == Protocol::Resp3;
    match is_map {
        true => call.reply.map_header(found.len()),
        false => call.reply.array_header(found.len()),
    }
    let most =
        if options.count == 0 { usize::MAX } else { usize::try_from(options.count).unwrap_or(usize::MAX) };
    for at in found {
        let reply = &mut call.reply;
        if !is_map {
            reply.array_header(2);
        }
        reply.bulk(call.request.arg(first + at).unwrap_or_default());
        // What is behind the last id of all is nothing, and was not found.
        let start = after[at].next().unwrap_or(EntryId::MAX);
        streams::read(call.unit, call.base + at, &call.targets[at], |stream| match stream {
            Some(stream) => write_entries(reply, || stream.range(start..=EntryId::MAX).take(most)),
            None => reply.array_header(0),
        })?;
    }
    Ok(())
}
