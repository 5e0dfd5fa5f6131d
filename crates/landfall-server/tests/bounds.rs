//! What a server may take and how it shares: memory in an outage, descriptors, turns; and what it says of a volume that
//! forgets. The real binary, with bounds that are quickly reached.

mod common;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use common::{PATIENCE, Place, Server, connect, signal, wait_until};
use landfall_resp::{Value, encode_request};
use landfall_sim::client::{Client, request};
use rusqlite::Connection;
use rustix::process::Signal;

fn call(client: &mut Client, words: &[&str]) -> Value {
    let answers = client.pipeline(&[request(words)]);
    answers[0].value().unwrap_or_else(|| panic!("{words:?}: the connection ended")).clone()
}

/// The memory that a process has of the machine, in bytes.
fn resident_bytes(server: &Server<'_>) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

// shows: S5
#[test]
fn a_transaction_copies_no_large_value_for_commands_that_leave_it_alone() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    for begin in (0..100_000).step_by(10_000) {
        let fields: Vec<String> = (begin..begin + 10_000).map(|n| format!("field:{n}")).collect();
        let words: Vec<&str> =
            ["HSET", "large"].into_iter().chain(fields.iter().flat_map(|field| [field, "v"])).collect();
        call(&mut client, &words);
    }
    for command in [&["EXISTS", "large", "x"][..], &["MSETNX", "large", "1", "x", "1"]] {
        let mut all = vec![request(&["MULTI"]), request(&["HSET", "large", "field:0", "w"])];
        all.extend((0..2_000).map(|_| request(command)));
        client.pipeline(&all);
        let begun = Instant::now();
        let Value::Array(answers) = call(&mut client, &["EXEC"]) else { panic!("an array") };
        assert_eq!(answers.len(), 2_001);
        assert!(begun.elapsed().as_secs() < 5, "{command:?}: {:?}", begun.elapsed());
    }
}

