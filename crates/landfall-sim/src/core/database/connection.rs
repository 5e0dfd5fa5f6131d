//! One connection to the simulated database: where a statement, a COMMIT or the connection itself can fail.
//! It changes the state only through what a transaction of [`SimulatedDatabase`] does.

use std::collections::BTreeMap;

use landfall::error::SinkError;
use landfall::model::row::{RowName, lane_hash};
use landfall::model::{
    Change, Incident, LaneId, LaneRow, Letter, LetterKey, Name, Owner, Position, Reason, RowKey, Table,
    Value, Watermark,
};
use landfall::sink::{
    Adopted, Landing, LandingOp, LaneStep, LetterStep, Loaded, RefusedOp, RowPlace, Sink, Source, StoredKey,
    StoredKeys, StoredRow, StoredRows, protocol,
};

use super::super::context::{Gap, let_others};
use super::super::faults::{Mode, StepKind};
use super::super::snapshot::Snapshot;
use super::{SimulatedDatabase, State, Trouble, ZOMBIES_MAX};

pub(super) struct Connection {
    database: SimulatedDatabase,
    generation: u64,
}

pub(super) fn unavailable(what: &str) -> SinkError {
    SinkError::Unavailable(what.into())
}

impl SimulatedDatabase {
    /// Makes Landfall's own tables, in one transaction, unless they are all there.
    pub(super) fn set_up_own(&self) -> Result<(), SinkError> {
        let connection = self.connect()?;
        if self.0.state.lock().now.own.is_complete() {
            return Ok(());
        }
        connection.step()?;
        connection.transaction(|state| {
            state.now.own.complete();
            Ok(())
        })
    }

    pub(super) fn connect(&self) -> Result<Connection, SinkError> {
        let generation = self.0.state.lock().generation;
        let connection = Connection { database: self.clone(), generation };
        connection.step()?;
        Ok(connection)
    }
}

impl Connection {
    /// A statement reaches the database and is not refused for a reason of the connection.
    fn step(&self) -> Result<(), SinkError> {
        self.step_of(StepKind::Statement)
    }

    fn step_of(&self, kind: StepKind) -> Result<(), SinkError> {
        let inner = &self.database.0;
        inner.context.step(kind).map_err(|mode| match mode {
            Mode::Busy => SinkError::Busy("database is locked".into()),
            _ => unavailable("the connection is gone"),
        })?;
        let state = inner.state.lock();
        if state.is_down || state.generation != self.generation {
            return Err(unavailable("the connection was closed"));
        }
        drop(state);
        if inner.context.fault("db: connection lost") {
            return Err(unavailable("the connection was reset"));
        }
        Ok(())
    }

    /// A call that is a transaction by itself: it is done as a whole, and its answer may be lost.
    fn transaction<T>(&self, run: impl FnOnce(&mut State) -> Result<T, SinkError>) -> Result<T, SinkError> {
        self.step_of(StepKind::Transaction)?;
        self.database.settle();
        let state = &mut *self.database.0.state.lock();
        let before = state.now.clone();
        let done = run(state);
        if done.is_err() {
            state.now = before;
        }
        let is_lost = self.database.0.context.take_answer_lost();
        if is_lost { done.and(Err(unavailable("the connection was lost before the answer"))) } else { done }
    }

    fn commit(&self, landing: &Landing, after: Snapshot) -> Result<(), SinkError> {
        let (database, context) = (&self.database, &self.database.0.context);
        let unknown = || Err(SinkError::Unknown("the connection was lost at COMMIT".into()));
        // Who is killed behind the last statement never sends COMMIT.
        let sends = !context.is_crashed();
        let reached = self.step_of(StepKind::Transaction);
        let is_there = reached.is_ok();
        match reached {
            Err(busy @ SinkError::Busy(_)) => return Err(busy),
            // COMMIT never came there, as far as the client knows.
            Err(_) if !context.is_crashed() => return unknown(),
            _ => {}
        }
        if context.is_crashed() {
            if sends && (is_there || context.arrives()) {
                context.reached("killed behind a COMMIT that was done");
                database.commit(after);
            }
            return unknown();
        }
        if context.fault("db: unknown, rolled back") {
            return unknown();
        }
        if context.fault("db: unknown, in flight") || database.takes_trouble(Trouble::CommitInFlight) {
            database.0.state.lock().in_flight = Some(landing.clone());
            return unknown();
        }
        database.commit(after);
        let is_lost = context.take_answer_lost() || context.fault("db: unknown, committed");
        if is_lost { unknown() } else { Ok(()) }
    }
}

