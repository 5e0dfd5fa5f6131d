//! Refused rows: parked alone, healed by later changes, tried again or dropped when asked, held when they are too many.

use std::sync::Arc;
use std::time::Duration;

use crate::buffer::log::Log;
use crate::lander::fakes::{FIRM, KEYS, PAGE, World, firm, page, put_firm, set_key, view};
use crate::lander::{LanderSettings, Phase, Turn};
use crate::model::{Change, Intent, LaneId, Letter, LetterKey, LoggedChange, Name, RowKey, Value};
use crate::sink::LandingOp;
use crate::sink::memory::Failure;

fn letters(world: &World) -> Vec<Letter> {
    world.database.primary.lock().letters()
}

fn ask(world: &World, lane: LaneId, key: &LetterKey, intent: Intent) {
    world.write(&[(lane, LoggedChange::Letter { key: key.clone(), intent })]);
}

fn phase(world: &World, group: &str) -> (Phase, String) {
    let groups = world.lander.progress().groups();
    let status = groups.into_iter().find(|status| status.name == group).expect("the group is there");
    (status.phase, status.error.unwrap_or_default())
}

/// Refuses views of pages that are listed.
fn poison_pages(world: &World, pages: &'static [i64]) {
    world.database.primary.lock().set_poison(Some(Arc::new(move |op| match op {
        LandingOp::Row { row, .. } => {
            pages.iter().any(|&id| *row == page(id)).then(|| "CHECK constraint failed: views".into())
        }
        LandingOp::Append { .. } | LandingOp::Clear => None,
    })));
}

/// Shows S5.
#[test]
fn a_refused_row_alone_is_parked_and_its_neighbours_land() {
    let mut world = World::new();
    for n in 0..50 {
        world.write(&[put_firm(n, &[("need", 1)])]);
    }
    world.write(&[put_firm(99, &[("code", 1)])]);
    world.write(&[put_firm(99, &[("size", 4)])]);
    world.write(&[put_firm(60, &[("need", 1)])]);
    assert!(world.settle());
    assert_eq!((world.number(&firm(49), "need"), world.number(&firm(60), "need")), (Some(1), Some(1)));
    assert_eq!(world.row(&firm(99)), None);
    let letters = letters(&world);
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((letter.key.row(), letter.first, letter.last), (Some(firm(99)), 51, 52));
    assert_eq!(&*letter.reason.class, "not-null");
    let both = Change::put([("code", 1), ("size", 4)].map(|(name, n)| (Name::column(name), Value::Int(n))));
    assert_eq!(letter.row_change().expect("a row").1, &both);
    assert_eq!(world.lander.progress().landed(FIRM), 53);
    let parked = world.lander.progress().parked();
    assert_eq!((parked.count, parked.oldest_ms), (1, Some(letter.first_ms)));
    assert!(world.lander.progress().was_parked(&[(FIRM, 52)]));
    assert!(!world.lander.progress().was_parked(&[(FIRM, 53), (PAGE, 52)]));
}

#[test]
fn a_later_change_heals_a_parked_row_and_its_letter_goes_in_the_same_transaction() {
    let mut world = World::new();
    world.write(&[put_firm(1, &[("code", 7), ("size", 2)])]);
    assert!(world.settle());
    assert_eq!(letters(&world).len(), 1);
    world.write(&[put_firm(1, &[("need", 5)])]);
    assert!(world.settle());
    assert_eq!(letters(&world), []);
    let numbers = ["code", "size", "need"].map(|column| world.number(&firm(1), column));
    assert_eq!(numbers, [Some(7), Some(2), Some(5)]);
    assert_eq!(world.lander.progress().parked().count, 0);
    let landings = world.database.landings.lock();
    let last = landings.last().expect("it landed");
    assert_eq!((last.ops.len(), last.letters.len()), (1, 1));
}

#[test]
fn a_delete_heals_a_row_that_never_came_to_be() {
    let mut world = World::new();
    world.write(&[put_firm(1, &[("code", 7)])]);
    assert!(world.settle());
    world.write(&[(FIRM, LoggedChange::Row { row: firm(1), change: Change::Delete })]);
    assert!(world.settle());
    assert_eq!((letters(&world), world.row(&firm(1))), (vec![], None));
}

