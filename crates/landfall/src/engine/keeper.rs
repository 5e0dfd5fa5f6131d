//! The threads of an open engine, and what they do beside landing: syncing, segments, cleaning, expiry.
//! Each ends when the engine closes; a panic in any of them is reported to the owner of the engine.

use std::sync::Arc;
use std::time::Duration;

use super::commits::Commits;
use super::core::Core;
use super::unit::Unit;
use super::warm::warm_tables;
use crate::buffer::cache::View;
use crate::buffer::log::{LogError, Safety};
use crate::env::planted::{Bug, planted};
use crate::lander::Lander;
use crate::model::mapping::Target;
use crate::settings::Fsync;
use crate::sync::atomic::Ordering;
use crate::sync::{Condvar, Mutex};
use crate::tasks::{OnFailure, Tasks};

/// How often `everysec` syncs. Ten times a second: one sync a second stalls writers for tens of milliseconds.
const SYNC_EVERY: Duration = Duration::from_millis(100);
/// How often expired keys are looked for.
const EXPIRE_EVERY: Duration = Duration::from_millis(100);
/// How often it is noted how far the lanes have landed. The note only serves to recognise a database that went back, so
/// it may be old.
const NOTE_EVERY: Duration = Duration::from_secs(5);
/// How many keys of one shard are expired at once.
const EXPIRED_AT_ONCE: usize = 128;

/// The threads of an engine.
pub(super) struct Threads {
    tasks: Tasks,
    stop: Arc<Stop>,
}

/// Asks the periodic threads to end, and wakes the keeper when rows have landed.
#[derive(Default)]
pub(super) struct Stop {
    state: Mutex<(bool, bool)>,
    wake: Condvar,
}

impl Stop {
    fn is_set(&self) -> bool {
        self.state.lock().0
    }

    fn set(&self) {
        self.state.lock().0 = true;
        self.wake.notify_all();
    }

    fn landed(&self) {
        self.state.lock().1 = true;
        self.wake.notify_all();
    }

    /// Waits for the end, a publication, or so long; whether to go on.
    fn wait(&self, at_most: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.0 && !state.1 {
            self.wake.wait_for(&mut state, at_most);
        }
        state.1 = false;
        !state.0
    }

    /// Waits for the end or so long; whether to go on.
    fn wait_out(&self, clock: &dyn crate::env::Clock, at_most: Duration) -> bool {
        let until = clock.monotonic() + at_most;
        let mut state = self.state.lock();
        while !state.0 {
            let left = until.saturating_sub(clock.monotonic());
            if left.is_zero() {
                return true;
            }
            self.wake.wait_for(&mut state, left);
        }
        false
    }
}

impl Threads {
    /// Starts everything that runs beside the callers.
    pub(super) fn start(
        core: &Arc<Core>,
        commits: &Arc<Commits>,
        lander: Lander,
        on_failure: OnFailure,
    ) -> std::io::Result<Threads> {
        let mut threads =
            Threads { tasks: Tasks::new(answering(core, commits, on_failure)), stop: Arc::default() };
        let started = threads.start_all(core, commits, lander);
        if let Err(error) = started {
            core.progress.stop(Duration::ZERO);
            threads.end(core, commits);
            return Err(error);
        }
        Ok(threads)
    }

    fn start_all(&mut self, core: &Arc<Core>, commits: &Arc<Commits>, lander: Lander) -> std::io::Result<()> {
        let (tasks, stop) = (&mut self.tasks, &self.stop);
        let published = stop.clone();
        core.progress.subscribe(Arc::new(move || published.landed()));
        tasks.spawn("landfall-lander", move || drop(lander.run()))?;
        for number in 0..core.settings.loads_at_once {
            let core = core.clone();
            tasks.spawn(&format!("landfall-load-{number}"), move || core.run_loader())?;
        }
        let (own, waiting) = (core.clone(), commits.clone());
        tasks.spawn("landfall-commit", move || waiting.run(&own))?;
        let (own, end) = (core.clone(), stop.clone());
        tasks.spawn("landfall-keeper", move || keep(&own, &end))?;
        let (own, end) = (core.clone(), stop.clone());
        tasks.spawn("landfall-segments", move || keep_segments(&own, &end))?;
        if core.settings.fsync == Fsync::Everysec {
            let (own, end) = (core.clone(), stop.clone());
            tasks.spawn("landfall-sync", move || keep_synced(&own, &end))?;
        }
        if core.settings.tables.values().any(|table| table.warm) {
            let (own, end) = (core.clone(), stop.clone());
            tasks.spawn("landfall-warm", move || {
                warm_tables(&own, |at_most| end.wait_out(&*own.env.clock, at_most));
            })?;
        }
        Ok(())
    }

    /// Ends and awaits all threads; returns the names of those that panicked.
    pub(super) fn end(mut self, core: &Core, commits: &Commits) -> Vec<String> {
        self.signal(core, commits);
        self.tasks.join()
    }

