//! One atomic unit of reads and writes: the rows are locked, the commands run, one record is logged, the cache follows.
//! Nothing is changed before everything is checked; a unit that needs a load is dropped whole and run again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::commits::Written;
use super::core::Core;
use super::effect::{Effect, overlaid};
use super::ops::row_of;
use super::refusal::{Refusal, Stop};
use crate::buffer::cache::shard::Stay;
use crate::buffer::cache::{Shard, View, Watch};
use crate::env::planted::{Bug, planted};
use crate::model::mapping::Target;
use crate::model::{LaneId, Name, RowKey, Table, Value};
use crate::sync::MutexGuard;

/// The identity of a row, beside the unit as long as it is short.
type Row = SmallVec<[u8; ROW_BYTES]>;
/// An identity of so many bytes is short.
const ROW_BYTES: usize = 64;

/// Up to so many keys, finding one that is named twice looks at all of them.
const SEARCHED_MAX: usize = 16;

struct UnitRow {
    row: Row,
    hash: u64,
    guard: usize,
    lane: LaneId,
    place: Option<u32>,
    table: Option<Arc<Table>>,
    effects: SmallVec<[Effect; 1]>,
    /// It was read.
    seen: bool,
    /// Let it go at the end, if nothing else happens to it.
    evict: bool,
    /// How long it stays in the cache from the end on, where a command has said so.
    stay: Option<Stay>,
    /// The row as later commands of the same unit see it.
    overlay: Option<Box<(View, u64)>>,
}

/// What a read sees of a row that is known.
pub struct Seen<'u> {
    /// The view; never [`View::Unknown`].
    pub view: &'u View,
    /// For a key-value key: when it expires, Unix milliseconds; 0: never.
    pub expires_ms: u64,
}

static ABSENT: View = View::Absent;

mod eviction;
mod record;
mod report;
mod savepoint;
mod typed;
mod writes;

pub use savepoint::Savepoint;

/// The next event, where a row's number stands else.
const EVENT: usize = usize::MAX;

/// An event to be appended: its lane, table and columns.
type Event = (LaneId, Arc<str>, Vec<(Name, Value)>);

/// An atomic unit over some rows.
pub struct Unit<'e> {
    core: &'e Core,
    now_ms: u64,
    several_commands: bool,
    rows: SmallVec<[UnitRow; 1]>,
    /// For each target asked for, the number of its row.
    slots: SmallVec<[usize; 1]>,
    guards: SmallVec<[MutexGuard<'e, Shard>; 1]>,
    /// The numbers of the shards that are locked, a bit each.
    locked: u64,
    /// Of several commands: the row of each effect, or [`EVENT`], in the order of the commands.
    order: SmallVec<[usize; 4]>,
    events: Vec<Event>,
    wanted: SmallVec<[usize; 1]>,
    /// Of what is wanted the head of a stream is enough.
    only_head: bool,
    read_dirty: bool,
    /// What the command under way has changed, as it was before.
    saved: Option<Vec<savepoint::Saved>>,
}

