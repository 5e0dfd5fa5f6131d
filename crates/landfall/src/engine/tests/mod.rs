//! The engine as a whole: what clients are told against a model, with landings that fail, evictions and restarts.
//! Nothing here looks inside: a test writes, reads, and compares with what the database holds in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::{Engine, OpenError, Opened, Refusal, Stop, Unit, Written};
use crate::buffer::log::Log;
use crate::buffer::log::local::{LocalLog, LocalLogSettings};
use crate::buffer::log::memory::{MemoryLog, MemoryLogSettings};
use crate::env::strict_disk::StrictDisk;
use crate::env::{self, Clock, Env, Random};
use crate::model::mapping::Target;
use crate::model::{Column, ColumnType, Letter, Name, RowKey, Table, Value};
use crate::settings::Settings;
use crate::sink::Database;
use crate::sink::memory::MemoryDatabase;

mod adopt;
mod alone;
mod buffer;
mod bugs;
#[cfg(feature = "sqlite")]
mod changed_tables;
#[cfg(feature = "interleavings")]
mod clear_interleavings;
mod clears;
mod clock;
#[cfg(feature = "sqlite")]
mod columns;
mod doubles;
mod history;
#[cfg(feature = "interleavings")]
mod in_turns;
#[cfg(feature = "interleavings")]
mod interleavings;
mod keyspace;
#[cfg(feature = "sqlite")]
mod library;
mod loads;
mod model;
mod panics;
mod parked;
mod relane;
mod residency;
mod rows_walk;
mod shares;
mod streams;
mod threads;
mod warm;
#[cfg(feature = "interleavings")]
mod watch_interleavings;
mod watches;

/// Long enough for a slow machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for time as everybody does, but says the date that the test wants.
struct TestClock {
    real: Arc<dyn Clock>,
    unix_ms: AtomicU64,
}

impl Clock for TestClock {
    fn monotonic(&self) -> Duration {
        self.real.monotonic()
    }

    fn unix_ms(&self) -> u64 {
        self.unix_ms.load(Ordering::SeqCst)
    }
}

struct TestRandom(AtomicU64);

impl Random for TestRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let seed = self.0.fetch_add(1, Ordering::SeqCst);
        bytes
            .iter_mut()
            .zip(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes().iter().cycle())
            .for_each(|(byte, random)| *byte = random.wrapping_add(seed as u8));
    }
}

/// An engine with everything around it that outlives it.
struct World {
    clock: Arc<TestClock>,
    env: Env,
    settings: Settings,
    /// None: the log lives in memory and ends with the engine.
    disk: Option<StrictDisk>,
    database: Arc<dyn Database>,
    engine: Option<Engine>,
}

/// A table `page` that nothing computes, and a table `shop` with a default, so that its rows are loaded again.
fn tables() -> Vec<Table> {
    let column = |name: &str, kind: ColumnType, nullable: bool, has_default: bool| Column {
        name: name.into(),
        declared: format!("{kind:?}"),
        kind,
        nullable,
        has_default,
        default: None,
        generated: false,
    };
    let whole = ColumnType::Int { min: i64::MIN, max: i64::MAX };
    let text = ColumnType::Text { chars_max: None };
    let table = |name: &str, has_default: bool| Table {
        name: name.into(),
        columns: vec![
            column("id", whole.clone(), false, false),
            column("views", whole.clone(), true, false),
            column("title", text.clone(), true, has_default),
            column("score", ColumnType::Decimal { precision: 20, scale: 2 }, true, false),
        ],
        primary_key: vec![0],
        keyless_reason: None,
        unique: Vec::new(),
        references: Vec::new(),
    };
    vec![table("page", false), table("shop", true)]
}

fn small(settings: Settings) -> Settings {
    Settings { segment_bytes: 1 << 16, retention: Duration::ZERO, retention_bytes: 0, ..settings }
}

impl World {
    /// On a log in memory and a database in memory.
    fn new(change: impl FnOnce(&mut Settings)) -> (World, MemoryDatabase) {
        let database = MemoryDatabase::new(tables());
        (World::with(Arc::new(database.clone()), None, change), database)
    }

    /// On a local log on a disk in memory, which survives [`World::reopen`].
    fn on_disk(change: impl FnOnce(&mut Settings)) -> (World, MemoryDatabase) {
        let database = MemoryDatabase::new(tables());
        (World::with(Arc::new(database.clone()), Some(StrictDisk::default()), change), database)
    }