#[test]
fn a_restart_knows_the_letters_before_anything_lands() {
    let mut world = World::new();
    world.write(&[put_firm(1, &[("code", 7)])]);
    assert!(world.settle());
    world.lander = world.reopen().expect("a restart");
    world.turns();
    assert_eq!(world.lander.progress().parked().count, 1);
    world.write(&[put_firm(1, &[("need", 5)])]);
    assert!(world.settle());
    assert_eq!((letters(&world).len(), world.number(&firm(1), "code")), (0, Some(7)));
}

#[test]
fn in_a_record_of_several_lanes_the_poison_row_is_parked_alone() {
    let mut world = World::new();
    world.write(&[set_key(0, "a", "1"), view(1), put_firm(1, &[("code", 7)]), put_firm(2, &[("need", 1)])]);
    assert!(world.settle());
    assert_eq!((world.number(&page(1), "views"), world.number(&firm(2), "need")), (Some(1), Some(1)));
    assert_eq!(letters(&world).iter().map(|letter| letter.key.row()).collect::<Vec<_>>(), [Some(firm(1))]);
    assert_eq!(world.watermark(KEYS[0]), 1);
}

#[test]
fn letters_are_tried_again_and_dropped_when_it_is_asked() {
    let mut world = World::new();
    poison_pages(&world, &[1, 2]);
    [1, 2, 3].into_iter().for_each(|id| drop(world.write(&[view(id)])));
    assert!(world.settle());
    let keys: Vec<LetterKey> = letters(&world).into_iter().map(|letter| letter.key).collect();
    assert_eq!(keys.len(), 2);
    ask(&world, PAGE, &keys[0], Intent::Retry);
    assert!(world.settle());
    assert_eq!(letters(&world)[0].attempts, 2, "it is refused again");
    poison_pages(&world, &[]);
    ask(&world, PAGE, &keys[0], Intent::Retry);
    ask(&world, PAGE, &keys[1], Intent::Drop);
    // Behind the drop the row begins anew.
    world.write(&[view(2)]);
    ask(&world, PAGE, &keys[1], Intent::Retry);
    assert!(world.settle());
    assert_eq!(letters(&world), []);
    assert_eq!((world.number(&page(1), "views"), world.number(&page(2), "views")), (Some(1), Some(1)));
}

#[test]
fn an_event_is_corrected_by_an_edit() {
    let mut world = World::new();
    world.database.primary.lock().set_poison(Some(Arc::new(|op| match op {
        LandingOp::Append { columns, .. } => {
            columns.iter().any(|(_, value)| *value == Value::Int(13)).then(|| "a trigger refused it".into())
        }
        LandingOp::Row { .. } | LandingOp::Clear => None,
    })));
    let event = |n| {
        let columns = vec![(Name::column("id"), Value::Int(n)), (Name::column("views"), Value::Int(n))];
        (PAGE, LoggedChange::Append { table: "page".into(), columns })
    };
    [12, 13, 14].into_iter().for_each(|n| drop(world.write(&[event(n)])));
    assert!(world.settle());
    let letter = letters(&world).remove(0);
    let anchor = world.log.anchor_at(PAGE, 2).unwrap().unwrap();
    let key = LetterKey::of_event(PAGE, (2, anchor), 0);
    assert_eq!((letter.key.clone(), &*letter.reason.class), (key, "trigger"));
    ask(&world, PAGE, &letter.key, Intent::Edit(vec![(Name::column("views"), Value::Int(13))]));
    assert!(world.settle());
    assert_eq!(letters(&world)[0].attempts, 2);
    let edits = ["id", "views"].map(|name| (Name::column(name), Value::Int(15)));
    ask(&world, PAGE, &letter.key, Intent::Edit(edits.into()));
    assert!(world.settle());
    assert_eq!((letters(&world).len(), world.number(&page(15), "views")), (0, Some(15)));
}

