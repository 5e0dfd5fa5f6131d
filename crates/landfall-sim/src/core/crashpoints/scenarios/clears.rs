//! A clear of all keys: logged, refused, landed, found by a start, in one lane and in several, and what is read meanwhile.
//! What was written behind it stays, whatever happens; rows of tables are there to show that they stay too.

use landfall::model::RowKey;

use super::super::Scenario;
use super::super::setup::{put, set};
use crate::core::commands::Command;
use crate::core::database::Trouble;
use crate::core::swarm::Setup;
use crate::core::world::Crash;
use crate::core::world::scripted::Script;

/// The group of the keys.
const KEYS: &str = "key-value";

pub(super) fn all() -> Vec<Scenario> {
    [landings(), starts(), troubles()].into_iter().flatten().collect()
}

fn two_lanes(setup: &mut Setup) {
    setup.settings.lanes = 2;
}

fn landings() -> Vec<Scenario> {
    vec![
        Scenario {
            set_up: two_lanes,
            before: keys,
            reaches: &["all keys were cleared", "a clear was landing", "several lanes landed together"],
            ..Scenario::new("clear", "all keys are cleared in two lanes, landed and pending ones", clear)
        },
        Scenario {
            set_up: |setup| setup.batch_records_max = 1,
            before: keys,
            reaches: &["a clear was landing"],
            ..Scenario::new("clear-twice", "two clears land with keys before, between and behind", twice)
        },
        Scenario {
            set_up: two_lanes,
            before: keys,
            reaches: &["a load was older than a clear"],
            ..Scenario::new(
                "clear-and-load",
                "keys are loaded from a database that still has them",
                clear_and_load,
            )
        },
        Scenario {
            before: |script| {
                keys(script);
                script.refuse(Some(&RowKey::of_key(b"s1")));
                script.unit(&[set(1, "refused"), set(2, "landed")]);
                script.land();
            },
            reaches: &["a row was parked", "a clear took dead letters along"],
            ..Scenario::new("clear-of-letters", "a clear takes the dead letters of keys along", |script| {
                script.clear();
                script.unit(&[Command::Get(1), Command::SetField(0, 1, "behind".into())]);
                script.land();
                script.reached("nothing is parked", script.letters() == 0);
                script.refuse(None);
                script.unit(&[Command::Increment(1)]);
                script.land();
            })
        },
    ]
}

fn starts() -> Vec<Scenario> {
    vec![
        Scenario {
            set_up: two_lanes,
            before: |script| {
                keys(script);
                script.clear();
                script.unit(&[set(0, "behind"), put(1, "behind")]);
                script.end(Crash::Kill);
            },
            reaches: &["a clear was landing", "a load was older than a clear"],
            ..Scenario::new("clear-and-start", "a start finds a clear that has not landed", |script| {
                script.start();
                script.evict();
                script.unit(&[Command::Get(0), Command::Get(1), Command::Fields(0)]);
                script.unit(&[Command::Increment(0)]);
                script.land();
            })
        },
        Scenario {
            before: |script| {
                keys(script);
                script.clear();
                script.unit(&[set(0, "behind")]);
                script.end(Crash::Kill);
                script.set_lanes(3);
            },
            reaches: &["a clear was landing"],
            ..Scenario::new(
                "clear-and-more-lanes",
                "keys have other lanes than the clear that is owed",
                |script| {
                    script.start();
                    script.evict();
                    script.unit(&[Command::Get(0), Command::Get(1), Command::Fields(0)]);
                    script.unit(&[set(1, "moved"), Command::SetField(0, 2, "moved".into())]);
                    script.clear();
                    script.unit(&[Command::Increment(1)]);
                    script.land();
                },
            )
        },
        Scenario {
            before: keys,
            reaches: &["a clear was landing"],
            ..Scenario::new(
                "clear-and-close",
                "a clear is left behind by a close, and lands later",
                |script| {
                    script.set_database_down(true);
                    script.clear();
                    script.unit(&[set(0, "behind")]);
                    script.close(0);
                    script.set_database_down(false);
                    script.start();
                    script.unit(&[Command::Get(1), Command::Get(0)]);
                    script.land();
                },
            )
        },
    ]
}

