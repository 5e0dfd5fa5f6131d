//! The log at work: writes under each policy, roll-overs, letting go of segments, marks.
//! Its trouble is in `disk`.

use landfall::settings::Fsync;
use landfall::simulation::strict_disk::Keep;

use super::super::Scenario;
use super::super::setup::{child, everysec, forgetful, mapped, parent, put, reading, set};
use crate::core::swarm::Setup;
use crate::core::world::Crash;
use crate::core::world::scripted::Script;

pub(super) fn all() -> Vec<Scenario> {
    [writes(), segments()].into_iter().flatten().collect()
}

fn writes() -> Vec<Scenario> {
    let os = |setup: &mut Setup| setup.settings.fsync = Fsync::Os;
    vec![
        Scenario::new("write-and-land", "three writes, and they land", write_and_land),
        Scenario::new("group-commit", "one commit for several writes, and an answer for each", group_commit),
        Scenario {
            set_up: |setup| setup.settings.lanes = 3,
            reaches: &["a record of several lanes", "several lanes landed together"],
            ..Scenario::new(
                "several-lanes",
                "records of several lanes of a group, and of several groups",
                several_lanes,
            )
        },
        Scenario {
            set_up: everysec,
            ..Scenario::new(
                "everysec",
                "what was synced is there after a power cut, and the rest is a whole end",
                with_syncs,
            )
        },
        Scenario {
            set_up: mapped,
            ..Scenario::new("mapped", "the same with records that are put into files in memory", with_syncs)
        },
        Scenario { set_up: os, ..Scenario::new("os", "nobody syncs but the lander", without_syncs) },
        Scenario {
            reaches: &["a segment was begun"],
            ..Scenario::new("long-record", "a record that is longer than a segment", long_record)
        },
    ]
}

fn segments() -> Vec<Scenario> {
    vec![
        Scenario {
            reaches: &["a segment was begun"],
            ..Scenario::new(
                "roll-over",
                "a segment is full, and the next one begins in a prepared file",
                roll_over,
            )
        },
        Scenario {
            set_up: |setup| setup.log.zero_fill = false,
            reaches: &["a segment was begun"],
            ..Scenario::new(
                "roll-over-unprepared",
                "a segment is full, and no file is prepared",
                roll_over_unprepared,
            )
        },
        Scenario {
            set_up: everysec,
            reaches: &["several segments were not synced"],
            ..Scenario::new("several-roll-overs", "several segments wait for one sync", several_roll_overs)
        },
        Scenario {
            set_up: mapped,
            reaches: &["several segments were not synced"],
            ..Scenario::new(
                "mapped-roll-overs",
                "files in memory are full, and several segments wait for one sync",
                several_roll_overs,
            )
        },
        Scenario {
            set_up: forgetful,
            reaches: &["a segment was let go"],
            ..Scenario::new("trim", "landed segments are removed", trim)
        },
        Scenario {
            set_up: forgetful,
            reaches: &["a segment was let go"],
            ..Scenario::new(
                "trim-at-a-roll-over",
                "segments are let go when the youngest has just begun",
                trim_at_a_roll_over,
            )
        },
        Scenario {
            set_up: forgetful,
            reaches: &["a segment was let go", "a file was used again"],
            ..Scenario::new(
                "recycled-segment",
                "the file of a landed segment is used again",
                recycled_segment,
            )
        },
        Scenario {
            before: |script| {
                script.start();
                script.upkeep();
            },
            reaches: &["an idle log was marked"],
            ..Scenario::new("idle-mark", "a log with nothing to do marks what is durable", idle_mark)
        },
        Scenario {
            reaches: &["it was noted what has landed"],
            ..Scenario::new("landed-note", "it is noted now and then what has landed", landed_note)
        },
    ]
}

fn write_and_land(script: &Script) {
    script.unit(&[set(0, "a")]);
    script.unit(&[put(1, "a")]);
    script.unit(&[set(0, "b"), put(1, "b")]);
    script.land();
}

