//! Why bytes from a peer were refused, in words that may be sent back to it.
//! A text here must never hold more of the peer's bytes than one escaped character.

use std::fmt;

/// Why a client's bytes are no request. Always fatal for the connection: answer with it, then close.
///
/// The text is Redis' own where Redis has one, without the `ERR ` in front.
///
/// ```
/// use landfall_resp::{Limits, RequestDecoder};
///
/// let mut decoder = RequestDecoder::new(Limits::authenticated());
/// let error = decoder.decode(b"*1\r\n:5\r\n").unwrap_err();
/// assert_eq!(error.to_string(), "Protocol error: expected '$', got ':'");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The number of arguments is no number, or above the limit.
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// The number of arguments is above what a peer may send before AUTH.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// The size of an argument is no number, negative, or above the limit.
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// The size of an argument is above what a peer may send before AUTH.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// The line with the number of arguments does not end.
    #[error("Protocol error: too big mbulk count string")]
    MultibulkCountTooLong,
    /// The line with the size of an argument does not end.
    #[error("Protocol error: too big bulk count string")]
    BulkCountTooLong,
    /// An argument does not begin with `$`.
    #[error("Protocol error: expected '$', got '{}'", Shown(*.got))]
    ExpectedBulk {
        /// The byte that stood there.
        got: u8,
    },
    /// An argument is not followed by CR LF. Redis does not look; here it means the peer's lengths are wrong.
    #[error("Protocol error: expected CRLF after bulk")]
    BulkUnterminated,
    /// The whole request is above the limit.
    #[error("Protocol error: too big request")]
    RequestTooBig,
    /// The request does not begin with `*`, and inline commands are off.
    #[error("Protocol error: expected '*', got '{}'", Shown(*.got))]
    InlineRefused {
        /// The byte that stood there.
        got: u8,
    },
    /// An inline command's line does not end.
    #[error("Protocol error: too big inline request")]
    InlineTooLong,
    /// An inline command with a quote or a backslash, which here would have to be unescaped.
    #[error("Protocol error: quotes in inline request, send an array of bulks")]
    InlineQuoted,
    /// The peer speaks HTTP: perhaps a browser that was tricked. Closing without a word, and counting it, is best.
    #[error("Protocol error: HTTP request to a RESP port")]
    Http,
    /// The peer opens a TLS session on a port without TLS.
    #[error("Protocol error: TLS handshake to a port without TLS")]
    Tls,
}

/// Why a server's bytes are no reply. Always fatal for the connection: the next reply cannot be found any more.
///
/// ```
/// use landfall_resp::{ReplyDecoder, ReplyError, ReplyLimits};
///
/// let mut decoder = ReplyDecoder::new(ReplyLimits::default());
/// assert_eq!(decoder.decode(b"?what\r\n"), Err(ReplyError::UnknownType { got: b'?' }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A value begins with a byte that no type has.
    #[error("reply: unknown type '{}'", Shown(*.got))]
    UnknownType {
        /// The byte that stood there.
        got: u8,
    },
    /// A length is no number, or negative where it may not be, or of a streamed type.
    #[error("reply: invalid length")]
    InvalidLength,
    /// A number, boolean, null or verbatim string is not written as its type wants it.
    #[error("reply: malformed value of type '{}'", Shown(*.kind))]
    Malformed {
        /// The type's first byte on the wire.
        kind: u8,
    },
    /// A line or bulk does not end in CR LF.
    #[error("reply: expected CRLF")]
    Unterminated,
    /// A line is above [`ReplyLimits::line_bytes_max`](crate::ReplyLimits::line_bytes_max).
    #[error("reply: line too long")]
    LineTooLong,
    /// A bulk is above [`ReplyLimits::bulk_bytes_max`](crate::ReplyLimits::bulk_bytes_max).
    #[error("reply: bulk too long")]
    BulkTooLong,
    /// The reply is above [`ReplyLimits::values_max`](crate::ReplyLimits::values_max).
    #[error("reply: too many values")]
    TooManyValues,
    /// The reply is above [`ReplyLimits::depth_max`](crate::ReplyLimits::depth_max).
    #[error("reply: nested too deep")]
    TooDeep,
    /// The reply is above [`ReplyLimits::reply_bytes_max`](crate::ReplyLimits::reply_bytes_max).
    #[error("reply: too big")]
    TooBig,
}

/// One byte of the peer, escaped so that it is harmless in a line of the protocol and in a log.
struct Shown(u8);

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            quote @ (b'\'' | b'"' | b'\\') => write!(formatter, "{}", char::from(quote)),
            byte => write!(formatter, "{}", byte.escape_ascii()),
        }
    }
}
