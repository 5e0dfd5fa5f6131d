//! What PostgreSQL refuses, cancels or stores otherwise, one by one, at the seam.

use super::*;
use crate::sink::conformance::{LANE, us};

/// A COMMIT that waits for a standby can be cancelled, and is answered with COMMIT and a warning.
#[test]
fn a_cancelled_wait_for_a_standby_is_unknown_and_told_by_the_take_over() {
    let test = "a_cancelled_wait_for_a_standby_is_unknown_and_told_by_the_take_over";
    // The setting is of a whole server, so it is one of its own.
    if Postgres::find().is_none() {
        return landfall_sim::skipping::skipped(test, "this machine has no postgres");
    }
    let server = Arc::new(Postgres::start().unwrap());
    let name = server.new_database().unwrap();
    server.psql(&name, "CREATE TABLE t (id int PRIMARY KEY, n int)").unwrap();
    let settings = PostgresSettings::parse(&server.url(&name)).unwrap();
    let database = PostgresDatabase::new(settings, crate::env::real().clock);
    database.set_up().unwrap();
    let mut owner = Owner::new(&database);
    owner.change(&row("t", 1), add("n", Value::Int(1))).unwrap();
    server.psql(&name, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'").unwrap();
    server.psql(&name, "SELECT pg_reload_conf()").unwrap();
    let outcome = std::thread::scope(|scope| {
        let landing = scope.spawn(|| owner.change(&row("t", 1), add("n", Value::Int(1))));
        let cancel =
            "SELECT bool_or(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        let deadline = std::time::Instant::now() + Duration::from_secs(25);
        landfall_sim::waiting::wait_until(deadline, || server.psql(&name, cancel).is_ok_and(|is| is == "t"));
        landing.join().unwrap()
    });
    assert!(matches!(outcome, Err(SinkError::Unknown(_))), "{outcome:?}");
    server.psql(&name, "ALTER SYSTEM RESET synchronous_standby_names").unwrap();
    server.psql(&name, "SELECT pg_reload_conf()").unwrap();
    let taken = owner.sink().take_over(&us(1), &[LANE]).unwrap()[0];
    assert_eq!(taken.position, owner.at.0 + 10, "it had committed here");
    (owner.epoch, owner.at) = (taken.epoch, (taken.position, taken.anchor));
    owner.change(&row("t", 1), add("n", Value::Int(1))).unwrap();
    assert_eq!(server.psql(&name, "SELECT n FROM t").unwrap(), "3");
}

#[test]
fn a_commit_is_synchronous_whatever_the_database_says() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, how text);
        CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN NEW.how := current_setting(''synchronous_commit''); RETURN NEW; END';
        CREATE TRIGGER noted BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION noted()";
    let Some(fixture) = with("a_commit_is_synchronous_whatever_the_database_says", schema) else { return };
    for (set, expected) in [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")] {
        fixture.psql(&format!(
            "ALTER DATABASE {} SET synchronous_commit = {set}; DELETE FROM t; \
            DELETE FROM landfall.landfall_lane",
            fixture.name
        ));
        let mut owner = Owner::new(&fixture);
        owner.change(&row("t", 1), put(&[])).unwrap();
        assert_eq!(fixture.psql("SELECT how FROM t"), expected, "{set}");
    }
}

/// A text with a zero byte, one row twice in a statement, a number too large, a plan of before an ALTER.
#[test]
fn what_postgresql_refuses_of_a_row_leaves_the_others_and_a_changed_table_is_read_anew() {
    let test = "what_postgresql_refuses_of_a_row_leaves_the_others_and_a_changed_table_is_read_anew";
    let schema = "CREATE TABLE t (id int PRIMARY KEY, n int, s text, j jsonb)";
    let Some(fixture) = with(test, schema) else { return };
    let mut owner = Owner::new(&fixture);
    let one = |change| op(&row("t", 1), change);
    for (change, part) in [
        (put(&[("s", Value::bytes(b"a\0b"))]), "s"),
        (put(&[("s", Value::bytes(b"\xff"))]), "s"),
        (put(&[("j", "{\"a\": \"\\u0000\"}".into())]), ""),
        (put(&[("n", Value::Int(1 << 31))]), ""),
    ] {
        let (table, reason) = refusal(owner.land(vec![one(change)]));
        assert!(table == "t" && reason.contains(part), "{reason}");
        assert_eq!(fixture.psql("SELECT count(*) FROM t"), "0");
    }
    // The same row twice, in one batch: two statements, in this order.
    owner.land(vec![one(put(&[("n", Value::Int(5))])), one(add("n", Value::Int(2)))]).unwrap();
    owner.change(&row("t", 2), add("n", Value::Int(3))).unwrap();
    assert_eq!(fixture.psql("SELECT string_agg(n::text, ' ' ORDER BY id) FROM t"), "7 3");
    let (_, reason) = refusal(owner.change(&row("t", 1), add("n", Value::Int(i32::MAX.into()))));
    assert!(reason.contains("out of the range"), "{reason}");
    // The plans of before are of no use; who kept them would hear `cached plan must not change result type`.
    assert_eq!(owner.cell(&row("t", 1), "n"), "7");
    fixture.psql("ALTER TABLE t ALTER n TYPE bigint, ALTER s TYPE varchar(40)");
    owner.change(&row("t", 1), add("n", Value::Int(1))).unwrap();
    assert_eq!(owner.cell(&row("t", 1), "n"), "8");
}

