//! The tables of the suite: as SQL, and as the catalogue that a database must read from it.
//! They are unkind on purpose: reserved words, a composite key, a table without one, foreign keys, decimals.

use crate::model::{Column, ColumnType, Reference, Table};

/// The tables of the suite as SQL, for databases that take it.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) const TABLES: &str = "
CREATE TABLE airline (airline_id smallint NOT NULL PRIMARY KEY, iata char(2) NOT NULL UNIQUE, airlinename varchar(30));
CREATE TABLE flight (flight_id int NOT NULL PRIMARY KEY, flightno char(8) NOT NULL, \"from\" smallint,
  departure timestamp NOT NULL, airline_id smallint REFERENCES airline (airline_id));
CREATE TABLE booking (booking_id int NOT NULL PRIMARY KEY, flight_id int NOT NULL REFERENCES flight (flight_id),
  seat char(4), price decimal(10,2) NOT NULL, UNIQUE (flight_id, seat));
CREATE TABLE meal (flight_id int NOT NULL PRIMARY KEY REFERENCES flight (flight_id) ON DELETE CASCADE, dish text);
CREATE TABLE page (id bigint NOT NULL PRIMARY KEY, views bigint, title varchar(50), score decimal(10,2), raw blob);
CREATE TABLE click (request_id char(36) UNIQUE, page bigint NOT NULL, at timestamp);
CREATE TABLE visit (visit_id bigint NOT NULL PRIMARY KEY, page bigint);
CREATE TABLE weatherdata (log_date date NOT NULL, time time NOT NULL, station int NOT NULL, temp decimal(3,1),
  PRIMARY KEY (log_date, time, station));
";

/// The same tables as a catalogue. SQLite spells its own types in capitals.
pub(crate) fn tables() -> Vec<Table> {
    let mut tables = constrained();
    tables.extend(free());
    tables
}

/// Airlines, flights and what hangs on them: foreign keys and second unique keys.
fn constrained() -> Vec<Table> {
    vec![
        table(
            "airline",
            &[
                ("airline_id", smallint(), "smallint!"),
                ("iata", text(Some(2)), "char(2)!"),
                ("airlinename", text(Some(30)), "varchar(30)"),
            ],
            &[0],
        )
        .unique(&[1]),
        table(
            "flight",
            &[
                ("flight_id", int(), "INT!"),
                ("flightno", text(Some(8)), "char(8)!"),
                ("from", smallint(), "smallint"),
                ("departure", ColumnType::Timestamp { digits_max: 6 }, "timestamp!"),
                ("airline_id", smallint(), "smallint"),
            ],
            &[0],
        )
        .references(4, "airline", false),
        table(
            "booking",
            &[
                ("booking_id", int(), "INT!"),
                ("flight_id", int(), "INT!"),
                ("seat", text(Some(4)), "char(4)"),
                ("price", decimal(10, 2), "decimal(10,2)!"),
            ],
            &[0],
        )
        .unique(&[1, 2])
        .references(1, "flight", false),
        table("meal", &[("flight_id", int(), "INT!"), ("dish", text(None), "TEXT")], &[0])
            .references(0, "flight", true),
    ]
}

/// Tables that nothing joins.
fn free() -> Vec<Table> {
    vec![
        table(
            "page",
            &[
                ("id", int(), "bigint!"),
                ("views", int(), "bigint"),
                ("title", text(Some(50)), "varchar(50)"),
                ("score", decimal(10, 2), "decimal(10,2)"),
                ("raw", ColumnType::Bytes, "BLOB"),
            ],
            &[0],
        ),
        table(
            "click",
            &[
                ("request_id", text(Some(36)), "char(36)"),
                ("page", int(), "bigint!"),
                ("at", ColumnType::Timestamp { digits_max: 6 }, "timestamp"),
            ],
            &[],
        )
        .unique(&[0]),
        table("visit", &[("visit_id", int(), "bigint!"), ("page", int(), "bigint")], &[0]),
        table(
            "weatherdata",
            &[
                ("log_date", ColumnType::Date, "date!"),
                ("time", ColumnType::Time { digits_max: 6 }, "time!"),
                ("station", int(), "INT!"),
                ("temp", decimal(3, 1), "decimal(3,1)"),
            ],
            &[0, 1, 2],
        ),
    ]
}

fn int() -> ColumnType {
    ColumnType::Int { min: i64::MIN, max: i64::MAX }
}

fn smallint() -> ColumnType {
    ColumnType::Int { min: -32768, max: 32767 }
}

fn text(chars_max: Option<u32>) -> ColumnType {
    ColumnType::Text { chars_max }
}

fn decimal(precision: u32, scale: u32) -> ColumnType {
    ColumnType::Decimal { precision, scale }
}

/// A table of columns (name, kind, declared type, `!` behind it for NOT NULL).
fn table(name: &str, columns: &[(&str, ColumnType, &str)], key: &[usize]) -> Table {
    let columns = columns.iter().map(|(name, kind, declared)| Column {
        name: (*name).into(),
        kind: kind.clone(),
        declared: declared.trim_end_matches('!').into(),
        nullable: !declared.ends_with('!'),
        has_default: false,
        default: None,
        generated: false,
    });
    let keyless = || "it has no primary key, so it takes events only (XADD)".to_owned();
    Table {
        name: name.into(),
        columns: columns.collect(),
        primary_key: key.into(),
        keyless_reason: key.is_empty().then(keyless),
        unique: Vec::new(),
        references: Vec::new(),
    }
}

impl Table {
    fn unique(mut self, columns: &[usize]) -> Table {
        self.unique.push(columns.into());
        self
    }

    fn references(mut self, column: usize, table: &str, cascades: bool) -> Table {
        self.references.push(Reference { columns: vec![column], table: table.into(), cascades });
        self
    }
}
