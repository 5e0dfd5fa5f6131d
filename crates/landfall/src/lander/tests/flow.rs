//! When and what the lander lands while nothing is broken.

use std::time::Duration;

use crate::buffer::log::Log;
use crate::lander::fakes::{FIRM, KEYS, PAGE, World, firm, page, put_firm, set_key, view};
use crate::lander::{LanderSettings, Left, Phase, Turn, Waited};
use crate::model::{Name, RowKey, Value};
use crate::settings::FlushMode;

fn wait_ms(turn: Turn, world: &World) -> Option<u64> {
    match turn {
        Turn::Wait { until, .. } => {
            until.map(|until| (until - world.env.clock.monotonic()).as_millis() as u64)
        }
        Turn::Again | Turn::Ended => panic!("the lander does not wait: {turn:?}"),
    }
}

/// Shows S3.
#[test]
fn five_updates_of_a_key_before_a_flush_land_as_one_row() {
    let mut world = World::new();
    for value in ["a", "b", "c", "d", "e"] {
        world.write(&[set_key(0, "k", value)]);
    }
    assert!(world.settle());
    let row = world.row(&RowKey::of_key(b"k")).expect("the row landed");
    assert_eq!(row, [(Name::from_bytes(Name::STRING), Value::bytes(b"e"))]);
    let counts = world.lander.progress().counters.read();
    assert_eq!((counts.batches, counts.rows, counts.records, counts.changes), (1, 1, 5, 5));
}

/// Shows S2.
#[test]
fn a_change_lands_after_the_interval_and_not_before() {
    let mut world = World::new();
    world.write(&[view(1)]);
    let turn = world.turns();
    assert_eq!(wait_ms(turn, &world), Some(200));
    world.clock.advance_to(world.env.clock.monotonic() + Duration::from_millis(199));
    let turn = world.turns();
    assert_eq!((wait_ms(turn, &world), world.watermark(PAGE)), (Some(1), 0));
    world.clock.advance_to(world.env.clock.monotonic() + Duration::from_millis(1));
    let turn = world.turns();
    assert_eq!((wait_ms(turn, &world), world.watermark(PAGE)), (None, 1));
}

#[test]
fn a_change_lands_in_time_whatever_the_date_does() {
    const DAY_MS: i64 = 86_400_000;
    for jump in [-DAY_MS, DAY_MS] {
        let mut world = World::new();
        world.write(&[view(1)]);
        world.turns();
        world.clock.jump(jump);
        world.clock.advance_to(world.env.clock.monotonic() + Duration::from_millis(200));
        world.turns();
        assert_eq!(world.watermark(PAGE), 1, "the date went {jump} ms");
    }
}

/// Shows S2.
#[test]
fn five_hundred_changes_over_all_lanes_land_at_once() {
    let mut world = World::new();
    let bulk: Vec<_> = (0..249).map(view).collect();
    world.write(&bulk);
    for n in 0..250 {
        world.write(&[set_key(n % 2, &n.to_string(), "v")]);
    }
    let Turn::Wait { wake_at_changes, .. } = world.turns() else { panic!("499 changes do not land") };
    assert_eq!(wake_at_changes, 500);
    world.write(&[put_firm(1, &[("need", 1)])]);
    world.turns();
    assert_eq!(world.log.owed_records(), 0);
}

#[test]
fn count_alone_ignores_time_until_a_flush_is_asked_for() {
    let mut world = World::with(LanderSettings { flush_mode: FlushMode::Count, ..LanderSettings::default() });
    world.write(&[view(1)]);
    let turn = world.turns();
    assert_eq!(wait_ms(turn, &world), None);
    world.lander.progress().request_flush();
    world.turns();
    assert_eq!(world.number(&page(1), "views"), Some(1));
}

#[test]
fn landed_is_published_only_at_the_cut_and_a_cut_never_moves_back() {
    let mut world = World::with(LanderSettings { batch_records_max: 7, ..LanderSettings::default() });
    let mut cuts = vec![0];
    for round in 0..3 {
        for _ in 0..50 {
            world.write(&[view(round)]);
        }
        world.lander.progress().request_flush();
        let mut within = 0;
        while world.lander.turn() == Turn::Again {
            let (landed, cut) = (world.lander.progress().landed(PAGE), world.lander.progress().cut(PAGE));
            assert!(cuts.contains(&landed) || landed == cut, "landed {landed} with cut {cut}");
            assert!(cut >= cuts[cuts.len() - 1]);
            within += usize::from(world.watermark(PAGE) > landed);
            cuts.push(cut);
        }
        assert!(within >= 7, "watermarks below the cut were committed");
        assert_eq!(world.lander.progress().landed(PAGE), world.lander.progress().cut(PAGE));
    }
}

