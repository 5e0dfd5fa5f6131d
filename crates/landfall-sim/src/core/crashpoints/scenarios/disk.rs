//! The log in trouble: failed writes and syncs, a full disk, torn ends, and the starts behind them.
//! After a failed sync nothing is ever written to that log by the same process again.

use landfall::simulation::strict_disk::{Keep, Step};

use super::super::Scenario;
use super::super::setup::{everysec, put, set};
use crate::core::faults::StepKind;
use crate::core::world::Crash;
use crate::core::world::scripted::Script;

pub(super) fn all() -> Vec<Scenario> {
    [trouble(), ends()].into_iter().flatten().collect()
}

fn trouble() -> Vec<Scenario> {
    vec![
        Scenario {
            reaches: &["a sync failed"],
            ..Scenario::new(
                "poisoned-by-a-sync",
                "a sync fails; the next process goes on",
                poisoned_by_a_sync,
            )
        },
        Scenario {
            reaches: &["a write failed"],
            ..Scenario::new(
                "poisoned-by-a-write",
                "a write fails half way; the next process goes on",
                poisoned_by_a_write,
            )
        },
        Scenario {
            reaches: &["the log had no room"],
            ..Scenario::new(
                "full-disk",
                "the disk is full, what has landed makes room, and somebody gives room back",
                full_disk,
            )
        },
        Scenario {
            before: |script| {
                script.start();
                script.upkeep();
                script.unit(&[set(0, "a"), put(1, "a")]);
                script.end(Crash::Kill);
                script.set_full(true);
            },
            reaches: &["it started on a full disk"],
            ..Scenario::new(
                "start-on-a-full-disk",
                "the reserves let a process start and land on a full disk",
                start_on_a_full_disk,
            )
        },
    ]
}

fn ends() -> Vec<Scenario> {
    vec![
        Scenario {
            set_up: everysec,
            before: |script| {
                script.start();
                script.unit(&[set(0, "a")]);
                script.sync();
                write_much(script, 3);
                script.end(Crash::Power(Keep::Some));
            },
            reaches: &["a torn tail was cut"],
            ..Scenario::new(
                "torn-tail",
                "a start cuts an end that reached the disk in part, and keeps it aside",
                |script| {
                    script.start();
                    script.unit(&[set(0, "b")]);
                    script.land();
                },
            )
        },
        Scenario {
            before: |script| {
                script.start();
                script.unit(&[set(0, "a"), put(1, "a")]);
                script.end(Crash::Kill);
            },
            ..Scenario::new(
                "copied-segment",
                "each start copies a nearly empty segment and makes it void",
                copied_segment,
            )
        },
        Scenario {
            before: |script| {
                script.start();
                write_much(script, 5);
                script.end(Crash::Power(Keep::Nothing));
            },
            ..Scenario::new(
                "sealed-segment",
                "a start seals a segment at its mark and copies what is behind it",
                |script| {
                    script.start();
                    script.unit(&[set(0, "b")]);
                    script.end(Crash::Power(Keep::Everything));
                    script.start();
                    script.land();
                },
            )
        },
    ]
}

fn poisoned_by_a_sync(script: &Script) {
    script.unit(&[set(0, "a"), put(1, "a")]);
    script.fail_next(StepKind::Disk(Step::Sync));
    script.unit(&[set(0, "b")]);
    script.sync();
    script.reached("a sync failed", script.is_poisoned());
    script.unit(&[set(0, "refused")]);
    script.turns(3);
    script.end(Crash::Power(Keep::Nothing));
    script.start();
    script.unit(&[set(0, "c"), put(1, "c")]);
}

fn poisoned_by_a_write(script: &Script) {
    script.unit(&[set(0, "a")]);
    script.send(&[set(1, &"half".repeat(200))]);
    script.fail_next(StepKind::Disk(Step::Write));
    script.commit();
    script.reached("a write failed", script.is_poisoned());
    script.turns(3);
    script.end(Crash::Kill);
    script.start();
    script.unit(&[set(0, "b"), put(1, "b")]);
}

fn full_disk(script: &Script) {
    script.unit(&[set(0, "a")]);
    script.set_full(true);
    write_much(script, 6);
    script.reached("the log had no room", !script.has_room());
    script.turns(4);
    script.upkeep();
    script.set_full(false);
    script.upkeep();
    script.unit(&[set(0, "b"), put(1, "b")]);
    script.land();
}

fn start_on_a_full_disk(script: &Script) {
    script.start();
    script.reached("it started on a full disk", script.is_full());
    script.unit(&[set(0, "b")]);
    script.land();
    script.set_full(false);
    script.upkeep();
}

fn copied_segment(script: &Script) {
    for value in ["b", "c", "d"] {
        script.start();
        script.unit(&[set(0, value)]);
        script.end(Crash::Kill);
    }
    script.start();
}

/// So many records of which four fill a segment.
fn write_much(script: &Script, records: u64) {
    for number in 0..records {
        script.unit(&[set(number % 2, &number.to_string().repeat(450))]);
    }
}
