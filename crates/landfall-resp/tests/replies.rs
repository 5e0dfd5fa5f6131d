//! What replies look like on the wire in both versions, and what a client reads from them, case by case.
//! These tests never compare the writer with the decoder only: each form is written out.

use landfall_resp::{DecodedReply, Protocol, ReplyDecoder, ReplyError, ReplyLimits, ReplyWriter, Value};

fn written(protocol: Protocol, write: impl FnOnce(&mut ReplyWriter<'_>)) -> String {
    let mut out = Vec::new();
    write(&mut ReplyWriter::new(&mut out, protocol));
    out.escape_ascii().to_string()
}

fn decoded(input: &[u8]) -> Result<Value, ReplyError> {
    match ReplyDecoder::new(ReplyLimits::default()).decode(input)? {
        DecodedReply::Complete { value, consumed } => {
            assert_eq!(consumed, input.len());
            Ok(value)
        }
        DecodedReply::Incomplete { .. } => panic!("incomplete: {}", input.escape_ascii()),
    }
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

#[test]
fn each_value_has_the_form_of_its_version() {
    type Write = fn(&mut ReplyWriter<'_>);
    let cases: &[(Write, &str, &str)] = &[
        (|w| w.ok(), "+OK\\r\\n", "+OK\\r\\n"),
        (|w| w.queued(), "+QUEUED\\r\\n", "+QUEUED\\r\\n"),
        (|w| w.simple("hi"), "+hi\\r\\n", "+hi\\r\\n"),
        (|w| w.integer(0), ":0\\r\\n", ":0\\r\\n"),
        (|w| w.integer(1), ":1\\r\\n", ":1\\r\\n"),
        (|w| w.integer(i64::MIN), ":-9223372036854775808\\r\\n", ":-9223372036854775808\\r\\n"),
        (|w| w.double(3.25), "$4\\r\\n3.25\\r\\n", ",3.25\\r\\n"),
        (|w| w.double(-0.0), "$2\\r\\n-0\\r\\n", ",-0\\r\\n"),
        (|w| w.double(1e300), "$5\\r\\n1e300\\r\\n", ",1e300\\r\\n"),
        (|w| w.double(f64::NEG_INFINITY), "$4\\r\\n-inf\\r\\n", ",-inf\\r\\n"),
        (|w| w.double(f64::NAN), "$3\\r\\nnan\\r\\n", ",nan\\r\\n"),
        (|w| w.bool(true), ":1\\r\\n", "#t\\r\\n"),
        (|w| w.bool(false), ":0\\r\\n", "#f\\r\\n"),
        (|w| w.null(), "$-1\\r\\n", "_\\r\\n"),
        (|w| w.null_array(), "*-1\\r\\n", "_\\r\\n"),
        (|w| w.bulk(b""), "$0\\r\\n\\r\\n", "$0\\r\\n\\r\\n"),
        (|w| w.bulk_or_null(None), "$-1\\r\\n", "_\\r\\n"),
        (|w| w.bulk_or_null(Some(b"a\r\n")), "$3\\r\\na\\r\\n\\r\\n", "$3\\r\\na\\r\\n\\r\\n"),
        (|w| w.bulk_from_parts(&[b"ab", b"", b"c"]), "$3\\r\\nabc\\r\\n", "$3\\r\\nabc\\r\\n"),
        (|w| w.verbatim(b"txt", b"hi"), "$2\\r\\nhi\\r\\n", "=6\\r\\ntxt:hi\\r\\n"),
        (|w| w.array_header(12), "*12\\r\\n", "*12\\r\\n"),
        (|w| w.map_header(3), "*6\\r\\n", "%3\\r\\n"),
        (|w| w.set_header(3), "*3\\r\\n", "~3\\r\\n"),
        (|w| w.push_header(3), "*3\\r\\n", ">3\\r\\n"),
        (
            |w| w.big_number("-123456789012345678901"),
            "$22\\r\\n-123456789012345678901\\r\\n",
            "(-123456789012345678901\\r\\n",
        ),
    ];
    for (write, resp2, resp3) in cases {
        assert_eq!(written(Protocol::Resp2, write), *resp2);
        assert_eq!(written(Protocol::Resp3, write), *resp3);
    }
}

#[test]
fn a_clients_bytes_in_an_error_cannot_forge_a_second_reply() {
    let nasty = "x\r\n+OK\r\n$5\r\n\0\x1b[2J";
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        for (write, begins) in [
            (written(protocol, |w| w.error(nasty)), "-x"),
            (written(protocol, |w| w.error_fmt(format_args!("ERR unknown command '{nasty}'"))), "-ERR"),
            (written(protocol, |w| w.simple(nasty)), "+x"),
            (written(protocol, |w| w.value(&Value::Error(nasty.as_bytes().to_vec()))), "-x"),
        ] {
            assert!(write.starts_with(begins) && write.ends_with("\\r\\n"), "{write}");
            assert_eq!(write.matches("\\r").count() + write.matches("\\n").count(), 2, "{write}");
            assert!(!write.contains("\\x"), "{write}");
        }
    }
    assert!(!written(Protocol::Resp3, |w| w.big_number("1\r\n+OK")).contains("\\n+"));
}

#[test]
fn a_long_error_is_cut_between_characters() {
    let long = format!("ERR {}", "ü".repeat(5000));
    let mut out = Vec::new();
    ReplyWriter::new(&mut out, Protocol::Resp2).error(&long);
    assert!(out.len() <= 1024 + 3);
    assert!(std::str::from_utf8(&out).is_ok_and(|text| text.ends_with("ü\r\n")));
}

#[test]
fn every_type_is_read() {
    let cases: Vec<(&[u8], Value)> = vec![
        (b"+OK\r\n", Value::Simple(b"OK".to_vec())),
        (b"+\r\n", Value::Simple(Vec::new())),
        (b"-ERR no\r\n", Value::Error(b"ERR no".to_vec())),
        (b"!6\r\nERR\r\nx\r\n", Value::Error(b"ERR\r\nx".to_vec())),
        (b":-9223372036854775808\r\n", Value::Integer(i64::MIN)),
        (b":+5\r\n", Value::Integer(5)),
        (b",3.25\r\n", Value::Double(3.25)),
        (b",10\r\n", Value::Double(10.0)),
        (b",-1.5E-3\r\n", Value::Double(-0.0015)),
        (b",-inf\r\n", Value::Double(f64::NEG_INFINITY)),
        (b"#t\r\n", Value::Bool(true)),
        (b"#f\r\n", Value::Bool(false)),
        (b"_\r\n", Value::Null),
        (b"$-1\r\n", Value::Null),
        (b"*-1\r\n", Value::Null),
        (b"$3\r\na\r\n\r\n", Value::Bulk(b"a\r\n".to_vec())),
        (b"=6\r\nmkd:hi\r\n", Value::Verbatim { format: *b"mkd", text: b"hi".to_vec() }),
        (b"(-12345678901234567890\r\n", Value::BigNumber(b"-12345678901234567890".to_vec())),
        (b"*0\r\n", Value::Array(vec![])),
        (b"%0\r\n", Value::Map(vec![])),
        (
            b"*2\r\n*1\r\n:1\r\n~1\r\n*0\r\n",
            Value::Array(vec![Value::Array(vec![Value::Integer(1)]), Value::Set(vec![Value::Array(vec![])])]),
        ),
        (
            b"%1\r\n$1\r\nk\r\n%1\r\n:1\r\n_\r\n",
            Value::Map(vec![(bulk("k"), Value::Map(vec![(Value::Integer(1), Value::Null)]))]),
        ),
        (b">2\r\n$7\r\nmessage\r\n#t\r\n", Value::Push(vec![bulk("message"), Value::Bool(true)])),
        // Attributes are dropped wherever they stand.
        (b"|1\r\n+ttl\r\n:9\r\n$1\r\nv\r\n", bulk("v")),
        (
            b"|0\r\n*2\r\n:1\r\n|1\r\n+a\r\n*1\r\n:0\r\n:2\r\n",
            Value::Array(vec![Value::Integer(1), Value::Integer(2)]),
        ),
    ];
    for (input, value) in cases {
        assert_eq!(decoded(input), Ok(value), "{}", input.escape_ascii());
    }
    assert!(matches!(decoded(b",nan\r\n"), Ok(Value::Double(number)) if number.is_nan()));
}

#[test]
fn what_is_no_reply_is_an_error() {
    let cases: &[(&[u8], ReplyError)] = &[
        (b"x", ReplyError::UnknownType { got: b'x' }),
        (b"$-2\r\n", ReplyError::InvalidLength),
        (b"!-1\r\n", ReplyError::InvalidLength),
        (b"*-2\r\n", ReplyError::InvalidLength),
        (b"%-1\r\n", ReplyError::InvalidLength),
        (b"$?\r\n", ReplyError::InvalidLength),
        (b"$9223372036854775807\r\n", ReplyError::BulkTooLong),
        (b"*9223372036854775807\r\n", ReplyError::TooManyValues),
        (b"%2147483648\r\n", ReplyError::TooManyValues),
        (b"$1\r\nabc", ReplyError::Unterminated),
        (b"+a\rb", ReplyError::Unterminated),
        (b":\r\n", ReplyError::Malformed { kind: b':' }),
        (b":1x\r\n", ReplyError::Malformed { kind: b':' }),
        (b":9223372036854775808\r\n", ReplyError::Malformed { kind: b':' }),
        (b",infinity\r\n", ReplyError::Malformed { kind: b',' }),
        (b",\r\n", ReplyError::Malformed { kind: b',' }),
        (b"#x\r\n", ReplyError::Malformed { kind: b'#' }),
        (b"_x\r\n", ReplyError::Malformed { kind: b'_' }),
        (b"(1.5\r\n", ReplyError::Malformed { kind: b'(' }),
        (b"=3\r\ntxt\r\n", ReplyError::Malformed { kind: b'=' }),
    ];
    for (input, error) in cases {
        assert_eq!(
            ReplyDecoder::new(ReplyLimits::default()).decode(input),
            Err(*error),
            "{}",
            input.escape_ascii()
        );
    }
}

#[test]
fn nesting_is_limited_and_costs_no_stack() {
    let nested = |depth: usize| [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
    assert!(decoded(&nested(32)).is_ok());
    let mut decoder = ReplyDecoder::new(ReplyLimits::default());
    assert_eq!(decoder.decode(&nested(33)), Err(ReplyError::TooDeep));
    for kind in ["*", "~", ">", "%", "|"] {
        let mut decoder = ReplyDecoder::new(ReplyLimits::default());
        let input = format!("{kind}1\r\n").repeat(100_000);
        assert_eq!(decoder.decode(input.as_bytes()), Err(ReplyError::TooDeep), "{kind}");
    }
}

#[test]
fn each_limit_is_kept() {
    let refused = |limits: ReplyLimits, input: &[u8]| ReplyDecoder::new(limits).decode(input).unwrap_err();
    let limits = ReplyLimits {
        depth_max: 32,
        values_max: 3,
        bulk_bytes_max: 4,
        line_bytes_max: 4,
        reply_bytes_max: 20,
    };
    assert_eq!(refused(limits, b"*4\r\n"), ReplyError::TooManyValues);
    assert_eq!(refused(limits, b"*3\r\n:1\r\n:2\r\n:3\r\n"), ReplyError::TooManyValues);
    assert_eq!(refused(limits, b"$5\r\n"), ReplyError::BulkTooLong);
    assert_eq!(refused(limits, b"+12345"), ReplyError::LineTooLong);
    assert_eq!(refused(limits, b"*2\r\n$4\r\nabcd\r\n$4\r\n"), ReplyError::TooBig);
    assert_eq!(refused(limits, &b"|0\r\n".repeat(4)), ReplyError::TooManyValues);
    assert!(ReplyDecoder::new(limits).decode(b"*2\r\n+1234\r\n$1\r\na\r\n").is_ok());
}

#[test]
fn an_error_is_repeated_until_reset() {
    let mut decoder = ReplyDecoder::new(ReplyLimits::default());
    assert_eq!(decoder.decode(b"*2\r\n:1\r\n?"), Err(ReplyError::UnknownType { got: b'?' }));
    assert_eq!(decoder.decode(b"+OK\r\n"), Err(ReplyError::UnknownType { got: b'?' }));
    decoder.reset();
    assert!(matches!(decoder.decode(b"+OK\r\n"), Ok(DecodedReply::Complete { consumed: 5, .. })));
}
