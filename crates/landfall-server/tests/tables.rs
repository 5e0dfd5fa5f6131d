//! `landfall tables` and `landfall setup`, and what clients of PostgreSQL's types are told: the real binary, private servers.
//! Without a PostgreSQL on this machine its tests say by name that they are skipped.

mod common;

#[cfg(feature = "postgres")]
use common::texts;
use common::{Place, connect, text};
#[cfg(feature = "postgres")]
use landfall_resp::Value;
use landfall_sim::client::Client;
#[cfg(feature = "postgres")]
use landfall_sim::client::{Answer, request};
#[cfg(feature = "postgres")]
use landfall_sim::servers::Postgres;
use rusqlite::Connection;
use serde_json::Value as Json;

fn json(place: &Place, args: &[&str]) -> Json {
    let ended = place.run(args);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.out).unwrap()
}

fn named<'j>(document: &'j Json, name: &str) -> &'j Json {
    document["tables"].as_array().unwrap().iter().find(|table| table["name"] == name).unwrap()
}

const KEYS: [(&str, Option<&str>); 13] = [
    ("airline", Some("airline:<airline_id>")),
    ("airplane", Some("airplane:<airplane_id>")),
    ("airplane_type", Some("airplane_type:<type_id>")),
    ("airport", Some("airport:<airport_id>")),
    ("airport_geo", None),
    ("booking", Some("booking:<booking_id>")),
    ("employee", Some("employee:<employee_id>")),
    ("flight", Some("flight:<flight_id>")),
    ("flight_log", None),
    ("flightschedule", Some("flightschedule:<flightno>")),
    ("passenger", Some("passenger:<passenger_id>")),
    ("passengerdetails", Some("passengerdetails:<passenger_id>")),
    ("weatherdata", Some("weatherdata:<log_date>:<time>:<station>")),
];

