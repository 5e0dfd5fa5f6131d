//! Takes a row that was loaded from the database into the cache, unless the load is older than what the cache knows.
//! A load below the landed position is never cached, so a slow read cannot overwrite a newer write.

use crate::buffer::cache::owed::{InsideSpan, Rest};
use crate::buffer::cache::view::View;
use crate::buffer::cache::{Cache, Entry};
use crate::env::planted::{Bug, planted};
use crate::model::{LaneId, Name, Position, Value};

/// What became of a load.
#[derive(Debug, PartialEq, Eq)]
pub enum FillOutcome {
    /// The row's view is known now.
    Filled,
    /// The snapshot was older than the landed position, or of another lane: load again.
    Stale,
    /// The snapshot holds a part of what the row is owed: its [`Rest`] up to this position is needed.
    InPart {
        /// The position.
        upto: Position,
    },
}

/// Until when a loaded row is served without being loaded again, Unix milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Residency {
    /// The time of the load.
    pub now_ms: u64,
    /// For a row that exists.
    pub present_until_ms: u64,
    /// For a row that does not.
    pub absent_until_ms: u64,
}

/// Where a row was loaded from.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The lane whose watermark was read with the row: that of [`lane_to_load`].
    pub lane: LaneId,
    /// The watermark.
    pub watermark: Position,
    /// What the log has of the row behind the watermark, once that was asked for.
    pub rest: Option<Rest>,
    /// It is a stream without its entries, but perhaps for the last.
    pub only_head: bool,
}

/// The lane whose watermark tells what a snapshot holds of a row: where its last change waits, else `home`, where it is
/// written now. They differ while a lane that the row has left is on its way.
pub fn lane_to_load(cache: &Cache, row: &[u8], home: LaneId) -> LaneId {
    let hash = cache.hash(row);
    let shard = cache.lock(cache.shard_of(hash));
    lane_of(shard.find(hash, row).and_then(|at| shard.entry(at)), home)
}

fn lane_of(entry: Option<&Entry>, home: LaneId) -> LaneId {
    entry.filter(|entry| entry.is_dirty()).map_or(home, |entry| entry.lane)
}

/// Folds a loaded row with what it is owed. `landed` gives the published position of the snapshot's lane and is asked
/// under the shard's lock. A snapshot of another lane than the row's changes wait in is stale.
///
/// Why this is exact: whatever the lane owed this row above `landed` is in the entry, because dirty rows are pinned.
/// A snapshot at `watermark >= landed` holds everything up to `watermark`; the entry's spans above it are
/// applied, and of a span that the snapshot holds in part only what the log has behind `watermark`: the row was dirty
/// from the span's first change on, so no change of it is in the log and not in the span. A snapshot below `landed` may
/// lack a write whose entry was already let go, so it is stale.
pub fn fill(
    cache: &Cache,
    (hash, row, home): (u64, &[u8], LaneId),
    columns: Option<Vec<(Name, Value)>>,
    Snapshot { lane, watermark, rest, only_head }: Snapshot,
    landed: impl FnOnce() -> Position,
    residency: Residency,
) -> FillOutcome {
    let mut shard = cache.lock(cache.shard_of(hash));
    let place = shard.find(hash, row);
    let entry = place.and_then(|at| shard.entry(at));
    let published = landed();
    let is_old = watermark < published && !planted(Bug::OldLoadBelieved);
    if lane != lane_of(entry, home) || is_old {
        return FillOutcome::Stale;
    }
    if watermark > published && row.first() != Some(&0) {
        // Ahead of what was told: a delete that cascaded to this row may be in it.
        cache.watches().changed(hash);
    }
    let columns = match entry {
        // Somebody loaded it whole in the meantime.
        Some(entry) if only_head && !entry.view.is_unknown() => return FillOutcome::Filled,
        // Somebody wrote or loaded it whole in the meantime: that is newer.
        Some(entry) if !entry.view.is_unknown() && entry.is_dirty() && !planted(Bug::LoadOverwritesWrite) => {
            return FillOutcome::Filled;
        }
        Some(entry) => match &entry.view {
            View::Unknown(Some(owed)) => match owed.fold(columns, watermark, rest.as_ref()) {
                Ok(columns) => columns,
                Err(InsideSpan { last: Some(upto) }) => return FillOutcome::InPart { upto },
                Err(InsideSpan { last: None }) => return FillOutcome::Stale,
            },
            _ => columns,
        },
        None => columns,
    };
    let (view, expires_ms) = if row.first() == Some(&0) {
        match View::of_key_parts(columns.as_deref()) {
            // What is owed stays owed: it comes on top of the entries when they are loaded.
            (View::Stream(stream), expires_ms) if only_head => {
                let mut owed = match entry.map(|entry| &entry.view) {
                    Some(View::Unknown(Some(owed))) => owed.clone(),
                    _ => Box::default(),
                };
                owed.know_head(*stream.head());
                (View::Unknown(Some(owed)), expires_ms)
            }
            known => known,
        }
    } else {
        match columns {
            Some(columns) => (View::Row(columns.into()), residency.present_until_ms),
            None => (View::Absent, residency.absent_until_ms),
        }
    };
    shard.settle(cache, (hash, row, home), view, (expires_ms, residency.now_ms));
    FillOutcome::Filled
}
