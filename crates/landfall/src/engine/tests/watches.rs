//! Watches: no change through Landfall is missed, whatever is evicted, loaded, landed or expired in between.

use super::*;
use crate::engine::Watch;
use crate::engine::ops::strings::{Condition, Expiry};
use crate::engine::ops::{fields, keys, strings};
use crate::env::seeded::Dice;
use crate::model::Intent;
use crate::sink::LandingOp;
use crate::tasks::Tasks;

fn watch(engine: &Engine, names: &[&str]) -> Watch {
    let mut watch = engine.watch();
    run(engine, names, |unit, targets| (0..targets.len()).try_for_each(|at| unit.watch(at, &mut watch)))
        .unwrap();
    watch
}

/// Whether a transaction over another key would run.
fn holds(engine: &Engine, watch: &Watch) -> bool {
    let target = engine.resolve(b"somewhere else").unwrap();
    engine.unit_watching(&[(b"somewhere else", &target)], false, watch).holds(watch)
}

fn set(engine: &Engine, name: &str, value: &str, expiry: Expiry) {
    let how = (Condition::Always, expiry, false);
    run(engine, &[name], |unit, t| strings::set(unit, 0, &t[0], value.as_bytes(), how, &[]).map(drop))
        .unwrap();
}

fn put(engine: &Engine, name: &str, column: &str, value: &str) {
    let pairs = [(column.as_bytes(), value.as_bytes())];
    run(engine, &[name], |unit, t| fields::set(unit, 0, &t[0], &pairs).map(drop)).unwrap();
}

fn delete(engine: &Engine, name: &str) {
    run(engine, &[name], |unit, t| keys::delete(unit, 0, &t[0]).map(drop)).unwrap();
}

/// What a client sees of a key.
fn seen(engine: &Engine, name: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let read = |unit: &mut Unit<'_>, targets: &[Target]| {
        let mut all = Vec::new();
        match fields::get_all(unit, 0, &targets[0], |_, fields| {
            all.extend(fields.map(|(name, value)| (name.to_vec(), value.to_vec())));
        }) {
            Err(Stop::Refused(Refusal::WrongType)) => {
                let value = strings::get(unit, 0, &targets[0])?;
                all.extend(value.map(|value| (Vec::new(), value.to_vec())));
            }
            outcome => outcome?,
        }
        all.sort();
        Ok(all)
    };
    run(engine, &[name], read).unwrap().0
}

#[test]
fn a_watch_hears_of_every_kind_of_change_and_of_no_read() {
    let (world, _) = World::new(|_| {});
    let engine = world.engine();
    set(engine, "s", "1", Expiry::None);
    put(engine, "h", "f", "1");
    put(engine, "page:1", "title", "a");
    let changes: [(&str, &dyn Fn()); 7] = [
        ("s", &|| set(engine, "s", "1", Expiry::None)),
        ("s", &|| {
            run(engine, &["s"], |unit, t| keys::expire(unit, 0, &t[0], u64::MAX / 2)).map(drop).unwrap()
        }),
        ("s", &|| delete(engine, "s")),
        ("h", &|| put(engine, "h", "g", "2")),
        ("h", &|| run(engine, &["h"], |unit, t| fields::delete(unit, 0, &t[0], &[b"f"])).map(drop).unwrap()),
        ("page:1", &|| put(engine, "page:1", "title", "b")),
        ("page:1", &|| delete(engine, "page:1")),
    ];
    for (number, (name, change)) in changes.into_iter().enumerate() {
        let (one, both, other) =
            (watch(engine, &[name]), watch(engine, &["x", name]), watch(engine, &["somewhere"]));
        seen(engine, name);
        assert!(holds(engine, &one) && holds(engine, &both), "{number}");
        change();
        assert!(!holds(engine, &one) && !holds(engine, &both), "{number}");
        assert!(holds(engine, &other), "{number}");
    }
}

