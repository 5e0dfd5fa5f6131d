//! Carries the log into the database: batched, merged, in order, exactly once.
//! It knows neither cache nor engine; only numbers ([`Progress`]) travel back, and no row lands without its
//! lane's watermark in the same transaction.
//!
//! # How a turn goes
//!
//! [`Lander::turn`] does one step and never sleeps; [`Lander::run`] calls it in a loop on a thread of its own.
//!
//! 1. *Look* (`trigger`): what is owed, how old it is, who asked for a flush. If a landing is due, every idle
//!    group that owes something starts.
//! 2. *Choose* (`set`): the next group in turn that can land, with the groups that its next record needs.
//! 3. *Cut*: each group without an outstanding cut is cut; the cut is published and the log made durable up to
//!    it. Only durable records land.
//! 4. *Gather* (`batch`, `plan`): records are read in their total order, checked against the chained hash, and
//!    merged until the batch is full, the cut is reached or a record needs a group that is not here.
//! 5. *Land*: one transaction moves the rows and each lane's watermark.
//! 6. *Publish*: when every lane of a group has reached its cut, and only then, landed moves to the cut.
//!
//! # What is true after a failure (`retry`)
//!
//! Either nothing was written, or a take-over tells what was. A take-over asks for all lanes at once, because a
//! database that lost commits lost them for idle lanes too. A published cut stays where it is until the lanes
//! reach it. A lane whose database and log tell different histories is stopped and never overwritten. A group that landed
//! again what was lost is taken over once more, so that loads can tell the database that has it from one that lacks it.
//!
//! # What the database refuses (`park`, `dead_letter`)
//!
//! After a few refusals of a batch its rows are tried one by one, and the guilty ones are parked: what they are owed
//! goes to the table of dead letters in the transaction that moves the watermark, the rest lands. A later change of a
//! parked row is tried together with its letter. The lander knows all letters: it reads them after each take-over
//! and follows its own landings. When most of a batch is refused for one reason, or the letters are at their bound,
//! nothing is parked and the group is held.

mod batch;
mod choose;
mod counters;
mod dead_letter;
mod incidents;
mod join;
pub mod notes;
mod open;
mod park;
mod pass;
mod plan;
mod progress;
mod retry;
mod set;
mod settings;
mod start;
mod take_over;
mod trigger;
mod watch;

#[cfg(test)]
mod fakes;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

pub use counters::{Counters, Counts};
pub use incidents::Incidents;
pub use open::{LanderParts, LaneNote, OpenError, Opened, RETIRED};
pub use progress::status::{ConnectionStatus, GroupStatus, Phase, StopReason, UnknownGroup, Waited};
pub use progress::{ParkedNow, Progress, Subscriber};
pub use settings::LanderSettings;

pub(crate) use choose::awaits_lanes_that_were_left;
pub(crate) use take_over::anchor_of;

use batch::Attempt;
use choose::Choice;
use dead_letter::{Parked, Streak};
use join::Alone;
use plan::Rules;
use retry::{Backoff, Mark};
use trigger::{Decision, Pending};

use crate::buffer::log::{Address, Log};
use crate::env::Env;
use crate::model::{Epoch, LaneId, Lineage, Owner, Position};
use crate::sink::{Database, LandingContext, Sink};

/// What a turn asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Something was done; there may be more.
    Again,
    /// Nothing can be done before one of these.
    Wait {
        /// A time on the monotonic clock; none: time alone changes nothing.
        until: Option<Duration>,
        /// A count of accepted changes ([`Progress::accepted`], all lanes together).
        wake_at_changes: u64,
    },
    /// A requested stop is complete.
    Ended,
}

/// What a group still owed when the lander ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The group.
    pub group: String,
    /// Records accepted and not landed; a record of several lanes counts once a lane.
    pub records: u64,
    /// Why, as far as an error or a pause is the reason.
    pub reason: Option<String>,
}

