//! A database in memory, for tests and examples: the semantics of a real one, and failures on demand.
//! It never keeps anything beyond the process, and writes no change-log tables.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::parts::{check_lineage, row_name};
use super::{Database, Landing, LandingContext, LandingOp, Loaded, Sink, SinkError, Source};
use crate::model::row::RowName;
use crate::model::{Catalogue, LaneId, Lineage, Name, RowKey, Table, Value, Watermark};

mod tables;

use tables::Tables;

/// A database in memory. Clones are handles of the same database.
///
/// ```
/// use landfall::model::{Anchor, Change, LaneId, Lineage, Name, RowKey, Value, Catalogue};
/// use landfall::sink::memory::MemoryDatabase;
/// use landfall::sink::{Database, LaneStep, Landing, LandingContext, LandingOp};
///
/// let database = MemoryDatabase::new([]);
/// let context = LandingContext { catalogue: database.catalogue()?.into(), audits: Vec::new().into() };
/// let (lane, lineage) = (LaneId(0), Lineage([7; 16]));
/// let mut sink = database.sink(context)?;
/// sink.create_lanes(&lineage, &[lane])?;
/// let epoch = sink.take_over(&lineage, &[lane])?[0].epoch;
/// let row = RowKey::of_key(b"user:1:name");
/// let change = Change::replace([(Name::from_bytes(Name::STRING), Value::bytes(b"Alice"))]);
/// sink.land(&Landing {
///     batch: [0; 16],
///     time_ms: 0,
///     lineage,
///     lanes: vec![LaneStep { lane, epoch, from: (0, Anchor::START), to: (1, Anchor([1; 16])) }],
///     ops: vec![LandingOp::Row { lane, row: row.clone(), change }],
///     ordered: false,
/// })?;
/// assert_eq!(database.row(&row).unwrap().len(), 1);
/// # Ok::<(), landfall::sink::SinkError>(())
/// ```
#[derive(Clone)]
pub struct MemoryDatabase {
    catalogue: Arc<Catalogue>,
    state: Arc<Mutex<State>>,
}

/// What becomes of a landing instead of success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
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

#[derive(Default)]
struct State {
    tables: Tables,
    lanes: BTreeMap<LaneId, Watermark>,
    failures: VecDeque<Failure>,
    is_down: bool,
    landings: u64,
}

impl MemoryDatabase {
    /// An empty database of these tables.
    pub fn new(tables: impl IntoIterator<Item = Table>) -> MemoryDatabase {
        let catalogue = Arc::new(Catalogue::new(tables, Vec::new()));
        MemoryDatabase { catalogue, state: Arc::default() }
    }

    /// The next landing ends like this; further calls queue up behind it.
    pub fn fail_next_landing(&self, failure: Failure) {
        self.state.lock().failures.push_back(failure);
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
        self.state.lock().lanes.get(&lane).copied()
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
    fn create_lanes(&mut self, lineage: &Lineage, lanes: &[LaneId]) -> Result<(), SinkError> {
        let mut state = self.state.lock();
        state.check_up()?;
        for lane in lanes {
            if let Some(found) = state.lanes.get(lane) {
                check_lineage(*lane, Some(found.lineage), lineage)?;
            }
        }
        let fresh =
            Watermark { lineage: *lineage, epoch: 0, position: 0, anchor: crate::model::Anchor::START };
        for lane in lanes {
            state.lanes.entry(*lane).or_insert(fresh);
        }
        Ok(())
    }

    fn take_over(&mut self, lineage: &Lineage, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError> {
        let mut state = self.state.lock();
        state.check_up()?;
        for lane in lanes {
            check_lineage(*lane, state.lanes.get(lane).map(|found| found.lineage), lineage)?;
        }
        Ok(lanes
            .iter()
            .filter_map(|lane| {
                let watermark = state.lanes.get_mut(lane)?;
                watermark.epoch += 1;
                Some(*watermark)
            })
            .collect())
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
            Some(Failure::UnknownCommitted) | None => {}
        }
        state.land(&self.context.catalogue, landing)?;
        match failure {
            Some(_) => Err(SinkError::Unknown("asked to be unsure".into())),
            None => Ok(()),
        }
    }
}

impl Source for Connection {
    fn load(&mut self, row: &RowKey, lane: LaneId) -> Result<Loaded, SinkError> {
        let state = self.state.lock();
        state.check_up()?;
        let watermark = *state.lanes.get(&lane).ok_or(SinkError::LaneMissing { lane })?;
        let row = state.tables.row(row).map(|columns| columns.clone().into_iter().collect());
        Ok(Loaded { row, watermark })
    }

    fn key_values_are_empty(&mut self) -> Result<bool, SinkError> {
        let state = self.state.lock();
        state.check_up()?;
        Ok(state.tables.key_values_are_empty())
    }
}

impl State {
    fn check_up(&self) -> Result<(), SinkError> {
        if self.is_down { Err(SinkError::Unavailable("the database is down".into())) } else { Ok(()) }
    }

    fn land(&mut self, catalogue: &Catalogue, landing: &Landing) -> Result<(), SinkError> {
        for step in &landing.lanes {
            let expected = Watermark {
                lineage: landing.lineage,
                epoch: step.epoch,
                position: step.from.0,
                anchor: step.from.1,
            };
            if self.lanes.get(&step.lane) != Some(&expected) {
                return Err(SinkError::Fenced { lane: step.lane });
            }
        }
        self.tables.begin();
        for op in &landing.ops {
            if let Err(error) = self.write(catalogue, op) {
                self.tables.rollback();
                return Err(error);
            }
        }
        self.tables.commit();
        for step in &landing.lanes {
            if let Some(watermark) = self.lanes.get_mut(&step.lane) {
                (watermark.position, watermark.anchor) = step.to;
            }
        }
        self.landings += 1;
        Ok(())
    }

    fn write(&mut self, catalogue: &Catalogue, op: &LandingOp) -> Result<(), SinkError> {
        match op {
            LandingOp::Append { table, columns } => self.tables.append(catalogue, table, columns),
            LandingOp::Row { row, change, .. } => match row_name(row)? {
                RowName::Key(_) => self.tables.change_key(row, change),
                RowName::Table { table, key } => self.tables.change_row(catalogue, table, &key, row, change),
            },
        }
    }
}

/// Rows by identity.
type Rows = HashMap<RowKey, BTreeMap<Name, Value>>;

#[cfg(test)]
mod tests;
