//! How much a peer may ask for before it is refused.
//! A limit must never be used to allocate ahead: it bounds what is accepted, not what is reserved.

use crate::ProtocolError;

/// Redis refuses a longer bulk whoever sends it (`proto-max-bulk-len`), in other words than an unauthenticated one.
const BULK_BYTES_NEVER_VALID: i64 = 512 * 1024 * 1024;

/// The limits of one connection's requests.
///
/// A peer that has not logged in gets very little, so that it cannot make the server hold memory.
/// After AUTH call [`RequestDecoder::set_limits`](crate::RequestDecoder::set_limits).
///
/// ```
/// use landfall_resp::{Limits, ProtocolError, RequestDecoder};
///
/// let mut decoder = RequestDecoder::new(Limits::unauthenticated());
/// assert_eq!(decoder.decode(b"*11\r\n").unwrap_err(), ProtocolError::UnauthenticatedMultibulkLength);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Arguments of one request, the command's name included.
    pub args_max: u32,
    /// Bytes of one argument.
    pub bulk_bytes_max: u32,
    /// Bytes of one whole request on the wire, headers included.
    pub request_bytes_max: u32,
    /// Whether the peer has logged in; decides in which words a length over the limit is refused.
    pub authenticated: bool,
    /// Whether a line that is not an array of bulks is taken as an inline command (`PING\r\n`).
    /// Off unless asked for: a browser can be made to send lines to any port.
    pub inline: bool,
}

impl Limits {
    /// Before AUTH: 10 arguments, 16 KiB an argument, as Redis and Valkey have it.
    pub const fn unauthenticated() -> Self {
        Self {
            args_max: 10,
            bulk_bytes_max: 16 * 1024,
            request_bytes_max: 176 * 1024,
            authenticated: false,
            inline: false,
        }
    }

    /// After AUTH, or where none is needed: 1,048,576 arguments, 64 MiB an argument, 512 MiB a request.
    pub const fn authenticated() -> Self {
        Self {
            args_max: 1024 * 1024,
            bulk_bytes_max: 64 * 1024 * 1024,
            request_bytes_max: 512 * 1024 * 1024,
            authenticated: true,
            inline: false,
        }
    }

    /// The number of arguments a request may announce, or why not. Zero and less mean an empty request.
    pub(crate) fn check_args(&self, declared: i64) -> Result<u32, ProtocolError> {
        match u32::try_from(declared.max(0)) {
            Ok(count) if count <= self.args_max => Ok(count),
            Ok(count) if !self.authenticated && i32::try_from(count).is_ok() => {
                Err(ProtocolError::UnauthenticatedMultibulkLength)
            }
            _ => Err(ProtocolError::InvalidMultibulkLength),
        }
    }

    /// The size an argument may announce, or why not.
    pub(crate) fn check_bulk(&self, declared: i64) -> Result<usize, ProtocolError> {
        if (0..=i64::from(self.bulk_bytes_max)).contains(&declared) {
            Ok(declared as usize)
        } else if !self.authenticated && (0..=BULK_BYTES_NEVER_VALID).contains(&declared) {
            Err(ProtocolError::UnauthenticatedBulkLength)
        } else {
            Err(ProtocolError::InvalidBulkLength)
        }
    }
}

/// The limits of one connection's replies, on the client's side.
///
/// ```
/// use landfall_resp::{ReplyDecoder, ReplyError, ReplyLimits};
///
/// let limits = ReplyLimits { depth_max: 1, ..ReplyLimits::default() };
/// assert_eq!(ReplyDecoder::new(limits).decode(b"*1\r\n*1\r\n:1\r\n"), Err(ReplyError::TooDeep));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyLimits {
    /// Arrays, maps, sets and pushes inside one another.
    pub depth_max: u8,
    /// Values in one reply, counted at every depth. A value takes 32 bytes of memory and as little as 3 on the wire.
    pub values_max: u32,
    /// Bytes of one bulk string.
    pub bulk_bytes_max: u32,
    /// Bytes of one simple string, error, number or other line.
    pub line_bytes_max: u32,
    /// Bytes of one whole reply on the wire.
    pub reply_bytes_max: u32,
}

impl Default for ReplyLimits {
    /// Depth 32, 16 Mi values, 512 MiB a bulk, 64 KiB a line, 1 GiB a reply: more than Landfall ever sends.
    fn default() -> Self {
        Self {
            depth_max: 32,
            values_max: 16 * 1024 * 1024,
            bulk_bytes_max: 512 * 1024 * 1024,
            line_bytes_max: 64 * 1024,
            reply_bytes_max: 1024 * 1024 * 1024,
        }
    }
}
