//! Another number of lanes: rows move to other lanes while their older changes still wait in the old ones.

use super::*;
use crate::engine::ops::strings;

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
