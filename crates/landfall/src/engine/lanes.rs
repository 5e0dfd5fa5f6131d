//! Which lane a row or an event belongs to, as the lane map of the log and the catalogue's groups say.
//! The same row always gives the same lane; changing the number of lanes drains the old ones first.

use std::collections::HashMap;

use crate::buffer::log::LaneName;
use crate::env::planted::{Bug, planted};
use crate::model::group::KEY_VALUE_GROUP;
use crate::model::row::lane_hash;
use crate::model::{Group, LaneId, Table};

/// The lanes of every group.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes {
    key_value: Vec<LaneId>,
    tables: HashMap<String, Vec<LaneId>>,
    groups: Vec<(Group, Vec<LaneId>)>,
}

impl Lanes {
    /// The names of the lanes that `groups` need, in the order that [`Lanes::new`] takes their numbers.
    pub(super) fn names(groups: &[Group]) -> Vec<LaneName> {
        groups
            .iter()
            .flat_map(|group| (0..group.lanes).map(|index| LaneName { group: group.name.clone(), index }))
            .collect()
    }

    /// The lanes of `groups`, whose numbers come in the order of [`Lanes::names`].
    pub(super) fn new(groups: Vec<Group>, numbers: &[LaneId]) -> Lanes {
        let mut lanes = Lanes::default();
        let mut numbers = numbers.iter().copied();
        for group in groups {
            let own: Vec<LaneId> = numbers.by_ref().take(group.lanes as usize).collect();
            if group.name == KEY_VALUE_GROUP {
                lanes.key_value.clone_from(&own);
            }
            for table in &group.tables {
                lanes.tables.insert(table.clone(), own.clone());
            }
            lanes.groups.push((group, own));
        }
        lanes
    }

    /// The groups with their lanes.
    pub(super) fn groups(&self) -> &[(Group, Vec<LaneId>)] {
        &self.groups
    }

    /// The lanes of the key-value keys.
    pub(super) fn key_value(&self) -> &[LaneId] {
        &self.key_value
    }

    /// The lane of a row, from its identity.
    pub(super) fn of_row(&self, table: Option<&Table>, row: &[u8]) -> LaneId {
        let lanes = match table {
            None => &self.key_value,
            Some(_) if planted(Bug::LanesByRow) => &self.key_value,
            Some(table) => self.of_table(table),
        };
        choose(lanes, lane_hash(row))
    }

    /// The lane of an event whose origin is `seed`.
    pub(super) fn of_event(&self, table: &Table, seed: u64) -> LaneId {
        choose(self.of_table(table), seed)
    }

    /// The lanes of a table's rows and events.
    pub(super) fn of_table(&self, table: &Table) -> &[LaneId] {
        self.tables.get(&*table.name).map_or(&[], Vec::as_slice)
    }
}

fn choose(lanes: &[LaneId], hash: u64) -> LaneId {
    // Every table of the catalogue is in a group, and every group has a lane.
    lanes[(hash % lanes.len() as u64) as usize]
}
