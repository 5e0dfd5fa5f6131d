//! Rows in a SQLite file: odd names, dynamic types, decimals, change logs, and what people see in the file.

use std::sync::Arc;

use super::*;
use crate::model::{Change, Name, RowKey, Value};
use crate::sink::conformance::{Owner, bytes, context, event, op, put, refusal, replace, row};

fn text(text: &str) -> Value {
    Value::from(text)
}

#[test]
fn people_can_look_at_keys_and_values() {
    let fixture = with("");
    let mut owner = Owner::new(&fixture);
    owner.change(&RowKey::of_key(b"user:1:name"), replace(&[("=v", bytes("Alice"))])).unwrap();
    owner.change(&RowKey::of_key(b"user:1"), put(&[(".age", bytes("30"))])).unwrap();
    for (sql, expected) in [
        ("SELECT value FROM landfall_key WHERE key = CAST('user:1:name' AS BLOB)", "Alice"),
        ("SELECT value FROM landfall_string WHERE key = 'user:1:name'", "Alice"),
        ("SELECT value FROM landfall_hash WHERE key = 'user:1' AND field = 'age'", "30"),
        ("SELECT kind FROM landfall_key WHERE key = CAST('user:1' AS BLOB)", "hash"),
        ("SELECT lane FROM landfall_key WHERE kind = 'string'", "3"),
        ("SELECT position FROM landfall_lane WHERE lane = 3", "20"),
    ] {
        assert_eq!(fixture.one(sql), expected, "{sql}");
    }
}

#[test]
fn a_key_that_another_program_wrote_is_read_and_grows() {
    let fixture = with(
        "INSERT INTO landfall_key (key, kind, value, lane) VALUES (x'6e', 'string', 41, 0), (x'68', 'hash', NULL, 0);
         INSERT INTO landfall_hash_field VALUES (x'68', x'61', 1.5)",
    );
    let mut owner = Owner::new(&fixture);
    owner.change(&RowKey::of_key(b"n"), Change::add(Name::from_bytes(b"=v"), Value::Int(1))).unwrap();
    assert_eq!(owner.cell(&RowKey::of_key(b"n"), "=v"), "42");
    assert_eq!(owner.cell(&RowKey::of_key(b"h"), ".a"), "1.5");
}

#[test]
fn odd_names_are_only_names() {
    let fixture = with(
        r#"CREATE TABLE "a""b; DROP TABLE x--" ("select" INTEGER PRIMARY KEY, "from ""me""" text, [ö:%] int);
           CREATE TABLE "order" ("group" char(3) PRIMARY KEY, "where" int);"#,
    );
    let mut owner = Owner::new(&fixture);
    let odd = RowKey::of_table("a\"b; DROP TABLE x--", &[Value::Int(1)]);
    owner.change(&odd, put(&[("from \"me\"", text("'); --")), ("ö:%", Value::Int(2))])).unwrap();
    owner.change(&odd, Change::add(Name::column("ö:%"), Value::Int(2))).unwrap();
    assert_eq!((owner.cell(&odd, "from \"me\""), owner.cell(&odd, "ö:%")), ("'); --".into(), "4".into()));
    let order = RowKey::of_table("order", &[text("x")]);
    owner.change(&order, replace(&[("where", Value::Int(1))])).unwrap();
    owner.change(&order, Change::Delete).unwrap();
    assert_eq!(owner.load(&order), None);
}

/// Shows E14: an overflowing sum would become a float.
#[test]
fn numbers_never_change_their_type() {
    let fixture = with("CREATE TABLE n (id INTEGER PRIMARY KEY, i int, d decimal(15,2), w decimal(20,2))");
    let mut owner = Owner::new(&fixture);
    owner.change(&row("n", 1), put(&[("i", Value::Int(i64::MAX))])).unwrap();
    let grow = || Change::add(Name::column("i"), Value::Int(1));
    assert!(refusal(owner.change(&row("n", 1), grow())).1.contains("column i"));
    assert_eq!(fixture.one("SELECT typeof(i) || i FROM n"), "integer9223372036854775807");
    fixture.raw().execute_batch("UPDATE n SET i = 'not a number'").unwrap();
    let reason = refusal(owner.change(&row("n", 1), grow())).1;
    assert!(reason.contains("no exact number") && !reason.contains("not a number"), "{reason}");
    assert_eq!(owner.cell(&row("n", 1), "i"), "not a number");
    let decimal = |text: &str| Value::decimal(text.parse().unwrap());
    owner.change(&row("n", 1), put(&[("d", decimal("9999999999999.98"))])).unwrap();
    owner.change(&row("n", 1), Change::add(Name::column("d"), decimal("0.01"))).unwrap();
    assert_eq!(owner.cell(&row("n", 1), "d"), "9999999999999.99");
    assert!(
        refusal(owner.change(&row("n", 1), put(&[("w", decimal("123456789012345678.12"))]))).1.contains("w")
    );
}

