//! Writes replies in the version of RESP that a connection speaks.
//! It must never let a text break out of its line, or write RESP3 to a RESP2 client.

use std::fmt::{self, Write as _};

use crate::{Protocol, Value};

/// Replies that are always the same, as they stand on the wire.
///
/// ```
/// assert_eq!(landfall_resp::wire::OK, b"+OK\r\n");
/// ```
pub mod wire {
    /// Success without a value.
    pub const OK: &[u8] = b"+OK\r\n";
    /// The answer to PING.
    pub const PONG: &[u8] = b"+PONG\r\n";
    /// A command was queued by MULTI.
    pub const QUEUED: &[u8] = b"+QUEUED\r\n";
    /// No value, in RESP2.
    pub const NULL_BULK: &[u8] = b"$-1\r\n";
    /// No array, in RESP2.
    pub const NULL_ARRAY: &[u8] = b"*-1\r\n";
    /// No value, in RESP3.
    pub const NULL: &[u8] = b"_\r\n";
    /// Zero, and false in RESP2.
    pub const ZERO: &[u8] = b":0\r\n";
    /// One, and true in RESP2.
    pub const ONE: &[u8] = b":1\r\n";
    /// True, in RESP3.
    pub const TRUE: &[u8] = b"#t\r\n";
    /// False, in RESP3.
    pub const FALSE: &[u8] = b"#f\r\n";
    /// An array without items.
    pub const EMPTY_ARRAY: &[u8] = b"*0\r\n";
    /// A text without bytes.
    pub const EMPTY_BULK: &[u8] = b"$0\r\n\r\n";
}

/// An error or simple string is cut here, so that a client's own bytes in it stay small.
const LINE_BYTES_MAX: usize = 1024;

