//! Clients that want to harm: those that hold what others need, ask for what nobody has, or speak another protocol.
//! Against the real binary; after each attack a good client must be served as before.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use common::{PATIENCE, Place, Server, wait_until};
use landfall_resp::{Value, encode_request};
use landfall_sim::client::{Client, request};

fn connect(server: &Server<'_>) -> TcpStream {
    let stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn client(server: &Server<'_>) -> Client {
    Client::connect(server.address.parse().unwrap(), PATIENCE).unwrap()
}

fn call(client: &mut Client, words: &[&str]) -> Value {
    let answers = client.pipeline(&[request(words)]);
    answers[0].value().unwrap_or_else(|| panic!("{words:?}: the connection ended")).clone()
}

/// A request on the wire.
fn wire(words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_request(&mut bytes, &words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
    bytes
}

/// What the server says until it closes; a reset is an end too.
fn said_until_closed(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => said.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("neither an answer nor an end: {error}"),
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// Whether the server has closed this connection; what it said before is passed over.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    let closed = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) => break error.kind() != ErrorKind::WouldBlock,
        }
    };
    stream.set_nonblocking(false).unwrap();
    closed
}

/// The memory that a process has of the machine, in bytes.
fn resident_bytes(server: &Server<'_>) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Writes without waiting until the socket takes no more or the server closes; how many bytes went.
fn flood(stream: &mut TcpStream, bytes: &[u8], most: usize) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut sent = 0;
    while sent < most {
        match stream.write(&bytes[sent % bytes.len()..]) {
            Ok(count) => sent += count,
            Err(_) => break,
        }
    }
    sent
}

fn with_password(place: &Place, more: &str) {
    place.write("password", "secret\n");
    place.write("landfall.toml", &format!("password-file = \"password\"\n{more}"));
}

// shows: S1
#[test]
fn declared_lengths_cost_nothing_and_impossible_ones_are_refused() {
    let place = Place::new();
    let server = place.serve(&[]);
    let before = resident_bytes(&server);
    let refused: [&[u8]; 6] = [
        b"*2147483647\r\n$3\r\nSET\r\n",
        b"*9223372036854775807\r\n",
        b"*2\r\n$3\r\nGET\r\n$9223372036854775807\r\n",
        b"*2\r\n$3\r\nGET\r\n$-5\r\n",
        b"*2\r\n$3\r\nGET\r\n$67108865\r\n",
        b"*99999999999999999999999999999999999999\r\n",
    ];
    for bytes in refused {
        let mut stream = connect(&server);
        stream.write_all(bytes).unwrap();
        let said = said_until_closed(&mut stream);
        assert!(said.starts_with("-ERR Protocol error: "), "{said}");
    }
    // The largest that may be declared: nothing is set aside for what has not come.
    let mut declared = Vec::new();
    for _ in 0..50 {
        let mut stream = connect(&server);
        stream.write_all(b"*1048576\r\n$67108864\r\nx").unwrap();
        declared.push(stream);
    }
    assert_eq!(call(&mut client(&server), &["PING"]), Value::Simple(b"PONG".to_vec()));
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(grown < 50 << 20, "{grown} bytes for 50 connections: less than one MiB each");
}

// shows: S2
#[test]
fn requests_inside_requests_are_refused_at_the_first() {
    let place = Place::new();
    let server = place.serve(&[]);
    for deep in [b"*1\r\n".repeat(100_000), b"%1\r\n".repeat(100_000), b">1\r\n*1\r\n".repeat(10_000)] {
        let mut stream = connect(&server);
        // The server may close before everything is sent.
        let _ = stream.write_all(&deep);
        let said = said_until_closed(&mut stream);
        assert!(said.is_empty() || said.starts_with("-ERR Protocol error: expected"), "{said}");
    }
    server.cli(&["PING"]);
}