fn lock(place: &Place) -> Connection {
    let other = Connection::open(place.path().join("app.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

// shows: S5
#[test]
fn in_an_outage_memory_and_log_stay_within_their_bounds_and_nothing_acknowledged_is_lost() {
    const MAXMEMORY: u64 = 64 << 20;
    const ASKED: usize = 60_000;
    let place = Place::new();
    let settings = ["--database", "sqlite:app.db", "--maxmemory", "64mb"];
    let server = place
        .serve_with(&settings, &[("LANDFALL_LOG_BYTES_MAX", "96MiB"), ("LANDFALL_SEGMENT_BYTES", "4MiB")]);
    let other = lock(&place);
    let before = resident_bytes(&server);
    let mut client = connect(&server);
    let value = "v".repeat(2_000);
    let mut acknowledged = 0;
    for begin in (0..ASKED).step_by(500) {
        let all: Vec<_> =
            (begin..begin + 500).map(|n| request(&["SET", &format!("key:{n}"), &value])).collect();
        for (n, answer) in client.pipeline(&all).iter().enumerate() {
            let value = answer.value().expect("a reply");
            match value.as_error() {
                None => {
                    assert_eq!(acknowledged, begin + n, "once refused, every write is");
                    acknowledged += 1;
                }
                Some(error) => assert!([&b"OOM"[..], b"TRYAGAIN"].contains(&error.prefix), "{error:?}"),
            }
        }
    }
    // Half of the memory may be dirty, which is about sixteen thousand values.
    assert!((10_000..20_000).contains(&acknowledged), "{acknowledged}");
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(grown < MAXMEMORY + MAXMEMORY / 10, "{grown} bytes for {acknowledged} values");
    let log: u64 = std::fs::read_dir(place.path().join("landfall-data/log"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(log <= 96 << 20, "{log} bytes of log");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(server.run(&["drain"]).code, Some(0));
    let landed: i64 = other.query_row("SELECT count(*) FROM landfall_key", [], |row| row.get(0)).unwrap();
    assert_eq!(landed as usize, acknowledged);
    assert_eq!(call(&mut client, &["SET", "more", "v"]).as_error(), None);
}

#[test]
fn with_few_descriptors_clients_are_refused_and_log_and_database_go_on() {
    let place = Place::new();
    let few = ["sh", "-c", "ulimit -n 64 && exec \"$@\"", "sh"];
    let small = [
        ("LANDFALL_SEGMENT_BYTES", "64KiB"),
        ("LANDFALL_RETENTION", "0s"),
        ("LANDFALL_RETENTION_BYTES", "0"),
    ];
    let server = place.serve_by(&few, &["--database", "sqlite:app.db"], &small);
    let mut first = connect(&server);
    assert_eq!(call(&mut first, &["PING"]).as_error(), None);
    let mut welcome = Vec::new();
    let mut refused = 0;
    for _ in 0..100 {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // A server that refuses may have closed already.
        let _ = stream.write_all(b"*1\r\n$4\r\nPING\r\n");
        let mut line = String::new();
        match BufReader::new(&stream).read_line(&mut line) {
            Ok(_) if line == "+PONG\r\n" => welcome.push(stream),
            answer => {
                let reset = answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
                let told = answer.is_ok() && (line.is_empty() || line.contains("max number of clients"));
                assert!(reset || told, "neither served nor refused: {answer:?} {line}");
                refused += 1;
            }
        }
    }
    assert_eq!((welcome.len(), refused), (31, 69), "half of the descriptors are for clients");
    // Segments begin and go, and rows land, while every place for a client is taken.
    let value = "v".repeat(4_000);
    for n in 0..300 {
        assert_eq!(call(&mut first, &["SET", &format!("key:{n}"), &value]).as_error(), None, "{n}");
        if n % 50 == 49 {
            assert_eq!(call(&mut first, &["LANDFALL.FLUSH"]).as_error(), None);
        }
    }
    let gone = welcome.pop().unwrap();
    drop(gone);
    wait_until("a place is free again", || {
        Client::connect(server.address.parse().unwrap(), PATIENCE)
            .is_ok_and(|mut client| client.call(&["PING"]).is_ok_and(|pong| pong.as_error().is_none()))
    });
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn a_client_that_sends_without_end_holds_up_no_other() {
    const AT_ONCE: usize = 10_000;
    let place = Place::new();
    let server = place.serve(&[]);
    let mut other = connect(&server);
    assert_eq!(call(&mut other, &["SET", "k", "v"]).as_error(), None);
    let mut sender = TcpStream::connect(&server.address).unwrap();
    let mut receiver = sender.try_clone().unwrap();
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    let (received, others) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // It goes on for longer than the other client waits for an answer.
        scope.spawn(|| {
            let mut one = Vec::new();
            encode_request(&mut one, &[b"GET".as_slice(), b"k"]);
            let many = one.repeat(AT_ONCE);
            let begun = Instant::now();
            while others.load(Ordering::SeqCst) < 10 && begun.elapsed() < 2 * PATIENCE {
                sender.write_all(&many).unwrap();
            }
            sender.shutdown(Shutdown::Write).unwrap();
        });
        scope.spawn(|| {
            let mut buffer = vec![0; 1 << 16];
            loop {
                match receiver.read(&mut buffer).unwrap() {
                    0 => break,
                    read => received.fetch_add(read, Ordering::SeqCst),
                };
            }
        });
        wait_until("the flood has begun", || received.load(Ordering::SeqCst) > AT_ONCE);
        for _ in 0..10 {
            assert_eq!(call(&mut other, &["SET", "mine", "v"]).as_error(), None);
            others.fetch_add(1, Ordering::SeqCst);
        }
    });
}

#[test]
fn a_second_sigterm_ends_at_once_and_the_next_start_has_everything() {
    let place = Place::new();
    let settings = ["--database", "sqlite:app.db"];
    let server = place.serve_with(&settings, &[("LANDFALL_DRAIN_TIMEOUT", "10m")]);
    let other = lock(&place);
    server.cli(&["SET", "a", "1"]);
    signal(server.pid(), Signal::TERM);
    wait_until("it takes no more clients", || TcpStream::connect(&server.address).is_err());
    signal(server.pid(), Signal::TERM);
    assert_eq!(server.ended().code(), Some(1));
    other.execute_batch("ROLLBACK").unwrap();
    let server = place.serve(&settings);
    assert_eq!(server.cli(&["GET", "a"]), "1");
    assert_eq!(server.run(&["drain"]).code, Some(0));
}

#[test]
fn a_data_directory_in_memory_is_told_at_the_start_and_in_status() {
    const MEMORY: &str = "/dev/shm";
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    if !mounts.lines().any(|mount| mount.split(' ').nth(1) == Some(MEMORY) && mount.contains(" tmpfs ")) {
        eprintln!("SKIPPED: {MEMORY} is not in memory here");
        return;
    }
    let data = tempfile::tempdir_in(MEMORY).unwrap();
    let place = Place::new();
    let server = place.serve(&["--data-dir", data.path().to_str().unwrap(), "--database", "sqlite:app.db"]);
    assert!(server.said().contains("WARNING") && server.said().contains("tmpfs"), "{}", server.said());
    assert!(server.run(&["status"]).out.contains("tmpfs"), "status says it too");
}

// shows: S10
#[test]
fn a_paused_group_leaves_half_of_the_bound_to_the_others_and_its_writers_hear_why() {
    let place = Place::new();
    let tables = "CREATE TABLE page (id INTEGER PRIMARY KEY, views INTEGER)";
    Connection::open(place.path().join("app.db")).unwrap().execute_batch(tables).unwrap();
    let settings = ["--database", "sqlite:app.db", "--max-pending", "4000", "--throttle-at", "2000"];
    let server = place.serve_with(&settings, &[]);
    assert_eq!(server.run(&["pause", "page"]).code, Some(0));
    let mut client = connect(&server);
    let refused = |client: &mut Client, words: &[&str]| {
        call(client, words).as_error().map(|error| String::from_utf8_lossy(error.message).into_owned())
    };
    let taken = (1..).find_map(|n| {
        let said = refused(&mut client, &["HSET", &format!("page:{n}"), "views", "1"])?;
        assert!(said.contains("the landing group page does not land now (paused)"), "{said}");
        Some(n - 1)
    });
    assert!((2000..4000).contains(&taken.unwrap()), "{taken:?}");
    for n in 0..6000 {
        assert_eq!(refused(&mut client, &["SET", &format!("k{}", n % 100), "v"]), None, "key {n}");
    }
    let warned = server.run(&["status", "--json"]).out;
    assert!(warned.contains("takes half of max-pending"), "{warned}");
    assert_eq!(server.run(&["resume", "page"]).code, Some(0));
    wait_until("the group takes writes again", || {
        refused(&mut client, &["HSET", "page:1", "views", "2"]).is_none()
    });
    assert_eq!(server.run(&["drain"]).code, Some(0));
    let rows: i64 = lock(&place).query_row("SELECT count(*) FROM page", [], |row| row.get(0)).unwrap();
    assert_eq!(Some(rows), taken);
}
