//! Finds requests in the bytes that a client sent, without copying them.
//! It must never look twice at bytes it has passed, allocate by a declared length, or panic on any input.
//!
//! While a request is incomplete the decoder keeps the place of the argument it stopped at and the ranges of those
//! before it. A call goes on there; only that argument's header, at most 34 bytes, is read again. So the work is
//! linear in the bytes received, however they were cut.

use crate::inline;
use crate::line::{LengthLine, length_line};
use crate::request::ArgRange;
use crate::{Limits, ProtocolError, Request};

/// Ranges kept between requests; a request with more arguments gives its memory back. 8 KiB a connection.
const ARGS_KEPT: usize = 1024;

/// What the decoder found at the front of the input.
///
/// ```
/// use landfall_resp::{Decoded, Limits, RequestDecoder};
///
/// let mut decoder = RequestDecoder::new(Limits::authenticated());
/// assert_eq!(decoder.decode(b"*0\r\n"), Ok(Decoded::Skip { consumed: 4 }));
/// assert_eq!(decoder.decode(b"*1\r\n$4\r\nPI"), Ok(Decoded::Incomplete { needed_bytes_hint: 4 }));
/// ```
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// One request. Drop `consumed` bytes before the next call.
    Complete {
        /// The request, borrowed from the input and the decoder.
        request: Request<'a>,
        /// Bytes of the input that were the request.
        consumed: usize,
    },
    /// An empty request (`*0`, `*-1`, an empty inline line): no reply. Drop `consumed` bytes and go on.
    Skip {
        /// Bytes of the input to drop.
        consumed: usize,
    },
    /// The request goes on. Keep the bytes and call again when more have come.
    Incomplete {
        /// Bytes that must come at least before the next step is possible. A peer chose this number: it may say how
        /// much to read, but a buffer must grow with what was received.
        needed_bytes_hint: usize,
    },
}

/// How far [`RequestDecoder::advance`] came.
pub(crate) enum Step {
    /// A request of this many bytes, its arguments in the decoder.
    Complete(usize),
    /// An empty request of this many bytes.
    Skip(usize),
    /// At least this many bytes are missing.
    Incomplete(usize),
}

/// An incremental decoder of requests, one for each connection.
///
/// Each call of [`decode`](Self::decode) gets the unconsumed bytes from the first byte of the current request on. Until
/// that request is complete the bytes may be moved in memory and more may follow, but those already seen must stay.
/// After an error the connection is to be closed; the decoder repeats the error until [`reset`](Self::reset).
///
/// ```
/// use landfall_resp::{Decoded, Limits, RequestDecoder};
///
/// let mut decoder = RequestDecoder::new(Limits::authenticated());
/// let mut unparsed = b"*2\r\n$3\r\nGET\r\n$1".to_vec();
/// assert!(matches!(decoder.decode(&unparsed), Ok(Decoded::Incomplete { .. })));
///
/// unparsed.extend_from_slice(b"\r\nk\r\n");
/// let Ok(Decoded::Complete { request, consumed }) = decoder.decode(&unparsed) else { panic!() };
/// assert_eq!((request.command(), &request[1]), (b"GET".as_slice(), b"k".as_slice()));
/// assert_eq!(consumed, unparsed.len());
/// ```
#[derive(Debug)]
pub struct RequestDecoder {
    limits: Limits,
    /// Arguments of the current request still to come; 0 before its header.
    args_left: u32,
    /// Bytes of the current request that need not be looked at again.
    position: usize,
    args: Vec<ArgRange>,
    failed: Option<ProtocolError>,
}

impl RequestDecoder {
    /// A decoder at the beginning of a connection. Allocates nothing before the first request.
    pub fn new(limits: Limits) -> Self {
        Self { limits, args_left: 0, position: 0, args: Vec::new(), failed: None }
    }

    /// Replaces the limits, as after AUTH. What the current request has already passed is not judged again.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Forgets the current request and any error, for a new connection. Keeps the limits.
    pub fn reset(&mut self) {
        self.failed = None;
        self.begin();
    }

    /// Memory the decoder holds, for a connection's account.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.args.capacity() * size_of::<ArgRange>()
    }

    /// Looks for one request at the front of `input`.
    #[inline]
    pub fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        match self.advance(input) {
            Ok(Step::Complete(consumed)) => {
                self.args_left = 0;
                self.position = 0;
                Ok(Decoded::Complete { request: Request::new(&input[..consumed], &self.args), consumed })
            }
            Ok(Step::Skip(consumed)) => {
                self.begin();
                Ok(Decoded::Skip { consumed })
            }
            Ok(Step::Incomplete(needed_bytes_hint)) => Ok(Decoded::Incomplete { needed_bytes_hint }),
            Err(error) => {
                self.failed = Some(error);
                Err(error)
            }
        }
    }

    fn begin(&mut self) {
        self.args_left = 0;
        self.position = 0;
        self.args.clear();
        if self.args.capacity() > ARGS_KEPT {
            self.args.shrink_to(ARGS_KEPT);
        }
    }

    #[inline]
    fn advance(&mut self, input: &[u8]) -> Result<Step, ProtocolError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.args_left == 0 {
            if self.position == 0 {
                self.begin();
            }
            match input.first() {
                None => return Ok(Step::Incomplete(1)),
                Some(b'*') => {}
                Some(_) => return inline::advance(&self.limits, input, &mut self.position, &mut self.args),
            }
            match length_line(&input[1..]) {
                LengthLine::Complete { value, end } => {
                    self.args_left = self.limits.check_args(value)?;
                    self.position = 1 + end;
                }
                LengthLine::Incomplete => return Ok(Step::Incomplete(1)),
                LengthLine::Invalid => return Err(ProtocolError::InvalidMultibulkLength),
                LengthLine::TooLong => return Err(ProtocolError::MultibulkCountTooLong),
            }
            if self.args_left == 0 {
                return Ok(Step::Skip(self.position));
            }
        }
        self.advance_args(input)
    }

    /// Reads arguments until the request is complete or the input ends.
    #[inline]
    fn advance_args(&mut self, input: &[u8]) -> Result<Step, ProtocolError> {
        loop {
            let rest = input.get(self.position..).unwrap_or_default();
            let (header, after) = match rest {
                [] => return Ok(Step::Incomplete(1)),
                [b'$', after @ ..] => (length_line(after), self.position + 1),
                [got, ..] => return Err(ProtocolError::ExpectedBulk { got: *got }),
            };
            let (declared, start) = match header {
                LengthLine::Complete { value, end } => (value, after + end),
                LengthLine::Incomplete => return Ok(Step::Incomplete(1)),
                LengthLine::Invalid => return Err(ProtocolError::InvalidBulkLength),
                LengthLine::TooLong => return Err(ProtocolError::BulkCountTooLong),
            };
            // Saturating only matters where an address has 32 bits; the comparison below then refuses.
            let end = start.saturating_add(self.limits.check_bulk(declared)?);
            let next = end.saturating_add(2);
            if next > self.limits.request_bytes_max as usize {
                return Err(ProtocolError::RequestTooBig);
            }
            match input.get(end..next) {
                Some(b"\r\n") => {}
                Some(_) => return Err(ProtocolError::BulkUnterminated),
                None => return Ok(Step::Incomplete(next - input.len())),
            }
            // Both fit: `next` is at most `request_bytes_max`, which has 32 bits.
            self.args.push(ArgRange { start: start as u32, end: end as u32 });
            self.position = next;
            self.args_left -= 1;
            if self.args_left == 0 {
                return Ok(Step::Complete(next));
            }
        }
    }
}
