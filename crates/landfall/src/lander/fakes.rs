//! A world for the lander's tests: a clock that stands until it is moved, chance from a seed, a log and a database.
//! Never used outside tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::{Lander, LanderParts, LanderSettings, LaneNote, OpenError, Turn};
use crate::buffer::log::memory::{MemoryLog, MemoryLogSettings};
use crate::buffer::log::{LaneName, Log};
use crate::env::{self, Clock, Env, Random};
use crate::model::codec::BodyWriter;
use crate::model::{
    Catalogue, Change, Column, ColumnType, Group, LaneId, LoggedChange, Name, Position, RowKey, Table, Value,
    landing_groups,
};
use crate::sink::LandingContext;

mod failover;

pub(super) use failover::Failover;

/// Durations, and a date that may jump beside them.
pub(super) struct FakeClock(AtomicU64, AtomicI64);

impl FakeClock {
    /// The date jumps; durations do not.
    pub(super) fn jump(&self, ms: i64) {
        self.1.fetch_add(ms, Ordering::SeqCst);
    }

    pub(super) fn advance_to(&self, time: Duration) {
        self.0.fetch_max(time.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn unix_ms(&self) -> u64 {
        (1_700_000_000_000 + self.0.load(Ordering::SeqCst))
            .saturating_add_signed(self.1.load(Ordering::SeqCst))
    }
}

/// Random numbers from a seed (splitmix64).
pub(super) struct FakeRandom(AtomicU64);

impl FakeRandom {
    pub(super) fn new(seed: u64) -> FakeRandom {
        FakeRandom(AtomicU64::new(seed))
    }

    pub(super) fn next(&self) -> u64 {
        let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }
}

impl Random for FakeRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// `page` is alone and has no constraints; `firm` has a unique code and a column that may not be NULL.
pub(super) fn tables() -> Vec<Table> {
    let table = |name: &str, columns: &[&str], unique: &[usize]| Table {
        name: name.into(),
        columns: columns
            .iter()
            .map(|name| Column {
                name: (*name).into(),
                kind: ColumnType::Int { min: i64::MIN, max: i64::MAX },
                declared: "integer".into(),
                nullable: *name != "need",
                has_default: false,
                default: None,
                generated: false,
            })
            .collect(),
        primary_key: vec![0],
        keyless_reason: None,
        unique: unique.iter().map(|&at| vec![at]).collect(),
        references: Vec::new(),
    };
    vec![table("page", &["id", "views"], &[]), table("firm", &["id", "code", "need", "size"], &[1])]
}

/// A lander with its log, its database and its clock.
pub(super) struct World {
    pub(super) clock: Arc<FakeClock>,
    pub(super) env: Env,
    pub(super) log: Arc<MemoryLog>,
    pub(super) database: Arc<Failover>,
    pub(super) settings: LanderSettings,
    pub(super) groups: Vec<Group>,
    pub(super) lander: Lander,
}

/// The lanes of the test groups, in the order in which they are added.
pub(super) const KEYS: [LaneId; 2] = [LaneId(0), LaneId(1)];
pub(super) const FIRM: LaneId = LaneId(2);
pub(super) const PAGE: LaneId = LaneId(3);

pub(super) fn env(seed: u64) -> (Arc<FakeClock>, Env) {
    let clock = Arc::new(FakeClock(AtomicU64::new(1_000), AtomicI64::new(0)));
    let random = Arc::new(FakeRandom::new(seed));
    (clock.clone(), Env { clock, random, disk: env::real().disk })
}

pub(super) fn groups() -> Vec<Group> {
    let mut groups = landing_groups(&Catalogue::new(tables(), Vec::new()), 2);
    groups.iter_mut().filter(|group| group.name == "page").for_each(|group| group.lanes = 1);
    groups
}

pub(super) fn log(env: &Env, retention_bytes: u64) -> Arc<MemoryLog> {
    let settings = MemoryLogSettings { retention_bytes, ..MemoryLogSettings::default() };
    let log = MemoryLog::new(env.clone(), settings);
    for group in groups() {
        let name = |index| LaneName { group: group.name.clone(), index };
        let names: Vec<LaneName> = (0..group.lanes).map(name).collect();
        log.add_lanes(&names).expect("a lane map in memory");
    }
    Arc::new(log)
}

impl World {
    pub(super) fn new() -> World {
        World::with(LanderSettings::default())
    }

    pub(super) fn with(settings: LanderSettings) -> World {
        let (clock, env) = env(7);
        let log = log(&env, 64 << 20);
        World::of(clock, env, log, Failover::new(&tables()), settings)
    }

    /// A world of the same seed, whose log has the same lineage, over an emptied database.
    pub(super) fn twin(&self) -> World {
        let (clock, env) = env(7);
        let log = log(&env, 64 << 20);
        World::of(clock, env, log, Failover::empty_twin(&self.database), self.settings.clone())
    }

    pub(super) fn of(
        clock: Arc<FakeClock>,
        env: Env,
        log: Arc<MemoryLog>,
        database: Arc<Failover>,
        settings: LanderSettings,
    ) -> World {
        let lander = open(&env, &log, &database, &settings, &groups(), &[]).expect("a first start");
        World { clock, env, log, database, settings, groups: groups(), lander }
    }

    /// Another lander of the same log, as a restart or a second process would have it.
    pub(super) fn reopen(&self) -> Result<Lander, OpenError> {
        open(&self.env, &self.log, &self.database, &self.settings, &self.groups, &self.notes())
    }

    /// Another lander of the same log, as a restart while the database is away would have it.
    pub(super) fn reopen_alone(&self) -> Lander {
        open_alone(self, &self.notes())
    }

    fn notes(&self) -> Vec<LaneNote> {
        let lanes = self.log.lanes().into_iter();
        lanes.map(|(_, lane)| LaneNote { lane, landed: self.lander.progress().landed(lane) }).collect()
    }

    /// Appends one record of these changes, each of them in a lane, as the engine does.
    pub(super) fn write(&self, changes: &[(LaneId, LoggedChange)]) -> Vec<(LaneId, Position)> {
        let mut lanes: Vec<LaneId> = changes.iter().map(|(lane, _)| *lane).collect();
        lanes.sort_unstable();
        lanes.dedup();
        let mut body = Vec::new();
        let mut writer = BodyWriter::new(&mut body, changes.len());
        for (lane, change) in changes {
            let number = lanes.iter().position(|other| other == lane).expect("a lane of the record") as u8;
            match change {
                LoggedChange::Row { row, change } => writer.row(number, row.as_bytes(), change),
                LoggedChange::Append { table, columns } => writer.append(number, table, columns),
                LoggedChange::Letter { key, intent } => writer.letter(number, key, intent),
                LoggedChange::Clear => writer.clear(number),
            }
        }
        let appended = self.log.append(&lanes, &body).expect("room in the log");
        for (lane, _) in changes {
            self.lander.progress().accepted(*lane, 1);
        }
        appended.places.iter().map(|place| (place.lane, place.position)).collect()
    }

    /// Turns until the lander would wait.
    pub(super) fn turns(&mut self) -> Turn {
        for _ in 0..10_000 {
            let turn = self.lander.turn();
            if turn != Turn::Again {
                return turn;
            }
        }
        panic!("the lander never waits: {:?}", self.lander.progress().groups());
    }

    /// Turns until nothing is owed, moving the clock from wait to wait; says whether it came to that.
    pub(super) fn settle(&mut self) -> bool {
        for _ in 0..10_000 {
            match self.turns() {
                Turn::Wait { until: Some(until), .. } => self.clock.advance_to(until),
                _ => break,
            }
        }
        self.log.owed_records() == 0
    }

    pub(super) fn clock_is_past(&self, time: Duration) -> bool {
        self.clock.monotonic() > time
    }

    pub(super) fn row(&self, row: &RowKey) -> Option<Vec<(Name, Value)>> {
        self.database.primary.lock().row(row).map(|row| row.into_iter().collect())
    }

    /// A whole number in a column of a row.
    pub(super) fn number(&self, row: &RowKey, column: &str) -> Option<i64> {
        match self.database.primary.lock().row(row)?.get(&Name::column(column)) {
            Some(Value::Int(n)) => Some(*n),
            _ => None,
        }
    }

    pub(super) fn watermark(&self, lane: LaneId) -> Position {
        self.database.primary.lock().watermark(lane).expect("the lane exists").position
    }
}

pub(super) fn open(
    env: &Env,
    log: &Arc<impl Log + 'static>,
    database: &Arc<Failover>,
    settings: &LanderSettings,
    groups: &[Group],
    notes: &[LaneNote],
) -> Result<Lander, OpenError> {
    Ok(Lander::open(parts(env, log, database, settings, groups, notes))?.lander)
}

/// Opens a lander of a world while its database is away.
pub(super) fn open_alone(world: &World, notes: &[LaneNote]) -> Lander {
    let World { env, log, database, settings, groups, .. } = world;
    let opened = Lander::open_alone(parts(env, log, database, settings, groups, notes));
    opened.expect("a log in memory").lander
}

fn parts(
    env: &Env,
    log: &Arc<impl Log + 'static>,
    database: &Arc<Failover>,
    settings: &LanderSettings,
    groups: &[Group],
    notes: &[LaneNote],
) -> LanderParts {
    let catalogue = Arc::new(Catalogue::new(tables(), Vec::new()));
    LanderParts {
        log: log.clone(),
        database: Arc::new(database.clone()),
        context: LandingContext { catalogue, audits: Arc::new(Vec::new()) },
        env: env.clone(),
        settings: settings.clone(),
        groups: groups.to_vec(),
        notes: notes.to_vec(),
    }
}

pub(super) fn page(id: i64) -> RowKey {
    RowKey::of_table("page", &[Value::Int(id)])
}

pub(super) fn firm(id: i64) -> RowKey {
    RowKey::of_table("firm", &[Value::Int(id)])
}

pub(super) fn view(id: i64) -> (LaneId, LoggedChange) {
    (PAGE, LoggedChange::Row { row: page(id), change: Change::add(Name::column("views"), Value::Int(1)) })
}

pub(super) fn put_firm(id: i64, columns: &[(&str, i64)]) -> (LaneId, LoggedChange) {
    let columns = columns.iter().map(|&(name, value)| (Name::column(name), Value::Int(value)));
    (FIRM, LoggedChange::Row { row: firm(id), change: Change::put(columns) })
}

pub(super) fn set_key(lane: usize, key: &str, value: &str) -> (LaneId, LoggedChange) {
    let change = Change::replace([(Name::from_bytes(Name::STRING), Value::bytes(value.as_bytes()))]);
    (KEYS[lane], LoggedChange::Row { row: RowKey::of_key(key.as_bytes()), change })
}