    /// Asks all threads to end.
    pub(super) fn signal(&self, core: &Core, commits: &Commits) {
        self.stop.set();
        core.close_loads();
        commits.close();
    }
}

/// Before the owner hears of a thread that panicked, whoever waits for one of the threads is answered.
fn answering(core: &Arc<Core>, commits: &Arc<Commits>, on_failure: OnFailure) -> OnFailure {
    let (core, commits) = (core.clone(), commits.clone());
    Arc::new(move |name| {
        core.closing.store(true, Ordering::Relaxed);
        core.close_loads();
        commits.close();
        on_failure(name);
    })
}

fn keep(core: &Core, stop: &Stop) {
    let mut keeping = Keeping::new(core);
    while stop.wait(EXPIRE_EVERY) {
        keeping.step(core);
    }
}

/// What the keeper remembers from one round to the next.
pub(super) struct Keeping {
    expired_at: Duration,
    noted_at: Duration,
    unnoted: bool,
}

impl Keeping {
    pub(super) fn new(core: &Core) -> Keeping {
        let now = core.env.clock.monotonic();
        Keeping { expired_at: now, noted_at: now, unnoted: false }
    }

    /// Makes landed rows clean, lets rows go whose time here is over, and logs the expiry of keys.
    pub(super) fn step(&mut self, core: &Core) {
        for lane in core.all_lanes() {
            self.unnoted |= core.clean_landed(lane);
        }
        core.cascades.landed(&core.cache, |lane| core.progress.landed(lane));
        core.look_at_shares();
        let now = core.env.clock.monotonic();
        if self.unnoted && now >= self.noted_at + NOTE_EVERY {
            (self.noted_at, self.unnoted) = (now, false);
            let noted = core.note_landed();
            *core.note_trouble.lock() = noted.err().map(|error| error.to_string());
        }
        if now >= self.expired_at + EXPIRE_EVERY {
            self.expired_at = now;
            let now_ms = core.env.clock.unix_ms();
            // Before the keys: those may wait at a bound of the log, and this is none of its business.
            (0..core.cache.shards()).for_each(|shard| core.cache.lock(shard).let_leave(&core.cache, now_ms));
            expire(core, now_ms);
        }
    }
}

/// Logs the deletion of keys whose time has come, so that replays and the database agree on it.
fn expire(core: &Core, now_ms: u64) {
    for shard in 0..core.cache.shards() {
        let rows = core.cache.lock(shard).expired(now_ms, EXPIRED_AT_ONCE);
        for row in rows {
            let mut unit = Unit::new(core, &[(&row[1..], &Target::Key)], false);
            let due = unit.entry(0).is_some_and(|entry| {
                entry.expires_ms > 0 && entry.expires_ms <= now_ms && !entry.is_doubtful()
            });
            if !due {
                continue;
            }
            if planted(Bug::SweptExpiry) {
                let place = (core.cache.hash(&row), &row[..], unit.lane(0));
                drop(unit);
                core.cache.lock(shard).settle(&core.cache, place, View::Absent, (0, now_ms));
                continue;
            }
            unit.delete(0);
            // Refused at a bound: the key stays expired for readers, and the next round tries again.
            if unit.commit().is_err() {
                return;
            }
            core.counts.expired.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn keep_synced(core: &Core, stop: &Stop) {
    while stop.wait_out(&*core.env.clock, SYNC_EVERY) {
        if !sync(core) {
            return;
        }
    }
}

/// Syncs the log if there is something to sync; whether to go on.
pub(super) fn sync(core: &Core) -> bool {
    let end = core.log.accepted();
    if core.log.safe(Safety::Durable) >= end || planted(Bug::EverysecNeverSyncs) {
        return true;
    }
    // Poisoned: every later write is refused with the reason, and `status` shows it. Without room for now, the next
    // round tries again, and `status` shows the trouble of the upkeep.
    let synced = core.log.commit(end, Safety::Durable).or_else(|error| match error {
        // What has its room already must not wait for what has none: it was acknowledged.
        LogError::Io { .. } => core.log.commit(core.log.safe(Safety::Written), Safety::Durable),
        error => Err(error),
    });
    !matches!(synced, Err(LogError::Poisoned { .. } | LogError::Closed))
}

fn keep_segments(core: &Core, stop: &Stop) {
    while !stop.is_set() {
        core.log.wait_upkeep(Duration::from_millis(250));
        if !keep_up(core) {
            stop.wait_out(&*core.env.clock, Duration::from_millis(250));
        }
    }
}

/// Does the log's upkeep; whether all of it could be done.
pub(super) fn keep_up(core: &Core) -> bool {
    // What could not be done is tried again in the next round; until then `status` shows it.
    let trouble = core.log.upkeep().err().map(|error| error.to_string());
    let done = trouble.is_none();
    *core.upkeep_trouble.lock() = trouble;
    done
}
