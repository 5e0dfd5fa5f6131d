//! Cuts a landing into statements: operations of one table and one shape go together, as far as their order allows.
//! Pure. No statement ever holds a row twice.

use std::collections::{HashMap, HashSet};

use super::key_value::KeyOp;
use crate::error::SinkError;
use crate::model::row::RowName;
use crate::model::{Change, Name, Op, Upsert, Value};
use crate::sink::parts::row_name;
use crate::sink::{Landing, LandingOp};

/// Rows of one statement. Sorted by key, 10,000 cost a fifth less each than 5,000: more of them share a page of the table.
const ROWS_MAX: usize = 10_000;
/// What one statement may hold, in bytes of memory; an array of PostgreSQL ends at a gigabyte of text.
const BYTES_MAX: usize = 16 << 20;

/// What one statement, or one for each part of a key, does.
#[derive(Debug)]
pub(super) enum Work<'l> {
    Clear,
    Keys(Vec<KeyOp<'l>>),
    Delete { table: &'l str, keys: Vec<Vec<Value>> },
    Upsert { table: &'l str, rows: Vec<(Vec<Value>, &'l Upsert)> },
    Append { table: &'l str, rows: Vec<&'l [(Name, Value)]> },
}

/// What operations that go together have in common.
#[derive(PartialEq, Eq, Hash)]
enum Shape<'l> {
    Clear,
    Key,
    Delete(&'l str),
    Upsert(&'l str, bool, Vec<(&'l Name, bool)>),
    Append(&'l str, Vec<&'l Name>),
}

/// The statements of a landing, in the order in which they run.
pub(super) fn plan(landing: &Landing) -> Result<Vec<Work<'_>>, SinkError> {
    let mut done = Vec::new();
    let mut run = Run::default();
    for op in &landing.ops {
        let row = match op {
            LandingOp::Row { row, .. } => Some(row.as_bytes()),
            LandingOp::Clear | LandingOp::Append { .. } => None,
        };
        let target = target(op)?;
        // Most operations have the shape of the one before, and that is seen without making a shape.
        let like_the_last =
            run.last.is_some_and(|(last, table, _)| table == target.table() && is_alike(last, op));
        let shape = (!like_the_last).then(|| shape_of(&target));
        let is_known = like_the_last || shape.as_ref().is_some_and(|shape| run.places.contains_key(shape));
        let is_next = !landing.ordered || is_known || run.places.is_empty();
        if !is_next || row.is_some_and(|row| run.rows.contains(row)) {
            run.end(landing.ordered, &mut done);
        }
        run.rows.extend(row);
        run.add(shape, op, target);
    }
    run.end(landing.ordered, &mut done);
    Ok(done)
}

/// An operation, with the name of its row taken apart.
enum Target<'l> {
    Clear,
    Event(&'l str, &'l [(Name, Value)]),
    Key(KeyOp<'l>),
    Row(&'l str, Vec<Value>, &'l Change),
}

fn target(op: &LandingOp) -> Result<Target<'_>, SinkError> {
    Ok(match op {
        LandingOp::Clear => Target::Clear,
        LandingOp::Append { table, columns } => Target::Event(table, columns),
        LandingOp::Row { lane, row, change } => match row_name(row)? {
            RowName::Key(key) => Target::Key((*lane, key, change)),
            RowName::Table { table, key } => Target::Row(table, key, change),
        },
    })
}

impl<'l> Target<'l> {
    /// The table of a row that is in one.
    fn table(&self) -> Option<&'l str> {
        match self {
            Target::Row(table, ..) => Some(table),
            Target::Clear | Target::Event(..) | Target::Key(_) => None,
        }
    }
}

/// Whether two operations, of rows of one table or of none, surely have the same shape.
fn is_alike(a: &LandingOp, b: &LandingOp) -> bool {
    match (a, b) {
        (LandingOp::Append { table, columns }, LandingOp::Append { table: other, columns: others }) => {
            table == other
                && columns.len() == others.len()
                && columns.iter().zip(others).all(|((name, _), (other, _))| name == other)
        }
        (
            LandingOp::Row { row, change: Change::Upsert(upsert), .. },
            LandingOp::Row { row: other, change: Change::Upsert(others), .. },
        ) => {
            let is_same = |((name, op), (other, others)): (&(Name, Op), &(Name, Op))| {
                name == other && matches!(op, Op::Add(_)) == matches!(others, Op::Add(_))
            };
            row.is_key_value() && other.is_key_value()
                || upsert.replace == others.replace
                    && upsert.columns.len() == others.columns.len()
                    && upsert.columns.iter().zip(&others.columns).all(is_same)
        }
        _ => false,
    }
}

/// One operation alone.
pub(super) fn alone(op: &LandingOp) -> Result<Work<'_>, SinkError> {
    target(op).map(work_of)
}

/// Operations whose order does not matter: each is of another row. In an ordered landing they have one shape.
#[derive(Default)]
struct Run<'l> {
    /// The last operation, the table of its row, and its place.
    last: Option<(&'l LandingOp, Option<&'l str>, usize)>,
    works: Vec<(Work<'l>, usize)>,
    places: HashMap<Shape<'l>, usize>,
    rows: HashSet<&'l [u8]>,
}

impl<'l> Run<'l> {
    /// Adds an operation; without a shape it is that of the last one.
    fn add(&mut self, shape: Option<Shape<'l>>, op: &'l LandingOp, target: Target<'l>) {
        let bytes = bytes_of(op);
        let table = target.table();
        let place = match &shape {
            Some(shape) => self.places.get(shape).copied(),
            None => self.last.map(|(_, _, at)| at),
        };
        let at = match place.and_then(|at| Some((at, self.works.get_mut(at)?))) {
            Some((at, (work, held))) if work.rows() < ROWS_MAX && *held + bytes <= BYTES_MAX => {
                work.take(work_of(target));
                *held += bytes;
                at
            }
            _ => {
                let shape = shape.unwrap_or_else(|| shape_of(&target));
                self.places.insert(shape, self.works.len());
                self.works.push((work_of(target), bytes));
                self.works.len() - 1
            }
        };
        self.last = Some((op, table, at));
    }

