//! What to do with a request that is no array of bulks: an inline command where these are allowed, else a refusal.
//! It must never execute what a browser or a TLS client sends to the wrong port.

use crate::request::ArgRange;
use crate::request_decoder::Step;
use crate::{Limits, ProtocolError};

/// As in Redis.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// The first byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// How requests of HTTP begin that no RESP client sends by mistake. Compared without regard to case.
const HTTP_OPENINGS: [&[u8]; 12] = [
    b"POST ",
    b"GET /",
    b"GET http",
    b"HEAD /",
    b"PUT /",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
    b"PRI * ",
    b"Host:",
];

/// Reads a request whose first byte is not `*`. `scanned` counts the bytes known to hold no end of line.
pub(crate) fn advance(
    limits: &Limits,
    input: &[u8],
    scanned: &mut usize,
    args: &mut Vec<ArgRange>,
) -> Result<Step, ProtocolError> {
    if input[0] == TLS_HANDSHAKE {
        return Err(ProtocolError::Tls);
    }
    if !limits.inline {
        return refuse(input);
    }
    let longest = INLINE_BYTES_MAX.min(limits.request_bytes_max as usize);
    let searched = &input[..input.len().min(longest)];
    let Some(found) = memchr::memchr(b'\n', searched.get(*scanned..).unwrap_or_default()) else {
        if searched.len() == longest {
            return Err(ProtocolError::InlineTooLong);
        }
        *scanned = searched.len();
        return Ok(Step::Incomplete(1));
    };
    let end = *scanned + found;
    let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
    split(limits, line, args)?;
    Ok(if args.is_empty() { Step::Skip(end + 1) } else { Step::Complete(end + 1) })
}

/// Which refusal it is must not depend on how the network cut the bytes: while they may still become one of the
/// openings of HTTP, wait for the next byte.
fn refuse(input: &[u8]) -> Result<Step, ProtocolError> {
    let mut undecided = false;
    for opening in HTTP_OPENINGS {
        let shared = opening.len().min(input.len());
        if opening[..shared].eq_ignore_ascii_case(&input[..shared]) {
            if shared == opening.len() {
                return Err(ProtocolError::Http);
            }
            undecided = true;
        }
    }
    if undecided { Ok(Step::Incomplete(1)) } else { Err(ProtocolError::InlineRefused { got: input[0] }) }
}

/// Splits a line at spaces and tabs.
fn split(limits: &Limits, line: &[u8], args: &mut Vec<ArgRange>) -> Result<(), ProtocolError> {
    if is_http(line) {
        return Err(ProtocolError::Http);
    }
    if memchr::memchr3(b'"', b'\'', b'\\', line).is_some() {
        return Err(ProtocolError::InlineQuoted);
    }
    let mut start = 0;
    for word in line.split(|byte| matches!(byte, b' ' | b'\t')) {
        let end = start + word.len();
        if !word.is_empty() {
            limits.check_args(args.len() as i64 + 1)?;
            limits.check_bulk(word.len() as i64)?;
            args.push(ArgRange { start: start as u32, end: end as u32 });
        }
        start = end + 1;
    }
    Ok(())
}

/// `GET key` is a command here, so only what no command looks like counts.
fn is_http(line: &[u8]) -> bool {
    let begins =
        |opening: &[u8]| line.get(..opening.len()).is_some_and(|start| start.eq_ignore_ascii_case(opening));
    begins(b"POST ")
        || begins(b"Host:")
        || line.rsplit(|byte| *byte == b' ').next().is_some_and(|word| word.starts_with(b"HTTP/"))
}