/// Lands all groups of a log into one database, one transaction at a time.
pub struct Lander {
    log: Arc<dyn Log>,
    database: Arc<dyn Database>,
    context: LandingContext,
    env: Env,
    settings: LanderSettings,
    progress: Arc<Progress>,
    lineage: Lineage,
    /// Who lands: this start, and those that it may follow.
    owner: Owner,
    incidents: Arc<Incidents>,
    /// How far the lanes that have a row were known to have landed at the start.
    noted: HashMap<LaneId, Position>,
    /// When the database was looked at last.
    looked: Duration,
    rules: Rules,
    lanes: BTreeMap<LaneId, Lane>,
    groups: Vec<Group>,
    /// The group of the lanes that no table uses any more; nothing else starts before it has landed.
    retired: Option<usize>,
    /// The groups that rows of those lanes may be in now. They land together with it, in the order of the log: a row that
    /// came back to a lane where older changes of it wait has its newer ones in a lane that it has left.
    relatives: BTreeSet<usize>,
    sink: Option<Box<dyn Sink>>,
    /// The dead letters; none: they are to be read, because a take-over may have found others.
    parked: Option<Parked>,
    connection: Backoff,
    /// A take-over has to tell where the lanes are before anything lands.
    unsure: bool,
    /// It was opened without the database, and what was served since has to be compared with it.
    alone: Option<Alone>,
    /// The landing whose outcome a take-over has to tell.
    attempt: Option<Attempt>,
    /// The group that is looked at first in the next turn.
    next: usize,
    /// Since when something waits for its trigger. Beside the records' own times, because those come from a
    /// clock that may jump.
    pending_since: Option<Duration>,
    closing: bool,
}

/// A lane as this lander knows it.
#[derive(Debug)]
struct Lane {
    /// Whether its group has constraints.
    ordered: bool,
    group: usize,
    epoch: Epoch,
    /// Where the database is.
    at: Mark,
    /// The last published cut.
    cut: Position,
    /// The furthest that the database was known to be.
    highest: Position,
}

impl Lane {
    fn move_to(&mut self, mark: Mark) {
        self.at = mark;
        self.highest = self.highest.max(mark.position);
    }
}

/// A landing group as this lander knows it.
#[derive(Debug)]
struct Group {
    name: String,
    ordered: bool,
    lanes: Vec<LaneId>,
    /// The address of the outstanding cut.
    pass: Option<Address>,
    /// A landing is due; cleared by the cut.
    due: bool,
    /// All groups of the next record, when it belongs to several.
    joint: BTreeSet<usize>,
    backoff: Backoff,
    /// How often its batch was refused, in a row.
    refusals: u32,
    /// The rows of its next batch are tried one by one.
    isolates: bool,
    /// Lands at most so many records at once, while a refused record is searched.
    records_max: Option<usize>,
    /// Batch after batch is refused for one reason.
    streak: Streak,
    /// Nothing is parked before a person has acted or the database takes the rows.
    held: bool,
    /// Up to the outstanding cut whatever is refused is parked: a person has looked at it.
    parks_anyway: bool,
    /// The last request to resume that was seen.
    resumes_seen: u64,
    /// The last flush request that a cut has covered.
    flush_seen: u64,
    stopped: bool,
}

/// Says that nothing lands any more, also when a turn panics: nobody may wait for what cannot come.
struct Over(Arc<Progress>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.set_ended();
    }
}

impl Lander {
    /// The numbers of this lander.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// What a person has to know of.
    pub fn incidents(&self) -> &Arc<Incidents> {
        &self.incidents
    }

    /// Works until a stop is requested; returns what was left.
    pub fn run(mut self) -> Vec<Left> {
        let _over = Over(self.progress.clone());
        loop {
            match self.turn() {
                Turn::Again => {}
                Turn::Wait { until, wake_at_changes } => self.progress.sleep(until, wake_at_changes),
                Turn::Ended => return self.left(),
            }
        }
    }

