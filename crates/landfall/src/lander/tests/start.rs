//! What a start does when log and database agree, and when they do not.

use std::time::Duration;

use crate::buffer::log::Log;
use crate::error::SinkError;
use crate::lander::fakes::{
    Failover, KEYS, PAGE, World, env, groups, log, open, open_alone, page, put_firm, set_key, tables, view,
};
use crate::lander::{LanderSettings, LaneNote, OpenError};
use crate::model::IncidentKind;

fn notes(log: &dyn Log) -> Vec<LaneNote> {
    log.lanes().into_iter().map(|(_, lane)| LaneNote { lane, landed: 0 }).collect()
}

#[test]
fn a_restart_goes_on_behind_the_watermark() {
    let mut world = World::new();
    world.write(&[view(1)]);
    world.lander.progress().request_flush();
    world.turns();
    world.write(&[view(1)]);
    world.lander = world.reopen().expect("a restart");
    assert_eq!(world.lander.progress().landed(PAGE), 1);
    assert!(world.settle());
    assert_eq!(world.number(&page(1), "views"), Some(2));
}

#[test]
fn a_database_without_our_lanes_is_refused_when_they_were_created_before() {
    let world = World::new();
    let empty = Failover::new(&tables());
    let opened = open(&world.env, &world.log, &empty, &world.settings, &groups(), &notes(&*world.log));
    assert!(matches!(opened.err(), Some(OpenError::Sink(SinkError::WrongDatabase { .. }))));
    let emptied = Failover::empty_twin(&world.database);
    let opened = open(&world.env, &world.log, &emptied, &world.settings, &groups(), &notes(&*world.log));
    assert!(matches!(opened.err(), Some(OpenError::Sink(SinkError::LaneMissing { .. }))));
}

#[test]
fn a_database_of_another_log_is_refused() {
    let world = World::new();
    let (_, other) = env(8);
    let log = log(&other, 0);
    let opened = open(&other, &log, &world.database, &world.settings, &groups(), &[]);
    assert!(matches!(opened.err(), Some(OpenError::Sink(SinkError::ForeignLineage { .. }))));
}

#[test]
fn a_copy_of_the_log_that_went_another_way_is_refused_and_nothing_is_written() {
    let mut world = World::new();
    world.write(&[view(1)]);
    assert!(world.settle());
    // The same seed gives the same lineage: a restored copy of the data directory.
    let twin = world.twin();
    assert_eq!(twin.log.lineage(), world.log.lineage());
    twin.write(&[view(2)]);
    twin.write(&[view(2)]);
    let opened = open(&world.env, &twin.log, &world.database, &world.settings, &groups(), &notes(&*twin.log));
    assert!(matches!(opened.err(), Some(OpenError::Diverged { lane: PAGE, position: 1 })));
    assert_eq!(world.number(&page(2), "views"), None);
}

#[test]
fn a_log_that_lost_its_end_gets_a_gap_and_no_position_is_used_twice() {
    let mut world = World::new();
    for _ in 0..3 {
        world.write(&[view(1)]);
    }
    assert!(world.settle());
    let mut short = world.twin();
    short.write(&[view(1)]);
    short.lander =
        open(&short.env, &short.log, &world.database, &short.settings, &groups(), &notes(&*short.log))
            .expect("a gap is marked");
    short.database = world.database.clone();
    assert_eq!(short.lander.progress().landed(PAGE), 3);
    let incident = short.lander.incidents().all().remove(0);
    let expected = (IncidentKind::LogBehind, Some(PAGE), (2, 3));
    assert_eq!((incident.kind, incident.lane, incident.positions), expected);
    assert_eq!(short.write(&[view(1)]), [(PAGE, 4)]);
    assert!(short.settle());
    assert_eq!(short.number(&page(1), "views"), Some(4));
}

/// A world whose log has one record of a page, while the database has landed two, and a replica of it no more than those.
fn short_log() -> World {
    let mut world = World::new();
    world.write(&[view(1)]);
    world.write(&[view(1)]);
    assert!(world.settle());
    world.database.set_lagging(true);
    let mut short = world.twin();
    short.write(&[view(1)]);
    short.database = world.database.clone();
    short
}

fn goes_on_within_its_gap(mut short: World) {
    short.write(&[view(1)]);
    assert!(short.settle());
    short.database.fail_over();
    assert_eq!(short.watermark(PAGE), 2);
    short.write(&[view(1)]);
    assert!(short.settle());
    assert_eq!(short.number(&page(1), "views"), Some(4));
    assert_eq!(short.watermark(PAGE), short.log.head(PAGE).position);
    let incidents = short.lander.incidents().all();
    assert!(incidents.iter().all(|incident| incident.kind == IncidentKind::LogBehind), "{incidents:?}");
    assert!(incidents.iter().any(|incident| incident.positions == (2, 2)), "{incidents:?}");
}

