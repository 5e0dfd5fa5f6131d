//! Change logs in PostgreSQL: once for each landed change, in its transaction, or not at all.

use super::*;
use crate::model::Change;

const FLIGHTS: &str = "
    CREATE TABLE flight (flight_id int PRIMARY KEY, flightno char(8) NOT NULL, \"from\" smallint, departure timestamp,
      price numeric(10,2), CHECK (price < 1000));
    CREATE TABLE flight_log (log_date timestamp NOT NULL, \"user\" varchar(100) NOT NULL, flight_id int NOT NULL,
      flightno_old char(8), flightno_new char(8), from_old smallint, from_new smallint, departure_old timestamp,
      departure_new timestamp, price_new numeric(4,1), comment varchar(200), id int GENERATED ALWAYS AS IDENTITY);
    CREATE TABLE other_log (a int);";

fn audited(fixture: &Fixture, log: &str) -> Owner {
    let audits = Arc::new(vec![("flight".to_owned(), log.to_owned())]);
    let mut owner = Owner::with(fixture, LandingContext { audits, ..conformance::context(fixture) });
    owner.time_ms = 1_759_317_540_250;
    owner
}

fn flight(number: i64, set: &[(&str, Value)]) -> LandingOp {
    op(&row("flight", number), put(set))
}

fn departs(hour: u32) -> (&'static str, Value) {
    ("departure", Value::from(format!("2025-10-01T{hour}:19:00").as_str()))
}

fn whole(hour: u32) -> [(&'static str, Value); 3] {
    [("flightno", Value::from("AM5136")), ("from", Value::Int(9358)), departs(hour)]
}

#[test]
fn a_change_log_gets_old_and_new_in_the_same_transaction() {
    let test = "audits::a_change_log_gets_old_and_new_in_the_same_transaction";
    let Some(fixture) = with(test, FLIGHTS) else { return };
    let mut owner = audited(&fixture, "flight_log");
    for ordered in [true, false] {
        fixture.psql("TRUNCATE flight_log RESTART IDENTITY");
        owner.ordered = ordered;
        owner.land(vec![flight(115, &whole(11)), flight(116, &whole(10))]).unwrap();
        owner.land(vec![flight(115, &[departs(13)]), flight(116, &[departs(10)])]).unwrap();
        // Nothing changes, nothing is recorded.
        owner.change(&row("flight", 115), put(&[departs(13)])).unwrap();
        owner.change(&row("flight", 115), Change::Delete).unwrap();
        owner.change(&row("flight", 115), Change::Delete).unwrap();
        let log = "SELECT string_agg(flight_id || ' ' || coalesce(departure_old::time::text, '-') || ' ' || \
             coalesce(departure_new::time::text, '-'), ', ' ORDER BY id) FROM flight_log";
        assert_eq!(
            fixture.psql(log),
            "115 - 11:19:00, 116 - 10:19:00, 115 11:19:00 13:19:00, 115 13:19:00 -"
        );
        owner.change(&row("flight", 116), Change::Delete).unwrap();
    }
    assert_eq!(
        fixture.psql("SELECT DISTINCT log_date || ' ' || \"user\" || coalesce(comment, '') FROM flight_log"),
        "2025-10-01 11:19:00.25 landfall"
    );
    assert_eq!(fixture.psql("SELECT from_old || flightno_new FROM flight_log WHERE id = 3"), "9358AM5136");
}

#[test]
fn a_change_that_is_refused_leaves_no_record_and_one_that_cannot_be_recorded_is_refused() {
    let test = "audits::a_change_that_is_refused_leaves_no_record_and_one_that_cannot_be_recorded_is_refused";
    let Some(fixture) = with(test, FLIGHTS) else { return };
    for (log, part) in [("no_log", "no_log does not exist"), ("other_log", "no column like flightno_old")] {
        let (table, reason) = refusal(audited(&fixture, log).land(vec![flight(1, &whole(11))]));
        assert!(table == "flight" && reason.contains(part), "{reason}");
    }
    let mut owner = audited(&fixture, "flight_log");
    owner.land(vec![flight(1, &whole(11)), flight(2, &whole(11))]).unwrap();
    let price = |n: &str| ("price", Value::decimal(n.parse().unwrap()));
    let (table, _) = refusal(owner.land(vec![flight(1, &[departs(12)]), flight(2, &[price("5000")])]));
    assert_eq!(table, "flight");
    // The log is narrower than the table.
    let (table, reason) = refusal(owner.land(vec![flight(2, &[price("999.99")]), flight(1, &[departs(12)])]));
    assert!(table == "flight_log" && reason.contains("22003"), "{table}: {reason}");
    assert_eq!(fixture.psql("SELECT count(*) FROM flight_log"), "2");
    assert_eq!(fixture.psql("SELECT count(*) FROM flight WHERE departure > '2025-10-01T11:30:00'"), "0");
}
