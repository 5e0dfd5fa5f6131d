//! What every database owes to rows of mapped tables and to events.
//! A refused row must leave no trace, of itself or of its neighbours.

use super::{Owner, add, bytes, decimal, event, op, put, refusal, replace, row};
use crate::model::{Change, RowKey, Value};
use crate::sink::{Database, LandingOp};

pub(super) fn airline(key: i64, iata: &str) -> LandingOp {
    op(&row("airline", key), put(&[("iata", Value::from(iata))]))
}

pub(super) fn flight(key: i64) -> LandingOp {
    let columns = [
        ("flightno", "AM5136".into()),
        ("departure", "2025-10-01T11:19:00".into()),
        ("airline_id", Value::Int(3)),
    ];
    op(&row("flight", key), put(&columns))
}

pub(super) fn booking(key: i64, seat: &str) -> LandingOp {
    let columns = [("flight_id", Value::Int(115)), ("seat", seat.into()), ("price", decimal("99.50"))];
    op(&row("booking", key), put(&columns))
}

pub(crate) fn a_refused_row_leaves_rows_and_watermark_as_they_were(database: &dyn Database) {
    let mut owner = Owner::new(database);
    owner.land(vec![airline(3, "AM"), flight(115), booking(1, "12A")]).unwrap();
    let (table, reason) = refusal(owner.land(vec![
        op(&row("booking", 1), put(&[("price", decimal("1.00"))])),
        op(&RowKey::of_key(b"k"), replace(&[("=v", bytes("v"))])),
        event("click", &[("page", Value::Int(1)), ("request_id", "a".into())]),
        booking(2, "12A"),
    ]));
    assert_eq!(table, "booking");
    assert!(reason.starts_with("UNIQUE constraint failed: booking.flight_id, booking.seat"), "{reason}");
    assert_eq!(owner.cell(&row("booking", 1), "price"), "99.50");
    assert_eq!(owner.load(&RowKey::of_key(b"k")), None);
    owner.land(vec![booking(2, "12B")]).unwrap();
    assert_eq!(owner.cell(&row("booking", 2), "seat"), "12B");
}

pub(crate) fn constraints_refuse_with_the_table(database: &dyn Database) {
    let mut owner = Owner::new(database);
    owner.land(vec![airline(3, "AM"), flight(115)]).unwrap();
    let orphan = op(&row("booking", 1), put(&[("flight_id", Value::Int(9)), ("price", decimal("1.00"))]));
    let (table, reason) = refusal(owner.land(vec![orphan]));
    assert!(table == "booking" && reason.starts_with("FOREIGN KEY constraint failed"), "{table}: {reason}");
    let bare = op(&row("flight", 7), put(&[("airline_id", Value::Int(3)), ("flightno", "AM1".into())]));
    let reason = refusal(owner.land(vec![bare])).1;
    assert!(reason.starts_with("NOT NULL constraint failed: flight.departure"), "{reason}");
    let parent = op(&row("airline", 3), Change::Delete);
    assert!(refusal(owner.land(vec![parent])).1.starts_with("FOREIGN KEY constraint failed"));
    for (change, part) in [
        (put(&[("views", Value::from("x"))]), "views"),
        (put(&[("title", Value::from("x".repeat(51).as_str()))]), "title"),
        (put(&[("score", decimal("0.001"))]), "score"),
        (put(&[("gone", Value::Int(1))]), "gone"),
        (put(&[("id", Value::Int(2))]), "id"),
        (add("title", Value::Int(1)), "title"),
    ] {
        let (table, reason) = refusal(owner.change(&row("page", 1), change));
        assert!(table == "page" && reason.contains(part), "{reason}");
    }
    assert_eq!(refusal(owner.change(&row("nowhere", 1), Change::Delete)).0, "nowhere");
    let short = RowKey::of_table("weatherdata", &[Value::from("2025-10-01")]);
    assert_eq!(refusal(owner.change(&short, Change::Delete)).0, "weatherdata");
    assert_eq!(owner.at.0, 10);
}

pub(crate) fn a_partial_put_keeps_the_other_columns(database: &dyn Database) {
    let mut owner = Owner::new(database);
    owner.land(vec![airline(3, "AM"), flight(115)]).unwrap();
    owner
        .change(&row("flight", 115), put(&[("from", Value::Int(9358)), ("flight_id", Value::Int(115))]))
        .unwrap();
    assert_eq!(owner.cell(&row("flight", 115), "from"), "9358");
    assert_eq!(owner.cell(&row("flight", 115), "departure"), "2025-10-01T11:19:00");
    owner.change(&row("flight", 115), put(&[("from", Value::Null)])).unwrap();
    assert_eq!(owner.cell(&row("flight", 115), "from"), "-");
    owner.change(&row("flight", 115), put(&[])).unwrap();
    assert_eq!(owner.cell(&row("flight", 115), "flightno"), "AM5136");
}