// shows: S1
#[test]
fn before_a_login_requests_are_small_and_afterwards_large() {
    let place = Place::new();
    with_password(&place, "");
    let server = place.serve(&[]);
    let large = "x".repeat(20_000);
    for (words, refused) in [
        (vec!["AUTH", &large], "unauthenticated bulk length"),
        (vec!["MSET", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"], "unauthenticated multibulk length"),
    ] {
        let mut stream = connect(&server);
        stream.write_all(&wire(&words)).unwrap();
        let said = said_until_closed(&mut stream);
        assert!(said.contains(refused), "{said}");
    }
    let mut client = client(&server);
    assert_eq!(call(&mut client, &["AUTH", "secret"]), Value::Simple(b"OK".to_vec()));
    assert_eq!(call(&mut client, &["SET", "k", &large]), Value::Simple(b"OK".to_vec()));
    // What was allowed goes with the login.
    assert_eq!(call(&mut client, &["RESET"]), Value::Simple(b"RESET".to_vec()));
    assert!(
        client.pipeline(&[request(&["SET", "k", &large])])[0]
            .value()
            .is_none_or(|value| value.as_error().is_some())
    );
}

// shows: S6
#[test]
fn a_browser_that_is_sent_to_the_port_runs_nothing() {
    let place = Place::new();
    let server = place.serve(&[]);
    let body = "SET stolen 1\r\n";
    for request in [
        format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n{body}"),
        format!("Host: localhost\r\n{body}"),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{body}"),
        "SET stolen 1\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".to_owned(),
    ] {
        let mut stream = connect(&server);
        stream.write_all(request.as_bytes()).unwrap();
        // A browser reads nothing of it as an answer of HTTP.
        let said = said_until_closed(&mut stream);
        assert!(said.is_empty() || said.starts_with("-ERR Protocol error"), "{said}");
    }
    assert_eq!(server.cli(&["EXISTS", "stolen"]), "0");
}

// shows: S4
#[test]
fn a_client_that_never_reads_is_not_read_from_and_bounds_its_own_memory() {
    let place = Place::new();
    let server = place.serve(&["--maxmemory", "256mb"]);
    let value = "v".repeat(100_000);
    server.cli(&["SET", "k", &value]);
    let before = resident_bytes(&server);
    let requests = wire(&["GET", "k"]).repeat(1000);
    let mut greedy: Vec<TcpStream> = (0..4).map(|_| connect(&server)).collect();
    for stream in &mut greedy {
        // Requests for gigabytes; what is not read stays in the sockets, on the client's side.
        flood(stream, &requests, 50 << 20);
    }
    assert_eq!(call(&mut client(&server), &["PING"]), Value::Simple(b"PONG".to_vec()));
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(grown < 40 << 20, "{grown} bytes for 4 clients that never read");
}

// shows: S4
#[test]
fn who_has_not_logged_in_and_never_reads_is_closed() {
    let place = Place::new();
    with_password(&place, "");
    let server = place.serve(&[]);
    let before = resident_bytes(&server);
    let requests = wire(&["GET", "k"]).repeat(10_000);
    let mut greedy: Vec<TcpStream> = (0..4).map(|_| connect(&server)).collect();
    for stream in &mut greedy {
        let most = 1 << 30;
        assert!(flood(stream, &requests, most) < most, "it is not served for ever");
    }
    wait_until("all are closed", || greedy.iter_mut().all(is_closed));
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes");
}

// shows: S4
#[test]
fn a_request_for_more_than_a_reply_may_hold_ends_its_own_connection_only() {
    let place = Place::new();
    let server = place.serve(&["--maxmemory", "256mb"]);
    let value = "v".repeat(1 << 20);
    let mut good = client(&server);
    assert_eq!(call(&mut good, &["SET", "k", &value]), Value::Simple(b"OK".to_vec()));
    let mut words = vec!["MGET"];
    words.resize(100_000, "k");
    let mut stream = connect(&server);
    stream.write_all(&wire(&words)).unwrap();
    // A hundred gigabytes are asked for; not one byte of what was cut off comes.
    assert_eq!(said_until_closed(&mut stream), "");
    assert_eq!(call(&mut good, &["STRLEN", "k"]), Value::Integer(value.len() as i64));
}

// shows: S1, S4
#[test]
fn clients_together_hold_no_more_than_they_may_and_the_largest_goes_first() {
    let place = Place::new();
    place.write("landfall.toml", "maxmemory-clients = \"64MiB\"\n");
    let server = place.serve(&[]);
    let mut good = client(&server);
    let before = resident_bytes(&server);
    let part = "x".repeat(8 << 20);
    let begun = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{part}", 60 << 20);
    let mut greedy = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(&server);
        // It may be closed while it sends.
        let _ = stream.write_all(begun.as_bytes());
        greedy.push(stream);
    }
    wait_until("some are closed", || greedy.iter_mut().map(is_closed).filter(|closed| !closed).count() <= 8);
    assert_eq!(call(&mut good, &["SET", "mine", "v"]), Value::Simple(b"OK".to_vec()));
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(grown < 160 << 20, "{grown} bytes");
}

// shows: S3
#[test]
fn who_does_not_log_in_is_closed_in_time() {
    let place = Place::new();
    with_password(&place, "login-timeout = \"100ms\"\n");
    let server = place.serve(&[]);
    let mut good = client(&server);
    assert_eq!(call(&mut good, &["AUTH", "secret"]), Value::Simple(b"OK".to_vec()));
    let (mut silent, mut slow, mut busy) = (connect(&server), connect(&server), connect(&server));
    wait_until("all are closed", || {
        // A byte now and then is no login, and a request that is refused neither.
        let _ = slow.write_all(b"*").and(busy.write_all(&wire(&["PING"])));
        is_closed(&mut silent) && is_closed(&mut slow) && is_closed(&mut busy)
    });
    assert_eq!(call(&mut good, &["PING"]), Value::Simple(b"PONG".to_vec()), "who has logged in stays");
}

// shows: S3
#[test]
fn those_who_do_not_log_in_take_no_place_from_those_who_do() {
    let place = Place::new();
    with_password(&place, "maxclients = 20\nlogin-timeout = \"10m\"\n");
    let server = place.serve(&[]);
    let mut silent: Vec<TcpStream> = (0..100).map(|_| connect(&server)).collect();
    wait_until("half of the places at most are theirs", || {
        silent.iter_mut().map(is_closed).filter(|closed| !closed).count() <= 10
    });
    // Who logs in takes their places, to the last one.
    let mut good = Vec::new();
    for _ in 0..20 {
        let mut client = client(&server);
        assert_eq!(call(&mut client, &["AUTH", "secret"]), Value::Simple(b"OK".to_vec()));
        good.push(client);
    }
    assert!(silent.iter_mut().all(is_closed));
    let mut late = connect(&server);
    assert!(said_until_closed(&mut late).starts_with("-ERR max number of clients"));
}

// shows: S3
#[test]
fn an_idle_client_is_closed_when_that_is_asked_for_and_one_that_waits_is_not() {
    let place = Place::new();
    place.write("landfall.toml", "idle-timeout = \"300ms\"\n");
    let server = place.serve(&[]);
    let mut waiting = connect(&server);
    let mut busy = client(&server);
    assert_eq!(call(&mut busy, &["LANDFALL.PAUSE"]), Value::Simple(b"OK".to_vec()));
    waiting.write_all(&[wire(&["SET", "k", "v"]), wire(&["WAIT", "1", "0"])].concat()).unwrap();
    let (mut silent, mut slow) = (connect(&server), connect(&server));
    slow.write_all(b"*2\r\n$4\r\nECHO\r\n$1000000\r\n").unwrap();
    wait_until("both are closed", || {
        let _ = slow.write_all(b"x");
        assert_eq!(call(&mut busy, &["PING"]), Value::Simple(b"PONG".to_vec()));
        is_closed(&mut silent) && is_closed(&mut slow)
    });
    assert_eq!(call(&mut busy, &["LANDFALL.RESUME"]), Value::Simple(b"OK".to_vec()));
    let mut replies = [0; "+OK\r\n:1\r\n".len()];
    waiting.read_exact(&mut replies).unwrap();
    assert_eq!(&replies, b"+OK\r\n:1\r\n");
}

// shows: S5
#[test]
fn a_pattern_that_blows_up_elsewhere_is_answered_at_once() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = client(&server);
    let begun = Instant::now();
    for pattern in
        ["a*".repeat(20_000) + "b", "*".repeat(100_000) + "x", "[".repeat(100_000), "\\".repeat(99_999)]
    {
        let answer = call(&mut client, &["CONFIG", "GET", &pattern]);
        assert!(answer.as_error().is_some() || answer == Value::Array(Vec::new()), "{answer:?}");
    }
    assert!(begun.elapsed() < PATIENCE);
}

