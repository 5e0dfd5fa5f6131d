//! Time: what expires and what may leave the cache, and what a date that jumps must not do.

use super::*;
use crate::engine::ops::{fields, strings};

const DAY_MS: u64 = 86_400_000;

fn set(world: &World, key: &str, value: &str, expiry: strings::Expiry) {
    let how = (strings::Condition::Always, expiry, false);
    world
        .run(&[key], |unit, t| strings::set(unit, 0, &t[0], value.as_bytes(), how, &[]).map(|_| ()))
        .unwrap();
}

fn get(world: &World, key: &str) -> Option<String> {
    world.run(&[key], |unit, t| strings::get(unit, 0, &t[0])).map(|(value, _)| text(value)).unwrap()
}

#[test]
fn a_key_whose_expiry_was_logged_stays_gone_although_the_date_goes_back() {
    let (mut world, _) = World::on_disk(|_| {});
    set(&world, "brief", "v", strings::Expiry::At(world.env.clock.unix_ms() + 50));
    set(&world, "lasting", "v", strings::Expiry::None);
    world.advance(60);
    assert_eq!(get(&world, "brief"), None);
    wait_until(|| world.engine().status().counts.expired == 1);
    world.clock.unix_ms.fetch_sub(DAY_MS, Ordering::SeqCst);
    assert_eq!(get(&world, "brief"), None);
    world.reopen();
    assert_eq!((get(&world, "brief"), get(&world, "lasting").as_deref()), (None, Some("v")));
    world.land_and_forget();
    assert_eq!((get(&world, "brief"), get(&world, "lasting").as_deref()), (None, Some("v")));
}

#[test]
fn no_time_lets_go_of_what_has_not_landed() {
    let (world, database) = World::on_disk(|_| {});
    set(&world, "key", "v", strings::Expiry::None);
    world.run(&["page:1"], |unit, t| fields::set(unit, 0, &t[0], &[(b"title", b"Home")])).unwrap();
    assert_eq!(get(&world, "page:1:title").as_deref(), Some("Home"));
    world.engine().pause(None).unwrap();
    world.run(&["page:1"], |unit, t| fields::set(unit, 0, &t[0], &[(b"title", b"Away")])).unwrap();
    world.run(&["page:2"], |unit, t| fields::set(unit, 0, &t[0], &[(b"title", b"New")])).unwrap();
    database.set_down(true);
    world.advance(365 * DAY_MS);
    assert_eq!(get(&world, "key").as_deref(), Some("v"));
    assert_eq!(get(&world, "page:1:title").as_deref(), Some("Away"), "it is not read from the database");
    database.set_down(false);
    assert_eq!(get(&world, "page:2:title").as_deref(), Some("New"));
    world.engine().resume(None).unwrap();
    world.land_and_forget();
    assert_eq!(get(&world, "page:1:title").as_deref(), Some("Away"), "its time in the cache deletes no row");
}
