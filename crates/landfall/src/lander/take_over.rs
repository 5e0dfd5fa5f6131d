//! Takes all lanes over and acts on what the database says: adopts what has landed, goes back where it lost
//! commits, and stops a lane whose history is another.
//! It must never move a watermark.

use std::collections::BTreeSet;

use super::batch::Attempt;
use super::pass::Failure;
use super::progress::status::StopReason;
use super::retry::{Mark, Verdict, landed_in_part, verdict};
use super::{Group, Lander};
use crate::buffer::log::{Log, LogError};
use crate::error::SinkError;
use crate::model::{Anchor, Epoch, IncidentKind, LaneId, Watermark};

/// The log's anchor at a position, if it still has it.
pub(crate) fn anchor_of(log: &dyn Log, lane: LaneId, position: u64) -> Result<Option<Anchor>, LogError> {
    if position == 0 {
        return Ok(Some(Anchor::START));
    }
    let head = log.head(lane);
    if head.position == position { Ok(Some(head.anchor)) } else { log.anchor_at(lane, position) }
}

impl Lander {
    /// Takes all lanes over, and tells loads from which epochs on they may believe what they read.
    pub(super) fn take_over_and_tell(&mut self) -> Result<(), Failure> {
        self.progress.take_over_begins();
        let taken = self.take_over();
        match &taken {
            Ok(()) => {
                self.tell_what_is_whole();
                self.progress.take_over_ended();
            }
            // It has changed nothing.
            Err(Failure::Connection(error)) if !error.is_transient() => self.progress.take_over_ended(),
            // Loads wait, so it is tried again although nothing is to land.
            Err(_) => self.parked = None,
        }
        taken
    }

    /// A group of which all has landed again that the database had lost is believed from a take-over behind that on: the last
    /// one may have given the epochs that the lanes had before.
    pub(super) fn believe_what_has_caught_up(&mut self) {
        let waits = |group: &Group| group.lanes.iter().any(|&lane| self.progress.whole_from(lane).is_none());
        let mut waiting = self.groups.iter().enumerate().filter(|(_, group)| !group.stopped && waits(group));
        if waiting.any(|(at, _)| self.is_whole(at)) {
            (self.unsure, self.parked) = (true, None);
        }
    }

    pub(super) fn tell_what_is_whole(&self) {
        for (at, group) in self.groups.iter().enumerate().filter(|(_, group)| !group.stopped) {
            let is_whole = self.is_whole(at);
            for id in &group.lanes {
                let epoch = self.lanes.get(id).map(|lane| lane.epoch);
                self.progress.set_whole_from(*id, epoch.filter(|_| is_whole));
            }
        }
    }

    /// Whether the database has all that it was known to have, of the lanes that rows of this group may have been in.
    fn is_whole(&self, group: usize) -> bool {
        let left = self.retired.filter(|_| self.relatives.contains(&group));
        let lanes = [Some(group), left].into_iter().flatten().flat_map(|at| &self.groups[at].lanes);
        lanes.filter_map(|id| self.lanes.get(id)).all(|lane| lane.at.position >= lane.highest)
    }

