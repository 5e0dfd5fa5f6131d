//! The suite of the seam against the in-memory database, and its failures on demand.

use super::*;
use crate::sink::conformance::{self, Owner, event, put, row, suite};

fn database() -> MemoryDatabase {
    MemoryDatabase::new(conformance::tables())
}

suite!(database());

#[test]
fn a_failure_on_demand_says_what_it_does() {
    let database = database();
    let mut owner = Owner::new(&database);
    let change = || put(&[("views", Value::Int(1))]);
    for failure in
        [Failure::Busy, Failure::Unavailable, Failure::Refused("page".into()), Failure::UnknownRolledBack]
    {
        database.fail_next_landing(failure);
        assert!(owner.change(&row("page", 1), change()).is_err());
        assert_eq!((database.row(&row("page", 1)), database.landings()), (None, 0));
    }
    database.fail_next_landing(Failure::UnknownCommitted);
    assert!(matches!(owner.change(&row("page", 1), change()), Err(SinkError::Unknown(_))));
    assert_eq!(database.watermark(conformance::LANE).map(|mark| mark.position), Some(10));
    assert_eq!(database.landings(), 1);
}

#[test]
fn a_database_that_is_down_answers_nothing() {
    let database = database();
    let mut owner = Owner::new(&database);
    database.set_down(true);
    assert!(matches!(owner.change(&row("page", 1), put(&[])), Err(SinkError::Unavailable(_))));
    assert!(database.catalogue().is_err());
    database.set_down(false);
    owner.land(vec![event("click", &[("page", Value::Int(1))])]).unwrap();
    assert_eq!(database.events("click").len(), 1);
}