impl Sink for Connection {
    fn create_lanes(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError> {
        self.transaction(|state| {
            state.now.create_lanes(owner, lanes)?;
            // A replica or a backup from before this log is another story: a person has to adopt it.
            state.past.clear();
            Ok(())
        })
    }

    fn lanes(&mut self, lanes: &[LaneId]) -> Result<Vec<Option<LaneRow>>, SinkError> {
        self.step()?;
        let now = &self.database.0.state.lock().now;
        now.own.has_lanes()?;
        Ok(lanes.iter().map(|lane| now.lanes.row(*lane)).collect())
    }

    fn lane_ids(&mut self) -> Result<Vec<LaneId>, SinkError> {
        self.step()?;
        let now = &self.database.0.state.lock().now;
        now.own.has_lanes()?;
        Ok(now.lanes.ids())
    }

    fn adopt(&mut self, lanes: &[Adopted], incidents: &[Incident]) -> Result<(), SinkError> {
        self.transaction(|state| {
            let before = state.now.positions();
            state.now.lanes.adopt(lanes)?;
            state.now.declare(incidents)?;
            let is_elsewhere = |lane: &Adopted| {
                let found =
                    lane.found.filter(|found| found.watermark.lineage == lane.becomes.watermark.lineage);
                let place = |row: LaneRow| (row.watermark.position, row.watermark.anchor);
                // Ahead: rows between are missing. Behind, or elsewhere: what a log holds lands on top of what another copy
                // of it has landed, and was valid where that had never been.
                found.is_some_and(|found| place(found) != place(lane.becomes))
            };
            state.lacks_rows |= lanes.iter().any(is_elsewhere);
            state.adopted.get_or_insert(before);
            // What was before belongs to another story.
            state.past.clear();
            Ok(())
        })
    }

    fn declare(&mut self, incidents: &[Incident]) -> Result<(), SinkError> {
        self.transaction(|state| state.now.declare(incidents))
    }

    fn take_over(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError> {
        let found = self.transaction(|state| state.now.take_over(owner, lanes))?;
        if self.database.0.context.fault("db: take-over without answer") {
            return Err(unavailable("the connection was lost behind the take-over"));
        }
        Ok(found)
    }

    fn isolate(&mut self, landing: &Landing) -> Result<Vec<RefusedOp>, SinkError> {
        self.step()?;
        self.database.settle();
        let mut after = self.database.0.state.lock().now.clone();
        landing.lanes.iter().try_for_each(|step| after.lanes.advance(&landing.lineage, step))?;
        let (mut refused, mut kept) = (Vec::new(), BTreeMap::new());
        for (op, given) in landing.ops.iter().enumerate() {
            self.step()?;
            let tried = carried(given, &mut kept);
            let Err(error) = self.database.statement(&mut after.rows, &tried) else { continue };
            let SinkError::Refused { table, reason } = error else { return Err(error) };
            let class = if reason.contains("trigger") { "trigger" } else { "constraint" };
            let reason = Reason { table: table.into(), class: class.into(), text: reason.into() };
            refused.push(RefusedOp { op, reason });
            if let LandingOp::Row { row, change, .. } = tried {
                kept.insert(row, change);
            }
        }
        self.database.0.context.reached("refused rows were isolated");
        Ok(refused)
    }

    fn letters(&mut self, after: u64, most: usize) -> Result<Vec<Letter>, SinkError> {
        self.step()?;
        let now = &self.database.0.state.lock().now;
        now.own.has_letters()?;
        Ok(now.letters.after(after, most))
    }

    fn land(&mut self, landing: &Landing) -> Result<(), SinkError> {
        let (database, context) = (self.database.clone(), self.database.0.context.clone());
        self.step()?;
        if context.fault("db: slow") {
            let_others(Gap::Slow(50 + context.below(3_000)));
        }
        if context.fault("db: owner paused") || database.takes_trouble(Trouble::OwnerPaused) {
            let state = &mut *database.0.state.lock();
            if state.zombies.len() < ZOMBIES_MAX {
                state.zombies.push(landing.clone());
            }
            return Err(unavailable("the server does not answer"));
        }
        let_others(Gap::Landing);
        database.settle();
        let after = {
            let state = &mut *database.0.state.lock();
            // Who lands knows where the lanes are.
            state.went_back = false;
            state.now.clone()
        };
        let mut transaction = Transaction { connection: self, landing, after };
        protocol::land(landing, &landing.ops, &mut transaction)?;
        let after = transaction.after;
        if landing.lanes.len() > 1 {
            context.reached("several lanes landed together");
        }
        let committed = self.commit(landing, after);
        let_others(Gap::Landing);
        committed
    }
}

/// The statements of a landing, any of which may fail.
struct Transaction<'t> {
    connection: &'t Connection,
    landing: &'t Landing,
    after: Snapshot,
}

impl protocol::Statements<&LandingOp> for Transaction<'_> {
    fn advance(&mut self, step: &LaneStep) -> Result<(), SinkError> {
        self.after.lanes.advance(&self.landing.lineage, step)
    }

