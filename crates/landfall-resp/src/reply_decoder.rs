//! Reads the replies of a server, on a client's side.
//! It must never recurse, look twice at bytes it has passed, or allocate by a declared length.
//!
//! Open arrays, maps, sets and pushes wait on a stack with the values they have so far; a scalar is added to the topmost,
//! and whatever becomes full by that is closed and added to the one below. The stack outlives a call, so a reply that
//! arrives in pieces is read once.

use atoi::FromRadix10SignedChecked;

use crate::line::{LengthLine, length_line};
use crate::value::paired;
use crate::{ReplyError, ReplyLimits, Value};

/// Items a container has room for at once, however many it announces; it grows as they arrive.
const ITEMS_RESERVED_MAX: usize = 16;

/// No value is shorter on the wire: `_\r\n`.
const VALUE_BYTES_MIN: usize = 3;

/// What the decoder found at the front of the input.
///
/// ```
/// use landfall_resp::{DecodedReply, ReplyDecoder, ReplyLimits};
///
/// let mut decoder = ReplyDecoder::new(ReplyLimits::default());
/// assert_eq!(decoder.decode(b"$5\r\nhel"), Ok(DecodedReply::Incomplete { needed_bytes_hint: 4 }));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum DecodedReply {
    /// One reply. Drop `consumed` bytes before the next call.
    Complete {
        /// The reply.
        value: Value,
        /// Bytes of the input that were the reply.
        consumed: usize,
    },
    /// The reply goes on. Keep the bytes and call again when more have come.
    Incomplete {
        /// Bytes that must come at least before the next step is possible.
        needed_bytes_hint: usize,
    },
}

/// An incremental decoder of replies, one for each connection, with the same calling rules as
/// [`RequestDecoder`](crate::RequestDecoder).
///
/// ```
/// use landfall_resp::{DecodedReply, ReplyDecoder, ReplyLimits, Value};
///
/// let mut decoder = ReplyDecoder::new(ReplyLimits::default());
/// let mut unparsed = b"*2\r\n:1\r\n".to_vec();
/// assert!(matches!(decoder.decode(&unparsed), Ok(DecodedReply::Incomplete { .. })));
///
/// unparsed.extend_from_slice(b"#f\r\n");
/// let value = Value::Array(vec![Value::Integer(1), Value::Bool(false)]);
/// assert_eq!(decoder.decode(&unparsed), Ok(DecodedReply::Complete { value, consumed: 12 }));
/// ```
#[derive(Debug)]
pub struct ReplyDecoder {
    limits: ReplyLimits,
    /// Bytes of the current reply that are decoded.
    position: usize,
    /// Bytes of the line at `position` that hold no CR.
    scanned: usize,
    /// Values of the current reply so far, containers and attributes included.
    values: u32,
    open: Vec<Container>,
    failed: Option<ReplyError>,
}

#[derive(Debug)]
struct Container {
    kind: Kind,
    items_left: usize,
    items: Vec<Value>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Array,
    Map,
    Set,
    Push,
    /// Facts about the value that follows; read and dropped.
    Attribute,
}

/// The next piece of a reply.
enum Piece {
    Scalar(Value),
    Open { kind: Kind, items: usize },
    Incomplete(usize),
}

impl ReplyDecoder {
    /// A decoder at the beginning of a connection.
    pub fn new(limits: ReplyLimits) -> Self {
        Self { limits, position: 0, scanned: 0, values: 0, open: Vec::new(), failed: None }
    }

    /// Forgets the current reply and any error, for a new connection.
    pub fn reset(&mut self) {
        self.begin();
        self.failed = None;
    }

