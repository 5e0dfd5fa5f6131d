//! Lands a batch that was refused without the rows that are guilty of it, and keeps the dead letters in step.
//! It must never park before the database has shown that it takes a landing at all.

use std::time::Duration;

use super::Lander;
use super::batch::{Attempt, Batch};
use super::dead_letter::{Parked, Parted, Verdict, all_refused, judge, part};
use super::pass::Failure;
use super::plan::Plan;
use super::progress::ParkedNow;
use crate::error::SinkError;
use crate::model::Reason;
use crate::sink::{LaneStep, LetterStep, RefusedOp};

/// How many letters are read at once.
const LETTERS_AT_ONCE: usize = 1000;
/// Why a whole record is parked whose rows are refused only together.
const TOGETHER: &str = "together";

impl Lander {
    /// Lands what the database takes of a batch, and parks the rest.
    pub(super) fn land_what_is_taken(&mut self, batch: Batch) -> Result<(), Failure> {
        let Batch { plan, mut attempt } = batch;
        self.probe(&attempt)?;
        let refused = self.refused_ops(&plan, &attempt)?;
        attempt.isolated = true;
        let parted = self.judged(&plan, &refused, &mut attempt)?;
        let (steps, groups) = (attempt.steps.clone(), attempt.groups.clone());
        let (counts, changes) = (attempt.counts, attempt.changes.clone());
        match self.commit(parted, attempt) {
            // One record, and only the COMMIT refuses it: nothing tells which of its rows is guilty.
            Err(Failure::Landing { error: SinkError::Refused { table, reason }, records: 1, .. }) => {
                self.attempt = None;
                let class = TOGETHER.into();
                let reason = Reason { table: table.into(), class, text: reason.into() };
                let refused = all_refused(&plan, &reason);
                let parked = Vec::new();
                let mut attempt =
                    Attempt { steps, groups, counts, changes, parked, isolated: true, streak: None };
                let parted = self.judged(&plan, &refused, &mut attempt)?;
                self.commit(parted, attempt)
            }
            outcome => outcome,
        }
    }

    /// Rewrites the rows of the lanes unchanged. What fails here has nothing to do with the rows of the batch.
    fn probe(&mut self, attempt: &Attempt) -> Result<(), Failure> {
        let still = |step: &LaneStep| LaneStep { to: step.from, ..*step };
        let mut landing = self.landing(attempt, Vec::new(), Vec::new(), true);
        landing.lanes = attempt.steps.iter().map(still).collect();
        let Some(sink) = &mut self.sink else { return Err(not_connected()) };
        sink.land(&landing).map_err(|error| failed(error, attempt))
    }

    fn refused_ops(&mut self, plan: &Plan, attempt: &Attempt) -> Result<Vec<RefusedOp>, Failure> {
        let landing = self.landing(attempt, plan.ops.clone(), Vec::new(), plan.ordered);
        let Some(sink) = &mut self.sink else { return Err(not_connected()) };
        sink.isolate(&landing).map_err(|error| failed(error, attempt))
    }

    /// The plan without its refused operations, unless they are too many.
    fn judged(
        &mut self,
        plan: &Plan,
        refused: &[RefusedOp],
        attempt: &mut Attempt,
    ) -> Result<Parted, Failure> {
        let parted = part(plan.clone(), refused, self.env.clock.unix_ms());
        let of_groups =
            |test: fn(&super::Group) -> bool| attempt.groups.iter().any(|&at| test(&self.groups[at]));
        let anyway = of_groups(|group| group.parks_anyway);
        let streak = attempt.groups.iter().find_map(|&at| self.groups[at].streak.clone());
        let none = Parked::default();
        let parked = self.parked.as_ref().unwrap_or(&none);
        match judge(&self.settings, plan, refused, &parted, (parked, &streak, anyway)) {
            Verdict::Park(streak) => {
                // It counts once this has landed: a landing that fails is judged anew.
                attempt.streak = streak;
                Ok(parted)
            }
            Verdict::Hold(what) => Err(Failure::Hold { groups: attempt.groups.clone(), what }),
        }
    }

    /// Reads the dead letters, unless they are known.
    pub(super) fn read_letters(&mut self) -> Result<(), Failure> {
        if self.parked.is_some() {
            return Ok(());
        }
        let Some(sink) = &mut self.sink else { return Err(not_connected()) };
        let mut parked = Parked::default();
        let mut after = 0;
        loop {
            let page = sink.letters(after, LETTERS_AT_ONCE).map_err(Failure::Connection)?;
            let Some(last) = page.last() else { break };
            after = last.id;
            page.into_iter().for_each(|letter| parked.put(letter));
        }
        self.publish_letters(&parked);
        self.parked = Some(parked);
        Ok(())
    }

    /// Reads the letters at the start and after a take-over although nothing is to land, because `status` shows
    /// them. Whether it was tried.
    pub(super) fn needs_letters(&mut self, now: Duration) -> bool {
        let tries = self.parked.is_none()
            && !self.closing
            && self.connection.is_over(now)
            && self.groups.iter().any(|group| !group.stopped);
        if tries && let Err(failure) = self.connect() {
            self.fail(failure);
            if self.connection.is_over(now) {
                // What failed is no matter of the connection, and must be waited for as well.
                let random = self.random();
                self.connection.fail(&self.settings, now, random);
            }
        }
        tries
    }

    /// The letters are as a landing has left them.
    pub(super) fn follow_letters(&mut self, steps: &[LetterStep]) {
        if steps.is_empty() {
            return;
        }
        if let Some(mut parked) = self.parked.take() {
            parked.follow(steps);
            self.publish_letters(&parked);
            self.parked = Some(parked);
        }
    }

    fn publish_letters(&self, parked: &Parked) {
        let (count, bytes, oldest_ms) = (parked.len(), parked.bytes(), parked.oldest_ms());
        self.progress.set_parked(ParkedNow { version: 0, count, bytes, oldest_ms });
    }

    /// A person has asked to go on: what was held is tried at once, and whatever is refused up to the cut is parked.
    pub(super) fn take_resumes(&mut self) {
        for at in 0..self.groups.len() {
            let resumes = self.progress.resumes(at);
            let group = &mut self.groups[at];
            if std::mem::replace(&mut group.resumes_seen, resumes) != resumes && group.held {
                group.parks_anyway = true;
                group.backoff.until = None;
            }
        }
    }
}

fn not_connected() -> Failure {
    Failure::Connection(SinkError::Unavailable("not connected".into()))
}

/// A look at the rows failed, and has written nothing. No smaller batch would help.
fn failed(error: SinkError, attempt: &Attempt) -> Failure {
    Failure::Landing { error, groups: attempt.groups.clone(), records: 1, isolated: true }
}