    fn with(
        database: Arc<dyn Database>,
        disk: Option<StrictDisk>,
        change: impl FnOnce(&mut Settings),
    ) -> World {
        let real = env::real();
        let clock = Arc::new(TestClock { real: real.clock, unix_ms: AtomicU64::new(1_800_000_000_000) });
        let env = Env {
            clock: clock.clone(),
            random: Arc::new(TestRandom(AtomicU64::new(1))),
            disk: disk.as_ref().map_or(real.disk, |disk| disk.env(1).disk),
        };
        let mut settings = small(Settings::in_dir("/log"));
        settings.flush_interval = Duration::from_millis(2);
        if disk.is_none() {
            // What a failover takes back must still be there to land again.
            settings.retention_bytes = MemoryLogSettings::default().retention_bytes;
        }
        change(&mut settings);
        let mut world = World { clock, env, settings, disk, database, engine: None };
        world.open();
        world
    }

    fn open(&mut self) -> Opened {
        self.try_open().unwrap()
    }

    fn try_open(&mut self) -> Result<Opened, OpenError> {
        let log: Arc<dyn Log> = match self.disk {
            Some(_) => {
                let settings = LocalLogSettings::from(&self.settings);
                Arc::new(LocalLog::open(self.env.clone(), &self.settings.data_dir, settings).unwrap().0)
            }
            None => {
                let retention_bytes = self.settings.retention_bytes;
                let settings = MemoryLogSettings { retention_bytes, ..MemoryLogSettings::default() };
                Arc::new(MemoryLog::new(self.env.clone(), settings))
            }
        };
        let fatal = Arc::new(|name: &str| panic!("the thread {name} panicked"));
        let (engine, opened) =
            Engine::open(self.env.clone(), self.settings.clone(), log, self.database.clone(), fatal)?;
        self.engine = Some(engine);
        Ok(opened)
    }

    /// Ends the engine without landing what is left, and opens it again.
    fn reopen(&mut self) -> Opened {
        let engine = self.engine.take().unwrap();
        assert_eq!(engine.close(Duration::ZERO).unwrap().failed, Vec::<String>::new());
        drop(engine);
        self.open()
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn advance(&self, ms: u64) {
        self.clock.unix_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Runs one unit, loading what it asks for, and commits the log as an acknowledgement asks for.
    fn run<T>(
        &self,
        keys: &[&str],
        command: impl FnMut(&mut Unit<'_>, &[Target]) -> Result<T, Stop>,
    ) -> Result<(T, Written), Refusal> {
        run(self.engine(), keys, command)
    }

    /// Lands everything accepted so far, and waits until the cache has heard of it.
    fn land_all(&self) {
        self.engine().flush_and_wait(PATIENCE).unwrap();
        wait_until(|| self.engine().status().dirty.0 == 0);
    }

    /// Lands everything and forgets it, so that the next read is of the database.
    fn land_and_forget(&self) {
        self.land_all();
        self.engine().evict_clean();
        assert_eq!(self.engine().status().cache, (0, 0), "a clean cache can be emptied");
    }
}

fn run<T>(
    engine: &Engine,
    keys: &[&str],
    mut command: impl FnMut(&mut Unit<'_>, &[Target]) -> Result<T, Stop>,
) -> Result<(T, Written), Refusal> {
    let targets: Vec<Target> =
        keys.iter().map(|key| engine.resolve(key.as_bytes())).collect::<Result<_, _>>()?;
    let rows: Vec<(&[u8], &Target)> = keys.iter().map(|key| key.as_bytes()).zip(&targets).collect();
    for _ in 0..1000 {
        let mut unit = engine.unit(&rows, true);
        match command(&mut unit, &targets) {
            Ok(answer) => {
                let written = unit.commit()?;
                engine.commit()?;
                return Ok((answer, written));
            }
            Err(Stop::Refused(refusal)) => return Err(refusal),
            Err(Stop::Load) => {
                let wanted = unit.wanted();
                drop(unit);
                load(engine, wanted)?;
            }
        }
    }
    panic!("the rows are loaded again and again, and never there")
}

fn load(engine: &Engine, rows: Vec<super::ToLoad>) -> Result<(), Refusal> {
    let (send, receive) = mpsc::channel();
    engine.load(rows, Box::new(move |outcome| drop(send.send(outcome))));
    receive.recv_timeout(PATIENCE).expect("a load is answered")
}

/// All dead letters, by id.
fn letters(engine: &Engine) -> Vec<Letter> {
    let (send, receive) = mpsc::channel();
    engine.letters(0, usize::MAX, Box::new(move |letters| drop(send.send(letters))));
    receive.recv_timeout(PATIENCE).expect("an answer").unwrap()
}

/// Waits until a condition holds.
fn wait_until(mut condition: impl FnMut() -> bool) {
    let clock = env::real().clock;
    let deadline = clock.monotonic() + PATIENCE;
    while !condition() {
        assert!(clock.monotonic() < deadline, "the condition never held");
        std::thread::yield_now();
    }
}

fn text(value: Option<Arc<[u8]>>) -> Option<String> {
    value.map(|value| String::from_utf8_lossy(&value).into_owned())
}

fn page(id: i64) -> RowKey {
    RowKey::of_table("page", &[Value::Int(id)])
}
