//! What a write does to a row, and how two changes of one row become one.
//! The merge law: applying `a.merge(b)` equals applying `a`, then `b`, for every state of the row.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::letter::{Intent, LetterKey};
use super::name::Name;
use super::row::RowKey;
use super::value::Value;

/// A row as the model sees it: absent, or the columns that are not NULL.
pub type RowState = Option<BTreeMap<Name, Value>>;

/// What a change does to one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// The column gets this value; [`Value::Null`] clears it.
    Assign(Value),
    /// The column grows by this exact number; NULL and absent count as 0.
    Add(Value),
}

/// A change that leaves the row present.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Upsert {
    /// Start from an absent row: columns that are not named become NULL or their default.
    pub replace: bool,
    /// The columns, sorted by name, each once.
    pub columns: Vec<(Name, Op)>,
}

/// A change of one row.
///
/// ```
/// use landfall::model::{Change, Name, Op, Value};
/// let views = Name::column("views");
/// let mut change = Change::add(views.clone(), Value::Int(2));
/// change.merge(Change::add(views.clone(), Value::Int(3)));
/// assert_eq!(change, Change::add(views, Value::Int(5)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The row is gone.
    Delete,
    /// The row is there, with these columns changed.
    Upsert(Upsert),
}

/// One entry of a record's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedChange {
    /// A change of a row.
    Row {
        /// Which row.
        row: RowKey,
        /// What happens to it.
        change: Change,
    },
    /// An event: a new row of a table without a key that Landfall would know; never merged.
    Append {
        /// The table, as the catalogue spells it.
        table: Arc<str>,
        /// The columns that are given.
        columns: Vec<(Name, Value)>,
    },
    /// All key-value keys are gone. A record has it once for each lane of theirs, and all of these lanes.
    Clear,
    /// What a person asks of a dead letter.
    Letter {
        /// Which letter.
        key: LetterKey,
        /// What is asked.
        intent: Intent,
    },
}

impl Change {
    /// The columns get these values; the others stay.
    pub fn put(columns: impl IntoIterator<Item = (Name, Value)>) -> Change {
        Change::upsert(false, columns.into_iter().map(|(name, value)| (name, Op::Assign(value))))
    }

    /// The row becomes exactly this.
    pub fn replace(columns: impl IntoIterator<Item = (Name, Value)>) -> Change {
        Change::upsert(true, columns.into_iter().map(|(name, value)| (name, Op::Assign(value))))
    }

    /// The column grows by `delta`.
    pub fn add(column: Name, delta: Value) -> Change {
        Change::upsert(false, [(column, Op::Add(delta))])
    }

    /// An upsert from columns in any order; of a column that is named twice the last op counts.
    pub fn upsert(replace: bool, columns: impl IntoIterator<Item = (Name, Op)>) -> Change {
        let mut upsert = Upsert { replace, columns: Vec::new() };
        for (name, op) in columns {
            match upsert.place(&name) {
                Ok(at) => upsert.columns[at].1 = op,
                Err(at) => upsert.columns.insert(at, (name, op)),
            }
        }
        if replace {
            upsert.columns.iter_mut().for_each(|(_, op)| op.start_from_absent());
        }
        Change::Upsert(upsert)
    }

    /// Makes this change do what it did, and then what `later` does.
    pub fn merge(&mut self, later: Change) {
        let Change::Upsert(later) = later else {
            *self = Change::Delete;
            return;
        };
        if later.replace {
            *self = Change::Upsert(later);
            return;
        }
        match self {
            Change::Delete => {
                *self = Change::upsert(true, later.columns);
            }
            Change::Upsert(first) => first.merge(later),
        }
    }

    /// The row after this change.
    pub fn apply(&self, row: RowState) -> RowState {
        let Change::Upsert(upsert) = self else { return None };
        let mut columns = if upsert.replace { BTreeMap::new() } else { row.unwrap_or_default() };
        for (name, op) in &upsert.columns {
            let value = op.apply(columns.get(name));
            if value.is_null() {
                columns.remove(name);
            } else {
                columns.insert(name.clone(), value);
            }
        }
        Some(columns)
    }

    /// An estimate of the memory that the change holds, in bytes.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Change::Delete => 32,
            Change::Upsert(upsert) => upsert
                .columns
                .iter()
                .fold(32, |sum, (name, op)| sum + name.as_bytes().len() + 24 + op.value().memory_bytes()),
        }
    }
}

