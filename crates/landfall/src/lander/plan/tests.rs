//! Batches against a model database with foreign keys and a unique column: same state, no new refusal.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::{Column, ColumnType, Op, Reference, RowState, Table, Value};

const AT: Origin = Origin { lane: LaneId(1), position: 1, anchor: Anchor::START, number: 0 };

fn table(name: &str, columns: &[&str], unique: &[usize], references: &[(usize, &str, bool)]) -> Table {
    Table {
        name: name.into(),
        columns: columns
            .iter()
            .map(|name| Column {
                name: (*name).into(),
                kind: ColumnType::Int { min: i64::MIN, max: i64::MAX },
                declared: "integer".into(),
                nullable: *name != "need",
                has_default: false,
                default: None,
                generated: false,
            })
            .collect(),
        primary_key: vec![0],
        keyless_reason: None,
        unique: unique.iter().map(|&at| vec![at]).collect(),
        references: references
            .iter()
            .map(|&(column, table, cascades)| Reference {
                columns: vec![column],
                table: table.into(),
                cascades,
            })
            .collect(),
    }
}

/// `firm` may not lose a `plane` that flies for it; a `plane` takes its `seat`s with it.
fn catalogue() -> Catalogue {
    Catalogue::new(
        [
            table("firm", &["id", "code", "size"], &[1], &[]),
            table("plane", &["id", "firm", "age", "need"], &[], &[(1, "firm", false)]),
            table("seat", &["id", "plane", "no", "price"], &[2], &[(1, "plane", true)]),
        ],
        Vec::new(),
    )
}

/// A database that checks as real ones do, one statement after the other.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model(BTreeMap<(String, i64), BTreeMap<Name, Value>>);

impl Model {
    fn run(&mut self, catalogue: &Catalogue, row: &RowKey, change: &Change) -> Result<(), String> {
        let Ok(RowName::Table { table, key }) = row.decode() else { return Err("key".into()) };
        let Value::Int(id) = key[0] else { return Err("key".into()) };
        let at = (table.to_string(), id);
        let after: RowState = change.apply(self.0.get(&at).cloned());
        let mut next = self.clone();
        match after {
            None => next.delete(catalogue, &at)?,
            Some(columns) => {
                next.0.insert(at.clone(), columns);
                next.check(catalogue, &at)?;
            }
        }
        *self = next;
        Ok(())
    }

    fn delete(&mut self, catalogue: &Catalogue, at: &(String, i64)) -> Result<(), String> {
        if self.0.remove(at).is_none() {
            return Ok(());
        }
        for child in catalogue.tables() {
            for reference in child.references.iter().filter(|reference| reference.table == at.0) {
                let column = Name::column(&child.columns[reference.columns[0]].name);
                let referring: Vec<_> = self
                    .0
                    .iter()
                    .filter(|(row, columns)| {
                        *row.0 == *child.name && columns.get(&column) == Some(&Value::Int(at.1))
                    })
                    .map(|(row, _)| row.clone())
                    .collect();
                if !reference.cascades && !referring.is_empty() {
                    return Err("still referenced".into());
                }
                for row in referring {
                    self.delete(catalogue, &row)?;
                }
            }
        }
        Ok(())
    }

    fn check(&self, catalogue: &Catalogue, at: &(String, i64)) -> Result<(), String> {
        let table = catalogue.table(&at.0).ok_or("no table")?;
        let columns = &self.0[at];
        for column in table.columns.iter().filter(|column| !column.nullable) {
            columns.get(&Name::column(&column.name)).ok_or("NULL in a needed column")?;
        }
        for reference in &table.references {
            let name = Name::column(&table.columns[reference.columns[0]].name);
            if let Some(Value::Int(id)) = columns.get(&name) {
                self.0.get(&(reference.table.clone(), *id)).ok_or("no parent")?;
            }
        }
        for unique in &table.unique {
            let name = Name::column(&table.columns[unique[0]].name);
            let Some(value) = columns.get(&name) else { continue };
            let twins = self.0.iter().filter(|(row, other)| row.0 == at.0 && other.get(&name) == Some(value));
            if twins.count() > 1 {
                return Err("not unique".into());
            }
        }
        Ok(())
    }
}

