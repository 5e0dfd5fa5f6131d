//! Only durable records land: a log whose disk is behind, is full, or fails. And what has to be kept is kept first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::buffer::log::memory::MemoryLog;
use crate::buffer::log::{Address, Appended, Gap, Head, LaneName, Log, LogError, Owed, Records, Safety};
use crate::lander::fakes::{PAGE, World, groups, open, page, put_firm, view};
use crate::lander::{LaneNote, OpenError, Phase, StopReason, Waited};
use crate::model::{Anchor, IncidentKind, LaneId, Lineage, Position};

/// A log that is durable only as far as somebody committed it, and whose commits can fail.
struct Lazy {
    inner: Arc<MemoryLog>,
    durable: AtomicU64,
    failure: Mutex<Option<LogError>>,
    /// A note that cannot be kept.
    refused_note: Option<&'static str>,
}

impl Log for Lazy {
    fn commit(&self, end: Address, _: Safety) -> Result<(), LogError> {
        if let Some(failure) = self.failure.lock().clone().filter(|_| end > self.safe(Safety::Durable)) {
            return Err(failure);
        }
        self.durable.fetch_max(end, Ordering::SeqCst);
        Ok(())
    }

    fn safe(&self, _: Safety) -> Address {
        self.durable.load(Ordering::SeqCst)
    }

    fn records(
        &self,
        after: &[(LaneId, Position)],
        upto: Address,
    ) -> Result<Box<dyn Records + '_>, LogError> {
        self.inner.records(after, upto.min(self.safe(Safety::Durable)))
    }

    fn lineage(&self) -> Lineage {
        self.inner.lineage()
    }

    fn boot(&self) -> u64 {
        self.inner.boot()
    }

    fn lanes(&self) -> Vec<(LaneName, LaneId)> {
        self.inner.lanes()
    }

    fn add_lanes(&self, names: &[LaneName]) -> Result<Vec<LaneId>, LogError> {
        self.inner.add_lanes(names)
    }

    fn append(&self, lanes: &[LaneId], body: &[u8]) -> Result<Appended, LogError> {
        self.inner.append(lanes, body)
    }

    fn accepted(&self) -> Address {
        self.inner.accepted()
    }

    fn poisoned(&self) -> Option<LogError> {
        self.inner.poisoned()
    }

    fn oldest(&self, lane: LaneId) -> Head {
        self.inner.oldest(lane)
    }

    fn head(&self, lane: LaneId) -> Head {
        self.inner.head(lane)
    }

    fn cut(&self, lanes: &[LaneId]) -> (Address, Vec<Position>) {
        self.inner.cut(lanes)
    }

    fn anchor_at(&self, lane: LaneId, position: Position) -> Result<Option<Anchor>, LogError> {
        self.inner.anchor_at(lane, position)
    }

    fn gap(&self, ends: &[(LaneId, Head)]) -> Result<(), LogError> {
        self.inner.gap(ends)
    }

    fn gap_over(&self, lane: LaneId, position: Position) -> Option<Gap> {
        self.inner.gap_over(lane, position)
    }

    fn landed(&self, lane: LaneId, position: Position) {
        self.inner.landed(lane, position);
    }

    fn rewind(&self, lane: LaneId, position: Position) -> Result<(), LogError> {
        self.inner.rewind(lane, position)
    }

    fn owed(&self) -> Owed {
        self.inner.owed()
    }

    fn owed_by(&self, lane: LaneId) -> Owed {
        self.inner.owed_by(lane)
    }

    fn owed_records(&self) -> u64 {
        self.inner.owed_records()
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, LogError> {
        self.inner.note(name)
    }

    fn set_note(&self, name: &str, content: &[u8]) -> Result<(), LogError> {
        if self.refused_note == Some(name) {
            let reason = "no space left on device".into();
            return Err(LogError::Io { what: format!("cannot write {name}"), reason });
        }
        self.inner.set_note(name, content)
    }

    fn upkeep(&self) -> Result<(), LogError> {
        self.inner.upkeep()
    }

    fn wait_upkeep(&self, timeout: Duration) {
        self.inner.wait_upkeep(timeout);
    }

    fn close(&self) -> Result<(), LogError> {
        self.inner.close()
    }
}