#[test]
fn a_watch_outlives_eviction_and_hears_of_what_happens_after_it() {
    let (world, _) = World::new(|_| {});
    let engine = world.engine();
    for name in ["k", "page:1"] {
        put(engine, name, "title", "a");
        world.land_and_forget();
        let (quiet, told) = (watch(engine, &[name]), watch(engine, &[name]));
        seen(engine, name);
        world.land_and_forget();
        seen(engine, name);
        assert!(holds(engine, &quiet), "letting a row go is no change of it");
        put(engine, name, "title", "b");
        world.land_and_forget();
        put(engine, name, "title", "a");
        world.land_and_forget();
        seen(engine, name);
        assert!(!holds(engine, &told), "{name} was written twice, and is as it was");
    }
}

#[test]
fn a_key_that_expires_breaks_its_watch_before_anybody_writes_that_down() {
    let (world, _) = World::new(|_| {});
    let engine = world.engine();
    let at_ms = world.clock.unix_ms() + 1000;
    set(engine, "k", "1", Expiry::At(at_ms));
    let watching = watch(engine, &["k"]);
    assert!(holds(engine, &watching));
    world.clock.unix_ms.store(at_ms, Ordering::SeqCst);
    assert!(!holds(engine, &watching));
}

#[test]
fn a_watch_over_an_engine_that_was_opened_anew_is_broken() {
    let (mut world, _) = World::on_disk(|_| {});
    let watching = watch(world.engine(), &["k"]);
    world.reopen();
    assert!(!holds(world.engine(), &watching));
}

#[test]
fn a_dead_letter_that_is_dropped_breaks_the_watches_of_its_row_when_the_database_has_dropped_it() {
    let (world, memory) = World::on_disk(|settings| settings.refusals_max = 1);
    let engine = world.engine();
    put(engine, "page:1", "title", "old");
    world.land_all();
    memory
        .set_poison(Some(Arc::new(|op| matches!(op, LandingOp::Row { .. }).then(|| "CHECK failed".into()))));
    put(engine, "page:1", "title", "new");
    world.land_all();
    let all = letters(engine);
    engine.pause(None).unwrap();
    engine.ask_of_letters(&all, &Intent::Drop).unwrap();
    // Watched after that was asked for, and before it was done.
    let watching = watch(engine, &["page:1"]);
    assert_eq!(seen(engine, "page:1")[1].1, b"new");
    assert!(holds(engine, &watching));
    engine.resume(None).unwrap();
    world.land_all();
    assert_eq!(seen(engine, "page:1")[1].1, b"old");
    assert!(!holds(engine, &watching));
}

#[test]
fn watches_that_end_leave_nothing_behind() {
    let (world, _) = World::new(|_| {});
    let engine = world.engine();
    let (one, other) = (watch(engine, &["a", "b", "a"]), watch(engine, &["b"]));
    assert_eq!((one.rows(), other.rows()), (2, 1));
    drop(one);
    set(engine, "b", "1", Expiry::None);
    assert!(!holds(engine, &other));
    drop(other);
    assert!(engine.core.cache.watches().is_empty());
}

