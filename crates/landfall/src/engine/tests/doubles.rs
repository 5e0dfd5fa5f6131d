//! A database that does what tests ask for: it counts and holds loads, and it can lose what its replicas lack, twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::model::{Catalogue, Incident, LaneId, LaneRow, Letter, Owner, RowKey, Table, Watermark};
use crate::sink::memory::{Failure, MemoryDatabase};
use crate::sink::{
    Adopted, Database, Landing, LandingContext, Loaded, RefusedOp, RowPlace, Sink, SinkError, Source,
    StoredKeys, StoredRows,
};
use crate::sync::explore::others_go_on;

/// Clones are handles of the same database.
#[derive(Clone)]
pub(super) struct Double(Arc<Inner>);

struct Inner {
    primary: Mutex<MemoryDatabase>,
    /// Those that take over, in this order.
    replicas: [MemoryDatabase; 2],
    fail_overs: AtomicUsize,
    replicates: AtomicBool,
    /// The next take-over is replicated whatever is not.
    replicates_take_over: AtomicBool,
    failed_over: AtomicBool,
    loads: AtomicU64,
    /// Whether loads and pages of rows are held back after they have read, and how many are.
    held: Mutex<(bool, u64)>,
    changed: Condvar,
}

struct Connection(Double, LandingContext);