pub(crate) fn an_add_counts_null_and_absent_as_zero(database: &dyn Database) {
    let mut owner = Owner::new(database);
    let page = row("page", 1);
    owner.change(&page, add("views", Value::Int(3))).unwrap();
    owner.change(&page, add("score", decimal("0.10"))).unwrap();
    owner.change(&page, add("score", decimal("0.20"))).unwrap();
    owner.change(&page, add("views", Value::Int(-5))).unwrap();
    assert_eq!((owner.cell(&page, "views"), owner.cell(&page, "score")), ("-2".into(), "0.30".into()));
    owner.change(&page, put(&[("views", Value::Int(i64::MAX))])).unwrap();
    assert!(refusal(owner.change(&page, add("views", Value::Int(1)))).1.contains("views"));
    assert_eq!(owner.cell(&page, "views"), i64::MAX.to_string());
    owner.change(&page, put(&[("score", decimal("99999999.99"))])).unwrap();
    assert!(refusal(owner.change(&page, add("score", decimal("0.01")))).1.contains("score"));
}

pub(crate) fn a_delete_removes_and_is_content_with_nothing(database: &dyn Database) {
    let mut owner = Owner::new(database);
    let key = [Value::from("2025-10-01"), Value::from("11:19:00"), Value::Int(7)];
    let weather = RowKey::of_table("weatherdata", &key);
    owner.change(&weather, put(&[("temp", decimal("21.5"))])).unwrap();
    assert_eq!(
        (owner.cell(&weather, "temp"), owner.cell(&weather, "time")),
        ("21.5".into(), "11:19:00".into())
    );
    owner.change(&weather, Change::Delete).unwrap();
    owner.change(&weather, Change::Delete).unwrap();
    assert_eq!(owner.load(&weather), None);
}

pub(crate) fn a_replace_forgets_the_other_columns_and_never_cascades(database: &dyn Database) {
    let mut owner = Owner::new(database);
    owner.land(vec![airline(3, "AM"), flight(115)]).unwrap();
    owner.change(&row("flight", 115), put(&[("from", Value::Int(1))])).unwrap();
    owner.change(&row("meal", 115), put(&[("dish", "soup".into())])).unwrap();
    let whole = [("flightno", "AM1".into()), ("departure", "2025-10-02T00:00:00".into())];
    owner.change(&row("flight", 115), replace(&whole)).unwrap();
    assert_eq!(
        (owner.cell(&row("flight", 115), "from"), owner.cell(&row("flight", 115), "flightno")),
        ("-".into(), "AM1".into())
    );
    assert_eq!(owner.cell(&row("meal", 115), "dish"), "soup");
    owner.change(&row("flight", 116), replace(&whole)).unwrap();
    assert_eq!(owner.cell(&row("flight", 116), "flightno"), "AM1");
    let reason = refusal(owner.change(&row("flight", 115), replace(&whole[..1]))).1;
    assert!(reason.starts_with("NOT NULL constraint failed: flight.departure"), "{reason}");
    owner.change(&row("flight", 115), Change::Delete).unwrap();
    assert_eq!(owner.cell(&row("meal", 115), "dish"), "absent");
}

pub(crate) fn ops_run_in_their_order(database: &dyn Database) {
    let mut owner = Owner::new(database);
    let swap = |a: &'static str, b: &'static str| {
        vec![
            op(&row("booking", 1), put(&[("seat", Value::Null)])),
            op(&row("booking", 2), put(&[("seat", a.into())])),
            op(&row("booking", 1), put(&[("seat", b.into())])),
        ]
    };
    owner.land(vec![airline(3, "AM"), flight(115), booking(1, "1A"), booking(2, "2B")]).unwrap();
    owner.land(swap("1A", "2B")).unwrap();
    assert_eq!(
        (owner.cell(&row("booking", 1), "seat"), owner.cell(&row("booking", 2), "seat")),
        ("2B".into(), "1A".into())
    );
    owner.ordered = false;
    owner
        .land(vec![
            op(&row("page", 2), put(&[("views", Value::Int(1))])),
            op(&row("page", 1), put(&[("views", Value::Int(1))])),
            op(&row("page", 2), add("views", Value::Int(1))),
            op(&row("page", 2), Change::Delete),
            op(&row("page", 1), Change::Delete),
            op(&row("page", 2), add("views", Value::Int(7))),
        ])
        .unwrap();
    assert_eq!(
        (owner.cell(&row("page", 2), "views"), owner.cell(&row("page", 1), "views")),
        ("7".into(), "absent".into())
    );
}

pub(crate) fn an_event_is_a_new_row(database: &dyn Database) {
    let mut owner = Owner::new(database);
    owner
        .land(vec![
            event("visit", &[("visit_id", Value::Int(1)), ("page", Value::Int(7))]),
            event("visit", &[("visit_id", Value::Int(2))]),
            event("click", &[("page", Value::Int(7))]),
            event("click", &[("page", Value::Int(7))]),
        ])
        .unwrap();
    assert_eq!(
        (owner.cell(&row("visit", 1), "page"), owner.cell(&row("visit", 2), "page")),
        ("7".into(), "-".into())
    );
    assert_eq!(refusal(owner.land(vec![event("click", &[("at", "2025-10-01T00:00:00".into())])])).0, "click");
    assert_eq!(refusal(owner.land(vec![event("visit", &[("visit_id", Value::Int(1))])])).0, "visit");
}

/// Shows S6: an event with the same `request_id` is there once, whoever sends it again.
pub(crate) fn an_event_that_is_there_already_is_no_error(database: &dyn Database) {
    let mut owner = Owner::new(database);
    let click = || event("click", &[("page", Value::Int(7)), ("request_id", "a-b".into())]);
    owner.land(vec![click(), click()]).unwrap();
    owner.land(vec![click()]).unwrap();
}
