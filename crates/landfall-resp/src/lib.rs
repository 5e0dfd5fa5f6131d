//! The RESP2 and RESP3 codec of Landfall, for its server and for its small clients.
//! It must never do I/O, wait, keep bytes it has handed out, or trust a length it was told.
//!
//! # A server in four steps
//!
//! Bytes arrive in a buffer that the caller owns. [`RequestDecoder`] finds the requests in it and hands out views of the
//! arguments, without copying and, once warm, without allocating. [`ReplyWriter`] appends the answers to another buffer.
//!
//! ```
//! use landfall_resp::{Decoded, Limits, Protocol, ReplyWriter, RequestDecoder};
//!
//! let received = b"*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n*2\r\n$4\r\nEC";
//! let mut decoder = RequestDecoder::new(Limits::authenticated());
//! let mut start = 0;
//! let mut output = Vec::new();
//! loop {
//!     match decoder.decode(&received[start..]) {
//!         Ok(Decoded::Complete { request, consumed }) => {
//!             let mut reply = ReplyWriter::new(&mut output, Protocol::Resp2);
//!             match request.command() {
//!                 b"PING" => reply.pong(),
//!                 b"ECHO" if request.arg_count() == 2 => reply.bulk(&request[1]),
//!                 _ => reply.error("ERR unknown command"),
//!             }
//!             start += consumed;
//!         }
//!         Ok(Decoded::Skip { consumed }) => start += consumed,
//!         Ok(Decoded::Incomplete { .. }) => break, // read more, then call again from `start`
//!         Err(error) => {
//!             // Always fatal for the connection: answer, then close.
//!             ReplyWriter::new(&mut output, Protocol::Resp2).error_fmt(format_args!("ERR {error}"));
//!             break;
//!         }
//!     }
//! }
//! assert_eq!(output, b"+PONG\r\n$5\r\nhello\r\n");
//! assert_eq!(&received[start..], b"*2\r\n$4\r\nEC");
//! ```
//!
//! # A client in two steps
//!
//! ```
//! use landfall_resp::{DecodedReply, ReplyDecoder, ReplyLimits, Value, encode_request};
//!
//! let mut output = Vec::new();
//! encode_request(&mut output, &["HGET", "flight:115", "gate"]);
//! assert_eq!(output, b"*3\r\n$4\r\nHGET\r\n$10\r\nflight:115\r\n$4\r\ngate\r\n");
//!
//! let mut decoder = ReplyDecoder::new(ReplyLimits::default());
//! let reply = decoder.decode(b"$3\r\nB12\r\n");
//! assert_eq!(reply, Ok(DecodedReply::Complete { value: Value::Bulk(b"B12".to_vec()), consumed: 9 }));
//! ```
//!
//! # What holds
//!
//! - **Splits do not matter.** However the network cuts the bytes, the results are those of the whole input.
//! - **Work is linear in the bytes received.** Both decoders remember where they stopped, so a bulk of 64 MiB that
//!   arrives in 16 KiB reads is not looked at again and again.
//! - **Memory follows what was received,** never what a length promises: `*1048576` alone costs nothing.
//! - **Bad input is an answer,** never a panic: [`ProtocolError`] speaks Redis' own words where Redis has them.
//! - **One reply per call.** Text that reaches a line of the protocol (errors, simple strings, big numbers) loses its
//!   control characters, so a client's bytes cannot forge a second reply.
//!
//! # What is not promised
//!
//! Streamed RESP3 types (`$?`, `*?`) are refused: no Redis or Valkey sends them. Attributes are read and dropped.
//! Inline commands are off unless [`Limits::inline`] is set, and then take neither quotes nor escapes.
//!
//! The formats are those of the [RESP2 and RESP3 specification](https://redis.io/docs/latest/develop/reference/protocol-spec/);
//! the wording of errors is that of `networking.c` of Redis 7.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod error_text;
mod inline;
mod limits;
mod line;
mod protocol;
mod protocol_error;
mod reply_decoder;
mod reply_writer;
mod request;
mod request_decoder;
mod value;

pub use error_text::ErrorText;
pub use limits::{Limits, ReplyLimits};
pub use protocol::Protocol;
pub use protocol_error::{ProtocolError, ReplyError};
pub use reply_decoder::{DecodedReply, ReplyDecoder};
pub use reply_writer::{ReplyWriter, wire};
pub use request::{OwnedRequest, Request, encode_request};
pub use request_decoder::{Decoded, RequestDecoder};
pub use value::Value;
