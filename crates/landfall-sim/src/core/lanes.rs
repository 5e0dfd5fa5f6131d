//! A committed state of the simulated database, and what its lanes' rows allow. A refused call changes nothing.

use std::collections::BTreeMap;

use landfall::error::SinkError;
use landfall::model::{Anchor, LaneId, LaneRow, Letter, LetterKey, Owner, Start, Watermark};
use landfall::sink::{Adopted, Landing, LetterStep};

use super::history::Rows;

/// A committed state.
#[derive(Clone, Default)]
pub(super) struct Snapshot {
    pub(super) rows: Rows,
    pub(super) lanes: BTreeMap<LaneId, Watermark>,
    pub(super) letters: BTreeMap<LetterKey, Letter>,
    last_letter: u64,
    /// Which start took each lane over last.
    starts: BTreeMap<LaneId, Start>,
}

impl Snapshot {
    /// What readers have to see: the rows with what their dead letters owe them.
    pub(super) fn view(&self) -> Rows {
        let mut view = self.rows.clone();
        self.letters.values().for_each(|letter| view.apply(&letter.change));
        view
    }

    pub(super) fn write_letter(&mut self, step: &LetterStep) {
        match step {
            LetterStep::Park(letter) => {
                let known = self.letters.get(&letter.key).map(|known| known.id);
                let id = known.unwrap_or(self.last_letter + 1);
                self.last_letter = self.last_letter.max(id);
                self.letters.insert(letter.key.clone(), Letter { id, ..letter.clone() });
            }
            LetterStep::Remove(key) => drop(self.letters.remove(key)),
        }
    }

    pub(super) fn letters_after(&self, after: u64, most: usize) -> Vec<Letter> {
        let mut found: Vec<Letter> =
            self.letters.values().filter(|letter| letter.id > after).cloned().collect();
        found.sort_by_key(|letter| letter.id);
        found.truncate(most);
        found
    }

    pub(super) fn lane_row(&self, lane: LaneId) -> Option<LaneRow> {
        let watermark = *self.lanes.get(&lane)?;
        Some(LaneRow { watermark, start: self.starts.get(&lane).copied().unwrap_or_default() })
    }

    pub(super) fn create_lanes(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError> {
        for lane in lanes {
            if let Some(found) = self.lanes.get(lane) {
                check_lineage(*lane, found, owner)?;
            }
        }
        let fresh = Watermark { lineage: owner.lineage, epoch: 0, position: 0, anchor: Anchor::START };
        for lane in lanes {
            self.lanes.entry(*lane).or_insert(fresh);
        }
        Ok(())
    }

    pub(super) fn take_over(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError> {
        for &lane in lanes {
            let row = self.lane_row(lane).ok_or(SinkError::LaneMissing { lane })?;
            check_lineage(lane, &row.watermark, owner)?;
            if !owner.follows(&row.start) {
                let (found, ours) = (row.start.boot, owner.start.boot);
                return Err(SinkError::OtherStart { lane, found, ours });
            }
        }
        let mut taken = Vec::new();
        for lane in lanes {
            let Some(row) = self.lanes.get_mut(lane) else { continue };
            row.epoch += 1;
            taken.push(*row);
            self.starts.insert(*lane, owner.start);
        }
        Ok(taken)
    }

    pub(super) fn adopt(&mut self, lanes: &[Adopted]) -> Result<(), SinkError> {
        if let Some(moved) = lanes.iter().find(|lane| self.lane_row(lane.lane) != lane.found) {
            return Err(SinkError::Fenced { lane: moved.lane });
        }
        for Adopted { lane, becomes, .. } in lanes {
            self.lanes.insert(*lane, becomes.watermark);
            self.starts.insert(*lane, becomes.start);
        }
        Ok(())
    }

    /// The first statement of a landing.
    pub(super) fn compare_and_set(&mut self, landing: &Landing) -> Result<(), SinkError> {
        for step in &landing.lanes {
            let expected = Watermark {
                lineage: landing.lineage,
                epoch: step.epoch,
                position: step.from.0,
                anchor: step.from.1,
            };
            match self.lanes.get_mut(&step.lane) {
                Some(row) if *row == expected => (row.position, row.anchor) = step.to,
                _ => return Err(SinkError::Fenced { lane: step.lane }),
            }
        }
        Ok(())
    }
}

fn check_lineage(lane: LaneId, found: &Watermark, owner: &Owner) -> Result<(), SinkError> {
    let (found, ours) = (found.lineage, owner.lineage);
    if found == ours { Ok(()) } else { Err(SinkError::ForeignLineage { lane, found, ours }) }
}
