//! What the lander has done, in numbers that only grow. Counted once for each batch that is known to have
//! committed, however its outcome became known.

use crate::error::SinkError;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Counters of a lander.
#[derive(Debug, Default)]
pub struct Counters {
    batches: AtomicU64,
    rows: AtomicU64,
    records: AtomicU64,
    changes: AtomicU64,
    unavailable: AtomicU64,
    busy: AtomicU64,
    unknown: AtomicU64,
    fenced: AtomicU64,
    refused: AtomicU64,
    other: AtomicU64,
    last_batch_rows: AtomicU64,
    last_batch_ms: AtomicU64,
}

/// The counters at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Batches committed.
    pub batches: u64,
    /// Rows and events written by them.
    pub rows: u64,
    /// Log records in them; a record of several lanes counts once.
    pub records: u64,
    /// Changes in them before merging. `changes / rows` is the coalescing ratio.
    pub changes: u64,
    /// Failures because the database was not available.
    pub unavailable: u64,
    /// Failures because something was in the way.
    pub busy: u64,
    /// Commits whose outcome was not known at once.
    pub unknown: u64,
    /// Landings that found a lane moved.
    pub fenced: u64,
    /// Landings that the database refused.
    pub refused: u64,
    /// Failures of other kinds.
    pub other: u64,
    /// Rows and events of the last batch.
    pub last_batch_rows: u64,
    /// How long the last batch took to land.
    pub last_batch_ms: u64,
}

/// What one batch adds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BatchCounts {
    pub(super) rows: u64,
    pub(super) records: u64,
    pub(super) changes: u64,
    pub(super) ms: u64,
}

impl Counters {
    /// The numbers now. Each is exact; together they may be of slightly different instants.
    pub fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            batches: read(&self.batches),
            rows: read(&self.rows),
            records: read(&self.records),
            changes: read(&self.changes),
            unavailable: read(&self.unavailable),
            busy: read(&self.busy),
            unknown: read(&self.unknown),
            fenced: read(&self.fenced),
            refused: read(&self.refused),
            other: read(&self.other),
            last_batch_rows: read(&self.last_batch_rows),
            last_batch_ms: read(&self.last_batch_ms),
        }
    }

    pub(super) fn batch(&self, batch: BatchCounts) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(batch.rows, Ordering::Relaxed);
        self.records.fetch_add(batch.records, Ordering::Relaxed);
        self.changes.fetch_add(batch.changes, Ordering::Relaxed);
        self.last_batch_rows.store(batch.rows, Ordering::Relaxed);
        self.last_batch_ms.store(batch.ms, Ordering::Relaxed);
    }

    pub(super) fn failure(&self, error: &SinkError) {
        let counter = match error {
            SinkError::Unavailable(_) => &self.unavailable,
            SinkError::Busy(_) => &self.busy,
            SinkError::Unknown(_) => &self.unknown,
            SinkError::Fenced { .. } => &self.fenced,
            SinkError::Refused { .. } => &self.refused,
            SinkError::ForeignLineage { .. }
            | SinkError::LaneMissing { .. }
            | SinkError::OtherStart { .. }
            | SinkError::WrongDatabase { .. }
            | SinkError::Unusable(_) => &self.other,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
