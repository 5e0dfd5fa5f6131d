//! Starts: the first one, one after a close, one that finds a backlog.
//! A start is refused in none of them.

use super::super::Scenario;
use super::super::setup::{child, parent, put, set};
use crate::core::database::OwnTables;
use crate::core::world::Crash;

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            before: |script| script.own_tables(OwnTables::behind(4)),
            ..Scenario::new(
                "first-start",
                "an empty disk and an empty database; the first write lands",
                |script| {
                    script.start();
                    script.unit(&[set(0, "first"), put(1, "first")]);
                    script.land();
                },
            )
        },
        Scenario {
            before: |script| {
                script.start();
                script.unit(&[set(0, "before")]);
                script.land();
                script.close(1_000);
            },
            ..Scenario::new("start-again", "a start after a close in order", |script| {
                script.start();
                script.unit(&[set(0, "again")]);
            })
        },
        Scenario {
            before: |script| {
                script.start();
                script.unit(&[set(0, "landed"), put(1, "landed")]);
                script.land();
                script.unit(&[set(0, "owed"), put(1, "owed"), parent(1, "owed"), child(1, 1, "owed")]);
                script.unit(&[set(1, "owed")]);
                script.end(Crash::Kill);
            },
            reaches: &["a record of several lanes"],
            ..Scenario::new(
                "start-with-backlog",
                "a start after a kill finds what has not landed",
                |script| {
                    script.start();
                    script.unit(&[set(0, "behind")]);
                    script.land();
                },
            )
        },
    ]
}
