//! Deletes that the database carries on to other tables: once one has landed, the rows it may have changed are let go.
//! Until then they are served as they were: what a cascade does is known to the database alone.

use std::collections::HashMap;

use crate::buffer::cache::Cache;
use crate::model::row::{RowName, decode};
use crate::model::{Catalogue, LaneId, Position};
use crate::sync::Mutex;

/// How many deletes are remembered one by one; beyond, the older ones of a lane are waited for together.
const DELETES_MAX: usize = 1024;

/// The deletes that have not landed, in tables that cascading foreign keys refer to.
pub(super) struct Cascades {
    /// For each table that is referred to: the tables whose rows a delete there changes.
    dependents: HashMap<String, Vec<String>>,
    waiting: Mutex<Vec<(LaneId, Position, String)>>,
}

impl Cascades {
    /// The cascades of a catalogue.
    pub(super) fn new(catalogue: &Catalogue) -> Cascades {
        let mut direct: HashMap<String, Vec<String>> = HashMap::new();
        for table in catalogue.tables() {
            for reference in table.references.iter().filter(|reference| reference.cascades) {
                direct.entry(reference.table.clone()).or_default().push(table.name.to_string());
            }
        }
        let dependents = direct.keys().map(|table| (table.clone(), all_behind(&direct, table))).collect();
        Cascades { dependents, waiting: Mutex::default() }
    }

    /// Says that a row of `table` is deleted at a position of its lane.
    pub(super) fn deleted(&self, table: &str, lane: LaneId, position: Position) {
        if !self.dependents.contains_key(table) {
            return;
        }
        let mut waiting = self.waiting.lock();
        if waiting.len() >= DELETES_MAX
            && let Some(last) =
                waiting.iter_mut().rev().find(|(have, _, same)| *have == lane && same == table)
        {
            last.1 = position;
            return;
        }
        waiting.push((lane, position, table.to_owned()));
    }

    /// Whether a delete has landed whose dependents are still served as they were.
    pub(super) fn is_behind(&self, landed: impl Fn(LaneId) -> Position) -> bool {
        self.waiting.lock().iter().any(|(lane, position, _)| landed(*lane) >= *position)
    }

    /// Lets the rows go that deletes may have changed which have landed.
    pub(super) fn landed(&self, cache: &Cache, landed: impl Fn(LaneId) -> Position) {
        let mut changed: Vec<&String> = Vec::new();
        let mut waiting = self.waiting.lock();
        waiting.retain(|(lane, position, table)| {
            let over = landed(*lane) >= *position;
            if over {
                changed.extend(self.dependents.get(table).into_iter().flatten());
            }
            !over
        });
        if changed.is_empty() {
            return;
        }
        // Rows that are not here may have changed too. Before the deletes count as seen to: see `is_behind`.
        cache.watches().all_changed();
        drop(waiting);
        changed.sort();
        changed.dedup();
        let concerns = |row: &[u8]| match decode(row) {
            Ok(RowName::Table { table, .. }) => changed.iter().any(|name| *name == table),
            _ => false,
        };
        for shard in 0..cache.shards() {
            cache.lock(shard).forget(cache, concerns);
        }
    }
}

/// All tables that a delete in `table` can reach.
fn all_behind(direct: &HashMap<String, Vec<String>>, table: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = vec![table];
    while let Some(table) = open.pop() {
        for next in direct.get(table).into_iter().flatten() {
            if !found.contains(next) {
                found.push(next.clone());
                open.push(next);
            }
        }
    }
    found
}
