//! Columns of a SQLite file, from the command to the row and back: defaults, numbers with a point, texts that SQLite
//! would turn into numbers. What was acknowledged has to land, and reads the same before and after.

use super::*;
use crate::engine::ops::numbers::fractions;
use crate::engine::ops::{fields, keys, numbers, strings};
use crate::sink::sqlite::{SqliteDatabase, SqliteSettings};

const SCHEMA: &str = "
    CREATE TABLE thing (
        id INTEGER PRIMARY KEY,
        state TEXT NOT NULL DEFAULT 'it''s new',
        price DECIMAL(10,2) NOT NULL DEFAULT 1.5,
        made TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
        weight REAL,
        count INTEGER,
        code UUID,
        extra JSON
    );";

/// An engine over such a table with one row; the folder holds the file.
fn world() -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("things.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    connection.execute("INSERT INTO thing (id, state, price) VALUES (1, 'used', 20)", []).unwrap();
    let database = SqliteDatabase::open(&file, SqliteSettings::default()).unwrap();
    let world = World::with(Arc::new(database), None, |_| {});
    (folder, world)
}

fn get(world: &World, key: &str) -> Option<String> {
    world.run(&[key], |unit, t| strings::get(unit, 0, &t[0])).map(|(value, _)| text(value)).unwrap()
}

/// What a cell reads as, which has to be the same when its row has landed and is read back.
fn settled(world: &World, key: &str) -> Option<String> {
    let before = get(world, key);
    world.land_and_forget();
    assert_eq!(get(world, key), before, "{key} changed when it landed");
    before
}

fn hdel(world: &World, column: &str) -> Result<usize, Refusal> {
    world
        .run(&["thing:1"], |unit, t| fields::delete(unit, 0, &t[0], &[column.as_bytes()]))
        .map(|(count, _)| count)
}

fn hset(world: &World, column: &str, value: &str) -> Result<usize, Refusal> {
    let pairs = [(column.as_bytes(), value.as_bytes())];
    world.run(&["thing:1"], |unit, t| fields::set(unit, 0, &t[0], &pairs)).map(|(count, _)| count)
}

#[test]
fn hdel_gives_a_column_that_is_not_null_its_default() {
    let (_folder, world) = world();
    assert_eq!(hdel(&world, "state").unwrap(), 1);
    assert_eq!(settled(&world, "thing:1:state").as_deref(), Some("it's new"));
    assert_eq!(hdel(&world, "price").unwrap(), 1);
    assert_eq!(settled(&world, "thing:1:price").as_deref(), Some("1.50"));
    hset(&world, "state", "used").unwrap();
    world.run(&["thing:1:state"], |unit, t| keys::delete(unit, 0, &t[0])).unwrap();
    assert_eq!(settled(&world, "thing:1:state").as_deref(), Some("it's new"));
}

#[test]
fn a_default_that_the_database_computes_and_an_explicit_null_are_refused() {
    let (_folder, world) = world();
    let refused = hdel(&world, "made").unwrap_err().to_string();
    assert!(
        refused.contains("thing.made is NOT NULL with a default that the database computes"),
        "{refused}"
    );
    let null = [("state", Value::Null)];
    let refused =
        world.run(&["thing:1"], |unit, t| fields::put(unit, 0, &t[0], &null)).unwrap_err().to_string();
    assert!(refused.contains("thing.state is TEXT NOT NULL"), "{refused}");
    assert_eq!(settled(&world, "thing:1:state").as_deref(), Some("used"));
}

