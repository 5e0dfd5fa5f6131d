//! The product's log with a witness: every append is noted with its chained hashes before anybody else hears of it.
//! It must never change what the log does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use landfall::buffer::log::local::LocalLog;
use landfall::buffer::log::{
    Address, Appended, Gap, Head, LaneName, Log, LogError, Owed, Records, Safety, Usage,
};
use landfall::model::codec::decode_body;
use landfall::model::{Anchor, Change, LaneId, Lineage, LoggedChange, Name, Position, Value};
use parking_lot::Mutex;

use super::context::Context;
use super::history::{History, Record};

/// A start without the database leaves out at least so many positions of each lane.
const JUMP: Position = 1 << 32;

pub(super) struct TracedLog {
    pub(super) log: LocalLog,
    pub(super) context: Arc<Context>,
    pub(super) history: Arc<Mutex<History>>,
    /// Whether a client's unit is being committed; else only expiries may be appended.
    pub(super) in_unit: Arc<AtomicBool>,
    /// Whether a commit under way has nothing to write: it waits for nobody who writes, and nobody for it.
    pub(super) only_syncs: Arc<AtomicBool>,
    /// The volume is an older one: the database may be ahead of it.
    pub(super) may_be_behind: bool,
    /// It is another copy of the log.
    pub(super) is_copy: bool,
}

impl TracedLog {
    fn note(&self, lanes: &[LaneId], body: &[u8], before: &[Head], appended: &Appended) {
        let Ok(changes) = decode_body(body) else {
            return self.context.violation("the engine appended a body that does not decode".into());
        };
        let mut links = Vec::new();
        let mut places = Vec::new();
        for (lane, before) in lanes.iter().zip(before) {
            let behind = self.log.head(*lane);
            let place = appended.places.iter().find(|place| place.lane == *lane);
            if place.map(|place| place.position) != Some(before.position + 1)
                || behind.position != before.position + 1
            {
                self.context.violation(format!("lane {lane} went from {before:?} to {behind:?} ({place:?})"));
            }
            links.push((*lane, before.anchor, behind.anchor));
            places.push((*lane, behind.position));
        }
        let mut history = self.history.lock();
        if !self.in_unit.load(Ordering::Relaxed) {
            let now = self.context.unix();
            for (_, change) in &changes {
                if !is_due(&history, change, now) {
                    self.context.violation(format!("nobody asked for {change:?}, and no key expired"));
                }
                self.context.reached("a key expired");
            }
        }
        self.context.mix(appended.end);
        let record = Record { lanes: places, changes, links };
        if self.is_copy { history.append_to_copy(record) } else { history.append(record) }
    }
}

/// Whether a change is the deletion of a key that has expired.
fn is_due(history: &History, change: &LoggedChange, now_ms: u64) -> bool {
    let LoggedChange::Row { row, change: Change::Delete } = change else { return false };
    let expires = history.view.rows.get(row).and_then(|row| row.get(&Name::from_bytes(Name::EXPIRES)));
    matches!(expires, Some(Value::Int(ms)) if *ms as u64 <= now_ms)
}

impl TracedLog {
    pub(super) fn log_is_poisoned(&self) -> bool {
        self.log.poisoned().is_some()
    }
}

