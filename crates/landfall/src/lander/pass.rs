//! The landing protocol of one turn: connect, cut, gather, land, publish; and what follows a failure.
//! Rows and watermarks move in one transaction, and landed is published only at a cut.

use std::collections::BTreeSet;

use super::batch::Attempt;
use super::dead_letter::{Parted, part};
use super::notes;
use super::progress::Progress;
use super::progress::status::{ConnectionStatus, Phase, StopReason};
use super::retry::{Failed, Mark, Remedy, remedy};
use super::{Lander, OpenError};
use crate::buffer::log::{Log, Safety};
use crate::env::failpoint::reach;
use crate::env::planted::{Bug, planted};
use crate::error::{LogError, SinkError};
use crate::model::{IncidentKind, LaneId};
use crate::sink::{Landing, LandingOp, LetterStep, Sink};

/// Why a turn did not end well.
pub(super) enum Failure {
    /// No connection, or no take-over.
    Connection(SinkError),
    /// A landing failed.
    Landing { error: SinkError, groups: BTreeSet<usize>, records: usize, isolated: bool },
    /// These groups are refused too much to be parked.
    Hold { groups: BTreeSet<usize>, what: String },
    /// The log could not be read or synced.
    Log { error: LogError, groups: BTreeSet<usize> },
    /// These groups must not go on.
    Stop { groups: BTreeSet<usize>, reason: StopReason, what: String },
}

/// Whether a first meeting that ends like this leaves nothing to wait for.
fn is_for_good(error: &SinkError) -> bool {
    use SinkError::{ForeignLineage, LaneMissing, WrongDatabase};
    matches!(error, ForeignLineage { .. } | LaneMissing { .. } | WrongDatabase { .. })
}

impl Lander {
    /// Lands the next batch of these groups.
    pub(super) fn land_set(&mut self, set: &BTreeSet<usize>) {
        set.iter().for_each(|&at| self.progress.set_phase(at, Phase::Landing));
        if let Err(failure) = self.try_land(set) {
            self.fail(failure);
        }
    }

    fn try_land(&mut self, set: &BTreeSet<usize>) -> Result<(), Failure> {
        self.connect()?;
        if set.iter().any(|&at| self.groups[at].stopped) {
            return Ok(());
        }
        // A take-over may have found that lanes which were left have to land again: what is newer waits for them, and so the
        // groups are chosen anew.
        if self.retired_that_owe().is_some_and(|retired| !set.contains(&retired)) {
            return Ok(());
        }
        let no_room = self.cut(set)?;
        reach("landing.cut");
        let isolates = set.iter().any(|&at| self.groups[at].isolates);
        let batch = self.gather(set, isolates)?;
        let moves = !batch.attempt.steps.is_empty();
        if moves {
            match isolates {
                true => self.land_what_is_taken(batch)?,
                false => self.commit(part(batch.plan, &[], 0), batch.attempt)?,
            }
            reach("landing.committed");
        }
        self.publish(set);
        reach("landing.published");
        self.believe_what_has_caught_up();
        if let Some(error) = no_room {
            if !moves {
                return Err(Failure::Log { error, groups: set.clone() });
            }
            // The cut is out of reach until the log has room, and it gets room by what has landed below.
            let lanes = self.lanes.iter().filter(|(_, lane)| set.contains(&lane.group));
            lanes.for_each(|(&id, lane)| self.log.landed(id, lane.at.position));
        }
        self.send_incidents();
        Ok(())
    }

    /// What follows when log and database could not be joined: waiting, unless they never fitted since the start.
    fn not_joined(&self, error: OpenError) -> Failure {
        match error {
            OpenError::Sink(error) if self.progress.is_joined() || !is_for_good(&error) => {
                Failure::Connection(error)
            }
            OpenError::Log(error) => Failure::Log { error, groups: (0..self.groups.len()).collect() },
            never => Failure::Stop {
                groups: (0..self.groups.len()).collect(),
                reason: StopReason::Diverged,
                what: never.to_string(),
            },
        }
    }

