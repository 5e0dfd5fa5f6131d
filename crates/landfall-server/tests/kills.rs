//! Kills real servers under a real load of several clients (ours, the redis crate, redis-cli, redis-py), and has a
//! checker decide whether every promise was kept.
//! It proves process crashes only: what the system had taken survives a kill -9, whatever the fsync policy is.
//!
//! `LANDFALL_SEED=N` repeats the choices of a run (not the moments at which threads meet).
//! `LANDFALL_PROOF_MINUTES=N` goes on for so long; `LANDFALL_BIN` names another program than the one of this build.

mod clients;

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use landfall_sim::audit;
use landfall_sim::chance::Chance;
use landfall_sim::checker::{Operation, Outcome, Promise, State, Violation, check};
use landfall_sim::load::{
    EVENT_TABLES, Part, ROW_TABLES, Record, SCHEMA, Scene, drive, keys, names, read_back,
};
use landfall_sim::servers::{Landfall, LandfallOptions};
use landfall_sim::skipping::skipped;
use landfall_sim::waiting::wait_until;

const CLIENTS: usize = 6;
const KILLS_PER_SEGMENT: u32 = 3;
/// Writes that are acknowledged between two kills, at most; and now and then, so that many segments come and go.
const WRITES_BETWEEN_KILLS_MAX: u64 = 1500;
const WRITES_OF_A_LONG_LIFE_MAX: u64 = 15_000;
/// A server that acknowledges nothing for so long is stuck.
const PROGRESS_WITHIN: Duration = Duration::from_secs(60);
/// A kill in the middle of a start comes within this time.
const START_KILLED_WITHIN_MS: u64 = 120;
const FLUSH_WITHIN_MS: u64 = 60_000;
const TOLD_MAX: usize = 10;

/// Landing all the time, segments that end and go while the load runs, rows that are loaded again soon.
const CONFIG: &str = r#"
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
const EXPECTED_REFUSALS: &[&str] = &["TRYAGAIN ", "LOADING ", "MASTERDOWN "];

/// What was done and found so far.
#[derive(Default)]
struct Tally {
    kills: u32,
    acknowledged: u64,
    broken: BTreeMap<Promise, usize>,
    /// What each kind of client has been answered.
    answered: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn line(&self) -> String {
        let broken = |promise| self.broken.get(&promise).copied().unwrap_or(0);
        format!(
            "PROOF: {} kills, {} acknowledged writes, {} lost, {} twice, {} out of order, {} half done, {} invented",
            self.kills,
            self.acknowledged,
            broken(Promise::Lost),
            broken(Promise::Twice),
            broken(Promise::Order),
            broken(Promise::Half),
            broken(Promise::Invented)
        )
    }
}

/// A server over the tables of the load. The database is a user's file, in the user's journal mode.
fn prepare(fsync: &str, journal: &str) -> Result<Landfall> {
    let mut options = LandfallOptions::new(env!("CARGO_BIN_EXE_landfall"));
    fsync.clone_into(&mut options.fsync);
    CONFIG.clone_into(&mut options.config);
    let server = Landfall::prepare(options)?;
    let database = rusqlite::Connection::open(server.database())?;
    database.execute_batch(&format!("PRAGMA journal_mode = {journal};"))?;
    database.execute_batch(SCHEMA)?;
    Ok(server)
}

/// One server with its history.
struct Round {
    server: Landfall,
    chance: Chance,
    /// What the server held when the current segment began.
    state: State,
    segment: u32,
    /// Which clients take part, again and again until there are enough.
    clients: Vec<clients::Kind>,
}

impl Round {
    fn begin((fsync, journal): (&str, &str), chance: Chance) -> Result<Round> {
        let mut server = prepare(fsync, journal)?;
        server.restart()?;
        let clients = clients::ALL.iter().filter(|kind| kind.lacks().is_none()).copied().collect();
        Ok(Round { server, chance, state: State::default(), segment: 0, clients })
    }

    fn kind_of(&self, client: u32) -> clients::Kind {
        self.clients[client as usize % self.clients.len()]
    }

