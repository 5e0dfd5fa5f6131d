//! What a server's side makes of the bytes of a client, case by case.
//! These tests never look inside the decoder: what they need is public.

use landfall_resp::{Decoded, Limits, ProtocolError, RequestDecoder, encode_request};

/// Requests of `input` and the error that ended them, if one did.
fn decode_all(input: &[u8], limits: Limits) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    let mut decoder = RequestDecoder::new(limits);
    let (mut requests, mut start) = (Vec::new(), 0);
    loop {
        match decoder.decode(&input[start..]) {
            Ok(Decoded::Complete { request, consumed }) => {
                requests.push(request.args().map(<[u8]>::to_vec).collect());
                start += consumed;
            }
            Ok(Decoded::Skip { consumed }) => start += consumed,
            Ok(Decoded::Incomplete { needed_bytes_hint }) => {
                assert!(needed_bytes_hint > 0);
                return (requests, None);
            }
            Err(error) => return (requests, Some(error)),
        }
    }
}

fn error_of(input: &[u8], limits: Limits) -> String {
    let (_, error) = decode_all(input, limits);
    error.map_or_else(|| "no error".to_owned(), |error| error.to_string())
}

fn inline() -> Limits {
    Limits { inline: true, ..Limits::authenticated() }
}

#[test]
fn errors_have_the_words_of_redis() {
    let cases: &[(&[u8], &str)] = &[
        (b"*x\r\n", "Protocol error: invalid multibulk length"),
        (b"*\r\n", "Protocol error: invalid multibulk length"),
        (b"*01\r\n", "Protocol error: invalid multibulk length"),
        (b"*1048577\r\n", "Protocol error: invalid multibulk length"),
        (b"*2147483648\r\n", "Protocol error: invalid multibulk length"),
        (b"*9223372036854775808\r\n", "Protocol error: invalid multibulk length"),
        (b"*11111111111111111111111111111111111111", "Protocol error: too big mbulk count string"),
        (b"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"),
        (b"*1\r\n$x\r\n", "Protocol error: invalid bulk length"),
        (b"*1\r\n$67108865\r\n", "Protocol error: invalid bulk length"),
        (b"*1\r\n$9223372036854775807\r\n", "Protocol error: invalid bulk length"),
        (b"*1\r\n$11111111111111111111111111111111111111", "Protocol error: too big bulk count string"),
        (b"*1\r\nx", "Protocol error: expected '$', got 'x'"),
        (b"*1\r\n'", "Protocol error: expected '$', got '''"),
        (b"*1\r\n\r\n", "Protocol error: expected '$', got '\\r'"),
        (b"*1\r\n\xff", "Protocol error: expected '$', got '\\xff'"),
        (b"*1\r\n$1\r\nabcd", "Protocol error: expected CRLF after bulk"),
    ];
    for (input, text) in cases {
        assert_eq!(error_of(input, Limits::authenticated()), *text, "{}", input.escape_ascii());
    }
}

#[test]
fn a_peer_without_auth_gets_ten_arguments_of_sixteen_kibibytes() {
    let limits = Limits::unauthenticated();
    assert_eq!(error_of(b"*10\r\n$16384\r\n", limits), "no error");
    assert_eq!(error_of(b"*11\r\n", limits), "Protocol error: unauthenticated multibulk length");
    assert_eq!(error_of(b"*1\r\n$16385\r\n", limits), "Protocol error: unauthenticated bulk length");
    // What nobody may send is refused in the same words as to everybody.
    assert_eq!(error_of(b"*2147483648\r\n", limits), "Protocol error: invalid multibulk length");
    assert_eq!(error_of(b"*1\r\n$536870913\r\n", limits), "Protocol error: invalid bulk length");
    // Ten arguments of full size are within the limit of the whole request.
    let mut input = Vec::new();
    encode_request(&mut input, &vec![vec![b'x'; 16384]; 10]);
    assert_eq!(decode_all(&input, limits).0.len(), 1);
}

#[test]
fn new_limits_count_from_the_next_request_on() {
    let mut decoder = RequestDecoder::new(Limits::unauthenticated());
    let input = b"*1\r\n$4\r\nAUTH\r\n*11\r\n";
    let Ok(Decoded::Complete { consumed, .. }) = decoder.decode(input) else { panic!("AUTH is complete") };
    decoder.set_limits(Limits::authenticated());
    assert_eq!(decoder.decode(&input[consumed..]), Ok(Decoded::Incomplete { needed_bytes_hint: 1 }));
}