#[test]
fn ten_thousand_cents_are_a_hundred() {
    let fixture = with("CREATE TABLE n (id INTEGER PRIMARY KEY, d decimal(10,2))");
    let mut owner = Owner::new(&fixture);
    let cent = Change::add(Name::column("d"), Value::decimal("0.01".parse().unwrap()));
    owner.land((0..10_000).map(|_| op(&row("n", 1), cent.clone())).collect()).unwrap();
    assert_eq!(fixture.one("SELECT d FROM n"), "100");
    assert_eq!(owner.cell(&row("n", 1), "d"), "100.00");
}

#[test]
fn what_other_programs_stored_is_read_as_it_is() {
    let fixture = with(
        "CREATE TABLE o (id INTEGER PRIMARY KEY, b boolean, i int, d decimal(10,2), f real, t text, s timestamp, r blob);
         INSERT INTO o VALUES (1, 7, 1.5, 3.14159, 5, 6, '2025-10-01 11:19:00', 'abc');
         INSERT INTO o VALUES (2, 1, 5, 3.1, 0.1, x'ff', 'tomorrow', x'00ff');
         INSERT INTO o VALUES (3, 0, 'abc', 'abc', 'abc', 'abc', 1759317540, NULL);",
    );
    let mut owner = Owner::new(&fixture);
    let cells = |owner: &mut Owner, id: i64| {
        ["b", "i", "d", "f", "t", "s", "r"]
            .map(|name| owner.load(&row("o", id)).unwrap().get(&Name::column(name)).cloned())
    };
    let decimal = Value::decimal("3.10".parse().unwrap());
    assert_eq!(
        cells(&mut owner, 1),
        [
            text("7"),
            text("1.5"),
            text("3.14159"),
            Value::Float(5.0),
            text("6"),
            text("2025-10-01T11:19:00"),
            bytes("abc")
        ]
        .map(Some)
    );
    let raw = |raw: &[u8]| Value::bytes(raw);
    assert_eq!(
        cells(&mut owner, 2),
        [
            Value::Bool(true),
            Value::Int(5),
            decimal,
            Value::Float(0.1),
            raw(b"\xff"),
            text("tomorrow"),
            raw(b"\0\xff")
        ]
        .map(Some)
    );
    let abc = || Some(text("abc"));
    assert_eq!(
        cells(&mut owner, 3),
        [Some(Value::Bool(false)), abc(), abc(), abc(), abc(), Some(text("1759317540")), None]
    );
}

#[test]
fn text_that_sqlite_would_turn_into_a_number_is_refused() {
    let fixture = with("CREATE TABLE u (id uuid PRIMARY KEY, doc json)");
    let mut owner = Owner::new(&fixture);
    let id = RowKey::of_table("u", &[text("0b5e7c1e-0000-4000-8000-000000000001")]);
    owner.change(&id, put(&[("doc", text("{\"a\": 1.0}"))])).unwrap();
    assert_eq!(owner.cell(&id, "doc"), "{\"a\": 1.0}");
    assert!(refusal(owner.change(&id, put(&[("doc", text(" 1.0"))]))).1.contains("doc"));
    let number = RowKey::of_table("u", &[text("007")]);
    assert!(refusal(owner.change(&number, put(&[]))).1.contains("column id"));
}