fn row(table: &str, id: i64) -> RowKey {
    RowKey::of_table(table, &[Value::Int(id)])
}

fn some_change() -> impl Strategy<Value = (RowKey, Change)> {
    let table = prop::sample::select(vec![
        ("firm", ["code", "size", "size"]),
        ("plane", ["firm", "age", "need"]),
        ("seat", ["plane", "no", "price"]),
    ]);
    let value = prop_oneof![1 => Just(Value::Null), 6 => (1i64..4).prop_map(Value::Int)];
    let op = (0usize..3, value, any::<bool>());
    (table, 1i64..4, prop::collection::vec(op, 0..3), 0u8..10).prop_map(|((table, names), id, ops, kind)| {
        let columns = ops.into_iter().map(|(at, value, add)| {
            let op = if add && names[at] != "need" && at > 0 { Op::Add(value) } else { Op::Assign(value) };
            (Name::column(names[at]), op)
        });
        let change = match kind {
            0 | 1 => Change::Delete,
            2 => Change::upsert(true, columns),
            _ => Change::upsert(false, columns),
        };
        (row(table, id), change)
    })
}

fn plan(catalogue: &Catalogue, ordered: bool, changes: &[(RowKey, Change)]) -> Plan {
    let rules = Rules::new(catalogue);
    let parked = Parked::default();
    let mut planner = Planner::new(&rules, &LanderSettings::default(), &parked, false);
    for (row, change) in changes {
        planner.add(AT, ordered, LoggedChange::Row { row: row.clone(), change: change.clone() });
    }
    planner.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Shows S7: no order of the planned operations is refused where the acknowledged order is not.
    #[test]
    fn a_planned_batch_ends_where_single_changes_end_and_is_never_refused(
        before in prop::collection::vec(some_change(), 0..12),
        wished in prop::collection::vec(some_change(), 0..30),
    ) {
        let catalogue = catalogue();
        let mut start = Model::default();
        for (row, change) in &before {
            let _ = start.run(&catalogue, row, change);
        }
        let mut single = start.clone();
        let accepted: Vec<_> =
            wished.into_iter().filter(|(row, change)| single.run(&catalogue, row, change).is_ok()).collect();
        let mut batched = start;
        for op in plan(&catalogue, true, &accepted).ops {
            let LandingOp::Row { row, change, .. } = op else { unreachable!("no events here") };
            let ran = batched.run(&catalogue, &row, &change);
            prop_assert!(ran.is_ok(), "{:?} of {:?} {:?}", ran, row, change);
        }
        prop_assert_eq!(single, batched);
    }

    #[test]
    fn a_batch_without_constraints_holds_each_row_once_and_sorted(
        changes in prop::collection::vec(some_change(), 0..40),
    ) {
        let planned = plan(&catalogue(), false, &changes);
        let rows: Vec<_> = planned.ops.iter().filter_map(row_of).collect();
        prop_assert!(rows.is_sorted_by(|a, b| a < b));
        for op in &planned.ops {
            let LandingOp::Row { row, change, .. } = op else { unreachable!("no events here") };
            let single = changes.iter().filter(|(other, _)| other == row);
            prop_assert_eq!(change.apply(None), single.fold(None, |state, (_, change)| change.apply(state)));
        }
    }
}

fn put(table: &str, id: i64, columns: &[(&str, i64)]) -> (RowKey, Change) {
    let columns = columns.iter().map(|&(name, value)| (Name::column(name), Value::Int(value)));
    (row(table, id), Change::put(columns))
}

/// Shows S3.
#[test]
fn five_updates_of_a_free_column_are_one_operation_among_others() {
    let mut changes = Vec::new();
    for n in 0..5 {
        changes.push(put("firm", 1, &[("size", n)]));
        changes.push(put("firm", 2, &[("size", 10 + n)]));
    }
    let planned = plan(&catalogue(), true, &changes);
    let expected = [put("firm", 1, &[("size", 4)]), put("firm", 2, &[("size", 14)])];
    let planned: Vec<_> = planned
        .ops
        .into_iter()
        .map(|op| match op {
            LandingOp::Row { row, change, .. } => (row, change),
            LandingOp::Append { .. } | LandingOp::Clear => unreachable!("only rows here"),
        })
        .collect();
    assert_eq!(planned, expected);
}

