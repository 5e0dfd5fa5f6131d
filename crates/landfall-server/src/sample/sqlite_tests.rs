//! The sample in a real SQLite database; must never load more than a day of the full timetable.

use rusqlite::Connection;

use super::Progress;
use super::airport::{Airport, BookingRow, DEFAULT_SEED, DEPARTMENTS, Days, FlightRow, Row, Scale, WEATHER};
use super::schema::TABLES;
use super::sqlite::{LoadError, load_sqlite};

fn tiny() -> Airport {
    Airport::new(Scale::Tiny, DEFAULT_SEED)
}

fn loaded() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    load_sqlite(&mut connection, &tiny(), &mut |_| {}).unwrap();
    connection
}

fn number(connection: &Connection, query: &str) -> i64 {
    connection.query_row(query, [], |row| row.get(0)).unwrap()
}

fn columns(connection: &Connection, table: &str) -> Vec<(String, String)> {
    let mut statement = connection.prepare("SELECT name, type FROM pragma_table_info(?1)").unwrap();
    let columns = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    columns.collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_loaded_sample_is_sound_and_its_foreign_keys_hold() {
    let connection = loaded();
    let integrity: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok");
    assert_eq!(number(&connection, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    assert_eq!(number(&connection, "SELECT count(*) FROM pragma_foreign_key_list('flight')"), 4);
    assert!(connection.is_autocommit());
}

#[test]
fn a_day_of_the_full_timetable_loads_in_several_transactions() {
    let mut connection = Connection::open_in_memory().unwrap();
    let day = Airport::new(Scale::Days(Days::new(1).unwrap()), DEFAULT_SEED);
    load_sqlite(&mut connection, &day, &mut |_| {}).unwrap();
    assert!(connection.is_autocommit());
    assert_eq!(number(&connection, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    assert_eq!(number(&connection, r#"SELECT count(*) FROM "flight""#) as u64, day.flight_count());
    assert_eq!(number(&connection, r#"SELECT count(*) FROM "booking""#) as u64, day.booking_count());
    let fixed = r#"SELECT count(*) FROM "flight" WHERE "flight_id" = 115 AND "flightno" = 'AM5136'"#;
    assert_eq!(number(&connection, fixed), 1);
}

#[test]
fn flight_115_reads_back_with_names_dates_and_codes() {
    let query = r#"SELECT f."flightno", a."iata", b."iata", l."airlinename", f."departure", f."arrival" FROM "flight" f
        JOIN "airport" a ON a."airport_id" = f."from" JOIN "airport" b ON b."airport_id" = f."to"
        JOIN "airline" l USING ("airline_id") WHERE f."flight_id" = 115"#;
    let texts: Vec<String> = loaded()
        .query_row(query, [], |row| (0..6).map(|column| row.get(column)).collect::<Result<_, _>>())
        .unwrap();
    assert_eq!(
        texts,
        ["AM5136", "YPC", "XGR", "American Samoa Airlines", "2025-10-01T11:19:00", "2025-10-01T15:03:00"]
    );
}

#[test]
fn the_tables_have_the_columns_that_the_rows_bring() {
    let connection = loaded();
    let names = |table| columns(&connection, table).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names("flight"), FlightRow::COLUMNS);
    assert_eq!(names("booking"), BookingRow::COLUMNS);
    // SQLite itself spells some of its own type names, `int` among them, in upper case.
    let declared = |table: &str| {
        columns(&connection, table).into_iter().map(|(_, kind)| kind.to_lowercase()).collect::<Vec<_>>()
    };
    assert_eq!(
        declared("flight"),
        ["int", "char(8)", "smallint", "smallint", "timestamp", "timestamp", "smallint", "int"]
    );
    assert_eq!(declared("airport_geo")[4..], ["decimal(11,8)", "decimal(11,8)"]);
    assert_eq!(names("flight_log").len(), 18);
}

#[test]
fn every_value_keeps_the_length_that_its_column_declares() {
    let connection = loaded();
    for (table, _) in TABLES {
        for (column, declared) in columns(&connection, table) {
            let Some((kind, rest)) = declared.split_once('(') else { continue };
            if !kind.ends_with("char") {
                continue;
            }
            let limit = rest.trim_end_matches(')');
            let query = format!(r#"SELECT count(*) FROM "{table}" WHERE length("{column}") > {limit}"#);
            assert_eq!(number(&connection, &query), 0, "{table}.{column}");
        }
    }
}

#[test]
fn dates_and_times_are_text_and_booleans_are_0_or_1() {
    let connection = loaded();
    let query = r#"SELECT count(*) FROM "flightschedule"
        WHERE typeof("departure") <> 'text' OR length("arrival") <> 8 OR "monday" NOT IN (0, 1)"#;
    assert_eq!(number(&connection, query), 0);
    let query = r#"SELECT count(*) FROM "weatherdata" WHERE "log_date" NOT GLOB '2025-10-0[1-6]' OR "time" NOT GLOB '??:00:00'"#;
    assert_eq!(number(&connection, query), 0);
}

#[test]
fn the_checks_hold_exactly_the_values_that_the_generator_draws() {
    let definition = |name| TABLES.iter().find(|(table, _)| *table == name).unwrap().1;
    for (table, values) in [("employee", &DEPARTMENTS[..]), ("weatherdata", &WEATHER[..])] {
        assert_eq!(definition(table).matches('\'').count(), 2 * values.len());
        assert!(values.iter().all(|value| definition(table).contains(&format!("'{value}'"))));
    }
}

#[test]
fn a_seat_is_taken_once_and_a_deleted_passenger_takes_the_details_along() {
    let connection = loaded();
    let taken = r#"INSERT INTO "booking" SELECT 999999, "flight_id", "seat", "passenger_id", 1 FROM "booking"
        WHERE "seat" IS NOT NULL LIMIT 1"#;
    assert!(connection.execute(taken, []).is_err());
    connection.execute(r#"DELETE FROM "booking" WHERE "passenger_id" = 1"#, []).unwrap();
    connection.execute(r#"DELETE FROM "passenger" WHERE "passenger_id" = 1"#, []).unwrap();
    assert_eq!(number(&connection, r#"SELECT count(*) FROM "passengerdetails" WHERE "passenger_id" = 1"#), 0);
}

#[test]
fn progress_reaches_the_total_of_every_table_and_the_total_is_true() {
    let mut connection = Connection::open_in_memory().unwrap();
    let mut last: Vec<Progress> = Vec::new();
    load_sqlite(&mut connection, &tiny(), &mut |progress| {
        if last.last().is_some_and(|before| before.table == progress.table) {
            assert!(last.pop().is_some_and(|before| before.rows_done <= progress.rows_done));
        }
        last.push(progress);
    })
    .unwrap();
    assert_eq!(
        last.iter().map(|progress| progress.table).collect::<Vec<_>>(),
        TABLES.map(|(table, _)| table)
    );
    for progress in last {
        let rows = number(&connection, &format!(r#"SELECT count(*) FROM "{}""#, progress.table)) as u64;
        assert_eq!((progress.rows_done, progress.rows_total), (rows, rows), "{}", progress.table);
    }
}

#[test]
fn a_database_with_one_of_the_tables_is_refused_by_name_and_left_alone() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(
            r#"CREATE TABLE "Flight" (a); CREATE VIEW "booking" AS SELECT 1; CREATE TABLE other (a)"#,
        )
        .unwrap();
    let refused = load_sqlite(&mut connection, &tiny(), &mut |_| {}).unwrap_err();
    assert!(matches!(&refused, LoadError::TablesExist { tables } if *tables == ["flight", "booking"]));
    let message = refused.to_string();
    assert!(
        message.contains("tables named flight, booking") && message.contains("another database file"),
        "{message}"
    );
    assert_eq!(number(&connection, "SELECT count(*) FROM sqlite_schema"), 3);
    assert!(connection.is_autocommit());
}

#[test]
fn a_load_that_fails_in_its_first_transaction_leaves_nothing_behind() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("PRAGMA max_page_count = 60").unwrap();
    let failed = load_sqlite(&mut connection, &tiny(), &mut |_| {}).unwrap_err();
    assert!(matches!(failed, LoadError::Database { .. }), "{failed}");
    assert_eq!(number(&connection, "SELECT count(*) FROM sqlite_schema"), 0);
    assert!(connection.is_autocommit());
}
