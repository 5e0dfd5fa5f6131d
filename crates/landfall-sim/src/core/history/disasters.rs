//! What a disaster leaves of the history: a log that is gone, records that are lost, and what goes on from a database.
//! It never decides whether that is allowed.

use std::collections::{BTreeMap, BTreeSet};

use landfall::model::{LaneId, Lineage, Position};

use super::{History, Rows};

impl History {
    /// The log is gone. The next one has to be another.
    pub(in crate::core) fn lose_log(&mut self) {
        self.lineage = None;
        self.order.clear();
        self.acks.clear();
        self.base.1.clear();
    }

    /// The log is an older copy. What it holds is meant again, and not what was appended in its place since: a lane in which
    /// both went the same way has the same anchors.
    pub(in crate::core) fn restore(&mut self, order: Vec<usize>) {
        order.iter().for_each(|number| self.relink(*number));
        self.order = order;
    }

    /// A log is opened; whether it is the same as before, or one that nobody has ever seen.
    pub(in crate::core) fn open_log(&mut self, lineage: Lineage) -> bool {
        let before = self.lineage.replace(lineage);
        before == Some(lineage) || self.lineages.insert(lineage)
    }

    /// Remembers what was acknowledged: a disaster begins, and some of it may be lost.
    pub(in crate::core) fn remember(&mut self) {
        let acknowledged = self.acks.iter().map(|(place, _)| *place).max().unwrap_or(0);
        self.remembered = self.order[..acknowledged.min(self.order.len())].to_vec();
    }

    /// The log that goes on has these lanes. The base may have more: of a log that had more and was given up.
    pub(in crate::core) fn goes_on_with(&mut self, lanes: &BTreeSet<LaneId>) {
        self.foreign = self.base.1.keys().filter(|lane| !lanes.contains(lane)).copied().collect();
    }

    /// Whether a gap that leads here only brings a lane to where the database had it already when the log had no such lane.
    pub(in crate::core) fn meets_foreign(&self, lane: LaneId, to: Position) -> bool {
        let has_lane = |number: &usize| self.records[*number].lanes.iter().any(|(of, _)| *of == lane);
        self.foreign.contains(&lane)
            && self.base.1.get(&lane) == Some(&to)
            && !self.order.iter().any(has_lane)
    }

    /// The lanes of acknowledged records that neither the log has nor the database, which is at `marks`.
    pub(in crate::core) fn lost_lanes(&self, marks: &BTreeMap<LaneId, Position>) -> BTreeSet<LaneId> {
        let kept: BTreeSet<usize> = self.order.iter().copied().collect();
        let lost = self.remembered.iter().filter(|number| !kept.contains(number));
        let places = lost.flat_map(|&number| &self.records[number].lanes);
        places
            .filter(|(lane, at)| marks.get(lane).is_none_or(|mark| mark < at))
            .map(|(lane, _)| *lane)
            .collect()
    }

    /// The history as it goes on from what the database holds: of `order` that is left which lies above `marks`.
    pub(in crate::core) fn rebased(&self, rows: Rows, marks: BTreeMap<LaneId, Position>) -> History {
        let landed = |(lane, at): &(LaneId, Position)| marks.get(lane).is_some_and(|mark| mark >= at);
        let (mut order, mut partly) = (Vec::new(), BTreeMap::new());
        let mut places = vec![0];
        for &number in &self.order {
            let lanes = &self.records[number].lanes;
            let done: Vec<LaneId> =
                lanes.iter().filter(|place| landed(place)).map(|(lane, _)| *lane).collect();
            if done.len() < lanes.len() {
                order.push(number);
                if !done.is_empty() {
                    partly.insert(number, done);
                }
            }
            places.push(order.len());
        }
        let mut acks = self.acks.clone();
        acks.iter_mut().for_each(|(place, _)| *place = places[(*place).min(places.len() - 1)]);
        let mut rebased = History { order, partly, acks, base: (rows, marks), ..self.clone() };
        rebased.fold();
        rebased
    }
}