    /// Does one step: at most one transaction. Blocks on the log and the database, never on time.
    pub fn turn(&mut self) -> Turn {
        let now = self.env.clock.monotonic();
        let stop_at = self.progress.stop_at();
        if stop_at.is_some() && !self.closing {
            self.begin_closing();
        }
        if stop_at.is_some_and(|deadline| now >= deadline) {
            return self.end();
        }
        self.take_resumes();
        if self.needs_letters(now) {
            return Turn::Again;
        }
        let seen = self.progress.changes_accepted();
        let decision = self.look(now);
        let choice = self.choose(now);
        if !matches!(choice, Choice::Land(_)) && self.watch(now) {
            return Turn::Again;
        }
        let until = match choice {
            Choice::Land(set) => {
                self.land_set(&set);
                return Turn::Again;
            }
            Choice::Later(until) => Some(until),
            Choice::Nothing if self.closing => return self.end(),
            Choice::Nothing => None,
        };
        let (within, changes) = match decision {
            // What the trigger started is not able to land now; further changes do not help it.
            Decision::Land => (None, u64::MAX),
            Decision::Wait { within, changes } => (within, changes),
        };
        // The letters are wanted for `status` as well, and the first attempt to read them may have failed.
        let letters = self.connection.until.filter(|_| self.parked.is_none());
        let until = [until, within.map(|within| now + within), stop_at, self.look_at(), letters];
        let until = until.into_iter().flatten().min();
        Turn::Wait { until, wake_at_changes: seen.saturating_add(changes) }
    }

    /// Lands at most so many records at once, so that a landing has many parts.
    #[cfg(feature = "simulation")]
    pub(crate) fn limit_batches(&mut self, records_max: usize) {
        self.settings.batch_records_max = records_max;
    }

    /// What each group owes now.
    pub fn left(&self) -> Vec<Left> {
        let statuses = self.progress.groups();
        let mut left = Vec::new();
        for (at, (group, status)) in self.groups.iter().zip(statuses).enumerate() {
            let records = group.lanes.iter().map(|&lane| self.log.owed_by(lane).records).sum();
            if records > 0 {
                let paused = self.progress.is_paused(at).then(|| "paused".to_string());
                left.push(Left { group: group.name.clone(), records, reason: status.error.or(paused) });
            }
        }
        left
    }

    /// The close gives everybody one more attempt at once.
    fn begin_closing(&mut self) {
        self.closing = true;
        self.connection.until = None;
        self.groups.iter_mut().for_each(|group| group.backoff.until = None);
    }

    fn end(&mut self) -> Turn {
        self.progress.set_ended();
        Turn::Ended
    }

    /// Finds what is owed, and marks the groups that are due.
    fn look(&mut self, now: Duration) -> Decision {
        let flush_requests = self.progress.flush_requests();
        let mut pending = Pending { closing: self.closing, ..Pending::default() };
        let mut waiting = Vec::new();
        let mut oldest_ms = u64::MAX;
        for at in 0..self.groups.len() {
            if self.groups[at].stopped || self.progress.is_paused(at) {
                pending.held = true;
                continue;
            }
            let (changes, since_ms) = self.owed(at);
            pending.owed += changes;
            let group = &mut self.groups[at];
            if group.pass.is_some() || group.due {
                // It lands as soon as it can, or it backs off: its further changes change nothing.
                pending.held = true;
                continue;
            }
            if changes == 0 {
                group.flush_seen = flush_requests;
                self.progress.set_phase(at, Phase::Idle);
                continue;
            }
            // Everything else waits for the retired lanes.
            group.due = self.retired == Some(at);
            pending.changes += changes;
            pending.flush |= flush_requests > group.flush_seen;
            oldest_ms = oldest_ms.min(since_ms);
            waiting.push(at);
        }
        if pending.changes == 0 {
            self.pending_since = None;
        } else {
            let since = *self.pending_since.get_or_insert(now);
            let by_records = Duration::from_millis(self.env.clock.unix_ms().saturating_sub(oldest_ms));
            pending.age = by_records.max(now - since);
        }
        let decision = trigger::decide(&self.settings, &pending);
        if decision == Decision::Land {
            self.pending_since = None;
            waiting.into_iter().for_each(|at| self.groups[at].due = true);
        }
        decision
    }

    /// The changes that a group owes, and since when (Unix milliseconds).
    fn owed(&self, group: usize) -> (u64, u64) {
        let (mut changes, mut oldest_ms) = (0, u64::MAX);
        for &lane in &self.groups[group].lanes {
            changes += self.progress.changes_owed(lane, || {
                let owed = self.log.owed_by(lane);
                if owed.records > 0 {
                    oldest_ms = oldest_ms.min(owed.oldest_ms);
                }
                owed.records
            });
        }
        (changes, oldest_ms)
    }
}
