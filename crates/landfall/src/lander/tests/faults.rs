//! What the lander does when the database fails, lies low, goes back or belongs to somebody else.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use crate::buffer::log::Log;
use crate::lander::fakes::{
    FIRM, Failover, FakeRandom, KEYS, PAGE, World, env, log, page, put_firm, set_key, tables, view,
};
use crate::lander::{LanderSettings, OpenError, Phase, StopReason, Turn};
use crate::model::{Change, IncidentKind, LaneId, LoggedChange, RowKey, RowState};
use crate::sink::memory::Failure;

fn fail(world: &World, failure: Failure) {
    world.database.primary.lock().fail_next_landing(failure);
}

fn phase(world: &World, group: &str) -> Phase {
    let groups = world.lander.progress().groups();
    groups.into_iter().find(|status| status.name == group).expect("the group is there").phase
}

/// Shows S6.
#[test]
fn an_unknown_commit_is_neither_applied_twice_nor_lost_and_counted_once() {
    for failure in [Failure::UnknownCommitted, Failure::UnknownRolledBack] {
        let mut world = World::new();
        for _ in 0..4 {
            world.write(&[view(1)]);
        }
        fail(&world, failure.clone());
        assert!(world.settle(), "{failure:?}");
        assert_eq!(world.number(&page(1), "views"), Some(4), "{failure:?}");
        let counts = world.lander.progress().counters.read();
        assert_eq!(
            (counts.batches, counts.rows, counts.changes, counts.unknown),
            (1, 1, 4, 1),
            "{failure:?}"
        );
        assert_eq!(world.database.landings.lock().len(), 1, "{failure:?}");
    }
}

/// Shows S5.
#[test]
fn a_database_that_is_down_is_tried_again_for_ever_with_bounded_waits() {
    let mut world = World::new();
    world.write(&[view(1)]);
    world.database.primary.lock().set_down(true);
    let mut longest = 0;
    for _ in 0..100 {
        let (since, attempts) = (world.env.clock.monotonic(), world.lander.progress().connection().attempts);
        while world.lander.progress().connection().attempts == attempts {
            let Turn::Wait { until: Some(until), .. } = world.turns() else { panic!("it waits") };
            world.clock.advance_to(until);
        }
        longest = longest.max((world.env.clock.monotonic() - since).as_millis());
    }
    assert!((10_000..=30_000).contains(&longest), "the longest wait was {longest} ms");
    assert!(world.lander.progress().connection().attempts >= 90);
    assert!(matches!(phase(&world, "page"), Phase::BackingOff { .. } | Phase::Landing));
    world.database.primary.lock().set_down(false);
    assert!(world.settle());
    assert_eq!(world.number(&page(1), "views"), Some(1));
    assert_eq!(world.lander.progress().connection().attempts, 0);
}

#[test]
fn a_backlog_after_an_outage_lands_in_bounded_batches_and_holds_up_no_other_group() {
    const BACKLOG: u64 = 1_000;
    let mut world = World::with(LanderSettings { batch_rows_max: 50, ..LanderSettings::default() });
    world.database.primary.lock().set_down(true);
    (0..BACKLOG).for_each(|n| drop(world.write(&[set_key(0, &n.to_string(), "v")])));
    world.write(&[view(1)]);
    world.lander.progress().request_flush();
    world.turns();
    world.database.primary.lock().set_down(false);
    let mut landed_before = None;
    for _ in 0..1_000 {
        if let Turn::Wait { until: Some(until), .. } = world.lander.turn() {
            world.clock.advance_to(until);
        }
        if world.watermark(PAGE) == 1 {
            landed_before.get_or_insert(world.watermark(KEYS[0]));
        }
    }
    assert_eq!(world.log.owed_records(), 0);
    assert!(landed_before.is_some_and(|backlog| backlog < BACKLOG / 2), "{landed_before:?}");
    let landings = world.database.landings.lock();
    assert!(landings.len() >= 20 && landings.iter().all(|landing| landing.ops.len() <= 50));
}

