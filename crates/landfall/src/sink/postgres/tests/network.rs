//! A network that fails in the middle of a landing: every byte of the exchange that commits, in both ways.
//! What landed and what did not is decided by the take-over, as in the lander.

use std::time::Instant;

use landfall_sim::proxy::{Fault, Proxy, Trap, Way};
use landfall_sim::waiting::wait_until;

use super::*;
use crate::sink::conformance::{LANE, us};
use crate::sink::postgres::connect;
use crate::sink::postgres::wire::{Failure, Step};

const PATIENCE: Duration = Duration::from_secs(60);
const SCHEMA: &str = "CREATE TABLE page (id int PRIMARY KEY, views bigint NOT NULL DEFAULT 0)";

/// How a client says COMMIT.
fn commit_words() -> Vec<u8> {
    let mut words = bytes::BytesMut::new();
    postgres_protocol::message::frontend::parse("", "COMMIT", [], &mut words).unwrap();
    words.to_vec()
}

/// The same database behind a proxy, with short deadlines.
fn behind_a_proxy(fixture: &Fixture) -> (Fixture, Proxy) {
    let proxy = Proxy::start(fixture.server.address()).unwrap();
    let url = fixture.server.url_at(&fixture.name, proxy.address());
    let mut settings = PostgresSettings::parse(&url).unwrap();
    (settings.connect_timeout_ms, settings.answer_timeout_ms, settings.lock_timeout_ms) = (2_000, 200, 100);
    let database = PostgresDatabase::new(settings, crate::env::real().clock);
    (Fixture { database, ..fixture.clone() }, proxy)
}

/// Takes the lane over as often as it needs; where it is.
fn taken_over(owner: &mut Owner) -> crate::model::Watermark {
    let (mut taken, begun) = (Err(SinkError::Busy(String::new())), Instant::now());
    wait_until(begun + PATIENCE, || {
        taken = owner.sink().take_over(&us(1), &[LANE]).map(|lanes| lanes[0]);
        !matches!(taken, Err(SinkError::Busy(_) | SinkError::Unavailable(_) | SinkError::Unknown(_)))
    });
    let taken = taken.unwrap();
    // The server itself would keep the lock for a minute.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    owner.epoch = taken.epoch;
    taken
}

/// Adds one to a counter until that has landed, as the lander does: whatever fails, a take-over tells what came of it.
fn lands_once(owner: &mut Owner) {
    loop {
        match owner.change(&row("page", 1), add("views", Value::Int(1))) {
            Ok(()) => return,
            Err(SinkError::Unknown(_) | SinkError::Unavailable(_) | SinkError::Busy(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
        let found = taken_over(owner);
        if found.position != owner.at.0 {
            owner.at = (found.position, found.anchor);
            return;
        }
    }
}

/// Shows that a commit counts once, wherever the network breaks. `LANDFALL_PROOF_MINUTES` takes every byte.
#[test]
fn a_commit_that_breaks_at_any_byte_is_neither_lost_nor_twice() {
    let Some(fixture) = with("a_commit_that_breaks_at_any_byte_is_neither_lost_nor_twice", SCHEMA) else {
        return;
    };
    let (fixture, proxy) = behind_a_proxy(&fixture);
    let mut owner = Owner::new(&fixture);
    let trap = |way, passing_bytes, fault| Trap { words: commit_words(), way, passing_bytes, fault };
    proxy.set_trap(trap(Way::ToServer, u64::MAX, Fault::Cut));
    lands_once(&mut owner);
    let whole = [Way::ToServer, Way::ToClient].map(|way| proxy.passed_bytes(way));
    assert!(whole.iter().all(|bytes| (20..200).contains(bytes)), "{whole:?}");
    // The trap of that round took a connection that lives; the next ones are set on new ones.
    proxy.cut_all();
    taken_over(&mut owner);
    let step = if std::env::var_os("LANDFALL_PROOF_MINUTES").is_some() { 1 } else { 5 };
    let mut landings = 1;
    for (way, whole) in [Way::ToServer, Way::ToClient].into_iter().zip(whole) {
        for fault in [Fault::Cut, Fault::Blackhole] {
            let places = (0..=whole).filter(|place| place % step == 0 || *place >= whole - 1);
            for passing_bytes in places {
                proxy.set_trap(trap(way, passing_bytes, fault));
                lands_once(&mut owner);
                let place = format!("{way:?} {fault:?} {passing_bytes}");
                // On a slow machine the answer that springs it comes behind our deadline.
                assert!(wait_until(Instant::now() + PATIENCE, || proxy.is_sprung()), "{place}");
                landings += 1;
                assert_eq!(fixture.psql("SELECT views FROM page"), landings.to_string(), "{place}");
            }
        }
    }
    println!("{} breaks of a COMMIT: nothing lost, nothing twice", landings - 1);
}

/// The answers to many statements fill what the sockets hold. Who only sends meanwhile and a server that only answers would
/// wait for each other.
#[test]
fn more_statements_than_the_sockets_hold_answers_of_are_all_answered() {
    let test = "more_statements_than_the_sockets_hold_answers_of_are_all_answered";
    let Some(fixture) = with(test, SCHEMA) else { return };
    for url in [fixture.server.socket_url(&fixture.name), fixture.server.url(&fixture.name)] {
        let mut settings = PostgresSettings::parse(&url).unwrap();
        settings.answer_timeout_ms = 60_000;
        let clock = crate::env::real().clock;
        let mut wire = connect::connect(&settings, &clock).unwrap();
        let many = vec![Step::bare("SELECT repeat('x', 20)"); 60_000];
        wire.queue(&many).unwrap();
        let (answers, failure) = wire.exchange();
        assert!(failure.is_none(), "{failure:?}");
        assert_eq!(answers.len(), many.len());
        let mut refused = many;
        refused[5_000] = Step::bare("SELECT 1 / 0");
        wire.queue(&refused).unwrap();
        let (answers, failure) = wire.exchange();
        assert!(matches!(failure, Some(Failure::Refused(_))), "{failure:?}");
        assert_eq!(answers.len(), 5_000);
        assert_eq!(wire.run(&[Step::bare("SELECT 1")]).unwrap().len(), 1, "the connection is whole");
    }
}
