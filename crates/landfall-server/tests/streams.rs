//! Streams over keys, over the wire: in RESP2 and RESP3, after kills, beside tables, and with clients that wait.
//! What the replies are is compared with a real Redis in `differential.rs`; here stands what only Landfall can get wrong.

mod common;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use common::{Place, Server, wait_until};
use landfall_resp::Value;
use landfall_sim::client::{Answer, Client, Request};
use rusqlite::Connection;

fn connect(server: &Server<'_>) -> Client {
    Client::connect(server.address.parse().unwrap(), common::PATIENCE).unwrap()
}

fn forget(client: &mut Client) {
    client.call(&["LANDFALL.FLUSH"]).unwrap();
    client.call(&["LANDFALL.EVICT"]).unwrap();
}

/// A reply in one line: `[a [b 1]]`, `{k: v}`, `-` for none.
fn told(value: &Value) -> String {
    let all = |items: &[Value]| items.iter().map(told).collect::<Vec<_>>().join(" ");
    match value {
        Value::Bulk(text) | Value::Simple(text) | Value::Error(text) => {
            String::from_utf8_lossy(text).into_owned()
        }
        Value::Integer(number) => number.to_string(),
        Value::Array(items) => format!("[{}]", all(items)),
        Value::Map(pairs) => {
            let pairs = pairs.iter().map(|(name, value)| format!("{}: {}", told(name), told(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Null => "-".into(),
        other => format!("{other:?}"),
    }
}

fn call(client: &mut Client, words: &str) -> String {
    let request: Request = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    match client.pipeline(&[request]).pop() {
        Some(Answer::Reply(value, _)) => told(&value),
        _ => "(no reply)".into(),
    }
}

fn file(place: &Place) -> Connection {
    Connection::open(place.path().join("landfall-data/landfall.db")).unwrap()
}

#[test]
fn a_stream_lands_as_rows_that_sql_can_read_and_is_there_after_a_kill() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    assert_eq!(call(&mut client, "XADD log 5-1 temp 20 unit C"), "5-1");
    assert_eq!(call(&mut client, "XADD log 5-* a 1 a 2"), "5-2");
    client.call(&["LANDFALL.FLUSH"]).unwrap();
    let lines: Vec<String> = file(&place)
        .prepare("SELECT key || ' ' || id || ' ' || fields FROM landfall_stream ORDER BY ms, seq")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(lines, [r#"log 5-1 {"temp":"20","unit":"C"}"#, r#"log 5-2 ["a","1","a","2"]"#]);
    let sql = "SELECT fields ->> 'temp' FROM landfall_stream WHERE key = 'log' LIMIT 1";
    assert_eq!(file(&place).query_row(sql, [], |row| row.get::<_, String>(0)).unwrap(), "20");
    client.call(&["LANDFALL.PAUSE"]).unwrap();
    assert_eq!(call(&mut client, "XADD log MAXLEN 2 6-1 b 3"), "6-1");
    assert_eq!(call(&mut client, "XDEL log 5-2"), "1");
    server.kill();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    assert_eq!(call(&mut client, "XRANGE log - +"), "[[6-1 [b 3]]]");
    assert_eq!(call(&mut client, "XADD log 6-1 x y").split(' ').next(), Some("ERR"));
    forget(&mut client);
    assert_eq!(call(&mut client, "XRANGE log - +"), "[[6-1 [b 3]]]");
    let info = call(&mut client, "XINFO STREAM log");
    assert!(info.contains("entries-added 3") && info.contains("max-deleted-entry-id 5-2"), "{info}");
    let id = call(&mut client, "XADD log * now 1");
    assert!(id.split('-').next().unwrap().parse::<u64>().unwrap() > 1_700_000_000_000, "{id}");
}

fn scanned(client: &mut Client, options: &str) -> BTreeSet<String> {
    let (mut found, mut cursor) = (BTreeSet::new(), "0".to_owned());
    loop {
        let page = call(client, &format!("SCAN {cursor} {options}"));
        let (next, keys) = page[1..page.len() - 2].split_once(" [").unwrap();
        found.extend(keys.split(' ').filter(|key| !key.is_empty()).map(str::to_owned));
        cursor = next.to_owned();
        if cursor == "0" {
            return found;
        }
    }
}

#[test]
fn replies_have_the_shapes_of_their_protocol() {
    let place = Place::new();
    let server = place.serve(&[]);
    let (mut two, mut three) = (connect(&server), connect(&server));
    call(&mut three, "HELLO 3");
    call(&mut two, "XADD a 1-1 f v");
    call(&mut two, "XADD b 2-1 g w");
    for evicted in [false, true] {
        if evicted {
            forget(&mut two);
        }
        assert_eq!(call(&mut two, "XREAD STREAMS a b nosuch 0 2 0"), "[[a [[1-1 [f v]]]] [b [[2-1 [g w]]]]]");
        assert_eq!(call(&mut three, "XREAD STREAMS a b 0 0"), "{a: [[1-1 [f v]]], b: [[2-1 [g w]]]}");
        assert_eq!(call(&mut two, "XREVRANGE a + (1-1"), "[]");
        assert_eq!(call(&mut two, "XREAD STREAMS a $"), "-");
        assert_eq!(call(&mut two, "TYPE a"), "stream");
        assert_eq!(call(&mut two, "OBJECT ENCODING a"), "stream");
        assert_eq!(scanned(&mut two, "TYPE stream"), BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        assert_eq!(scanned(&mut two, "TYPE hash"), BTreeSet::new());
        assert!(call(&mut two, "MEMORY USAGE a").parse::<u64>().unwrap() > 100);
        assert!(call(&mut two, "GET a").starts_with("WRONGTYPE"));
        assert!(call(&mut two, "HSET a f v").starts_with("WRONGTYPE"));
        assert!(call(&mut three, "XINFO STREAM a FULL").contains("groups: []"));
        assert_eq!(call(&mut two, "XINFO GROUPS a"), "[]");
        assert!(call(&mut two, "XINFO CONSUMERS a g").starts_with("NOGROUP"));
        assert!(call(&mut two, "XGROUP CREATE a g $").contains("no consumer groups"));
    }
    call(&mut two, "SET s 1");
    for command in
        ["XADD s * f v", "XLEN s", "XRANGE s - +", "XREAD STREAMS s 0", "XDEL s 1-1", "XTRIM s MAXLEN 1"]
    {
        assert!(call(&mut two, command).starts_with("WRONGTYPE"), "{command}");
    }
}

#[test]
fn bytes_that_are_no_text_come_back_from_the_database() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    let raw: [&[u8]; 7] =
        [b"XADD", b"log", b"1-1", b"\xff\0", b"\r\n\xfe", b"$serde_json::private::Number", b"x"];
    let words: Vec<Vec<u8>> = raw.iter().map(|word| word.to_vec()).collect();
    assert!(matches!(client.pipeline(&[words])[..], [Answer::Reply(Value::Bulk(_), _)]));
    forget(&mut client);
    let Value::Array(entries) = client.call(&["XRANGE", "log", "-", "+"]).unwrap() else {
        panic!("no entries")
    };
    let fields = Value::Array(raw[3..].iter().map(|word| Value::Bulk(word.to_vec())).collect());
    assert_eq!(entries, [Value::Array(vec![Value::Bulk(b"1-1".to_vec()), fields])]);
}

#[test]
fn xadd_on_a_table_is_an_event_and_reads_of_tables_are_refused() {
    let place = Place::new();
    let tables = "CREATE TABLE click (at INTEGER NOT NULL, who TEXT); CREATE TABLE page (id INTEGER PRIMARY KEY, n INTEGER)";
    Connection::open(place.path().join("app.db")).unwrap().execute_batch(tables).unwrap();
    let server = place.serve(&["--database", "sqlite:app.db"]);
    let mut client = connect(&server);
    let id = call(&mut client, "XADD click * at 5 who amy");
    assert!(id.starts_with("1-"), "the place in the log: {id}");
    assert!(call(&mut client, "XADD click MAXLEN 5 * at 5").starts_with("ERR the id of an event"));
    assert!(call(&mut client, "XADD click 5-1 at 5").starts_with("ERR the id of an event"));
    assert!(call(&mut client, "XADD page:1 * n 5").starts_with("ERR XADD appends to a table"));
    assert!(call(&mut client, "XREAD BLOCK 0 STREAMS click $").starts_with("ERR click is a table"));
    assert!(call(&mut client, "XLEN page:1").starts_with("WRONGTYPE"));
    assert!(call(&mut client, "XTRIM page:1 MAXLEN 1").starts_with("ERR XTRIM works on key-value keys"));
}

/// Sends without reading the reply; `reply` reads it.
struct Waiting<'s> {
    thread: std::thread::ScopedJoinHandle<'s, (String, Client)>,
}

impl<'s> Waiting<'s> {
    /// A client that has sent this, and is blocked.
    fn new(scope: &'s std::thread::Scope<'s, '_>, server: &Server<'_>, words: &str) -> Waiting<'s> {
        let mut control = connect(server);
        let before = blocked(&mut control);
        let mut client = connect(server);
        let words = words.to_owned();
        let thread = scope.spawn(move || (call(&mut client, &words), client));
        wait_until("the client waits", || blocked(&mut control) == before + 1);
        Waiting { thread }
    }

    fn reply(self) -> String {
        self.thread.join().unwrap().0
    }
}

fn blocked(client: &mut Client) -> usize {
    let info = call(client, "INFO clients");
    let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:")).unwrap();
    line.parse().unwrap()
}

#[test]
fn a_client_that_waits_gets_the_next_entry_of_any_of_its_streams() {
    let place = Place::new();
    let server = place.serve(&["--fsync", "always"]);
    let mut writer = connect(&server);
    call(&mut writer, "XADD old 5-1 f v");
    std::thread::scope(|scope| {
        let any = Waiting::new(scope, &server, "XREAD BLOCK 0 STREAMS old new $ 0");
        let old = Waiting::new(scope, &server, "XREAD BLOCK 100000 COUNT 5 STREAMS old $");
        call(&mut writer, "XADD other 1-1 f v");
        call(&mut writer, "XDEL old 5-1");
        assert_eq!(blocked(&mut writer), 2, "neither a trim nor another stream ends a wait");
        call(&mut writer, "XADD new 1-1 f v");
        assert_eq!(any.reply(), "[[new [[1-1 [f v]]]]]");
        forget(&mut writer);
        call(&mut writer, "MULTI");
        call(&mut writer, "XADD old 6-1 f v");
        call(&mut writer, "XADD old 6-2 f v");
        call(&mut writer, "EXEC");
        assert_eq!(old.reply(), "[[old [[6-1 [f v]] [6-2 [f v]]]]]");
        let renamed = Waiting::new(scope, &server, "XREAD BLOCK 0 STREAMS name 0");
        call(&mut writer, "RENAME old name");
        assert_eq!(renamed.reply(), "[[name [[6-1 [f v]] [6-2 [f v]]]]]");
    });
    assert_eq!(blocked(&mut writer), 0);
}

#[test]
fn a_wait_ends_with_its_time_a_kill_an_unblock_and_the_client() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut control = connect(&server);
    let begun = Instant::now();
    assert_eq!(call(&mut control, "XREAD BLOCK 30 STREAMS log $"), "-");
    assert!(begun.elapsed() >= Duration::from_millis(30));
    assert_eq!(
        told_all(&mut control, &["MULTI", "XREAD BLOCK 0 STREAMS log $", "EXEC"]),
        ["OK", "QUEUED", "[-]"]
    );
    let (mut unblocked, mut killed) = (connect(&server), connect(&server));
    let ids = [&mut unblocked, &mut killed].map(|client| call(client, "CLIENT ID"));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| call(&mut unblocked, "XREAD BLOCK 0 STREAMS log $"));
        let second = scope.spawn(|| call(&mut killed, "XREAD BLOCK 0 STREAMS log $"));
        wait_until("both wait", || blocked(&mut control) == 2);
        assert_eq!(call(&mut control, &format!("CLIENT UNBLOCK {} ERROR", ids[0])), "1");
        assert!(first.join().unwrap().starts_with("UNBLOCKED"));
        assert_eq!(call(&mut control, &format!("CLIENT UNBLOCK {}", ids[0])), "0");
        assert_eq!(call(&mut control, &format!("CLIENT KILL ID {}", ids[1])), "1");
        assert_eq!(second.join().unwrap(), "(no reply)", "the connection is closed");
    });
    assert_eq!(blocked(&mut control), 0);
    use std::io::Write;
    let mut leaving = std::net::TcpStream::connect(&server.address).unwrap();
    leaving
        .write_all(
            b"*6\r\n$5\r\nXREAD\r\n$5\r\nBLOCK\r\n$6\r\n900000\r\n$7\r\nSTREAMS\r\n$3\r\nlog\r\n$1\r\n$\r\n",
        )
        .unwrap();
    wait_until("it waits", || blocked(&mut control) == 1);
    drop(leaving);
    wait_until("the client is gone", || blocked(&mut control) == 0);
    assert_eq!(call(&mut unblocked, "PING"), "PONG", "what was unblocked goes on");
}

