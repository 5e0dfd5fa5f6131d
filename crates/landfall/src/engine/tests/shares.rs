//! A group that cannot land must not take all room: what it holds is bounded, and the others go on.

use super::*;
use crate::engine::ops::{fields, strings};

const MEMORY: u64 = 1 << 20;

fn world(change: impl FnOnce(&mut Settings)) -> World {
    let (world, _) = World::on_disk(change);
    world
}

/// Writes another row of `page` or another key; whether that was refused at a bound.
fn write(world: &World, to: &str, n: u64) -> Result<(), Refusal> {
    let value = [b'v'; 200];
    let key = format!("{to}:{n}");
    let written = world.run(&[&key], |unit, t| match to {
        "page" => fields::set(unit, 0, &t[0], &[(b"title", &value)]).map(|_| ()),
        _ => strings::set(unit, 0, &t[0], &value, Default::default(), &[]).map(|_| ()),
    });
    written.map(|_| ())
}

/// Writes to a group until it is refused, letting the keeper look in between; how many were taken, and the refusal.
fn fill(world: &World, to: &str) -> (u64, Refusal) {
    for n in 1..1_000_000 {
        if let Err(refusal) = write(world, to, n) {
            return (n - 1, refusal);
        }
        world.engine().core.look_at_shares();
    }
    panic!("{to} was never refused");
}

fn is_paused(world: &World, group: &str) -> bool {
    let groups = world.engine().status().groups;
    groups.iter().any(|one| one.status.name == group && one.status.phase.in_words() == "paused")
}

fn share_of(refusal: &Refusal) -> String {
    match refusal {
        Refusal::TryAgain(why) => {
            assert!(why.contains("the landing group page does not land now (paused)"), "{why}");
            why.clone()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn rows_of_a_paused_group_leave_half_of_the_memory_to_the_others() {
    let world = world(|settings| settings.memory_bytes_max = MEMORY);
    world.engine().pause(Some("page")).unwrap();
    wait_until(|| is_paused(&world, "page"));
    let (taken, refusal) = fill(&world, "page");
    assert!(share_of(&refusal).contains("half of the memory"), "{refusal}");
    let held = world.engine().status().dirty.1;
    assert!((MEMORY / 4..MEMORY / 3).contains(&held), "{held} bytes of {taken} rows");
    assert!(world.engine().status().warnings.iter().any(|warning| warning.contains("half of the memory")));
    // The others write and land, far more than there is room for at once.
    for n in 0..2_000 {
        wait_until(|| write(&world, "key", n).is_ok());
    }
    assert!(write(&world, "page", 1).is_err());
    world.engine().resume(None).unwrap();
    world.land_all();
    wait_until(|| write(&world, "page", 1).is_ok());
    wait_until(|| world.engine().status().warnings.is_empty());
}

#[test]
fn changes_of_a_paused_group_leave_half_of_max_pending_to_the_others() {
    let world = world(|settings| (settings.max_pending, settings.throttle_at) = (100, 50));
    world.engine().pause(Some("page")).unwrap();
    wait_until(|| is_paused(&world, "page"));
    let (taken, refusal) = fill(&world, "page");
    assert!(share_of(&refusal).contains("half of max-pending"), "{refusal}");
    assert_eq!(taken, 50);
    for n in 0..200 {
        wait_until(|| write(&world, "key", n).is_ok());
    }
}

#[test]
fn a_paused_group_takes_no_more_writes_when_the_log_is_kept_for_it_to_half_of_its_bound() {
    // One segment: there is nothing that could go without the rest, so nothing is spilled.
    let world = world(|settings| (settings.log_bytes_max, settings.segment_bytes) = (1 << 20, 1 << 20));
    write(&world, "page", 0).unwrap();
    world.land_all();
    world.engine().pause(Some("page")).unwrap();
    wait_until(|| is_paused(&world, "page"));
    write(&world, "page", 1).unwrap();
    // What the others write is kept behind that one record, although it lands.
    let mut keys = 0;
    wait_until(|| {
        keys += 1;
        write(&world, "key", keys % 100).unwrap();
        world.engine().core.look_at_shares();
        write(&world, "page", 2).is_err()
    });
    let refusal = write(&world, "page", 2).unwrap_err();
    assert!(share_of(&refusal).contains("half of log-bytes-max"), "{refusal}");
    let kept = world.engine().core.log.owed().bytes;
    assert!((1 << 19..1 << 20).contains(&kept), "{kept}");
    let half = keys / 2;
    (0..half).for_each(|n| write(&world, "key", n % 100).unwrap());
    world.engine().resume(None).unwrap();
    world.land_all();
    wait_until(|| write(&world, "page", 3).is_ok());
}

#[test]
fn the_others_write_many_times_the_bound_of_the_log_while_a_group_is_paused() {
    let world = world(|settings| (settings.log_bytes_max, settings.segment_bytes) = (1 << 20, 1 << 16));
    world.engine().pause(Some("page")).unwrap();
    wait_until(|| is_paused(&world, "page"));
    let log = || world.engine().status().log;
    for n in 0..20_000 {
        wait_until(|| write(&world, "key", n % 100).is_ok());
        if n % 100 == 0 {
            // What it owes itself is little: it is refused at most until the log has been spilled.
            wait_until(|| {
                world.engine().core.look_at_shares();
                write(&world, "page", n).is_ok()
            });
        }
    }
    wait_until(|| log().spilled_bytes > 0);
    assert!(world.engine().core.log.owed().bytes < 1 << 20);
    world.engine().resume(None).unwrap();
    world.land_all();
    let mut title = Vec::new();
    let mut read = |value: Option<&[u8]>| title.extend_from_slice(value.unwrap_or_default());
    world.run(&["page:19900"], |unit, t| fields::get(unit, 0, &t[0], &[b"title"], &mut read)).unwrap();
    assert_eq!(title, [b'v'; 200]);
}

#[test]
fn a_write_of_several_groups_is_refused_with_the_one_that_has_used_its_share() {
    let world = world(|settings| (settings.max_pending, settings.throttle_at) = (100, 50));
    world.engine().pause(Some("page")).unwrap();
    wait_until(|| is_paused(&world, "page"));
    fill(&world, "page");
    let both = world.run(&["key:1", "page:1"], |unit, t| {
        strings::set(unit, 0, &t[0], b"v", Default::default(), &[])?;
        fields::set(unit, 1, &t[1], &[(b"title", b"t")])
    });
    share_of(&both.map(drop).unwrap_err());
    let read = world.run(&["key:1"], |unit, t| strings::get(unit, 0, &t[0])).unwrap();
    assert_eq!(text(read.0), None, "nothing of it was done");
}

#[test]
fn when_no_group_lands_the_whole_bound_is_there_for_all() {
    let world = world(|settings| (settings.max_pending, settings.throttle_at) = (100, 50));
    world.engine().pause(None).unwrap();
    wait_until(|| is_paused(&world, "page") && is_paused(&world, "key-value"));
    assert_eq!(fill(&world, "page").0, 100);
}
