//! How long a row of a table stays in the cache when a client says so: never what is in it, nor whether it is there.

use super::doubles::Double;
use super::*;
use crate::engine::ops::keys::{Ttl, When};
use crate::engine::ops::{fields, keys, strings};

const NO_ROW_MS: u64 = 0;

fn world() -> (World, Double) {
    let double = Double::new(tables());
    (World::with(Arc::new(double.clone()), None, |_| {}), double)
}

fn put(world: &World, key: &str, title: &str) {
    world.run(&[key], |unit, t| fields::set(unit, 0, &t[0], &[(b"title", title.as_bytes())])).unwrap();
}

fn title(world: &World, key: &str) -> Option<String> {
    let key = format!("{key}:title");
    world.run(&[&key], |unit, t| strings::get(unit, 0, &t[0])).map(|(value, _)| text(value)).unwrap()
}

fn expire(world: &World, key: &str, in_ms: i64) -> bool {
    world
        .run(&[key], |unit, t| {
            let at_ms = unit.now_ms().saturating_add_signed(in_ms);
            keys::expire(unit, 0, &t[0], at_ms)
        })
        .unwrap()
        .0
}

fn expire_when(world: &World, key: &str, in_ms: u64, when: When) -> bool {
    let command =
        |unit: &mut Unit<'_>, t: &[Target]| keys::expire_when(unit, 0, &t[0], unit.now_ms() + in_ms, when);
    world.run(&[key], command).unwrap().0
}

fn ttl(world: &World, key: &str) -> Ttl {
    world.run(&[key], |unit, t| keys::ttl(unit, 0, &t[0])).unwrap().0
}

fn persist(world: &World, key: &str) -> bool {
    world.run(&[key], |unit, t| keys::persist(unit, 0, &t[0])).unwrap().0
}

fn set(world: &World, key: &str, value: &str, expiry: strings::Expiry) {
    let how = (strings::Condition::Always, expiry, false);
    let command =
        |unit: &mut Unit<'_>, t: &[Target]| strings::set(unit, 0, &t[0], value.as_bytes(), how, &[]);
    world.run(&[key], command).unwrap();
}

fn rows(world: &World) -> u64 {
    world.engine().status().cache.0
}

/// `page:1` and `shop:1` are in the database, and nothing is in the cache.
fn stored() -> (World, Double) {
    let (world, double) = world();
    put(&world, "page:1", "Home");
    put(&world, "shop:1", "Books");
    world.land_and_forget();
    (world, double)
}

#[test]
fn a_row_leaves_the_cache_when_its_time_is_over_and_the_database_keeps_it() {
    let (world, double) = stored();
    assert_eq!(ttl(&world, "page:1"), Ttl::Never, "nobody said how long");
    assert!(expire(&world, "page:1", 5_000));
    let accepted = world.engine().accepted();
    assert_eq!(ttl(&world, "page:1"), Ttl::In(5_000));
    world.advance(4_999);
    assert_eq!(ttl(&world, "page:1"), Ttl::In(1));
    assert_eq!((rows(&world), double.loads()), (1, 1));
    world.advance(1);
    wait_until(|| rows(&world) == 0);
    assert_eq!(title(&world, "page:1").as_deref(), Some("Home"));
    assert_eq!(double.loads(), 2, "it is read from the database again");
    assert_eq!(ttl(&world, "page:1"), Ttl::Never, "and stays as long as any other");
    assert_eq!(world.engine().accepted(), accepted, "nothing of it is in the log");
}

#[test]
fn a_row_may_stay_longer_than_the_setting_says() {
    let (world, double) = stored();
    let ttl_ms = world.settings.ttl.as_millis() as u64;
    assert!(expire(&world, "page:1", 3 * ttl_ms as i64));
    world.advance(2 * ttl_ms);
    assert_eq!(title(&world, "page:1").as_deref(), Some("Home"));
    assert_eq!(double.loads(), 1);
    assert!(persist(&world, "page:1"));
    assert!(!persist(&world, "page:1"), "there is nothing left to take away");
    assert_eq!(ttl(&world, "page:1"), Ttl::Never);
    world.advance(ttl_ms + 1);
    assert_eq!(title(&world, "page:1").as_deref(), Some("Home"));
    assert_eq!(double.loads(), 2, "as long as any other, from then on");
}

#[test]
fn a_dirty_row_stays_until_it_has_landed_however_its_time_ends() {
    for ends_at_once in [true, false] {
        let (world, double) = stored();
        world.engine().pause(None).unwrap();
        assert_eq!(title(&world, "page:1").as_deref(), Some("Home"));
        put(&world, "page:1", "Away");
        let loads = double.loads();
        assert!(expire(&world, "page:1", if ends_at_once { -1 } else { 50 }));
        world.advance(60);
        let keeper_passed = || world.engine().status().counts.expired == 1;
        set(&world, "brief", "v", strings::Expiry::At(world.clock.unix_ms() + 1));
        world.advance(10);
        wait_until(keeper_passed);
        assert_eq!(title(&world, "page:1").as_deref(), Some("Away"), "it is the only place that has it");
        assert_eq!((ttl(&world, "page:1"), double.loads()), (Ttl::Never, loads));
        world.engine().resume(None).unwrap();
        world.land_all();
        wait_until(|| {
            world
                .engine()
                .explain(b"page:1", &world.engine().resolve(b"page:1").unwrap())
                .is_some_and(|found| found.cached == crate::engine::explain::Cached::Nothing)
        });
        assert_eq!(title(&world, "page:1").as_deref(), Some("Away"));
        assert_eq!(double.loads(), loads + 1, "landed, it went at once");
    }
}