#[test]
fn a_new_connection_is_made_after_the_database_was_away() {
    let mut world = World::new();
    world.write(&[view(1)]);
    let before = world.database.sinks_opened.load(Ordering::SeqCst);
    fail(&world, Failure::Unavailable);
    assert!(world.settle());
    assert_eq!(world.database.sinks_opened.load(Ordering::SeqCst), before + 1);
    assert_eq!(world.number(&page(1), "views"), Some(1));
}

#[test]
fn a_group_in_backoff_holds_up_no_other() {
    let mut world = World::with(LanderSettings { refusals_max: u32::MAX, ..LanderSettings::default() });
    world.write(&[put_firm(1, &[("code", 1)])]);
    for n in 0..5 {
        world.write(&[view(1)]);
        world.lander.progress().request_flush();
        let attempts = |world: &World| world.lander.progress().groups().remove(1).attempts;
        let before = attempts(&world);
        let mut turn = world.turns();
        assert_eq!(world.lander.progress().landed(PAGE), n + 1);
        assert!(matches!(phase(&world, "firm"), Phase::BackingOff { .. }), "{:?}", phase(&world, "firm"));
        while attempts(&world) <= before.max(1) {
            let Turn::Wait { until, .. } = turn else { panic!("it waits") };
            world.clock.advance_to(until.expect("the backoff ends"));
            turn = world.turns();
        }
    }
    let status = world.lander.progress().groups().remove(1);
    assert!(status.error.is_some_and(|error| error.contains("firm")));
    assert!(status.attempts >= 5);
}

#[test]
fn a_refusal_that_passes_is_tried_again_until_it_lands() {
    let mut world = World::new();
    for n in 0..8 {
        world.write(&[put_firm(n, &[("need", 1)])]);
    }
    for _ in 0..12 {
        fail(&world, Failure::Refused("firm".into()));
    }
    assert!(world.settle());
    assert_eq!(world.lander.progress().landed(FIRM), 8);
    assert_eq!(world.lander.progress().counters.read().refused, 12);
}

#[test]
fn a_fenced_zombie_changes_nothing_and_stops_with_an_incident() {
    let mut zombie = World::new();
    zombie.write(&[view(1)]);
    let mut other = zombie.reopen().expect("a second owner");
    other.progress().request_flush();
    while other.turn() == Turn::Again {}
    zombie.lander.progress().request_flush();
    // The log is shared here, so the zombie would think that nothing is owed.
    zombie.log.rewind(PAGE, 0).expect("the log keeps it");
    zombie.settle();
    assert_eq!(zombie.lander.progress().counters.read().fenced, 1);
    assert_eq!(zombie.database.landings.lock().len(), 1);
    assert_eq!(zombie.number(&page(1), "views"), Some(1));
    let stopped = zombie.lander.progress().stopped().expect("it gave up");
    assert_eq!(stopped.phase, Phase::Stopped(StopReason::Fenced));
    assert_eq!(zombie.lander.incidents().open_count(), 1);
    assert_eq!(zombie.lander.incidents().all()[0].kind, IncidentKind::Fenced);
}

#[test]
fn of_two_live_owners_the_one_that_started_last_goes_on() {
    let mut one = World::new();
    let mut other = one.reopen().expect("a second owner");
    for n in 0..20 {
        one.write(&[view(n)]);
        one.lander.progress().request_flush();
        one.settle();
        one.write(&[view(n)]);
        other.progress().request_flush();
        for _ in 0..100 {
            if let Turn::Wait { until: Some(until), .. } = other.turn() {
                one.clock.advance_to(until);
            }
        }
    }
    let stopped = one.lander.progress().stopped().expect("the older one gave up");
    assert_eq!(stopped.phase, Phase::Stopped(StopReason::Fenced));
    assert_eq!(other.progress().stopped(), None);
    assert_eq!(one.watermark(PAGE), 40);
    let landed: u64 = one
        .database
        .landings
        .lock()
        .iter()
        .map(|landing| landing.lanes[0].to.0 - landing.lanes[0].from.0)
        .sum();
    assert_eq!(landed, 40);
}

#[test]
fn a_take_over_whose_answer_was_lost_is_not_taken_for_another_owner() {
    let mut world = World::new();
    for n in 0..5 {
        world.write(&[view(1)]);
        fail(&world, Failure::UnknownRolledBack);
        world.database.take_overs_unanswered.store(3, Ordering::SeqCst);
        assert!(world.settle(), "{:?}", world.lander.progress().groups());
        assert_eq!(world.number(&page(1), "views"), Some(n + 1));
    }
    assert_eq!(world.lander.progress().stopped(), None);
}

