//! One server with its history: a load from several clients while something is done to the server, and then the
//! reckoning of everything that was promised.
//! It must never let a broken promise, a strange reply or an unexpected refusal pass.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::audit;
use crate::chance::Chance;
use crate::checker::{Operation, Promise, State, Violation, check};
use crate::client::{Client, Connect};
use crate::load::{EVENT_TABLES, Part, ROW_TABLES, Record, SCHEMA, Scene, drive, keys, names, read_back};
use crate::servers::{Landfall, LandfallOptions, Postgres};
use crate::waiting::wait_until;

/// How many clients write at once, unless a test says otherwise.
pub const CLIENTS: usize = 6;
/// A server that acknowledges nothing for so long is stuck.
pub const PROGRESS_WITHIN: Duration = Duration::from_secs(60);
const FLUSH_WITHIN_MS: u64 = 60_000;
const TOLD_MAX: usize = 10;

/// Landing all the time, segments that end and go while the load runs, rows that are loaded again soon.
pub const CONFIG: &str = r#"
flush-interval = "5ms"
flush-count = 50
segment-bytes = "128KiB"
retention = "1s"
retention-bytes = "512KiB"
ttl = "20ms"
absent-ttl = "10ms"
load-timeout = "1s"
"#;

/// Refusals that a client acts on by trying again; anything else means that the server refused a valid request.
pub const EXPECTED_REFUSALS: &[&str] = &["TRYAGAIN ", "LOADING ", "MASTERDOWN "];

/// What was found so far, over all rounds.
#[derive(Debug, Default)]
pub struct Tally {
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    broken: BTreeMap<Promise, usize>,
}

impl Tally {
    /// Counts broken promises.
    pub fn add(&mut self, violations: &[Violation]) {
        for violation in violations {
            *self.broken.entry(violation.promise).or_default() += 1;
        }
    }

    /// The line for the record; `what` says what was done.
    pub fn line(&self, what: &str) -> String {
        let broken = |promise| self.broken.get(&promise).copied().unwrap_or(0);
        format!(
            "PROOF: {what}, {} acknowledged writes, {} lost, {} twice, {} out of order, {} half done, {} invented",
            self.acknowledged,
            broken(Promise::Lost),
            broken(Promise::Twice),
            broken(Promise::Order),
            broken(Promise::Half),
            broken(Promise::Invented)
        )
    }
}

/// A server over the tables of the load, not started yet. The database is a user's file, in the user's journal mode.
///
/// # Errors
/// The files cannot be made.
pub fn prepare(options: LandfallOptions, journal: &str) -> Result<Landfall> {
    let server = Landfall::prepare(options)?;
    let database = rusqlite::Connection::open(server.database())?;
    database.execute_batch(&format!("PRAGMA journal_mode = {journal};"))?;
    database.execute_batch(SCHEMA)?;
    Ok(server)
}

/// As [`prepare`], over a new database of a PostgreSQL.
///
/// # Errors
/// The tables cannot be made.
pub fn prepare_postgres(mut options: LandfallOptions, postgres: &Arc<Postgres>) -> Result<Landfall> {
    let name = postgres.new_database()?;
    // SQLite's whole numbers have 64 bits.
    postgres.psql(&name, &SCHEMA.replace("INTEGER", "bigint"))?;
    options.postgres = Some((Arc::clone(postgres), name));
    Landfall::prepare(options)
}

/// As [`prepare_postgres`], where the server finds PostgreSQL at another address: of a proxy, or a pooler.
///
/// # Errors
/// The tables cannot be made.
pub fn prepare_postgres_at(
    mut options: LandfallOptions,
    postgres: &Arc<Postgres>,
    address: SocketAddr,
) -> Result<Landfall> {
    options.postgres_at = Some(address);
    prepare_postgres(options, postgres)
}

/// One server with its history.
#[derive(Debug)]
pub struct Round {
    /// The server.
    pub server: Landfall,
    /// The chances of this round.
    pub chance: Chance,
    /// Beginnings of refusals that the clients may get; see [`EXPECTED_REFUSALS`].
    pub expected_refusals: Vec<&'static str>,
    /// How each of the clients connects; their number is that of clients.
    pub clients: Vec<Connect>,
    /// What the server held when the current segment began.
    state: State,
    segment: u32,
}

impl Round {
    /// A round over a server that runs.
    pub fn new(server: Landfall, chance: Chance) -> Round {
        Round {
            server,
            chance,
            expected_refusals: EXPECTED_REFUSALS.to_vec(),
            clients: vec![Client::connect_any; CLIENTS],
            state: State::default(),
            segment: 0,
        }
    }