// shows: S14
#[test]
fn what_lies_in_the_data_directory_is_its_owners_alone_under_any_umask() {
    let place = Place::new();
    let open_to_all = ["sh", "-c", "umask 000 && exec \"$@\"", "sh"];
    let server = place.serve_by(&open_to_all, &[], &[]);
    server.cli(&["SET", "a", "1"]);
    server.cli(&["LANDFALL.FLUSH"]);
    let mut open = Vec::new();
    let mut folders = vec![place.path().join("landfall-data")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let metadata = std::fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            // The database is its user's: other programs may have to read it.
            let is_database = path.file_name().unwrap().to_string_lossy().starts_with("landfall.db");
            if metadata.permissions().mode() & 0o077 != 0 && !is_database {
                open.push(path);
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let folder = std::fs::metadata(place.path().join("landfall-data")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700, "and nobody else comes to the database either");
}

// shows: S7
#[test]
fn bytes_of_a_client_never_become_a_reply_of_their_own() {
    let place = Place::new();
    let server = place.serve(&[]);
    let forged = "x\r\n+OK\r\n:1\r\n";
    let mut client = client(&server);
    for words in [
        &[forged][..],
        &["GET", forged],
        &["SET", forged, forged, forged],
        &["CONFIG", forged, forged],
        &["CLIENT", "SETNAME", forged],
        &["HELLO", forged],
        &["AUTH", forged, forged],
        &["HSET", "page:1", forged, forged],
        &["INCRBY", "a", forged],
    ] {
        // Were a line of it taken for a reply, the answer to PING would be another.
        let answers = client.pipeline(&[request(words), request(&["PING"])]);
        assert_eq!(answers[1].value(), Some(&Value::Simple(b"PONG".to_vec())), "{words:?}");
    }
}

#[test]
fn ten_thousand_bytes_without_an_end_of_line_are_no_length() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut stream = connect(&server);
    let _ = stream.write_all(&[b"*".as_slice(), &b"1".repeat(10_000)].concat());
    let said = said_until_closed(&mut stream);
    assert!(said.is_empty() || said.contains("too big mbulk count string"), "{said}");
    let mut half = connect(&server);
    half.write_all(b"*2\r\n$3\r\nGET\r\n$1\r").unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    assert_eq!(said_until_closed(&mut half), "");
}