#[test]
fn a_database_that_lost_commits_is_landed_again_from_the_log_for_idle_lanes_too() {
    let mut world = World::new();
    world.write(&[view(1)]);
    world.write(&[set_key(0, "k", "old")]);
    assert!(world.settle());
    world.database.set_lagging(true);
    world.write(&[view(1)]);
    world.write(&[set_key(0, "k", "new")]);
    assert!(world.settle());
    world.database.fail_over();
    assert_eq!(world.watermark(KEYS[0]), 1);
    world.write(&[view(1)]);
    assert!(world.settle());
    assert_eq!(world.number(&page(1), "views"), Some(3));
    assert_eq!(world.watermark(KEYS[0]), 2);
    assert_eq!(world.lander.progress().rewinds(KEYS[0]), 1);
    assert_eq!(world.lander.progress().landed(KEYS[0]), 2);
}

/// Looks once at the database, when that is due.
fn look(world: &mut World) {
    let Turn::Wait { until: Some(until), .. } = world.turns() else { panic!("it looks again") };
    world.clock.advance_to(until);
    world.turns();
}

#[test]
fn a_failover_is_noticed_and_made_good_while_nothing_is_written() {
    let mut world = World::with(LanderSettings { check_ms: 5_000, ..LanderSettings::default() });
    world.database.set_lagging(true);
    world.write(&[view(1)]);
    world.lander.progress().request_flush();
    world.turns();
    assert_eq!(world.watermark(PAGE), 1);
    look(&mut world);
    assert_eq!(world.lander.progress().rewinds(PAGE), 0, "a look at a sound database changes nothing");
    world.database.fail_over();
    assert_eq!(world.watermark(PAGE), 0);
    for _ in 0..3 {
        look(&mut world);
    }
    assert_eq!((world.watermark(PAGE), world.lander.progress().rewinds(PAGE)), (1, 1));
    assert_eq!(world.number(&page(1), "views"), Some(1));
}

#[test]
fn a_database_that_is_away_is_seen_while_nothing_is_written_and_incidents_reach_it_later() {
    let mut world = World::with(LanderSettings { check_ms: 5_000, ..LanderSettings::default() });
    world.database.primary.lock().set_down(true);
    world.lander.incidents().declare(IncidentKind::Adopted, None, (0, 0), "a test");
    look(&mut world);
    assert!(world.lander.progress().connection().attempts > 0);
    world.database.primary.lock().set_down(false);
    for _ in 0..3 {
        look(&mut world);
    }
    assert_eq!(world.lander.progress().connection().attempts, 0);
    assert_eq!(world.database.primary.lock().incidents(), world.lander.incidents().all());
}

#[test]
fn a_database_that_went_back_further_than_the_log_reaches_stops_its_lane_alone() {
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
    world.write(&[view(1)]);
    world.settle();
    assert_eq!(phase(&world, "page"), Phase::Stopped(StopReason::Diverged));
    let incident = world.lander.incidents().all().remove(0);
    let expected = (IncidentKind::DatabaseBehind, Some(PAGE), (1, 3));
    assert_eq!((incident.kind, incident.lane, incident.positions), expected);
    assert!(incident.what.contains("landfall adopt"), "{}", incident.what);
    assert_eq!(world.watermark(PAGE), 0);
    world.write(&[set_key(0, "k", "v")]);
    world.settle();
    assert_eq!(world.watermark(KEYS[0]), 1);
}

