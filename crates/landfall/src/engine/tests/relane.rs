//! Another number of lanes: rows move to other lanes while their older changes still wait in the old ones.

use super::*;
use crate::engine::ops::{fields, numbers, strings};

fn set(world: &World, key: &str, value: &str) {
    let how = Default::default();
    world
        .run(&[key], |unit, t| strings::set(unit, 0, &t[0], value.as_bytes(), how, &[]).map(|_| ()))
        .unwrap();
}

fn get(world: &World, key: &str) -> Option<String> {
    world.run(&[key], |unit, t| strings::get(unit, 0, &t[0])).map(|(value, _)| text(value)).unwrap()
}

#[test]
fn a_row_that_moves_to_another_lane_keeps_the_order_of_its_changes() {
    let (mut world, _) = World::on_disk(|settings| settings.lanes = 1);
    let keys: Vec<String> = (0..60).map(|n| format!("key:{n}")).collect();
    let mut round = 0;
    for lanes in [1, 4, 3, 7, 2] {
        world.settings.lanes = lanes;
        world.reopen();
        world.engine().pause(None).unwrap();
        for key in &keys {
            assert_eq!(get(&world, key), (round > 0).then(|| format!("round {round}")), "{lanes} lanes");
        }
        round += 1;
        keys.iter().for_each(|key| set(&world, key, &format!("round {round}")));
    }
    world.engine().resume(None).unwrap();
    world.land_and_forget();
    for key in &keys {
        assert_eq!(get(&world, key), Some(format!("round {round}")));
    }
}

#[test]
fn who_paused_a_group_has_paused_the_lanes_that_leave_it_as_well() {
    let (mut world, database) = World::on_disk(|settings| settings.lanes = 4);
    world.engine().pause(Some("key-value")).unwrap();
    let keys: Vec<String> = (0..20).map(|n| format!("key:{n}")).collect();
    keys.iter().for_each(|key| set(&world, key, "waits"));
    world.settings.paused = world.engine().paused();
    world.settings.lanes = 1;
    world.reopen();
    assert_eq!(world.engine().paused(), ["key-value", "retired lanes"]);
    let in_database = || keys.iter().filter(|key| database.row(&RowKey::of_key(key.as_bytes())).is_some());
    assert_eq!(in_database().count(), 0);
    world.engine().resume(None).unwrap();
    world.land_all();
    assert_eq!(in_database().count(), keys.len());
}

/// Positions of two lanes do not compare: a load by the watermark of the new lane tells nothing of the old one's changes.
#[test]
fn a_row_that_has_left_its_lane_is_read_with_the_changes_that_wait_there() {
    let (mut world, _) = World::on_disk(|settings| settings.lanes = 4);
    let rows: Vec<String> = (0..20).map(|n| format!("page:{n}")).collect();
    let put = |world: &World, key: &str, pairs: &[(&[u8], &[u8])]| {
        world.run(&[key], |unit, t| fields::set(unit, 0, &t[0], pairs).map(|_| ())).unwrap();
    };
    // The lane that will be left has landed further than any other.
    let lane = |n: i64| {
        let core = &world.engine().core;
        core.lanes.of_row(core.catalogue.table("page").map(|table| &**table), page(n).as_bytes())
    };
    let first = (0..20).map(lane).min().unwrap();
    let often = &rows[(0..20).position(|n| lane(n) == first).unwrap()];
    (0..100).for_each(|_| put(&world, often, &[(b"score", b"1.00")]));
    rows.iter().for_each(|key| put(&world, key, &[(b"title", b"old"), (b"views", b"1")]));
    world.land_and_forget();
    world.engine().pause(None).unwrap();
    // Written and not read: only the change is known.
    for key in &rows {
        put(&world, key, &[(b"title", b"new")]);
        world.run(&[key], |unit, t| numbers::add(unit, 0, &t[0], b"views", b"10")).unwrap();
    }
    world.settings.paused = world.engine().paused();
    world.settings.lanes = 1;
    world.settings.load_timeout = Duration::from_millis(50);
    world.reopen();
    // One half is read while it waits, the other is written again before.
    let (read, written) = rows.split_at(10);
    for key in read {
        assert_eq!(get(&world, &format!("{key}:title")).as_deref(), Some("new"), "{key}");
        assert_eq!(get(&world, &format!("{key}:views")).as_deref(), Some("11"), "{key}");
    }
    for key in written {
        world.run(&[key], |unit, t| numbers::add(unit, 0, &t[0], b"views", b"100")).unwrap();
    }
    world.engine().resume(None).unwrap();
    world.land_all();
    for key in written {
        assert_eq!(get(&world, &format!("{key}:title")).as_deref(), Some("new"), "{key}");
        assert_eq!(get(&world, &format!("{key}:views")).as_deref(), Some("111"), "{key}");
    }
    world.land_and_forget();
    for key in read {
        assert_eq!(get(&world, &format!("{key}:views")).as_deref(), Some("11"), "{key}");
    }
}

