//! The suite of the seam against SQLite files, and what only SQLite does.

use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::sink::conformance::{self, suite};

mod files;
mod keys;
mod letters;
mod limits;
mod rows;

/// A database in a folder of its own, which goes with it.
struct Fixture {
    database: SqliteDatabase,
    dir: TempDir,
}

fn with(schema: &str) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let database = SqliteDatabase::open(dir.path().join("app.db"), SqliteSettings::default()).unwrap();
    database.set_up().unwrap();
    let fixture = Fixture { database, dir };
    fixture.raw().execute_batch(schema).unwrap();
    fixture
}

impl Fixture {
    /// A connection as another program would open one.
    fn raw(&self) -> Connection {
        Connection::open(self.database.path()).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// One value of the file as text, NULL as `-`.
    fn one(&self, sql: &str) -> String {
        let value = self.raw().query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
        match value {
            rusqlite::types::Value::Null => "-".into(),
            rusqlite::types::Value::Integer(n) => n.to_string(),
            rusqlite::types::Value::Real(n) => format!("real {n}"),
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Blob(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

impl Database for Fixture {
    fn describe(&self) -> String {
        self.database.describe()
    }

    fn identity(&self) -> Result<Option<[u8; 16]>, SinkError> {
        self.database.identity()
    }

    fn set_up(&self) -> Result<(), SinkError> {
        self.database.set_up()
    }

    fn catalogue(&self) -> Result<Catalogue, SinkError> {
        self.database.catalogue()
    }

    fn sink(&self, context: LandingContext) -> Result<Box<dyn Sink>, SinkError> {
        self.database.sink(context)
    }

    fn source(&self, context: LandingContext) -> Result<Box<dyn Source>, SinkError> {
        self.database.source(context)
    }

    fn sinks_max(&self) -> usize {
        self.database.sinks_max()
    }
}

suite!(with(conformance::TABLES));

#[test]
fn the_catalogue_is_what_the_tables_say() {
    let found = with(conformance::TABLES).catalogue().unwrap();
    for table in conformance::tables() {
        assert_eq!(**found.table(&table.name).unwrap(), table);
    }
    assert_eq!(found.tables().len(), conformance::tables().len());
}

#[test]
fn what_cannot_be_mapped_says_why() {
    let fixture = with(
        "CREATE TABLE plain (a text);
         CREATE TABLE folded (name text COLLATE NOCASE PRIMARY KEY);
         CREATE TABLE measured (at real PRIMARY KEY);
         CREATE TABLE spelled (id string PRIMARY KEY);
         CREATE TABLE Numbered (id INTEGER PRIMARY KEY, n int DEFAULT 5, twice int AS (n * 2) STORED);
         CREATE TABLE loose (id TEXT PRIMARY KEY, what, u uuid UNIQUE);
         CREATE TABLE child (id INTEGER PRIMARY KEY, up int REFERENCES NUMBERED ON DELETE SET NULL);
         CREATE UNIQUE INDEX partly ON child (up) WHERE id > 5;
         CREATE VIEW seen AS SELECT 1;
         CREATE VIRTUAL TABLE words USING fts5 (body);",
    );
    let catalogue = fixture.catalogue().unwrap();
    let reason = |table: &str| catalogue.table(table).unwrap().keyless_reason.clone().unwrap_or_default();
    for (table, part) in [
        ("plain", "no primary key"),
        ("folded", "NOCASE"),
        ("measured", "float"),
        ("spelled", "does not know"),
        ("Numbered", ""),
        ("loose", ""),
    ] {
        assert!(reason(table).contains(part), "{table}: {}", reason(table));
        assert_eq!(catalogue.table(table).unwrap().primary_key.is_empty(), !part.is_empty(), "{table}");
    }
    let numbered = catalogue.table("Numbered").unwrap();
    assert!(numbered.columns[0].has_default && !numbered.columns[0].nullable);
    assert!(numbered.columns[1].has_default && numbered.columns[2].generated);
    assert_eq!(numbered.required_columns().count(), 0);
    let loose = catalogue.table("loose").unwrap();
    assert_eq!((loose.columns[1].declared.as_str(), &loose.unique), ("(no type)", &vec![vec![2]]));
    let child = catalogue.table("child").unwrap();
    assert_eq!((child.references[0].table.as_str(), child.references[0].cascades), ("Numbered", true));
    assert_eq!(child.unique, vec![vec![0, 1]], "a partial index may depend on any column");
    let unmapped: Vec<_> = catalogue.unmapped().iter().map(|unmapped| &*unmapped.table).collect();
    assert_eq!(unmapped, ["seen", "words"]);
    assert!(catalogue.tables().iter().all(|table| !table.name.starts_with("landfall_")));
}
