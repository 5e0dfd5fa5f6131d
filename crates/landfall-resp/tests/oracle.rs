//! Compares reply decoding with another implementation, resp-rs.
//! Where the two differ on purpose, the difference is named here; it is never passed over in silence.

mod values;

use landfall_resp::{DecodedReply, Protocol, ReplyDecoder, ReplyLimits, ReplyWriter, Value, encode_request};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use resp_rs::resp3::{Frame, parse_frame};

use values::value;

/// The oracle's first reply and the bytes left, or nothing if it found none.
fn theirs(input: &[u8]) -> Option<(Value, usize)> {
    let (frame, rest) = parse_frame(input.to_vec().into()).ok()?;
    Some((translated(frame)?, rest.len()))
}

fn ours(input: &[u8]) -> Option<(Value, usize)> {
    match ReplyDecoder::new(ReplyLimits::default()).decode(input) {
        Ok(DecodedReply::Complete { value, consumed }) => Some((value, input.len() - consumed)),
        _ => None,
    }
}

/// Our value for a frame of theirs; nothing for streamed types and attributes, which we refuse or drop.
fn translated(frame: Frame) -> Option<Value> {
    let all = |frames: Vec<Frame>| frames.into_iter().map(translated).collect::<Option<Vec<_>>>();
    Some(match frame {
        Frame::SimpleString(text) => Value::Simple(text.to_vec()),
        Frame::Error(text) | Frame::BlobError(text) => Value::Error(text.to_vec()),
        Frame::Integer(number) => Value::Integer(number),
        Frame::BulkString(bytes) => bytes.map_or(Value::Null, |bytes| Value::Bulk(bytes.to_vec())),
        Frame::Null => Value::Null,
        Frame::Boolean(value) => Value::Bool(value),
        Frame::Double(number) => Value::Double(number),
        Frame::SpecialFloat(text) => Value::Double(std::str::from_utf8(&text).ok()?.parse().ok()?),
        Frame::BigNumber(digits) => Value::BigNumber(digits.to_vec()),
        Frame::VerbatimString { payload } => {
            let (format, text) = payload.split_at_checked(4)?;
            Value::Verbatim { format: format[..3].try_into().ok()?, text: text.to_vec() }
        }
        Frame::Array(None) => Value::Null,
        Frame::Array(Some(items)) => Value::Array(all(items)?),
        Frame::Set(items) => Value::Set(all(items)?),
        Frame::Push(items) => Value::Push(all(items)?),
        Frame::Map(pairs) => Value::Map(
            pairs
                .into_iter()
                .map(|(key, value)| Some((translated(key)?, translated(value)?)))
                .collect::<Option<_>>()?,
        ),
        _ => return None,
    })
}

/// NaN is not equal to itself, so values are compared as they print.
fn printed<T: std::fmt::Debug>(value: &T) -> String {
    format!("{value:?}").replace("-NaN", "NaN")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_we_write_they_read_as_we_do(value in value(), tail in vec(any::<u8>(), 0..5)) {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut input = Vec::new();
            ReplyWriter::new(&mut input, protocol).value(&value);
            input.extend_from_slice(&tail);
            prop_assert_eq!(printed(&ours(&input)), printed(&theirs(&input)));
        }
    }

    #[test]
    fn requests_are_arrays_of_bulks_to_them_too(args in vec(vec(any::<u8>(), 0..30), 1..8)) {
        let mut input = Vec::new();
        encode_request(&mut input, &args);
        let expected = Value::Array(args.into_iter().map(Value::Bulk).collect());
        prop_assert_eq!(theirs(&input), Some((expected.clone(), 0)));
        prop_assert_eq!(ours(&input), Some((expected, 0)));
    }

    #[test]
    fn of_a_damaged_reply_both_read_the_same_or_one_refuses(value in value(), at in any::<Index>(), byte in select(b"\r\n0123456789-+:$*,_#%~>!=(txa".to_vec())) {
        let mut input = Vec::new();
        ReplyWriter::new(&mut input, Protocol::Resp3).value(&value);
        let at = at.index(input.len());
        input[at] = byte;
        if let (Some(ours), Some(theirs)) = (ours(&input), theirs(&input)) {
            prop_assert_eq!(printed(&ours), printed(&theirs));
        }
    }
}