/// The lanes that are left may hold what came later: they land in the order of the log with those that rows return to.
#[test]
fn a_row_that_returns_to_its_lane_keeps_the_order_of_its_changes() {
    let (mut world, _) = World::on_disk(|settings| settings.lanes = 1);
    let keys: Vec<String> = (0..20).map(|n| format!("key:{n}")).collect();
    world.engine().pause(None).unwrap();
    keys.iter().for_each(|key| set(&world, key, "first"));
    for (lanes, value) in [(4, Some("second")), (1, None)] {
        world.settings.paused = world.engine().paused();
        world.settings.lanes = lanes;
        world.reopen();
        if let Some(value) = value {
            keys.iter().for_each(|key| set(&world, key, value));
        }
    }
    world.engine().resume(None).unwrap();
    world.land_and_forget();
    for key in &keys {
        assert_eq!(get(&world, key).as_deref(), Some("second"), "{key}");
    }
}

#[test]
fn a_failover_brings_back_no_old_row_that_has_left_its_lane() {
    let double = super::doubles::Double::new(tables());
    let mut world = World::with(Arc::new(double.clone()), Some(StrictDisk::default()), |settings| {
        settings.lanes = 4;
        settings.retention = Duration::from_secs(600);
        settings.retention_bytes = 1 << 24;
        settings.load_timeout = Duration::from_millis(20);
    });
    let keys: Vec<String> = (0..20).map(|n| format!("key:{n}")).collect();
    keys.iter().for_each(|key| set(&world, key, "old"));
    world.land_all();
    world.engine().pause(None).unwrap();
    // Those that will move: the lane that they move to owes nothing, and its watermark stays where it is in the replica.
    let lane = |key: &str| world.engine().core.lanes.of_row(None, RowKey::of_key(key.as_bytes()).as_bytes());
    let last = keys.iter().map(|key| lane(key)).min().unwrap();
    let keys: Vec<String> = keys.into_iter().filter(|key| lane(key) != last).collect();
    keys.iter().for_each(|key| set(&world, key, "new"));
    world.settings.paused = world.engine().paused();
    world.settings.lanes = 1;
    world.reopen();
    double.stop_replicating();
    world.engine().resume(None).unwrap();
    world.land_and_forget();
    double.fail_over();
    for key in &keys {
        match world.run(&[key], |unit, t| strings::get(unit, 0, &t[0])) {
            Ok((value, _)) => assert_eq!(text(value).as_deref(), Some("new"), "{key}"),
            Err(refusal) => assert!(matches!(refusal, Refusal::TryAgain(_)), "{refusal}"),
        }
    }
}

/// The watermark of the lane that a row is in now tells nothing of a lane that it has left, which others still use.
#[test]
fn a_failover_to_before_a_start_brings_back_no_old_row_of_a_lane_that_others_still_use() {
    let double = super::doubles::Double::new(tables());
    let mut world = World::with(Arc::new(double.clone()), Some(StrictDisk::default()), |settings| {
        settings.lanes = 2;
        settings.retention = Duration::from_secs(600);
        settings.retention_bytes = 1 << 24;
        settings.load_timeout = Duration::from_millis(20);
    });
    let lane = |world: &World, key: &str| {
        world.engine().core.lanes.of_row(None, RowKey::of_key(key.as_bytes()).as_bytes())
    };
    let keys: Vec<String> = (0..60).map(|n| format!("key:{n}")).collect();
    keys.iter().for_each(|key| set(&world, key, "old"));
    world.land_all();
    double.stop_replicating();
    let first = keys.iter().map(|key| lane(&world, key)).min().unwrap();
    let left: Vec<&String> = keys.iter().filter(|key| lane(&world, key) == first).collect();
    left.iter().for_each(|key| set(&world, key, "new"));
    world.land_all();
    let second = keys.iter().map(|key| lane(&world, key)).max().unwrap();
    world.settings.lanes = 3;
    world.reopen();
    double.fail_over();
    let moved: Vec<&&String> = left.iter().filter(|key| lane(&world, key) == second).collect();
    assert!(!moved.is_empty());
    for key in moved {
        match world.run(&[key.as_str()], |unit, t| strings::get(unit, 0, &t[0])) {
            Ok((value, _)) => assert_eq!(text(value).as_deref(), Some("new"), "{key}"),
            Err(refusal) => {
                assert!(matches!(refusal, Refusal::TryAgain(_) | Refusal::DatabaseDown(_)), "{refusal}");
            }
        }
    }
}

