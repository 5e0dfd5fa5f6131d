//! Which groups count as stuck: what is written to them must not take all room of those that land.

use crate::lander::LanderSettings;
use crate::lander::fakes::{FIRM, PAGE, World, put_firm, view};
use crate::sink::memory::Failure;

/// A world whose firms are refused and tried again for ever.
fn refusing() -> World {
    let mut world = World::with(LanderSettings { refusals_max: u32::MAX, ..LanderSettings::default() });
    world.write(&[put_firm(1, &[("code", 1)])]);
    world.lander.progress().request_flush();
    world.turns();
    world
}

fn land_a_page(world: &mut World) {
    world.write(&[view(1)]);
    world.lander.progress().request_flush();
    world.turns();
}

#[test]
fn a_group_that_backs_off_is_stuck_once_another_one_has_landed() {
    let mut world = World::new();
    world.write(&[put_firm(1, &[("need", 1)])]);
    world.database.primary.lock().fail_next_landing(Failure::Busy);
    world.lander.progress().request_flush();
    world.turns();
    assert_eq!(world.lander.progress().stuck_lanes(), [], "it may be the database, which all wait for");
    land_a_page(&mut world);
    assert_eq!(world.lander.progress().stuck_lanes(), [FIRM]);
    let status = world.lander.progress().stuck_group(FIRM).expect("it is stuck");
    assert_eq!((status.name.as_str(), world.lander.progress().stuck_group(PAGE)), ("firm", None));
    assert!(world.settle());
    assert_eq!(world.lander.progress().stuck_lanes(), []);
}

#[test]
fn another_try_does_not_make_a_group_whole() {
    let mut world = refusing();
    land_a_page(&mut world);
    let tries = |world: &World| world.lander.progress().groups().remove(1).attempts;
    let before = tries(&world);
    while tries(&world) < before + 3 {
        let crate::lander::Turn::Wait { until: Some(until), .. } = world.turns() else { panic!("it waits") };
        world.clock.advance_to(until);
        assert_eq!(world.lander.progress().stuck_lanes(), [FIRM]);
    }
}

#[test]
fn a_paused_group_is_stuck_at_once_and_no_group_is_when_all_are() {
    let mut world = World::new();
    let progress = world.lander.progress();
    progress.pause(Some("firm")).expect("it is there");
    world.turns();
    let progress = world.lander.progress();
    assert_eq!(progress.stuck_lanes(), [FIRM]);
    progress.pause(None).expect("all");
    world.turns();
    let progress = world.lander.progress();
    assert_eq!(progress.stuck_lanes(), []);
    progress.resume(None).expect("all");
    world.turns();
    assert_eq!(world.lander.progress().stuck_group(FIRM), None);
}