#[test]
fn a_replace_gives_the_other_columns_their_default() {
    let fixture = with(
        "CREATE TABLE d (id INTEGER PRIMARY KEY, n int NOT NULL DEFAULT (2 + 3), t text DEFAULT 'it''s', o int,
           twice int AS (n * 2) STORED)",
    );
    let mut owner = Owner::new(&fixture);
    let whole = put(&[("n", Value::Int(1)), ("t", text("x")), ("o", Value::Int(9))]);
    owner.change(&row("d", 1), whole).unwrap();
    owner.change(&row("d", 1), replace(&[("o", Value::Int(8))])).unwrap();
    owner.change(&row("d", 2), replace(&[("o", Value::Int(8))])).unwrap();
    for id in [1, 2] {
        let found = ["n", "t", "o", "twice"].map(|name| owner.cell(&row("d", id), name));
        assert_eq!(found, ["5", "it's", "8", "10"]);
    }
    assert!(refusal(owner.change(&row("d", 1), put(&[("twice", Value::Int(1))]))).1.contains("computed"));
}

#[test]
fn a_changed_schema_refuses_the_row_with_a_hint() {
    let fixture = with(
        "CREATE TABLE s (id INTEGER PRIMARY KEY, a int, b int); CREATE TABLE gone (id INTEGER PRIMARY KEY)",
    );
    let mut owner = Owner::new(&fixture);
    owner.change(&row("s", 1), put(&[("a", Value::Int(1))])).unwrap();
    fixture.raw().execute_batch("ALTER TABLE s DROP COLUMN a; DROP TABLE gone").unwrap();
    let (table, reason) = refusal(owner.change(&row("s", 1), put(&[("a", Value::Int(2))])));
    assert!(table == "s" && reason.contains("no such column") && reason.contains("changed"), "{reason}");
    assert!(refusal(owner.change(&row("gone", 1), put(&[]))).1.contains("no such table"));
    // A quoted name of no column would be a text to SQLite, and this update would match no row.
    fixture.raw().execute_batch("ALTER TABLE s RENAME COLUMN id TO number").unwrap();
    let reason = refusal(owner.change(&row("s", 1), put(&[("b", Value::Int(2))]))).1;
    assert!(reason.contains("no such column"), "{reason}");
}

#[test]
fn a_trigger_refuses_without_its_words() {
    let fixture = with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a text CHECK (a <> 'secret'));
         CREATE TRIGGER no BEFORE INSERT ON t WHEN NEW.id = 7 BEGIN SELECT RAISE(ABORT, 'secret'); END;",
    );
    let mut owner = Owner::new(&fixture);
    assert_eq!(refusal(owner.change(&row("t", 7), put(&[]))).1, "a trigger of the table refused it");
    let reason = refusal(owner.change(&row("t", 1), put(&[("a", text("secret"))]))).1;
    assert!(reason.starts_with("CHECK constraint failed"), "{reason}");
    owner.change(&row("t", 1), put(&[("a", text("x"))])).unwrap();
}

#[test]
fn a_deferred_foreign_key_is_refused_at_commit_and_rolled_back() {
    let fixture = with(
        "CREATE TABLE p (id INTEGER PRIMARY KEY);
         CREATE TABLE c (id INTEGER PRIMARY KEY, p int REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED)",
    );
    let mut owner = Owner::new(&fixture);
    let child = || op(&row("c", 1), put(&[("p", Value::Int(1))]));
    assert_eq!(refusal(owner.land(vec![child()])).0, "c");
    owner.land(vec![child(), op(&row("p", 1), put(&[]))]).unwrap();
    assert_eq!(owner.cell(&row("c", 1), "p"), "1");
}

