//! The spill file: made while a group is paused, taken over by the next one, read at a start, and gone when all of it has landed.
//! They never wait for a size: a spill is there when `status` says so.

use landfall::simulation::strict_disk::Keep;

use super::super::Scenario;
use super::super::setup::{narrow, parent, put, set};
use crate::core::commands::Command;
use crate::core::world::Crash;
use crate::core::world::scripted::Script;

/// Longer than it takes until a database that lost commits is noticed.
const RETENTION_MS: u64 = 60_000;
/// After a failure none is tried for so long.
const SPILL_PAUSE_MS: u64 = 61_000;
/// Upkeeps until a spill is done.
const ROUNDS_MAX: u32 = 40;

pub(super) fn all() -> Vec<Scenario> {
    [spilling(), troubles()].into_iter().flatten().collect()
}

fn spilling() -> Vec<Scenario> {
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
        Scenario {
            set_up: narrow,
            before: stuck,
            reaches: &["a paused group's records were spilled"],
            ..Scenario::new(
                "spill-while-written",
                "others write and the log rolls over in the middle of a spill",
                spill_while_written,
            )
        },
    ]
}

/// What goes wrong with a spill file, or with the database that is to have what is in it.
fn troubles() -> Vec<Scenario> {
    vec![
        Scenario {
            // What has landed is kept for a while, in the segments and in the spill file.
            set_up: |setup| {
                narrow(setup);
                setup.log.retention_ms = RETENTION_MS;
            },
            before: |script| {
                spilled(script);
                script.wait(RETENTION_MS);
                others(script, 1);
                script.upkeep();
            },
            reaches: &["the database lost commits", "a lane was rewound", "the spill file was needed again"],
            ..Scenario::new(
                "spill-and-failover",
                "what has landed from the spill file is lost in the database, and lands once more",
                spill_and_failover,
            )
        },
        Scenario {
            set_up: narrow,
            before: stuck,
            reaches: &["the disk had no room for a spill file", "a paused group's records were spilled"],
            ..Scenario::new(
                "spill-on-a-full-disk",
                "a spill without room is given up, and done when there is some",
                spill_on_a_full_disk,
            )
        },
        Scenario {
            set_up: narrow,
            before: |script| {
                spilled(script);
                script.pause(Some("page"), false);
                script.land();
                script.unit(&[put(2, "owed"), set(0, "owed")]);
                script.end(Crash::Kill);
                script.damage_spilled("stuck too");
            },
            person: Script::repair,
            reaches: &["a record was damaged", "a log was repaired"],
            ..Scenario::new(
                "spill-repair",
                "damage of what has landed from a spill file is repaired without a loss",
                |script| {
                    script.repair();
                    script.start();
                    script.reached("the spill file went", script.spilled_bytes() == 0);
                    script.unit(&[put(1, "behind")]);
                    script.land();
                },
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

fn spill_while_written(script: &Script) {
    for number in 0..6u64 {
        script.upkeep();
        script.unit(&[set(number % 2, &(40 + number).to_string().repeat(900))]);
        script.turns(3);
        script.unit(&[put(1 + number % 2, &number.to_string())]);
    }
    script.reached("a paused group's records were spilled", script.spilled_bytes() > 0);
    script.pause(Some("page"), false);
    script.land();
}

fn spill_and_failover(script: &Script) {
    script.unit(&[put(1, "behind")]);
    script.pause(Some("page"), false);
    script.land();
    script.go_back(1);
    script.unit(&[Command::Grow(1, 2)]);
    // Its connection is gone, and the next one tells what is missing.
    script.turns(1);
    script.wait(200);
    script.pause(Some("page"), true);
    script.turns(3);
    script.reached("the spill file was needed again", script.spilled_bytes() > 0 && script.owed() > 2);
    // No long writes now: a segment that finds no room costs the past.
    script.upkeep();
    script.unit(&[set(0, "beside")]);
    script.pause(Some("page"), false);
    script.land();
    script.upkeep();
    script.unit(&[Command::Read("page", 1)]);
}

fn spill_on_a_full_disk(script: &Script) {
    script.set_full(true);
    for _ in 0..6 {
        script.upkeep();
    }
    script.reached("the disk had no room for a spill file", script.spilled_bytes() == 0 && script.is_full());
    script.unit(&[put(2, "beside")]);
    script.set_full(false);
    script.wait(SPILL_PAUSE_MS);
    until_spilled(script, 0);
    script.reached("a paused group's records were spilled", script.spilled_bytes() > 0);
    script.unit(&[put(1, "behind")]);
    script.pause(Some("page"), false);
    script.land();
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
