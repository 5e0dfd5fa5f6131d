//! The tables of the simulated database, and what its statements do: constraints are really enforced.
//! All ops of a landing are applied here and nowhere else; it never looks at the log.

use std::sync::Arc;

use landfall::error::SinkError;
use landfall::model::row::RowName;
use landfall::model::{
    Catalogue, Change, Column, ColumnType, LoggedChange, Name, Reference, RowKey, Table, Value,
};
use landfall::sink::LandingOp;

use super::history::{Row, Rows, apply_op, event_id};

/// Key-values beside a plain table, a parent and its children, a table with a second unique index, and two tables of
/// events, one with a request id. Those that are hidden are not there.
pub(super) fn catalogue(hidden: &[&str]) -> Catalogue {
    let int = ColumnType::Int { min: i64::MIN, max: i64::MAX };
    let text = ColumnType::Text { chars_max: None };
    let column = |name: &str, kind: &ColumnType, nullable: bool| Column {
        name: name.into(),
        kind: kind.clone(),
        declared: "x".into(),
        nullable,
        has_default: false,
        default: None,
        generated: false,
    };
    let table = |name: &str, columns: Vec<Column>, key: Vec<usize>| Table {
        name: name.into(),
        columns,
        keyless_reason: key.is_empty().then(|| "it has no key".into()),
        primary_key: key,
        unique: Vec::new(),
        references: Vec::new(),
    };
    let id = || column("id", &int, false);
    let parent = Reference { columns: vec![1], table: "parent".into(), cascades: false };
    let tables = [
        table("page", vec![id(), column("views", &int, true), column("title", &text, true)], vec![0]),
        table("parent", vec![id(), column("name", &text, false)], vec![0]),
        Table {
            references: vec![parent],
            ..table(
                "child",
                vec![id(), column("parent_id", &int, false), column("state", &text, true)],
                vec![0],
            )
        },
        Table {
            unique: vec![vec![1]],
            ..table(
                "account",
                vec![id(), column("email", &text, true), column("owner", &text, true)],
                vec![0],
            )
        },
        Table {
            unique: vec![vec![0]],
            ..table("click", vec![column("request_id", &text, true), column("url", &text, true)], vec![])
        },
        table("reading", vec![column("id", &text, false), column("value", &int, true)], vec![]),
    ];
    Catalogue::new(tables.into_iter().filter(|table| !hidden.contains(&&*table.name)), Vec::new())
}

/// The same tables, with another unique index of `page`: it lands in another number of lanes then.
pub(super) fn with_unique_page(tables: &Catalogue) -> Catalogue {
    let change = |table: &Arc<Table>| match &*table.name {
        "page" => Table { unique: vec![vec![1, 2]], ..(**table).clone() },
        _ => (**table).clone(),
    };
    Catalogue::new(tables.tables().into_iter().map(change), tables.unmapped().to_vec())
}

fn refused(table: &str, reason: &str) -> SinkError {
    SinkError::Refused { table: table.into(), reason: reason.into() }
}

/// Runs one statement.
pub(super) fn statement(rows: &mut Rows, op: &LandingOp) -> Result<(), SinkError> {
    match op {
        LandingOp::Clear => {
            rows.apply(&LoggedChange::Clear);
            Ok(())
        }
        LandingOp::Append { table, columns } => {
            let count = rows.events.entry((table.clone(), event_id(columns))).or_default();
            *count = if &**table == "click" { 1 } else { *count + 1 };
            Ok(())
        }
        LandingOp::Row { row, change, .. } => match row.decode() {
            Ok(RowName::Table { table, key }) => {
                let table = table.to_owned();
                let id = match key.first() {
                    Some(Value::Int(id)) => *id,
                    _ => return Err(refused(&table, "no such key")),
                };
                change_row(rows, &table, id, row, change)
            }
            Ok(RowName::Key(_)) => {
                rows.apply(&LoggedChange::Row { row: row.clone(), change: change.clone() });
                Ok(())
            }
            Err(_) => Err(refused("?", "a row identity that does not decode")),
        },
    }
}

fn change_row(rows: &mut Rows, table: &str, id: i64, row: &RowKey, change: &Change) -> Result<(), SinkError> {
    let Change::Upsert(upsert) = change else {
        if table == "parent" && has_children(rows, id) {
            return Err(refused(table, "FOREIGN KEY constraint failed"));
        }
        rows.rows.remove(row);
        return Ok(());
    };
    let mut columns = match rows.rows.get(row).filter(|_| !upsert.replace) {
        Some(columns) => (**columns).clone(),
        None => Row::new(),
    };
    upsert.columns.iter().for_each(|(name, op)| apply_op(&mut columns, name, op));
    let value = |name: &str| columns.get(&Name::column(name));
    match table {
        "parent" if value("name").is_none() => return Err(refused(table, "NOT NULL constraint failed")),
        "child" => match value("parent_id") {
            None => return Err(refused(table, "NOT NULL constraint failed")),
            Some(parent)
                if !rows.rows.contains_key(&RowKey::of_table("parent", std::slice::from_ref(parent))) =>
            {
                return Err(refused(table, "FOREIGN KEY constraint failed"));
            }
            Some(_) => {}
        },
        "account" => {
            let email = value("email");
            let taken = of_table(rows, "account").any(|(key, other)| {
                key != row && email.is_some() && other.get(&Name::column("email")) == email
            });
            if taken {
                return Err(refused(table, "UNIQUE constraint failed"));
            }
        }
        _ => {}
    }
    rows.rows.insert(row.clone(), Arc::new(columns));
    Ok(())
}

/// The rows of a table.
pub(super) fn of_table<'r>(
    rows: &'r Rows,
    table: &'r str,
) -> impl Iterator<Item = (&'r RowKey, &'r Arc<Row>)> {
    rows.rows
        .iter()
        .filter(move |(row, _)| matches!(row.decode(), Ok(RowName::Table { table: of, .. }) if of == table))
}

/// Whether children refer to a parent.
pub(super) fn has_children(rows: &Rows, parent: i64) -> bool {
    let parent = Value::Int(parent);
    of_table(rows, "child").any(|(_, row)| row.get(&Name::column("parent_id")) == Some(&parent))
}
