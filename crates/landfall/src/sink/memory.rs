//! A database in memory, for tests and examples: the semantics of a real one, and failures on demand.
//! It never keeps anything beyond the process, and writes no change-log tables.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::parts::row_name;
use super::{
    Adopted, Database, Landing, LandingContext, LandingOp, LaneStep, LetterStep, RefusedOp, Sink, SinkError,
    Source, protocol,
};
use crate::model::row::RowName;
use crate::model::{
    Catalogue, Incident, LaneId, LaneRow, Letter, Name, Owner, RowKey, Table, Value, Watermark,
};

pub mod lanes;
pub mod letters;
mod source;
mod tables;

use lanes::{Lanes, keep};
use letters::Letters;
use tables::Tables;

/// A database in memory. Clones are handles of the same database.
///
/// ```
/// use landfall::model::{Anchor, Catalogue, Change, LaneId, Lineage, Name, Owner, RowKey, Start, Value};
/// use landfall::sink::memory::MemoryDatabase;
/// use landfall::sink::{Database, LaneStep, Landing, LandingContext, LandingOp};
///
/// let database = MemoryDatabase::new([]);
/// let context = LandingContext { catalogue: database.catalogue()?.into(), audits: Vec::new().into() };
/// let (lane, lineage) = (LaneId(0), Lineage([7; 16]));
/// let mut sink = database.sink(context)?;
/// let owner = Owner::new(lineage, Start { boot: 1, run: [1; 16] });
/// sink.create_lanes(&owner, &[lane])?;
/// let epoch = sink.take_over(&owner, &[lane])?[0].epoch;
/// let row = RowKey::of_key(b"user:1:name");
/// let change = Change::replace([(Name::from_bytes(Name::STRING), Value::bytes(b"Alice"))]);
/// sink.land(&Landing {
///     batch: [0; 16],
///     time_ms: 0,
///     lineage,
///     lanes: vec![LaneStep { lane, epoch, from: (0, Anchor::START), to: (1, Anchor([1; 16])) }],
///     ops: vec![LandingOp::Row { lane, row: row.clone(), change }],
///     letters: vec![],
///     ordered: false,
/// })?;
/// assert_eq!(database.row(&row).unwrap().len(), 1);
/// # Ok::<(), landfall::sink::SinkError>(())
/// ```
#[derive(Clone)]
pub struct MemoryDatabase {
    catalogue: Arc<Catalogue>,
    state: Arc<Mutex<State>>,
    identity: [u8; 16],
}

/// What becomes of a landing instead of success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// None: this landing goes as it goes.
    None,
    /// Rolled back: [`SinkError::Busy`].
    Busy,
    /// Rolled back: [`SinkError::Unavailable`].
    Unavailable,
    /// Rolled back: [`SinkError::Refused`], naming this table.
    Refused(String),
    /// [`SinkError::Unknown`], and the transaction was rolled back.
    UnknownRolledBack,
    /// [`SinkError::Unknown`], and the transaction was committed.
    UnknownCommitted,
}

/// Decides whether a row or event is refused as it would be stored, and in which words.
pub type Poison = Arc<dyn Fn(&LandingOp) -> Option<String> + Send + Sync>;

#[derive(Default)]
struct State {
    tables: Tables,
    lanes: Lanes,
    incidents: Vec<Incident>,
    letters: Letters,
    poison: Option<Poison>,
    failures: VecDeque<Failure>,
    is_down: bool,
    landings: u64,
}

impl MemoryDatabase {
    /// An empty database of these tables.
    pub fn new(tables: impl IntoIterator<Item = Table>) -> MemoryDatabase {
        static MADE: AtomicU64 = AtomicU64::new(1);
        let catalogue = Arc::new(Catalogue::new(tables, Vec::new()));
        let identity = u128::from(MADE.fetch_add(1, Ordering::Relaxed)).to_le_bytes();
        MemoryDatabase { catalogue, state: Arc::default(), identity }
    }

    /// An empty database that says it is the same as `other`, as one restored from a backup or a replica does.
    pub fn empty_twin(other: &MemoryDatabase) -> MemoryDatabase {
        MemoryDatabase { catalogue: other.catalogue.clone(), state: Arc::default(), identity: other.identity }
    }

