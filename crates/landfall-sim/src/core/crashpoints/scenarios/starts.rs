//! Starts and closes: the first one, with and without a backlog, with other lanes, other tables, an older database.
//! A start is refused in none of them.

use super::super::Scenario;
use super::super::setup::{child, parent, put, reading, set};
use crate::core::commands::Command;
use crate::core::database::OwnTables;
use crate::core::world::Crash;
use crate::core::world::scripted::Script;

pub(super) fn all() -> Vec<Scenario> {
    [starts(), alone(), lanes(), tables(), closes()].into_iter().flatten().collect()
}

fn starts() -> Vec<Scenario> {
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
                leave_a_backlog(script);
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

/// The database is away when the process starts.
fn alone() -> Vec<Scenario> {
    vec![
        Scenario {
            before: |script| {
                leave_a_backlog(script);
                script.end(Crash::Kill);
                script.set_database_down(true);
            },
            reaches: &[
                "a start without the database",
                "the database was met after a start without it",
                "a lane passed a gap between records",
            ],
            ..Scenario::new(
                "start-without-database",
                "starts without the database take writes, which land when it is back",
                |script| {
                    script.start();
                    script.unit(&[set(0, "away"), put(1, "away")]);
                    script.end(Crash::Kill);
                    script.start();
                    script.unit(&[set(1, "away")]);
                    script.set_database_down(false);
                    script.land();
                },
            )
        },
        Scenario {
            before: |script| {
                script.hide_tables(&["account", "reading"]);
                leave_a_backlog(script);
                script.end(Crash::Kill);
                script.set_database_down(true);
                script.hide_tables(&[]);
            },
            reaches: &["an outdated engine was opened anew"],
            ..Scenario::new(
                "tables-changed-while-away",
                "the database comes back with other tables than the start knew",
                |script| {
                    script.start();
                    script.unit(&[put(1, "away")]);
                    script.set_database_down(false);
                    script.land();
                    script.unit(&[Command::Account(1, "e1".into(), "new".into()), reading("new")]);
                    script.land();
                },
            )
        },
    ]
}

/// Other lanes than the log has.
fn lanes() -> Vec<Scenario> {
    vec![
        Scenario {
            before: |script| {
                leave_a_backlog(script);
                script.end(Crash::Kill);
                script.set_lanes(3);
            },
            ..Scenario::new("more-lanes", "more lanes are added behind a backlog", start_and_write)
        },
        Scenario {
            set_up: |setup| setup.settings.lanes = 3,
            before: |script| {
                leave_a_backlog(script);
                script.end(Crash::Kill);
                script.set_lanes(1);
            },
            ..Scenario::new(
                "fewer-lanes",
                "lanes are retired, and land before anything else",
                start_and_write,
            )
        },
        Scenario {
            before: |script| {
                leave_a_backlog(script);
                script.end(Crash::Kill);
                script.set_lanes(3);
                script.start();
                script.unit(&[set(0, "moved"), set(1, "moved"), put(1, "moved")]);
                script.end(Crash::Kill);
                script.set_lanes(1);
            },
            ..Scenario::new(
                "lanes-and-back",
                "rows have left a lane and come back, and it owes them older changes",
                start_and_write,
            )
        },
    ]
}

/// Other tables than before, the application's or Landfall's own.
fn tables() -> Vec<Scenario> {
    vec![
        Scenario {
            before: |script| {
                script.hide_tables(&["account", "reading"]);
                leave_a_backlog(script);
            },
            ..Scenario::new(
                "new-table",
                "the tables are read again while something is owed, and there are new ones",
                |script| {
                    script.hide_tables(&[]);
                    script.set_database_down(true);
                    script.close(5);
                    script.set_database_down(false);
                    script.start();
                    script.unit(&[
                        Command::Account(1, "e1".into(), "new".into()),
                        reading("new"),
                        put(1, "new"),
                    ]);
                    script.land();
                },
            )
        },
        Scenario {
            before: |script| {
                leave_a_backlog(script);
                script.end(Crash::Kill);
                script.own_tables(OwnTables::behind(3));
                script.forget_note("database");
            },
            reaches: &["a note is gone"],
            ..Scenario::new("upgrade", "a database with the tables of the first version", start_and_write)
        },
        Scenario {
            before: |script| {
                leave_a_backlog(script);
                script.end(Crash::Kill);
                script.own_tables(OwnTables::behind(2));
            },
            ..Scenario::new("upgrade-letters", "a database without dead letters", start_and_write)
        },
    ]
}

fn closes() -> Vec<Scenario> {
    vec![
        Scenario {
            before: leave_a_backlog,
            ..Scenario::new("close-with-backlog", "a close lands what is owed", |script| {
                script.close(5_000);
                script.start();
            })
        },
        Scenario {
            before: leave_a_backlog,
            reaches: &["a close left a backlog"],
            ..Scenario::new(
                "close-at-a-deadline",
                "a close that cannot land leaves what is owed to the next start",
                |script| {
                    script.set_database_down(true);
                    script.close(100);
                    script.set_database_down(false);
                    script.start();
                    script.land();
                },
            )
        },
        Scenario {
            before: leave_a_backlog,
            ..Scenario::new("reload", "closed and opened again at once", |script| {
                script.close(5_000);
                script.start();
                script.unit(&[set(0, "behind"), put(1, "behind")]);
                script.close(5_000);
                script.start();
            })
        },
    ]
}

fn leave_a_backlog(script: &Script) {
    script.start();
    script.unit(&[set(0, "landed"), put(1, "landed")]);
    script.land();
    script.unit(&[set(0, "owed"), put(1, "owed"), parent(1, "owed"), child(1, 1, "owed")]);
    script.unit(&[set(1, "owed"), Command::Grow(1, 2)]);
}

fn start_and_write(script: &Script) {
    script.start();
    script.unit(&[set(0, "behind"), set(1, "behind"), put(1, "behind")]);
    script.land();
}
