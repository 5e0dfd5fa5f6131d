//! Landings and what the database does to them; reads that load; keys that expire.
//! What the database refuses is in `letters`.

use super::super::Scenario;
use super::super::setup::{child, parent, put, reading, set};
use crate::core::commands::Command;
use crate::core::database::Trouble;
use crate::core::world::scripted::Script;

pub(super) fn all() -> Vec<Scenario> {
    [takeovers(), lost_commits(), reads()].into_iter().flatten().collect()
}

fn takeovers() -> Vec<Scenario> {
    vec![
        Scenario {
            set_up: |setup| setup.settings.lanes = 2,
            ..Scenario::new("take-over", "connections break, and the lanes are taken over again", take_over)
        },
        Scenario {
            set_up: |setup| setup.batch_records_max = 1,
            ..Scenario::new("small-batches", "a cut is reached in several transactions", small_batches)
        },
        Scenario {
            reaches: &[
                "a transaction in flight was rolled back",
                "a transaction in flight was committed late",
            ],
            ..Scenario::new(
                "commit-in-flight",
                "a COMMIT whose end nobody has seen, ended by the take-over",
                commit_in_flight,
            )
        },
        Scenario {
            reaches: &["a paused owner was fenced"],
            ..Scenario::new(
                "paused-owner",
                "a landing that was paused goes on behind a take-over, and changes nothing",
                paused_owner,
            )
        },
        Scenario::new("pause-and-resume", "one group waits, the others land; a record of both waits", pause),
        Scenario::new("database-down", "nothing lands for a while, then everything", database_down),
    ]
}

fn lost_commits() -> Vec<Scenario> {
    vec![
        Scenario {
            before: land_three_times,
            reaches: &["the database lost commits", "a lane was rewound"],
            ..Scenario::new(
                "failover",
                "the database loses its last commits under a running process",
                failover,
            )
        },
        Scenario {
            before: land_three_times,
            reaches: &["the database lost commits", "a lane was rewound"],
            ..Scenario::new(
                "failover-at-rest",
                "the database loses its last commits while nothing is owed",
                |script| {
                    script.go_back(2);
                    script.wait(200);
                    script.turns(3);
                    script.wait(200);
                    script.land();
                    script.unit(&[set(0, "behind")]);
                },
            )
        },
        Scenario {
            before: |script| {
                land_three_times(script);
                script.set_database_down(true);
                script.unit(&[set(1, "owed"), put(2, "owed")]);
                script.close(0);
                script.set_database_down(false);
                script.go_back(2);
            },
            reaches: &["the database lost commits", "a lane was rewound"],
            ..Scenario::new(
                "failover-before-a-start",
                "the database loses its last commits while no process runs",
                |script| {
                    script.start();
                    script.unit(&[set(0, "behind")]);
                    script.land();
                },
            )
        },
    ]
}

fn reads() -> Vec<Scenario> {
    vec![
        Scenario {
            before: |script| {
                script.start();
                script.unit(&[put(1, "landed"), Command::SetField(0, 1, "landed".into()), set(0, "landed")]);
                script.land();
                script.evict();
            },
            ..Scenario::new(
                "evict-and-load",
                "rows leave the cache, and reads and writes load them",
                evict_and_load,
            )
        },
        Scenario {
            set_up: |setup| setup.batch_records_max = 1,
            before: |script| {
                script.start();
                script.unit(&[put(1, "landed"), Command::Grow(1, 3)]);
                script.land();
                script.evict();
            },
            ..Scenario::new(
                "load-in-a-landing",
                "a row is loaded while what it is owed is landing",
                load_in_a_landing,
            )
        },
        Scenario {
            reaches: &["a key expired"],
            ..Scenario::new("expiry", "keys expire, landed and not", expiry)
        },
    ]
}

fn take_over(script: &Script) {
    script.unit(&[set(0, "a"), set(1, "a"), put(1, "a")]);
    script.turns(2);
    script.drop_connections();
    script.unit(&[set(0, "b"), put(1, "b")]);
    script.land();
    script.drop_connections();
    script.unit(&[set(1, "c")]);
    script.land();
}

fn small_batches(script: &Script) {
    script.unit(&[set(0, "a")]);
    script.unit(&[set(1, "a"), put(1, "a")]);
    script.unit(&[set(0, "b")]);
    script.turns(2);
    script.unit(&[set(0, "c"), put(1, "c")]);
    script.land();
}

fn commit_in_flight(script: &Script) {
    for number in 0..4u64 {
        script.unit(&[set(0, &number.to_string()), Command::Grow(1, 2), reading(&number.to_string())]);
        script.trouble_next(Trouble::CommitInFlight);
        script.land();
    }
}

fn paused_owner(script: &Script) {
    script.unit(&[set(0, "a"), Command::Grow(1, 2), reading("a")]);
    script.trouble_next(Trouble::OwnerPaused);
    script.turns(2);
    script.unit(&[set(0, "b")]);
    script.wait(200);
    script.land();
    script.wake_owner();
    script.unit(&[set(0, "c")]);
    script.land();
}

fn pause(script: &Script) {
    script.pause(Some("page"), true);
    script.unit(&[put(1, "a")]);
    script.unit(&[set(0, "a")]);
    script.turns(5);
    script.unit(&[put(2, "b"), set(1, "b")]);
    script.unit(&[set(0, "c"), parent(1, "c"), child(1, 1, "c")]);
    script.turns(5);
    script.pause(Some("page"), false);
    script.land();
}

fn database_down(script: &Script) {
    script.set_database_down(true);
    script.unit(&[set(0, "a"), put(1, "a")]);
    script.turns(3);
    script.unit(&[Command::Grow(1, 2), reading("a")]);
    script.wait(300);
    script.turns(3);
    script.set_database_down(false);
    script.wait(1_000);
    script.land();
}

fn land_three_times(script: &Script) {
    script.start();
    for number in 0..3u64 {
        let value = number.to_string();
        script.unit(&[set(0, &value), Command::Grow(1, 2), reading(&value), parent(1, &value)]);
        script.land();
    }
}

fn failover(script: &Script) {
    script.unit(&[set(0, "owed"), Command::Grow(1, 2)]);
    script.go_back(2);
    script.unit(&[set(1, "behind")]);
    script.wait(300);
    script.land();
    script.unit(&[Command::Get(0), Command::Read("page", 1)]);
}

fn evict_and_load(script: &Script) {
    script.unit(&[Command::Read("page", 1)]);
    script.unit(&[Command::SetField(0, 2, "b".into()), Command::Fields(0)]);
    script.unit(&[Command::Delete(0)]);
    script.land();
    script.evict();
    script.unit(&[Command::Get(0), Command::Add(1, 1)]);
    script.land();
}

fn load_in_a_landing(script: &Script) {
    script.unit(&[Command::Grow(1, 2)]);
    script.unit(&[set(0, "a")]);
    script.unit(&[Command::Grow(1, 4)]);
    script.turns(1);
    script.send(&[Command::Read("page", 1)]);
    script.unit(&[put(1, "b")]);
    script.turns(1);
    script.unit(&[Command::Read("page", 1)]);
    script.land();
}

fn expiry(script: &Script) {
    script.unit(&[Command::Set(0, "a".into(), Some(100))]);
    script.land();
    script.unit(&[Command::Set(1, "b".into(), Some(100))]);
    script.wait(400);
    script.keep();
    script.commit_all();
    script.unit(&[set(1, "c"), Command::Get(0)]);
    script.land();
}