    /// The next landing ends like this; further calls queue up behind it.
    pub fn fail_next_landing(&self, failure: Failure) {
        self.state.lock().failures.push_back(failure);
    }

    /// From now on refuses the operations that `poison` has words for; none refuses only what the tables do.
    pub fn set_poison(&self, poison: Option<Poison>) {
        self.state.lock().poison = poison;
    }

    /// The dead letters, by id.
    pub fn letters(&self) -> Vec<Letter> {
        self.state.lock().letters.after(0, usize::MAX)
    }

    /// While it is down, every call of its sinks and sources is answered [`SinkError::Unavailable`].
    pub fn set_down(&self, is_down: bool) {
        self.state.lock().is_down = is_down;
    }

    /// A row as it is now, key columns included, or none.
    pub fn row(&self, row: &RowKey) -> Option<BTreeMap<Name, Value>> {
        self.state.lock().tables.row(row).cloned()
    }

    /// The events of a table without a key, in the order they landed.
    pub fn events(&self, table: &str) -> Vec<BTreeMap<Name, Value>> {
        self.state.lock().tables.events(table).to_vec()
    }

    /// A lane's watermark, or none before it was created.
    pub fn watermark(&self, lane: LaneId) -> Option<Watermark> {
        self.state.lock().lanes.row(lane).map(|row| row.watermark)
    }

    /// The incidents that were declared here.
    pub fn incidents(&self) -> Vec<Incident> {
        self.state.lock().incidents.clone()
    }

    /// How many landings were committed.
    pub fn landings(&self) -> u64 {
        self.state.lock().landings
    }
}

impl Database for MemoryDatabase {
    fn describe(&self) -> String {
        "memory".into()
    }

    fn set_up(&self) -> Result<(), SinkError> {
        self.state.lock().check_up()
    }

    fn identity(&self) -> Result<Option<[u8; 16]>, SinkError> {
        self.state.lock().check_up()?;
        Ok(Some(self.identity))
    }

    fn catalogue(&self) -> Result<Catalogue, SinkError> {
        self.state.lock().check_up()?;
        Ok((*self.catalogue).clone())
    }

    fn sink(&self, context: LandingContext) -> Result<Box<dyn Sink>, SinkError> {
        self.state.lock().check_up()?;
        Ok(Box::new(Connection { state: Arc::clone(&self.state), context }))
    }

    fn source(&self, context: LandingContext) -> Result<Box<dyn Source>, SinkError> {
        self.state.lock().check_up()?;
        Ok(Box::new(Connection { state: Arc::clone(&self.state), context }))
    }

    fn sinks_max(&self) -> usize {
        1
    }
}

struct Connection {
    state: Arc<Mutex<State>>,
    context: LandingContext,
}

