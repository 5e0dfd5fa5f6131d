//! A committed state of the simulated database, and what its lanes' rows allow. A refused call changes nothing.

use std::collections::BTreeMap;

use landfall::error::SinkError;
use landfall::model::{Anchor, Incident, LaneId, LaneRow, Letter, LetterKey, Owner, Start, Watermark};
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
    pub(super) incidents: BTreeMap<[u8; 16], Incident>,
    pub(super) own: OwnTables,
}

/// Which of Landfall's own tables are there; all of them, unless it was said otherwise.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OwnTables {
    /// By how many versions they are behind: 1 has no numbers of letters, 2 no letters, 3 no identity and no
    /// incidents, and 4 nothing at all.
    behind: u8,
}

impl OwnTables {
    pub(super) fn behind(versions: u8) -> OwnTables {
        OwnTables { behind: versions }
    }

    pub(super) fn is_complete(self) -> bool {
        self.behind == 0
    }

    pub(super) fn complete(&mut self) {
        self.behind = 0;
    }

    pub(super) fn has_lanes(self) -> Result<(), SinkError> {
        self.has(4, "landfall_lane")
    }

    pub(super) fn has_identity(self) -> bool {
        self.behind < 3
    }

    pub(super) fn has_incidents(self) -> Result<(), SinkError> {
        self.has(3, "landfall_incident")
    }

    pub(super) fn has_letters(self) -> Result<(), SinkError> {
        self.has(2, "landfall_dead_letter")
    }

    fn has(self, since: u8, table: &str) -> Result<(), SinkError> {
        if self.behind < since { Ok(()) } else { Err(SinkError::Unusable(format!("no such table: {table}"))) }
    }
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

    pub(super) fn declare(&mut self, incidents: &[Incident]) -> Result<(), SinkError> {
        if !incidents.is_empty() {
            self.own.has_incidents()?;
        }
        self.incidents.extend(incidents.iter().map(|incident| (incident.id, incident.clone())));
        Ok(())
    }

    pub(super) fn create_lanes(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError> {
        self.own.has_lanes()?;
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
        self.own.has_lanes()?;
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

    /// A start of a copy takes all lanes over. It counts on from the same number, so its number is that of a start here.
    pub(super) fn take_away(&mut self) {
        for (lane, row) in &mut self.lanes {
            row.epoch += 1;
            let boot = self.starts.get(lane).map_or(1, |start| start.boot);
            self.starts.insert(*lane, Start { boot, run: [0xc0; 16] });
        }
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