/// What was seen when a watch began, and the watch.
type Watching = (&'static str, Vec<(Vec<u8>, Vec<u8>)>, Watch);

#[test]
fn what_is_seen_to_have_changed_has_broken_its_watch() {
    const NAMES: [&str; 5] = ["s", "h", "page:1", "page:2", "shop:1"];
    let (mut changed, mut kept) = (0, 0);
    for seed in 0..40 {
        let (world, _) = World::new(|_| {});
        let engine = world.engine();
        let mut dice = Dice(seed);
        let mut watching: Vec<Watching> = Vec::new();
        for step in 0..60 {
            let name = NAMES[dice.below(NAMES.len() as u64) as usize];
            match dice.below(10) {
                0 => world.land_and_forget(),
                1 => drop(engine.evict_clean()),
                2 => delete(engine, name),
                3 if name == "s" => set(engine, "s", &step.to_string(), Expiry::None),
                3 | 4 => {
                    put(engine, if name == "s" { "h" } else { name }, "title", &dice.below(3).to_string())
                }
                5 => drop(world.clock.unix_ms.fetch_add(dice.below(100), Ordering::SeqCst)),
                6 | 7 => {
                    let begun = watch(engine, &[name]);
                    watching.push((name, seen(engine, name), begun));
                }
                _ => {
                    for (name, before, watch) in std::mem::take(&mut watching) {
                        let held = holds(engine, &watch);
                        let now = seen(engine, name);
                        assert!(
                            !held || now == before,
                            "seed {seed} step {step}: {name} has changed unheard"
                        );
                        (changed, kept) = (changed + u32::from(now != before), kept + u32::from(held));
                    }
                }
            }
        }
    }
    assert!(changed > 50 && kept > 50, "too little happened: {changed} {kept}");
}

#[test]
fn increments_by_watch_and_transaction_from_many_threads_are_all_there() {
    const WRITERS: u64 = 3;
    const ROUNDS: u64 = 60;
    let (mut world, _) = World::new(|_| {});
    let engine = Arc::new(world.engine.take().unwrap());
    set(&engine, "n", "0", Expiry::None);
    let mut tasks = Tasks::new(Arc::new(|_| {}));
    let left = Arc::new(AtomicU64::new(WRITERS));
    for number in 0..WRITERS {
        let (engine, left) = (engine.clone(), left.clone());
        let work = move || {
            for _ in 0..ROUNDS {
                while !increment(&engine) {}
            }
            left.fetch_sub(1, Ordering::SeqCst);
        };
        tasks.spawn(&format!("test-writer-{number}"), work).unwrap();
    }
    let (evicts, evicting) = (engine.clone(), left);
    let evict = move || {
        while evicting.load(Ordering::SeqCst) > 0 {
            evicts.evict_clean();
            std::thread::yield_now();
        }
    };
    tasks.spawn("test-evicts", evict).unwrap();
    assert_eq!(tasks.join(), Vec::<String>::new());
    assert_eq!(seen(&engine, "n"), [(Vec::new(), (WRITERS * ROUNDS).to_string().into_bytes())]);
}

/// Adds one as a client would, in three steps; whether nobody came in between.
fn increment(engine: &Engine) -> bool {
    let watching = watch(engine, &["n"]);
    let old: u64 = String::from_utf8(seen(engine, "n")[0].1.clone()).unwrap().parse().unwrap();
    let next = (old + 1).to_string();
    // Others come in between.
    std::thread::yield_now();
    let transaction = |unit: &mut Unit<'_>, targets: &[Target]| {
        if !unit.holds(&watching) {
            return Ok(false);
        }
        strings::set(unit, 0, &targets[0], next.as_bytes(), Default::default(), &[])?;
        Ok(true)
    };
    run(engine, &["n"], transaction).unwrap().0
}

#[test]
fn what_is_watched_stays_as_it_is_until_the_transaction_is_through_also_where_it_touches_other_rows() {
    let (mut world, _) = World::new(|settings| settings.lanes = 1);
    let engine = Arc::new(world.engine.take().unwrap());
    for round in 0..200 {
        let watching = watch(&engine, &["watched"]);
        let target = engine.resolve(b"touched").unwrap();
        let plain = engine.unit(&[(b"touched", &target)], false);
        let same_shard = plain.holds(&watching);
        drop(plain);
        assert!(!same_shard, "a unit that was begun without the watch cannot tell");
        let mut unit = engine.unit_watching(&[(b"touched", &target)], false, &watching);
        assert!(unit.holds(&watching));
        let mut tasks = Tasks::new(Arc::new(|_| {}));
        let (begun, other) = (Arc::new(AtomicU64::new(0)), engine.clone());
        let begins = begun.clone();
        tasks
            .spawn("test-other", move || {
                begins.store(1, Ordering::SeqCst);
                set(&other, "watched", &round.to_string(), Expiry::None);
            })
            .unwrap();
        wait_until(|| begun.load(Ordering::SeqCst) == 1);
        (0..20).for_each(|_| std::thread::yield_now());
        assert!(unit.holds(&watching), "it held, and the unit is not through");
        strings::set(&mut unit, 0, &target, b"1", Default::default(), &[]).unwrap();
        unit.commit().unwrap();
        assert_eq!(tasks.join(), Vec::<String>::new());
        assert!(!holds(&engine, &watching), "now it has changed");
    }
}
