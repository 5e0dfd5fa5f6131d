//! Many threads at once: sums are exact, positions rise, units are whole, and nobody waits for ever.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::engine::ops::{fields, numbers, strings};
use parking_lot::Mutex;

use crate::model::{LaneId, Position};
use crate::tasks::Tasks;

const WRITERS: u64 = 4;
const ROUNDS: u64 = 150;

/// Runs each piece of work on a thread of its own, and fails when one of them does.
fn at_once(work: Vec<Box<dyn FnOnce() + Send>>) {
    let mut tasks = Tasks::new(Arc::new(|_| {}));
    for (number, work) in work.into_iter().enumerate() {
        tasks.spawn(&format!("test-{number}"), work).unwrap();
    }
    assert_eq!(tasks.join(), Vec::<String>::new());
}

/// Runs `work` on threads while others empty the cache and read until all the work is done.
fn disturbed(engine: &Arc<Engine>, keys: &'static [&'static str], work: Vec<Box<dyn FnOnce() + Send>>) {
    let left = Arc::new(AtomicU64::new(work.len() as u64));
    let mut all: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
    for work in work {
        let left = left.clone();
        all.push(Box::new(move || {
            // Counted even when it fails, or the others would go on for ever.
            let _done = Countdown(left);
            work();
        }));
    }
    let (evicts, evicting) = (engine.clone(), left.clone());
    all.push(Box::new(move || {
        while evicting.load(Ordering::SeqCst) > 0 {
            evicts.evict_clean();
            std::thread::yield_now();
        }
    }));
    let (reads, reading) = (engine.clone(), left);
    all.push(Box::new(move || {
        while reading.load(Ordering::SeqCst) > 0 {
            for key in keys {
                run(&reads, &[key], |unit, t| strings::get(unit, 0, &t[0])).unwrap();
            }
        }
    }));
    at_once(all);
}

struct Countdown(Arc<AtomicU64>);