const FLIGHTS: &str = "
CREATE TABLE flight (flight_id int PRIMARY KEY, flightno char(8) NOT NULL, \"from\" smallint NOT NULL, departure timestamp NOT NULL);
CREATE TABLE flight_log (log_date timestamp NOT NULL, user varchar(100) NOT NULL, flight_id int NOT NULL,
  flightno_old char(8), flightno_new char(8), from_old smallint, from_new smallint, departure_old timestamp,
  departure_new timestamp, comment varchar(200));
CREATE TABLE other_log (a int);
";

fn audited(fixture: &Fixture, log: &str) -> Owner {
    let audits = Arc::new(vec![("flight".to_owned(), log.to_owned())]);
    let mut owner = Owner::with(fixture, LandingContext { audits, ..context(fixture) });
    owner.time_ms = 1_759_317_540_250;
    owner
}

#[test]
fn a_change_log_gets_old_and_new_in_the_same_transaction() {
    let fixture = with(FLIGHTS);
    let mut owner = audited(&fixture, "flight_log");
    let flight = row("flight", 115);
    let whole = [
        ("flightno", text("AM5136")),
        ("from", Value::Int(9358)),
        ("departure", text("2025-10-01T11:19:00")),
    ];
    owner.change(&flight, put(&whole)).unwrap();
    owner.change(&flight, put(&[("departure", text("2025-10-01T13:19:00"))])).unwrap();
    owner.change(&flight, put(&[("departure", text("2025-10-01T13:19:00"))])).unwrap();
    owner.change(&flight, Change::Delete).unwrap();
    owner.change(&flight, Change::Delete).unwrap();
    assert!(owner.change(&flight, put(&whole[..1])).is_err());
    let log = "SELECT group_concat(coalesce(departure_old, '-') || ' ' || coalesce(departure_new, '-'), ', ') FROM flight_log";
    assert_eq!(
        fixture.one(log),
        "- 2025-10-01T11:19:00, 2025-10-01T11:19:00 2025-10-01T13:19:00, 2025-10-01T13:19:00 -"
    );
    assert_eq!(
        fixture.one("SELECT DISTINCT log_date || ' ' || user || ' ' || flight_id || coalesce(comment, '') FROM flight_log"),
        "2025-10-01T11:19:00.25 landfall 115"
    );
    assert_eq!(fixture.one("SELECT from_old || flightno_new FROM flight_log WHERE rowid = 2"), "9358AM5136");
}

#[test]
fn a_change_that_cannot_be_recorded_is_refused() {
    let fixture = with(FLIGHTS);
    let whole = [
        ("flightno", text("AM5136")),
        ("from", Value::Int(9358)),
        ("departure", text("2025-10-01T11:19:00")),
    ];
    for (log, part) in [("no_log", "no_log does not exist"), ("other_log", "no column like flightno_old")] {
        let (table, reason) = refusal(audited(&fixture, log).change(&row("flight", 1), put(&whole)));
        assert!(table == "flight" && reason.contains(part), "{reason}");
    }
    assert_eq!(fixture.one("SELECT count(*) FROM flight"), "0");
}

#[test]
fn an_event_gets_its_number_from_the_table() {
    let fixture = with(
        "CREATE TABLE e (id INTEGER PRIMARY KEY, n int); CREATE TABLE log (request_id text UNIQUE, n int)",
    );
    let mut owner = Owner::new(&fixture);
    owner.land(vec![event("e", &[("n", Value::Int(7))]), event("e", &[])]).unwrap();
    assert_eq!(fixture.one("SELECT group_concat(id || coalesce(n, '-')) FROM e"), "17,2-");
    let logged = |id: &str| event("log", &[("request_id", text(id)), ("n", Value::Int(1))]);
    owner.land(vec![logged("a"), logged("b"), logged("a")]).unwrap();
    owner.land(vec![logged("a")]).unwrap();
    assert_eq!(fixture.one("SELECT group_concat(request_id) FROM log"), "a,b");
}

#[test]
fn a_walk_goes_on_behind_keys_that_are_no_values_of_their_columns() {
    let fixture = with(
        "CREATE TABLE odd (a INT, b TEXT, PRIMARY KEY (a, b));
         INSERT INTO odd VALUES (NULL, 'x'), (NULL, NULL), (1, NULL), (1, 'a'), (1.5, 'a'), ('text', 'b'), ('text', x'ff'),
           (x'00', CAST(x'ff' AS TEXT)), (x'00', CAST(x'ff00' AS TEXT)), (2, '')",
    );
    let table = fixture.catalogue().unwrap().table("odd").unwrap().clone();
    assert!(table.keyless_reason.is_none());
    let mut source = fixture.source(context(&fixture)).unwrap();
    let (mut met, mut after) = (Vec::new(), None);
    loop {
        let page = source.rows(&table, after.as_ref(), 1, &[]).unwrap();
        met.extend(page.rows.into_iter().map(|found| found.key));
        if page.last.is_none() {
            break;
        }
        after = page.last;
    }
    // Those without a whole key are left out, and each of the others is met once.
    assert_eq!(met.len(), 7, "{met:?}");
    let named: Vec<_> = met.iter().filter_map(|key| crate::model::mapping::key_of(&table, key)).collect();
    assert_eq!(named, [&b"odd:1:a"[..], b"odd:2:"]);
    let foreign = crate::sink::RowPlace::from_bytes(&b"page"[..]);
    assert!(source.rows(&table, Some(&foreign), 1, &[]).is_err());
}
