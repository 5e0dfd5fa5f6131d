//! What is too much: for one statement, for a table, for SQLite. A landing is one transaction however large it is.

use super::*;
use crate::model::{Change, Name, Value};
use crate::sink::conformance::{Owner, op, put, refusal, row};

/// As many columns as SQLite lets a table have.
const COLUMNS: usize = 2000;
/// More values than one statement of SQLite takes.
const ROWS: i64 = 33_000;

#[test]
fn a_row_of_the_widest_table_lands_grows_and_is_read() {
    let names: Vec<String> = (1..COLUMNS).map(|n| format!("c{n}")).collect();
    let declared: String = names.iter().map(|name| format!(", {name} int")).collect();
    let fixture = with(&format!("CREATE TABLE wide (id INTEGER PRIMARY KEY{declared})"));
    let mut owner = Owner::new(&fixture);
    let wide = row("wide", 1);
    let ones: Vec<(&str, Value)> = names.iter().map(|name| (name.as_str(), Value::Int(1))).collect();
    let mut growth = Change::add(Name::column("c1"), Value::Int(1));
    for (name, one) in &ones[1..] {
        growth.merge(Change::add(Name::column(name), one.clone()));
    }
    for change in [put(&ones), growth] {
        owner.change(&wide, change).unwrap();
    }
    let columns = owner.load(&wide).unwrap();
    assert_eq!(columns.values().filter(|value| **value == Value::Int(2)).count(), names.len());
}

#[test]
fn a_batch_of_more_rows_than_a_statement_takes_values_lands_whole_or_not_at_all() {
    let fixture = with("CREATE TABLE n (id INTEGER PRIMARY KEY, i int CHECK (i > 0))");
    let mut owner = Owner::new(&fixture);
    let rows = |least: i64| -> Vec<_> {
        (0..ROWS).map(|id| op(&row("n", id), put(&[("i", Value::Int(least + id))]))).rev().collect()
    };
    assert_eq!(refusal(owner.land(rows(0))).0, "n");
    assert_eq!(fixture.one("SELECT count(*) FROM n"), "0");
    owner.land(rows(1)).unwrap();
    assert_eq!(fixture.one("SELECT count(*) FROM n"), ROWS.to_string());
    assert_eq!(owner.cell(&row("n", ROWS - 1), "i"), ROWS.to_string());
}

#[test]
fn a_row_that_grows_too_large_for_the_database_is_refused_for_its_table() {
    // What the row's own trigger makes of it is more than SQLite's bound for a value.
    let fixture = with(
        "CREATE TABLE n (id INTEGER PRIMARY KEY, i int, made blob);
         CREATE TRIGGER grows AFTER INSERT ON n BEGIN UPDATE n SET made = zeroblob(new.i) WHERE id = new.id; END;",
    );
    let mut owner = Owner::new(&fixture);
    let change = |bytes: i64| put(&[("i", Value::Int(bytes))]);
    let outcome =
        owner.land(vec![op(&row("n", 1), change(3)), op(&row("n", 2), change(i64::from(i32::MAX)))]);
    let (table, reason) = refusal(outcome);
    assert_eq!(table, "n");
    assert!(reason.contains("too big"), "{reason}");
    assert_eq!(fixture.one("SELECT count(*) FROM n"), "0");
    owner.change(&row("n", 1), change(3)).unwrap();
    assert_eq!(fixture.one("SELECT hex(made) FROM n"), "000000");
}
