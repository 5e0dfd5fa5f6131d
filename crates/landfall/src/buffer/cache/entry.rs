//! One row in a shard: its identity, its view, and where it stands between log and database.
//! Only the shard changes an entry, so that sizes, queues and lists always agree with it.

use crate::buffer::cache::compact::Compact;
use crate::buffer::cache::shard::After;
use crate::buffer::cache::sieve::NONE;
use crate::buffer::cache::view::View;
use crate::model::{LaneId, Position};

/// A row's identity; a short one lies in the entry itself, which saves every lookup a step.
pub type RowBytes = Compact;

/// A row in the cache.
#[derive(Debug)]
pub struct Entry {
    /// The identity.
    pub row: RowBytes,
    /// The lane of the row.
    pub lane: LaneId,
    /// What reads see.
    pub view: View,
    /// For a key-value key: when it expires, Unix milliseconds. For a row of a table: until when it is served
    /// without being loaded again, while it is clean. 0: never.
    pub expires_ms: u64,
    /// Of a dirty row: the position of its last write, the high half first. Of a clean one: the next newer and the next
    /// older row in the eviction list.
    place: [u32; 2],
    /// The number of the load that brought it, until who asked for it has read it; or one of [`UNREAD`] and [`READ`].
    read: u8,
    /// Of a row of a table: a client has said until when it stays, so neither loads nor writes change `expires_ms`.
    pub(super) kept: bool,
    pub(super) reload: Reload,
    dirty: bool,
}

/// Whether what is known of a row is let go once its last write has landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reload {
    /// It stays.
    No,
    /// It is loaded again: the database knows better.
    Yes,
    /// The same, and the last write was none: its dead letter is given up there.
    GivenUp,
}

/// It was not read since the hand of the eviction list passed it.
const UNREAD: u8 = 0;
/// It was read since then.
const READ: u8 = u8::MAX;

/// What an entry costs besides what it points to: itself, its slot in the table, its place in a queue.
const ENTRY_BYTES: usize = std::mem::size_of::<Entry>() + 16;

/// So many loads of a shard a loaded row stays for whoever asked for it, whatever the shard holds.
const AWAITED_LOADS: u8 = 16;

/// Counts the loads of a shard. The count may begin anew: a row that nobody came to read for so long stays a little longer.
#[derive(Debug, Default)]
pub(super) struct Loads(u8);

impl Loads {
    /// One more.
    pub(super) fn count(&mut self) {
        self.0 = if self.0 >= READ - 1 { UNREAD + 1 } else { self.0 + 1 };
    }
}

impl Entry {
    /// A row of which nothing is known.
    pub(super) fn new(row: &[u8], lane: LaneId) -> Entry {
        Entry {
            row: row.into(),
            lane,
            view: View::default(),
            expires_ms: 0,
            place: [NONE; 2],
            read: UNREAD,
            kept: false,
            reload: Reload::No,
            dirty: false,
        }
    }

    /// Whether the row is a key-value key.
    pub fn is_key_value(&self) -> bool {
        self.row.first() == Some(&0)
    }

    /// What it holds of memory, in bytes: the estimate by which the cache evicts.
    pub fn held_bytes(&self) -> u64 {
        (ENTRY_BYTES + self.row.apart_bytes() + self.view.memory_bytes()) as u64
    }

    /// Until when a client wants the row of a table to stay here, Unix milliseconds; 0: nobody said so.
    pub fn kept_until_ms(&self) -> u64 {
        if self.kept { self.expires_ms } else { 0 }
    }

    /// Whether it is a key-value key that is known to be there.
    pub(super) fn is_key(&self) -> bool {
        matches!(self.view, View::String(_) | View::Hash(_) | View::Stream(_))
    }

    /// Whether the row has changes that have not landed, as far as the cache was told.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Whether what is known of it is to be let go once its last write has landed: the database may know better.
    pub fn is_doubtful(&self) -> bool {
        self.reload != Reload::No
    }

    /// What is known of it is to be let go once its last write has landed.
    pub(super) fn doubt(&mut self) {
        if self.reload == Reload::No {
            self.reload = Reload::Yes;
        }
    }

    /// Where its dead letter is given up, if nothing was written since and it is not known to have landed.
    pub fn given_up_at(&self) -> Option<Position> {
        (self.dirty && self.reload == Reload::GivenUp).then(|| self.position())
    }

