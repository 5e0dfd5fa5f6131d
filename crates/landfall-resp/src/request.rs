//! One request: a view of its arguments where they were received, an owned copy for later, and its form on the wire.
//! It must never show its arguments in a debug print: they hold keys, values and passwords.

use std::fmt;
use std::ops::Index;

/// Where an argument lies, from the request's first byte on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ArgRange {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// A request whose arguments still lie in the caller's buffer. It has at least one argument, the command's name.
///
/// ```
/// use landfall_resp::{Decoded, Limits, RequestDecoder};
///
/// let mut decoder = RequestDecoder::new(Limits::authenticated());
/// let Ok(Decoded::Complete { request, .. }) = decoder.decode(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n") else { panic!() };
/// assert_eq!(request.command(), b"SET");
/// assert_eq!(request.arg_count(), 3);
/// assert_eq!(&request[1], b"k"); // panics beyond the end, as a slice does: check the arity first
/// assert_eq!(request.arg(7), None);
/// assert_eq!(request.args().skip(1).collect::<Vec<_>>(), [b"k", b"v"]);
/// ```
#[derive(Clone, Copy)]
pub struct Request<'a> {
    bytes: &'a [u8],
    args: &'a [ArgRange],
}

impl<'a> Request<'a> {
    /// `bytes` are the request's own; every range lies inside them, and there is at least one.
    pub(crate) fn new(bytes: &'a [u8], args: &'a [ArgRange]) -> Self {
        Self { bytes, args }
    }

    /// The command's name as the client wrote it, in any case.
    #[inline]
    pub fn command(&self) -> &'a [u8] {
        self.arg(0).unwrap_or_default()
    }

    /// Arguments, the command's name included.
    #[inline]
    pub fn arg_count(&self) -> usize {
        self.args.len()
    }

    /// One argument; number 0 is the command's name.
    #[inline]
    pub fn arg(&self, index: usize) -> Option<&'a [u8]> {
        let range = self.args.get(index)?;
        self.bytes.get(range.start as usize..range.end as usize)
    }

    /// All arguments, the command's name first.
    #[inline]
    pub fn args(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone + use<'a> {
        let bytes = self.bytes;
        self.args.iter().map(move |range| &bytes[range.start as usize..range.end as usize])
    }

    /// The request as it came over the wire.
    #[inline]
    pub fn wire_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// A copy that outlives the buffer: two allocations, however many arguments there are.
    pub fn to_owned_request(&self) -> OwnedRequest {
        OwnedRequest { bytes: self.bytes.into(), args: self.args.into() }
    }
}

impl Index<usize> for Request<'_> {
    type Output = [u8];

    #[inline]
    fn index(&self, index: usize) -> &[u8] {
        let range = self.args[index];
        &self.bytes[range.start as usize..range.end as usize]
    }
}

/// Two requests are equal when their arguments are, however they were written on the wire.
impl PartialEq for Request<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.args().eq(other.args())
    }
}

impl Eq for Request<'_> {}

/// Shows sizes only.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Request")
            .field("arg_count", &self.args.len())
            .field("wire_bytes", &self.bytes.len())
            .finish()
    }
}

/// A request that outlives the buffer it came in: queued by MULTI, or waiting for the database.
///
/// ```
/// use landfall_resp::{Decoded, Limits, RequestDecoder};
///
/// let mut queue = Vec::new();
/// let mut decoder = RequestDecoder::new(Limits::authenticated());
/// if let Ok(Decoded::Complete { request, .. }) = decoder.decode(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n") {
///     queue.push(request.to_owned_request());
/// }
/// assert_eq!(queue[0].as_request().command(), b"INCR");
/// assert!(queue[0].held_bytes() < 256);
/// ```
#[derive(Clone)]
pub struct OwnedRequest {
    bytes: Box<[u8]>,
    args: Box<[ArgRange]>,
}

impl OwnedRequest {
    /// The request as a view, as the decoder hands it out.
    pub fn as_request(&self) -> Request<'_> {
        Request::new(&self.bytes, &self.args)
    }

    /// Memory that this copy takes, for the bound of the queue it waits in.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + size_of_val(&*self.args)
    }
}

/// Shows sizes only.
impl fmt::Debug for OwnedRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_request().fmt(formatter)
    }
}

/// Appends a request to `out` as a client sends it.
///
/// Without arguments nothing is written: a server gives an empty request no reply, and the client would wait for ever.
///
/// ```
/// use landfall_resp::encode_request;
///
/// let mut out = Vec::new();
/// encode_request(&mut out, &["GET", "user:1:name"]);
/// encode_request::<&[u8]>(&mut out, &[b"GET", b"\xff"]); // arguments are bytes
/// assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$11\r\nuser:1:name\r\n*2\r\n$3\r\nGET\r\n$1\r\n\xff\r\n");
/// ```
pub fn encode_request<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    if args.is_empty() {
        return;
    }
    let mut digits = itoa::Buffer::new();
    out.push(b'*');
    out.extend_from_slice(digits.format(args.len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    for arg in args {
        let arg = arg.as_ref();
        out.push(b'$');
        out.extend_from_slice(digits.format(arg.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}
