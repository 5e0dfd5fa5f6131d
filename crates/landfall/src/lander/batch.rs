//! Gathers the next batch of a landing set: reads the log in its total order, follows each lane's chained hash,
//! and plans what to write. It must never skip a record: a hole, a wrong hash or an unreadable body ends it
//! with an error that stops the groups.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::counters::BatchCounts;
use super::dead_letter::{Parked, Streak};
use super::pass::Failure;
use super::plan::{Origin, Plan, Planner};
use super::progress::status::StopReason;
use super::retry::Mark;
use super::{Lander, Lane};
use crate::buffer::log::{Address, Log, Record, Records, Safety};
use crate::env::planted::{Bug, planted};
use crate::model::codec::decode_body;
use crate::model::{Anchor, LaneId, Lineage, LoggedChange, Position};
use crate::sink::LaneStep;

/// What lands in one transaction.
pub(super) struct Batch {
    pub(super) plan: Plan,
    pub(super) attempt: Attempt,
}

/// How a landing moves its lanes, and what it counts for.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The lanes that move, sorted.
    pub(super) steps: Vec<LaneStep>,
    pub(super) groups: BTreeSet<usize>,
    pub(super) counts: BatchCounts,
    pub(super) changes: BTreeMap<LaneId, u64>,
    /// Where the changes were written that it parks.
    pub(super) parked: Vec<(LaneId, Position)>,
    /// Whether its database has taken its rows one by one.
    pub(super) isolated: bool,
    /// What its refusals add up to with those of the batches before; none when nothing was refused.
    pub(super) streak: Streak,
}

impl Attempt {
    /// Where this landing moves a lane, if it does.
    pub(super) fn to(&self, lane: LaneId) -> Option<Mark> {
        let step = self.steps.iter().find(|step| step.lane == lane)?;
        Some(Mark { position: step.to.0, anchor: step.to.1 })
    }
}

/// Why reading ended.
enum End {
    /// The batch is full.
    Full,
    /// Nothing is left up to the cut.
    Exhausted,
    /// The next record belongs to these groups, not all of which are here.
    Joint(BTreeSet<usize>),
}

/// What reading has found so far.
struct Reading<'a> {
    log: &'a dyn Log,
    lanes: &'a BTreeMap<LaneId, Lane>,
    set: &'a BTreeSet<usize>,
    lineage: Lineage,
    marks: BTreeMap<LaneId, Mark>,
    planner: Planner<'a>,
    counts: BatchCounts,
    changes: BTreeMap<LaneId, u64>,
    /// What it holds stands alone: what is asked of dead letters.
    sealed: bool,
}

impl Lander {
    /// The next batch of these groups, all of which have a cut. It moves no lane when nothing can land.
    /// With `traces` it notes the positions of the changes of each row.
    pub(super) fn gather(&mut self, set: &BTreeSet<usize>, traces: bool) -> Result<Batch, Failure> {
        let cut = set.iter().filter_map(|&at| self.groups[at].pass).min().unwrap_or(0);
        // Below the cut only when the log had no room up to there.
        let upto = cut.min(self.log.safe(Safety::to_land()));
        let records_max = set
            .iter()
            .filter_map(|&at| self.groups[at].records_max)
            .min()
            .unwrap_or(self.settings.batch_records_max);
        let stop_reading =
            self.env.clock.monotonic() + Duration::from_millis(self.settings.batch_read_ms_max);
        let none = Parked::default();
        let parked = self.parked.as_ref().unwrap_or(&none);
        let mut reading = Reading {
            log: &*self.log,
            lanes: &self.lanes,
            set,
            lineage: self.lineage,
            marks: self
                .lanes
                .iter()
                .filter(|(_, l)| set.contains(&l.group))
                .map(|(&id, l)| (id, l.at))
                .collect(),
            planner: Planner::new(&self.rules, &self.settings, parked, traces),
            counts: BatchCounts::default(),
            changes: BTreeMap::new(),
            sealed: false,
        };
        let after: Vec<_> = reading.marks.iter().map(|(&lane, mark)| (lane, mark.position)).collect();
        let failed = |error| Failure::Log { error, groups: set.clone() };
        let mut records = self.log.records(&after, upto).map_err(failed)?;
        let end = loop {
            // The first record is always taken: a batch of none would never end.
            let full = reading.sealed
                || reading.counts.records as usize >= records_max
                || !reading.planner.has_room()
                || (reading.counts.records > 0 && self.env.clock.monotonic() >= stop_reading);
            if full {
                break End::Full;
            }
            if let Some(end) = reading.next(&mut *records)? {
                break end;
            }
        };
        drop(records);
        reading.cross_to_cuts();
        let batch = reading.finish();
        self.check_end(set, upto, &end, &batch.attempt)?;
        if let End::Joint(groups) = end {
            for &at in set.intersection(&groups) {
                self.groups[at].joint.clone_from(&groups);
            }
        }
        Ok(batch)
    }

