//! Parked rows for who reads and writes: they stay in the view, a correction heals them, and a drop shows what the
//! database has.

use super::doubles::Double;
use super::*;
use crate::engine::ops::{fields, keys, numbers, strings};
use crate::model::Intent;
use crate::sink::LandingOp;
use crate::sink::memory::Poison;

/// Refuses every row whose `views` would be 13, and the key `bad` while its value is `no`.
fn poison() -> Poison {
    Arc::new(|op| {
        let LandingOp::Row { row, change: crate::model::Change::Upsert(upsert), .. } = op else {
            return None;
        };
        let is = |name: &str, value: &Value| {
            upsert.columns.iter().any(|(have, op)| have.as_bytes() == name.as_bytes() && op.value() == value)
        };
        let refuses = is("views", &Value::Int(13))
            || (*row == RowKey::of_key(b"bad") && is("=v", &Value::bytes(b"no")));
        refuses.then(|| "CHECK constraint failed: views".into())
    })
}

fn world() -> (World, MemoryDatabase) {
    let (world, memory) = World::on_disk(|settings| settings.refusals_max = 1);
    memory.set_poison(Some(poison()));
    (world, memory)
}

fn put(world: &World, key: &str, pairs: &[(&str, &str)]) {
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(a, b)| (a.as_bytes(), b.as_bytes())).collect();
    world.run(&[key], |unit, t| fields::set(unit, 0, &t[0], &pairs)).unwrap();
}

fn get(world: &World, key: &str) -> Option<String> {
    text(world.run(&[key], |unit, t| strings::get(unit, 0, &t[0])).unwrap().0)
}

fn set(world: &World, key: &str, value: &str) -> Written {
    let how = Default::default();
    let set = |unit: &mut Unit<'_>, t: &[Target]| strings::set(unit, 0, &t[0], value.as_bytes(), how, &[]);
    world.run(&[key], set).unwrap().1
}

fn page(id: i64) -> RowKey {
    RowKey::of_table("page", &[Value::Int(id)])
}

// shows: S5
#[test]
fn a_parked_row_stays_in_the_view_through_eviction_and_restart() {
    let (mut world, memory) = world();
    put(&world, "page:1", &[("title", "old")]);
    world.land_all();
    put(&world, "page:1", &[("views", "13"), ("title", "new")]);
    let neighbour = set(&world, "page:2:views", "5");
    set(&world, "bad", "no");
    world.land_and_forget();
    assert_eq!((memory.letters().len(), memory.row(&page(2)).is_some()), (2, true));
    assert!(!world.engine().was_parked(&neighbour.places));
    for _ in 0..2 {
        assert_eq!(get(&world, "page:1:title").as_deref(), Some("new"));
        assert_eq!(get(&world, "page:1:views").as_deref(), Some("13"));
        assert_eq!(get(&world, "bad").as_deref(), Some("no"));
        assert_eq!(model::as_text(memory.row(&page(1)).unwrap())["title"], "old");
        world.reopen();
    }
    // Unread and owed, on top of its letter.
    world.run(&["page:1"], |unit, t| numbers::add(unit, 0, &t[0], b"score", b"1")).unwrap();
    world.engine().pause(None).unwrap();
    world.reopen();
    assert_eq!(get(&world, "page:1:title").as_deref(), Some("new"));
    assert_eq!(get(&world, "page:1:score").as_deref(), Some("1.00"));
}

#[test]
fn a_key_that_is_only_parked_is_not_taken_for_absent() {
    let (mut world, _memory) = world();
    set(&world, "bad", "no");
    world.land_all();
    world.reopen();
    assert_eq!(get(&world, "bad").as_deref(), Some("no"));
    let absent = (strings::Condition::Absent, strings::Expiry::None, false);
    let set = |unit: &mut Unit<'_>, t: &[Target]| strings::set(unit, 0, &t[0], b"other", absent, &[]);
    assert!(!world.run(&["bad"], set).unwrap().0.0, "it is there");
}