crate::sync::thread_local! {
    static BODY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The identity of the row that a key stands for; none when it names a table.
pub(super) fn identity(key: &[u8], target: &Target) -> Option<Row> {
    match target {
        Target::Key => Some(identity_of_key(key)),
        Target::Row(table, values) | Target::Cell(table, values, _) => {
            Some(Row::from_slice(RowKey::of_table(&table.name, values).as_bytes()))
        }
        Target::Table(_) => None,
    }
}

#[inline]
fn identity_of_key(key: &[u8]) -> Row {
    let mut bytes = [0; ROW_BYTES];
    match bytes.get_mut(1..=key.len()) {
        Some(place) => {
            place.copy_from_slice(key);
            Row::from_buf_and_len(bytes, 1 + key.len())
        }
        None => Row::from_vec([&[0], key].concat()),
    }
}

impl<'e> Unit<'e> {
    /// Locks the rows of `targets` (with the key that each was resolved from).
    pub(super) fn new(core: &'e Core, targets: &[(&[u8], &Target)], several_commands: bool) -> Unit<'e> {
        Unit::watching(core, targets, several_commands, None)
    }

    /// The same, and locks what is watched as well.
    pub(super) fn watching(
        core: &'e Core,
        targets: &[(&[u8], &Target)],
        several_commands: bool,
        watch: Option<&Watch>,
    ) -> Unit<'e> {
        let mut unit = Unit {
            core,
            now_ms: core.env.clock.unix_ms(),
            several_commands,
            rows: SmallVec::new(),
            slots: SmallVec::new(),
            guards: SmallVec::new(),
            locked: 0,
            order: SmallVec::new(),
            events: Vec::new(),
            wanted: SmallVec::new(),
            only_head: false,
            read_dirty: false,
            saved: None,
        };
        // A client chooses how many keys a command names: finding one named twice must not look at all of them.
        let mut known = (targets.len() > SEARCHED_MAX).then(HashMap::new);
        for (key, target) in targets {
            let slot = unit.add_row(key, target, known.as_mut());
            unit.slots.push(slot);
        }
        unit.lock(watch.map_or(&[], Watch::hashes));
        unit
    }

    fn add_row(&mut self, key: &[u8], target: &Target, known: Option<&mut HashMap<Row, usize>>) -> usize {
        // A table is no row; its events are appended and lock nothing.
        let Some(row) = identity(key, target) else { return usize::MAX };
        let table = row_of(target).map(|(table, _)| table.clone());
        let hash = self.core.cache.hash(&row);
        let next = self.rows.len();
        let found = match known {
            Some(known) => Some(*known.entry(row.clone()).or_insert(next)).filter(|at| *at < next),
            None => self.rows.iter().position(|have| have.hash == hash && have.row == row),
        };
        if let Some(at) = found {
            return at;
        }
        let lane = self.core.lanes.of_row(table.as_deref(), &row);
        self.rows.push(UnitRow {
            row,
            hash,
            guard: 0,
            lane,
            place: None,
            table,
            effects: SmallVec::new(),
            seen: false,
            evict: false,
            stay: None,
            overlay: None,
        });
        next
    }

    fn lock(&mut self, watched: &[u64]) {
        let hashes = self.rows.iter().map(|row| &row.hash).chain(watched);
        let mut shards: SmallVec<[usize; 4]> = hashes.map(|&hash| self.core.cache.shard_of(hash)).collect();
        shards.sort_unstable();
        shards.dedup();
        self.guards = shards.iter().map(|&shard| self.core.cache.lock(shard)).collect();
        self.locked = shards.iter().fold(0, |locked, shard| locked | 1 << shard);
        for row in &mut self.rows {
            let shard = self.core.cache.shard_of(row.hash);
            row.guard = shards.partition_point(|&have| have < shard);
            row.place = self.guards[row.guard].find_to_use(row.hash, &row.row);
        }
    }

    /// The time of this unit, Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// What is known of target `at`.
    ///
    /// # Errors
    /// [`Stop::Load`] when the row has to be loaded first.
    pub fn see(&mut self, at: usize) -> Result<Seen<'_>, Stop> {
        match self.look(at) {
            true => Ok(self.known(at)),
            false => {
                self.wanted.push(self.slots[at]);
                Err(Stop::Load)
            }
        }
    }

    /// What is known of target `at`, without asking for a load.
    pub fn peek(&mut self, at: usize) -> Option<Seen<'_>> {
        if self.look(at) { Some(self.known(at)) } else { None }
    }

    fn look(&mut self, at: usize) -> bool {
        let slot = self.slots[at];
        let row = &self.rows[slot];
        if row.overlay.is_some() {
            return true;
        }
        let key_value = row.table.is_none();
        let (guard, place) = (row.guard, row.place);
        let dirty = match place.and_then(|place| self.guards[guard].entry(place)) {
            Some(entry) if entry.view.is_unknown() => return false,
            Some(entry) if !key_value && !entry.is_dirty() && entry.expires_ms <= self.now_ms => {
                return false;
            }
            Some(entry) if entry.is_dirty() => true,
            // That a key is absent may be what a clear says, which leaves nothing behind that is dirty.
            Some(entry) => key_value && matches!(entry.view, View::Absent) && self.core.clear_pends(row.lane),
            None if key_value && self.core.cache.is_complete() => self.core.clear_pends(row.lane),
            None => return false,
        };
        self.read_dirty |= dirty && !planted(Bug::ReplyBeforeSafe);
        self.rows[slot].seen = true;
        true
    }

    fn known(&self, at: usize) -> Seen<'_> {
        let row = &self.rows[self.slots[at]];
        let (view, expires_ms) = match &row.overlay {
            Some(overlay) => (&overlay.0, overlay.1),
            None => match row.place.and_then(|place| self.guards[row.guard].entry(place)) {
                Some(entry) => (&entry.view, entry.expires_ms),
                None => (&ABSENT, 0),
            },
        };
        // A key past its time is gone, whether or not its deletion was logged already.
        let is_over = expires_ms > 0 && expires_ms <= self.now_ms && !planted(Bug::ExpiredKeyRead);
        if row.table.is_none() && is_over {
            return Seen { view: &ABSENT, expires_ms: 0 };
        }
        Seen { view, expires_ms: if row.table.is_none() { expires_ms } else { 0 } }
    }

    /// Appends an event to a table and answers its lane. Events of one `origin` share one lane.
    pub fn append(&mut self, table: &Arc<Table>, columns: Vec<(Name, Value)>, origin: u64) -> LaneId {
        let lane = self.core.lanes.of_event(table, origin);
        self.events.push((lane, table.name.clone(), columns));
        if self.several_commands {
            self.order.push(EVENT);
        }
        lane
    }

    fn effect(&mut self, at: usize, effect: Effect) {
        let slot = self.slots[at];
        if self.several_commands {
            self.save(slot);
            self.rows[slot].overlay = overlaid(self.take_seen(at), &effect).map(Box::new);
            self.order.push(slot);
        }
        self.rows[slot].effects.push(effect);
    }

    /// What the unit knows of target `at`, to be changed. Only the first command of a row copies its view: a client
    /// chooses how many commands and how many fields there are.
    fn take_seen(&mut self, at: usize) -> Option<(View, u64)> {
        if !self.look(at) {
            return None;
        }
        let row = &mut self.rows[self.slots[at]];
        let expired = |expires_ms: u64| row.table.is_none() && expires_ms > 0 && expires_ms <= self.now_ms;
        if row.overlay.as_ref().is_some_and(|overlay| !expired(overlay.1)) {
            return row.overlay.take().map(|overlay| *overlay);
        }
        let seen = self.known(at);
        Some((seen.view.clone(), seen.expires_ms))
    }

    /// Logs what the commands did, as one record, and lets the cache follow.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was changed.
    pub fn commit(mut self) -> Result<Written, Refusal> {
        let changes = self.rows.iter().map(|row| row.effects.len()).sum::<usize>() + self.events.len();
        if changes == 0 {
            self.touch();
            self.settle_stays();
            return Ok(Written::default());
        }
        let mut lanes: SmallVec<[LaneId; 4]> = SmallVec::new();
        let touched = self.rows.iter().filter(|row| !row.effects.is_empty()).map(|row| row.lane);
        for lane in touched.chain(self.events.iter().map(|(lane, _, _)| *lane)) {
            if !lanes.contains(&lane) {
                lanes.push(lane);
            }
        }
        lanes.sort_unstable();
        self.core.admit(&lanes)?;
        if lanes.len() > 255 {
            return Err(Refusal::invalid("one command or transaction may touch at most 255 lanes; split it"));
        }
        let appended = BODY.with(|body| {
            let body = &mut *body.borrow_mut();
            body.clear();
            self.encode(body, &lanes, changes);
            self.core.log.append(&lanes, body)
        })?;
        self.touch();
        let until = self.now_ms + self.core.settings.ttl.as_millis() as u64;
        for row in &mut self.rows {
            let Some(place) = appended.places.iter().find(|place| place.lane == row.lane) else { continue };
            let identity = (row.hash, &row.row[..], row.lane);
            let stamp = (place.position, place.cut);
            let shard = &mut self.guards[row.guard];
            if !row.effects.is_empty() {
                self.core.accepted(row.lane, row.effects.len());
            }
            for effect in row.effects.drain(..) {
                if let (Effect::Delete, Some(table)) = (&effect, &row.table) {
                    self.core.cascades.deleted(&table.name, row.lane, place.position);
                }
                let after = effect.into_after(row.table.as_deref(), until);
                row.place = Some(shard.write(&self.core.cache, identity, stamp, row.place, after));
            }
        }
        for (lane, _, _) in &self.events {
            self.core.accepted(*lane, 1);
        }
        self.settle_stays();
        // Only now: a row that one change lets go may be the one that the next change builds on.
        self.guards.iter_mut().for_each(|shard| shard.relieve(&self.core.cache));
        Ok(Written {
            end: appended.end,
            places: appended.places.iter().map(|place| (place.lane, place.position)).collect(),
        })
    }
}
