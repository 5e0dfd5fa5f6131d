//! Reads that need the database: how many loads there are, what an old one may not do, and what happens without it.

use std::sync::mpsc;

use super::doubles::Double;
use super::*;
use crate::engine::ops::{fields, numbers, strings};
use crate::sink::memory::Failure;

fn doubled(change: impl FnOnce(&mut Settings)) -> (World, Double) {
    let double = Double::new(tables());
    (World::with(Arc::new(double.clone()), None, change), double)
}

fn get(world: &World, key: &str) -> Result<Option<String>, Refusal> {
    world.run(&[key], |unit, t| strings::get(unit, 0, &t[0])).map(|(value, _)| text(value))
}

fn set(world: &World, key: &str, value: &str) -> Written {
    let always = Default::default();
    let command =
        |unit: &mut Unit<'_>, t: &[Target]| strings::set(unit, 0, &t[0], value.as_bytes(), always, &[]);
    world.run(&[key], command).unwrap().1
}

fn views(world: &World, id: i64) -> Option<String> {
    get(world, &format!("page:{id}:views")).unwrap()
}

fn grow(world: &World, id: i64, by: i64) {
    let by = by.to_string();
    world
        .run(&[&format!("page:{id}")], |unit, t| numbers::add(unit, 0, &t[0], b"views", by.as_bytes()))
        .unwrap();
}

/// What a load of the row of `key` will answer, while it is under way.
fn load_later(world: &World, key: &str) -> mpsc::Receiver<Result<(), Refusal>> {
    let engine = world.engine();
    let target = engine.resolve(key.as_bytes()).unwrap();
    let unit = engine.unit(&[(key.as_bytes(), &target)], false);
    let row = vec![(unit.row_key(0), unit.lane(0)).into()];
    drop(unit);
    let (send, receive) = mpsc::channel();
    engine.load(row, Box::new(move |outcome| drop(send.send(outcome))));
    receive
}

// shows: S16
#[test]
fn a_miss_reads_the_database_once_and_a_hit_does_not() {
    let (world, double) = doubled(|_| {});
    grow(&world, 1, 5);
    world.land_and_forget();
    for _ in 0..3 {
        assert_eq!(views(&world, 1).as_deref(), Some("5"));
    }
    assert_eq!(double.loads(), 1);
    world.advance(world.settings.ttl.as_millis() as u64 + 1);
    assert_eq!(views(&world, 1).as_deref(), Some("5"));
    assert_eq!(double.loads(), 2, "after its time to live a row is read again");
}

#[test]
fn the_absence_of_a_row_is_believed_for_a_moment_and_not_longer() {
    let (world, double) = doubled(|_| {});
    assert_eq!((views(&world, 1), views(&world, 1)), (None, None));
    assert_eq!(double.loads(), 1);
    world.advance(world.settings.absent_ttl.as_millis() as u64 + 1);
    assert_eq!(views(&world, 1), None);
    assert_eq!(double.loads(), 2);
}

#[test]
fn an_empty_database_answers_key_value_misses_without_a_load_until_the_first_eviction() {
    let (world, double) = doubled(|_| {});
    assert_eq!(get(&world, "nowhere").unwrap(), None);
    set(&world, "there", "1");
    assert_eq!(double.loads(), 0);
    world.land_and_forget();
    assert_eq!(get(&world, "there").unwrap().as_deref(), Some("1"));
    assert_eq!(get(&world, "nowhere").unwrap(), None);
    assert_eq!(double.loads(), 2);
}

#[test]
fn a_hundred_readers_of_one_cold_row_cause_one_load() {
    let (world, double) = doubled(|_| {});
    grow(&world, 1, 5);
    world.land_and_forget();
    double.hold_loads();
    let waiting: Vec<_> = (0..100).map(|_| load_later(&world, "page:1")).collect();
    double.wait_for_held_load();
    double.release_loads();
    for outcome in waiting {
        outcome.recv_timeout(PATIENCE).unwrap().unwrap();
    }
    assert_eq!(double.loads(), 1);
    assert_eq!(world.engine().status().counts.loaded, 1);
}

