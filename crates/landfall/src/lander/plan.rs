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
//! A row of a group without constraints that lands together with ordered groups (a record of several lanes)
//! keeps its own rule: its place among the others means nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::settings::LanderSettings;
use crate::model::row::RowName;
use crate::model::{Catalogue, Change, LaneId, LoggedChange, Name, RowKey};
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

/// What a batch will write.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The operations, in the order in which they run if `ordered`.
    pub(super) ops: Vec<LandingOp>,
    /// Whether the order of all operations counts.
    pub(super) ordered: bool,
}

/// Collects the changes of a batch.
pub(super) struct Planner<'a> {
    rules: &'a Rules,
    rows_max: usize,
    bytes_max: usize,
    ops: Vec<LandingOp>,
    /// The last operation of each row, and the rule of its table.
    last: HashMap<RowKey, (usize, Option<&'a Rule>)>,
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
    pub(super) fn new(rules: &'a Rules, settings: &LanderSettings) -> Planner<'a> {
        Planner {
            rules,
            rows_max: settings.batch_rows_max,
            bytes_max: settings.batch_bytes_max,
            ops: Vec::new(),
            last: HashMap::new(),
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
    pub(super) fn add(&mut self, lane: LaneId, ordered: bool, change: LoggedChange) {
        self.ordered |= ordered;
        match change {
            LoggedChange::Append { table, columns } => {
                self.bytes += columns
                    .iter()
                    .fold(32, |sum, (name, value)| sum + name.as_bytes().len() + 24 + value.memory_bytes());
                if ordered {
                    self.last_sensitive = Some(self.ops.len());
                }
                self.ops.push(LandingOp::Append { table, columns });
            }
            LoggedChange::Row { row, change } if ordered => self.add_ordered(lane, row, change),
            LoggedChange::Row { row, change } => match self.last.get(&row) {
                Some(&(at, _)) => self.merge(at, lane, change),
                None => self.push(lane, row, None, change),
            },
        }
    }

    fn add_ordered(&mut self, lane: LaneId, row: RowKey, change: Change) {
        let known = self.last.get(&row).copied();
        let rule = known.map_or_else(|| self.rules.of(&row), |(_, rule)| rule);
        let sensitive = known.is_none_or(|(at, _)| !self.is_free(at, rule, &change));
        let barrier = rule.is_none_or(|rule| rule.cascades) && may_delete(&change);
        let at = match known {
            Some((at, _)) if !sensitive || self.last_sensitive.is_none_or(|last| last <= at) => {
                self.merge(at, lane, change);
                at
            }
            _ => {
                self.push(lane, row, rule, change);
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

    fn push(&mut self, lane: LaneId, row: RowKey, rule: Option<&'a Rule>, change: Change) {
        self.bytes += row.as_bytes().len() + change.memory_bytes();
        self.last.insert(row.clone(), (self.ops.len(), rule));
        self.ops.push(LandingOp::Row { lane, row, change });
    }

    fn merge(&mut self, at: usize, lane: LaneId, later: Change) {
        let Some(LandingOp::Row { lane: owner, change, .. }) = self.ops.get_mut(at) else { return };
        *owner = lane;
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
        if !self.ordered {
            // Rows first, each once and sorted; events keep their order (the sort is stable).
            self.ops.sort_by(|a, b| {
                row_of(a).is_none().cmp(&row_of(b).is_none()).then(row_of(a).cmp(&row_of(b)))
            });
        }
        Plan { ops: self.ops, ordered: self.ordered }
    }
}

fn row_of(op: &LandingOp) -> Option<&RowKey> {
    match op {
        LandingOp::Row { row, .. } => Some(row),
        LandingOp::Append { .. } => None,
    }
}

fn columns(change: &Change) -> usize {
    match change {
        Change::Delete => 0,
        Change::Upsert(upsert) => upsert.columns.len(),
    }
}

fn may_delete(change: &Change) -> bool {
    match change {
        Change::Delete => true,
        Change::Upsert(upsert) => upsert.replace,
    }
}

#[cfg(test)]
mod tests;