impl Upsert {
    fn place(&self, name: &Name) -> Result<usize, usize> {
        self.columns.binary_search_by(|(have, _)| have.cmp(name))
    }

    /// What this change does to `name`, or none.
    pub fn op(&self, name: &Name) -> Option<&Op> {
        self.place(name).ok().map(|at| &self.columns[at].1)
    }

    fn merge(&mut self, later: Upsert) {
        for (name, mut op) in later.columns {
            match self.place(&name) {
                Ok(at) => self.columns[at].1.merge(op),
                Err(at) => {
                    if self.replace {
                        op.start_from_absent();
                    }
                    self.columns.insert(at, (name, op));
                }
            }
        }
    }
}

impl Op {
    /// The value or the delta.
    pub fn value(&self) -> &Value {
        match self {
            Op::Assign(value) | Op::Add(value) => value,
        }
    }

    /// The column's value after this op.
    pub fn apply(&self, old: Option<&Value>) -> Value {
        match self {
            Op::Assign(value) => value.clone(),
            Op::Add(delta) => old.unwrap_or(&Value::Null).plus(delta),
        }
    }

    fn merge(&mut self, later: Op) {
        *self = match (&*self, later) {
            (_, Op::Assign(value)) => Op::Assign(value),
            (Op::Assign(value), Op::Add(delta)) => Op::Assign(value.plus(&delta)),
            (Op::Add(first), Op::Add(delta)) => Op::Add(first.plus(&delta)),
        };
    }

    /// On an absent row an `add` is a value, so that whoever lands it need not read the row.
    fn start_from_absent(&mut self) {
        if let Op::Add(delta) = self {
            *self = Op::Assign(Value::Null.plus(delta));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = Name> {
        prop::sample::select(vec!["a", "b", "c"]).prop_map(Name::column)
    }

    fn number() -> impl Strategy<Value = Value> {
        prop_oneof![
            (-5i64..5).prop_map(Value::Int),
            Just(Value::Int(i64::MAX)),
            Just(Value::Int(i64::MIN)),
            (-500i64..500, 0i64..4)
                .prop_map(|(n, scale)| Value::decimal(bigdecimal::BigDecimal::new(n.into(), scale))),
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![Just(Value::Null), number(), Just(Value::from("text"))]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![value().prop_map(Op::Assign), number().prop_map(Op::Add)]
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            1 => Just(Change::Delete),
            4 => (any::<bool>(), prop::collection::vec((name(), op()), 0..4))
                .prop_map(|(replace, columns)| Change::upsert(replace, columns)),
        ]
    }

    fn state() -> impl Strategy<Value = RowState> {
        prop::option::of(prop::collection::btree_map(
            name(),
            value().prop_filter("NULL is an absent field", |value| !value.is_null()),
            0..3,
        ))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Shows S3 and S12: a merged change does what the single ones did, one after the other.
        #[test]
        fn applying_a_merged_change_equals_applying_one_after_the_other(
            changes in prop::collection::vec(change(), 1..6), state in state()
        ) {
            let mut merged = changes[0].clone();
            changes[1..].iter().for_each(|later| merged.merge(later.clone()));
            let stepwise = changes.iter().fold(state.clone(), |row, change| change.apply(row));
            prop_assert_eq!(merged.apply(state), stepwise);
        }

        #[test]
        fn merging_is_associative(a in change(), b in change(), c in change()) {
            let mut left = a.clone();
            left.merge(b.clone());
            left.merge(c.clone());
            let mut tail = b;
            tail.merge(c);
            let mut right = a;
            right.merge(tail);
            prop_assert_eq!(left, right);
        }
    }

    #[test]
    fn delete_then_add_starts_from_zero() {
        let mut change = Change::Delete;
        change.merge(Change::add(Name::column("n"), Value::Int(3)));
        assert_eq!(change, Change::replace([(Name::column("n"), Value::Int(3))]));
    }

    #[test]
    fn put_then_delete_is_a_delete() {
        let mut change = Change::put([(Name::column("n"), Value::Int(3))]);
        change.merge(Change::Delete);
        assert_eq!(change, Change::Delete);
    }

    #[test]
    fn adding_to_null_counts_as_adding_to_zero() {
        let row = Change::put([(Name::column("n"), Value::Null)]).apply(None);
        let grown = Change::add(Name::column("n"), Value::Int(3)).apply(row);
        assert_eq!(grown, Some([(Name::column("n"), Value::Int(3))].into()));
    }
}
