//! One run of a client: a fresh server, the client's program beside it, and what the program tells of its steps.
//! It must never wait without an end, or outlive its test.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use rusqlite::Connection;

use crate::common::{Place, Server};
use crate::installed::Installed;

/// No step takes longer, on a slow machine either.
const STEP_SECONDS_MAX: u64 = 60;

/// Tables for the rows that each client writes and reads.
const TABLES: &str = "
    CREATE TABLE traveller (id INTEGER PRIMARY KEY, name TEXT, miles INTEGER);
    CREATE TABLE visit (at INTEGER NOT NULL, who TEXT);";

pub(crate) const BOTH: &[&str] = &["2", "3"];

/// The steps of a client, in their order.
pub(crate) const COMMON: &[&str] = &[
    "connect",
    "strings",
    "counters",
    "hashes",
    "rows",
    "expiry",
    "keys",
    "transactions",
    "messages",
    "pipelines",
    "errors",
    "reconnect",
];

/// The steps of Django's two caches. `clear` comes last: it takes everything away.
pub(crate) const DJANGO: &[&str] = &[
    "django_values",
    "django_redis_values",
    "django_many",
    "django_redis_many",
    "django_timeouts",
    "django_redis_timeouts",
    "django_counters",
    "django_redis_patterns",
    "sessions",
    "reconnect",
];

/// Runs a client, when it is there, in each of the protocols; every step has to be told as `ok`.
pub(crate) fn passes(client: Option<Installed>, protocols: &[&str], steps: &[&str]) {
    let Some(client) = client else { return };
    for protocol in protocols {
        let place = Place::new();
        let database = Connection::open(place.path().join("app.db")).unwrap();
        database.execute_batch(TABLES).unwrap();
        let lines = told(&client, protocol, &place);
        let is_passed = lines.iter().all(|line| line.starts_with("ok "))
            && steps.iter().all(|step| lines.contains(&format!("ok {step}")));
        let complaints = std::fs::read_to_string(place.path().join("client")).unwrap_or_default();
        assert!(is_passed, "RESP{protocol}: {}\n{complaints}", lines.join("\n"));
        if steps.contains(&"rows") {
            let row =
                "SELECT name || ' ' || miles || ' ' || (SELECT group_concat(who) FROM visit) FROM traveller";
            let landed: String = database.query_row(row, [], |row| row.get(0)).unwrap();
            assert_eq!(landed, "Amy 12 amy", "RESP{protocol}");
        }
    }
}

/// The lines that the client's program prints of its steps. Where it asks for it the server is killed and started again.
fn told(client: &Installed, protocol: &str, place: &Place) -> Vec<String> {
    let mut server = place.serve(&["--database", "sqlite:app.db"]);
    let (host, port) = server.address.rsplit_once(':').unwrap();
    let complaints = std::fs::File::create(place.path().join("client")).unwrap();
    let mut command = client.command();
    command.args([host, port, protocol]).current_dir(place.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(complaints);
    let mut program = Program(command.spawn().unwrap());
    let mut input = program.0.stdin.take().unwrap();
    let output = BufReader::new(program.0.stdout.take().unwrap());
    let (sender, receiver) = channel();
    // It ends with the program.
    std::thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
    let mut lines = Vec::new();
    while let Ok(line) = receiver.recv_timeout(Duration::from_secs(STEP_SECONDS_MAX)) {
        if line == "kill" {
            server = killed_and_back(place, server);
            writeln!(input, "back").unwrap();
        } else {
            lines.push(line);
        }
    }
    lines
}

/// The same server on the same address, after `kill -9`.
fn killed_and_back<'p>(place: &'p Place, server: Server<'_>) -> Server<'p> {
    let address = server.address.clone();
    server.kill();
    place.serve_at(&["--listen", &address, "--database", "sqlite:app.db"])
}

/// A process that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended before, and nobody is left to tell an error to.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