    /// Looks for one reply at the front of `input`. An error is final: the connection is to be closed.
    pub fn decode(&mut self, input: &[u8]) -> Result<DecodedReply, ReplyError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.advance(input).inspect_err(|error| {
            self.begin();
            self.failed = Some(*error);
        })
    }

    fn begin(&mut self) {
        self.position = 0;
        self.scanned = 0;
        self.values = 0;
        self.open.clear();
    }

    fn advance(&mut self, input: &[u8]) -> Result<DecodedReply, ReplyError> {
        loop {
            let value = match self.next_piece(input)? {
                Piece::Incomplete(needed_bytes_hint) => {
                    return Ok(DecodedReply::Incomplete { needed_bytes_hint });
                }
                Piece::Scalar(value) => Some(value),
                Piece::Open { kind, items: 0 } => kind.close(Vec::new()),
                Piece::Open { kind, items } => {
                    self.open(kind, items, input.len() - self.position)?;
                    None
                }
            };
            let Some(value) = value.and_then(|value| self.add(value)) else { continue };
            let consumed = self.position;
            self.begin();
            return Ok(DecodedReply::Complete { value, consumed });
        }
    }

    fn open(&mut self, kind: Kind, items_left: usize, received: usize) -> Result<(), ReplyError> {
        if self.open.len() >= usize::from(self.limits.depth_max) {
            return Err(ReplyError::TooDeep);
        }
        let room = items_left.min(received / VALUE_BYTES_MIN).min(ITEMS_RESERVED_MAX);
        self.open.push(Container { kind, items_left, items: Vec::with_capacity(room) });
        Ok(())
    }

    /// Adds a value where it belongs. Gives back the whole reply when that completes it.
    fn add(&mut self, mut value: Value) -> Option<Value> {
        loop {
            let Some(mut container) = self.open.pop() else { return Some(value) };
            container.items.push(value);
            container.items_left -= 1;
            if container.items_left > 0 {
                self.open.push(container);
                return None;
            }
            value = container.kind.close(container.items)?;
        }
    }

    fn next_piece(&mut self, input: &[u8]) -> Result<Piece, ReplyError> {
        let rest = input.get(self.position..).unwrap_or_default();
        let Some((&kind, after)) = rest.split_first() else { return Ok(Piece::Incomplete(1)) };
        match kind {
            b'$' | b'!' | b'=' => self.bulk(kind, after),
            b'*' => self.container(Kind::Array, after),
            b'%' => self.container(Kind::Map, after),
            b'~' => self.container(Kind::Set, after),
            b'>' => self.container(Kind::Push, after),
            b'|' => self.container(Kind::Attribute, after),
            b'+' | b'-' | b':' | b',' | b'#' | b'_' | b'(' => self.line(kind, after),
            got => Err(ReplyError::UnknownType { got }),
        }
    }

    /// A container's header.
    fn container(&mut self, kind: Kind, after: &[u8]) -> Result<Piece, ReplyError> {
        let Some((declared, end)) = length(after)? else { return Ok(Piece::Incomplete(1)) };
        if declared == -1 && matches!(kind, Kind::Array) {
            self.pass(1 + end)?;
            return Ok(Piece::Scalar(Value::Null));
        }
        let declared = u32::try_from(declared)
            .map_err(|_| if declared < 0 { ReplyError::InvalidLength } else { ReplyError::TooManyValues })?;
        let items = u64::from(declared) * if matches!(kind, Kind::Map | Kind::Attribute) { 2 } else { 1 };
        if items > u64::from(self.limits.values_max) {
            return Err(ReplyError::TooManyValues);
        }
        self.pass(1 + end)?;
        Ok(Piece::Open { kind, items: items as usize })
    }

    /// A value with a length in front.
    fn bulk(&mut self, kind: u8, after: &[u8]) -> Result<Piece, ReplyError> {
        let Some((declared, end)) = length(after)? else { return Ok(Piece::Incomplete(1)) };
        if declared == -1 && kind == b'$' {
            self.pass(1 + end)?;
            return Ok(Piece::Scalar(Value::Null));
        }
        if declared < 0 {
            return Err(ReplyError::InvalidLength);
        }
        if declared > i64::from(self.limits.bulk_bytes_max) {
            return Err(ReplyError::BulkTooLong);
        }
        let body = &after[end..];
        let length = declared as usize;
        let next = length.saturating_add(2);
        if self.position.saturating_add(1 + end).saturating_add(next) > self.limits.reply_bytes_max as usize {
            return Err(ReplyError::TooBig);
        }
        match body.get(length..next) {
            Some(b"\r\n") => {}
            Some(_) => return Err(ReplyError::Unterminated),
            None => return Ok(Piece::Incomplete(next - body.len())),
        }
        let value = bulk_value(kind, &body[..length])?;
        self.pass(1 + end + next)?;
        Ok(Piece::Scalar(value))
    }

    /// A value that ends with its line.
    fn line(&mut self, kind: u8, after: &[u8]) -> Result<Piece, ReplyError> {
        let longest = self.limits.line_bytes_max as usize;
        let searched = &after[..after.len().min(longest.saturating_add(1))];
        let Some(found) = memchr::memchr(b'\r', searched.get(self.scanned..).unwrap_or_default()) else {
            if searched.len() > longest {
                return Err(ReplyError::LineTooLong);
            }
            self.scanned = searched.len();
            return Ok(Piece::Incomplete(2));
        };
        let end = self.scanned + found;
        match after.get(end + 1) {
            Some(b'\n') => {}
            Some(_) => return Err(ReplyError::Unterminated),
            None => return Ok(Piece::Incomplete(1)),
        }
        let value = line_value(kind, &after[..end]).ok_or(ReplyError::Malformed { kind })?;
        self.pass(1 + end + 2)?;
        Ok(Piece::Scalar(value))
    }

    /// Moves on behind one value of the wire and counts it.
    fn pass(&mut self, bytes: usize) -> Result<(), ReplyError> {
        self.scanned = 0;
        self.position += bytes;
        self.values += 1;
        if self.position > self.limits.reply_bytes_max as usize {
            Err(ReplyError::TooBig)
        } else if self.values > self.limits.values_max {
            Err(ReplyError::TooManyValues)
        } else {
            Ok(())
        }
    }
}

