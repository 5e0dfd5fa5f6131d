//! What must hold for any input, however it is cut.
//! A failing case is printed by proptest and is to be added by hand to the tests of single cases.

mod values;

use landfall_resp::{
    Decoded, DecodedReply, Limits, Protocol, ProtocolError, ReplyDecoder, ReplyError, ReplyLimits,
    ReplyWriter, RequestDecoder, Value, encode_request,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use values::value;

type Requests = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>, usize);

/// Feeds `input` in pieces that end at `cuts`, as a server would: consumed bytes go, new ones are appended.
fn requests_of(input: &[u8], cuts: &[usize], limits: Limits) -> Requests {
    let mut decoder = RequestDecoder::new(limits);
    let (mut requests, mut unparsed, mut received) = (Vec::new(), Vec::new(), 0);
    for &cut in cuts.iter().chain([&input.len()]) {
        unparsed.extend_from_slice(&input[received..cut.max(received)]);
        received = cut.max(received);
        loop {
            let taken = match decoder.decode(&unparsed) {
                Ok(Decoded::Complete { request, consumed }) => {
                    assert_eq!(request.wire_bytes(), &unparsed[..consumed]);
                    assert!(request.arg_count() > 0);
                    requests.push(request.args().map(<[u8]>::to_vec).collect());
                    consumed
                }
                Ok(Decoded::Skip { consumed }) => consumed,
                Ok(Decoded::Incomplete { needed_bytes_hint }) => {
                    assert!(needed_bytes_hint > 0);
                    break;
                }
                Err(error) => return (requests, Some(error), 0),
            };
            assert!(taken > 0);
            unparsed.drain(..taken);
            assert!(
                decoder.held_bytes() <= 4 * input.len() + 256,
                "holds {} for {}",
                decoder.held_bytes(),
                input.len()
            );
        }
    }
    (requests, None, unparsed.len())
}

fn replies_of(input: &[u8], cuts: &[usize]) -> (Vec<Value>, Option<ReplyError>, usize) {
    let mut decoder = ReplyDecoder::new(ReplyLimits::default());
    let (mut replies, mut unparsed, mut received) = (Vec::new(), Vec::new(), 0);
    for &cut in cuts.iter().chain([&input.len()]) {
        unparsed.extend_from_slice(&input[received..cut.max(received)]);
        received = cut.max(received);
        loop {
            match decoder.decode(&unparsed) {
                Ok(DecodedReply::Complete { value, consumed }) => {
                    assert!(consumed > 0);
                    replies.push(value);
                    unparsed.drain(..consumed);
                }
                Ok(DecodedReply::Incomplete { needed_bytes_hint }) => {
                    assert!(needed_bytes_hint > 0);
                    break;
                }
                Err(error) => return (replies, Some(error), 0),
            }
        }
    }
    (replies, None, unparsed.len())
}

fn cut_points(input: &[u8], cuts: &[Index]) -> Vec<usize> {
    let mut points: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    points.sort_unstable();
    points
}

fn every_byte(input: &[u8]) -> Vec<usize> {
    (0..input.len()).collect()
}

/// NaN is not equal to itself, so replies are compared as they print.
fn printed<T: std::fmt::Debug>(value: &T) -> String {
    format!("{value:?}")
}

fn args() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(prop_oneof![vec(any::<u8>(), 0..40), vec(any::<u8>(), 90..120)], 1..14)
}

/// Bytes that look like a protocol: its pieces in any order, with some noise.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => select(vec![
            "*", "$", "\r\n", "\r", "\n", "0", "1", "2", "3", "-1", "10", "11", "99999999999999999999", "*1\r\n", "*2\r\n", "*0\r\n", "$1\r\na\r\n",
            "$4\r\nPING\r\n", "$0\r\n\r\n", "$16385\r\n", "POST ", "GET ", "/", "Host:", " ", "\"", "PING\r\n", "+OK\r\n", "-ERR x\r\n", ":1\r\n", "_\r\n",
            "#t\r\n", ",1.5\r\n", "%1\r\n", "~1\r\n", ">1\r\n", "|1\r\n", "=5\r\ntxt:a\r\n", "(12\r\n", "!1\r\ne\r\n", "*1048576\r\n", "*16777217\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..4),
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn limits() -> impl Strategy<Value = Limits> {
    (any::<bool>(), any::<bool>(), prop_oneof![Just(None), Just(Some(30))]).prop_map(
        |(authenticated, inline, request_bytes_max)| {
            let limits = if authenticated { Limits::authenticated() } else { Limits::unauthenticated() };
            Limits {
                inline,
                request_bytes_max: request_bytes_max.unwrap_or(limits.request_bytes_max),
                ..limits
            }
        },
    )
}