    fn write(&mut self, op: &LandingOp) -> Result<(), SinkError> {
        self.connection.step()?;
        let database = &self.connection.database;
        let context = &database.0.context;
        if context.fault("db: deadlock or lock wait") {
            return Err(SinkError::Busy("deadlock detected".into()));
        }
        if *op == LandingOp::Clear {
            let of_keys = |letter: &&LetterStep| matches!(letter, LetterStep::Remove(key) if key.row().is_some_and(|row| row.is_key_value()));
            context.reached(match self.landing.letters.iter().find(of_keys) {
                Some(_) => "a clear took dead letters along",
                None => "a clear was landing",
            });
        }
        database.statement(&mut self.after.rows, op).inspect_err(|error| {
            if *op == LandingOp::Clear {
                context.reached("the database refused a clear");
            }
            let state = database.0.state.lock();
            // Behind a parked row others may be refused that were valid.
            if state.refuses.is_none() && state.now.letters.is_empty() && !state.lacks_rows {
                context.violation(format!("a valid write was refused: {error} ({op:?})"));
            }
            context.reached("a row was refused");
        })
    }

    fn letter(&mut self, step: &LetterStep) -> Result<(), SinkError> {
        self.connection.step()?;
        self.connection.database.0.context.reached(match step {
            LetterStep::Park(_) => "a row was parked",
            LetterStep::Remove(_) => "a parked row was healed",
        });
        self.after.letters.write(step);
        Ok(())
    }
}

/// What an operation is tried with: behind what its row carries because it was refused before.
fn carried(op: &LandingOp, carried: &mut BTreeMap<RowKey, Change>) -> LandingOp {
    match op {
        LandingOp::Row { lane, row, change } => match carried.remove(row) {
            Some(mut whole) => {
                whole.merge(change.clone());
                LandingOp::Row { lane: *lane, row: row.clone(), change: whole }
            }
            None => op.clone(),
        },
        LandingOp::Append { .. } | LandingOp::Clear => op.clone(),
    }
}