#[test]
fn writes_and_loads_leave_the_time_of_a_row_as_it_is() {
    // The database computes columns of `shop`: what is known of a row goes when it has landed.
    for key in ["page:1", "shop:1"] {
        let (world, _) = stored();
        assert!(expire(&world, key, 5_000));
        put(&world, key, "new");
        assert_eq!(ttl(&world, key), Ttl::In(5_000), "{key}, dirty");
        world.land_all();
        world.advance(1_000);
        assert_eq!(ttl(&world, key), Ttl::In(4_000), "{key}, landed");
        assert_eq!(title(&world, key).as_deref(), Some("new"));
        world.advance(4_000);
        wait_until(|| rows(&world) == 0);
        assert_eq!(title(&world, key).as_deref(), Some("new"));
    }
}

#[test]
fn a_row_whose_place_was_kept_is_let_go_in_time_also_when_nobody_read_it_since() {
    let (world, double) = stored();
    set(&world, "shop:1", r#"{"title":"new"}"#, strings::Expiry::At(world.clock.unix_ms() + 500));
    // A write to a row of which nothing is known leaves its time as it is too.
    put(&world, "shop:1", "newer");
    world.land_all();
    assert_eq!((rows(&world), double.loads()), (1, 0));
    world.advance(500);
    wait_until(|| rows(&world) == 0);
}

#[test]
fn set_of_a_row_gives_it_a_time_and_a_plain_one_takes_it_away() {
    let (world, _) = stored();
    let until = |ms: u64| strings::Expiry::At(world.clock.unix_ms() + ms);
    set(&world, "page:1", r#"{"title":"a"}"#, until(700));
    assert_eq!(ttl(&world, "page:1"), Ttl::In(700));
    set(&world, "page:1", r#"{"title":"b"}"#, strings::Expiry::Keep);
    set(&world, "page:1:title", "c", strings::Expiry::None);
    assert_eq!(ttl(&world, "page:1"), Ttl::In(700), "a cell is one column of it");
    set(&world, "page:1", r#"{"title":"d"}"#, strings::Expiry::None);
    assert_eq!(ttl(&world, "page:1"), Ttl::Never);
    set(&world, "page:1:title", "e", until(900));
    assert_eq!((ttl(&world, "page:1"), ttl(&world, "page:1:title")), (Ttl::In(900), Ttl::In(900)));
    set(&world, "page:1", r#"{"title":"f"}"#, strings::Expiry::At(NO_ROW_MS));
    world.land_all();
    wait_until(|| rows(&world) == 0);
    assert_eq!(title(&world, "page:1").as_deref(), Some("f"));
}

#[test]
fn a_time_is_set_under_the_conditions_that_keys_know() {
    let (world, _) = stored();
    let when = When::default();
    assert!(!expire_when(&world, "page:1", 100, When { with: true, ..when }));
    assert!(!expire_when(&world, "page:1", 100, When { later: true, ..when }));
    assert!(expire_when(&world, "page:1", 100, When { without: true, ..when }));
    assert!(!expire_when(&world, "page:1", 200, When { without: true, ..when }));
    assert!(!expire_when(&world, "page:1", 90, When { later: true, ..when }));
    assert!(expire_when(&world, "page:1", 300, When { later: true, with: true, ..when }));
    assert!(expire_when(&world, "page:1", 200, When { earlier: true, ..when }));
    assert_eq!(ttl(&world, "page:1"), Ttl::In(200));
    assert!(!expire_when(&world, "page:7", 200, when), "there is no such row");
    assert_eq!(ttl(&world, "page:7"), Ttl::Absent);
}

#[test]
fn commands_of_one_transaction_see_the_time_that_one_before_them_has_set() {
    let (world, _) = stored();
    let keys = ["page:1"; 1];
    let command = |unit: &mut Unit<'_>, t: &[Target]| {
        fields::set(unit, 0, &t[0], &[(b"title", b"new")])?;
        keys::expire(unit, 0, &t[0], unit.now_ms() + 100)?;
        let first = keys::ttl(unit, 0, &t[0])?;
        keys::persist(unit, 0, &t[0])?;
        let second = keys::ttl(unit, 0, &t[0])?;
        keys::expire(unit, 0, &t[0], unit.now_ms() + 300)?;
        Ok((first, second))
    };
    assert_eq!(world.run(&keys, command).unwrap().0, (Ttl::In(100), Ttl::Never));
    assert_eq!(ttl(&world, "page:1"), Ttl::In(300));
}

#[test]
fn a_restart_a_deletion_and_an_eviction_forget_the_time_of_a_row() {
    let (mut world, _) = World::on_disk(|_| {});
    put(&world, "page:1", "Home");
    assert!(expire(&world, "page:1", 5_000));
    world.reopen();
    assert_eq!(ttl(&world, "page:1"), Ttl::Never);
    assert!(expire(&world, "page:1", 5_000));
    world.land_and_forget();
    assert_eq!(ttl(&world, "page:1"), Ttl::Never);
    assert!(expire(&world, "page:1", 5_000));
    world.run(&["page:1"], |unit, t| keys::delete(unit, 0, &t[0])).unwrap();
    assert_eq!(ttl(&world, "page:1"), Ttl::Absent);
    put(&world, "page:1", "Again");
    assert_eq!(ttl(&world, "page:1"), Ttl::Never);
}