fn troubles() -> Vec<Scenario> {
    vec![
        Scenario {
            before: keys,
            reaches: &["the database refused a clear", "a group was held"],
            ..Scenario::new(
                "clear-refused",
                "a database that refuses a clear holds it, and parks nothing",
                refused,
            )
        },
        Scenario {
            set_up: two_lanes,
            before: keys,
            reaches: &["the database lost commits", "a lane was rewound"],
            ..Scenario::new("clear-and-failover", "the database goes back to before a clear", |script| {
                script.unit(&[set(0, "owed")]);
                script.clear();
                script.land();
                script.unit(&[set(1, "landed")]);
                script.land();
                script.evict();
                script.go_back(2);
                script.unit(&[Command::Get(0), Command::Get(1)]);
                script.wait(300);
                script.clear();
                script.land();
                script.unit(&[Command::Increment(0), Command::Get(1)]);
            })
        },
        Scenario {
            set_up: two_lanes,
            before: keys,
            ..Scenario::new("clear-while-paused", "keys are cleared while nothing of them lands", |script| {
                script.pause(Some(KEYS), true);
                script.unit(&[set(1, "a"), put(1, "a")]);
                script.clear();
                script.unit(&[set(2, "b"), put(2, "b")]);
                script.turns(5);
                script.clear();
                script.unit(&[Command::Get(2), Command::Increment(0)]);
                script.pause(Some(KEYS), false);
                script.land();
            })
        },
        Scenario {
            set_up: two_lanes,
            before: keys,
            reaches: &[
                "a transaction in flight was rolled back",
                "a transaction in flight was committed late",
            ],
            ..Scenario::new(
                "clear-in-flight",
                "a clear whose COMMIT nobody has seen, ended by the take-over",
                |script| {
                    for key in 0..4u64 {
                        script.unit(&[set(key % 3, "a"), put(1, "a")]);
                        script.clear();
                        script.turns(1);
                        script.trouble_next(Trouble::CommitInFlight);
                        script.unit(&[set(key % 3, "b")]);
                        script.land();
                    }
                },
            )
        },
    ]
}

/// Keys that have landed, and a row.
fn keys(script: &Script) {
    script.start();
    script.unit(&[
        set(0, "landed"),
        set(1, "landed"),
        Command::SetField(0, 1, "landed".into()),
        put(1, "landed"),
    ]);
    script.land();
}

fn clear(script: &Script) {
    script.unit(&[set(0, "pending"), set(2, "pending"), put(2, "pending")]);
    script.clear();
    script.unit(&[Command::Get(0), Command::Get(1), Command::Fields(0)]);
    script.unit(&[set(1, "behind"), Command::SetField(0, 2, "behind".into())]);
    script.land();
    script.evict();
    script.unit(&[Command::Get(0), Command::Get(1), Command::Fields(0), Command::Read("page", 2)]);
}

fn twice(script: &Script) {
    script.unit(&[set(0, "before")]);
    script.clear();
    script.unit(&[set(0, "between"), Command::Increment(1)]);
    script.turns(3);
    script.clear();
    script.unit(&[Command::Increment(1), set(2, "behind")]);
    script.land();
}

fn clear_and_load(script: &Script) {
    script.clear();
    script.evict();
    script.unit(&[Command::Get(0), Command::Fields(0)]);
    script.unit(&[Command::Increment(0), Command::SetField(0, 2, "behind".into())]);
    script.turns(2);
    script.evict();
    script.unit(&[Command::Get(1), Command::Get(0), Command::Fields(0)]);
    script.land();
}

/// The row whose refusal has the clear refused too.
fn refused(script: &Script) {
    script.refuse(Some(&RowKey::of_key(b"s2")));
    script.clear();
    script.unit(&[set(1, "behind"), put(3, "beside")]);
    script.turns(8);
    script.reached("a group was held", script.owed() > 0 && script.letters() == 0);
    script.unit(&[Command::Get(0), Command::Get(1)]);
    script.pause(Some(KEYS), false);
    script.wait(200);
    script.turns(8);
    script.refuse(None);
    script.wait(200);
    script.land();
}