    /// Runs the load while `meanwhile` does something to the server; what the clients saw, all together.
    fn under_load(
        &mut self,
        meanwhile: impl FnOnce(&mut Round, &Scene) -> Result<()>,
    ) -> Result<Vec<Operation>> {
        self.segment += 1;
        let scene = Scene::default();
        scene.set_address(self.server.address());
        let parts: Vec<Part> = (1..=CLIENTS as u32)
            .map(|client| {
                let connect = self.kind_of(client).connect;
                Part { client, connect, segment: self.segment, chance: self.chance.fork() }
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
                .filter(|(message, _)| !EXPECTED_REFUSALS.iter().any(|prefix| message.starts_with(prefix)))
                .collect();
            ensure!(unexpected.is_empty(), "valid requests were refused: {:#?}", first(&unexpected));
            history.extend(record.history);
        }
        Ok(history)
    }

    /// Waits until more writes are acknowledged: a random number of them.
    fn progress(&mut self, scene: &Scene) -> Result<()> {
        let most = match self.chance.percent(10) {
            true => WRITES_OF_A_LONG_LIFE_MAX,
            false => WRITES_BETWEEN_KILLS_MAX,
        };
        let target = scene.acknowledged() + 20 + self.chance.below(most);
        let reached = wait_until(Instant::now() + PROGRESS_WITHIN, || scene.acknowledged() >= target);
        ensure!(reached, self.server.said("the server acknowledges nothing any more"));
        Ok(())
    }

    fn kill_and_restart(&mut self, scene: &Scene, tally: &mut Tally) -> Result<()> {
        scene.set_address(None);
        self.server.kill9()?;
        tally.kills += 1;
        if self.chance.percent(30) {
            self.server.launch()?;
            // Any moment of the start will do; there is nothing to wait for.
            let moment = Instant::now() + Duration::from_millis(self.chance.below(START_KILLED_WITHIN_MS));
            wait_until(moment, || false);
            self.server.kill9()?;
            tally.kills += 1;
        }
        scene.set_address(Some(self.server.restart()?));
        Ok(())
    }

    /// Another process holds the database's lock, so every landing fails, and all of it is owed when the kill comes.
    fn kill_while_nothing_lands(&mut self, scene: &Scene, tally: &mut Tally) -> Result<()> {
        let mut other = rusqlite::Connection::open(self.server.database())?;
        other.busy_timeout(PROGRESS_WITHIN)?;
        let lock = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        self.progress(scene)?;
        scene.set_address(None);
        self.server.kill9()?;
        tally.kills += 1;
        lock.rollback()?;
        scene.set_address(Some(self.server.restart()?));
        self.progress(scene)
    }

    /// Several kills under one load, then the whole reckoning.
    fn kills(&mut self, tally: &mut Tally) -> Result<()> {
        let history = self.under_load(|round, scene| {
            for _ in 0..KILLS_PER_SEGMENT {
                round.progress(scene)?;
                if round.chance.percent(25) {
                    round.kill_while_nothing_lands(scene, tally)?;
                }
                round.kill_and_restart(scene, tally)?;
            }
            round.progress(scene)?;
            tally.acknowledged += scene.acknowledged();
            Ok(())
        })?;
        for operation in history.iter().filter(|operation| matches!(operation.outcome, Outcome::Acked(_))) {
            *tally.answered.entry(self.kind_of(operation.client).name).or_default() += 1;
        }
        if self.chance.percent(50) {
            self.server.kill9()?;
            tally.kills += 1;
            self.server.restart()?;
        }
        self.reckon(&history, tally)
    }

    /// Reads everything back, before and after it landed, compares it with the file, and asks the checker.
    fn reckon(&mut self, history: &[Operation], tally: &mut Tally) -> Result<()> {
        let mut client = self.server.connect()?;
        let mut last = names(&self.state, history);
        read_back(&mut client, &mut last)?;
        let mut found = Vec::new();
        let landed = audit::flush(&mut client, FLUSH_WITHIN_MS)
            .with_context(|| self.server.said("the rows do not land"));
        let mut again = last.clone();
        if landed.is_ok() {
            read_back(&mut client, &mut again)?;
            let database = self.server.database();
            for (table, column) in EVENT_TABLES {
                last.sets.insert((*table).to_owned(), audit::column(&database, table, column)?);
            }
            again.sets.clone_from(&last.sets);
            found = audit::differences(&database, &mut client, ROW_TABLES, &keys(&last))?;
        }
        if again != last {
            found.push("the view changed when the rows landed".to_owned());
        }
        let violations = check(&self.state, history, &last);
        for violation in &violations {
            *tally.broken.entry(violation.promise).or_default() += 1;
        }
        if landed.is_err() || !found.is_empty() || !violations.is_empty() {
            self.write_down(history)?;
            tell(&found, &violations)?;
        }
        landed?;
        self.state = last;
        Ok(())
    }

    fn write_down(&self, history: &[Operation]) -> Result<()> {
        let mut lines: Vec<&Operation> = history.iter().collect();
        lines.sort_by_key(|operation| (operation.invoked_ns, operation.sequence));
        let text: String = lines.iter().map(|operation| format!("{operation}\n")).collect();
        std::fs::write(self.server.folder().join("history.txt"), text)?;
        Ok(())
    }
}

fn tell(found: &[String], violations: &[Violation]) -> Result<()> {
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
fn told(name: &str, seed: u64, round: Result<Round>, body: impl FnOnce(&mut Round) -> Result<()>) {
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

fn proof_time() -> Result<Option<Duration>> {
    let Some(minutes) = std::env::var_os("LANDFALL_PROOF_MINUTES") else { return Ok(None) };
    let minutes: u64 =
        minutes.to_str().and_then(|text| text.parse().ok()).context("LANDFALL_PROOF_MINUTES is no number")?;
    Ok(Some(Duration::from_secs(minutes * 60)))
}

// shows: S1, S5, S6, S7
#[test]
fn a_server_killed_again_and_again_under_load_loses_and_doubles_nothing() {
    let seed = Chance::fresh_seed().unwrap();
    println!("LANDFALL_SEED={seed}");
    let mut chance = Chance::from_seed(seed);
    let end = proof_time().unwrap().map(|time| Instant::now() + time);
    let mut tally = Tally::default();
    loop {
        for (fsync, journal, segments) in
            [("always", "WAL", 6), ("everysec", "WAL", 3), ("always", "DELETE", 2)]
        {
            told("kills", seed, Round::begin((fsync, journal), chance.fork()), |round| {
                let done = (0..segments).try_for_each(|_| round.kills(&mut tally));
                if done.is_err() {
                    println!("{}", tally.line());
                }
                done
            });
        }
        if end.is_none_or(|end| Instant::now() >= end) {
            break;
        }
    }
    println!("{}", tally.line());
    println!("answers by client: {:?}", tally.answered);
    assert!(tally.kills >= 20, "{} kills are too few", tally.kills);
    let took_part = |kind: &&clients::Kind| kind.lacks().is_some() || tally.answered.contains_key(kind.name);
    assert!(clients::ALL.iter().all(|kind| took_part(&kind)), "{:?}", tally.answered);
}

/// Kills under the load of one kind of client alone.
fn kills_with_only(test: &str, client: &str) {
    let kind = clients::ALL.iter().find(|kind| kind.name == client).unwrap();
    if let Some(reason) = kind.lacks() {
        return skipped(test, &reason);
    }
    let seed = Chance::fresh_seed().unwrap();
    let mut tally = Tally::default();
    told(test, seed, Round::begin(("everysec", "WAL"), Chance::from_seed(seed)), |round| {
        round.clients = vec![*kind];
        round.kills(&mut tally)
    });
    println!("{client}: {}", tally.line());
}

// shows: S18
#[test]
fn the_redis_crate_loses_and_doubles_nothing_when_the_server_is_killed() {
    kills_with_only("the_redis_crate_loses_and_doubles_nothing_when_the_server_is_killed", "redis-crate");
    kills_with_only(
        "the_redis_crate_loses_and_doubles_nothing_when_the_server_is_killed",
        "redis-crate-async",
    );
}

// shows: S18
#[test]
fn redis_cli_loses_and_doubles_nothing_when_the_server_is_killed() {
    kills_with_only("redis_cli_loses_and_doubles_nothing_when_the_server_is_killed", "redis-cli");
}

// shows: S18
#[test]
fn redis_py_loses_and_doubles_nothing_when_the_server_is_killed() {
    kills_with_only("redis_py_loses_and_doubles_nothing_when_the_server_is_killed", "redis-py");
}

// shows: S1, S6
#[test]
fn a_server_asked_to_end_under_load_ends_with_0_and_keeps_everything() {
    let seed = Chance::fresh_seed().unwrap();
    told("terminate", seed, Round::begin(("everysec", "WAL"), Chance::from_seed(seed)), |round| {
        let mut tally = Tally::default();
        let history = round.under_load(|round, scene| {
            for _ in 0..2 {
                round.progress(scene)?;
                scene.set_address(None);
                let status = round.server.terminate()?;
                ensure!(
                    status.code() == Some(0),
                    round.server.said(&format!("the server ended with {status}"))
                );
                scene.set_address(Some(round.server.restart()?));
            }
            round.progress(scene)
        })?;
        round.reckon(&history, &mut tally)
    });
}

#[test]
fn a_second_server_on_the_same_data_is_refused_and_says_why() {
    let seed = 0;
    told("second server", seed, Round::begin(("always", "WAL"), Chance::from_seed(seed)), |round| {
        let (status, words) = round.server.start_another()?;
        ensure!(status.code() == Some(69), "it ended with {status} and said: {words}");
        let data_dir = round.server.data_dir();
        ensure!(names_the_problem(&words, &data_dir), "it said: {words}");
        // The first one goes on as if nothing had been.
        round.server.connect()?.call(&["SET", "still:here", "yes"])?;
        Ok(())
    });
}

fn names_the_problem(words: &str, data_dir: &Path) -> bool {
    words.contains("in use by another Landfall process") && words.contains(&data_dir.display().to_string())
}
