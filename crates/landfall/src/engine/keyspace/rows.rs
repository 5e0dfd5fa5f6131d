//! The steps of a walk over the rows of a table: dirty rows as the cache shows them, then dead letters, then the table itself.
//! It never believes a clean row of the cache where the database was asked, and never shows a row whose deletion is pending.
//!
//! # Why every row that stays is met
//!
//! - On the first leg every dirty row is told as the cache shows it. A row that is not dirty when its turn comes has
//!   landed: it is in the table, or only in a dead letter, which it leaves for the table alone. So letters come before the table.
//! - The table is read in the order of its primary key, which a row keeps as long as it is there, also in a database
//!   that lost commits and got them again. Dead letters get new ids then, so the walk begins anew.
//! - A page of the table, or of letters, is taken as a load is: it is not older than what was made clean before, neither of any lane of the
//!   table nor, asked under the lock of its shard, of the row itself. Of a dirty row what the cache shows counts.

use std::sync::Arc;

use super::cursor::Leg;
use super::{Next, Read, STEP_LETTERS, Told, Walk};
use crate::buffer::cache::{Entry, View};
use crate::engine::core::Core;
use crate::model::mapping::key_of;
use crate::model::row::{self, RowName};
use crate::model::{LaneId, Letter, RowKey, Table, Value};
use crate::sink::{KeyKind, SinkError, Source, StoredRows};

impl Core {
    /// Tells the dirty rows of the table that the cache holds, from the walk's place on.
    pub(super) fn step_rows_in_cache(&self, walk: &mut Walk, table: &Arc<Table>) -> Next {
        let Leg::Cache(from) = walk.leg else { return walk.go_on(self, None) };
        let now_ms = self.env.clock.unix_ms();
        let (mut unknown, mut met) = (Vec::new(), Vec::new());
        let of_table = RowKey::of_table(&table.name, &[]);
        let next = self.cache.walk(from, walk.step_rows(), |entry| {
            if !entry.is_dirty() || !entry.row.starts_with(of_table.as_bytes()) {
                return;
            }
            let Some(key) = key_in(table, &entry.row) else { return };
            walk.found.read_dirty = true;
            match told(entry, now_ms, false) {
                Told::There(_) => met.push(key),
                Told::Unknown => unknown.push((RowKey::from_bytes(&entry.row), entry.lane)),
                Told::Gone | Told::Nothing => {}
            }
        });
        if !unknown.is_empty() {
            return Next::Load(unknown);
        }
        self.tell_rows(walk, table, met);
        walk.go_on(self, Some(next.map_or(Leg::Letters(0), Leg::Cache)))
    }

    /// Reads a page of the table.
    pub(super) fn read_rows(&self, source: &mut Box<dyn Source>, walk: &Walk) -> Result<Read, SinkError> {
        let Some(table) = &walk.table else { return Ok(Read::Nothing) };
        let lanes = self.lanes.of_table(table);
        source.rows(table, walk.place.as_ref(), walk.step_rows(), lanes).map(Read::Rows)
    }

    /// Tells the rows that have dead letters.
    pub(super) fn tell_row_letters(&self, walk: &mut Walk, table: &Arc<Table>, letters: &[Letter]) -> Next {
        let (mut unknown, mut met) = (Vec::new(), Vec::new());
        for row in letters.iter().filter_map(|letter| letter.key.row()) {
            let Some(key) = key_in(table, row.as_bytes()) else { continue };
            match self.told_of_row(walk, row.as_bytes(), true, || true) {
                Some(Told::There(_)) => met.push(key),
                Some(Told::Gone) => {}
                _ => unknown.push((row.clone(), self.lanes.of_row(Some(table), row.as_bytes()))),
            }
        }
        if !unknown.is_empty() {
            return Next::Load(unknown);
        }
        self.tell_rows(walk, table, met);
        let more = letters.last().filter(|_| letters.len() == STEP_LETTERS);
        walk.go_on(self, Some(more.map_or(Leg::Stored(0), |last| Leg::Letters(last.id))))
    }