#[test]
fn a_decimal_column_grows_exactly_and_answers_the_sum() {
    let (_folder, world) = world();
    let by = |column: &str, delta: &str| {
        let grown = world.run(&["thing:1"], |unit, t| {
            fractions::increment_field(unit, 0, &t[0], column.as_bytes(), delta.as_bytes())
        });
        grown.map(|(sum, _)| String::from_utf8(sum).unwrap()).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(by("price", "0.1").as_deref(), Ok("20.10"));
    assert_eq!(by("price", "0.20").as_deref(), Ok("20.30"));
    assert_eq!(settled(&world, "thing:1:price").as_deref(), Some("20.30"));
    assert!(by("price", "0.001").unwrap_err().contains("at most 2 digits behind the point"));
    assert!(by("price", "99999999").unwrap_err().contains("would overflow"));
    assert_eq!(by("count", "3").as_deref(), Ok("3"));
    assert!(by("count", "0.5").unwrap_err().contains("whole number"));
    assert_eq!(by("weight", "0.25").as_deref(), Ok("0.25"));
    assert_eq!(by("weight", "1e2").as_deref(), Ok("100.25"));
    assert_eq!(settled(&world, "thing:1:weight").as_deref(), Some("100.25"));
    assert!(by("weight", "1e400").is_err() && by("state", "1").is_err() && by("id", "1").is_err());
    assert_eq!(settled(&world, "thing:1:count").as_deref(), Some("3"));
}

#[test]
fn incr_works_on_a_decimal_column_while_the_sum_is_whole() {
    let (_folder, world) = world();
    let by = |column: &str, delta: i64| {
        let grown = world
            .run(&["thing:1"], |unit, t| numbers::increment_field(unit, 0, &t[0], column.as_bytes(), delta));
        grown.map(|(sum, _)| sum).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(by("price", 2), Ok(22));
    assert_eq!(settled(&world, "thing:1:price").as_deref(), Some("22.00"));
    assert_eq!(by("weight", -4), Ok(-4));
    assert_eq!(settled(&world, "thing:1:weight").as_deref(), Some("-4"));
    hset(&world, "price", "0.50").unwrap();
    assert!(by("price", 1).unwrap_err().contains("use INCRBYFLOAT or HINCRBYFLOAT"));
    assert_eq!(settled(&world, "thing:1:price").as_deref(), Some("0.50"));
}

#[test]
fn incrbyfloat_keeps_redis_semantics_on_key_value_keys() {
    let (_folder, world) = world();
    let by = |delta: &str| {
        let grown = world.run(&["n"], |unit, t| fractions::increment(unit, 0, &t[0], delta.as_bytes()));
        grown.map(|(sum, _)| String::from_utf8(sum).unwrap()).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(by("10.5").as_deref(), Ok("10.5"));
    assert_eq!(by("0.1").as_deref(), Ok("10.6"));
    assert_eq!(by("-5.6e0").as_deref(), Ok("5"));
    assert_eq!(by("x").unwrap_err(), "value is not a valid float");
    assert_eq!(settled(&world, "n").as_deref(), Some("5"));
}

#[test]
fn what_sqlite_would_turn_into_a_number_is_refused_before_it_is_acknowledged() {
    let (_folder, world) = world();
    for (column, value) in
        [("code", "123"), ("code", "1e5"), ("extra", "5"), ("extra", " 5.0 "), ("extra", "-1e3")]
    {
        let refused = hset(&world, column, value).unwrap_err().to_string();
        assert!(refused.contains(&format!("thing.{column} takes ")), "{refused}");
    }
    let uuid = "00000000-0000-4000-8000-0000000000E0";
    for (column, value) in [("code", uuid), ("extra", "[5]"), ("extra", "\"5\""), ("extra", "null")] {
        hset(&world, column, value).unwrap();
        assert_eq!(settled(&world, &format!("thing:1:{column}")).as_deref(), Some(value));
    }
}

#[test]
fn a_colon_that_was_not_escaped_is_told_with_the_column_that_there_is_not() {
    let (_folder, world) = world();
    let refused = world.engine.as_ref().unwrap().resolve(b"thing:1:30").unwrap_err().to_string();
    assert!(refused.contains("has no column '30'") && refused.contains("%3A"), "{refused}");
    let refused = hset(&world, "nothing", "1").unwrap_err().to_string();
    assert!(refused.contains("has no column 'nothing'") && !refused.contains("%3A"), "{refused}");
}
