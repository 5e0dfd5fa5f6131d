//! A database with a replica that may lag, for the lander's tests: a failover loses what the replica does not have.
//! Never used outside tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::model::{Catalogue, Incident, LaneId, LaneRow, Letter, Owner, Table, Watermark};
use crate::sink::memory::MemoryDatabase;
use crate::sink::{Adopted, Database, Landing, LandingContext, RefusedOp, Sink, SinkError, Source};
use crate::sync::explore::others_go_on;

/// A database with a replica: what is landed while the replica lags is lost at the next failover.
pub(in crate::lander) struct Failover {
    pub(in crate::lander) primary: Mutex<MemoryDatabase>,
    replica: Mutex<MemoryDatabase>,
    lags: AtomicBool,
    failed_over: AtomicBool,
    /// So many take-overs are done and not answered.
    pub(in crate::lander) take_overs_unanswered: AtomicU64,
    /// Every landing that was committed, in order.
    pub(in crate::lander) landings: Arc<Mutex<Vec<Landing>>>,
    pub(in crate::lander) sinks_opened: AtomicU64,
}

impl Failover {
    pub(in crate::lander) fn new(tables: &[Table]) -> Arc<Failover> {
        Failover::of(MemoryDatabase::new(tables.to_vec()))
    }

    /// An emptied database that says it is the same.
    pub(in crate::lander) fn empty_twin(other: &Failover) -> Arc<Failover> {
        Failover::of(MemoryDatabase::empty_twin(&other.primary.lock()))
    }

    fn of(primary: MemoryDatabase) -> Arc<Failover> {
        Arc::new(Failover {
            replica: Mutex::new(MemoryDatabase::empty_twin(&primary)),
            primary: Mutex::new(primary),
            lags: AtomicBool::new(false),
            failed_over: AtomicBool::new(false),
            take_overs_unanswered: AtomicU64::new(0),
            landings: Arc::default(),
            sinks_opened: AtomicU64::new(0),
        })
    }

    pub(in crate::lander) fn each(&self, act: impl Fn(&MemoryDatabase)) {
        act(&self.primary.lock());
        act(&self.replica.lock());
    }

    pub(in crate::lander) fn set_lagging(&self, lags: bool) {
        self.lags.store(lags, Ordering::SeqCst);
    }

    /// Loses what the replica does not have. Connections stay open, as behind a proxy. There is one failover.
    pub(in crate::lander) fn fail_over(&self) {
        *self.primary.lock() = self.replica.lock().clone();
        self.failed_over.store(true, Ordering::SeqCst);
    }

    fn replicates(&self) -> bool {
        !self.lags.load(Ordering::SeqCst) && !self.failed_over.load(Ordering::SeqCst)
    }
}

/// A connection that always talks to the present primary.
struct Proxy(Arc<Failover>, LandingContext);

impl Proxy {
    fn on<T>(
        &self,
        database: &Mutex<MemoryDatabase>,
        call: impl Fn(&mut dyn Sink) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        let database = database.lock().clone();
        call(&mut *database.sink(self.1.clone())?)
    }

    fn on_both<T>(&self, call: impl Fn(&mut dyn Sink) -> Result<T, SinkError>) -> Result<T, SinkError> {
        let answer = self.on(&self.0.primary, &call);
        let done = matches!(answer, Ok(_) | Err(SinkError::Unknown(_)));
        if done && self.0.replicates() {
            self.on(&self.0.replica, &call).ok();
        }
        answer
    }
}

impl Sink for Proxy {
    fn create_lanes(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError> {
        self.on_both(|sink| sink.create_lanes(owner, lanes))
    }

    fn lanes(&mut self, lanes: &[LaneId]) -> Result<Vec<Option<LaneRow>>, SinkError> {
        self.on(&self.0.primary, |sink| sink.lanes(lanes))
    }

    fn isolate(&mut self, landing: &Landing) -> Result<Vec<RefusedOp>, SinkError> {
        self.on(&self.0.primary, |sink| sink.isolate(landing))
    }

    fn letters(&mut self, after: u64, most: usize) -> Result<Vec<Letter>, SinkError> {
        self.on(&self.0.primary, |sink| sink.letters(after, most))
    }

    fn lane_ids(&mut self) -> Result<Vec<LaneId>, SinkError> {
        self.on(&self.0.primary, |sink| sink.lane_ids())
    }

    fn adopt(&mut self, lanes: &[Adopted], incidents: &[Incident]) -> Result<(), SinkError> {
        self.on_both(|sink| sink.adopt(lanes, incidents))
    }

    fn declare(&mut self, incidents: &[Incident]) -> Result<(), SinkError> {
        self.on_both(|sink| sink.declare(incidents))
    }

    fn take_over(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError> {
        others_go_on();
        let answer = self.on_both(|sink| sink.take_over(owner, lanes))?;
        others_go_on();
        let unanswered = &self.0.take_overs_unanswered;
        match unanswered.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(SinkError::Unavailable("the answer was lost".into())),
            Err(_) => Ok(answer),
        }
    }

    fn land(&mut self, landing: &Landing) -> Result<(), SinkError> {
        others_go_on();
        let mut landings = self.0.landings.lock();
        let before = self.0.primary.lock().landings();
        let answer = self.on(&self.0.primary, |sink| sink.land(landing));
        if self.0.primary.lock().landings() > before {
            landings.push(landing.clone());
            if self.0.replicates() {
                self.on(&self.0.replica, |sink| sink.land(landing)).ok();
            }
        }
        drop(landings);
        others_go_on();
        answer
    }
}

impl Database for Arc<Failover> {
    fn describe(&self) -> String {
        "failover".into()
    }

    fn set_up(&self) -> Result<(), SinkError> {
        Ok(())
    }

    fn identity(&self) -> Result<Option<[u8; 16]>, SinkError> {
        self.primary.lock().identity()
    }

    fn catalogue(&self) -> Result<Catalogue, SinkError> {
        self.primary.lock().catalogue()
    }

    fn sink(&self, context: LandingContext) -> Result<Box<dyn Sink>, SinkError> {
        drop(self.primary.lock().sink(context.clone())?);
        self.sinks_opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Proxy(self.clone(), context)))
    }

    fn source(&self, context: LandingContext) -> Result<Box<dyn Source>, SinkError> {
        self.primary.lock().source(context)
    }

    fn sinks_max(&self) -> usize {
        1
    }
}
