//! One run of a client: a fresh server, the client's program beside it, and what the program tells of its steps.
//! It must never wait without an end, or outlive its test.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
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
    "django_clear",
    "django_redis_clear",
];

/// A client that is not a program of its own: a thread of the test plays it.
pub(crate) struct Stage {
    pub(crate) address: String,
    pub(crate) protocol: String,
    lines: Sender<String>,
    back: Receiver<()>,
}

impl Stage {
    /// One line for one step.
    pub(crate) fn tell(&self, line: &str) {
        // A runner that has given up hears nothing more.
        let _ = self.lines.send(line.to_owned());
    }

    /// Asks the runner to kill the server and to start it again, and waits until that is done.
    pub(crate) fn lose_the_server(&self) {
        self.tell("kill");
        self.back.recv().unwrap();
    }
}

/// Runs a client, when it is there, in each of the protocols; every step has to be told as `ok`.
pub(crate) fn passes(client: Option<Installed>, protocols: &[&str], steps: &[&str]) {
    let Some(client) = client else { return };
    for protocol in protocols {
        runs(protocol, steps, |place| of_program(&client, protocol, place));
    }
}

/// The same for a client that is played by a thread.
pub(crate) fn passes_on_a_thread(play: fn(Stage), protocols: &[&str], steps: &[&str]) {
    for protocol in protocols {
        runs(protocol, steps, |place| of_thread(play, protocol, place));
    }
}

fn runs(protocol: &str, steps: &[&str], told: impl FnOnce(&Place) -> Vec<String>) {
    let place = Place::new();
    let database = Connection::open(place.path().join("app.db")).unwrap();
    database.execute_batch(TABLES).unwrap();
    let lines = told(&place);
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

/// The lines that the client's program prints of its steps.
fn of_program(client: &Installed, protocol: &str, place: &Place) -> Vec<String> {
    let server = place.serve(&["--database", "sqlite:app.db"]);
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
    told(place, server, &receiver, || writeln!(input, "back").unwrap())
}

fn of_thread(play: fn(Stage), protocol: &str, place: &Place) -> Vec<String> {
    let server = place.serve(&["--database", "sqlite:app.db"]);
    let ((lines, receiver), (sender, back)) = (channel(), channel());
    let stage = Stage { address: server.address.clone(), protocol: protocol.to_owned(), lines, back };
    let player = std::thread::spawn(move || play(stage));
    // A player that waited in vain has left: then its lines end, and that is seen.
    let told = told(place, server, &receiver, || sender.send(()).unwrap_or_default());
    drop(sender);
    player.join().expect("the client's steps are caught one by one");
    told
}

/// The lines that come from a client. Where one asks for it the server is killed and started again.
fn told<'p>(
    place: &'p Place,
    mut server: Server<'p>,
    lines: &Receiver<String>,
    mut is_back: impl FnMut(),
) -> Vec<String> {
    let mut told = Vec::new();
    while let Ok(line) = lines.recv_timeout(Duration::from_secs(STEP_SECONDS_MAX)) {
        if line == "kill" {
            server = killed_and_back(place, server);
            is_back();
        } else {
            told.push(line);
        }
    }
    told
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