#[test]
fn groups_with_a_backlog_take_turns() {
    let mut world = World::with(LanderSettings { batch_records_max: 10, ..LanderSettings::default() });
    for n in 0..100 {
        world.write(&[view(n)]);
        world.write(&[set_key(0, &n.to_string(), "v")]);
    }
    world.lander.progress().request_flush();
    for turns in 1..=20 {
        assert_eq!(world.lander.turn(), Turn::Again);
        let (a, b) = (world.watermark(PAGE), world.watermark(KEYS[0]));
        assert!(a.abs_diff(b) <= 10, "after {turns} turns: {a} and {b}");
    }
}

#[test]
fn a_record_of_several_lanes_lands_whole_in_one_transaction() {
    let mut world = World::with(LanderSettings { batch_records_max: 3, ..LanderSettings::default() });
    let mut joint = Vec::new();
    for n in 0..40 {
        world.write(&[view(n)]);
        world.write(&[set_key(1, &n.to_string(), "v")]);
        if n % 5 == 0 {
            joint.push(world.write(&[view(n), set_key(0, "both", "v"), put_firm(n, &[("need", 1)])]));
        }
        if n % 7 == 0 {
            joint.push(world.write(&[set_key(0, "x", "v"), set_key(1, "y", "v")]));
        }
    }
    assert!(world.settle());
    for places in joint {
        let holds = |landing: &crate::sink::Landing| {
            places.iter().all(|&(lane, position)| {
                landing
                    .lanes
                    .iter()
                    .any(|step| step.lane == lane && step.from.0 < position && position <= step.to.0)
            })
        };
        assert_eq!(world.database.landings.lock().iter().filter(|landing| holds(landing)).count(), 1);
    }
    for landing in world.database.landings.lock().iter() {
        assert!(landing.lanes.is_sorted_by_key(|step| step.lane));
    }
}

#[test]
fn a_record_of_several_lanes_waits_for_a_paused_group_and_its_state_names_it() {
    let mut world = World::new();
    world.lander.progress().pause(Some("page")).expect("the group is there");
    world.write(&[set_key(0, "before", "v")]);
    world.write(&[set_key(0, "both", "v"), view(1)]);
    world.write(&[put_firm(1, &[("need", 1)])]);
    world.lander.progress().request_flush();
    world.turns();
    assert_eq!((world.watermark(KEYS[0]), world.watermark(PAGE), world.watermark(FIRM)), (1, 0, 1));
    let phases: Vec<Phase> = world.lander.progress().groups().into_iter().map(|group| group.phase).collect();
    let waiting = Phase::WaitingFor { group: "page".into() };
    assert_eq!(phases, [waiting, Phase::Idle, Phase::Paused]);
    world.lander.progress().resume(None).expect("all groups");
    assert!(world.settle());
    assert_eq!((world.watermark(KEYS[0]), world.watermark(PAGE)), (2, 1));
}

#[test]
fn a_close_lands_the_rest_and_ends() {
    let mut world = World::with(LanderSettings { flush_mode: FlushMode::Count, ..LanderSettings::default() });
    world.write(&[view(1), put_firm(1, &[("need", 1)])]);
    world.turns();
    world.lander.progress().stop(Duration::from_secs(100));
    assert_eq!(world.turns(), Turn::Ended);
    assert_eq!(world.lander.left(), []);
    assert_eq!(world.number(&firm(1), "need"), Some(1));
}

#[test]
fn a_close_says_what_is_left_of_paused_groups_and_ends_at_once() {
    let mut world = World::new();
    world.lander.progress().pause(Some("page")).expect("the group is there");
    world.write(&[view(1)]);
    world.write(&[set_key(0, "k", "v")]);
    world.lander.progress().stop(Duration::from_secs(100));
    assert_eq!(world.turns(), Turn::Ended);
    let left = Left { group: "page".into(), records: 1, reason: Some("paused".into()) };
    assert_eq!(world.lander.left(), [left]);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test's own thread, which ends with its scope")]
fn a_lander_on_its_thread_is_woken_by_changes_and_ends_when_it_is_stopped() {
    let mut world = World::new();
    world.env = crate::env::real();
    world.settings.flush_interval_ms = 5;
    world.settings.flush_count_changes = 3;
    world.lander = world.reopen().expect("a start on the real clock");
    let progress = world.lander.progress().clone();
    let places = world.write(&[view(1)]);
    let World { lander, database, log, .. } = world;
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| lander.run());
        let waited = progress.wait_landed(&places, Duration::from_secs(60));
        // Stopped before anything is asserted: a failed assertion would wait for the thread for ever.
        progress.stop(Duration::from_secs(60));
        assert_eq!(thread.join().expect("the lander ends"), []);
        assert_eq!(waited, Waited::Landed);
    });
    assert_eq!(log.owed_records(), 0);
    assert!(database.primary.lock().row(&page(1)).is_some());
}
