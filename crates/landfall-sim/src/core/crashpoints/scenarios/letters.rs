//! What the database refuses: rows that are parked, heal, are tried again or given up, and groups that are held.
//! A parked row stays in the view, whatever happens.

use landfall::model::{Intent, RowKey, Value};

use super::super::Scenario;
use super::super::setup::{parent, put, reading, set};
use crate::core::commands::Command;
use crate::core::world::Crash;
use crate::core::world::scripted::Script;

pub(super) fn all() -> Vec<Scenario> {
    [parking(), deciding()].into_iter().flatten().collect()
}

fn parking() -> Vec<Scenario> {
    vec![
        Scenario {
            reaches: &["a row was refused", "refused rows were isolated", "a row was parked"],
            ..Scenario::new("park", "refused rows are found one by one and parked, the rest lands", park)
        },
        Scenario {
            before: |script| {
                park_one(script);
                script.end(Crash::Kill);
            },
            reaches: &["a row was parked"],
            ..Scenario::new("start-with-letters", "a start reads what is parked", |script| {
                script.start();
                script.unit(&[Command::Read("page", 1)]);
                script.unit(&[Command::Grow(1, 5), put(2, "behind")]);
                script.land();
            })
        },
        Scenario {
            before: park_one,
            reaches: &["a row was parked", "a parked row was healed"],
            ..Scenario::new(
                "heal",
                "a later write of a parked row is tried with it, and heals it",
                |script| {
                    script.unit(&[Command::Grow(1, 1)]);
                    script.land();
                    script.refuse(None);
                    script.unit(&[put(1, "healed"), set(0, "beside")]);
                    script.land();
                    script.reached("nothing is parked", script.letters() == 0);
                },
            )
        },
        Scenario {
            before: |script| {
                park_one(script);
                script.refuse(None);
                script.evict();
            },
            reaches: &["a row was parked"],
            ..Scenario::new("load-a-parked-row", "a read loads a row with its letter", |script| {
                script.unit(&[Command::Read("page", 1)]);
                script.unit(&[put(1, "b")]);
                script.evict();
                script.unit(&[Command::Read("page", 1)]);
                script.land();
                script.evict();
                script.unit(&[Command::Read("page", 1)]);
            })
        },
        Scenario {
            set_up: |setup| setup.settings.hold_rows_min = 1,
            reaches: &["a row was refused", "a group was held", "a row was parked"],
            ..Scenario::new("hold", "too much is refused: a group is held until a person resumes it", hold)
        },
    ]
}

fn deciding() -> Vec<Scenario> {
    vec![
        Scenario {
            before: park_one,
            reaches: &["a row was parked", "a parked row was healed", "nothing is parked"],
            ..Scenario::new("retry", "a person has letters tried again", |script| {
                script.decide(&Intent::Retry);
                script.land();
                script.refuse(None);
                script.decide(&Intent::Retry);
                script.land();
                script.reached("nothing is parked", script.letters() == 0);
            })
        },
        Scenario {
            before: park_one,
            reaches: &["a row was parked", "a parked row was healed", "nothing is parked"],
            ..Scenario::new("drop", "a person gives letters up", |script| {
                script.decide(&Intent::Drop);
                script.land();
                script.reached("nothing is parked", script.letters() == 0);
                script.refuse(None);
                script.unit(&[Command::Read("page", 1)]);
                script.unit(&[Command::Grow(1, 1)]);
                script.land();
            })
        },
    ]
}

fn page_one() -> RowKey {
    RowKey::of_table("page", &[Value::Int(1)])
}

fn park(script: &Script) {
    script.refuse(Some(&page_one()));
    script.unit(&[put(1, "refused"), put(2, "a"), put(3, "a"), set(0, "a")]);
    script.unit(&[Command::Grow(1, 2), parent(1, "a"), reading("a")]);
    script.land();
    script.unit(&[put(1, "refused again"), put(2, "b")]);
    script.land();
}

fn park_one(script: &Script) {
    script.start();
    script.unit(&[put(1, "landed"), put(2, "landed")]);
    script.land();
    script.refuse(Some(&page_one()));
    script.unit(&[put(1, "refused"), put(2, "b"), put(3, "b")]);
    script.land();
}

fn hold(script: &Script) {
    script.refuse(Some(&page_one()));
    script.unit(&[put(1, "refused")]);
    script.unit(&[set(0, "a")]);
    script.turns(8);
    script.reached("a group was held", script.owed() > 0 && script.letters() == 0);
    script.unit(&[Command::Grow(1, 2)]);
    script.pause(Some("page"), false);
    script.wait(200);
    script.land();
}