    /// What the server held at the last reckoning.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Runs the load while `meanwhile` does something to the server; what the clients saw, all together.
    ///
    /// # Errors
    /// `meanwhile` failed, or a client saw what no server may say.
    pub fn under_load(
        &mut self,
        meanwhile: impl FnOnce(&mut Round, &Scene) -> Result<()>,
    ) -> Result<Vec<Operation>> {
        self.segment += 1;
        let scene = Scene::default();
        scene.set_address(self.server.address());
        let parts: Vec<Part> = (1..)
            .zip(&self.clients)
            .map(|(client, connect)| Part {
                client,
                connect: *connect,
                segment: self.segment,
                chance: self.chance.fork(),
            })
            .collect();
        let (done, records) = thread::scope(|scope| {
            let clients: Vec<_> = parts.into_iter().map(|part| scope.spawn(|| drive(&scene, part))).collect();
            let done = meanwhile(self, &scene);
            scene.stop();
            let records: Vec<Record> = clients
                .into_iter()
                .map(|client| client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect();
            (done, records)
        });
        done?;
        let mut history = Vec::new();
        for record in records {
            ensure!(record.strange.is_empty(), "strange replies: {:#?}", first(&record.strange));
            let unexpected: Vec<_> = record
                .refusals
                .iter()
                .filter(|(message, _)| {
                    !self.expected_refusals.iter().any(|prefix| message.starts_with(*prefix))
                })
                .collect();
            ensure!(unexpected.is_empty(), "valid requests were refused: {:#?}", first(&unexpected));
            history.extend(record.history);
        }
        Ok(history)
    }

    /// Waits until at least so many more writes are acknowledged.
    ///
    /// # Errors
    /// The server acknowledges nothing any more.
    pub fn progress(&mut self, scene: &Scene, writes: u64) -> Result<()> {
        let target = scene.acknowledged() + writes;
        let reached = wait_until(Instant::now() + PROGRESS_WITHIN, || scene.acknowledged() >= target);
        ensure!(reached, self.server.said("the server acknowledges nothing any more"));
        Ok(())
    }

    /// Reads everything back, before and after it landed, compares it with the file, and asks the checker.
    ///
    /// # Errors
    /// A promise is broken; the history is kept beside the server's words.
    pub fn reckon(&mut self, history: &[Operation], tally: &mut Tally) -> Result<()> {
        let mut client = self.server.connect()?;
        let mut last = names(&self.state, history);
        read_back(&mut client, &mut last)?;
        let mut found = Vec::new();
        let landed = audit::flush(&mut client, FLUSH_WITHIN_MS)
            .with_context(|| self.server.said("the rows do not land"));
        let mut again = last.clone();
        if landed.is_ok() {
            read_back(&mut client, &mut again)?;
            let database = audit::file_of(&self.server).context("a copy of the database")?;
            for (table, column) in EVENT_TABLES {
                let events = audit::column(&database, table, column)?;
                again.sets.insert((*table).to_owned(), events.clone());
                last.sets.insert((*table).to_owned(), events);
            }
            found = audit::differences(&database, &mut client, ROW_TABLES, &keys(&last))?;
        }
        if again != last {
            found.push("the view changed when the rows landed".to_owned());
        }
        let violations = check(&self.state, history, &last);
        tally.add(&violations);
        if landed.is_err() || !found.is_empty() || !violations.is_empty() {
            self.write_down(history)?;
            tell(&found, &violations)?;
        }
        landed?;
        self.state = last;
        Ok(())
    }

    /// Keeps the history as text, for people.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_down(&self, history: &[Operation]) -> Result<()> {
        let mut lines: Vec<&Operation> = history.iter().collect();
        lines.sort_by_key(|operation| (operation.invoked_ns, operation.sequence));
        let text: String = lines.iter().map(|operation| format!("{operation}\n")).collect();
        fs::write(self.server.folder().join("history.txt"), text)?;
        Ok(())
    }
}

/// Makes an error of what was found, if anything was.
///
/// # Errors
/// Always, unless both lists are empty.
pub fn tell(found: &[String], violations: &[Violation]) -> Result<()> {
    let violations: Vec<String> = violations
        .iter()
        .map(|violation| format!("{:?}: {}", violation.promise, violation.sentence))
        .collect();
    if found.is_empty() && violations.is_empty() {
        return Ok(());
    }
    bail!(
        "{} broken promises: {:#?}\n{} differences between server and file: {:#?}",
        violations.len(),
        first(&violations),
        found.len(),
        first(found)
    );
}

fn first<T>(list: &[T]) -> &[T] {
    &list[..list.len().min(TOLD_MAX)]
}

/// Runs a test's body; a failure says the seed and where everything lies.
///
/// # Panics
/// The body failed.
pub fn told(name: &str, seed: u64, round: Result<Round>, body: impl FnOnce(&mut Round) -> Result<()>) {
    let mut round = round.unwrap_or_else(|error| panic!("{name}, LANDFALL_SEED={seed}: {error:#}"));
    if let Err(error) = body(&mut round) {
        let words = round.server.said("");
        let folder = round.server.keep();
        panic!(
            "{name}, LANDFALL_SEED={seed}, everything is kept in {}\n{error:#}\n{words}",
            folder.display()
        );
    }
}

/// How long a proof was asked to run (`LANDFALL_PROOF_MINUTES`); none: an ordinary test.
///
/// # Errors
/// The variable holds no number.
pub fn proof_time() -> Result<Option<Duration>> {
    let Some(minutes) = std::env::var_os("LANDFALL_PROOF_MINUTES") else { return Ok(None) };
    let minutes: u64 =
        minutes.to_str().and_then(|text| text.parse().ok()).context("LANDFALL_PROOF_MINUTES is no number")?;
    Ok(Some(Duration::from_secs(minutes * 60)))
}