/// One run with a swarm of faults; afterwards everything has landed once, in order, and whole.
fn run(seed: u64) {
    let chance = FakeRandom::new(seed);
    let (clock, env) = env(seed);
    let settings = LanderSettings {
        batch_records_max: 1 + chance.below(9) as usize,
        flush_count_changes: 1 + chance.below(20),
        ..LanderSettings::default()
    };
    let mut world = World::of(clock, env.clone(), log(&env, 64 << 20), Failover::new(&tables()), settings);
    let mut model: BTreeMap<RowKey, RowState> = BTreeMap::new();
    let mut joint: Vec<Vec<(LaneId, u64)>> = Vec::new();
    let mut write = |world: &World, changes: Vec<(LaneId, LoggedChange)>| {
        for (_, change) in &changes {
            if let LoggedChange::Row { row, change } = change {
                let state = model.entry(row.clone()).or_default();
                *state = change.apply(state.take());
            }
        }
        joint.push(world.write(&changes));
    };
    let some = |chance: &FakeRandom| match chance.below(4) {
        0 => view(chance.below(4) as i64),
        1 => set_key(0, &format!("a{}", chance.below(4)), &chance.below(9).to_string()),
        2 => set_key(1, &format!("b{}", chance.below(4)), &chance.below(9).to_string()),
        _ => match put_firm(chance.below(4) as i64, &[("need", 1), ("size", chance.below(9) as i64)]) {
            (lane, LoggedChange::Row { row, .. }) if chance.below(4) == 0 => {
                (lane, LoggedChange::Row { row, change: Change::Delete })
            }
            put => put,
        },
    };
    let mut is_down = false;
    for _ in 0..120 {
        match chance.below(25) {
            0..12 => write(&world, vec![some(&chance)]),
            12 | 13 => write(&world, (0..2 + chance.below(2)).map(|_| some(&chance)).collect()),
            14 => fail(&world, Failure::Busy),
            15 => fail(&world, Failure::Unavailable),
            16 => fail(&world, Failure::UnknownCommitted),
            17 => fail(&world, Failure::UnknownRolledBack),
            18 => fail(&world, Failure::Refused("firm".into())),
            19 => world.database.set_lagging(true),
            20 if chance.below(4) == 0 => {
                world.database.fail_over();
                world.database.primary.lock().set_down(is_down);
            }
            23 => world.database.take_overs_unanswered.store(1 + chance.below(3), Ordering::SeqCst),
            21 => {
                // A start that raised the epochs and failed would be another owner to the old lander.
                world.database.take_overs_unanswered.store(0, Ordering::SeqCst);
                match world.reopen() {
                    Ok(lander) => world.lander = lander,
                    Err(OpenError::Sink(error)) if error.is_transient() => {}
                    Err(error) => panic!("seed {seed}: {error}"),
                }
            }
            22 => {
                is_down = chance.below(2) == 0;
                world.database.primary.lock().set_down(is_down);
            }
            _ => {
                for _ in 0..chance.below(12) {
                    if let Turn::Wait { until: Some(until), .. } = world.lander.turn() {
                        world.clock.advance_to(until);
                    }
                }
            }
        }
        let progress = world.lander.progress();
        for lane in [KEYS[0], KEYS[1], FIRM, PAGE] {
            assert!(progress.landed(lane) <= progress.cut(lane), "seed {seed}");
        }
    }
    world.database.primary.lock().set_down(false);
    // A last write makes the lander notice a failover that came after everything had landed.
    write(
        &world,
        vec![view(0), set_key(0, "a0", "end"), set_key(1, "b0", "end"), put_firm(0, &[("need", 1)])],
    );
    assert!(world.settle(), "seed {seed}: {:?}", world.lander.progress().groups());
    for (row, state) in &model {
        let mut landed = world.database.primary.lock().row(row);
        if let Some(columns) = &mut landed {
            columns.remove(&crate::model::Name::column("id"));
        }
        assert_eq!(&landed, state, "seed {seed}: {row:?}");
    }
    for places in &joint {
        for landing in world.database.landings.lock().iter() {
            let inside = places.iter().filter(|&&(lane, position)| {
                landing
                    .lanes
                    .iter()
                    .any(|step| step.lane == lane && step.from.0 < position && position <= step.to.0)
            });
            let inside = inside.count();
            assert!(inside == 0 || inside == places.len(), "seed {seed}: {places:?} in {landing:?}");
        }
    }
    for lane in [KEYS[0], KEYS[1], FIRM, PAGE] {
        assert_eq!(world.lander.progress().landed(lane), world.log.head(lane).position, "seed {seed}");
    }
}

/// Shows S6 and S7.
#[test]
fn whatever_fails_everything_lands_once_in_order_and_whole() {
    (0..400).for_each(run);
}
