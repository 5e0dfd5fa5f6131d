//! Tables that change while the log still owes: a record says which table and columns it means, whatever they look like now.

use super::*;
use crate::engine::ops::{fields, numbers, strings};
use crate::sink::sqlite::{SqliteDatabase, SqliteSettings};

/// An engine over a SQLite file with this table; the folder holds the file.
fn world(schema: &str) -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    raw(&folder).execute_batch(schema).unwrap();
    let database = SqliteDatabase::open(folder.path().join("app.db"), SqliteSettings::default()).unwrap();
    (folder, World::with(Arc::new(database), Some(StrictDisk::default()), |_| {}))
}

fn raw(folder: &tempfile::TempDir) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.path().join("app.db")).unwrap()
}

fn one(folder: &tempfile::TempDir, sql: &str) -> String {
    raw(folder).query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn what_is_owed_goes_to_the_columns_it_was_written_for_although_they_stand_elsewhere() {
    let (folder, mut world) = world("CREATE TABLE thing (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER)");
    world.engine().pause(None).unwrap();
    world
        .run(&["thing:1"], |unit, t| {
            fields::set(unit, 0, &t[0], &[(b"a", b"1"), (b"b", b"2")])?;
            numbers::add(unit, 0, &t[0], b"a", b"5")
        })
        .unwrap();
    let engine = world.engine.take().unwrap();
    assert_eq!(engine.close(Duration::ZERO).unwrap().changes, 1);
    drop(engine);
    let changed = "DROP TABLE thing; CREATE TABLE thing (c TEXT DEFAULT 'c', b INTEGER, id INTEGER PRIMARY KEY, a INTEGER)";
    raw(&folder).execute_batch(changed).unwrap();
    assert_eq!(world.open().owed_changes, 2);
    let (all, _) = world.run(&["thing:1:a"], |unit, t| strings::get(unit, 0, &t[0])).unwrap();
    assert_eq!(text(all).as_deref(), Some("6"));
    world.land_all();
    assert_eq!(one(&folder, "SELECT id || ' ' || a || ' ' || b || ' ' || c FROM thing"), "1 6 2 c");
}

#[test]
fn what_is_owed_to_a_key_stays_a_key_although_a_table_has_its_prefix_now() {
    let (folder, mut world) = world("");
    world.engine().pause(None).unwrap();
    let set = |unit: &mut Unit<'_>, t: &[Target]| {
        strings::set(unit, 0, &t[0], b"7", Default::default(), &[]).map(|_| ())
    };
    world.run(&["flight:1"], set).unwrap();
    let engine = world.engine.take().unwrap();
    assert_eq!(engine.close(Duration::ZERO).unwrap().changes, 1);
    drop(engine);
    raw(&folder).execute_batch("CREATE TABLE flight (id INTEGER PRIMARY KEY, seats INTEGER)").unwrap();
    assert_eq!(world.open().tables, ["flight"]);
    world.land_all();
    assert_eq!(one(&folder, "SELECT CAST(count(*) AS TEXT) FROM flight"), "0");
    assert_eq!(
        one(&folder, "SELECT CAST(value AS TEXT) FROM landfall_key WHERE key = CAST('flight:1' AS BLOB)"),
        "7"
    );
}