#[test]
fn a_swap_of_two_unique_values_stays_a_sequence() {
    let changes =
        [put("firm", 1, &[("code", 3)]), put("firm", 2, &[("code", 1)]), put("firm", 1, &[("code", 2)])];
    assert_eq!(plan(&catalogue(), true, &changes).ops.len(), 3);
}

#[test]
fn nothing_merges_across_a_delete_that_cascades() {
    let changes = [
        put("seat", 1, &[("plane", 1), ("price", 5)]),
        (row("plane", 1), Change::Delete),
        put("seat", 1, &[("price", 6)]),
    ];
    assert_eq!(plan(&catalogue(), true, &changes).ops.len(), 3);
}

#[test]
fn a_row_of_an_unordered_group_merges_freely_beside_an_ordered_one() {
    let catalogue = catalogue();
    let rules = Rules::new(&catalogue);
    let parked = Parked::default();
    let mut planner = Planner::new(&rules, &LanderSettings::default(), &parked, false);
    let view = |n| LoggedChange::Row {
        row: RowKey::of_key(b"views"),
        change: Change::add(Name::from_bytes(Name::STRING), Value::Int(n)),
    };
    planner.add(Origin { lane: LaneId(2), ..AT }, false, view(1));
    let (row, change) = put("firm", 1, &[("code", 3)]);
    planner.add(AT, true, LoggedChange::Row { row, change });
    planner.add(Origin { lane: LaneId(2), ..AT }, false, view(2));
    let planned = planner.finish();
    assert!(planned.ordered);
    assert_eq!(planned.ops.len(), 2);
    let LandingOp::Row { change, .. } = &planned.ops[0] else { unreachable!("no events here") };
    assert_eq!(change, &Change::add(Name::from_bytes(Name::STRING), Value::Int(3)));
}

#[test]
fn events_are_never_merged_and_keep_their_order() {
    let rules = Rules::new(&Catalogue::default());
    let parked = Parked::default();
    let mut planner = Planner::new(&rules, &LanderSettings::default(), &parked, false);
    for n in [3, 1, 2] {
        let columns = vec![(Name::column("n"), Value::Int(n))];
        planner.add(AT, false, LoggedChange::Append { table: "click".into(), columns });
        planner.add(AT, false, LoggedChange::Row { row: RowKey::of_key(b"k"), change: Change::Delete });
    }
    let ops = planner.finish().ops;
    let events: Vec<_> = ops
        .iter()
        .filter_map(|op| match op {
            LandingOp::Append { columns, .. } => Some(columns[0].1.clone()),
            LandingOp::Row { .. } | LandingOp::Clear => None,
        })
        .collect();
    assert_eq!(events, [Value::Int(3), Value::Int(1), Value::Int(2)]);
    assert_eq!(ops.len(), 4);
}

#[test]
fn a_hot_row_fills_neither_rows_nor_bytes() {
    let rules = Rules::new(&Catalogue::default());
    let parked = Parked::default();
    let mut planner = Planner::new(&rules, &LanderSettings::default(), &parked, false);
    for _ in 0..100_000 {
        let change = Change::add(Name::from_bytes(Name::STRING), Value::Int(1));
        planner.add(AT, false, LoggedChange::Row { row: RowKey::of_key(b"hot"), change });
        assert!(planner.has_room());
    }
    assert_eq!(planner.finish().ops.len(), 1);
}

#[test]
fn a_batch_is_full_at_its_rows_and_at_its_bytes() {
    let rules = Rules::new(&Catalogue::default());
    let settings = LanderSettings { batch_rows_max: 3, batch_bytes_max: 1_000, ..LanderSettings::default() };
    let fill = |text: &str| {
        let parked = Parked::default();
        let mut planner = Planner::new(&rules, &settings, &parked, false);
        let mut rows = 0u8;
        while planner.has_room() {
            let change = Change::put([(Name::from_bytes(Name::STRING), Value::from(text))]);
            planner.add(AT, false, LoggedChange::Row { row: RowKey::of_key(&[rows]), change });
            rows += 1;
        }
        rows
    };
    assert_eq!(fill("short"), 3);
    assert_eq!(fill(&"long".repeat(200)), 2);
}
