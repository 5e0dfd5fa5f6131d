//! Builds the operations of one batch from decoded records in their total order. Pure: it reads no log and
//! talks to no database. It must never change what a reader of the database ends up with, and never cause a
//! refusal that landing the changes one by one would not have.
//!
//! # Rows of groups without constraints
//!
//! Such a row is merged whenever it comes up again. No other row can refuse it or be refused by it, so only
//! the order of its own changes counts, and [`Change::merge`] keeps that. The batch is sorted by row.
//!
//! # Rows of groups with constraints
//!
//! The operations stay in the order of acknowledgement. Call a change **sensitive** when another row may depend
//! on when it happens: a delete, a replace, a change of a column of a key, a unique index or a foreign key, and
//! whatever may insert its row, which is every change but one that follows an upsert of the same row in this
//! batch. All others are **free**.
//!
//! - *A free change merges into the last operation of its row, which is an upsert.* Moving it there moves it
//!   over operations of other rows only. They do not read or check its columns, and it reads only its own row.
//!   The row exists at both places, so it inserts at neither. All other operations of its row come before that
//!   one, so the row's own order stays, and the merged row is a state that it had one by one too: a check or
//!   NOT NULL that holds there holds here.
//! - *A sensitive change merges into the last operation of its row only if no other sensitive change came
//!   after that.* Then it moves over free changes of other rows only, and the argument is the same. Otherwise
//!   it becomes an operation of its own, at the end: the order of sensitive changes is never changed.
//! - *Nothing merges across a delete in a table that a cascading foreign key references.* Such a delete changes
//!   rows that it does not name: the row of a free change may be gone, so that the change inserts it anew. After
//!   it every row counts as not seen. The same holds for a replace of such a row, because a
//!   delete may be inside it.
//! - *Events are inserts*, hence sensitive, and never merged.
//!
//! # Dead letters
//!
//! The first change of a parked row in a batch is planned behind the letter's change, as if that came right before
//! it. So a letter is tried with every later change of its row, and what is said above holds for it as well.
//! What is asked of a letter ([`Intent`]) is planned alone: who reads the log ends a batch there.
//!
//! A row of a group without constraints that lands together with ordered groups (a record of several lanes)
//! keeps its own rule: its place among the others means nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ahash::AHashMap;

use super::dead_letter::Parked;
use super::settings::LanderSettings;
use crate::env::planted::{Bug, planted};
use crate::model::row::RowName;
use crate::model::{
    Anchor, Catalogue, Change, Intent, LaneId, Letter, LetterKey, LoggedChange, Name, Position, RowKey, Value,
};
use crate::sink::LandingOp;

/// What planning has to know of the tables, prepared once.
#[derive(Debug)]
pub(super) struct Rules(HashMap<Arc<str>, Rule>);

#[derive(Debug)]
struct Rule {
    /// The columns whose changes no other row can depend on.
    free: HashSet<Name>,
    /// Whether a delete changes rows of other tables.
    cascades: bool,
}

impl Rules {
    /// The rules of these tables.
    pub(super) fn new(catalogue: &Catalogue) -> Rules {
        let tables = catalogue.tables();
        let cascading: HashSet<&str> = tables
            .iter()
            .flat_map(|table| &table.references)
            .filter(|reference| reference.cascades)
            .map(|reference| reference.table.as_str())
            .collect();
        let rule = |table: &crate::model::Table| Rule {
            free: (0..table.columns.len())
                .filter(|&at| !table.is_constrained_column(at))
                .map(|at| Name::column(&table.columns[at].name))
                .collect(),
            cascades: cascading.contains(&*table.name),
        };
        Rules(tables.into_iter().map(|table| (table.name.clone(), rule(table))).collect())
    }

    fn of(&self, row: &RowKey) -> Option<&Rule> {
        match row.decode() {
            Ok(RowName::Table { table, .. }) => self.0.get(table),
            _ => None,
        }
    }
}

/// Where a change comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) lane: LaneId,
    pub(super) position: Position,
    /// The chained hash there.
    pub(super) anchor: Anchor,
    /// Its number in the record.
    pub(super) number: u32,
}

/// Where an operation comes from, for its letter if it is refused.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) lane: LaneId,
    pub(super) first: Position,
    pub(super) last: Position,
    /// The letter of the event, if it is refused.
    pub(super) event: Option<LetterKey>,
    /// The positions of all its changes; empty unless the plan is traced.
    pub(super) positions: Vec<Position>,
}

/// A letter that is tried again, or dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    /// With its change in the plan.
    Again { attempts: u32, first_ms: u64 },
    /// It is given up.
    Dropped,
}

/// What a batch will write.
#[derive(Debug, Default, Clone)]
pub(super) struct Plan {
    /// The operations, in the order in which they run if `ordered`.
    pub(super) ops: Vec<LandingOp>,
    /// For each operation, where it comes from.
    pub(super) sources: Vec<Source>,
    /// The letters that the plan holds.
    pub(super) tried: BTreeMap<LetterKey, Tried>,
    /// Whether the order of all operations counts.
    pub(super) ordered: bool,
}

