//! The spill file: made while a group is paused, taken over by the next one, read at a start, and gone when all of it has landed.
//! They never wait for a size: a spill is there when `status` says so.

use landfall::simulation::strict_disk::Keep;

use super::super::Scenario;
use super::super::setup::{narrow, parent, put, set};
use crate::core::world::Crash;
use crate::core::world::scripted::Script;

/// Upkeeps until a spill is done.
const ROUNDS_MAX: u32 = 40;

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            set_up: narrow,
            before: stuck,
            reaches: &["a paused group's records were spilled", "segments behind a spill were let go"],
            ..Scenario::new(
                "spill",
                "what only a paused group needs of the log is copied, and the log goes",
                spill,
            )
        },
        Scenario {
            set_up: narrow,
            before: spilled,
            reaches: &["it started with a spill file"],
            ..Scenario::new(
                "spill-and-start",
                "a start reads the spill file, and what is in it lands",
                spill_and_start,
            )
        },
        Scenario {
            set_up: narrow,
            before: spilled,
            reaches: &["the spill file went"],
            ..Scenario::new("spill-and-land", "the group lands, and the spill file goes", spill_and_land)
        },
        Scenario {
            set_up: narrow,
            before: spilled,
            reaches: &["a spill file took the place of another"],
            ..Scenario::new(
                "spill-again",
                "the next spill file takes over what is owed of the one before",
                spill_again,
            )
        },
    ]
}

/// A paused group owes two records; the others write much, and land.
fn stuck(script: &Script) {
    script.start();
    script.upkeep();
    script.unit(&[put(3, "landed")]);
    script.land();
    script.pause(Some("page"), true);
    script.unit(&[put(1, "stuck")]);
    script.unit(&[put(2, "stuck"), put(1, "stuck too")]);
    others(script, 15);
}

/// The same, and it is spilled.
fn spilled(script: &Script) {
    stuck(script);
    until_spilled(script, 0);
    script.upkeep();
}

/// So many long records, which land.
fn others(script: &Script, records: u64) {
    for number in 0..records {
        script.unit(&[set(number % 2, &(10 + number).to_string().repeat(900))]);
        script.turns(5);
        script.keep();
    }
}

/// Upkeeps until the spill file is another one than that of so many bytes.
fn until_spilled(script: &Script, before: u64) {
    for _ in 0..ROUNDS_MAX {
        if script.is_over() || script.spilled_bytes() != before {
            break;
        }
        script.upkeep();
    }
}

fn spill(script: &Script) {
    let segments = script.segments();
    until_spilled(script, 0);
    script.reached("a paused group's records were spilled", script.spilled_bytes() > 0);
    script.upkeep();
    script.reached("segments behind a spill were let go", script.segments() < segments);
    script.unit(&[put(2, "behind"), set(0, "behind")]);
    script.pause(Some("page"), false);
    script.land();
}

fn spill_and_start(script: &Script) {
    script.unit(&[put(1, "behind"), parent(1, "behind")]);
    script.end(Crash::Power(Keep::Some));
    script.start();
    script.reached("it started with a spill file", script.spilled_bytes() > 0);
    script.upkeep();
    script.land();
    script.upkeep();
}

fn spill_and_land(script: &Script) {
    script.unit(&[put(1, "behind")]);
    script.pause(Some("page"), false);
    script.land();
    let before = script.spilled_bytes();
    script.upkeep();
    script.reached("the spill file went", before > 0 && script.spilled_bytes() == 0);
    script.unit(&[put(2, "again"), set(0, "again")]);
}

fn spill_again(script: &Script) {
    script.unit(&[put(2, "again")]);
    others(script, 12);
    let before = script.spilled_bytes();
    until_spilled(script, before);
    script.reached("a spill file took the place of another", before > 0 && script.spilled_bytes() > before);
    script.upkeep();
    script.unit(&[put(1, "behind")]);
    script.end(Crash::Kill);
    script.start();
    script.land();
}