impl Drop for Countdown {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn shared(world: &mut World) -> Arc<Engine> {
    Arc::new(world.engine.take().unwrap())
}

fn number(engine: &Engine, key: &str) -> u64 {
    let (value, _) = run(engine, &[key], |unit, t| strings::get(unit, 0, &t[0])).unwrap();
    text(value).map_or(0, |text| text.parse().unwrap())
}

fn settle(engine: &Engine) {
    engine.flush_and_wait(PATIENCE).unwrap();
    wait_until(|| engine.status().dirty.0 == 0);
    engine.evict_clean();
}

// shows: S1, S7, S12
#[test]
fn increments_from_many_threads_are_all_there_and_their_positions_rise() {
    let (mut world, database) = World::new(|_| {});
    let engine = shared(&mut world);
    let seen: Arc<Mutex<Vec<(i64, LaneId, Position)>>> = Arc::default();
    let writer = |thread: u64| -> Box<dyn FnOnce() + Send> {
        let (engine, seen) = (engine.clone(), seen.clone());
        Box::new(move || {
            for _ in 0..ROUNDS {
                let (sum, written) =
                    run(&engine, &["hot"], |unit, t| numbers::increment(unit, 0, &t[0], 1)).unwrap();
                seen.lock().push((sum, written.places[0].0, written.places[0].1));
                let own = format!("own{thread}");
                run(&engine, &[&own], |unit, t| numbers::increment(unit, 0, &t[0], 1)).unwrap();
                run(&engine, &["page:1"], |unit, t| numbers::add(unit, 0, &t[0], b"views", b"1")).unwrap();
                run(&engine, &["page:1:views"], |unit, t| numbers::increment(unit, 0, &t[0], 1)).unwrap();
            }
        })
    };
    disturbed(&engine, &["hot", "page:1:views"], (0..WRITERS).map(writer).collect());
    let mut seen = std::mem::take(&mut *seen.lock());
    seen.sort();
    let sums: Vec<i64> = seen.iter().map(|(sum, _, _)| *sum).collect();
    assert_eq!(sums, (1..=(WRITERS * ROUNDS) as i64).collect::<Vec<_>>(), "each increment saw all before it");
    assert!(seen.windows(2).all(|pair| pair[0].2 < pair[1].2), "positions follow the values");
    settle(&engine);
    assert_eq!(number(&engine, "hot"), WRITERS * ROUNDS);
    assert_eq!(number(&engine, "page:1:views"), 2 * WRITERS * ROUNDS);
    (0..WRITERS).for_each(|thread| assert_eq!(number(&engine, &format!("own{thread}")), ROUNDS));
    let views = &database.row(&page(1)).unwrap()[&crate::model::Name::column("views")];
    assert_eq!(*views, Value::Int((2 * WRITERS * ROUNDS) as i64));
}

#[test]
fn units_over_several_rows_are_whole_and_end_whatever_the_order_of_their_keys() {
    let (mut world, _) = World::new(|_| {});
    let engine = shared(&mut world);
    const ACCOUNTS: [&str; 5] = ["a", "b", "c", "page:1:views", "page:2:views"];
    let torn = Arc::new(AtomicBool::new(false));
    let mover = |thread: usize| -> Box<dyn FnOnce() + Send> {
        let (engine, torn) = (engine.clone(), torn.clone());
        Box::new(move || {
            for round in 0..ROUNDS as usize {
                let from = ACCOUNTS[(thread + round) % 5];
                let to = ACCOUNTS[(thread + 2 * round + 1) % 5];
                if from != to {
                    run(&engine, &[from, to], |unit, t| {
                        numbers::increment(unit, 0, &t[0], -1)?;
                        numbers::increment(unit, 1, &t[1], 1)
                    })
                    .unwrap();
                }
                let mut keys = ACCOUNTS;
                keys.rotate_left(round % 5);
                let total = run(&engine, &keys, |unit, t| {
                    let mut total = 0;
                    for (at, target) in t.iter().enumerate() {
                        let value = text(strings::get(unit, at, target)?);
                        total += value.map_or(0, |value| value.parse::<i64>().unwrap());
                    }
                    Ok(total)
                });
                torn.fetch_or(total.unwrap().0 != 0, Ordering::SeqCst);
            }
        })
    };
    // No eviction here: a unit of five cold rows might then start again for ever.
    at_once((0..WRITERS as usize).map(mover).collect());
    assert!(!torn.load(Ordering::SeqCst), "somebody saw half of a transfer");
    settle(&engine);
    let sum: i64 = ACCOUNTS
        .iter()
        .map(|key| run(&engine, &[key], |unit, t| strings::get(unit, 0, &t[0])).unwrap().0)
        .map(|value| text(value).map_or(0, |value| value.parse::<i64>().unwrap()))
        .sum();
    assert_eq!(sum, 0);
}

#[test]
fn a_row_that_is_written_all_the_time_is_never_let_go() {
    let (mut world, _) = World::new(|settings| settings.memory_bytes_max = 1 << 20);
    let engine = shared(&mut world);
    engine.pause(None).unwrap();
    let key = |n: u64| format!("key{n}");
    // Far more than fits: 1 MiB of cache, and dirty rows up to half of it.
    let mut written = 0;
    loop {
        let value = [b'x'; 2000];
        let set = |unit: &mut Unit<'_>, t: &[Target]| {
            strings::set(unit, 0, &t[0], &value, Default::default(), &[]).map(|_| ())
        };
        match run(&engine, &[&key(written)], set) {
            Ok(_) => written += 1,
            Err(refusal) => {
                assert!(matches!(refusal, Refusal::OutOfMemory(_)), "{refusal:?}");
                break;
            }
        }
    }
    assert!(written > 100);
    for n in 0..written {
        let (value, _) = run(&engine, &[&key(n)], |unit, t| strings::get(unit, 0, &t[0])).unwrap();
        assert_eq!(value.map(|value| value.len()), Some(2000));
    }
    assert_eq!((engine.status().evicted, engine.status().counts.loaded), (0, 0));
    engine.resume(None).unwrap();
    settle(&engine);
    let pairs: [(&[u8], &[u8]); 1] = [(b"f", b"1")];
    run(&engine, &["again"], |unit, t| fields::set(unit, 0, &t[0], &pairs)).unwrap();
}
