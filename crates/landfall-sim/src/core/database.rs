//! A database in memory that fails in every way that a real one does, and keeps its promises all the same: transactions
//! are whole, a take-over waits for what is in flight. It checks every commit against the history of the log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use landfall::error::SinkError;
use landfall::model::row::RowName;
use landfall::model::{
    Catalogue, Change, Incident, LaneId, LaneRow, Letter, LetterKey, Name, Owner, Reason, RowKey, Value,
    Watermark,
};
use landfall::sink::{
    Adopted, Database, Landing, LandingContext, LandingOp, LetterStep, Loaded, RefusedOp, Sink, Source,
};
use parking_lot::Mutex;

use super::context::{Context, Gap, let_others};
use super::history::{History, Rows, difference, event_id};
use super::lanes::Snapshot;
use super::tables::{catalogue, statement};

/// How many committed states are kept, for a replica that lags.
const PAST_STATES_MAX: usize = 12;
/// How many landings of paused owners wait at most.
const ZOMBIES_MAX: usize = 4;

#[derive(Default)]
struct State {
    now: Snapshot,
    past: VecDeque<Snapshot>,
    /// Raised when all connections break.
    generation: u64,
    is_down: bool,
    /// Statements on some rows are refused, as by a trigger that somebody added; the number chooses which rows.
    refuses: Option<u64>,
    /// A transaction whose COMMIT was sent and whose end nobody has seen.
    in_flight: Option<Landing>,
    /// Landings of owners that were paused before their first statement.
    zombies: Vec<Landing>,
}

/// See the module. Clones are handles of the same database.
#[derive(Clone)]
pub(super) struct SimulatedDatabase(Arc<Inner>);

struct Inner {
    context: Arc<Context>,
    history: Arc<Mutex<History>>,
    catalogue: Catalogue,
    state: Mutex<State>,
}

struct Connection {
    database: SimulatedDatabase,
    generation: u64,
}

fn unavailable(what: &str) -> SinkError {
    SinkError::Unavailable(what.into())
}

impl State {
    /// All connections break; an owner that was paused finds its own broken too.
    fn drop_connections(&mut self) {
        self.generation += 1;
        self.zombies.clear();
    }
}

impl SimulatedDatabase {
    pub(super) fn new(context: Arc<Context>, history: Arc<Mutex<History>>) -> SimulatedDatabase {
        SimulatedDatabase(Arc::new(Inner {
            context,
            history,
            catalogue: catalogue(),
            state: Mutex::default(),
        }))
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.0.state.lock().now.clone()
    }

    pub(super) fn set_down(&self, is_down: bool) {
        let state = &mut *self.0.state.lock();
        state.is_down = is_down;
        state.drop_connections();
    }

    pub(super) fn is_down(&self) -> bool {
        self.0.state.lock().is_down
    }

    pub(super) fn set_refusing(&self, is_refusing: bool) {
        let salt = self.0.context.below(3);
        self.0.state.lock().refuses = is_refusing.then_some(salt);
    }

    /// The server restarts or drops everybody: what is in flight ends one way or the other.
    pub(super) fn drop_connections(&self) {
        self.settle();
        self.0.state.lock().drop_connections();
    }

    /// A replica that lags takes over, or a backup is restored: so many of the last commits never happened.
    pub(super) fn go_back(&self, commits: usize) -> usize {
        self.settle();
        let state = &mut *self.0.state.lock();
        let mut lost = 0;
        while lost < commits {
            let Some(before) = state.past.pop_back() else { break };
            state.now = before;
            lost += 1;
        }
        state.drop_connections();
        lost
    }

    /// A paused owner goes on with the landing that it was about to begin.
    pub(super) fn wake_zombie(&self) {
        let zombie = self.0.state.lock().zombies.pop();
        if let Some(landing) = zombie {
            self.settle();
            match self.run(&landing) {
                Ok(after) => {
                    self.0.context.reached("a paused owner landed");
                    self.commit(&landing, after);
                }
                Err(_) => self.0.context.reached("a paused owner was fenced"),
            }
        }
    }

    /// Ends the transaction in flight, one way or the other.
    pub(super) fn settle(&self) {
        let landing = self.0.state.lock().in_flight.take();
        let Some(landing) = landing else { return };
        if self.0.context.one_in(2) {
            return self.0.context.reached("a transaction in flight was rolled back");
        }
        if let Ok(after) = self.run(&landing) {
            self.0.context.reached("a transaction in flight was committed late");
            self.commit(&landing, after);
        }
    }