    /// Tells a page of the table.
    pub(super) fn tell_stored_rows(&self, walk: &mut Walk, stored: StoredRows) -> Next {
        let Some(table) = walk.table.clone() else { return Next::End };
        if let Some(next) = self.refused(walk, &stored.watermarks) {
            return next;
        }
        let table = &table;
        let lanes = self.lanes.of_table(table);
        let at = |lane: LaneId| {
            let number = lanes.iter().position(|have| *have == lane);
            number.and_then(|number| stored.watermarks.get(number)).map_or(0, |at| at.position)
        };
        let (mut unknown, mut met) = (Vec::new(), Vec::new());
        for found in &stored.rows {
            // No key leads to it, so a scan has no name for it: its key is no value of its column.
            if key_of(table, &found.key).is_none() {
                continue;
            }
            let row = RowKey::of_table(&table.name, &found.key);
            let lane = self.lanes.of_row(Some(table), row.as_bytes());
            let is_new = || at(lane) >= self.loads_from(lane);
            match self.told_of_row(walk, row.as_bytes(), found.is_parked, is_new) {
                // Let go since: what was read may be older than that.
                None => return Next::Wait(lane),
                Some(Told::There(_)) => met.push(found.key.clone()),
                Some(Told::Gone) => {}
                Some(Told::Nothing) if !found.is_parked => met.push(found.key.clone()),
                Some(Told::Unknown | Told::Nothing) => unknown.push((row, lane)),
            }
        }
        if !unknown.is_empty() {
            return Next::Load(unknown);
        }
        self.tell_rows(walk, table, met);
        walk.place = stored.last;
        let leg = walk.place.is_some().then_some(Leg::Stored(0));
        walk.go_on(self, leg)
    }

    fn tell_rows(&self, walk: &mut Walk, table: &Table, rows: Vec<Vec<Value>>) {
        for key in rows.iter().filter_map(|key| key_of(table, key)) {
            walk.tell(&key, KeyKind::Hash);
        }
    }

    /// What the cache makes of a row, as `told`; none when it leaves that to the database and `is_new`, asked under the
    /// shard's lock, says that what was read is too old to tell.
    fn told_of_row(
        &self,
        walk: &mut Walk,
        row: &[u8],
        is_parked: bool,
        is_new: impl FnOnce() -> bool,
    ) -> Option<Told> {
        let hash = self.cache.hash(row);
        let shard = self.cache.lock(self.cache.shard_of(hash));
        let told = match shard.find(hash, row).and_then(|at| shard.entry(at)) {
            Some(entry) => {
                walk.found.read_dirty |= entry.is_dirty();
                told(entry, self.env.clock.unix_ms(), is_parked)
            }
            None => Told::Nothing,
        };
        (!matches!(told, Told::Nothing) || is_new()).then_some(told)
    }
}

/// What a row of the cache tells. Of a clean row the database tells more, but for what its dead letter makes of it.
fn told(entry: &Entry, now_ms: u64, is_parked: bool) -> Told {
    match (entry.is_dirty(), is_parked) {
        (false, false) => return Told::Nothing,
        (false, true) if entry.expires_ms <= now_ms => return Told::Unknown,
        _ => {}
    }
    match &entry.view {
        View::Absent => Told::Gone,
        // What is owed to a row makes one, whatever the database has.
        View::Unknown(Some(_)) => Told::There(KeyKind::Hash),
        View::Unknown(None) => Told::Unknown,
        _ => Told::There(KeyKind::Hash),
    }
}

/// The primary key of a row of this table, from its identity.
fn key_in(table: &Table, identity: &[u8]) -> Option<Vec<Value>> {
    match row::decode(identity) {
        Ok(RowName::Table { table: name, key }) if name == &*table.name => Some(key),
        _ => None,
    }
}
