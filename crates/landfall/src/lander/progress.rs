//! What travels back from the lander: landed positions, cuts, the state of each group, counters; and the
//! requests that go in: flush, pause, resume, stop. Numbers only: it must never hold a row, a value or a lock
//! while somebody else's code runs.

mod believed;
mod lanes;
mod meeting;
mod parked;
mod stuck;
mod wake;

pub(super) mod status;

use std::sync::Arc;
use std::time::Duration;

use super::counters::Counters;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex};
use lanes::{ByLane, LaneNumbers};
use meeting::Meeting;
pub use parked::ParkedNow;
use parked::ParkedPlaces;
use status::{ConnectionStatus, GroupStatus, Phase, StopReason, UnknownGroup, Waited};
use stuck::Stuck;
use wake::Wake;

use crate::env::Clock;
use crate::model::{Epoch, LaneId, Position};

struct GroupNumbers {
    paused: AtomicBool,
    resumes: AtomicU64,
    stopped: AtomicBool,
    stuck: Stuck,
    status: Mutex<GroupStatus>,
}

/// Called after each publication; must be quick and must not call back into the lander.
pub type Subscriber = Arc<dyn Fn() + Send + Sync>;

/// Numbers shared by the lander and whoever waits for it.
pub struct Progress {
    clock: Arc<dyn Clock>,
    lanes: ByLane,
    groups: Vec<GroupNumbers>,
    connection: Mutex<ConnectionStatus>,
    parked: Mutex<ParkedNow>,
    parked_places: Mutex<ParkedPlaces>,
    subscribers: Mutex<Vec<Subscriber>>,
    publication: Mutex<()>,
    published: Condvar,
    wake: Wake,
    flush_requests: AtomicU64,
    /// The end of a requested close in nanoseconds of the monotonic clock; `u64::MAX`: none.
    stop_at_nanos: AtomicU64,
    ended: AtomicBool,
    meeting: Meeting,
    take_overs: AtomicU64,
    /// What was landed and retried, summed once.
    pub counters: Counters,
}

