//! Take-overs in every order that a scheduler comes to: an owner of before goes on landing while a newer start takes its
//! lanes, and a sleeping lander is woken. Nothing lands twice or in another order, and no signal is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::thread::{self, yield_now};

use crate::buffer::log::Log;
use crate::buffer::log::memory::MemoryLog;
use crate::lander::fakes::{Failover, KEYS, PAGE, World, open, page, set_key, view};
use crate::lander::{Lander, LaneNote, Phase, Progress, StopReason};
use crate::model::codec::BodyWriter;
use crate::model::{LaneId, LoggedChange, Name, Value};
use crate::sync::explore::explore;

const WRITES: u64 = 3;
/// So many turns are more than enough for what is written here.
const TURNS: u64 = 200;

/// Turns until this lander has given up, or the database has everything.
fn land(mut lander: Lander, everything: Arc<dyn Fn() -> bool + Send + Sync>) -> Lander {
    for _ in 0..TURNS {
        lander.progress().request_flush();
        lander.turn();
        if lander.progress().stopped().is_some() || everything() {
            break;
        }
        yield_now();
    }
    lander
}

/// What landed of a lane is one chain from the start to `end`: each landing begins where the one before ended, by owners
/// that only ever get newer.
fn is_one_chain(database: &Failover, lane: LaneId, end: u64) {
    let landings = database.landings.lock();
    let steps: Vec<_> =
        landings.iter().flat_map(|landing| &landing.lanes).filter(|step| step.lane == lane).collect();
    assert!(steps.windows(2).all(|pair| pair[0].to == pair[1].from), "{steps:?}");
    assert!(steps.is_sorted_by_key(|step| step.epoch), "{steps:?}");
    assert_eq!(steps.first().map(|step| step.from.0), Some(0));
    assert_eq!(steps.last().map(|step| step.to.0), Some(end));
}

/// One record of one change.
fn write(log: &MemoryLog, (lane, change): (LaneId, LoggedChange)) {
    let LoggedChange::Row { row, change } = change else { panic!("{change:?}") };
    let mut body = Vec::new();
    BodyWriter::new(&mut body, 1).row(0, row.as_bytes(), &change);
    log.append(&[lane], &body).expect("room in the log");
}

fn two_owners_land() {
    // Both have the same log: two copies of it that were the same to the end.
    let World { env, log, database, settings, groups, lander: older, .. } = World::new();
    let at = database.clone();
    let everything: Arc<dyn Fn() -> bool + Send + Sync> = Arc::new(move || {
        let at = |lane| at.primary.lock().watermark(lane).map_or(0, |watermark| watermark.position);
        at(PAGE) == WRITES && at(KEYS[0]) == WRITES
    });
    let writer = {
        let log = log.clone();
        thread::spawn(move || {
            for n in 0..WRITES {
                write(&log, view(1));
                write(&log, set_key(0, "k", &n.to_string()));
            }
        })
    };
    let first = {
        let everything = everything.clone();
        thread::spawn(move || land(older, everything))
    };
    let second = {
        let (database, everything) = (database.clone(), everything.clone());
        thread::spawn(move || {
            let notes: Vec<LaneNote> =
                log.lanes().into_iter().map(|(_, lane)| LaneNote { lane, landed: 0 }).collect();
            let newer = open(&env, &log, &database, &settings, &groups, &notes).expect("a second owner");
            land(newer, everything)
        })
    };
    writer.join().unwrap();
    let (older, newer) = (first.join().unwrap(), second.join().unwrap());
    assert!(everything(), "{:?} {:?}", older.progress().groups(), newer.progress().groups());
    assert_eq!(newer.progress().stopped(), None, "the one that started last goes on");
    if let Some(stopped) = older.progress().stopped() {
        assert_eq!(stopped.phase, Phase::Stopped(StopReason::Fenced));
    }
    is_one_chain(&database, PAGE, WRITES);
    is_one_chain(&database, KEYS[0], WRITES);
    let landed = database.primary.lock().row(&page(1)).expect("the row");
    assert_eq!(landed[&Name::column("views")], Value::Int(WRITES as i64));
}

#[test]
fn an_older_owner_lands_nothing_twice_in_any_order_with_a_take_over() {
    explore(two_owners_land);
}

const SIGNALS: u64 = 2;

/// Signals from two threads, and a lander that looks and sleeps until it has seen all. A signal that is lost leaves it
/// asleep for ever, which is a deadlock.
fn sleeps_until(
    signal: fn(&Progress, &AtomicU64),
    seen: fn(&Progress, &AtomicU64) -> u64,
    wakes_at: fn(u64) -> u64,
) {
    let progress = World::new().lander.progress().clone();
    let asked = Arc::new(AtomicU64::new(0));
    let mut threads = Vec::new();
    for _ in 0..2 {
        let (progress, asked) = (progress.clone(), asked.clone());
        threads.push(thread::spawn(move || (0..SIGNALS).for_each(|_| signal(&progress, &asked))));
    }
    threads.push(thread::spawn(move || {
        loop {
            let seen = seen(&progress, &asked);
            if seen == 2 * SIGNALS {
                break;
            }
            progress.sleep(None, wakes_at(seen));
        }
    }));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn woken_by_changes() {
    sleeps_until(
        |progress, _| progress.accepted(PAGE, 1),
        |progress, _| progress.changes_accepted(),
        |seen| seen + 1,
    );
}

fn woken_when_asked() {
    let ask = |progress: &Progress, asked: &AtomicU64| {
        asked.fetch_add(1, Ordering::SeqCst);
        progress.notify();
    };
    sleeps_until(ask, |_, asked| asked.load(Ordering::SeqCst), |_| u64::MAX);
}

#[test]
fn no_signal_to_a_sleeping_lander_is_lost_in_any_order() {
    explore(woken_by_changes);
    explore(woken_when_asked);
}