    /// Raises the epoch of every lane that is not stopped and settles the outstanding attempt.
    pub(super) fn take_over(&mut self) -> Result<(), Failure> {
        let lanes: Vec<LaneId> = self
            .lanes
            .iter()
            .filter(|(_, lane)| !self.groups[lane.group].stopped)
            .map(|(&id, _)| id)
            .collect();
        let Some(sink) = &mut self.sink else {
            return Err(Failure::Connection(SinkError::Unavailable("not connected".into())));
        };
        let watermarks = sink.take_over(&self.owner, &lanes).map_err(Failure::Connection)?;
        let mut found = Vec::with_capacity(lanes.len());
        for (id, watermark) in lanes.into_iter().zip(watermarks) {
            // Before anything can fail: an epoch that was raised and not noted would look like another owner's.
            self.note_epoch(id, watermark.epoch);
            found.push((id, watermark));
        }
        let found = found
            .into_iter()
            .map(|(id, watermark)| Ok((id, watermark, self.judge(id, &watermark)?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        let attempt = self.attempt.take();
        if let Some(attempt) = &attempt {
            self.settle(attempt, &found);
        }
        for (id, watermark, verdict) in found {
            self.adopt(id, &watermark, verdict)?;
        }
        Ok(())
    }

    fn note_epoch(&mut self, id: LaneId, epoch: Epoch) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.epoch = epoch;
            self.progress.set_epoch(id, epoch);
        }
    }

    fn judge(&self, id: LaneId, watermark: &Watermark) -> Result<Verdict, Failure> {
        let Some(lane) = self.lanes.get(&id) else { return Ok(Verdict::Unmoved) };
        let to = self.attempt.as_ref().and_then(|attempt| attempt.to(id));
        let found = Mark { position: watermark.position, anchor: watermark.anchor };
        let failed = |error| Failure::Log { error, groups: BTreeSet::from([lane.group]) };
        let anchor = anchor_of(&*self.log, id, found.position).map_err(failed)?;
        // As at a start: where this log lost records, it goes on behind those that the database has.
        let is_in_gap = || found.position < lane.at.position && self.gap_around(id, found.position).is_some();
        let anchor = anchor.or_else(|| is_in_gap().then_some(found.anchor));
        Ok(verdict(lane.at, to, found, self.log.head(id).position, anchor))
    }

    /// Counts the attempt if it landed. It cannot have landed in part.
    fn settle(&mut self, attempt: &Attempt, found: &[(LaneId, Watermark, Verdict)]) {
        let of = |id: LaneId| found.iter().find(|(lane, ..)| *lane == id).map(|(_, _, verdict)| *verdict);
        let verdicts: Vec<Verdict> = attempt.steps.iter().filter_map(|step| of(step.lane)).collect();
        if landed_in_part(verdicts.iter().copied()) {
            let what = "the database holds a part of a transaction; it does not keep its transactions whole";
            self.stop(&attempt.groups, StopReason::Diverged, what);
        } else if !verdicts.is_empty() && verdicts.iter().all(|verdict| *verdict == Verdict::Landed) {
            self.count(attempt);
            attempt.groups.iter().for_each(|&at| self.succeed(at));
        }
    }

    pub(super) fn count(&self, attempt: &Attempt) {
        self.progress.counters.batch(attempt.counts);
        self.progress.parked_at(&attempt.parked);
        for (&lane, &changes) in &attempt.changes {
            self.progress.changes_landed(lane, changes);
        }
    }

    fn adopt(&mut self, id: LaneId, watermark: &Watermark, verdict: Verdict) -> Result<(), Failure> {
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        let at = lane.group;
        if self.groups[at].stopped {
            return Ok(());
        }
        let mark = Mark { position: watermark.position, anchor: watermark.anchor };
        match verdict {
            Verdict::Unmoved => {}
            Verdict::Landed => lane.move_to(mark),
            Verdict::Ahead => {
                lane.move_to(mark);
                lane.cut = lane.cut.max(mark.position);
                self.progress.publish_cut(id, lane.cut);
                if self.groups[at].pass.is_none() {
                    self.log.landed(id, mark.position);
                    self.progress.publish_landed(&[(id, mark.position)]);
                }
            }
            Verdict::WentBack => self.go_back(id, mark)?,
            Verdict::Diverged(what) => {
                let what = format!(
                    "lane {id} at position {}: {what}. Nothing more lands there; stop the server and use the data directory and the database that belong together, or, if one of them is lost, run `landfall adopt`",
                    mark.position
                );
                let positions = (mark.position, self.log.head(id).position);
                self.incidents.declare(IncidentKind::Diverged, Some(id), positions, &what);
                self.stop(&BTreeSet::from([at]), StopReason::Diverged, &what);
            }
        }
        Ok(())
    }

    /// The database lost commits: the lane lands again from the log, if the log still has the records.
    fn go_back(&mut self, id: LaneId, mark: Mark) -> Result<(), Failure> {
        let lost = self.gap_around(id, mark.position);
        let declared = lost.map_or(Ok(()), |gap| self.declare_behind(id, gap.from.position, mark.position));
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        let at = lane.group;
        declared.map_err(|error| Failure::Log { error, groups: BTreeSet::from([at]) })?;
        match self.log.rewind(id, mark.position) {
            Ok(()) => {
                lane.at = mark;
                // What was known of the next record was known of a later one.
                self.groups[at].joint.clear();
                if self.progress.landed(id) > mark.position {
                    self.progress.publish_landed(&[(id, mark.position)]);
                }
                Ok(())
            }
            Err(LogError::Trimmed { .. }) => {
                let what = format!(
                    "the database went back to position {} of lane {id}, and the log no longer keeps what is \
                     missing there. Restore a newer state of the database, or, if there is none, stop the server and run `landfall adopt`",
                    mark.position
                );
                let missing = (mark.position + 1, self.progress.landed(id));
                self.incidents.declare(IncidentKind::DatabaseBehind, Some(id), missing, &what);
                self.stop(&BTreeSet::from([at]), StopReason::Diverged, &what);
                Ok(())
            }
            Err(error) => Err(Failure::Log { error, groups: BTreeSet::from([at]) }),
        }
    }
}