fn group_commit(script: &Script) {
    script.send(&[set(0, "a")]);
    script.send(&[put(1, "a"), reading("a")]);
    script.send(&[set(1, "a")]);
    script.commit();
    script.turns(2);
    script.send(&[set(0, "b")]);
    script.send(&[put(1, "b")]);
    script.commit();
}

fn several_lanes(script: &Script) {
    script.unit(&[set(0, "a"), set(1, "a"), set(2, "a")]);
    script.unit(&[put(1, "a"), put(2, "a"), parent(1, "a"), child(1, 1, "a")]);
    script.turns(3);
    script.unit(&[put(1, "b"), set(1, "b"), reading("b")]);
    script.unit(&[set(2, "b"), child(2, 1, "b")]);
    script.land();
}

fn with_syncs(script: &Script) {
    script.unit(&[set(0, "a"), put(1, "a")]);
    script.sync();
    script.unit(&[set(0, "b")]);
    script.turns(3);
    script.unit(&[put(1, "c"), set(1, "c")]);
    script.wait(250);
    script.unit(&[set(0, "d")]);
    script.end(Crash::Power(Keep::Some));
    script.start();
}

fn without_syncs(script: &Script) {
    script.unit(&[set(0, "a"), put(1, "a")]);
    script.unit(&[set(0, "b")]);
    script.land();
    script.unit(&[set(0, "c"), put(1, "c")]);
    script.end(Crash::Power(Keep::Nothing));
    script.start();
    script.unit(&[set(0, "d")]);
}

fn long_record(script: &Script) {
    script.unit(&[set(0, &"long".repeat(2_000)), put(1, "long")]);
    script.unit(&[set(1, "a")]);
    script.reached("a segment was begun", script.segments() > 1);
    script.land();
}

fn roll_over(script: &Script) {
    script.upkeep();
    fill_segments(script, 4);
    script.reached("a segment was begun", script.segments() > 1);
    script.land();
}

fn roll_over_unprepared(script: &Script) {
    fill_segments(script, 5);
    script.reached("a segment was begun", script.segments() > 1);
    script.upkeep();
}

fn several_roll_overs(script: &Script) {
    script.upkeep();
    fill_segments(script, 9);
    script.reached("several segments were not synced", script.segments() > 2);
    script.sync();
    fill_segments(script, 2);
    script.sync();
}

fn trim(script: &Script) {
    script.upkeep();
    fill_segments(script, 9);
    script.land();
    let before = script.segments();
    script.upkeep();
    script.reached("a segment was let go", script.segments() < before);
    script.unit(&[set(0, "behind")]);
}

fn trim_at_a_roll_over(script: &Script) {
    let mut let_go = false;
    for number in 0..5u64 {
        script.unit(&[set(number % 2, &number.to_string().repeat(700))]);
        script.turns(3);
        let before = script.segments();
        script.unit(&[put(1, &number.to_string().repeat(600))]);
        script.keep();
        script.upkeep();
        let_go |= script.segments() < before;
    }
    script.reached("a segment was let go", let_go);
    script.land();
}

fn recycled_segment(script: &Script) {
    fill_segments(script, 5);
    script.land();
    let before = script.segments();
    script.upkeep();
    script.reached("a segment was let go", script.segments() < before);
    fill_segments(script, 4);
    script.reached("a file was used again", script.segments() > 1);
    script.land();
    script.upkeep();
}

fn idle_mark(script: &Script) {
    script.unit(&[set(0, "a")]);
    script.unit(&[put(1, "a")]);
    script.wait(1_500);
    let before = script.steps();
    script.upkeep();
    script.reached("an idle log was marked", script.steps() >= before + 2);
    script.unit(&[set(0, "b")]);
}

fn landed_note(script: &Script) {
    script.unit(&[set(0, "a"), put(1, "a")]);
    script.land();
    script.wait(6_000);
    let before = script.steps();
    script.keep();
    script.reached("it was noted what has landed", script.steps() > before);
    script.unit(&[set(0, "b")]);
    script.end(Crash::Kill);
    script.start();
}

/// So many records of which three fill a segment.
fn fill_segments(script: &Script, records: u64) {
    for number in 0..records {
        script.unit(&[set(number % 2, &number.to_string().repeat(500))]);
    }
}
