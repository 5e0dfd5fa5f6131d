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