impl Progress {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        groups: impl Iterator<Item = String>,
        lanes: impl Iterator<Item = (LaneId, usize)>,
    ) -> Progress {
        let since = clock.monotonic();
        let group = |name| GroupNumbers {
            paused: AtomicBool::new(false),
            resumes: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            stuck: Stuck::default(),
            status: Mutex::new(GroupStatus { name, phase: Phase::Idle, since, attempts: 0, error: None }),
        };
        let lane = |group| LaneNumbers {
            group,
            landed: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            whole_from: AtomicU64::new(believed::NEVER),
            rewinds: AtomicU64::new(0),
            changes_accepted: AtomicU64::new(0),
            changes_landed: AtomicU64::new(0),
        };
        Progress {
            clock,
            lanes: ByLane::new(lanes.map(|(id, at)| (id, lane(at)))),
            groups: groups.map(group).collect(),
            connection: Mutex::default(),
            parked: Mutex::default(),
            parked_places: Mutex::default(),
            subscribers: Mutex::default(),
            publication: Mutex::default(),
            published: Condvar::new(),
            wake: Wake::default(),
            flush_requests: AtomicU64::new(0),
            stop_at_nanos: AtomicU64::new(u64::MAX),
            ended: AtomicBool::new(false),
            meeting: Meeting::default(),
            take_overs: AtomicU64::new(0),
            counters: Counters::default(),
        }
    }

    /// The position up to which everything of the lane has landed; 0 for a lane that is not known.
    ///
    /// It goes back only when the database lost commits; [`Progress::rewinds`] counts that.
    pub fn landed(&self, lane: LaneId) -> Position {
        self.lanes.get(lane).map_or(0, |numbers| numbers.landed.load(Ordering::Acquire))
    }

    /// The lane's published cut: what is being landed reaches up to it. It never goes back.
    pub fn cut(&self, lane: LaneId) -> Position {
        self.lanes.get(lane).map_or(0, |numbers| numbers.cut.load(Ordering::Acquire))
    }

    /// The owner's number under which the lane is landed.
    pub fn epoch(&self, lane: LaneId) -> Epoch {
        self.lanes.get(lane).map_or(0, |numbers| numbers.epoch.load(Ordering::Acquire) as Epoch)
    }

    /// How often the lane's landed position went back, because the database lost commits.
    pub fn rewinds(&self, lane: LaneId) -> u64 {
        self.lanes.get(lane).map_or(0, |numbers| numbers.rewinds.load(Ordering::Acquire))
    }

    /// The dead letters.
    pub fn parked(&self) -> ParkedNow {
        *self.parked.lock()
    }

    /// Whether the change at one of these places was refused and parked, as far as this process remembers: the last
    /// 65,536 of them since it started.
    pub fn was_parked(&self, places: &[(LaneId, Position)]) -> bool {
        self.parked_places.lock().holds(places)
    }

    /// The state of every group.
    pub fn groups(&self) -> Vec<GroupStatus> {
        self.groups.iter().map(|group| group.status.lock().clone()).collect()
    }

    /// The state of the connection to the database.
    pub fn connection(&self) -> ConnectionStatus {
        self.connection.lock().clone()
    }

    /// Why nothing more should be written: a group has stopped for good. None while all can land.
    pub fn stopped(&self) -> Option<GroupStatus> {
        let stopped = self.groups.iter().find(|group| group.stopped.load(Ordering::Acquire))?;
        Some(stopped.status.lock().clone())
    }

    /// Has `subscriber` called after each publication, on the lander's thread.
    pub fn subscribe(&self, subscriber: Subscriber) {
        self.subscribers.lock().push(subscriber);
    }

    /// Waits until all these positions have landed, at the longest until `deadline` on the monotonic clock.
    pub fn wait_landed(&self, targets: &[(LaneId, Position)], deadline: Duration) -> Waited {
        let mut guard = self.publication.lock();
        loop {
            if targets.iter().all(|&(lane, position)| self.landed(lane) >= position) {
                return Waited::Landed;
            }
            if self.ended.load(Ordering::Acquire) || targets.iter().any(|&(lane, _)| self.is_dead(lane)) {
                return Waited::Stopped;
            }
            let now = self.clock.monotonic();
            if now >= deadline {
                return Waited::TimedOut;
            }
            self.published.wait_for(&mut guard, deadline - now);
        }
    }

    fn is_dead(&self, lane: LaneId) -> bool {
        self.lanes.get(lane).is_none_or(|numbers| self.groups[numbers.group].stopped.load(Ordering::Acquire))
    }

    /// Counts changes that were appended to a lane, and wakes the lander when that is due. Call it after the
    /// append. It costs two additions and two loads while the lander has nothing to be woken for.
    pub fn accepted(&self, lane: LaneId, changes: u64) {
        if let Some(numbers) = self.lanes.get(lane) {
            numbers.changes_accepted.fetch_add(changes, Ordering::Relaxed);
        }
        self.wake.accepted(changes);
    }

    /// Wakes the lander. Costs one load when a signal is already on its way.
    pub fn notify(&self) {
        self.wake.notify();
    }

    /// Asks to land everything accepted so far, whatever the flush mode.
    pub fn request_flush(&self) {
        self.flush_requests.fetch_add(1, Ordering::SeqCst);
        self.notify();
    }

    /// Stops landing of a group, or of all, behind the batch that is under way.
    ///
    /// # Errors
    /// [`UnknownGroup`].
    pub fn pause(&self, group: Option<&str>) -> Result<(), UnknownGroup> {
        self.set_paused(group, true)
    }

    /// Ends a pause. A group that is held because too much of it is refused tries again at once and parks what is
    /// refused up to its cut.
    ///
    /// # Errors
    /// [`UnknownGroup`].
    pub fn resume(&self, group: Option<&str>) -> Result<(), UnknownGroup> {
        self.set_paused(group, false)
    }

    fn set_paused(&self, name: Option<&str>, paused: bool) -> Result<(), UnknownGroup> {
        let mut found = name.is_none();
        for group in &self.groups {
            if name.is_none_or(|name| group.status.lock().name == name) {
                group.paused.store(paused, Ordering::SeqCst);
                group.resumes.fetch_add(u64::from(!paused), Ordering::SeqCst);
                found = true;
            }
        }
        self.notify();
        if found { Ok(()) } else { Err(UnknownGroup(name.unwrap_or_default().into())) }
    }

    /// Asks the lander to land what is left and to end, at the latest at `deadline` on the monotonic clock.
    pub fn stop(&self, deadline: Duration) {
        let nanos = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX - 1).min(u64::MAX - 1);
        self.stop_at_nanos.store(nanos, Ordering::SeqCst);
        self.notify();
    }
}

/// The lander's side.
impl Progress {
    pub(super) fn stop_at(&self) -> Option<Duration> {
        let nanos = self.stop_at_nanos.load(Ordering::SeqCst);
        (nanos != u64::MAX).then(|| Duration::from_nanos(nanos))
    }

    /// The groups that somebody paused.
    pub fn paused(&self) -> Vec<String> {
        let paused = self.groups.iter().filter(|group| group.paused.load(Ordering::SeqCst));
        paused.map(|group| group.status.lock().name.clone()).collect()
    }