    /// The last write, if it has not landed as far as the cache was told; else 0.
    pub fn position(&self) -> Position {
        let [high, low] = self.place;
        if self.dirty { u64::from(high) << 32 | u64::from(low) } else { 0 }
    }

    /// It was written at `position`. It must not stand in the eviction list.
    pub(super) fn soil(&mut self, position: Position) {
        self.dirty = true;
        self.place = [(position >> 32) as u32, position as u32];
    }

    /// Its last write has landed. It stands in no list then.
    pub(super) fn clean(&mut self) {
        self.dirty = false;
        self.place = [NONE; 2];
    }

    /// The next newer and the next older row in the eviction list; of a dirty row there are none.
    pub(super) fn neighbours(&self) -> [u32; 2] {
        if self.dirty { [NONE; 2] } else { self.place }
    }

    /// Sets the neighbours of a clean row.
    pub(super) fn stand_between(&mut self, newer: u32, older: u32) {
        debug_assert!(!self.dirty, "a dirty row is in no eviction list");
        self.place = [newer, older];
    }

    /// Whether somebody waits to read it. Who asked may need more rows of this shard at once, and would load them in
    /// turns for ever if each pushed out the one before; who asked may also have gone, so it is not for long.
    pub(super) fn is_awaited(&self, loads: &Loads) -> bool {
        !matches!(self.read, UNREAD | READ) && loads.0.wrapping_sub(self.read) < AWAITED_LOADS
    }

    /// Notes that a load brought it.
    pub(super) fn brought_by(&mut self, load: &Loads) {
        self.read = load.0;
    }

    /// Notes that it was read. The first read of a loaded row is why it was loaded, and no sign that it is used again.
    pub(super) fn visit(&mut self) {
        self.read = if matches!(self.read, UNREAD | READ) { READ } else { UNREAD };
    }

    /// Whether it was read, for the hand that passes it, which forgets that.
    pub(super) fn was_read(&mut self) -> bool {
        let was_read = self.read == READ;
        if was_read {
            self.read = UNREAD;
        }
        was_read
    }

    /// Begins in the eviction list as one that nobody has read yet.
    pub(super) fn forget_reads(&mut self) {
        self.was_read();
    }

    /// Takes a write that the log has at `position`.
    pub(super) fn take(&mut self, position: Position, cut: Position, after: After) {
        if self.reload == Reload::GivenUp {
            self.reload = Reload::Yes;
        }
        match after {
            After::Known(view, expires_ms) => {
                self.view.become_this(view);
                self.expires_ms = expires_ms;
                (self.kept, self.reload) = (false, Reload::No);
            }
            After::Fields(fields, replace) => {
                if replace {
                    self.view = View::Absent;
                    self.expires_ms = 0;
                }
                self.view.set_fields(&fields);
            }
            After::Stream(edits, anew) => {
                if let Some(expires_ms) = anew {
                    self.view = View::Absent;
                    self.expires_ms = expires_ms;
                }
                match &mut self.view {
                    // Only the head is known: the entries that were not loaded stay where they are.
                    View::Unknown(owed) => {
                        owed.get_or_insert_default().push(position, cut, edits.into_change());
                    }
                    view => view.edit_stream(&edits),
                }
            }
            After::Stale { given_up } => {
                self.reload = if given_up { Reload::GivenUp } else { Reload::Yes };
            }
            After::Expires(expires_ms) => self.expires_ms = expires_ms,
            After::Changed { change, until, reload } => {
                // A row that is written again and again is still loaded now and then: others change it too.
                let is_held = self.is_key_value() || self.kept;
                if !is_held && (self.view.is_unknown() || self.expires_ms == 0) {
                    self.expires_ms = until;
                }
                if reload {
                    self.doubt();
                }
                if let View::Unknown(owed) = &mut self.view {
                    owed.get_or_insert_default().push(position, cut, change);
                } else if self.is_key_value() {
                    self.expires_ms = self.view.change_key(self.expires_ms, change);
                } else {
                    self.view = std::mem::take(&mut self.view).changed(&change);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_nine_words() {
        assert_eq!(size_of::<Option<Entry>>(), 72);
    }
}