#[test]
fn a_row_that_has_landed_in_part_is_read_while_the_rest_of_it_cannot_land() {
    const MORE_THAN_A_BATCH: usize = 30;
    let (world, double) = doubled(|settings| settings.load_timeout = PATIENCE);
    world.engine().pause(None).unwrap();
    grow(&world, 1, 1);
    let large = "x".repeat(200_000);
    let put =
        |unit: &mut Unit<'_>, t: &[Target]| fields::set(unit, 0, &t[0], &[(b"title", large.as_bytes())]);
    (0..MORE_THAN_A_BATCH).for_each(|n| drop(world.run(&[&format!("page:{}", 10 + n)], put).unwrap()));
    grow(&world, 1, 10);
    let database = double.primary();
    database.fail_next_landing(Failure::None);
    (0..1_000).for_each(|_| database.fail_next_landing(Failure::Busy));
    world.engine().resume(None).unwrap();
    world.engine().flush();
    wait_until(|| database.landings() == 1);
    grow(&world, 1, 100);
    assert_eq!(views(&world, 1).as_deref(), Some("111"));
    assert_eq!(
        (database.landings(), world.engine().status().counts.loaded),
        (1, 1),
        "nothing else has landed"
    );
}

#[test]
fn the_rest_of_a_row_is_not_looked_for_without_end_or_where_the_log_keeps_it_no_more() {
    let (world, _) = doubled(|settings| settings.retention_bytes = 0);
    world.engine().pause(None).unwrap();
    (0..3_000).for_each(|_| grow(&world, 1, 1));
    let core = &world.engine().core;
    let target = world.engine().resolve(b"page:1").unwrap();
    let unit = world.engine().unit(&[(b"page:1", &target)], false);
    let (row, lane) = (unit.row_key(0), unit.lane(0));
    drop(unit);
    let last = core
        .cache
        .lock(core.cache.shard_of(core.cache.hash(row.as_bytes())))
        .iter()
        .next()
        .unwrap()
        .position();
    let rest = |until| core.rest_of(&row, lane, (0, last), until);
    assert!(rest(std::time::Duration::ZERO).unwrap().is_none(), "its time is over");
    assert!(rest(std::time::Duration::MAX).unwrap().is_some());
    world.engine().resume(None).unwrap();
    world.land_and_forget();
    world.engine().core.log.upkeep().unwrap();
    assert!(
        matches!(
            core.log.records(&[(lane, 0)], core.log.accepted()),
            Err(crate::error::LogError::Trimmed { .. })
        ),
        "let go"
    );
    assert!(rest(std::time::Duration::MAX).unwrap().is_none(), "the next load sees that it has landed");
}

#[test]
fn an_old_load_never_hides_a_newer_write_that_landed_and_was_let_go() {
    let (world, double) = doubled(|_| {});
    set(&world, "a", "old");
    grow(&world, 1, 1);
    world.land_and_forget();
    double.hold_loads();
    let (key, row) = (load_later(&world, "a"), load_later(&world, "page:1"));
    double.wait_for_held_load();
    set(&world, "a", "new");
    grow(&world, 1, 10);
    world.land_and_forget();
    double.release_loads();
    for outcome in [key, row] {
        outcome.recv_timeout(PATIENCE).unwrap().unwrap();
    }
    assert_eq!(get(&world, "a").unwrap().as_deref(), Some("new"));
    assert_eq!(views(&world, 1).as_deref(), Some("11"));
}

#[test]
fn an_old_load_is_folded_with_what_was_written_meanwhile() {
    let (world, double) = doubled(|_| {});
    grow(&world, 1, 1);
    world.land_and_forget();
    world.engine().pause(None).unwrap();
    double.hold_loads();
    let row = load_later(&world, "page:1");
    double.wait_for_held_load();
    grow(&world, 1, 10);
    double.release_loads();
    row.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(views(&world, 1).as_deref(), Some("11"));
}