    /// The log has given every record up to the cut, and where the log's own chain is known it is ours.
    fn check_end(
        &self,
        set: &BTreeSet<usize>,
        upto: Address,
        end: &End,
        attempt: &Attempt,
    ) -> Result<(), Failure> {
        for (&id, lane) in self.lanes.iter().filter(|(_, lane)| set.contains(&lane.group)) {
            let mark = attempt.to(id).unwrap_or(lane.at);
            let complete =
                self.groups[lane.group].pass.is_none_or(|pass| pass > upto) || mark.position >= lane.cut;
            if matches!(end, End::Exhausted) && !complete {
                let what = format!("lane {id}: the log gave no record behind position {}", mark.position);
                return Err(stop(lane.group, what));
            }
            let head = self.log.head(id);
            if head.position == mark.position && head.position > 0 && head.anchor != mark.anchor {
                let what =
                    format!("lane {id}: log and lander disagree on the history up to {}", mark.position);
                return Err(stop(lane.group, what));
            }
        }
        Ok(())
    }
}

impl Reading<'_> {
    /// Takes the next record; says why when it did not.
    fn next(&mut self, records: &mut dyn Records) -> Result<Option<End>, Failure> {
        let groups = self.set;
        let read = records.next().map_err(|error| Failure::Log { error, groups: groups.clone() })?;
        let Some(record) = read else { return Ok(Some(End::Exhausted)) };
        let mut joint = BTreeSet::new();
        for (lane, _) in &record.lanes {
            let known = self.lanes.get(lane).map(|lane| lane.group);
            joint.insert(known.ok_or_else(|| self.stop(&record, "it belongs to a lane that is not known"))?);
        }
        if !joint.is_subset(self.set) {
            return Ok(Some(End::Joint(joint)));
        }
        let changes = decode_body(&record.body).map_err(|error| self.stop(&record, &error.to_string()))?;
        self.sealed = changes.iter().any(|(_, change)| match change {
            LoggedChange::Letter { .. } => true,
            LoggedChange::Clear => !planted(Bug::ClearNotAlone),
            LoggedChange::Row { .. } | LoggedChange::Append { .. } => false,
        });
        if self.sealed && self.counts.records > 0 {
            return Ok(Some(End::Full));
        }
        let landed = self.landed(&record);
        if !landed.is_empty() && landed.len() == record.lanes.len() {
            return Err(self.stop(&record, "it has landed before"));
        }
        self.follow(&record)?;
        self.plan(&record, changes, &landed)?;
        self.counts.records += 1;
        Ok(None)
    }

    /// Moves the record's lanes over it. Every lane has to be right before it, or behind it: where a person let the lanes of
    /// two copies of the log go on, one of them may have landed it in some lanes.
    fn follow(&mut self, record: &Record) -> Result<(), Failure> {
        let body_hash = Anchor::body_hash(&record.body);
        for &(lane, position) in &record.lanes {
            let Some(mark) = self.marks.get_mut(&lane) else {
                return Err(self.stop(record, "it belongs to a lane that is not known"));
            };
            if position <= mark.position {
                continue;
            }
            *mark = cross(self.log, lane, *mark, position - 1);
            if position != mark.position + 1 {
                return Err(self.stop(record, "the record before it is missing"));
            }
            *mark = Mark { position, anchor: mark.anchor.next(&self.lineage, lane, position, body_hash) };
        }
        Ok(())
    }

    /// Behind the last record of a lane a gap may lie, which nobody owes and the watermark passes all the same.
    fn cross_to_cuts(&mut self) {
        for (&id, mark) in &mut self.marks {
            let cut = self.lanes.get(&id).map_or(0, |lane| lane.cut);
            *mark = cross(self.log, id, *mark, cut);
        }
    }

    /// The lanes in which it has landed.
    fn landed(&self, record: &Record) -> Vec<LaneId> {
        let is_behind = |(lane, position): &&(LaneId, Position)| {
            self.marks.get(lane).is_some_and(|mark| *position <= mark.position)
        };
        record.lanes.iter().filter(is_behind).map(|(lane, _)| *lane).collect()
    }

    fn plan(
        &mut self,
        record: &Record,
        changes: Vec<(u8, LoggedChange)>,
        landed: &[LaneId],
    ) -> Result<(), Failure> {
        for (at, (number, change)) in changes.into_iter().enumerate() {
            let Some(&(lane, position)) = record.lanes.get(usize::from(number)) else {
                return Err(self.stop(record, "a change names a lane that the record does not have"));
            };
            if landed.contains(&lane) {
                continue;
            }
            let ordered = self.ordered(lane);
            // Where it has not landed its lane was just moved over it.
            let anchor = self.marks.get(&lane).map_or(Anchor::START, |mark| mark.anchor);
            self.planner.add(Origin { lane, position, anchor, number: at as u32 }, ordered, change);
            self.counts.changes += 1;
            *self.changes.entry(lane).or_default() += 1;
        }
        Ok(())
    }

    fn ordered(&self, lane: LaneId) -> bool {
        self.lanes.get(&lane).is_none_or(|lane| lane.ordered)
    }

    fn stop(&self, record: &Record, what: &str) -> Failure {
        let place = record.lanes.first().copied().unwrap_or((LaneId(0), 0));
        let groups = record.lanes.iter().filter_map(|(lane, _)| self.lanes.get(lane)).map(|lane| lane.group);
        Failure::Stop {
            groups: if record.lanes.is_empty() { self.set.clone() } else { groups.collect() },
            reason: StopReason::Diverged,
            what: format!("the log's record of lane {} at position {} cannot land: {what}", place.0, place.1),
        }
    }

    fn finish(self) -> Batch {
        let plan = self.planner.finish();
        let step = |(&id, mark): (&LaneId, &Mark)| {
            let lane = self.lanes.get(&id).filter(|lane| lane.at != *mark)?;
            if planted(Bug::OneLaneMoves) && self.marks.keys().next() != Some(&id) {
                return None;
            }
            Some(LaneStep {
                lane: id,
                epoch: lane.epoch,
                from: (lane.at.position, lane.at.anchor),
                to: (mark.position, mark.anchor),
            })
        };
        let steps: Vec<LaneStep> = self.marks.iter().filter_map(step).collect();
        let groups =
            steps.iter().filter_map(|step| self.lanes.get(&step.lane)).map(|lane| lane.group).collect();
        let counts = BatchCounts { rows: plan.ops.len() as u64, ..self.counts };
        let changes = self.changes;
        Batch {
            plan,
            attempt: Attempt {
                steps,
                groups,
                counts,
                changes,
                parked: Vec::new(),
                isolated: false,
                streak: None,
            },
        }
    }
}

/// Where a lane is once it has passed the gaps that lie before it, none of which may end above `upto`.
pub(super) fn cross(log: &dyn Log, lane: LaneId, mut mark: Mark, upto: Position) -> Mark {
    while mark.position < upto
        && let Some(gap) = log.gap_over(lane, mark.position).filter(|gap| gap.to.position <= upto)
    {
        mark = Mark { position: gap.to.position, anchor: gap.to.anchor };
    }
    mark
}

fn stop(group: usize, what: String) -> Failure {
    Failure::Stop { groups: BTreeSet::from([group]), reason: StopReason::Diverged, what }
}

#[cfg(test)]
mod tests;