#[test]
fn a_request_above_its_size_is_refused_before_it_arrives() {
    let limits = Limits { request_bytes_max: 40, ..Limits::authenticated() };
    assert_eq!(error_of(b"*2\r\n$5\r\nhello\r\n$10\r\n0123456789\r\n", limits), "no error");
    assert_eq!(error_of(b"*2\r\n$5\r\nhello\r\n$18\r\n", limits), "no error");
    assert_eq!(error_of(b"*2\r\n$5\r\nhello\r\n$19\r\n", limits), "Protocol error: too big request");
}

#[test]
fn empty_requests_are_skipped_without_a_reply() {
    let (requests, error) =
        decode_all(b"*0\r\n*-1\r\n*-5\r\n*1\r\n$0\r\n\r\n*0\r\n", Limits::authenticated());
    assert_eq!((requests, error), (vec![vec![Vec::new()]], None));
}

#[test]
fn arguments_are_bytes() {
    let (requests, error) =
        decode_all(b"*2\r\n$4\r\n\r\n$9\r\n$3\r\n\x00\xff\n\r\n", Limits::authenticated());
    assert_eq!((requests, error), (vec![vec![b"\r\n$9".to_vec(), b"\x00\xff\n".to_vec()]], None));
}

#[test]
fn http_and_tls_are_told_apart_from_typing_errors() {
    let cases: &[(&[u8], Option<ProtocolError>)] = &[
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", Some(ProtocolError::Http)),
        (b"post /x", Some(ProtocolError::Http)),
        (b"GET /index.html HTTP/1.1\r\n", Some(ProtocolError::Http)),
        (b"Host: localhost\r\n", Some(ProtocolError::Http)),
        (b"OPTIONS * HTTP/1.1\r\n", Some(ProtocolError::Http)),
        (b"\x16\x03\x01\x02\x00", Some(ProtocolError::Tls)),
        (b"PING\r\n", Some(ProtocolError::InlineRefused { got: b'P' })),
        (b"GET key\r\n", Some(ProtocolError::InlineRefused { got: b'G' })),
        (b"\r\n", Some(ProtocolError::InlineRefused { got: b'\r' })),
        (b"P", None),
        (b"GET ", None),
    ];
    for (input, error) in cases {
        assert_eq!(
            decode_all(input, Limits::unauthenticated()),
            (Vec::new(), *error),
            "{}",
            input.escape_ascii()
        );
    }
}

#[test]
fn inline_commands_work_only_where_they_are_allowed() {
    let (requests, error) = decode_all(b"PING\r\n\r\n  SET\tkey  value \n*1\r\n$4\r\nPING\r\n", inline());
    let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    assert_eq!(error, None);
    assert_eq!(requests, [words(&["PING"]), words(&["SET", "key", "value"]), words(&["PING"])]);

    assert_eq!(
        error_of(b"SET k \"a b\"\r\n", inline()),
        "Protocol error: quotes in inline request, send an array of bulks"
    );
    assert_eq!(error_of(b"GET / HTTP/1.1\r\n", inline()), ProtocolError::Http.to_string());
    assert_eq!(error_of(b"POST /\r\n", inline()), ProtocolError::Http.to_string());
    assert_eq!(error_of(&[b'a'; 64 * 1024], inline()), "Protocol error: too big inline request");
    assert_eq!(error_of(&[b'a'; 64 * 1024 - 1], inline()), "no error");
    let limits = Limits { inline: true, ..Limits::unauthenticated() };
    assert_eq!(
        error_of(b"1 2 3 4 5 6 7 8 9 10 11\r\n", limits),
        "Protocol error: unauthenticated multibulk length"
    );
}

#[test]
fn an_error_is_repeated_until_reset() {
    let mut decoder = RequestDecoder::new(Limits::authenticated());
    assert!(decoder.decode(b"*1\r\n$4\r\nPI").is_ok());
    assert_eq!(decoder.decode(b"*1\r\n$4\r\nPINGxx"), Err(ProtocolError::BulkUnterminated));
    assert_eq!(decoder.decode(b"*1\r\n$4\r\nPING\r\n"), Err(ProtocolError::BulkUnterminated));
    decoder.reset();
    assert!(matches!(decoder.decode(b"*1\r\n$4\r\nPING\r\n"), Ok(Decoded::Complete { consumed: 14, .. })));
}