impl Log for TracedLog {
    fn lineage(&self) -> Lineage {
        self.log.lineage()
    }
    fn boot(&self) -> u64 {
        self.log.boot()
    }
    fn lanes(&self) -> Vec<(LaneName, LaneId)> {
        self.log.lanes()
    }
    fn add_lanes(&self, names: &[LaneName]) -> Result<Vec<LaneId>, LogError> {
        self.log.add_lanes(names)
    }
    fn append(&self, lanes: &[LaneId], body: &[u8]) -> Result<Appended, LogError> {
        let before: Vec<Head> = lanes.iter().map(|lane| self.log.head(*lane)).collect();
        let appended = self.log.append(lanes, body)?;
        self.note(lanes, body, &before, &appended);
        Ok(appended)
    }
    fn commit(&self, end: Address, safety: Safety) -> Result<(), LogError> {
        let is_written = self.log.safe(Safety::Written) >= end;
        self.only_syncs.store(is_written && safety == Safety::Durable, Ordering::Relaxed);
        let committed = self.log.commit(end, safety);
        self.only_syncs.store(false, Ordering::Relaxed);
        committed
    }
    fn accepted(&self) -> Address {
        self.log.accepted()
    }
    fn safe(&self, safety: Safety) -> Address {
        self.log.safe(safety)
    }
    fn has_room(&self) -> bool {
        self.log.has_room()
    }
    fn safe_position(&self, lane: LaneId, safety: Safety) -> Position {
        self.log.safe_position(lane, safety)
    }
    fn usage(&self) -> Usage {
        self.log.usage()
    }
    fn poisoned(&self) -> Option<LogError> {
        self.log.poisoned()
    }
    fn oldest(&self, lane: LaneId) -> Head {
        self.log.oldest(lane)
    }
    fn head(&self, lane: LaneId) -> Head {
        self.log.head(lane)
    }
    fn cut(&self, lanes: &[LaneId]) -> (Address, Vec<Position>) {
        self.log.cut(lanes)
    }
    fn records(
        &self,
        after: &[(LaneId, Position)],
        upto: Address,
    ) -> Result<Box<dyn Records + '_>, LogError> {
        self.log.records(after, upto)
    }
    fn anchor_at(&self, lane: LaneId, position: Position) -> Result<Option<Anchor>, LogError> {
        self.log.anchor_at(lane, position)
    }
    fn gap(&self, ends: &[(LaneId, Head)]) -> Result<(), LogError> {
        let before: Vec<Head> = ends.iter().map(|(lane, _)| self.log.head(*lane)).collect();
        let made = self.log.gap(ends);
        for (&(lane, to), before) in ends.iter().zip(before) {
            if before == to {
                continue;
            }
            // Only what is durable lands, so an honest volume never comes back behind its database.
            let positions = to.position.saturating_sub(before.position);
            let mut history = self.history.lock();
            if positions < JUMP {
                let is_expected = history.expects_gaps || self.may_be_behind;
                match is_expected || history.meets_foreign(lane, to.position) {
                    true if is_expected => self.context.reached("a log went on behind a gap"),
                    true => self.context.reached("a new lane went on behind that of a log that was given up"),
                    false => self.context.violation(format!(
                        "lane {lane}: the database is ahead of the log, {before:?} {to:?}"
                    )),
                }
            }
            // It may be there after a failure too.
            history.gap(lane, before.anchor, to.anchor, positions);
        }
        made
    }
    fn gap_over(&self, lane: LaneId, position: Position) -> Option<Gap> {
        self.log.gap_over(lane, position)
    }
    fn landed(&self, lane: LaneId, position: Position) {
        self.log.landed(lane, position);
    }
    fn rewind(&self, lane: LaneId, position: Position) -> Result<(), LogError> {
        self.context.reached("a lane was rewound");
        self.log.rewind(lane, position)
    }
    fn owed(&self) -> Owed {
        self.log.owed()
    }
    fn owed_by(&self, lane: LaneId) -> Owed {
        self.log.owed_by(lane)
    }
    fn owed_records(&self) -> u64 {
        self.log.owed_records()
    }
    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, LogError> {
        self.log.note(name)
    }
    fn set_note(&self, name: &str, content: &[u8]) -> Result<(), LogError> {
        self.log.set_note(name, content)
    }
    fn upkeep(&self) -> Result<(), LogError> {
        self.log.upkeep()
    }
    fn wait_upkeep(&self, timeout: Duration) {
        self.log.wait_upkeep(timeout);
    }
    fn close(&self) -> Result<(), LogError> {
        self.log.close()
    }
}