/// Appends replies to a buffer. What RESP2 cannot express becomes what Redis sends a RESP2 client instead.
///
/// Every method writes one whole value, but for the headers: these are followed by as many values as they announce.
///
/// ```
/// use landfall_resp::{Protocol, ReplyWriter};
///
/// let mut out = Vec::new();
/// for protocol in [Protocol::Resp2, Protocol::Resp3] {
///     let mut reply = ReplyWriter::new(&mut out, protocol);
///     reply.map_header(1);
///     reply.bulk(b"open");
///     reply.bool(true);
/// }
/// assert_eq!(out, b"*2\r\n$4\r\nopen\r\n:1\r\n%1\r\n$4\r\nopen\r\n#t\r\n");
/// ```
#[derive(Debug)]
pub struct ReplyWriter<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> ReplyWriter<'a> {
    /// A buffer with more bytes than this gets no further bulk strings: a request can ask for one large value a million
    /// times. What stands in such a buffer is cut off, so it must not be sent.
    pub const OUT_BYTES_MAX: usize = 256 * 1024 * 1024;

    /// A writer that appends to `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// Changes the version for what follows, as HELLO does before its own reply.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// The version that is written.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(wire::OK);
    }

    /// `+PONG`.
    #[inline]
    pub fn pong(&mut self) {
        self.out.extend_from_slice(wire::PONG);
    }

    /// `+QUEUED`.
    #[inline]
    pub fn queued(&mut self) {
        self.out.extend_from_slice(wire::QUEUED);
    }

    /// A simple string. Control characters become spaces, and it is cut after 1 KiB: it is for short texts of our own.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', format_args!("{text}"));
    }

    /// An error: prefix, space, message. Control characters become spaces, and it is cut after 1 KiB.
    ///
    /// ```
    /// use landfall_resp::{Protocol, ReplyWriter};
    ///
    /// let mut out = Vec::new();
    /// ReplyWriter::new(&mut out, Protocol::Resp3).error("ERR no\r\n+OK\r\n");
    /// assert_eq!(out, b"-ERR no  +OK  \r\n");
    /// ```
    pub fn error(&mut self, line: &str) {
        self.line(b'-', format_args!("{line}"));
    }

    /// [`error`](Self::error) without a `String` in between.
    ///
    /// ```
    /// use landfall_resp::{Protocol, ReplyWriter};
    ///
    /// let mut out = Vec::new();
    /// let command = "get";
    /// ReplyWriter::new(&mut out, Protocol::Resp2).error_fmt(format_args!("ERR wrong number of arguments for '{command}' command"));
    /// assert_eq!(out, b"-ERR wrong number of arguments for 'get' command\r\n");
    /// ```
    pub fn error_fmt(&mut self, line: fmt::Arguments<'_>) {
        self.line(b'-', line);
    }

    /// A signed 64-bit integer.
    #[inline]
    pub fn integer(&mut self, number: i64) {
        match number {
            0 => self.out.extend_from_slice(wire::ZERO),
            1 => self.out.extend_from_slice(wire::ONE),
            _ => self.header(b':', number),
        }
    }

    /// A double; in RESP2 a bulk string of it. The shortest text that reads back as the same number.
    pub fn double(&mut self, number: f64) {
        let mut text = Line::<32>::new();
        // Writing to a `Line` never fails; the longest double has 24 bytes, so none is cut.
        let _ = if number.is_nan() {
            text.write_str("nan")
        } else if number.is_infinite() || number == 0.0 || (1e-5..1e17).contains(&number.abs()) {
            write!(text, "{number}")
        } else {
            write!(text, "{number:e}")
        };
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => self.text_line(b',', text.as_bytes()),
        }
    }

    /// A boolean; in RESP2 the integer 1 or 0.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.out.extend_from_slice(match (self.protocol, value) {
            (Protocol::Resp2, true) => wire::ONE,
            (Protocol::Resp2, false) => wire::ZERO,
            (Protocol::Resp3, true) => wire::TRUE,
            (Protocol::Resp3, false) => wire::FALSE,
        });
    }

    /// No value, where a string or number would stand.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => wire::NULL_BULK,
            Protocol::Resp3 => wire::NULL,
        });
    }

    /// No value, where an array would stand, as when EXEC was refused by WATCH.
    #[inline]
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => wire::NULL_ARRAY,
            Protocol::Resp3 => wire::NULL,
        });
    }

    /// A bulk string: any bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if self.out.len() > Self::OUT_BYTES_MAX {
            return;
        }
        self.out.reserve(bytes.len() + 24);
        self.header(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A bulk string, or null if there is none.
    #[inline]
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// One bulk string whose bytes lie in several places.
    ///
    /// ```
    /// use landfall_resp::{Protocol, ReplyWriter};
    ///
    /// let mut out = Vec::new();
    /// ReplyWriter::new(&mut out, Protocol::Resp2).bulk_from_parts(&[b"1700000000000", b"-", b"0"]);
    /// assert_eq!(out, b"$15\r\n1700000000000-0\r\n");
    /// ```
    pub fn bulk_from_parts(&mut self, parts: &[&[u8]]) {
        let bytes = parts.iter().map(|part| part.len()).sum::<usize>();
        self.out.reserve(bytes + 24);
        self.header(b'$', bytes);
        for part in parts {
            self.out.extend_from_slice(part);
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// A text for people with its format, `txt` or `mkd`; in RESP2 a bulk string without the format.
    pub fn verbatim(&mut self, format: &[u8; 3], text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.header(b'=', text.len() + 4);
                self.out.extend_from_slice(format);
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// A number of any size, given in decimal digits; in RESP2 a bulk string of it. Control characters become spaces.
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits.as_bytes()),
            Protocol::Resp3 => {
                self.out.push(b'(');
                self.out.extend(digits.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// `items` values follow.
    #[inline]
    pub fn array_header(&mut self, items: usize) {
        self.header(b'*', items);
    }

    /// `pairs` times a key and a value follow; in RESP2 an array of twice as many.
    #[inline]
    pub fn map_header(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', pairs * 2),
            Protocol::Resp3 => self.header(b'%', pairs),
        }
    }

    /// `items` values without order follow; in RESP2 an array.
    #[inline]
    pub fn set_header(&mut self, items: usize) {
        self.resp3_header(b'~', items);
    }

    /// `items` values of a message that answers no request follow; in RESP2 an array.
    #[inline]
    pub fn push_header(&mut self, items: usize) {
        self.resp3_header(b'>', items);
    }

    /// A whole value. It goes as deep as the value does: one from a [`ReplyDecoder`](crate::ReplyDecoder) is never deep.
    ///
    /// ```
    /// use landfall_resp::{Protocol, ReplyWriter, Value};
    ///
    /// let mut out = Vec::new();
    /// ReplyWriter::new(&mut out, Protocol::Resp3).value(&Value::Set(vec![Value::Integer(1), Value::Null]));
    /// assert_eq!(out, b"~2\r\n:1\r\n_\r\n");
    /// ```
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Simple(text) => self.line(b'+', format_args!("{}", String::from_utf8_lossy(text))),
            Value::Error(text) => self.line(b'-', format_args!("{}", String::from_utf8_lossy(text))),
            Value::Integer(number) => self.integer(*number),
            Value::Double(number) => self.double(*number),
            Value::Bool(value) => self.bool(*value),
            Value::Null => self.null(),
            Value::Bulk(bytes) => self.bulk(bytes),
            Value::Verbatim { format, text } => self.verbatim(format, text),
            Value::BigNumber(digits) => self.big_number(&String::from_utf8_lossy(digits)),
            Value::Map(pairs) => {
                self.map_header(pairs.len());
                for (key, value) in pairs {
                    self.value(key);
                    self.value(value);
                }
            }
            Value::Array(items) => self.items(b'*', items),
            Value::Set(items) => self.items(b'~', items),
            Value::Push(items) => self.items(b'>', items),
        }
    }

    fn items(&mut self, kind: u8, items: &[Value]) {
        self.resp3_header(kind, items.len());
        for item in items {
            self.value(item);
        }
    }

    #[inline]
    fn resp3_header(&mut self, kind: u8, items: usize) {
        self.header(if self.protocol == Protocol::Resp3 { kind } else { b'*' }, items);
    }

    #[inline]
    fn header<N: itoa::Integer>(&mut self, kind: u8, number: N) {
        self.text_line(kind, itoa::Buffer::new().format(number).as_bytes());
    }

    #[inline]
    fn text_line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, kind: u8, text: fmt::Arguments<'_>) {
        let mut line = Line::<LINE_BYTES_MAX>::new();
        // A `Display` of the caller may fail half-way: what it wrote is sent, since exactly one reply is due.
        let _ = line.write_fmt(text);
        self.text_line(kind, line.as_bytes());
    }
}

/// A text on the stack that is safe on one line of the protocol: no control characters, at most `BYTES_MAX` long.
struct Line<const BYTES_MAX: usize> {
    bytes: [u8; BYTES_MAX],
    length: usize,
    full: bool,
}

impl<const BYTES_MAX: usize> Line<BYTES_MAX> {
    fn new() -> Self {
        Self { bytes: [0; BYTES_MAX], length: 0, full: false }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl<const BYTES_MAX: usize> fmt::Write for Line<BYTES_MAX> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let character = if character.is_control() { ' ' } else { character };
            // Once cut, stay cut: a shorter character after the cut must not slip in.
            self.full |= self.length + character.len_utf8() > BYTES_MAX;
            if self.full {
                break;
            }
            self.length += character.encode_utf8(&mut self.bytes[self.length..]).len();
        }
        Ok(())
    }
}