/// What is tried again is let go as soon as that has landed: who reads it then has to ask the database.
#[test]
fn a_key_whose_letter_was_tried_again_is_not_taken_for_absent() {
    let (world, memory) = world();
    set(&world, "bad", "no");
    world.land_all();
    for poisoned in [true, false] {
        if !poisoned {
            memory.set_poison(None);
        }
        world.engine().ask_of_letters(&letters(world.engine()), &Intent::Retry).unwrap();
        world.land_all();
        assert_eq!(memory.letters().len(), usize::from(poisoned));
        assert_eq!(get(&world, "bad").as_deref(), Some("no"), "refused again: {poisoned}");
    }
}

#[test]
fn a_write_heals_a_parked_row_and_a_delete_does() {
    let (world, memory) = world();
    for id in [1, 2] {
        put(&world, &format!("page:{id}"), &[("views", "13"), ("title", "kept")]);
    }
    set(&world, "bad", "no");
    world.land_and_forget();
    assert_eq!((world.engine().parked().count, letters(world.engine()).len()), (3, 3));
    put(&world, "page:1", &[("views", "14")]);
    world.run(&["page:2"], |unit, t| keys::delete(unit, 0, &t[0])).unwrap();
    set(&world, "bad", "yes");
    world.land_and_forget();
    assert_eq!((memory.letters(), world.engine().parked().count), (vec![], 0));
    let row = model::as_text(memory.row(&page(1)).unwrap());
    assert_eq!((row["views"].as_str(), row["title"].as_str()), ("14", "kept"));
    assert_eq!((memory.row(&page(2)), get(&world, "page:2:title")), (None, None));
    assert_eq!(get(&world, "bad").as_deref(), Some("yes"));
}

#[test]
fn a_dropped_letter_is_gone_from_the_view_as_soon_as_that_has_landed() {
    let (mut world, memory) = world();
    put(&world, "page:1", &[("title", "old")]);
    world.land_all();
    put(&world, "page:1", &[("views", "13")]);
    world.land_all();
    assert_eq!(get(&world, "page:1:views").as_deref(), Some("13"), "known, in the cache");
    let all = letters(world.engine());
    world.engine().pause(None).unwrap();
    world.engine().ask_of_letters(&all, &Intent::Drop).unwrap();
    world.engine().commit().unwrap();
    // Logged and not done: a crash must not forget to let the row go.
    world.settings.paused = world.engine().paused();
    world.reopen();
    assert_eq!(memory.letters().len(), 1);
    world.engine().resume(None).unwrap();
    world.land_all();
    assert_eq!(memory.letters(), []);
    assert_eq!((get(&world, "page:1:views"), get(&world, "page:1:title").as_deref()), (None, Some("old")));
}

/// The letter has a time to live, and the key below it has none: what goes is the letter alone.
#[test]
fn a_key_whose_letter_is_being_dropped_does_not_expire_with_it() {
    let (world, memory) = world();
    set(&world, "bad", "kept");
    world.land_all();
    let until = |key: &str, value: &str| {
        let how = strings::Expiry::At(world.env.clock.unix_ms() + 50);
        let how = (strings::Condition::Always, how, false);
        let set =
            |unit: &mut Unit<'_>, t: &[Target]| strings::set(unit, 0, &t[0], value.as_bytes(), how, &[]);
        world.run(&[key], set).unwrap();
    };
    until("bad", "no");
    world.land_all();
    assert_eq!(memory.letters().len(), 1);
    world.engine().pause(None).unwrap();
    world.engine().ask_of_letters(&letters(world.engine()), &Intent::Drop).unwrap();
    world.engine().commit().unwrap();
    // Once both of these are gone, one after the other, all keys were looked at in between.
    for gone in 1..=2 {
        until("brief", "v");
        world.advance(60);
        wait_until(|| world.engine().status().counts.expired >= gone);
    }
    assert_eq!(get(&world, "bad"), None, "its time is over for who reads it now");
    world.engine().resume(None).unwrap();
    world.land_all();
    assert_eq!((memory.letters(), get(&world, "bad").as_deref()), (vec![], Some("kept")));
}

