//! The lanes' rows of a database in memory, and its incidents: what a real one keeps in `landfall_lane` and
//! `landfall_incident`. A refused call changes nothing.

use std::collections::BTreeMap;

use crate::error::SinkError;
use crate::model::{Anchor, Incident, LaneId, LaneRow, Owner, Start, Watermark};
use crate::sink::parts::{check_lineage, taken_over};
use crate::sink::{Adopted, Landing};

/// Every lane's one row.
#[derive(Default)]
pub(super) struct Lanes(BTreeMap<LaneId, LaneRow>);

impl Lanes {
    pub(super) fn row(&self, lane: LaneId) -> Option<LaneRow> {
        self.0.get(&lane).copied()
    }

    pub(super) fn ids(&self) -> Vec<LaneId> {
        self.0.keys().copied().collect()
    }

    pub(super) fn create(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError> {
        for lane in lanes {
            if let Some(found) = self.0.get(lane) {
                check_lineage(*lane, Some(found.watermark.lineage), &owner.lineage)?;
            }
        }
        let watermark = Watermark { lineage: owner.lineage, epoch: 0, position: 0, anchor: Anchor::START };
        for lane in lanes {
            self.0.entry(*lane).or_insert(LaneRow { watermark, start: Start::default() });
        }
        Ok(())
    }

    pub(super) fn take_over(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError> {
        let taken = lanes
            .iter()
            .map(|&lane| Ok((lane, taken_over(lane, self.0.get(&lane), owner)?)))
            .collect::<Result<Vec<_>, SinkError>>()?;
        self.0.extend(taken.iter().copied());
        Ok(taken.into_iter().map(|(_, row)| row.watermark).collect())
    }

    /// Whether each lane of the landing is where the landing begins.
    pub(super) fn compare(&self, landing: &Landing) -> Result<(), SinkError> {
        for step in &landing.lanes {
            let expected = Watermark {
                lineage: landing.lineage,
                epoch: step.epoch,
                position: step.from.0,
                anchor: step.from.1,
            };
            if self.0.get(&step.lane).map(|row| row.watermark) != Some(expected) {
                return Err(SinkError::Fenced { lane: step.lane });
            }
        }
        Ok(())
    }

    pub(super) fn advance(&mut self, landing: &Landing) {
        for step in &landing.lanes {
            if let Some(row) = self.0.get_mut(&step.lane) {
                (row.watermark.position, row.watermark.anchor) = step.to;
            }
        }
    }

    pub(super) fn adopt(&mut self, lanes: &[Adopted]) -> Result<(), SinkError> {
        if let Some(moved) = lanes.iter().find(|lane| self.row(lane.lane) != lane.found) {
            return Err(SinkError::Fenced { lane: moved.lane });
        }
        self.0.extend(lanes.iter().map(|lane| (lane.lane, lane.becomes)));
        Ok(())
    }
}

/// Keeps incidents by their id.
pub(super) fn keep(kept: &mut Vec<Incident>, incidents: &[Incident]) {
    for incident in incidents {
        match kept.iter_mut().find(|have| have.id == incident.id) {
            Some(have) => have.clone_from(incident),
            None => kept.push(incident.clone()),
        }
    }
}