    /// One statement, as long as the trigger lets it.
    fn statement(&self, rows: &mut Rows, op: &LandingOp) -> Result<(), SinkError> {
        let refuses = self.0.state.lock().refuses;
        if refuses.is_some_and(|salt| is_refused(op, salt)) {
            return Err(SinkError::Refused { table: "page".into(), reason: "a trigger refuses it".into() });
        }
        statement(rows, op)
    }

    /// The state after a landing, without faults.
    fn run(&self, landing: &Landing) -> Result<Snapshot, SinkError> {
        let mut after = self.0.state.lock().now.clone();
        after.compare_and_set(landing)?;
        landing.ops.iter().try_for_each(|op| statement(&mut after.rows, op))?;
        landing.letters.iter().for_each(|step| after.write_letter(step));
        Ok(after)
    }

    /// Makes a state the present one, after it was compared with what the log says.
    fn commit(&self, landing: &Landing, after: Snapshot) {
        let context = &self.0.context;
        let steps: Vec<_> = landing.lanes.iter().map(|step| (step.lane, step.from, step.to)).collect();
        let state = &mut *self.0.state.lock();
        match self.0.history.lock().land(&state.now.view(), &steps) {
            Err(what) => context.violation(what),
            Ok(expected) if expected != after.view() => {
                let what = difference(&expected, &after.view());
                context.violation(format!("a landing wrote something else than the log holds: {what}"));
            }
            Ok(_) => {}
        }
        for step in &landing.lanes {
            context.mix(u64::from(step.lane.0) << 40 | step.to.0);
        }
        context.tell(|| format!("committed {steps:?}"));
        let before = std::mem::replace(&mut state.now, after);
        state.past.push_back(before);
        if state.past.len() > PAST_STATES_MAX {
            state.past.pop_front();
        }
    }
}

/// Whether the trigger refuses this row: one row in three.
fn is_refused(op: &LandingOp, salt: u64) -> bool {
    let bytes = match op {
        LandingOp::Row { row, .. } => row.as_bytes().to_vec(),
        LandingOp::Append { columns, .. } => event_id(columns).into_bytes(),
    };
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    (sum + salt).is_multiple_of(3)
}

impl Database for SimulatedDatabase {
    fn describe(&self) -> String {
        "simulated".into()
    }

    fn set_up(&self) -> Result<(), SinkError> {
        self.connect().map(drop)
    }

    fn identity(&self) -> Result<Option<[u8; 16]>, SinkError> {
        self.connect()?;
        Ok(Some([1; 16]))
    }

    fn catalogue(&self) -> Result<Catalogue, SinkError> {
        self.connect()?;
        Ok(self.0.catalogue.clone())
    }

    fn sink(&self, _: LandingContext) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(self.connect()?))
    }

    fn source(&self, _: LandingContext) -> Result<Box<dyn Source>, SinkError> {
        Ok(Box::new(self.connect()?))
    }

    fn sinks_max(&self) -> usize {
        1
    }
}

impl SimulatedDatabase {
    fn connect(&self) -> Result<Connection, SinkError> {
        let generation = self.0.state.lock().generation;
        let connection = Connection { database: self.clone(), generation };
        connection.step()?;
        Ok(connection)
    }
}

