//! The suite of the seam against a private PostgreSQL, and what only PostgreSQL does.

use std::time::Duration;

use landfall_sim::servers::Postgres;

use super::*;
use crate::model::{ColumnType, RowKey, Value};
use crate::sink::LandingOp;
use crate::sink::conformance::{self, Owner, add, event, op, put, refusal, row, suite};

mod audits;
mod catalogue;
#[cfg(feature = "tls")]
mod encrypted;
mod failures;
mod network;
mod types;

/// The tables of the suite, with the types that PostgreSQL has.
fn tables() -> String {
    conformance::TABLES.replace("blob", "bytea")
}

/// A database of its own on a server that the tests of one moment share.
#[derive(Clone)]
struct Fixture {
    database: PostgresDatabase,
    server: Arc<Postgres>,
    name: String,
}

/// A new database with these tables, or none where this machine has no PostgreSQL.
fn with(test: &str, schema: &str) -> Option<Fixture> {
    let server = Postgres::shared_or_skip(&format!("sink::postgres::tests::{test}"))?;
    let name = server.new_database().unwrap();
    server.psql(&name, schema).unwrap();
    let settings = PostgresSettings::parse(&server.url(&name)).unwrap();
    let database = PostgresDatabase::new(settings, crate::env::real().clock);
    database.set_up().unwrap();
    Some(Fixture { database, server, name })
}