    /// Has a sink, and knows where the lanes are.
    pub(super) fn connect(&mut self) -> Result<(), Failure> {
        if !self.progress.is_joined() {
            self.join().map_err(|error| self.not_joined(error))?;
        }
        self.compare()?;
        if self.sink.is_none() {
            notes::check_database(&*self.log, &*self.database).map_err(|error| self.not_joined(error))?;
            let sink = self.database.sink(self.context.clone()).map_err(Failure::Connection)?;
            self.sink = Some(sink);
            self.unsure = true;
        }
        if self.unsure {
            self.take_over_and_tell()?;
            self.unsure = false;
            self.parked = self.parked.take().filter(|_| planted(Bug::LettersKept));
        }
        self.read_letters()?;
        if self.connection.attempts > 0 {
            self.connection.succeed();
            self.progress.set_connection(ConnectionStatus::default());
        }
        Ok(())
    }

    /// Cuts the groups that have no cut outstanding, all in one instant, and makes the log durable up to there. When
    /// the disk has no room for that, as far as it was written; then the error says why no further.
    fn cut(&mut self, set: &BTreeSet<usize>) -> Result<Option<LogError>, Failure> {
        let flush_requests = self.progress.flush_requests();
        let fresh: Vec<usize> = set.iter().copied().filter(|&at| self.groups[at].pass.is_none()).collect();
        let mut lanes: Vec<LaneId> = fresh.iter().flat_map(|&at| self.groups[at].lanes.clone()).collect();
        lanes.sort_unstable();
        if !lanes.is_empty() {
            let (upto, positions) = self.log.cut(&lanes);
            for (id, position) in lanes.into_iter().zip(positions) {
                if let Some(lane) = self.lanes.get_mut(&id) {
                    lane.cut = lane.cut.max(position);
                }
                self.progress.publish_cut(id, position);
            }
            for at in fresh {
                let group = &mut self.groups[at];
                group.pass = Some(upto);
                group.due = false;
                group.flush_seen = flush_requests;
            }
        }
        let upto = set.iter().filter_map(|&at| self.groups[at].pass).max().unwrap_or(0);
        if self.log.safe(Safety::to_land()) >= upto {
            return Ok(None);
        }
        let failed = |error| Failure::Log { error, groups: set.clone() };
        match self.log.commit(upto, Safety::to_land()) {
            Ok(()) => Ok(None),
            Err(error @ LogError::Io { .. }) => {
                let written = self.log.safe(Safety::Written).min(upto);
                self.log.commit(written, Safety::to_land()).map_err(failed)?;
                Ok(Some(error))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Commits what is left of a plan, with the letters of what is not.
    pub(super) fn commit(&mut self, parted: Parted, mut attempt: Attempt) -> Result<(), Failure> {
        let Parted { ops, letters, ordered, places } = parted;
        attempt.parked = places;
        attempt.counts.rows = ops.len() as u64;
        let mut landing = self.landing(&attempt, ops, letters, ordered);
        let started = self.env.clock.monotonic();
        let Some(sink) = &mut self.sink else {
            return Err(Failure::Connection(SinkError::Unavailable("not connected".into())));
        };
        let landed = send(&mut **sink, &mut landing, &*self.log, &self.progress);
        attempt.counts.ms = (self.env.clock.monotonic() - started).as_millis() as u64;
        match landed {
            Ok(()) => {
                for step in &attempt.steps {
                    if let Some(lane) = self.lanes.get_mut(&step.lane) {
                        lane.move_to(Mark { position: step.to.0, anchor: step.to.1 });
                    }
                }
                self.follow_letters(&landing.letters);
                self.count(&attempt);
                for &at in &attempt.groups {
                    self.groups[at].streak.clone_from(&attempt.streak);
                    self.succeed(at);
                }
                Ok(())
            }
            Err(error) => {
                let (groups, records) = (attempt.groups.clone(), attempt.counts.records as usize);
                let isolated = attempt.isolated;
                // Kept even where the sink says that nothing was written: the take-over knows better.
                self.attempt = Some(attempt);
                Err(Failure::Landing { error, groups, records, isolated })
            }
        }
    }

    /// A landing of this attempt.
    pub(super) fn landing(
        &self,
        attempt: &Attempt,
        ops: Vec<LandingOp>,
        letters: Vec<LetterStep>,
        ordered: bool,
    ) -> Landing {
        Landing {
            batch: self.env.random_128(),
            time_ms: self.env.clock.unix_ms(),
            lineage: self.lineage,
            lanes: attempt.steps.clone(),
            ops,
            letters,
            ordered,
        }
    }

    /// A batch of the group has committed: what a failure left behind is over.
    pub(super) fn succeed(&mut self, at: usize) {
        let records_max = self.settings.batch_records_max;
        let group = &mut self.groups[at];
        group.joint.clear();
        group.backoff.succeed();
        (group.refusals, group.isolates, group.held) = (0, false, false);
        // The search for a refused record widens again step by step; the record may be right behind.
        group.records_max = group.records_max.map(|max| max * 2).filter(|&max| max < records_max);
        self.progress.set_outcome(at, 0, None);
    }

    /// Publishes landed for the groups whose lanes have all reached their cut.
    fn publish(&mut self, set: &BTreeSet<usize>) {
        let mut landed = Vec::new();
        for &at in set {
            let lanes = &self.groups[at].lanes;
            let reached = |id| self.lanes.get(id).is_none_or(|lane| lane.at.position >= lane.cut);
            if self.groups[at].pass.is_some() && lanes.iter().all(reached) {
                landed.extend(lanes.iter().filter_map(|id| Some((*id, self.lanes.get(id)?.at.position))));
                self.groups[at].pass = None;
                self.groups[at].parks_anyway = false;
            }
        }
        for &(lane, position) in &landed {
            self.log.landed(lane, position);
        }
        if !landed.is_empty() {
            self.progress.publish_landed(&landed);
        }
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        match failure {
            Failure::Connection(error @ SinkError::OtherStart { .. }) => {
                let what = error.to_string();
                self.incidents.declare(IncidentKind::Fenced, None, (0, 0), &what);
                self.stop(&(0..self.groups.len()).collect(), StopReason::Fenced, &what);
            }
            Failure::Connection(error) => {
                self.progress.counters.failure(&error);
                self.reconnect(&error, &BTreeSet::new());
            }
            Failure::Landing { error, groups, records, isolated } => {
                self.progress.counters.failure(&error);
                match self.met_changed_tables(&error) {
                    Err(Failure::Connection(newer)) => self.reconnect(&newer, &groups),
                    _ => self.mend(&error, &groups, records, isolated),
                }
            }
            Failure::Hold { groups, what } => {
                self.attempt = None;
                groups.iter().for_each(|&at| self.groups[at].held = true);
                self.back_off(&groups, &what);
            }
            Failure::Log { error, groups } => match error {
                LogError::Poisoned { .. } | LogError::Closed => {
                    self.stop(&(0..self.groups.len()).collect(), StopReason::LogFailed, &error.to_string());
                }
                LogError::Io { .. } | LogError::Full { .. } | LogError::Locked { .. } => {
                    self.back_off(&groups, &error.to_string());
                }
                LogError::Damaged { .. }
                | LogError::Format { .. }
                | LogError::Trimmed { .. }
                | LogError::TooLarge { .. } => self.stop(&groups, StopReason::LogFailed, &error.to_string()),
            },
            Failure::Stop { groups, reason, what } => {
                self.incidents.declare(IncidentKind::Diverged, None, (0, 0), &what);
                self.stop(&groups, reason, &what);
            }
        }
    }

    fn mend(&mut self, error: &SinkError, groups: &BTreeSet<usize>, records: usize, isolated: bool) {
        let refusals = groups.iter().map(|&at| self.groups[at].refusals).max().unwrap_or(0);
        if matches!(error, SinkError::Refused { .. }) {
            groups.iter().for_each(|&at| self.groups[at].refusals = refusals.saturating_add(1));
        }
        match remedy(error, Failed { records, refusals, isolated }, self.settings.refusals_max) {
            Remedy::Reconnect => self.reconnect(error, groups),
            Remedy::TakeOver => {
                self.unsure = true;
                self.back_off(groups, &error.to_string());
            }
            Remedy::Wait => {
                self.attempt = None;
                self.back_off(groups, &error.to_string());
            }
            Remedy::Isolate => {
                self.attempt = None;
                for &at in groups {
                    self.groups[at].isolates = true;
                    self.progress.set_outcome(at, refusals + 1, Some(error.to_string()));
                }
            }
            Remedy::Split(records) => {
                self.attempt = None;
                groups.iter().for_each(|&at| self.groups[at].records_max = Some(records.max(1)));
            }
        }
    }

    fn reconnect(&mut self, error: &SinkError, groups: &BTreeSet<usize>) {
        let (now, random) = (self.env.clock.monotonic(), self.random());
        self.sink = None;
        self.unsure = true;
        self.connection.fail(&self.settings, now, random);
        let (attempts, error) = (self.connection.attempts, Some(error.to_string()));
        groups.iter().for_each(|&at| self.progress.set_outcome(at, attempts, error.clone()));
        self.progress.set_connection(ConnectionStatus { attempts, until: self.connection.until, error });
    }

    fn back_off(&mut self, groups: &BTreeSet<usize>, error: &str) {
        let now = self.env.clock.monotonic();
        for &at in groups {
            let random = self.random();
            let backoff = &mut self.groups[at].backoff;
            backoff.fail(&self.settings, now, random);
            self.progress.set_outcome(at, backoff.attempts, Some(error.into()));
            if let Some(until) = backoff.until {
                let held = self.groups[at].held;
                let phase = if held { Phase::Held { until } } else { Phase::BackingOff { until } };
                self.progress.set_phase(at, phase);
            }
        }
    }

    pub(super) fn stop(&mut self, groups: &BTreeSet<usize>, reason: StopReason, what: &str) {
        for &at in groups {
            self.groups[at].stopped = true;
            self.progress.set_stopped(at, reason, what.into());
        }
    }

    pub(super) fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        self.env.random.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// Sends a landing: one call of the sink, and nothing before it or behind it but the bugs that a test plants.
fn send(
    sink: &mut dyn Sink,
    landing: &mut Landing,
    log: &dyn Log,
    progress: &Progress,
) -> Result<(), SinkError> {
    let without_lanes = |landing: &Landing| Landing { lanes: Vec::new(), ..landing.clone() };
    if planted(Bug::TwoTransactions) {
        drop(sink.land(&without_lanes(landing)));
        landing.ops.clear();
    }
    if landing.ops.contains(&LandingOp::Clear) && planted(Bug::ClearOutside) {
        drop(sink.land(&without_lanes(landing)));
        landing.ops.clear();
    }
    if planted(Bug::TrimWhenSent) {
        landing.lanes.iter().for_each(|step| log.landed(step.lane, step.to.0));
    }
    if planted(Bug::LandedBeforeCommit) {
        let to = landing.lanes.iter().map(|step| (step.lane, step.to.0));
        progress.publish_landed(&to.collect::<Vec<_>>());
    }
    let landed = sink.land(landing);
    if planted(Bug::UnknownAppliedAgain) && matches!(landed, Err(SinkError::Unknown(_))) {
        drop(sink.land(&without_lanes(landing)));
    }
    landed
}