impl Connection {
    /// A statement reaches the database and is not refused for a reason of the connection.
    fn step(&self) -> Result<(), SinkError> {
        let inner = &self.database.0;
        inner.context.step().map_err(|_| unavailable("the connection is gone"))?;
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

    fn commit(&self, landing: &Landing, after: Snapshot) -> Result<(), SinkError> {
        let (database, context) = (&self.database, &self.database.0.context);
        let unknown = || Err(SinkError::Unknown("the connection was lost at COMMIT".into()));
        let reaches = self.step().is_ok();
        if !reaches && !context.is_crashed() {
            // COMMIT never came there, as far as the client knows.
            return unknown();
        }
        if context.is_crashed() {
            if context.one_in(2) {
                context.reached("killed behind a COMMIT that was done");
                database.commit(landing, after);
            }
            return unknown();
        }
        if context.fault("db: unknown, rolled back") {
            return unknown();
        }
        if context.fault("db: unknown, in flight") {
            database.0.state.lock().in_flight = Some(landing.clone());
            return unknown();
        }
        database.commit(landing, after);
        if context.fault("db: unknown, committed") { unknown() } else { Ok(()) }
    }
}

impl Sink for Connection {
    fn create_lanes(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError> {
        self.step()?;
        self.database.settle();
        let state = &mut *self.database.0.state.lock();
        state.now.create_lanes(owner, lanes)?;
        // A replica or a backup from before this log is another story: a person has to adopt it.
        state.past.clear();
        Ok(())
    }

    fn lanes(&mut self, lanes: &[LaneId]) -> Result<Vec<Option<LaneRow>>, SinkError> {
        self.step()?;
        let now = &self.database.0.state.lock().now;
        Ok(lanes.iter().map(|lane| now.lane_row(*lane)).collect())
    }

    fn lane_ids(&mut self) -> Result<Vec<LaneId>, SinkError> {
        self.step()?;
        Ok(self.database.0.state.lock().now.lanes.keys().copied().collect())
    }

    fn adopt(&mut self, lanes: &[Adopted], _: &[Incident]) -> Result<(), SinkError> {
        self.step()?;
        self.database.settle();
        let now = &mut self.database.0.state.lock().now;
        now.adopt(lanes)
    }

    fn declare(&mut self, _: &[Incident]) -> Result<(), SinkError> {
        self.step()
    }

    fn take_over(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError> {
        self.step()?;
        self.database.settle();
        let context = &self.database.0.context;
        let found = self.database.0.state.lock().now.take_over(owner, lanes)?;
        if context.fault("db: take-over without answer") {
            return Err(unavailable("the connection was lost behind the take-over"));
        }
        Ok(found)
    }

    fn isolate(&mut self, landing: &Landing) -> Result<Vec<RefusedOp>, SinkError> {
        self.step()?;
        self.database.settle();
        let mut after = self.database.0.state.lock().now.clone();
        after.compare_and_set(landing)?;
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
        Ok(self.database.0.state.lock().now.letters_after(after, most))
    }

    fn land(&mut self, landing: &Landing) -> Result<(), SinkError> {
        let (database, context) = (self.database.clone(), self.database.0.context.clone());
        self.step()?;
        if context.fault("db: slow") {
            let_others(Gap::Slow(50 + context.below(3_000)));
        }
        if context.fault("db: owner paused") {
            let state = &mut *database.0.state.lock();
            if state.zombies.len() < ZOMBIES_MAX {
                state.zombies.push(landing.clone());
            }
            return Err(unavailable("the server does not answer"));
        }
        let_others(Gap::Landing);
        database.settle();
        let mut after = database.0.state.lock().now.clone();
        after.compare_and_set(landing)?;
        for op in &landing.ops {
            self.step()?;
            if context.fault("db: deadlock or lock wait") {
                return Err(SinkError::Busy("deadlock detected".into()));
            }
            if let Err(error) = database.statement(&mut after.rows, op) {
                let state = database.0.state.lock();
                // Behind a parked row others may be refused that were valid.
                if state.refuses.is_none() && state.now.letters.is_empty() {
                    context.violation(format!("a valid write was refused: {error} ({op:?})"));
                }
                context.reached("a row was refused");
                return Err(error);
            }
        }
        for step in &landing.letters {
            self.step()?;
            context.reached(match step {
                LetterStep::Park(_) => "a row was parked",
                LetterStep::Remove(_) => "a parked row was healed",
            });
            after.write_letter(step);
        }
        if landing.lanes.len() > 1 {
            context.reached("several lanes landed together");
        }
        let committed = self.commit(landing, after);
        let_others(Gap::Landing);
        committed
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
        LandingOp::Append { .. } => op.clone(),
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
        let watermark = *state.now.lanes.get(&lane).ok_or(SinkError::LaneMissing { lane })?;
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
        Ok(Loaded { row: columns, letter, watermark })
    }

    fn letters(&mut self, after: u64, most: usize) -> Result<Vec<Letter>, SinkError> {
        Sink::letters(self, after, most)
    }

    fn key_values_are_empty(&mut self) -> Result<bool, SinkError> {
        self.step()?;
        Ok(!self.database.0.state.lock().now.view().rows.keys().any(RowKey::is_key_value))
    }
}