impl Kind {
    /// The value of a container that has all its items; an attribute has none.
    fn close(self, items: Vec<Value>) -> Option<Value> {
        match self {
            Self::Array => Some(Value::Array(items)),
            Self::Set => Some(Value::Set(items)),
            Self::Push => Some(Value::Push(items)),
            Self::Map => Some(Value::Map(paired(items))),
            Self::Attribute => None,
        }
    }
}

/// The length on the line at the front of `input` and the bytes of the line, or nothing while it is incomplete.
fn length(input: &[u8]) -> Result<Option<(i64, usize)>, ReplyError> {
    match length_line(input) {
        LengthLine::Complete { value, end } => Ok(Some((value, end))),
        LengthLine::Incomplete => Ok(None),
        LengthLine::Invalid | LengthLine::TooLong => Err(ReplyError::InvalidLength),
    }
}

fn bulk_value(kind: u8, body: &[u8]) -> Result<Value, ReplyError> {
    match kind {
        b'$' => Ok(Value::Bulk(body.to_vec())),
        b'!' => Ok(Value::Error(body.to_vec())),
        _ => match body {
            [first, second, third, b':', text @ ..] => {
                Ok(Value::Verbatim { format: [*first, *second, *third], text: text.to_vec() })
            }
            _ => Err(ReplyError::Malformed { kind }),
        },
    }
}

/// The value on a line, or nothing if it is not written as its type wants it.
fn line_value(kind: u8, line: &[u8]) -> Option<Value> {
    match (kind, line) {
        (b'+', text) => Some(Value::Simple(text.to_vec())),
        (b'-', text) => Some(Value::Error(text.to_vec())),
        (b':', digits) => integer(digits).map(Value::Integer),
        (b',', digits) => double(digits).map(Value::Double),
        (b'#', b"t") => Some(Value::Bool(true)),
        (b'#', b"f") => Some(Value::Bool(false)),
        (b'_', b"") => Some(Value::Null),
        (b'(', digits) => is_whole_number(digits).then(|| Value::BigNumber(digits.to_vec())),
        _ => None,
    }
}

fn integer(digits: &[u8]) -> Option<i64> {
    match i64::from_radix_10_signed_checked(digits) {
        (Some(number), used) if used == digits.len() && is_whole_number(digits) => Some(number),
        _ => None,
    }
}

fn double(digits: &[u8]) -> Option<f64> {
    match digits {
        b"inf" | b"+inf" => Some(f64::INFINITY),
        b"-inf" => Some(f64::NEG_INFINITY),
        b"nan" | b"-nan" => Some(f64::NAN),
        // The standard library would also take `infinity` and `NaN`.
        _ if digits.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte)) => {
            std::str::from_utf8(digits).ok()?.parse().ok()
        }
        _ => None,
    }
}

fn is_whole_number(digits: &[u8]) -> bool {
    let unsigned = digits.strip_prefix(b"-").or_else(|| digits.strip_prefix(b"+")).unwrap_or(digits);
    !unsigned.is_empty() && unsigned.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::{Container, ReplyDecoder};
    use crate::{ReplyLimits, Value};

    /// Memory of the open containers; what scalars own was copied from the wire and is no larger.
    fn held_bytes(decoder: &ReplyDecoder) -> usize {
        let items: usize =
            decoder.open.iter().map(|container| container.items.capacity() * size_of::<Value>()).sum();
        items + decoder.open.capacity() * size_of::<Container>()
    }

    /// 32 levels with room for 16 values of 32 bytes, and the stack itself; then what grew as values arrived:
    /// 32 bytes for 3 on the wire, doubled by the growth of a `Vec`.
    fn allowed_bytes(received: usize) -> usize {
        24 * 1024 + received * 22
    }

    #[test]
    fn announced_items_take_no_memory() {
        for header in
            ["*16777216\r\n", "%8388608\r\n", "$536870912\r\n", "*16777216\r\n*16777215\r\n$536870912\r\n"]
        {
            let mut decoder = ReplyDecoder::new(ReplyLimits::default());
            assert!(decoder.decode(header.as_bytes()).is_ok());
            assert!(held_bytes(&decoder) < 2048, "{header:?} took {} bytes", held_bytes(&decoder));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn memory_follows_what_was_received(pieces in vec(select(vec!["*9999\r\n", "%9999\r\n", "_\r\n", "*0\r\n", ":1\r\n"]), 0..400)) {
            let input = pieces.concat();
            let mut decoder = ReplyDecoder::new(ReplyLimits::default());
            for received in (0..=input.len()).step_by(7) {
                if decoder.decode(&input.as_bytes()[..received]).is_err() {
                    break;
                }
                prop_assert!(held_bytes(&decoder) <= allowed_bytes(received), "{} of {received}", held_bytes(&decoder));
            }
        }
    }
}
