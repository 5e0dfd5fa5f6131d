//! A database in memory that fails in every way that a real one does, and keeps its promises all the same: transactions
//! are whole, a take-over waits for what is in flight. It checks every commit against the history of the log.

mod connection;
mod scripted;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use landfall::error::SinkError;
use landfall::model::{Catalogue, LaneId, Position};
use landfall::sink::{
    Database, Landing, LandingContext, LandingOp, LaneStep, LetterStep, Sink, Source, protocol,
};
use parking_lot::Mutex;

pub(super) use self::scripted::Trouble;
use super::context::Context;
use super::history::{History, Rows, difference, event_id};
pub(super) use super::snapshot::OwnTables;
use super::snapshot::Snapshot;
use super::tables::{catalogue, statement, with_unique_page};

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
    /// It lost commits, and nobody has landed since.
    went_back: bool,
    /// A person has to decide what becomes of the commits that it lost.
    waits_for_person: bool,
    /// How far the lanes were before a person gave them to a log.
    adopted: Option<BTreeMap<LaneId, Position>>,
    /// Rows were given up that later ones may depend on.
    lacks_rows: bool,
    /// The tables are described in the other way.
    tables_changed: bool,
    /// Statements on some rows are refused, as by a trigger that somebody added; the number chooses which rows.
    refuses: Option<u64>,
    /// A transaction whose COMMIT was sent and whose end nobody has seen.
    in_flight: Option<Landing>,
    /// Landings of owners that were paused before their first statement.
    zombies: Vec<Landing>,
    /// What a script has happen to the next landing.
    trouble: Option<Trouble>,
}

/// See the module. Clones are handles of the same database.
#[derive(Clone)]
pub(super) struct SimulatedDatabase(Arc<Inner>);

struct Inner {
    context: Arc<Context>,
    history: Arc<Mutex<History>>,
    catalogue: Mutex<Catalogue>,
    state: Mutex<State>,
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
            catalogue: Mutex::new(catalogue(&[])),
            state: Mutex::default(),
        }))
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.0.state.lock().now.clone()
    }

    /// How far the lanes were before a person gave them to a log, if one did.
    pub(super) fn take_adopted(&self) -> Option<BTreeMap<LaneId, Position>> {
        self.0.state.lock().adopted.take()
    }

    /// How far each lane is; nothing while nobody can know that it lost commits.
    pub(super) fn marks(&self) -> BTreeMap<LaneId, Position> {
        let state = self.0.state.lock();
        let unknown = state.went_back || state.waits_for_person;
        if unknown { BTreeMap::new() } else { state.now.positions() }
    }

    pub(super) fn set_down(&self, is_down: bool) {
        let state = &mut *self.0.state.lock();
        state.is_down = is_down;
        state.drop_connections();
    }

    pub(super) fn is_down(&self) -> bool {
        self.0.state.lock().is_down
    }

    /// Somebody changes a table: `page` gets a unique index, or loses it.
    pub(super) fn change_tables(&self) {
        self.0.state.lock().tables_changed ^= true;
    }

    pub(super) fn set_refusing(&self, is_refusing: bool) {
        let salt = self.0.context.below(3);
        self.0.state.lock().refuses = is_refusing.then_some(salt);
    }

    pub(super) fn set_waits_for_person(&self, waits: bool) {
        self.0.state.lock().waits_for_person = waits;
    }

    /// Rows are missing that later ones may depend on.
    pub(super) fn lacks_rows(&self) {
        self.0.state.lock().lacks_rows = true;
    }

    /// Whether it lost commits, and nobody has landed since.
    pub(super) fn went_back(&self) -> bool {
        self.0.state.lock().went_back
    }

    pub(super) fn is_refusing(&self) -> bool {
        self.0.state.lock().refuses.is_some()
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
        state.went_back |= lost > 0;
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
                    self.commit(after);
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
            self.commit(after);
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
        let mut sound = Sound { landing, after: self.0.state.lock().now.clone() };
        protocol::land(landing, &landing.ops, &mut sound)?;
        Ok(sound.after)
    }

    /// Makes a state the present one, after it was compared with what the log says.
    fn commit(&self, after: Snapshot) {
        let context = &self.0.context;
        let state = &mut *self.0.state.lock();
        // What has moved, and not what was asked to.
        let (before, behind) = (state.now.marks(), after.marks());
        let moved = behind.into_iter().filter_map(|(lane, to)| Some((lane, *before.get(&lane)?, to)));
        let steps: Vec<_> = moved.filter(|(_, from, to)| from != to).collect();
        match self.0.history.lock().land(&state.now.view(), &state.now.rows, &steps) {
            Err(what) => context.violation(what),
            Ok(expected) if expected != after.view() => {
                let what = difference(&expected, &after.view());
                context.violation(format!("a landing wrote something else than the log holds: {what}"));
            }
            Ok(_) => {}
        }
        let wrote = state.now.rows != after.rows;
        for (lane, from, to) in &steps {
            if to.0.saturating_sub(from.0) >= 1 << 32 {
                context.reached(match wrote {
                    false => "a lane passed a gap",
                    true => "a lane passed a gap between records",
                });
            }
            context.mix(u64::from(lane.0) << 40 | to.0);
        }
        context.tell(|| format!("committed {steps:?}"));
        let before = std::mem::replace(&mut state.now, after);
        state.past.push_back(before);
        if state.past.len() > PAST_STATES_MAX {
            state.past.pop_front();
        }
    }
}

/// The statements of a landing when nothing fails.
struct Sound<'l> {
    landing: &'l Landing,
    after: Snapshot,
}

impl protocol::Statements<&LandingOp> for Sound<'_> {
    fn advance(&mut self, step: &LaneStep) -> Result<(), SinkError> {
        self.after.lanes.advance(&self.landing.lineage, step)
    }

    fn write(&mut self, op: &LandingOp) -> Result<(), SinkError> {
        statement(&mut self.after.rows, op)
    }

    fn letter(&mut self, step: &LetterStep) -> Result<(), SinkError> {
        self.after.letters.write(step);
        Ok(())
    }
}

/// Whether the trigger refuses this row: one row in three.
fn is_refused(op: &LandingOp, salt: u64) -> bool {
    let bytes = match op {
        LandingOp::Row { row, .. } => row.as_bytes().to_vec(),
        LandingOp::Append { columns, .. } => event_id(columns).into_bytes(),
        LandingOp::Clear => Vec::new(),
    };
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    (sum + salt).is_multiple_of(3)
}

impl Database for SimulatedDatabase {
    fn describe(&self) -> String {
        "simulated".into()
    }

    fn set_up(&self) -> Result<(), SinkError> {
        self.set_up_own()
    }

    fn identity(&self) -> Result<Option<[u8; 16]>, SinkError> {
        self.connect()?;
        let own = self.0.state.lock().now.own;
        Ok(own.has_identity().then_some([1; 16]))
    }

    fn catalogue(&self) -> Result<Catalogue, SinkError> {
        self.connect()?;
        let tables = self.0.catalogue.lock().clone();
        Ok(if self.0.state.lock().tables_changed { with_unique_page(&tables) } else { tables })
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