/// Else the row would be what it was with its letter until that is done too.
#[test]
fn nothing_more_is_asked_of_a_letter_that_is_being_given_up() {
    let (mut world, memory) = world();
    set(&world, "bad", "no");
    world.land_all();
    let all = letters(world.engine());
    world.engine().pause(None).unwrap();
    let dropped = world.engine().ask_of_letters(&all, &Intent::Drop).unwrap();
    for _ in 0..2 {
        for intent in [Intent::Retry, Intent::Drop] {
            let asked = world.engine().ask_of_letters(&all, &intent).unwrap();
            assert_eq!(asked.places, dropped.places, "{intent:?}");
        }
        world.engine().commit().unwrap();
        world.settings.paused = world.engine().paused();
        world.reopen();
    }
    // A write has its place behind it, and what is asked then is of the letter that it may have.
    set(&world, "bad", "no");
    let asked = world.engine().ask_of_letters(&all, &Intent::Retry).unwrap();
    assert_eq!(asked.places[0].1, dropped.places[0].1 + 2);
    world.engine().resume(None).unwrap();
    world.land_all();
    assert_eq!((memory.letters().len(), get(&world, "bad").as_deref()), (1, Some("no")));
}

#[test]
fn a_retried_letter_lands_once_its_reason_is_gone() {
    let (world, memory) = world();
    put(&world, "page:1", &[("views", "13")]);
    world.land_all();
    memory.set_poison(None);
    let written = world.engine().ask_of_letters(&letters(world.engine()), &Intent::Retry).unwrap();
    world.engine().commit().unwrap();
    assert_eq!(world.engine().wait_landed(&written.places, PATIENCE), crate::lander::Waited::Landed);
    assert_eq!((memory.letters().len(), memory.row(&page(1)).is_some()), (0, true));
}

#[test]
fn a_write_that_comes_while_a_drop_is_logged_is_pinned_until_it_has_landed() {
    let (world, memory) = world();
    put(&world, "page:1", &[("views", "13")]);
    world.land_all();
    world.engine().pause(None).unwrap();
    world.engine().ask_of_letters(&letters(world.engine()), &Intent::Drop).unwrap();
    put(&world, "page:1", &[("title", "later")]);
    assert_eq!(world.engine().evict_clean(), 0);
    assert_eq!(get(&world, "page:1:title").as_deref(), Some("later"));
    world.engine().resume(None).unwrap();
    world.land_and_forget();
    assert_eq!((get(&world, "page:1:title").as_deref(), get(&world, "page:1:views")), (Some("later"), None));
    assert_eq!(memory.letters(), []);
}

/// A database that lost commits lost letters with them: the view stays what it was all the while.
#[test]
fn the_view_of_a_parked_row_outlives_a_failover() {
    let double = Double::new(tables());
    let world = World::with(Arc::new(double.clone()), None, |settings| settings.refusals_max = 1);
    double.each(|memory| memory.set_poison(Some(poison())));
    put(&world, "page:1", &[("title", "old")]);
    world.land_all();
    double.stop_replicating();
    put(&world, "page:1", &[("views", "13")]);
    world.land_and_forget();
    assert_eq!(get(&world, "page:1:views").as_deref(), Some("13"));
    double.fail_over();
    assert_eq!(double.primary().letters(), []);
    // The next landing of the lane finds it behind.
    put(&world, "page:1", &[("title", "new")]);
    world.land_and_forget();
    assert_eq!(get(&world, "page:1:views").as_deref(), Some("13"));
    assert_eq!(get(&world, "page:1:title").as_deref(), Some("new"));
    assert_eq!(double.primary().letters().len(), 1);
}
