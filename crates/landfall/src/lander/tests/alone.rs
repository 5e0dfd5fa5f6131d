//! A lander that is opened while the database is away: it takes no lane, lands nothing, and passes its gaps when it has met it.

use crate::buffer::log::Log;
use crate::lander::fakes::{
    FIRM, Failover, KEYS, PAGE, World, env, log, open_alone, page, put_firm, set_key, tables, view,
};
use crate::lander::{LanderSettings, LaneNote, Phase, StopReason, Turn};
use crate::model::{IncidentKind, Position};
use crate::sink::memory::Failure;

/// A world whose lander was opened again without the database, with these positions noted as landed.
fn alone() -> World {
    let mut world = World::new();
    world.write(&[view(1)]);
    assert!(world.settle());
    // Owed already, and not landed before the database goes away.
    world.write(&[put_firm(1, &[("need", 1)])]);
    world.database.each(|database| database.set_down(true));
    world.lander = world.reopen_alone();
    world
}

fn come_back(world: &World) {
    world.database.each(|database| database.set_down(false));
}

fn heads(world: &World) -> Vec<Position> {
    [KEYS[0], KEYS[1], FIRM, PAGE].map(|lane| world.log.head(lane).position).to_vec()
}

fn watermarks(world: &World) -> Vec<Position> {
    [KEYS[0], KEYS[1], FIRM, PAGE].map(|lane| world.watermark(lane)).to_vec()
}

#[test]
fn positions_begin_far_above_everything_and_no_lane_is_taken_before_the_database_is_met() {
    let mut world = alone();
    let epochs = |world: &World| {
        [KEYS[0], FIRM, PAGE].map(|lane| world.database.primary.lock().watermark(lane).map(|at| at.epoch))
    };
    let before = epochs(&world);
    let places = world.write(&[view(1)]);
    assert_eq!(places[0].1, (1 << 32) + 2);
    assert!(matches!(world.turns(), Turn::Wait { until: Some(_), .. }));
    assert_eq!((epochs(&world), watermarks(&world)), (before, vec![0, 0, 0, 1]));
    assert!(!world.lander.progress().is_joined());
    come_back(&world);
    assert!(world.settle());
    assert_eq!(world.number(&page(1), "views"), Some(2));
    assert_ne!(epochs(&world), before);
}

#[test]
fn every_lane_passes_its_gap_when_the_database_is_met_paused_or_not() {
    let mut world = alone();
    world.lander.progress().pause(None).expect("all groups");
    come_back(&world);
    world.turns();
    let (heads, found) = (heads(&world), watermarks(&world));
    // What is owed before a gap has to land first.
    assert_eq!((found[2], [found[0], found[1], found[3]]), (0, [heads[0], heads[1], heads[3]]));
    world.lander.progress().resume(None).expect("all groups");
    assert!(world.settle());
    assert_eq!(watermarks(&world), heads, "a gap behind the last record is passed with it");
    // And nothing is wrong with a start behind it.
    world.lander = world.reopen().expect("a start with the database");
    world.write(&[set_key(0, "a", "1")]);
    world.write(&[put_firm(2, &[("need", 1)])]);
    assert!(world.settle());
    assert_eq!(world.lander.incidents().all(), []);
}

#[test]
fn several_starts_without_the_database_leave_gaps_that_one_landing_passes() {
    let mut world = alone();
    for id in 2..5 {
        world.write(&[view(id)]);
        world.lander = world.reopen_alone();
        world.lander = world.reopen_alone();
    }
    world.write(&[view(9)]);
    come_back(&world);
    assert!(world.settle());
    assert_eq!(watermarks(&world), heads(&world));
    for id in [1, 2, 3, 4, 9] {
        assert_eq!(world.number(&page(id), "views"), Some(1), "{id}");
    }
}

#[test]
fn a_note_that_is_older_than_what_has_landed_lands_nothing_twice() {
    let mut world = alone();
    // As after a kill: the note of what has landed is written now and then.
    world.lander =
        open_alone(&world, &[KEYS[0], KEYS[1], FIRM, PAGE].map(|lane| LaneNote { lane, landed: 0 }));
    world.write(&[view(1)]);
    come_back(&world);
    assert!(world.settle());
    assert_eq!(world.number(&page(1), "views"), Some(2));
}

/// The log was told at a meeting that did not end well how far the database was.
#[test]
fn what_a_database_loses_between_two_attempts_to_meet_it_lands_again() {
    let mut world = World::new();
    world.database.set_lagging(true);
    world.write(&[view(1)]);
    assert!(world.settle());
    world.database.each(|database| database.set_down(true));
    world.lander =
        open_alone(&world, &[KEYS[0], KEYS[1], FIRM, PAGE].map(|lane| LaneNote { lane, landed: 0 }));
    come_back(&world);
    // The lanes are taken over and compared, and then the gaps cannot be passed.
    world.database.primary.lock().fail_next_landing(Failure::Unavailable);
    world.turns();
    assert!(!world.lander.progress().is_joined());
    world.database.fail_over();
    assert!(world.settle());
    assert_eq!(world.number(&page(1), "views"), Some(1));
}

/// The note of what has landed was old, as after a kill, so the database does not seem to have gone back.
#[test]
fn a_database_that_comes_back_from_further_than_the_log_reaches_stops_landing_with_an_incident() {
    let (clock, env) = env(7);
    let mut world =
        World::of(clock, env.clone(), log(&env, 0), Failover::new(&tables()), LanderSettings::default());
    world.database.set_lagging(true);
    for _ in 0..3 {
        world.write(&[view(1)]);
    }
    assert!(world.settle());
    world.log.upkeep().expect("a log in memory");
    world.database.each(|database| database.set_down(true));
    world.lander =
        open_alone(&world, &[KEYS[0], KEYS[1], FIRM, PAGE].map(|lane| LaneNote { lane, landed: 0 }));
    world.write(&[view(1)]);
    world.database.fail_over();
    come_back(&world);
    world.settle();
    let stopped = |phase: &Phase| *phase == Phase::Stopped(StopReason::Diverged);
    assert!(world.lander.progress().groups().iter().all(|group| stopped(&group.phase)));
    let incident = world.lander.incidents().all().remove(0);
    assert_eq!(incident.kind, IncidentKind::Diverged);
    assert!(incident.what.contains("position 3 had landed"), "{}", incident.what);
    assert!(incident.what.contains("landfall adopt"), "{}", incident.what);
    assert_eq!((world.watermark(PAGE), world.number(&page(1), "views")), (0, None));
}
