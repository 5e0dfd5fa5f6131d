//! Decides what becomes of refused rows: parked alone, or nothing parked and the group held. Pure.
//! It must never lose a change: whatever is not among the operations that land is in a letter.

use std::collections::{BTreeMap, HashMap};

use super::plan::{Plan, Source, Tried};
use super::settings::LanderSettings;
use crate::env::planted::{Bug, planted};
use crate::model::{Anchor, Change, LaneId, Letter, LetterKey, LoggedChange, Position, Reason, RowKey};
use crate::sink::{LandingOp, LetterStep, RefusedOp};

/// The dead letters as the database has them. Bounded: at a count and a size nothing more is parked.
#[derive(Debug, Default)]
pub(super) struct Parked {
    letters: BTreeMap<LetterKey, Letter>,
    bytes: u64,
}

impl Parked {
    pub(super) fn get(&self, key: &LetterKey) -> Option<&Letter> {
        self.letters.get(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &LetterKey> {
        self.letters.keys()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    pub(super) fn len(&self) -> u64 {
        self.letters.len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the oldest of them was refused for the first time, Unix milliseconds.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        self.letters.values().map(|letter| letter.first_ms).min()
    }

    pub(super) fn put(&mut self, letter: Letter) {
        self.bytes += letter.bytes();
        if let Some(old) = self.letters.insert(letter.key.clone(), letter) {
            self.bytes -= old.bytes();
        }
    }

    /// Follows what a landing has committed.
    pub(super) fn follow(&mut self, steps: &[LetterStep]) {
        for step in steps {
            match step {
                LetterStep::Park(letter) => self.put(letter.clone()),
                LetterStep::Remove(key) => {
                    self.bytes -= self.letters.remove(key).map_or(0, |letter| letter.bytes());
                }
            }
        }
    }
}

/// A plan without what is refused.
#[derive(Debug, Default)]
pub(super) struct Parted {
    pub(super) ops: Vec<LandingOp>,
    pub(super) letters: Vec<LetterStep>,
    pub(super) ordered: bool,
    /// Where the refused changes of this batch were written.
    pub(super) places: Vec<(LaneId, Position)>,
}

/// Takes the refused operations out of a plan. What a row carries is merged in front of its next operation,
/// as [`crate::sink::Sink::isolate`] has tried it.
pub(super) fn part(plan: Plan, refused: &[RefusedOp], now_ms: u64) -> Parted {
    let Plan { ops, sources, tried, ordered } = plan;
    if refused.is_empty() {
        // Nearly always: everything lands as it is, and what was tried again is no letter any more.
        let letters = tried.into_keys().map(LetterStep::Remove).collect();
        return Parted { ops, letters, ordered, places: Vec::new() };
    }
    let refused: HashMap<usize, &Reason> = refused.iter().map(|one| (one.op, &one.reason)).collect();
    let mut parted = Parted { ordered, ..Parted::default() };
    let mut carried: HashMap<RowKey, (Change, Source, Reason)> = HashMap::new();
    let mut parked: BTreeMap<LetterKey, Letter> = BTreeMap::new();
    let mut park = |key: LetterKey, change: LoggedChange, source: Source, reason: Reason| {
        let letter = letter_of(&key, tried.get(&key), change, &source, reason, now_ms);
        parted.places.extend(source.positions.into_iter().map(|position| (source.lane, position)));
        parked.insert(key, letter);
    };
    for (number, (op, mut source)) in ops.into_iter().zip(sources).enumerate() {
        let reason = refused.get(&number).copied();
        match (op, reason) {
            (LandingOp::Row { lane, row, mut change }, reason) => {
                if let Some((mut whole, mut from, _)) = carried.remove(&row) {
                    from.take(source);
                    if !planted(Bug::CarriedChangeLost) {
                        whole.merge(change);
                        change = whole;
                    }
                    source = from;
                }
                match reason {
                    Some(reason) => drop(carried.insert(row, (change, source, reason.clone()))),
                    None => parted.ops.push(LandingOp::Row { lane, row, change }),
                }
            }
            (LandingOp::Append { table, columns }, Some(reason)) => {
                // Whoever plans an event gives it a key.
                let key = source
                    .event
                    .clone()
                    .unwrap_or_else(|| LetterKey::of_event(source.lane, (source.first, Anchor::START), 0));
                park(key, LoggedChange::Append { table, columns }, source, reason.clone());
            }
            // A refused clear is held and never parked.
            (LandingOp::Clear, _) => parted.ops.push(LandingOp::Clear),
            (event, None) => parted.ops.push(event),
        }
    }
    for (row, (change, source, reason)) in carried {
        park(LetterKey::of_row(&row), LoggedChange::Row { row, change }, source, reason);
    }
    parted.letters = tried
        .keys()
        .filter(|key| !parked.contains_key(key))
        .map(|key| LetterStep::Remove(key.clone()))
        .chain(parked.values().filter(|_| !planted(Bug::LetterForgotten)).cloned().map(LetterStep::Park))
        .collect();
    parted
}

/// The letter of a change that is refused, which may have been one before.
fn letter_of(
    key: &LetterKey,
    tried: Option<&Tried>,
    change: LoggedChange,
    source: &Source,
    reason: Reason,
    now_ms: u64,
) -> Letter {
    let (attempts, first_ms) = match tried {
        Some(Tried::Again { attempts, first_ms }) => (*attempts, *first_ms),
        _ => (0, now_ms),
    };
    Letter {
        id: 0,
        key: key.clone(),
        lane: source.lane,
        first: source.first,
        last: source.last,
        change,
        reason,
        attempts: attempts.saturating_add(1),
        first_ms,
        last_ms: now_ms,
    }
}

/// All operations of a plan, refused for one reason: nothing tells which of them is guilty.
pub(super) fn all_refused(plan: &Plan, reason: &Reason) -> Vec<RefusedOp> {
    (0..plan.ops.len()).map(|op| RefusedOp { op, reason: reason.clone() }).collect()
}

/// Rows that were refused for one reason, batch after batch.
pub(super) type Streak = Option<(Reason, u64)>;

/// What the refusals of a batch come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The refused rows are parked; most of the batch may have been refused for one reason, for so many rows now.
    Park(Streak),
    /// Nothing is parked and nothing lands, until a person has acted or the database takes the rows.
    Hold(String),
}

/// Judges the refusals of a plan of which `parted` is what remains. `anyway`: a person has looked at them.
pub(super) fn judge(
    settings: &LanderSettings,
    plan: &Plan,
    refused: &[RefusedOp],
    parted: &Parted,
    (parked, streak, anyway): (&Parked, &Streak, bool),
) -> Verdict {
    let clear = |one: &&RefusedOp| matches!(plan.ops.get(one.op), Some(LandingOp::Clear));
    if let Some(RefusedOp { reason, .. }) = refused.iter().find(clear) {
        return Verdict::Hold(format!(
            "held: the database does not let the key-value keys be cleared. Table {}: {}. Repair the table and they are cleared by themselves",
            reason.table, reason.text
        ));
    }
    let mut by_reason: BTreeMap<&Reason, u64> = BTreeMap::new();
    for one in refused.iter().filter(|one| is_news(plan, one)) {
        // No repair of the rows or the table helps these; they would be held for ever.
        if *one.reason.class != *Reason::NO_TABLE {
            *by_reason.entry(&one.reason).or_default() += 1;
        }
    }
    let most = by_reason.into_iter().max_by_key(|(_, rows)| *rows);
    let is_most = |rows: u64| rows * 100 >= settings.hold_share_percent * plan.ops.len() as u64;
    let streak = match most.filter(|(_, rows)| is_most(*rows)) {
        None => None,
        Some((reason, rows)) => {
            let before = streak.as_ref().filter(|(same, _)| same == reason).map_or(0, |(_, rows)| *rows);
            Some((reason.clone(), before + rows))
        }
    };
    if anyway {
        return Verdict::Park(None);
    }
    if let Some((reason, rows)) = &streak
        && *rows >= settings.hold_rows_min
    {
        return Verdict::Hold(format!(
            "held, nothing is parked: most rows are refused for one reason ({rows} rows). Table {}: {}. Repair the \
             table and they land by themselves, or run `landfall resume GROUP` to park them as dead letters",
            reason.table, reason.text
        ));
    }
    let (count, bytes) = after(parked, &parted.letters);
    let grows = count > parked.len() || bytes > parked.bytes();
    if grows && (count > settings.dead_letters_max || bytes > settings.dead_letters_bytes_max) {
        return Verdict::Hold(format!(
            "held, nothing is parked: there would be {count} dead letters of {bytes} bytes, and the bounds are {} \
             (dead-letters-max) and {} bytes (dead-letters-bytes-max). Run `landfall resume GROUP` to park these all \
             the same, or correct, retry or drop letters of other groups (see `landfall dead-letters list`): what is \
             asked of this group waits behind these rows",
            settings.dead_letters_max, settings.dead_letters_bytes_max
        ));
    }
    Verdict::Park(streak)
}

/// Whether a refused operation was not parked before.
fn is_news(plan: &Plan, one: &RefusedOp) -> bool {
    let key = match (plan.ops.get(one.op), plan.sources.get(one.op)) {
        (Some(LandingOp::Row { row, .. }), _) => Some(LetterKey::of_row(row)),
        (_, Some(source)) => source.event.clone(),
        _ => None,
    };
    key.is_none_or(|key| !plan.tried.contains_key(&key))
}

/// How many letters there would be, and their bytes.
fn after(parked: &Parked, steps: &[LetterStep]) -> (u64, u64) {
    steps.iter().fold((parked.len(), parked.bytes()), |(count, bytes), step| {
        let (key, added) = match step {
            LetterStep::Park(letter) => (&letter.key, Some(letter.bytes())),
            LetterStep::Remove(key) => (key, None),
        };
        let old = parked.get(key).map(Letter::bytes);
        let count = count + u64::from(added.is_some()) - u64::from(old.is_some());
        (count, bytes + added.unwrap_or(0) - old.unwrap_or(0))
    })
}

#[cfg(test)]
mod tests;