impl Source for Connection {
    fn load(&mut self, row: &RowKey, lane: LaneId) -> Result<Loaded, SinkError> {
        self.step()?;
        let context = &self.database.0.context;
        if context.fault("db: busy load") {
            return Err(SinkError::Busy("locked".into()));
        }
        let state = self.database.0.state.lock();
        let watermark = state.now.lanes.row(lane).ok_or(SinkError::LaneMissing { lane })?.watermark;
        let is_older = |of: LaneId| if of == lane { watermark.position } else { Position::MAX };
        if row.is_key_value() && self.database.0.history.lock().owes_clear(is_older) {
            context.reached("a load was older than a clear");
        }
        let columns = state.now.rows.rows.get(row).map(|columns| {
            let mut columns = (**columns).clone();
            if let Ok(RowName::Table { key, .. }) = row.decode()
                && let Some(Value::Int(id)) = key.first()
            {
                columns.insert(Name::column("id"), Value::Int(*id));
            }
            columns.into_iter().collect()
        });
        let letter = state.now.letters.get(&LetterKey::of_row(row));
        let letter = letter.and_then(Letter::row_change).map(|(_, change)| change.clone());
        Ok(Loaded { row: columns, letter, watermark, only_head: false })
    }

    fn load_head(&mut self, row: &RowKey, lane: LaneId) -> Result<Loaded, SinkError> {
        let loaded = self.load(row, lane)?.without_entries();
        if loaded.only_head {
            self.database.0.context.reached("only the head of a stream was loaded");
        }
        Ok(loaded)
    }

    fn letters(&mut self, after: u64, most: usize) -> Result<Vec<Letter>, SinkError> {
        Sink::letters(self, after, most)
    }

    fn key_values_are_empty(&mut self) -> Result<bool, SinkError> {
        self.step()?;
        let now = &self.database.0.state.lock().now;
        now.own.has_letters()?;
        Ok(!now.view().rows.keys().any(RowKey::is_key_value))
    }

    fn keys(&mut self, after: u64, most: usize, lanes: &[LaneId]) -> Result<StoredKeys, SinkError> {
        self.step()?;
        let now = &self.database.0.state.lock().now;
        // Part of the key's hash: a place that it keeps, and that no other has.
        let place = |row: &RowKey| (lane_hash(row.as_bytes()) >> 26) + 1;
        let keys = now.rows.rows.iter().filter(|(row, _)| row.is_key_value());
        let all: BTreeMap<u64, _> = keys.map(|(row, columns)| (place(row), (row, columns))).collect();
        let pages = all.range(after.saturating_add(1)..).take(most);
        let keys = pages.map(|(&place, &(row, columns))| {
            let parts = columns.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            StoredKey::of_parts(place, row, Some(parts), now.letters.contains_key(&LetterKey::of_row(row)))
        });
        let keys = keys.collect();
        let last = all.last_key_value().map_or(0, |(place, _)| *place);
        Ok(StoredKeys { keys, last, watermarks: watermarks(now, lanes)? })
    }

    fn rows(
        &mut self,
        table: &Table,
        after: Option<&RowPlace>,
        most: usize,
        lanes: &[LaneId],
    ) -> Result<StoredRows, SinkError> {
        self.step()?;
        let now = &self.database.0.state.lock().now;
        let key = |row: &RowKey| match row.decode() {
            Ok(RowName::Table { table: name, key }) if name == &*table.name => Some(key),
            _ => None,
        };
        let behind = now.rows.rows.keys().filter(|row| after.is_none_or(|at| row.as_bytes() > at.as_bytes()));
        let found: BTreeMap<&RowKey, Vec<Value>> = behind.filter_map(|row| Some((row, key(row)?))).collect();
        let found: Vec<_> = found.into_iter().take(most).collect();
        let last = found.last().map(|(row, _)| RowPlace::from_bytes(row.as_bytes()));
        let is_parked = |row: &RowKey| now.letters.contains_key(&LetterKey::of_row(row));
        let rows = found.into_iter().map(|(row, key)| StoredRow { key, is_parked: is_parked(row) }).collect();
        Ok(StoredRows { rows, last, watermarks: watermarks(now, lanes)? })
    }
}

fn watermarks(now: &Snapshot, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError> {
    let watermark =
        |&lane| now.lanes.row(lane).map(|row| row.watermark).ok_or(SinkError::LaneMissing { lane });
    lanes.iter().map(watermark).collect()
}