/// Collects the changes of a batch.
pub(super) struct Planner<'a> {
    rules: &'a Rules,
    parked: &'a Parked,
    /// Whether each operation notes the positions of all its changes.
    traces: bool,
    rows_max: usize,
    bytes_max: usize,
    tried: BTreeMap<LetterKey, Tried>,
    sources: Vec<Source>,
    ops: Vec<LandingOp>,
    /// The last operation of each row, and the rule of its table.
    last: AHashMap<RowKey, (usize, Option<&'a Rule>)>,
    /// The last operation that holds a sensitive change.
    last_sensitive: Option<usize>,
    bytes: usize,
    ordered: bool,
}

/// Above so many columns a merged change is not measured again, it counts as the sum of its parts: measuring a
/// large hash at each of its fields would cost the square of its size.
const MEASURED_COLUMNS_MAX: usize = 64;

impl<'a> Planner<'a> {
    /// An empty batch.
    pub(super) fn new(
        rules: &'a Rules,
        settings: &LanderSettings,
        parked: &'a Parked,
        traces: bool,
    ) -> Planner<'a> {
        Planner {
            rules,
            parked,
            traces,
            tried: BTreeMap::new(),
            sources: Vec::new(),
            rows_max: settings.batch_rows_max,
            bytes_max: settings.batch_bytes_max,
            ops: Vec::new(),
            last: AHashMap::new(),
            last_sensitive: None,
            bytes: 0,
            ordered: false,
        }
    }

    /// Whether another record may be added. A batch ends only between records.
    pub(super) fn has_room(&self) -> bool {
        self.ops.len() < self.rows_max && self.bytes < self.bytes_max
    }

    /// Adds the next change; `ordered` says whether its group has constraints.
    pub(super) fn add(&mut self, origin: Origin, ordered: bool, change: LoggedChange) {
        self.ordered |= ordered;
        let source = |event| Source {
            lane: origin.lane,
            first: origin.position,
            last: origin.position,
            event,
            positions: if self.traces { vec![origin.position] } else { Vec::new() },
        };
        match change {
            LoggedChange::Append { table, columns } => {
                let key = LetterKey::of_event(origin.lane, (origin.position, origin.anchor), origin.number);
                self.event(source(Some(key)), ordered, table, columns);
            }
            LoggedChange::Row { row, change } => {
                let source = source(None);
                if !self.parked.is_empty() && !planted(Bug::LetterMergeLost) {
                    self.try_again(&LetterKey::of_row(&row), ordered);
                }
                self.row(source, ordered, row, change);
            }
            LoggedChange::Clear => self.clear(source(None)),
            LoggedChange::Letter { key, intent } => match intent {
                Intent::Retry => drop(self.try_again(&key, ordered)),
                Intent::Drop => {
                    if self.parked.get(&key).is_some() && !planted(Bug::DropForgotten) {
                        self.tried.entry(key).or_insert(Tried::Dropped);
                    }
                }
                Intent::Edit(edits) => {
                    if self.try_again(&key, ordered)
                        && let Some(LandingOp::Append { columns, .. }) = self.ops.last_mut()
                    {
                        edit(columns, edits);
                    }
                }
            },
        }
    }

    /// Plans what a letter holds, if there is one that was not planned yet; whether it was.
    fn try_again(&mut self, key: &LetterKey, ordered: bool) -> bool {
        let parked = self.parked;
        let Some(letter) = parked.get(key).filter(|_| !self.tried.contains_key(key)) else { return false };
        let Letter { attempts, first_ms, lane, first, last, .. } = *letter;
        self.tried.insert(key.clone(), Tried::Again { attempts, first_ms });
        let event = letter.row_change().is_none().then(|| key.clone());
        let source = Source { lane, first, last, event, positions: Vec::new() };
        match letter.change.clone() {
            LoggedChange::Row { row, change } => self.row(source, ordered, row, change),
            LoggedChange::Append { table, columns } => self.event(source, ordered, table, columns),
            LoggedChange::Letter { .. } | LoggedChange::Clear => {}
        }
        true
    }

    /// All key-value keys are gone, those in dead letters included. Who reads the log ends a batch before and behind it.
    fn clear(&mut self, source: Source) {
        let is_key = |key: &&LetterKey| key.row().is_some_and(|row| row.is_key_value());
        for key in self.parked.keys().filter(is_key).filter(|_| !planted(Bug::LettersOutliveClear)) {
            self.tried.insert(key.clone(), Tried::Dropped);
        }
        // Each lane of the record has it.
        if !self.ops.contains(&LandingOp::Clear) {
            self.ops.push(LandingOp::Clear);
            self.sources.push(source);
        }
    }

    fn event(&mut self, source: Source, ordered: bool, table: Arc<str>, columns: Vec<(Name, Value)>) {
        self.bytes += columns
            .iter()
            .fold(32, |sum, (name, value)| sum + name.as_bytes().len() + 24 + value.memory_bytes());
        if ordered {
            self.last_sensitive = Some(self.ops.len());
        }
        self.ops.push(LandingOp::Append { table, columns });
        self.sources.push(source);
    }

    fn row(&mut self, source: Source, ordered: bool, row: RowKey, change: Change) {
        if ordered {
            return self.add_ordered(source, row, change);
        }
        match self.last.get(&row) {
            Some(&(at, _)) => self.merge(at, source, change),
            None => self.push(source, row, None, change),
        }
    }

    fn add_ordered(&mut self, source: Source, row: RowKey, change: Change) {
        let known = self.last.get(&row).copied();
        let rule = known.map_or_else(|| self.rules.of(&row), |(_, rule)| rule);
        let sensitive = known
            .is_none_or(|(at, _)| !self.is_free(at, rule, &change) && !planted(Bug::MergesAcrossConstraints));
        let barrier = rule.is_none_or(|rule| rule.cascades) && may_delete(&change);
        let at = match known {
            Some((at, _)) if !sensitive || self.last_sensitive.is_none_or(|last| last <= at) => {
                self.merge(at, source, change);
                at
            }
            _ => {
                self.push(source, row, rule, change);
                self.ops.len() - 1
            }
        };
        if sensitive {
            self.last_sensitive = Some(at);
        }
        if barrier {
            self.last.clear();
        }
    }

    /// Whether no other row can depend on when `change` happens, given the last operation of its row.
    fn is_free(&self, at: usize, rule: Option<&Rule>, change: &Change) -> bool {
        let follows_upsert =
            matches!(self.ops.get(at), Some(LandingOp::Row { change: Change::Upsert(_), .. }));
        match (rule, change) {
            (Some(rule), Change::Upsert(upsert)) => {
                follows_upsert
                    && !upsert.replace
                    && upsert.columns.iter().all(|(name, _)| rule.free.contains(name))
            }
            _ => false,
        }
    }

    fn push(&mut self, source: Source, row: RowKey, rule: Option<&'a Rule>, change: Change) {
        self.bytes += row.as_bytes().len() + change.memory_bytes();
        self.last.insert(row.clone(), (self.ops.len(), rule));
        self.ops.push(LandingOp::Row { lane: source.lane, row, change });
        self.sources.push(source);
    }

    fn merge(&mut self, at: usize, source: Source, later: Change) {
        let Some(LandingOp::Row { lane, change, .. }) = self.ops.get_mut(at) else { return };
        *lane = source.lane;
        self.sources[at].take(source);
        if planted(Bug::DeleteForgotten) && later == Change::Delete {
            return;
        }
        if planted(Bug::BareDelta) && *change == Change::Delete {
            *change = later;
            return;
        }
        if columns(change).max(columns(&later)) <= MEASURED_COLUMNS_MAX {
            self.bytes = self.bytes.saturating_sub(change.memory_bytes());
            change.merge(later);
            self.bytes += change.memory_bytes();
        } else {
            self.bytes += later.memory_bytes();
            change.merge(later);
        }
    }

    /// The batch.
    pub(super) fn finish(mut self) -> Plan {
        if !self.ordered || planted(Bug::SortsWhatIsOrdered) {
            // Rows first, each once and sorted; events keep their order (the sort is stable).
            let mut both: Vec<(LandingOp, Source)> = self.ops.drain(..).zip(self.sources.drain(..)).collect();
            both.sort_by(|(a, _), (b, _)| {
                row_of(a).is_none().cmp(&row_of(b).is_none()).then(row_of(a).cmp(&row_of(b)))
            });
            (self.ops, self.sources) = both.into_iter().unzip();
        }
        Plan { ops: self.ops, sources: self.sources, tried: self.tried, ordered: self.ordered }
    }
}

impl Source {
    /// Covers what another change of the same row comes from as well.
    pub(super) fn take(&mut self, later: Source) {
        // Positions of two lanes do not compare: the letter names the lane of the last change.
        self.first = if self.lane == later.lane { self.first } else { later.first };
        (self.lane, self.last) = (later.lane, later.last);
        self.positions.extend(later.positions);
    }
}

/// Gives columns of an event other values.
fn edit(columns: &mut Vec<(Name, Value)>, edits: Vec<(Name, Value)>) {
    for (name, value) in edits {
        match columns.iter_mut().find(|(have, _)| *have == name) {
            Some((_, old)) => *old = value,
            None => columns.push((name, value)),
        }
    }
}

fn row_of(op: &LandingOp) -> Option<&RowKey> {
    match op {
        LandingOp::Row { row, .. } => Some(row),
        LandingOp::Append { .. } | LandingOp::Clear => None,
    }
}

fn columns(change: &Change) -> usize {
    match change {
        Change::Delete => 0,
        Change::Upsert(upsert) => upsert.columns.len(),
    }
}

fn may_delete(change: &Change) -> bool {
    !matches!(change, Change::Upsert(upsert) if !upsert.replace)
}

#[cfg(test)]
mod tests;