#[test]
fn a_database_that_goes_back_into_the_gap_of_a_start_without_it_goes_on_from_there() {
    let mut short = short_log();
    let database = short.database.clone();
    database.primary.lock().set_down(true);
    drop(open_alone(&short, &notes(&*short.log)));
    database.primary.lock().set_down(false);
    short.lander = open(&short.env, &short.log, &database, &short.settings, &groups(), &notes(&*short.log))
        .expect("the database is within the gap");
    goes_on_within_its_gap(short);
}

#[test]
fn a_database_that_goes_back_to_before_the_end_of_a_gap_goes_on_from_there() {
    let mut short = short_log();
    // Another one that the log does not have, nor the replica.
    let mut whole = short.twin();
    whole.database = short.database.clone();
    (0..3).for_each(|_| drop(whole.write(&[view(1)])));
    whole.lander = whole.reopen().expect("the log as it was");
    assert!(whole.settle());
    short.lander = short.reopen().expect("a gap is marked");
    assert_eq!(short.log.head(PAGE).position, 3);
    goes_on_within_its_gap(short);
}

#[test]
fn a_database_that_went_back_before_the_start_is_landed_again() {
    let mut world = World::new();
    world.write(&[view(1)]);
    assert!(world.settle());
    world.database.set_lagging(true);
    world.write(&[view(1)]);
    assert!(world.settle());
    world.database.fail_over();
    world.lander = world.reopen().expect("the log has it");
    assert_eq!(world.lander.progress().landed(PAGE), 1);
    assert!(world.settle());
    assert_eq!(world.number(&page(1), "views"), Some(2));
}

#[test]
fn a_database_that_went_back_further_than_the_log_reaches_is_refused() {
    let (clock, env) = env(7);
    let mut world =
        World::of(clock, env.clone(), log(&env, 0), Failover::new(&tables()), LanderSettings::default());
    world.database.set_lagging(true);
    for _ in 0..3 {
        world.write(&[view(1)]);
    }
    assert!(world.settle());
    world.log.upkeep().expect("a log in memory");
    world.database.fail_over();
    let opened = world.reopen();
    assert!(matches!(opened.err(), Some(OpenError::Regressed { lane: PAGE, found: 0, noted: 3 })));
    // As after a kill: the note of what has landed is written now and then, and knows nothing of it.
    let World { env, log, database, settings, groups, .. } = &world;
    let opened = open(env, log, database, settings, groups, &notes(&**log));
    assert!(matches!(opened.err(), Some(OpenError::Regressed { lane: PAGE, found: 0, noted: 3 })));
}

#[test]
fn retired_lanes_land_before_any_lane_of_the_present_groups() {
    let mut world = World::new();
    world.write(&[set_key(1, "old", "v")]);
    world.write(&[put_firm(1, &[("need", 1)])]);
    // Regrouped: the key-value tables have one lane now.
    world.groups[0].lanes = 1;
    world.lander = world.reopen().expect("a start with other groups");
    world.write(&[set_key(0, "new", "v")]);
    world.lander.progress().request_flush();
    world.turns();
    let landings = world.database.landings.lock();
    // Together with the lanes that their rows may be in now, and before all others.
    assert_eq!(landings[0].lanes.iter().map(|step| step.lane).collect::<Vec<_>>(), KEYS);
    assert_eq!(landings.len(), 2);
}

#[test]
fn nothing_of_the_present_groups_lands_while_a_retired_lane_cannot() {
    let mut world = World::new();
    world.write(&[set_key(1, "old", "v")]);
    world.groups[0].lanes = 1;
    world.lander = world.reopen().expect("a start with other groups");
    world.lander.progress().pause(Some("retired lanes")).expect("the group is there");
    world.write(&[view(1)]);
    world.clock.advance_to(Duration::from_secs(60));
    world.turns();
    assert_eq!(world.watermark(PAGE), 0);
    world.lander.progress().resume(None).expect("all groups");
    assert!(world.settle());
}

#[test]
fn a_copy_of_the_data_directory_is_refused_once_another_copy_has_run() {
    let world = World::new();
    let starts = world.log.note("starts").expect("a note").expect("a start");
    drop(world.reopen().expect("the other copy runs"));
    world.log.set_note("starts", &starts).expect("a note");
    for _ in 0..5 {
        // Again and again, as a supervisor starts it.
        let refused = world.reopen().err();
        assert!(matches!(refused, Some(OpenError::Sink(SinkError::OtherStart { .. }))), "{refused:?}");
    }
}

#[test]
fn another_database_is_refused_before_anything_is_written_there() {
    let world = World::new();
    let other = Failover::new(&tables());
    let refused = open(&world.env, &world.log, &other, &world.settings, &groups(), &[]).err();
    assert!(matches!(refused, Some(OpenError::Sink(SinkError::WrongDatabase { .. }))), "{refused:?}");
    assert_eq!(other.primary.lock().watermark(PAGE), None);
}