#[test]
fn a_database_that_lost_a_landing_lost_its_letters_too_and_gets_them_again() {
    let mut world = World::new();
    world.write(&[put_firm(1, &[("code", 7)])]);
    assert!(world.settle());
    world.database.set_lagging(true);
    world.write(&[put_firm(1, &[("need", 5)])]);
    world.write(&[put_firm(2, &[("code", 9)])]);
    assert!(world.settle());
    assert_eq!(letters(&world)[0].key.row(), Some(firm(2)));
    world.database.fail_over();
    assert_eq!(letters(&world)[0].key.row(), Some(firm(1)), "the letters went back");
    world.write(&[put_firm(3, &[("need", 1)])]);
    assert!(world.settle());
    assert_eq!((letters(&world).len(), world.number(&firm(1), "code")), (1, Some(7)));
    assert_eq!(world.lander.progress().parked().count, 1);
}

#[test]
fn an_unknown_commit_of_letters_is_settled_by_the_take_over() {
    for failure in [Failure::UnknownCommitted, Failure::UnknownRolledBack] {
        let mut world = World::with(LanderSettings { refusals_max: 1, ..LanderSettings::default() });
        world.write(&[put_firm(1, &[("code", 7)])]);
        world.lander.progress().request_flush();
        world.turns();
        assert_eq!(letters(&world).len(), 1);
        // Behind a refusal come the probe and the landing.
        world.write(&[put_firm(2, &[("code", 8)])]);
        world.lander.progress().request_flush();
        while !world.lander.groups[1].isolates {
            world.lander.turn();
        }
        let database = world.database.primary.lock().clone();
        database.fail_next_landing(Failure::None);
        database.fail_next_landing(failure);
        assert!(world.settle());
        assert_eq!(letters(&world).len(), 2);
        assert_eq!(world.lander.progress().parked().count, 2);
    }
}

#[test]
fn when_most_is_refused_for_one_reason_the_group_is_held_and_lands_once_the_table_is_repaired() {
    let mut world = World::new();
    world.write(&[view(1)]);
    for n in 0..150 {
        world.write(&[put_firm(n, &[("code", n)])]);
    }
    world.lander.progress().request_flush();
    for _ in 0..30 {
        if let Turn::Wait { until: Some(until), .. } = world.turns() {
            world.clock.advance_to(until);
        }
    }
    world.turns();
    let (phase_now, error) = phase(&world, "firm");
    assert!(matches!(phase_now, Phase::Held { .. }), "{phase_now:?}");
    assert!(error.contains("150 rows") && error.contains("firm.need"), "{error}");
    assert_eq!((letters(&world).len(), world.watermark(FIRM)), (0, 0));
    assert_eq!(world.number(&page(1), "views"), Some(1), "other groups go on");
    // A person says that it is the rows after all.
    world.lander.progress().resume(Some("firm")).expect("the group is there");
    assert!(world.settle());
    assert_eq!((letters(&world).len(), world.watermark(FIRM)), (150, 150));
    assert_eq!(phase(&world, "firm").0, Phase::Idle);
    for n in 0..150 {
        world.write(&[put_firm(n, &[("need", 1)])]);
    }
    assert!(world.settle());
    assert_eq!((letters(&world).len(), world.number(&firm(149), "code")), (0, Some(149)));
}

/// Now and then a row is refused, over days, and all others are taken: that is no table at fault.
#[test]
fn rows_that_are_refused_now_and_then_hold_nobody_up() {
    let settings = LanderSettings { hold_rows_min: 3, refusals_max: 1, ..LanderSettings::default() };
    let mut world = World::with(settings);
    for n in 0..10 {
        world.write(&[put_firm(n, &[("code", n)])]);
        assert!(world.settle());
        assert_eq!(letters(&world).len() as i64, n + 1, "{:?}", phase(&world, "firm"));
        (0..5).for_each(|more| drop(world.write(&[put_firm(100 + 10 * n + more, &[("need", 1)])])));
        assert!(world.settle());
    }
}