#[test]
fn a_database_that_lost_commits_is_not_read_until_it_has_them_again() {
    let (world, double) = doubled(|settings| {
        settings.load_timeout = Duration::from_millis(1);
        settings.lanes = 1;
    });
    set(&world, "a", "old");
    world.land_and_forget();
    double.stop_replicating();
    set(&world, "a", "new");
    world.land_and_forget();
    double.fail_over();
    let lane = set(&world, "b", "1").places[0].0;
    let progress = &world.engine().core.progress;
    wait_until(|| progress.rewinds(lane) == 1);
    if progress.landed(lane) == 1 {
        let refused = get(&world, "a");
        let caught_up = matches!(&refused, Ok(Some(value)) if value == "new");
        assert!(caught_up || matches!(refused, Err(Refusal::TryAgain(_))), "{refused:?}");
    }
    world.land_all();
    assert_eq!(get(&world, "a").unwrap().as_deref(), Some("new"));
}

#[test]
fn without_the_database_reads_that_need_it_are_refused_and_writes_go_on() {
    let (mut world, database) = World::on_disk(|_| {});
    set(&world, "a", "1");
    world.land_and_forget();
    database.set_down(true);
    assert!(matches!(get(&world, "a"), Err(Refusal::DatabaseDown(_))));
    let pairs: [(&[u8], &[u8]); 1] = [(b"views", b"3")];
    world.run(&["page:1"], |unit, t| fields::set(unit, 0, &t[0], &pairs)).unwrap();
    set(&world, "a", "2");
    assert_eq!(get(&world, "a").unwrap().as_deref(), Some("2"), "what is dirty is here");
    let engine = world.engine.take().unwrap();
    let remaining = engine.close(Duration::ZERO).unwrap();
    assert_eq!(remaining.changes, 2);
    drop(engine);
    database.set_down(false);
    assert_eq!(world.open().owed_changes, 2);
    assert_eq!(get(&world, "a").unwrap().as_deref(), Some("2"));
    world.land_all();
    assert_eq!(views(&world, 1).as_deref(), Some("3"));
}

#[test]
fn one_load_more_than_may_wait_is_refused() {
    let (world, double) = doubled(|settings| {
        settings.loads_at_once = 1;
        settings.loads_waiting_max = 2;
    });
    double.hold_loads();
    let first = load_later(&world, "page:1");
    double.wait_for_held_load();
    let waiting = [load_later(&world, "page:2"), load_later(&world, "page:3")];
    let refused = load_later(&world, "page:4").recv_timeout(PATIENCE).unwrap();
    assert!(matches!(refused, Err(Refusal::TryAgain(_))), "{refused:?}");
    double.release_loads();
    for outcome in waiting.iter().chain([&first]) {
        outcome.recv_timeout(PATIENCE).unwrap().unwrap();
    }
}

#[test]
fn a_disk_that_fails_refuses_the_write_and_every_later_one() {
    let (world, _) = World::on_disk(|_| {});
    set(&world, "a", "1");
    let disk = world.disk.as_ref().unwrap();
    let always = Default::default();
    let write = |value: &[u8]| {
        world.run(&["a"], |unit, t| strings::set(unit, 0, &t[0], value, always, &[]).map(|_| ()))
    };
    let first = loop {
        // The sync that fails may be one that prepares room, and then the next one has to.
        disk.fail_sync(disk.syncs() + 1);
        if let Err(refusal) = write(b"2") {
            break refusal;
        }
    };
    assert!(matches!(first, Refusal::Log { outcome_unknown: true, .. }), "{first:?}");
    assert!(write(b"3").is_err());
    assert!(get(&world, "a").is_err(), "a value that may be lost is not shown");
}