impl Sink for Connection {
    fn create_lanes(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError> {
        let mut state = self.state.lock();
        state.check_up()?;
        state.lanes.create(owner, lanes)
    }

    fn take_over(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError> {
        let mut state = self.state.lock();
        state.check_up()?;
        state.lanes.take_over(owner, lanes)
    }

    fn lanes(&mut self, lanes: &[LaneId]) -> Result<Vec<Option<LaneRow>>, SinkError> {
        let state = self.state.lock();
        state.check_up()?;
        Ok(lanes.iter().map(|&lane| state.lanes.row(lane)).collect())
    }

    fn lane_ids(&mut self) -> Result<Vec<LaneId>, SinkError> {
        let state = self.state.lock();
        state.check_up()?;
        Ok(state.lanes.ids())
    }

    fn adopt(&mut self, lanes: &[Adopted], incidents: &[Incident]) -> Result<(), SinkError> {
        let mut state = self.state.lock();
        state.check_up()?;
        state.lanes.adopt(lanes)?;
        keep(&mut state.incidents, incidents);
        Ok(())
    }

    fn declare(&mut self, incidents: &[Incident]) -> Result<(), SinkError> {
        let mut state = self.state.lock();
        state.check_up()?;
        keep(&mut state.incidents, incidents);
        Ok(())
    }

    fn land(&mut self, landing: &Landing) -> Result<(), SinkError> {
        let mut state = self.state.lock();
        state.check_up()?;
        let failure = state.failures.pop_front();
        match &failure {
            Some(Failure::Busy) => return Err(SinkError::Busy("asked to be busy".into())),
            Some(Failure::Unavailable) => return Err(SinkError::Unavailable("asked to be away".into())),
            Some(Failure::Refused(table)) => return Err(super::parts::refused(table, "asked to refuse")),
            Some(Failure::UnknownRolledBack) => return Err(SinkError::Unknown("asked to be unsure".into())),
            Some(Failure::UnknownCommitted | Failure::None) | None => {}
        }
        state.land(&self.context.catalogue, landing)?;
        match failure {
            Some(Failure::UnknownCommitted) => Err(SinkError::Unknown("asked to be unsure".into())),
            _ => Ok(()),
        }
    }

    fn isolate(&mut self, landing: &Landing) -> Result<Vec<RefusedOp>, SinkError> {
        let mut state = self.state.lock();
        state.check_up()?;
        let mut lanes = state.lanes.clone();
        landing.lanes.iter().try_for_each(|step| lanes.advance(&landing.lineage, step))?;
        state.tables.begin();
        let catalogue = &self.context.catalogue;
        let refused = super::isolate::isolate(
            &landing.ops,
            |_, op| {
                let mark = state.tables.mark();
                state.write(catalogue, op).inspect_err(|_| state.tables.rollback_to(mark))
            },
            super::parts::class_of,
        );
        state.tables.rollback_to(0);
        refused
    }

    fn letters(&mut self, after: u64, most: usize) -> Result<Vec<Letter>, SinkError> {
        let state = self.state.lock();
        state.check_up()?;
        Ok(state.letters.after(after, most))
    }
}

impl State {
    fn check_up(&self) -> Result<(), SinkError> {
        if self.is_down { Err(SinkError::Unavailable("the database is down".into())) } else { Ok(()) }
    }

    fn land(&mut self, catalogue: &Catalogue, landing: &Landing) -> Result<(), SinkError> {
        let lanes = self.lanes.clone();
        self.tables.begin();
        let landed =
            protocol::land(landing, &landing.ops, &mut Statements { state: self, catalogue, landing });
        match &landed {
            Ok(()) => {
                self.tables.commit();
                self.landings += 1;
            }
            Err(_) => {
                self.tables.rollback_to(0);
                self.lanes = lanes;
            }
        }
        landed
    }

    fn write(&mut self, catalogue: &Catalogue, op: &LandingOp) -> Result<(), SinkError> {
        if let Some(words) = self.poison.as_ref().and_then(|poison| poison(op)) {
            return Err(super::parts::refused(&super::parts::table_of(op), words));
        }
        match op {
            LandingOp::Clear => self.tables.clear_keys(),
            LandingOp::Append { table, columns } => self.tables.append(catalogue, table, columns),
            LandingOp::Row { row, change, .. } => match row_name(row)? {
                RowName::Key(_) => self.tables.change_key(row, change),
                RowName::Table { table, key } => self.tables.change_row(catalogue, table, &key, row, change),
            },
        }
    }
}

/// The statements of a landing. The letters come last and cannot fail: there is nothing of them to roll back.
struct Statements<'s> {
    state: &'s mut State,
    catalogue: &'s Catalogue,
    landing: &'s Landing,
}

impl protocol::Statements<&LandingOp> for Statements<'_> {
    fn advance(&mut self, step: &LaneStep) -> Result<(), SinkError> {
        self.state.lanes.advance(&self.landing.lineage, step)
    }

    fn write(&mut self, op: &LandingOp) -> Result<(), SinkError> {
        self.state.write(self.catalogue, op)
    }

    fn letter(&mut self, step: &LetterStep) -> Result<(), SinkError> {
        self.state.letters.write(step);
        Ok(())
    }
}

/// Rows by identity.
type Rows = HashMap<RowKey, BTreeMap<Name, Value>>;

#[cfg(test)]
mod tests;