impl Double {
    pub(super) fn new(tables: Vec<Table>) -> Double {
        let primary = MemoryDatabase::new(tables);
        Double(Arc::new(Inner {
            replicas: [MemoryDatabase::empty_twin(&primary), MemoryDatabase::empty_twin(&primary)],
            fail_overs: AtomicUsize::new(0),
            primary: Mutex::new(primary),
            replicates: AtomicBool::new(true),
            replicates_take_over: AtomicBool::new(false),
            failed_over: AtomicBool::new(false),
            loads: AtomicU64::new(0),
            held: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    pub(super) fn primary(&self) -> MemoryDatabase {
        self.0.primary.lock().clone()
    }

    pub(super) fn each(&self, act: impl Fn(&MemoryDatabase)) {
        act(&self.primary());
        self.0.replicas.iter().for_each(act);
    }

    /// How many rows were asked for.
    pub(super) fn loads(&self) -> u64 {
        self.0.loads.load(Ordering::SeqCst)
    }

    /// From now on loads read, and then wait.
    pub(super) fn hold_loads(&self) {
        self.0.held.lock().0 = true;
    }

    /// Waits until a load has read and is held.
    pub(super) fn wait_for_held_load(&self) {
        let mut held = self.0.held.lock();
        while held.1 == 0 {
            let late = self.0.changed.wait_for(&mut held, super::PATIENCE).timed_out();
            assert!(!late, "no load came");
        }
    }

    /// Waits as long as loads are held.
    fn hold(&self) {
        let mut held = self.0.held.lock();
        held.1 += 1;
        self.0.changed.notify_all();
        while held.0 {
            self.0.changed.wait(&mut held);
        }
        held.1 -= 1;
    }

    pub(super) fn release_loads(&self) {
        self.0.held.lock().0 = false;
        self.0.changed.notify_all();
    }

    /// What lands from now on is lost at the failover.
    pub(super) fn stop_replicating(&self) {
        self.0.replicates.store(false, Ordering::SeqCst);
    }

    /// Of what comes now, the next take-over is not lost.
    pub(super) fn replicate_next_take_over(&self) {
        self.0.replicates_take_over.store(true, Ordering::SeqCst);
    }

    /// Whether the replica follows.
    #[cfg(feature = "interleavings")]
    pub(super) fn replicates(&self) -> bool {
        self.0.replicates.load(Ordering::SeqCst)
    }

    /// Whether the replica missed a landing.
    #[cfg(feature = "interleavings")]
    pub(super) fn lacks_something(&self) -> bool {
        self.0.replicas[0].landings() < self.primary().landings()
    }

    /// The replica takes over; it is busy for some landings after whoever lands has noticed.
    pub(super) fn fail_over(&self) {
        self.0.failed_over.store(true, Ordering::SeqCst);
        self.fail_over_and_land_at_once();
    }

    /// The same, and the first landings behind the take-over are not held up.
    pub(super) fn fail_over_and_land_at_once(&self) {
        let next = self.0.fail_overs.fetch_add(1, Ordering::SeqCst);
        *self.0.primary.lock() = self.0.replicas[next].clone();
    }
}

impl Database for Double {
    fn describe(&self) -> String {
        "double".into()
    }

    fn set_up(&self) -> Result<(), SinkError> {
        self.primary().set_up()
    }

    fn identity(&self) -> Result<Option<[u8; 16]>, SinkError> {
        self.primary().identity()
    }

    fn catalogue(&self) -> Result<Catalogue, SinkError> {
        self.primary().catalogue()
    }

    fn sink(&self, context: LandingContext) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(Connection(self.clone(), context)))
    }

    fn source(&self, context: LandingContext) -> Result<Box<dyn Source>, SinkError> {
        drop(self.primary().source(context.clone())?);
        Ok(Box::new(Connection(self.clone(), context)))
    }

    fn sinks_max(&self) -> usize {
        1
    }
}

impl Connection {
    fn on_replicas<T>(&self, call: impl Fn(&mut dyn Sink) -> Result<T, SinkError>) {
        for replica in &self.0.0.replicas[self.0.0.fail_overs.load(Ordering::SeqCst)..] {
            let mut sink = replica.sink(self.1.clone()).expect("a replica is there");
            call(&mut *sink).expect("the replica follows");
        }
    }

    fn on_all<T>(&self, call: impl Fn(&mut dyn Sink) -> Result<T, SinkError>) -> Result<T, SinkError> {
        others_go_on();
        let answer = call(&mut *self.0.primary().sink(self.1.clone())?);
        if answer.is_ok() && self.0.0.replicates.load(Ordering::SeqCst) {
            self.on_replicas(call);
        }
        others_go_on();
        answer
    }
}

impl Sink for Connection {
    fn create_lanes(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError> {
        self.on_all(|sink| sink.create_lanes(owner, lanes))
    }

    fn lanes(&mut self, lanes: &[LaneId]) -> Result<Vec<Option<LaneRow>>, SinkError> {
        self.0.primary().sink(self.1.clone())?.lanes(lanes)
    }

    fn lane_ids(&mut self) -> Result<Vec<LaneId>, SinkError> {
        self.0.primary().sink(self.1.clone())?.lane_ids()
    }

    fn adopt(&mut self, lanes: &[Adopted], incidents: &[Incident]) -> Result<(), SinkError> {
        self.on_all(|sink| sink.adopt(lanes, incidents))
    }

    fn declare(&mut self, incidents: &[Incident]) -> Result<(), SinkError> {
        self.on_all(|sink| sink.declare(incidents))
    }

    fn take_over(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError> {
        if self.0.0.failed_over.swap(false, Ordering::SeqCst) {
            (0..3).for_each(|_| self.0.primary().fail_next_landing(Failure::Busy));
        }
        if self.0.0.replicates_take_over.swap(false, Ordering::SeqCst) {
            self.on_replicas(|sink| sink.take_over(owner, lanes));
        }
        self.on_all(|sink| sink.take_over(owner, lanes))
    }

    fn land(&mut self, landing: &Landing) -> Result<(), SinkError> {
        self.on_all(|sink| sink.land(landing))
    }

    fn isolate(&mut self, landing: &Landing) -> Result<Vec<RefusedOp>, SinkError> {
        self.0.primary().sink(self.1.clone())?.isolate(landing)
    }

    fn letters(&mut self, after: u64, most: usize) -> Result<Vec<Letter>, SinkError> {
        self.0.primary().sink(self.1.clone())?.letters(after, most)
    }
}

impl Source for Connection {
    fn load(&mut self, row: &RowKey, lane: LaneId) -> Result<Loaded, SinkError> {
        self.0.0.loads.fetch_add(1, Ordering::SeqCst);
        let loaded = self.0.primary().source(self.1.clone())?.load(row, lane);
        others_go_on();
        self.0.hold();
        loaded
    }

    fn load_head(&mut self, row: &RowKey, lane: LaneId) -> Result<Loaded, SinkError> {
        let loaded = self.0.primary().source(self.1.clone())?.load_head(row, lane);
        others_go_on();
        self.0.hold();
        loaded
    }

    fn letters(&mut self, after: u64, most: usize) -> Result<Vec<Letter>, SinkError> {
        self.0.primary().source(self.1.clone())?.letters(after, most)
    }

    fn key_values_are_empty(&mut self) -> Result<bool, SinkError> {
        self.0.primary().source(self.1.clone())?.key_values_are_empty()
    }

    fn keys(&mut self, after: u64, most: usize, lanes: &[LaneId]) -> Result<StoredKeys, SinkError> {
        let keys = self.0.primary().source(self.1.clone())?.keys(after, most, lanes);
        others_go_on();
        keys
    }

    fn rows(
        &mut self,
        table: &Table,
        after: Option<&RowPlace>,
        most: usize,
        lanes: &[LaneId],
    ) -> Result<StoredRows, SinkError> {
        let rows = self.0.primary().source(self.1.clone())?.rows(table, after, most, lanes);
        others_go_on();
        if most > 0 {
            self.0.hold();
        }
        rows
    }
}