#[test]
fn input_that_shrinks_against_the_rules_is_no_panic() {
    let mut decoder = RequestDecoder::new(inline());
    assert!(decoder.decode(b"*2\r\n$4\r\nPING\r\n$2\r\n").is_ok());
    assert_eq!(decoder.decode(b"*2\r\n"), Ok(Decoded::Incomplete { needed_bytes_hint: 1 }));
    decoder.reset();
    assert!(decoder.decode(b"PING PING").is_ok());
    assert_eq!(decoder.decode(b"PI"), Ok(Decoded::Incomplete { needed_bytes_hint: 1 }));
}

#[test]
fn a_large_argument_in_small_reads_says_each_time_what_is_missing() {
    let mut whole = Vec::new();
    encode_request(&mut whole, &["SET".as_bytes(), b"k", &vec![b'v'; 64 * 1024 * 1024]]);
    let mut decoder = RequestDecoder::new(Limits::authenticated());
    let memory = decoder.held_bytes();
    let mut received = 16 * 1024;
    while received < whole.len() {
        let missing = whole.len() - received;
        assert_eq!(
            decoder.decode(&whole[..received]),
            Ok(Decoded::Incomplete { needed_bytes_hint: missing })
        );
        received += 16 * 1024;
    }
    assert!(decoder.held_bytes() < memory + 256);
    let Ok(Decoded::Complete { request, consumed }) = decoder.decode(&whole) else {
        panic!("the whole request is there")
    };
    assert_eq!((request.arg_count(), request[2].len(), consumed), (3, 64 * 1024 * 1024, whole.len()));
}

#[test]
fn a_million_arguments_in_small_reads_are_read_once_and_their_memory_is_given_back() {
    let mut whole = Vec::new();
    encode_request(&mut whole, &vec![b"x"; 1024 * 1024]);
    let mut decoder = RequestDecoder::new(Limits::authenticated());
    // Were it read from the start each time, this loop would look at two billion arguments.
    for received in (0..whole.len()).step_by(4 * 1024) {
        assert!(matches!(decoder.decode(&whole[..received]), Ok(Decoded::Incomplete { .. })));
        assert!(
            decoder.held_bytes() <= 4 * received + 256,
            "{} bytes after {received}",
            decoder.held_bytes()
        );
    }
    assert!(
        matches!(decoder.decode(&whole), Ok(Decoded::Complete { consumed, .. }) if consumed == whole.len())
    );
    assert!(decoder.held_bytes() > 8 * 1024 * 1024);
    assert!(matches!(decoder.decode(b""), Ok(Decoded::Incomplete { .. })));
    assert!(decoder.held_bytes() < 16 * 1024);
}

#[test]
fn a_declared_length_alone_takes_no_memory() {
    for header in ["*1048576\r\n", "*1048576\r\n$67108864\r\n", "*1048576\r\n$0\r\n\r\n$67108864\r\n"] {
        let mut decoder = RequestDecoder::new(Limits::authenticated());
        assert!(matches!(decoder.decode(header.as_bytes()), Ok(Decoded::Incomplete { .. })));
        assert!(decoder.held_bytes() < 256, "{header:?} took {} bytes", decoder.held_bytes());
    }
}

#[test]
fn a_warm_decoder_takes_no_more_memory() {
    let mut input = Vec::new();
    encode_request(&mut input, &["HSET", "flight:115", "gate", "B12", "state", "open", "seats", "180"]);
    let mut decoder = RequestDecoder::new(Limits::authenticated());
    assert!(decoder.decode(&input).is_ok());
    let warm = decoder.held_bytes();
    for _ in 0..1000 {
        assert!(matches!(decoder.decode(&input), Ok(Decoded::Complete { .. })));
        assert_eq!(decoder.held_bytes(), warm);
    }
}

#[test]
fn a_debug_print_shows_no_key_value_or_password() {
    let mut input = Vec::new();
    encode_request(&mut input, &["AUTH", "canary"]);
    let mut decoder = RequestDecoder::new(Limits::authenticated());
    let decoded = format!("{:?}", decoder.decode(&input));
    let Ok(Decoded::Complete { request, .. }) = decoder.decode(&input) else { panic!("AUTH is complete") };
    let owned = request.to_owned_request();
    for printed in [decoded, format!("{owned:?}"), format!("{decoder:?}")] {
        assert!(!printed.contains("canary") && !printed.contains("99, 97, 110"), "{printed}");
    }
    assert_eq!(owned.as_request().args().next_back(), Some(b"canary".as_slice()));
}