#[test]
fn words_of_other_formats_are_text_like_any_other() {
    let test = "words_of_other_formats_are_text_like_any_other";
    let Some(fixture) = with(test, "CREATE TABLE t (id int PRIMARY KEY, s text)") else { return };
    let mut owner = Owner::new(&fixture);
    let texts = [
        "\\.",
        "\\N",
        "NULL",
        "a\tb\\t",
        "\n\\.\n",
        "{\"a\",b}",
        "'; DROP TABLE t; --",
        "$1",
        "",
        " ",
        "\u{feff}é\u{10ffff}",
        "\\x00",
        "\r\n",
        "a\\",
        ",",
        "\"",
    ];
    let ops = texts.iter().zip(1..).map(|(text, id)| op(&row("t", id), put(&[("s", (*text).into())])));
    owner.land(ops.collect()).unwrap();
    for (text, id) in texts.iter().zip(1..) {
        assert_eq!(owner.cell(&row("t", id), "s"), *text);
    }
}

#[test]
fn a_batch_of_more_rows_than_a_statement_binds_values_lands_whole_or_not_at_all() {
    let test = "a_batch_of_more_rows_than_a_statement_binds_values_lands_whole_or_not_at_all";
    let schema = "CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n < 100000))";
    let Some(fixture) = with(test, schema) else { return };
    let mut owner = Owner::new(&fixture);
    owner.ordered = false;
    let rows = |last: i64| {
        let one = |id: i64| op(&row("t", id), put(&[("n", Value::Int(if id == 70_000 { last } else { 1 }))]));
        (1..=70_000).map(one).collect::<Vec<_>>()
    };
    refusal(owner.land(rows(100_000)));
    assert_eq!(fixture.psql("SELECT count(*) FROM t"), "0");
    owner.land(rows(1)).unwrap();
    assert_eq!(fixture.psql("SELECT count(*) FROM t"), "70000");
}

#[test]
fn who_loses_a_deadlock_is_busy_and_lands_later() {
    let test = "who_loses_a_deadlock_is_busy_and_lands_later";
    let schema = "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0)";
    let Some(fixture) = with(test, schema) else { return };
    let mut owner = Owner::new(&fixture);
    let mut other = fixture.database.connect().unwrap();
    // Whoever waits first looks for a deadlock first: the other session never does in time.
    for sql in ["SET deadlock_timeout = '60s'", "BEGIN", "UPDATE t SET n = n WHERE id = 2"] {
        other.run(&[wire::Step::bare(sql)]).unwrap();
    }
    let both =
        |owner: &mut Owner| owner.land([1, 2].map(|id| op(&row("t", id), add("n", Value::Int(1)))).into());
    let outcome = std::thread::scope(|scope| {
        let landing = scope.spawn(|| both(&mut owner));
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        assert!(landfall_sim::waiting::wait_until(deadline, || fixture.psql(waits) == "1"));
        // Waits for the landing's first row, and has it once the landing gave way.
        other.run(&[wire::Step::bare("UPDATE t SET n = n WHERE id = 1")]).unwrap();
        landing.join().unwrap()
    });
    assert!(matches!(outcome, Err(SinkError::Busy(_))), "{outcome:?}");
    drop(other);
    both(&mut owner).unwrap();
    assert_eq!(fixture.psql("SELECT sum(n) FROM t"), "2");
}

/// An ALTER that writes a table anew leaves it empty for a snapshot of before: a reader that waits for it must not take
/// one first, or it would believe that the row is gone.
#[test]
fn a_row_is_not_absent_to_a_reader_that_waits_for_an_alter() {
    let test = "a_row_is_not_absent_to_a_reader_that_waits_for_an_alter";
    let schema = "CREATE TABLE t (id int PRIMARY KEY, n int, s text)";
    let Some(fixture) = with(test, schema) else { return };
    let mut owner = Owner::new(&fixture);
    owner.change(&row("t", 1), put(&[("n", Value::Int(1))])).unwrap();
    assert_eq!(owner.cell(&row("t", 1), "n"), "1");
    let mut other = fixture.database.connect().unwrap();
    let alter = ["BEGIN", "ALTER TABLE t ALTER n TYPE bigint"].map(wire::Step::bare);
    other.run(&alter).unwrap();
    let (cell, pages) = std::thread::scope(|scope| {
        let table = fixture.catalogue().unwrap().table("t").unwrap().clone();
        let mut source = fixture.source(crate::sink::conformance::context(&fixture)).unwrap();
        let reader = scope.spawn(|| owner.cell(&row("t", 1), "n"));
        let pages = scope.spawn(move || source.rows(&table, None, 10, &[LANE]).unwrap().rows.len());
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        landfall_sim::waiting::wait_until(deadline, || fixture.psql(waits) == "2");
        other.run(&[wire::Step::bare("COMMIT")]).unwrap();
        (reader.join().unwrap(), pages.join().unwrap())
    });
    assert_eq!((cell.as_str(), pages), ("1", 1));
}