fn lazy() -> (World, Arc<Lazy>) {
    let mut world = World::new();
    let log = Arc::new(lazy_over(&world, None));
    world.lander.log = log.clone();
    (world, log)
}

fn lazy_over(world: &World, refused_note: Option<&'static str>) -> Lazy {
    let (durable, failure) = (AtomicU64::new(0), Mutex::default());
    Lazy { inner: world.log.clone(), durable, failure, refused_note }
}

#[test]
fn the_log_is_made_durable_up_to_the_cut_before_anything_lands() {
    let (mut world, log) = lazy();
    world.write(&[view(1)]);
    assert!(world.settle());
    assert_eq!(log.safe(Safety::Durable), log.accepted());
    assert_eq!(world.number(&page(1), "views"), Some(1));
}

#[test]
fn nothing_lands_while_the_disk_has_no_room_and_everything_once_it_has() {
    let (mut world, log) = lazy();
    let full = LogError::Io { what: "segment".into(), reason: "no space left on device".into() };
    *log.failure.lock() = Some(full);
    world.write(&[view(1)]);
    world.lander.progress().request_flush();
    world.turns();
    assert_eq!(world.watermark(PAGE), 0);
    let page_status = world.lander.progress().groups().remove(2);
    assert!(page_status.error.is_some_and(|error| error.contains("no space")));
    *log.failure.lock() = None;
    assert!(world.settle());
    assert_eq!(world.number(&page(1), "views"), Some(1));
}

#[test]
fn what_was_durable_before_the_disk_was_full_lands_and_makes_room() {
    let (mut world, log) = lazy();
    world.write(&[view(1)]);
    log.commit(log.accepted(), Safety::Durable).unwrap();
    let full = LogError::Io { what: "segment".into(), reason: "no space left on device".into() };
    *log.failure.lock() = Some(full);
    let waiting = world.write(&[view(2)]);
    world.lander.progress().request_flush();
    world.turns();
    assert_eq!(world.watermark(PAGE), 1);
    assert_eq!(log.owed_records(), 1);
    // The cut is not reached, so nobody may take a row for clean yet.
    assert_eq!(world.lander.progress().landed(waiting[0].0), 0);
    let page_status = world.lander.progress().groups().remove(2);
    assert!(page_status.error.is_some_and(|error| error.contains("no space")));
    *log.failure.lock() = None;
    assert!(world.settle());
    assert_eq!(world.number(&page(2), "views"), Some(1));
}

#[test]
fn a_poisoned_log_stops_every_group_and_ends_the_waits() {
    let (mut world, log) = lazy();
    *log.failure.lock() = Some(LogError::Poisoned { reason: "sync failed".into() });
    let places = world.write(&[view(1)]);
    world.write(&[put_firm(1, &[("need", 1)])]);
    assert!(!world.settle());
    let progress = world.lander.progress();
    assert!(progress.groups().iter().all(|group| group.phase == Phase::Stopped(StopReason::LogFailed)));
    assert_eq!(progress.wait_landed(&places, Duration::from_secs(60)), Waited::Stopped);
    assert_eq!(world.watermark(PAGE), 0);
}

#[test]
fn no_gap_is_marked_before_its_incident_is_kept() {
    let mut world = World::new();
    (0..3).for_each(|_| drop(world.write(&[view(1)])));
    assert!(world.settle());
    // The same log that has lost its end, on a disk that has no room for a note.
    let short = world.twin();
    let notes: Vec<LaneNote> =
        short.log.lanes().into_iter().map(|(_, lane)| LaneNote { lane, landed: 0 }).collect();
    let start = |refused_note| {
        let log = Arc::new(lazy_over(&short, refused_note));
        open(&short.env, &log, &world.database, &short.settings, &groups(), &notes)
    };
    let refused = start(Some("incidents")).err();
    assert!(matches!(refused, Some(OpenError::Log(LogError::Io { .. }))), "{refused:?}");
    // Once the gap is there, nothing tells any more that something is missing.
    assert_eq!(short.log.head(PAGE).position, 0);
    let lander = start(None).expect("there is room now");
    assert_eq!(lander.incidents().all()[0].kind, IncidentKind::LogBehind);
    assert_eq!(short.log.head(PAGE).position, 3);
}