#[test]
fn what_is_refused_counts_once_however_often_its_landing_fails() {
    let settings = LanderSettings { hold_rows_min: 10, refusals_max: 1, ..LanderSettings::default() };
    let mut world = World::with(settings);
    for n in 0..6 {
        world.write(&[put_firm(n, &[("code", n)])]);
    }
    world.lander.progress().request_flush();
    while !world.lander.groups[1].isolates {
        world.lander.turn();
    }
    let database = world.database.primary.lock().clone();
    for _ in 0..3 {
        // The probe is taken, and the landing without the refused rows meets a lock.
        database.fail_next_landing(Failure::None);
        database.fail_next_landing(Failure::Busy);
    }
    assert!(world.settle(), "{:?}", phase(&world, "firm"));
    assert_eq!(letters(&world).len(), 6);
}

#[test]
fn a_held_group_goes_on_by_itself_when_the_database_takes_its_rows() {
    let mut world = World::new();
    world.database.primary.lock().set_poison(Some(Arc::new(|_| Some("no such column: x".into()))));
    for n in 0..150 {
        world.write(&[view(n)]);
    }
    for _ in 0..40 {
        if let Turn::Wait { until: Some(until), .. } = world.turns() {
            world.clock.advance_to(until);
        }
    }
    assert!(matches!(phase(&world, "page").0, Phase::Held { .. }));
    world.database.primary.lock().set_poison(None);
    assert!(world.settle());
    assert_eq!((letters(&world).len(), world.number(&page(149), "views")), (0, Some(1)));
}

#[test]
fn at_the_bound_nothing_is_dropped_and_nothing_more_is_parked() {
    let mut world = World::with(LanderSettings { dead_letters_max: 2, ..LanderSettings::default() });
    for n in 0..3 {
        world.write(&[put_firm(n, &[("code", n)])]);
    }
    world.write(&[put_firm(9, &[("need", 1)])]);
    for _ in 0..30 {
        if let Turn::Wait { until: Some(until), .. } = world.turns() {
            world.clock.advance_to(until);
        }
    }
    let (phase_now, error) = phase(&world, "firm");
    assert!(matches!(phase_now, Phase::Held { .. }), "{phase_now:?}");
    assert!(error.contains("dead-letters-max"), "{error}");
    assert_eq!((letters(&world).len(), world.log.owed_records()), (0, 4));
    world.lander.progress().resume(None).expect("all groups");
    assert!(world.settle());
    assert_eq!((letters(&world).len(), world.number(&firm(9), "need")), (3, Some(1)));
}

/// The table is not in the catalogue any more, and its changes had not landed.
#[test]
fn rows_of_a_table_that_is_gone_are_parked_and_hold_up_nobody() {
    let mut world = World::new();
    let lane = PAGE;
    for n in 0..200 {
        let row = RowKey::of_table("gone", &[Value::Int(n)]);
        let change = Change::put([(Name::column("x"), Value::Int(n))]);
        world.write(&[(lane, LoggedChange::Row { row, change })]);
    }
    world.write(&[put_firm(1, &[("need", 1)])]);
    world.groups.retain(|group| group.name != "page");
    world.lander = world.reopen().expect("a start without the table");
    assert!(world.settle(), "{:?}", world.lander.progress().groups());
    assert_eq!((letters(&world).len(), world.number(&firm(1), "need")), (200, Some(1)));
    assert_eq!(&*letters(&world)[0].reason.class, "no-such-table");
}

#[test]
fn nothing_is_parked_while_the_database_takes_no_landing_at_all() {
    let mut world = World::with(LanderSettings { refusals_max: 1, ..LanderSettings::default() });
    world.write(&[view(1)]);
    for _ in 0..60 {
        world.database.primary.lock().fail_next_landing(Failure::Refused("landfall_lane".into()));
    }
    world.lander.progress().request_flush();
    for _ in 0..20 {
        if let Turn::Wait { until: Some(until), .. } = world.turns() {
            world.clock.advance_to(until);
        }
    }
    assert_eq!((letters(&world).len(), world.watermark(PAGE)), (0, 0));
    assert!(world.clock_is_past(Duration::from_secs(1)), "it waits between the attempts");
    assert!(world.settle());
    assert_eq!(letters(&world).len(), 0);
}