/// Whoever lands what is newer finds only then that the lanes which were left have to land again.
#[test]
fn what_lands_again_in_lanes_that_were_left_comes_before_what_is_newer() {
    let double = super::doubles::Double::new(tables());
    let mut world = World::with(Arc::new(double.clone()), Some(StrictDisk::default()), |settings| {
        settings.lanes = 4;
        settings.retention = Duration::from_secs(600);
        settings.retention_bytes = 1 << 24;
        // Whoever lands notices, and nobody else.
        settings.database_check = Duration::ZERO;
    });
    let keys: Vec<String> = (0..20).map(|n| format!("key:{n}")).collect();
    double.stop_replicating();
    keys.iter().for_each(|key| set(&world, key, "old"));
    world.land_all();
    world.settings.lanes = 1;
    world.reopen();
    world.engine().pause(None).unwrap();
    keys.iter().for_each(|key| set(&world, key, "new"));
    double.fail_over_and_land_at_once();
    world.engine().resume(None).unwrap();
    world.land_all();
    for key in &keys {
        let columns = double.primary().row(&RowKey::of_key(key.as_bytes())).unwrap();
        assert_eq!(columns[&Name::from_bytes(Name::STRING)], Value::bytes(b"new"), "{key}");
    }
}

/// What lands again after a failover may be lost again, in a database that has the epoch of the start.
#[test]
fn a_second_failover_brings_back_no_old_row_that_had_landed_again() {
    let double = super::doubles::Double::new(tables());
    let mut world = World::with(Arc::new(double.clone()), Some(StrictDisk::default()), |settings| {
        settings.lanes = 3;
        settings.retention = Duration::from_secs(600);
        settings.retention_bytes = 1 << 24;
        settings.load_timeout = Duration::from_millis(20);
        // Whoever lands notices, and nobody else.
        settings.database_check = Duration::ZERO;
    });
    let lane = |world: &World, key: &str| {
        world.engine().core.lanes.of_row(None, RowKey::of_key(key.as_bytes()).as_bytes())
    };
    let keys: Vec<String> = (0..60).map(|n| format!("key:{n}")).collect();
    keys.iter().for_each(|key| set(&world, key, "old"));
    world.land_all();
    double.stop_replicating();
    let first = keys.iter().map(|key| lane(&world, key)).min().unwrap();
    let left: Vec<&String> = keys.iter().filter(|key| lane(&world, key) == first).collect();
    left.iter().for_each(|key| set(&world, key, "new"));
    world.land_all();
    world.settings.lanes = 2;
    world.reopen();
    let (stayed, moved): (Vec<&String>, Vec<&String>) =
        left.iter().partition(|key| lane(&world, key) == first);
    assert!(!moved.is_empty());
    double.fail_over();
    double.replicate_next_take_over();
    set(&world, stayed[0], "notices");
    world.land_and_forget();
    let read = |key: &str| {
        world.run(&[key], |unit, t| strings::get(unit, 0, &t[0])).map(|(value, _)| text(value).unwrap())
    };
    wait_until(|| moved.iter().all(|key| read(key).is_ok_and(|value| value == "new")));
    world.engine().evict_clean();
    double.fail_over();
    for key in moved {
        match read(key) {
            Ok(value) => assert_eq!(value, "new", "{key}"),
            Err(refusal) => assert!(matches!(refusal, Refusal::TryAgain(_)), "{refusal}"),
        }
    }
}

/// A clear is in the lanes that keys had when it was logged, and tells nothing of those that they have now.
#[test]
fn a_failover_brings_no_key_back_that_was_cleared_before_lanes_were_added() {
    let double = super::doubles::Double::new(tables());
    let mut world = World::with(Arc::new(double.clone()), Some(StrictDisk::default()), |settings| {
        settings.lanes = 1;
        settings.retention = Duration::from_secs(600);
        settings.retention_bytes = 1 << 24;
        settings.load_timeout = Duration::from_millis(20);
    });
    let keys: Vec<String> = (0..20).map(|n| format!("key:{n}")).collect();
    keys.iter().for_each(|key| set(&world, key, "cleared"));
    world.land_all();
    world.engine().pause(None).unwrap();
    world.engine().clear().unwrap();
    world.engine().commit().unwrap();
    world.settings.paused = world.engine().paused();
    world.settings.lanes = 4;
    world.reopen();
    double.stop_replicating();
    world.engine().resume(None).unwrap();
    world.land_and_forget();
    double.fail_over();
    for key in &keys {
        match world.run(&[key.as_str()], |unit, t| strings::get(unit, 0, &t[0])) {
            Ok((value, _)) => assert_eq!(text(value), None, "{key}"),
            Err(refusal) => assert!(matches!(refusal, Refusal::TryAgain(_)), "{refusal}"),
        }
    }
}