impl Fixture {
    /// What another program sees.
    fn psql(&self, sql: &str) -> String {
        self.server.psql(&self.name, sql).unwrap()
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

/// A database that is as new: made empty where the test that asks for it has one already.
fn new(test: &str, schema: &str) -> Option<Fixture> {
    thread_local! {
        static LAST: std::cell::RefCell<Option<Fixture>> = const { std::cell::RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| {
        if last.is_none() {
            *last = with(test, schema);
        } else if let Some(fixture) = last {
            fixture.psql(EMPTIED);
        }
        last.clone()
    })
}

/// What the tests of the suite leave behind in a database.
const EMPTIED: &str = "DELETE FROM page; DELETE FROM landfall.landfall_key; DELETE FROM landfall.landfall_hash_field; DELETE FROM landfall.landfall_stream_entry; \
    DELETE FROM landfall.landfall_lane; DELETE FROM landfall.landfall_dead_letter";

suite!(skipping new);

#[test]
fn a_commit_that_rolls_back_is_no_commit() {
    let Some(fixture) = with("a_commit_that_rolls_back_is_no_commit", "CREATE TABLE t (id int PRIMARY KEY)")
    else {
        return;
    };
    let mut wire = fixture.database.connect().unwrap();
    frame::open(&mut wire, frame::Purpose::Landing, &fixture.database.settings).unwrap();
    let insert = wire::Step::bare("INSERT INTO t VALUES (1)");
    wire.run(std::slice::from_ref(&insert)).unwrap();
    assert!(wire.run(&[insert]).is_err());
    // What a landing never does: it goes on after an error. The server answers ROLLBACK, and no error.
    let outcome = frame::commit(&mut wire, "t");
    assert!(matches!(outcome, Err(SinkError::Unavailable(_))), "{outcome:?}");
    assert_eq!(fixture.psql("SELECT count(*) FROM t"), "0");
    // Nor is a warning a commit: there is no transaction any more.
    assert!(matches!(frame::commit(&mut wire, "t"), Err(SinkError::Unknown(_))));
}

#[test]
fn a_deferred_constraint_is_told_by_its_row_and_not_by_the_commit() {
    let schema = "CREATE TABLE up (id int PRIMARY KEY);
        CREATE TABLE down (id int PRIMARY KEY, up int REFERENCES up DEFERRABLE INITIALLY DEFERRED)";
    let Some(fixture) = with("a_deferred_constraint_is_told_by_its_row_and_not_by_the_commit", schema) else {
        return;
    };
    let mut owner = Owner::new(&fixture);
    let (table, reason) = refusal(owner.land(vec![op(&row("down", 1), put(&[("up", Value::Int(9))]))]));
    assert_eq!(
        (table.as_str(), reason.as_str()),
        ("down", "FOREIGN KEY constraint failed (23503, down_up_fkey)")
    );
    owner
        .land(vec![op(&row("up", 9), put(&[])), op(&row("down", 1), put(&[("up", Value::Int(9))]))])
        .unwrap();
}

/// Shows the seat that one booking frees and the next one takes, and two that change places over a free one.
#[test]
fn a_freed_value_is_taken_in_the_same_batch() {
    let schema = "CREATE TABLE seat (id int PRIMARY KEY, place text UNIQUE, note text NOT NULL DEFAULT '')";
    let Some(fixture) = with("a_freed_value_is_taken_in_the_same_batch", schema) else { return };
    let mut owner = Owner::new(&fixture);
    let sit = |id: i64, place: &str| op(&row("seat", id), put(&[("place", place.into())]));
    owner.land((0..20).map(|id| sit(id, &format!("{id}"))).collect()).unwrap();
    // Each takes the place of the one before, which has just left it.
    let moved: Vec<LandingOp> = (0..20).rev().map(|id| sit(id, &format!("{}", id + 1))).collect();
    owner.land(moved).unwrap();
    assert_eq!(fixture.psql("SELECT string_agg(place, ',' ORDER BY id) FROM seat WHERE id < 3"), "1,2,3");
    assert_eq!(
        refusal(owner.land(vec![sit(0, "2")])).1,
        "UNIQUE constraint failed: seat.place (23505, seat_place_key)"
    );
}

#[test]
fn values_that_postgresql_would_change_are_refused() {
    let schema =
        "CREATE TABLE t (id int PRIMARY KEY, c char(4), r real, s timestamp(0), j jsonb, n numeric(4,1))";
    let Some(fixture) = with("values_that_postgresql_would_change_are_refused", schema) else { return };
    let mut owner = Owner::new(&fixture);
    for (column, value) in [
        ("c", Value::from("ab ")),
        ("r", Value::Float(0.123_456_789)),
        ("s", Value::from("2025-10-01T11:19:00.5")),
        ("j", Value::from("{\"a\": \"\\u0000\"}")),
        ("n", Value::decimal("1.25".parse().unwrap())),
    ] {
        let (table, reason) = refusal(owner.change(&row("t", 1), put(&[(column, value)])));
        assert!(table == "t" && reason.contains(column), "{column}: {reason}");
    }
    let fits = put(&[("c", "ab".into()), ("r", Value::Float(0.1)), ("s", "2025-10-01T11:19:00".into())]);
    owner.change(&row("t", 1), fits).unwrap();
    for (column, expected) in [("c", "ab"), ("r", "0.1"), ("s", "2025-10-01T11:19:00")] {
        assert_eq!(owner.cell(&row("t", 1), column), expected);
    }
}

#[test]
fn an_identity_a_check_and_a_trigger_are_obeyed() {
    let schema = "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int NOT NULL DEFAULT 0 CHECK (n >= 0),
          twice int GENERATED ALWAYS AS (n * 2) STORED, at int NOT NULL DEFAULT 3);
        CREATE TABLE e (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);";
    let Some(fixture) = with("an_identity_a_check_and_a_trigger_are_obeyed", schema) else { return };
    let catalogue = fixture.catalogue().unwrap();
    let table = catalogue.table("t").unwrap();
    assert!(!table.columns[0].generated && table.columns[2].generated);
    assert_eq!(table.columns[3].default, Some(Value::Int(3)));
    let mut owner = Owner::new(&fixture);
    owner.change(&row("t", 7), put(&[("n", Value::Int(5))])).unwrap();
    // The proposed row of an insert would have -2, which the check refuses; the row that is there has 3.
    owner.change(&row("t", 7), add("n", Value::Int(-2))).unwrap();
    assert_eq!(fixture.psql("SELECT id, n, twice, at FROM t"), "7|3|6|3");
    owner.land(vec![event("e", &[("what", "a".into())]), event("e", &[("what", "b".into())])]).unwrap();
    assert_eq!(fixture.psql("SELECT string_agg(what, '' ORDER BY id) FROM e"), "ab");
}

#[test]
fn the_catalogue_says_what_is_mapped_and_why_not() {
    let schema = "CREATE SCHEMA other; CREATE TABLE other.hidden (id int PRIMARY KEY);
        CREATE TABLE plain (a text); CREATE TABLE measured (at real PRIMARY KEY);
        CREATE TABLE parts (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
        CREATE TABLE child (id int PRIMARY KEY, up int, at date, FOREIGN KEY (up, at) REFERENCES parts ON DELETE SET NULL);
        CREATE UNIQUE INDEX partly ON child (up) WHERE id > 5;
        CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY); CREATE VIEW seen AS SELECT 1 AS one;
        CREATE TABLE kinds (id bigserial PRIMARY KEY, a bytea[], i tsvector, v varchar(7) DEFAULT 'x', z timestamptz);";
    let Some(fixture) = with("the_catalogue_says_what_is_mapped_and_why_not", schema) else { return };
    let catalogue = fixture.catalogue().unwrap();
    let unmapped: Vec<_> = catalogue.unmapped().iter().map(|unmapped| &*unmapped.table).collect();
    assert_eq!(unmapped, ["fleeting", "seen"]);
    assert!(catalogue.table("hidden").is_none() && catalogue.table("parts_1").is_none());
    assert_eq!(catalogue.table("other.hidden").unwrap().primary_key, [0], "by its schema and its name");
    assert!(catalogue.tables().iter().all(|table| !table.name.starts_with("landfall_")));
    for (table, part) in [("plain", "no primary key"), ("measured", "float")] {
        assert!(catalogue.table(table).unwrap().keyless_reason.as_ref().unwrap().contains(part));
    }
    assert_eq!(catalogue.table("parts").unwrap().primary_key, [0, 1]);
    let child = catalogue.table("child").unwrap();
    let reference = &child.references[0];
    assert_eq!((&*reference.table, reference.cascades, &*reference.columns), ("parts", true, &[1, 2][..]));
    assert_eq!(child.unique, [[0, 1, 2]], "a partial index may depend on any column");
    let kinds = catalogue.table("kinds").unwrap();
    let of = |name: &str| kinds.column(name).unwrap();
    assert!(of("id").has_default && of("id").default.is_none());
    assert_eq!((&of("a").kind, &of("i").kind), (&ColumnType::Unknown, &ColumnType::Unknown));
    assert_eq!(of("v").default, Some(Value::from("x")));
    assert_eq!(
        (of("z").declared.as_str(), &of("z").kind),
        ("timestamp with time zone", &ColumnType::Timestamp { digits_max: 6 })
    );
}

#[test]
fn a_long_key_is_a_key_like_any_other() {
    let Some(fixture) = with("a_long_key_is_a_key_like_any_other", "") else { return };
    let mut owner = Owner::new(&fixture);
    // Longer than an entry of an index can be, and alike but for the last byte.
    let mut long = vec![b'k'; 20_000];
    let keys = [b'1', b'2'].map(|last| {
        long.push(last);
        let key = RowKey::of_key(&long);
        long.pop();
        key
    });
    for (key, value) in keys.iter().zip(["one", "two"]) {
        owner.change(key, put(&[("=v", Value::bytes(value.as_bytes()))])).unwrap();
    }
    assert_eq!((owner.cell(&keys[0], "=v"), owner.cell(&keys[1], "=v")), ("one".into(), "two".into()));
}

#[test]
fn a_lock_that_somebody_holds_is_waited_for_only_so_long() {
    let Some(mut fixture) = with(
        "a_lock_that_somebody_holds_is_waited_for_only_so_long",
        "CREATE TABLE t (id int PRIMARY KEY, n int)",
    ) else {
        return;
    };
    fixture.database.settings.lock_timeout_ms = 50;
    let mut owner = Owner::new(&fixture);
    owner.change(&row("t", 1), put(&[("n", Value::Int(1))])).unwrap();
    let mut other = fixture.database.connect().unwrap();
    let lock = ["BEGIN", "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"].map(wire::Step::bare);
    other.run(&lock).unwrap();
    let outcome = owner.change(&row("t", 1), put(&[("n", Value::Int(2))]));
    assert!(matches!(outcome, Err(SinkError::Busy(_))), "{outcome:?}");
    drop(other);
    assert_eq!(owner.cell(&row("t", 1), "n"), "1");
    owner.change(&row("t", 1), put(&[("n", Value::Int(2))])).unwrap();
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    // Needs no PostgreSQL: whoever listens here takes the connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://me@127.0.0.1:{}/app", silent.local_addr().unwrap().port());
    let mut settings = PostgresSettings::parse(&url).unwrap();
    settings.connect_timeout_ms = 50;
    let clock = crate::env::real().clock;
    let before = clock.monotonic();
    let refused = PostgresDatabase::new(settings, Arc::clone(&clock)).identity();
    assert!(matches!(refused, Err(SinkError::Unavailable(_))), "{refused:?}");
    assert!(clock.monotonic() - before < Duration::from_secs(20));
}

#[test]
fn another_database_in_the_same_place_gets_nothing() {
    let Some(fixture) =
        with("another_database_in_the_same_place_gets_nothing", "CREATE TABLE t (id int PRIMARY KEY)")
    else {
        return;
    };
    let mut owner = Owner::new(&fixture);
    owner.change(&row("t", 1), put(&[])).unwrap();
    fixture.psql("UPDATE landfall.landfall_database SET id = uuid_send(gen_random_uuid())");
    fixture.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
    let mut outcomes = (0..2).map(|_| owner.change(&row("t", 2), put(&[])));
    assert!(outcomes.all(|outcome| matches!(outcome, Err(SinkError::Unavailable(_)))));
    assert_eq!(fixture.psql("SELECT count(*) FROM t"), "1");
}

/// A table with every kind of text that a line of COPY or an array could stumble over.
const LARGE: &str = "CREATE TABLE t (id bigint PRIMARY KEY, name text, data bytea, flag boolean, at timestamp, n numeric(10, 2)); \
     CREATE TABLE log (request_id uuid UNIQUE, word text)";

/// Hazard D37.
#[test]
fn a_large_batch_goes_by_copy_and_reads_back_as_it_was() {
    let Some(fixture) = with("a_large_batch_goes_by_copy_and_reads_back_as_it_was", LARGE) else { return };
    let mut owner = Owner::new(&fixture);
    owner.ordered = false;
    let name = |n: i64| match n % 5 {
        0 => "a\\.\nb\tc\rd".to_owned(),
        1 => "\\N".to_owned(),
        2 => String::new(),
        3 => "{\"x\",NULL}".to_owned(),
        _ => format!("plain {n}"),
    };
    let change = |n: i64, flag: bool| {
        put(&[
            ("name", Value::from(name(n).as_str())),
            ("data", if n % 7 == 0 { Value::Null } else { Value::bytes(&n.to_be_bytes()) }),
            ("flag", Value::Bool(flag)),
            ("at", Value::from("2025-10-01 13:19:00")),
            ("n", Value::decimal("12.50".parse().unwrap())),
        ])
    };
    let ops = |flag| (0..6_000).rev().map(|n| op(&row("t", n), change(n, flag))).collect();
    owner.land(ops(false)).unwrap();
    // Once more over what is there.
    owner.land(ops(true)).unwrap();
    assert_eq!(fixture.psql("SELECT count(*), bool_and(flag), max(n) FROM t"), "6000|t|12.50");
    for n in [0, 1, 2, 3, 4, 7, 5_999] {
        assert_eq!(owner.cell(&row("t", n), "name"), name(n), "{n}");
        let data = if n % 7 == 0 { String::new() } else { format!("{n:016x}") };
        assert_eq!(fixture.psql(&format!("SELECT encode(data, 'hex') FROM t WHERE id = {n}")), data);
    }
    assert_eq!(fixture.psql("SELECT count(*) FROM pg_class WHERE relname = 'landfall_rows'"), "0");
}

#[test]
fn an_event_that_comes_twice_in_large_batches_lands_once_with_its_neighbours() {
    let test = "an_event_that_comes_twice_in_large_batches_lands_once_with_its_neighbours";
    let Some(fixture) = with(test, LARGE) else { return };
    let mut owner = Owner::new(&fixture);
    owner.ordered = false;
    let id = |n: u32| format!("00000000-0000-0000-0000-{n:012x}");
    let log =
        |n: u32| event("log", &[("request_id", Value::from(id(n).as_str())), ("word", Value::from("w"))]);
    owner.land((0..500).map(log).collect()).unwrap();
    // Half of them are there, and one comes twice in the batch itself.
    owner.land((250..750).chain([749]).map(log).collect()).unwrap();
    assert_eq!(fixture.psql("SELECT count(*), count(DISTINCT request_id) FROM log"), "750|750");
    // The watermark moved with each of them.
    assert_eq!(fixture.database.watermark(conformance::LANE).unwrap().unwrap().position, owner.at.0);
}

#[test]
fn behind_a_fence_that_fails_no_statement_runs() {
    let schema = "CREATE SEQUENCE ran; CREATE TABLE t (id bigint PRIMARY KEY, n bigint); \
         CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM nextval(''ran''); RETURN new; END'; \
         CREATE TRIGGER seen BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION count_it()";
    let Some(fixture) = with("behind_a_fence_that_fails_no_statement_runs", schema) else { return };
    let mut owner = Owner::new(&fixture);
    owner.change(&row("t", 1), put(&[("n", Value::Int(1))])).unwrap();
    // What a sequence gives is not given back by a rollback: it tells of each insert that was tried.
    let ran = || fixture.psql("SELECT last_value FROM ran");
    assert_eq!(ran(), "1");
    owner.epoch += 1;
    let fenced = owner.land(vec![op(&row("t", 2), put(&[("n", Value::Int(2))]))]);
    assert!(matches!(fenced, Err(SinkError::Fenced { .. })), "{fenced:?}");
    assert_eq!(ran(), "1");
    // The connection is as good as before.
    owner.epoch -= 1;
    owner.change(&row("t", 2), put(&[("n", Value::Int(2))])).unwrap();
    assert_eq!(fixture.psql("SELECT count(*) FROM t"), "2");
}
