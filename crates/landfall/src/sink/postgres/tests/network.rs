//! A network that fails in the middle of a landing: every byte of the exchange that commits, in both ways.
//! What landed and what did not is decided by the take-over, as in the lander.

use std::time::Instant;

use landfall_sim::proxy::{Fault, Proxy, Trap, Way};
use landfall_sim::waiting::wait_until;

use super::*;
use crate::sink::conformance::{LANE, us};

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