/// What a RESP2 client gets in place of a value.
fn as_resp2(value: &Value) -> Value {
    let items = |items: &[Value]| Value::Array(items.iter().map(as_resp2).collect());
    match value {
        Value::Bool(value) => Value::Integer(i64::from(*value)),
        Value::Double(_) => {
            let mut out = Vec::new();
            ReplyWriter::new(&mut out, Protocol::Resp3).value(value);
            Value::Bulk(out[1..out.len() - 2].to_vec())
        }
        Value::Verbatim { text: bytes, .. } | Value::BigNumber(bytes) => Value::Bulk(bytes.clone()),
        Value::Array(list) | Value::Set(list) | Value::Push(list) => items(list),
        Value::Map(pairs) => {
            Value::Array(pairs.iter().flat_map(|(key, value)| [as_resp2(key), as_resp2(value)]).collect())
        }
        same => same.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_encoded_request_decodes_to_itself_however_it_is_cut(requests in vec(args(), 0..6), cuts in vec(any::<Index>(), 0..8)) {
        let mut input = Vec::new();
        for args in &requests {
            encode_request(&mut input, args);
        }
        let expected = (requests, None, 0);
        prop_assert_eq!(&requests_of(&input, &[], Limits::authenticated()), &expected);
        prop_assert_eq!(&requests_of(&input, &cut_points(&input, &cuts), Limits::authenticated()), &expected);
        prop_assert_eq!(&requests_of(&input, &every_byte(&input), Limits::authenticated()), &expected);
    }

    #[test]
    fn cuts_do_not_change_what_garbage_means_to_a_server(input in fragments(), cuts in vec(any::<Index>(), 0..6), limits in limits()) {
        let whole = requests_of(&input, &[], limits);
        prop_assert_eq!(&requests_of(&input, &cut_points(&input, &cuts), limits), &whole);
        prop_assert_eq!(&requests_of(&input, &every_byte(&input), limits), &whole);
    }

    #[test]
    fn cuts_do_not_change_what_garbage_means_to_a_client(input in fragments(), cuts in vec(any::<Index>(), 0..6)) {
        let whole = printed(&replies_of(&input, &[]));
        prop_assert_eq!(&printed(&replies_of(&input, &cut_points(&input, &cuts))), &whole);
        prop_assert_eq!(&printed(&replies_of(&input, &every_byte(&input))), &whole);
    }

    #[test]
    fn random_bytes_are_never_a_panic(input in vec(any::<u8>(), 0..300), limits in limits()) {
        requests_of(&input, &[], limits);
        replies_of(&input, &[]);
    }

    #[test]
    fn a_request_with_one_byte_changed_is_never_a_panic(args in args(), at in any::<Index>(), byte in any::<u8>(), limits in limits()) {
        let mut input = Vec::new();
        encode_request(&mut input, &args);
        let at = at.index(input.len());
        input[at] = byte;
        prop_assert_eq!(requests_of(&input, &every_byte(&input), limits), requests_of(&input, &[], limits));
    }

    #[test]
    fn replies_survive_the_way_to_a_client_however_they_are_cut(values in vec(value(), 0..4), cuts in vec(any::<Index>(), 0..8)) {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut input = Vec::new();
            for value in &values {
                ReplyWriter::new(&mut input, protocol).value(value);
            }
            let expected = match protocol {
                Protocol::Resp2 => values.iter().map(as_resp2).collect(),
                Protocol::Resp3 => values.clone(),
            };
            let expected = printed(&(expected, None::<ReplyError>, 0));
            prop_assert_eq!(&printed(&replies_of(&input, &[])), &expected);
            prop_assert_eq!(&printed(&replies_of(&input, &cut_points(&input, &cuts))), &expected);
            prop_assert_eq!(&printed(&replies_of(&input, &every_byte(&input))), &expected);
        }
    }

    #[test]
    fn any_text_in_an_error_is_one_reply(text in any::<String>()) {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut out = Vec::new();
            ReplyWriter::new(&mut out, protocol).error(&text);
            let (replies, error, left) = replies_of(&out, &[]);
            prop_assert!(matches!(replies.as_slice(), [Value::Error(_)]));
            prop_assert_eq!((error, left), (None, 0));
        }
    }

    #[test]
    fn a_double_reads_back_as_the_same_number(bits in any::<u64>()) {
        let number = f64::from_bits(bits);
        let mut out = Vec::new();
        ReplyWriter::new(&mut out, Protocol::Resp3).double(number);
        let (replies, _, _) = replies_of(&out, &[]);
        prop_assert!(matches!(replies.as_slice(), [Value::Double(read)] if read.to_bits() == bits || (read.is_nan() && number.is_nan())));
    }
}