    pub(super) fn is_paused(&self, group: usize) -> bool {
        self.groups[group].paused.load(Ordering::SeqCst)
    }

    pub(super) fn resumes(&self, group: usize) -> u64 {
        self.groups[group].resumes.load(Ordering::SeqCst)
    }

    /// Sets what is known of the letters; the version is counted here.
    pub(super) fn set_parked(&self, now: ParkedNow) {
        let mut parked = self.parked.lock();
        *parked = ParkedNow { version: parked.version + 1, ..now };
    }

    pub(super) fn parked_at(&self, places: &[(LaneId, Position)]) {
        self.parked_places.lock().note(places);
    }

    pub(super) fn flush_requests(&self) -> u64 {
        self.flush_requests.load(Ordering::SeqCst)
    }

    /// The changes that were accepted since the start.
    pub fn changes_accepted(&self) -> u64 {
        self.wake.changes_accepted()
    }

    /// The changes that a lane owes, never less than the records it owes.
    ///
    /// The count is of this process alone and changes land again after a rewind, so it may drift; whenever the
    /// lane owes nothing it starts anew.
    pub(super) fn changes_owed(&self, lane: LaneId, records: impl FnOnce() -> u64) -> u64 {
        let Some(numbers) = self.lanes.get(lane) else { return records() };
        // Read before the records: what is counted here was appended before, so no records means all landed.
        let accepted = numbers.changes_accepted.load(Ordering::Acquire);
        let records = records();
        if records == 0 {
            numbers.changes_landed.store(accepted, Ordering::Relaxed);
            return 0;
        }
        records.max(accepted.saturating_sub(numbers.changes_landed.load(Ordering::Relaxed)))
    }

    pub(super) fn changes_landed(&self, lane: LaneId, changes: u64) {
        if let Some(numbers) = self.lanes.get(lane) {
            numbers.changes_landed.fetch_add(changes, Ordering::Relaxed);
        }
    }

    pub(super) fn set_epoch(&self, lane: LaneId, epoch: Epoch) {
        if let Some(numbers) = self.lanes.get(lane) {
            numbers.epoch.store(epoch as u64, Ordering::Release);
        }
    }

    pub(super) fn publish_cut(&self, lane: LaneId, cut: Position) {
        if let Some(numbers) = self.lanes.get(lane) {
            numbers.cut.fetch_max(cut, Ordering::AcqRel);
        }
    }

    /// Sets landed positions and tells everybody who waits. A position below the last one is a rewind.
    pub(super) fn publish_landed(&self, landed: &[(LaneId, Position)]) {
        for (lane, position) in landed {
            let Some(numbers) = self.lanes.get(*lane) else { continue };
            if numbers.landed.swap(*position, Ordering::AcqRel) > *position {
                numbers.rewinds.fetch_add(1, Ordering::AcqRel);
            }
        }
        self.announce();
    }

    /// Wakes the waiters and calls the subscribers.
    pub(super) fn announce(&self) {
        // The lock orders this behind a waiter that has just looked, so that it cannot miss the call.
        drop(self.publication.lock());
        self.published.notify_all();
        let subscribers = self.subscribers.lock().clone();
        subscribers.iter().for_each(|subscriber| subscriber());
    }

    pub(super) fn set_phase(&self, group: usize, phase: Phase) {
        self.note_stuck(group, &phase);
        let mut status = self.groups[group].status.lock();
        if status.phase != phase {
            status.phase = phase;
            status.since = self.clock.monotonic();
        }
    }

    /// Records the outcome of a group's last attempt.
    pub(super) fn set_outcome(&self, group: usize, attempts: u32, error: Option<String>) {
        let mut status = self.groups[group].status.lock();
        status.attempts = attempts;
        status.error = error;
    }

    pub(super) fn set_stopped(&self, group: usize, reason: StopReason, error: String) {
        self.set_outcome(group, 0, Some(error));
        self.set_phase(group, Phase::Stopped(reason));
        self.groups[group].stopped.store(true, Ordering::Release);
        self.announce();
    }

    pub(super) fn set_connection(&self, status: ConnectionStatus) {
        *self.connection.lock() = status;
    }

    pub(super) fn set_ended(&self) {
        self.ended.store(true, Ordering::Release);
        self.announce();
    }

    /// Sleeps until a signal, until `until`, or until the count of accepted changes reaches `wake_at_changes`.
    pub(super) fn sleep(&self, until: Option<Duration>, wake_at_changes: u64) {
        self.wake.sleep(&*self.clock, until, wake_at_changes);
    }
}

#[cfg(test)]
mod tests;