fn told_all(client: &mut Client, commands: &[&str]) -> Vec<String> {
    commands.iter().map(|command| call(client, command)).collect()
}

#[test]
fn what_was_sent_behind_a_read_that_waits_runs_when_it_is_answered() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut writer = connect(&server);
    std::thread::scope(|scope| {
        // Each of them wakes the next one.
        let chain: Vec<_> = (0..5)
            .map(|at| {
                let mut client = connect(&server);
                let handle = scope.spawn(move || {
                    let read = format!("XREAD BLOCK 0 STREAMS log{at} 0");
                    let add = format!("XADD log{} 1-1 f v", at + 1);
                    let requests: Vec<Request> = [read, add]
                        .iter()
                        .map(|words| words.split(' ').map(|word| word.as_bytes().to_vec()).collect())
                        .collect();
                    let answers = client.pipeline(&requests);
                    answers.iter().map(|answer| told(answer.value().expect("a reply"))).collect::<Vec<_>>()
                });
                wait_until("it waits", || blocked(&mut writer) == at + 1);
                handle
            })
            .collect();
        call(&mut writer, "XADD log0 1-1 f v");
        for (at, client) in chain.into_iter().enumerate() {
            assert_eq!(client.join().unwrap(), [format!("[[log{at} [[1-1 [f v]]]]]"), "1-1".into()]);
        }
    });
    assert_eq!(call(&mut writer, "XLEN log5"), "1");
}