    fn end(&mut self, ordered: bool, done: &mut Vec<Work<'l>>) {
        let mut works: Vec<Work<'l>> = std::mem::take(self).works.into_iter().map(|(work, _)| work).collect();
        if !ordered {
            works.iter_mut().for_each(Work::sort);
            // Stable. All landings lock tables in one order.
            works.sort_by(|a, b| a.place().cmp(&b.place()));
        }
        done.append(&mut works);
    }
}

impl<'l> Work<'l> {
    pub(super) fn table(&self) -> &str {
        match self {
            Work::Clear | Work::Keys(_) => "landfall_key",
            Work::Delete { table, .. } | Work::Upsert { table, .. } | Work::Append { table, .. } => table,
        }
    }

    fn place(&self) -> (u8, &str) {
        match self {
            Work::Clear => (0, ""),
            Work::Keys(_) => (1, ""),
            Work::Delete { table, .. } | Work::Upsert { table, .. } => (2, table),
            Work::Append { table, .. } => (3, table),
        }
    }

    fn rows(&self) -> usize {
        match self {
            Work::Clear => ROWS_MAX,
            Work::Keys(ops) => ops.len(),
            Work::Delete { keys, .. } => keys.len(),
            Work::Upsert { rows, .. } => rows.len(),
            Work::Append { rows, .. } => rows.len(),
        }
    }

    fn take(&mut self, other: Work<'l>) {
        match (self, other) {
            (Work::Keys(ops), Work::Keys(more)) => ops.extend(more),
            (Work::Delete { keys, .. }, Work::Delete { keys: more, .. }) => keys.extend(more),
            (Work::Upsert { rows, .. }, Work::Upsert { rows: more, .. }) => rows.extend(more),
            (Work::Append { rows, .. }, Work::Append { rows: more, .. }) => rows.extend(more),
            _ => {}
        }
    }

    fn sort(&mut self) {
        match self {
            Work::Keys(ops) => ops.sort_by(|a, b| a.1.cmp(b.1)),
            Work::Delete { keys, .. } => keys.sort(),
            Work::Upsert { rows, .. } => rows.sort_by(|a, b| a.0.cmp(&b.0)),
            Work::Clear | Work::Append { .. } => {}
        }
    }
}

fn work_of(target: Target<'_>) -> Work<'_> {
    match target {
        Target::Clear => Work::Clear,
        Target::Event(table, columns) => Work::Append { table, rows: vec![columns] },
        Target::Key(op) => Work::Keys(vec![op]),
        Target::Row(table, key, Change::Delete) => Work::Delete { table, keys: vec![key] },
        Target::Row(table, key, Change::Upsert(upsert)) => Work::Upsert { table, rows: vec![(key, upsert)] },
    }
}

fn shape_of<'l>(target: &Target<'l>) -> Shape<'l> {
    match *target {
        Target::Clear => Shape::Clear,
        Target::Event(table, columns) => Shape::Append(table, columns.iter().map(|(name, _)| name).collect()),
        Target::Key(_) => Shape::Key,
        Target::Row(table, _, Change::Delete) => Shape::Delete(table),
        Target::Row(table, _, Change::Upsert(upsert)) => {
            let columns = upsert.columns.iter().map(|(name, op)| (name, matches!(op, Op::Add(_))));
            Shape::Upsert(table, upsert.replace, columns.collect())
        }
    }
}

fn bytes_of(op: &LandingOp) -> usize {
    match op {
        LandingOp::Clear => 0,
        LandingOp::Append { columns, .. } => columns.iter().map(|(_, value)| value.memory_bytes()).sum(),
        LandingOp::Row { row, change, .. } => row.as_bytes().len() + change.memory_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RowKey;
    use crate::sink::conformance::{op, put, row};

    fn works(ordered: bool, ops: Vec<LandingOp>) -> Vec<(String, usize)> {
        let landing = Landing {
            batch: [0; 16],
            time_ms: 0,
            lineage: crate::model::Lineage([0; 16]),
            lanes: Vec::new(),
            ops,
            letters: Vec::new(),
            ordered,
        };
        plan(&landing).unwrap().iter().map(|work| (work.table().to_owned(), work.rows())).collect()
    }

    fn ops() -> Vec<LandingOp> {
        let set = |table: &str, key| op(&row(table, key), put(&[("n", Value::Int(1))]));
        vec![set("b", 2), set("a", 1), set("b", 1), set("b", 2), op(&RowKey::of_key(b"k"), put(&[]))]
    }

    #[test]
    fn a_row_is_in_a_statement_once_and_tables_go_together_where_order_is_free() {
        let named =
            |parts: &[(&str, usize)]| parts.iter().map(|(t, n)| ((*t).to_owned(), *n)).collect::<Vec<_>>();
        assert_eq!(works(false, ops()), named(&[("a", 1), ("b", 2), ("landfall_key", 1), ("b", 1)]));
    }

    #[test]
    fn an_ordered_landing_joins_only_neighbours() {
        let tables: Vec<String> = works(true, ops()).into_iter().map(|(table, _)| table).collect();
        assert_eq!(tables, ["b", "a", "b", "landfall_key"]);
        let same = |keys: &[i64]| keys.iter().map(|&key| op(&row("t", key), put(&[]))).collect();
        assert_eq!(works(true, same(&[2, 1, 3])), [("t".to_owned(), 3)]);
    }
}
