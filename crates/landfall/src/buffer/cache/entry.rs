//! One row in a shard: its identity, its view, and where it stands between log and database.
//! Only the shard changes an entry, so that sizes, queues and lists always agree with it.

use smallvec::SmallVec;

use crate::buffer::cache::owed::Owed;
use crate::buffer::cache::shard::After;
use crate::buffer::cache::view::View;
use crate::model::{LaneId, Position};

/// A row's identity; a short one lies in the entry itself, which saves every lookup a step.
pub type RowBytes = SmallVec<[u8; 24]>;

/// A row in the cache.
#[derive(Debug)]
pub struct Entry {
    /// The identity.
    pub row: RowBytes,
    /// The lane of the row.
    pub lane: LaneId,
    /// The last write, or 0 when it was only loaded.
    pub position: Position,
    /// What reads see.
    pub view: View,
    /// For a key-value key: when it expires, Unix milliseconds. For a row of a table: until when it is served
    /// without being loaded again, while it is clean. 0: never.
    pub expires_ms: u64,
    /// The changes it is owed, while the view is not known.
    pub owed: Option<Box<Owed>>,
    /// Of a row of a table: a client has said until when it stays, so neither loads nor writes change `expires_ms`.
    pub(super) kept: bool,
    pub(super) reload: bool,
    pub(super) bytes: u32,
    pub(super) dirty: bool,
    pub(super) visited: bool,
    /// The number of the load that brought it, until who asked for it has read it; 0: none.
    pub(super) fresh: u32,
    pub(super) newer: u32,
    pub(super) older: u32,
}

/// What an entry costs besides what it points to: itself, its slot in the table, its place in a queue.
const ENTRY_BYTES: usize = std::mem::size_of::<Entry>() + 16;

/// So many loads of a shard a loaded row stays for whoever asked for it, whatever the shard holds.
const AWAITED_LOADS: u32 = 16;

impl Entry {
    /// Whether the row is a key-value key.
    pub fn is_key_value(&self) -> bool {
        self.row.first() == Some(&0)
    }

    /// What it holds of memory, in bytes: the estimate by which the cache evicts.
    pub fn held_bytes(&self) -> u64 {
        self.bytes.into()
    }

    /// Until when a client wants the row of a table to stay here, Unix milliseconds; 0: nobody said so.
    pub fn kept_until_ms(&self) -> u64 {
        if self.kept { self.expires_ms } else { 0 }
    }

    /// Whether it is a key-value key that is known to be there.
    pub(super) fn is_key(&self) -> bool {
        matches!(self.view, View::String(_) | View::Hash(_))
    }

    /// Whether the row has changes that have not landed, as far as the cache was told.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Whether somebody waits to read it. Who asked may need more rows of this shard at once, and would load them in
    /// turns for ever if each pushed out the one before; who asked may also have gone, so it is not for long.
    pub(super) fn is_awaited(&self, loads: u32) -> bool {
        self.fresh != 0 && loads.wrapping_sub(self.fresh) < AWAITED_LOADS
    }

    /// Takes a write that the log has at `position`.
    pub(super) fn take(&mut self, position: Position, cut: Position, after: After) {
        match after {
            After::Known(view, expires_ms) => {
                self.view.become_this(view);
                self.expires_ms = expires_ms;
                (self.owed, self.kept, self.reload) = (None, false, false);
            }
            After::Fields(fields, replace) => {
                if replace {
                    self.view = View::Absent;
                    self.expires_ms = 0;
                }
                self.view.set_fields(&fields);
            }
            After::Stale => self.reload = true,
            After::Expires(expires_ms) => self.expires_ms = expires_ms,
            After::Changed { change, until, reload } => {
                // A row that is written again and again is still loaded now and then: others change it too.
                let is_held = self.is_key_value() || self.kept;
                if !is_held && (self.view.is_unknown() || self.expires_ms == 0) {
                    self.expires_ms = until;
                }
                self.reload |= reload;
                if self.view.is_unknown() {
                    self.owed.get_or_insert_default().push(position, cut, change);
                } else if self.is_key_value() {
                    self.expires_ms = self.view.change_key(self.expires_ms, change);
                } else {
                    self.view = std::mem::take(&mut self.view).changed(&change);
                }
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        ENTRY_BYTES
            + if self.row.spilled() { self.row.len() + 16 } else { 0 }
            + self.view.memory_bytes()
            + self.owed.as_ref().map_or(0, |owed| owed.memory_bytes())
    }
}