fn check_airport(document: &Json) {
    let keys: Vec<(&str, Option<&str>)> = document["tables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|table| (table["name"].as_str().unwrap(), table["key"].as_str()))
        .collect();
    assert_eq!(keys, KEYS);
    assert!(named(document, "airport_geo")["reason"].as_str().unwrap().contains("no primary key"));
    assert_eq!(named(document, "booking")["unique"], serde_json::json!([["flight_id", "seat"]]));
    assert_eq!(named(document, "booking")["ordered"], true);
    assert_eq!(named(document, "weatherdata")["group"], "weatherdata");
    assert_eq!(named(document, "weatherdata")["lanes"], 4);
    let details = named(document, "passengerdetails");
    let columns = serde_json::json!({"columns": ["passenger_id"], "table": "passenger", "cascades": true});
    assert_eq!(details["references"], serde_json::json!([columns]));
    assert_eq!(details["group"], named(document, "flight")["group"], "joined by foreign keys");
}

#[test]
fn tables_tells_keys_groups_columns_and_what_is_left_out() {
    let place = Place::new();
    let url = ["--database", "sqlite:airport.db"];
    let missing = place.run(&[&["tables"][..], &url].concat());
    assert!(missing.code == Some(69) && !place.path().join("airport.db").exists(), "{missing:?}");
    assert_eq!(place.run(&[&["setup", "--sample", "airport", "-q"][..], &url].concat()).code, Some(0));
    Connection::open(place.path().join("airport.db"))
        .unwrap()
        .execute_batch("CREATE VIEW seen AS SELECT 1 AS one")
        .unwrap();
    let document = json(&place, &[&["tables", "--json"][..], &url].concat());
    check_airport(&document);
    assert_eq!(document["unmapped"][0]["table"], "seen");
    let shown = place.run(&[&["tables"][..], &url].concat()).out;
    assert!(
        shown.contains("\nflight\n  rows      flight:<flight_id>\n") && shown.contains("\n  seen: "),
        "{shown}"
    );
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let one = place.run(&[&["tables", "list", "flightschedule"][..], &url].concat()).out;
    assert!(
        one.contains("flightno: char(8), up to 8 characters, key") && !one.contains("weatherdata"),
        "{one}"
    );
    let none = place.run(&[&["tables", "list", "nothing"][..], &url].concat());
    assert!(none.code == Some(1) && none.err.contains("landfall tables"), "{none:?}");
}

#[test]
fn the_printed_sql_makes_the_tables_that_a_start_finds() {
    let place = Place::new();
    let printed = place.run(&["setup", "--print", "--database", "sqlite:app.db"]);
    assert_eq!((printed.code, place.path().join("app.db").exists()), (Some(0), false));
    let file = Connection::open(place.path().join("app.db")).unwrap();
    file.execute_batch(&printed.out).unwrap();
    let id: Vec<u8> = file.query_row("SELECT id FROM landfall_database", [], |row| row.get(0)).unwrap();
    let server = place.serve(&["--database", "sqlite:app.db"]);
    assert_eq!(server.cli(&["SET", "a", "1"]), "OK");
    assert_eq!(server.cli(&["LANDFALL.FLUSH"]), "OK");
    let found: Vec<u8> = file.query_row("SELECT id FROM landfall_database", [], |row| row.get(0)).unwrap();
    assert_eq!((found, id.len()), (id, 16));
}

#[cfg(feature = "postgres")]
#[test]
fn a_user_without_rights_is_told_what_to_run_and_starts_when_somebody_ran_it() {
    let test = "a_user_without_rights_is_told_what_to_run_and_starts_when_somebody_ran_it";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    let name = postgres.new_database().unwrap();
    postgres
        .psql(
            &name,
            "CREATE TABLE public.page (id int PRIMARY KEY, n int); CREATE TABLE public.closed (id int PRIMARY KEY); \
             CREATE ROLE \"app user\" LOGIN PASSWORD 'secret'; GRANT SELECT, INSERT, UPDATE, DELETE ON page TO \"app user\"",
        )
        .unwrap();
    let place = Place::new();
    let url = format!("postgres://app%20user:secret@127.0.0.1:{}/{name}", postgres.port());
    let refused = place.run(&["serve", "--listen", "127.0.0.1:0", "--database", &url]);
    assert!(refused.code != Some(0) && refused.err.contains("landfall setup --print"), "{refused:?}");
    let tables = place.run(&["tables", "--database", &url]).out;
    assert!(tables.contains("page:<id>") && tables.contains("closed: the user may not read it"), "{tables}");
    let script = place.run(&["setup", "--print", "--database", &url]).out;
    assert!(
        script.contains("GRANT USAGE ON SCHEMA landfall TO \"app user\"") && !script.contains("secret"),
        "{script}"
    );
    postgres.psql(&name, &script).unwrap();
    let server = place.serve(&["--database", &url]);
    assert_eq!(server.cli(&["HSET", "page:1", "n", "7"]), "1");
    assert_eq!(server.cli(&["LANDFALL.FLUSH"]), "OK");
    assert_eq!(postgres.psql(&name, "SELECT n FROM public.page").unwrap(), "7");
}

/// The airport as PostgreSQL has it.
#[cfg(feature = "postgres")]
const AIRPORT: &str = r#"
CREATE TYPE department AS ENUM ('Marketing', 'Buchhaltung', 'Management', 'Logistik', 'Flugfeld');
CREATE TYPE weather AS ENUM ('Nebel', 'Schneefall', 'Regen', 'Regen-Schneefall', 'Gewitter');
CREATE TABLE airport (airport_id smallint PRIMARY KEY, iata char(3), icao char(4) NOT NULL UNIQUE, name varchar(50) NOT NULL);
CREATE TABLE airline (airline_id smallint PRIMARY KEY, iata char(2) NOT NULL UNIQUE, airlinename varchar(30),
  base_airport smallint NOT NULL REFERENCES airport);
CREATE TABLE airport_geo (airport_id smallint NOT NULL, name varchar(50) NOT NULL, city varchar(50), country varchar(50),
  latitude decimal(11,8) NOT NULL, longitude decimal(11,8) NOT NULL);
CREATE TABLE airplane_type (type_id int PRIMARY KEY, identifier varchar(50), description text);
CREATE TABLE airplane (airplane_id int PRIMARY KEY, capacity int NOT NULL, type_id int NOT NULL REFERENCES airplane_type,
  airline_id smallint NOT NULL REFERENCES airline);
CREATE TABLE flightschedule (flightno char(8) PRIMARY KEY, "from" smallint NOT NULL REFERENCES airport,
  "to" smallint NOT NULL REFERENCES airport, departure time NOT NULL, arrival time NOT NULL,
  airline_id smallint NOT NULL REFERENCES airline, monday boolean DEFAULT false, sunday boolean DEFAULT false);
CREATE TABLE flight (flight_id int PRIMARY KEY, flightno char(8) NOT NULL REFERENCES flightschedule,
  "from" smallint NOT NULL REFERENCES airport, "to" smallint NOT NULL REFERENCES airport, departure timestamp NOT NULL,
  arrival timestamp NOT NULL, airline_id smallint NOT NULL REFERENCES airline, airplane_id int NOT NULL REFERENCES airplane);
CREATE TABLE flight_log (log_date timestamp NOT NULL, "user" varchar(100) NOT NULL, flight_id int NOT NULL,
  flightno_old char(8), flightno_new char(8), comment varchar(200));
CREATE TABLE passenger (passenger_id int PRIMARY KEY, passportno char(9) NOT NULL UNIQUE, firstname varchar(100) NOT NULL,
  lastname varchar(100) NOT NULL);
CREATE TABLE passengerdetails (passenger_id int PRIMARY KEY REFERENCES passenger ON DELETE CASCADE, birthdate date NOT NULL,
  sex char(1), zip smallint, telephoneno varchar(30));
CREATE TABLE booking (booking_id int PRIMARY KEY, flight_id int NOT NULL REFERENCES flight, seat char(4),
  passenger_id int NOT NULL REFERENCES passenger, price decimal(10,2) NOT NULL, UNIQUE (flight_id, seat));
CREATE TABLE employee (employee_id int PRIMARY KEY, salary decimal(8,2), department department, username varchar(20) UNIQUE,
  password char(32));
CREATE TABLE weatherdata (log_date date, "time" time, station int, temp decimal(3,1) NOT NULL, humidity decimal(4,1) NOT NULL,
  airpressure decimal(10,2) NOT NULL, wind decimal(5,2) NOT NULL, weather weather, winddirection smallint NOT NULL,
  PRIMARY KEY (log_date, "time", station));"#;

/// A row of each table that has keys, in the order of their foreign keys.
#[cfg(feature = "postgres")]
const ROWS: [(&str, &[&str]); 11] = [
    ("airport:9358", &["icao", "CYPC", "name", "Paulatuk"]),
    ("airline:3", &["iata", "AM", "airlinename", "American Samoa Airlines", "base_airport", "9358"]),
    ("airplane_type:1", &["identifier", "A320"]),
    ("airplane:7", &["capacity", "180", "type_id", "1", "airline_id", "3"]),
    (
        "flightschedule:AM5136",
        &["from", "9358", "to", "9358", "departure", "11:19:00", "arrival", "15:03:00", "airline_id", "3"],
    ),
    (
        "flight:115",
        &[
            "flightno",
            "AM5136",
            "from",
            "9358",
            "to",
            "9358",
            "departure",
            "2025-10-01T11:19:00",
            "arrival",
            "2025-10-01T15:03:00",
            "airline_id",
            "3",
            "airplane_id",
            "7",
        ],
    ),
    ("passenger:1", &["passportno", "P12345678", "firstname", "Ada", "lastname", "Lovelace"]),
    ("passengerdetails:1", &["birthdate", "1815-12-10", "sex", "w", "zip", "1010"]),
    ("booking:1", &["flight_id", "115", "seat", "12A", "passenger_id", "1", "price", "119.50"]),
    ("employee:1", &["salary", "2500.00", "department", "Flugfeld", "username", "ada"]),
    (
        "weatherdata:2025-10-01:11%3A20%3A00:4",
        &[
            "temp",
            "-1.5",
            "humidity",
            "80.0",
            "airpressure",
            "1013.25",
            "wind",
            "3.10",
            "weather",
            "Regen",
            "winddirection",
            "270",
        ],
    ),
];

/// Writes, lands, evicts and reads through: what was acknowledged comes back byte for byte.
#[cfg(feature = "postgres")]
#[test]
fn all_tables_of_the_airport_behave_on_postgresql() {
    let Some(postgres) = Postgres::shared_or_skip("all_tables_of_the_airport_behave_on_postgresql") else {
        return;
    };
    let name = postgres.new_database().unwrap();
    postgres.psql(&name, AIRPORT).unwrap();
    let place = Place::new();
    let sample = postgres.url(&postgres.new_database().unwrap());
    assert_eq!(place.run(&["setup", "--sample", "airport", "-q", "--database", &sample]).code, Some(0));
    check_airport(&json(&place, &["tables", "--json", "--database", &sample]));
    let url = postgres.url(&name);
    check_airport(&json(&place, &["tables", "--json", "--database", &url]));
    let server = place.serve(&["--database", &url]);
    let mut client = connect(&server);
    for (key, columns) in ROWS {
        client.call(&[&["HSET", key][..], columns].concat()).unwrap();
    }
    for event in [
        &[
            "XADD",
            "airport_geo",
            "*",
            "airport_id",
            "9358",
            "name",
            "Paulatuk",
            "latitude",
            "69.36083800",
            "longitude",
            "-124.075469",
        ][..],
        &["XADD", "flight_log", "*", "log_date", "2025-10-01T11:19:00", "user", "ada", "flight_id", "115"],
    ] {
        client.call(event).unwrap();
    }
    client.call(&["LANDFALL.FLUSH"]).unwrap();
    assert_eq!(postgres.psql(&name, "SELECT count(*) FROM landfall.landfall_dead_letter").unwrap(), "0");
    client.call(&["LANDFALL.EVICT"]).unwrap();
    for (key, columns) in ROWS {
        for pair in columns.chunks(2) {
            assert_eq!(text(&client.call(&["HGET", key, pair[0]]).unwrap()), pair[1], "{key} {}", pair[0]);
        }
    }
    let found = "SELECT (SELECT latitude || ' ' || longitude FROM airport_geo) || ' ' || (SELECT \"user\" FROM flight_log)";
    assert_eq!(postgres.psql(&name, found).unwrap(), "69.36083800 -124.07546900 ada");
    for (command, part) in [
        (&["HSET", "airport_geo:9358", "name", "x"][..], "no primary key"),
        (&["HSET", "flight:0115", "airline_id", "3"], "write 115"),
        (&["HSET", "employee:1", "department", "Kitchen"], "one of Marketing"),
        (&["HSET", "booking:1", "seat", "12A "], "spaces at the end"),
        (&["HSET", "booking:1", "price", "1.005"], "2 digits"),
        (&["HSET", "flight:115", "airline_id", "32768"], "32767"),
        (&["HSET", "airline:3", "airlinename", "a\0b"], "NUL"),
    ] {
        let answer = format!("{:?}", client.call(command));
        assert!(answer.contains(part), "{command:?}: {answer}");
    }
    let mut invalid = request(&["HSET", "airline:3", "airlinename"]);
    invalid.push(vec![0xff]);
    let invalid = client.pipeline(&[invalid]);
    let [Answer::Reply(Value::Error(line), _)] = &invalid[..] else { panic!("{invalid:?}") };
    assert!(String::from_utf8_lossy(line).contains("not UTF-8"), "{invalid:?}");
}

/// What only the catalogue can tell is told before the acknowledgement, and nothing of it reaches the log.
#[cfg(feature = "postgres")]
#[test]
fn what_a_table_cannot_take_is_refused_before_the_acknowledgement() {
    let test = "what_a_table_cannot_take_is_refused_before_the_acknowledgement";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    let name = postgres.new_database().unwrap();
    let schema =
        "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, twice int GENERATED ALWAYS AS (n * 2) STORED,
        number int GENERATED ALWAYS AS IDENTITY, tags text[], doc jsonb, word text, r real)";
    postgres.psql(&name, schema).unwrap();
    let place = Place::new();
    let server = place.serve(&["--database", &postgres.url(&name)]);
    let mut client = connect(&server);
    assert!(format!("{:?}", client.call(&["HGET", "t:1", "n"]).unwrap()).contains("Null"));
    for (command, part) in [
        (&["HSET", "t:1", "word", "x"][..], "a new row needs n"),
        (&["HSET", "t:1", "n", "1", "twice", "2"], "computed by the database"),
        (&["HSET", "t:1", "n", "1", "number", "2"], "computed by the database"),
        (&["HSET", "t:1", "n", "1", "r", "0.123456789"], "0.12345679"),
    ] {
        let answer = format!("{:?}", client.call(command));
        assert!(answer.contains(part), "{command:?}: {answer}");
    }
    client
        .call(&[
            "SET",
            "t:1",
            r#"{"n": 1, "tags": ["a b", null], "doc": {"b": 1, "a": {"x": 1.50}}, "r": 0.5}"#,
        ])
        .unwrap();
    client.call(&["HINCRBYFLOAT", "t:1", "r", "0.1"]).unwrap();
    client.call(&["LANDFALL.FLUSH"]).unwrap();
    let expected = ["{\"a b\",NULL}", r#"{"a": {"x": 1.50}, "b": 1}"#, "0.6", "2", "1"];
    for _ in 0..2 {
        let found = client.call(&["HMGET", "t:1", "tags", "doc", "r", "twice", "number"]).unwrap();
        assert_eq!(texts(&found), expected);
        client.call(&["LANDFALL.EVICT"]).unwrap();
    }
}

/// Waits until the server knows a table; while it reads the tables again it answers LOADING.
fn wait_for_table(client: &mut Client, table: &str) {
    let known = format!("\"{table}\"");
    common::wait_until("the server knows the table", || {
        client.call(&["LANDFALL.STATUS"]).is_ok_and(|status| text(&status).contains(&known))
    });
}

#[test]
fn a_new_table_is_noticed_at_the_next_look_without_anybody_telling() {
    let place = Place::new();
    let file = Connection::open(place.path().join("app.db")).unwrap();
    let server = place.serve_with(&["--database", "sqlite:app.db"], &[("LANDFALL_DATABASE_CHECK", "50ms")]);
    let mut client = connect(&server);
    client.call(&["SET", "kept", "1"]).unwrap();
    file.execute_batch("CREATE TABLE page (id INTEGER PRIMARY KEY, n INTEGER)").unwrap();
    wait_for_table(&mut client, "page");
    client.call(&["HSET", "page:1", "n", "7"]).unwrap();
    client.call(&["LANDFALL.FLUSH"]).unwrap();
    assert_eq!(file.query_row("SELECT n FROM page", [], |row| row.get::<_, i64>(0)).unwrap(), 7);
    assert_eq!(text(&client.call(&["GET", "kept"]).unwrap()), "1");
}

#[test]
fn sighup_has_the_tables_read_again() {
    let place = Place::new();
    let file = Connection::open(place.path().join("app.db")).unwrap();
    let server = place.serve_with(&["--database", "sqlite:app.db"], &[("LANDFALL_DATABASE_CHECK", "1h")]);
    let mut client = connect(&server);
    file.execute_batch("CREATE TABLE page (id INTEGER PRIMARY KEY, n INTEGER)").unwrap();
    common::signal(server.pid(), rustix::process::Signal::HUP);
    wait_for_table(&mut client, "page");
}

/// The tables change under pending writes: landing reads them again by itself and goes on; what no table takes any more is
/// parked, and nothing else.
#[cfg(feature = "postgres")]
#[test]
fn a_landing_that_meets_changed_tables_reads_them_again_and_goes_on() {
    let test = "a_landing_that_meets_changed_tables_reads_them_again_and_goes_on";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    let name = postgres.new_database().unwrap();
    let schema = "CREATE TYPE mood AS ENUM ('good');
        CREATE TABLE public.page (id int PRIMARY KEY, n int, gone text, mood mood); CREATE TABLE public.old (id int PRIMARY KEY)";
    postgres.psql(&name, schema).unwrap();
    let place = Place::new();
    // No look comes in time: what lands has to notice it.
    let server =
        place.serve_with(&["--database", &postgres.url(&name)], &[("LANDFALL_DATABASE_CHECK", "1h")]);
    let mut client = connect(&server);
    client.call(&["LANDFALL.PAUSE"]).unwrap();
    for (key, column, value) in [("page:1", "n", "1"), ("page:2", "gone", "x"), ("page:3", "n", "3")] {
        client.call(&["HSET", key, column, value]).unwrap();
    }
    postgres
        .psql(
            &name,
            "ALTER TABLE public.page DROP COLUMN gone, ADD COLUMN extra int; ALTER TYPE mood ADD VALUE 'fine'; \
             CREATE TABLE public.new (id int PRIMARY KEY, n int); DROP TABLE public.old",
        )
        .unwrap();
    assert!(client.call(&["HSET", "page:1", "mood", "fine"]).is_err());
    client.call(&["LANDFALL.RESUME"]).unwrap();
    wait_for_table(&mut client, "new");
    client.call(&["HSET", "page:1", "mood", "fine", "extra", "5"]).unwrap();
    client.call(&["HSET", "new:1", "n", "2"]).unwrap();
    common::wait_until("all that a table takes has landed, and the rest is parked", || {
        let landed = "SELECT string_agg(id || coalesce(mood::text, '') || coalesce(extra::text, ''), ',' ORDER BY id) \
            || (SELECT n FROM public.new) FROM public.page WHERE n IS NOT NULL";
        let letters = "SELECT string_agg(class, ',') FROM landfall.landfall_dead_letter";
        postgres.psql(&name, landed).unwrap() == "1fine5,32"
            && postgres.psql(&name, letters).unwrap() == "schema"
    });
}
