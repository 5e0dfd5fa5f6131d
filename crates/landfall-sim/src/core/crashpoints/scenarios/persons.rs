//! Where a person has to decide: a lost volume, another copy, a database from too far back, a damaged log.
//! Nothing is lost here that is not declared, and a crash in the middle of a decision leaves it to be made again.

use landfall::model::IncidentKind;

use super::super::Scenario;
use super::super::setup::{forgetful, put, reading, set};
use crate::core::commands::Command;
use crate::core::world::Crash;
use crate::core::world::scripted::Script;

pub(super) fn all() -> Vec<Scenario> {
    [adoptions(), older_logs(), repairs()].into_iter().flatten().collect()
}

fn adoptions() -> Vec<Scenario> {
    vec![
        Scenario {
            before: |script| {
                write_and_land(script);
                script.unit(&[set(0, "lost")]);
                script.lose_volume();
            },
            person: Script::adopt,
            incidents: (&[IncidentKind::Adopted], &[]),
            reaches: &["somebody adopted"],
            ..Scenario::new("adopt-after-a-lost-volume", "a new log takes the lanes of a lost one", adopt)
        },
        Scenario {
            before: |script| {
                write_and_land(script);
                script.unit(&[set(0, "owed"), put(1, "owed")]);
                script.end(Crash::Kill);
                script.take_away();
            },
            person: Script::adopt,
            incidents: (&[IncidentKind::Adopted], &[]),
            reaches: &["somebody adopted"],
            ..Scenario::new("adopt-from-a-copy", "lanes that another copy took over are taken back", adopt)
        },
        Scenario {
            before: write_and_land,
            person: Script::adopt,
            incidents: (&[], &[IncidentKind::Fenced, IncidentKind::Adopted]),
            reaches: &["somebody adopted"],
            ..Scenario::new(
                "fenced",
                "another copy takes the lanes of a running process: it stops, and a person decides",
                fenced,
            )
        },
        Scenario {
            set_up: forgetful,
            before: |script| {
                script.start();
                for number in 0..4u64 {
                    write_much(script, number);
                    script.land();
                    script.upkeep();
                }
                script.go_back_too_far(3);
            },
            person: Script::adopt,
            incidents: (&[IncidentKind::Adopted], &[]),
            reaches: &["the database lost commits", "the log does not reach so far", "somebody adopted"],
            ..Scenario::new("adopt-a-restored-database", "a database from before what the log keeps", adopt)
        },
        Scenario {
            before: |script| {
                write_and_land(script);
                script.lose_volume();
                script.adopt();
                script.start();
            },
            person: Script::adopt,
            incidents: (&[IncidentKind::Adopted], &[]),
            ..Scenario::new("acknowledge", "a person acknowledges incidents", acknowledge)
        },
    ]
}

fn older_logs() -> Vec<Scenario> {
    vec![
        Scenario {
            before: |script| {
                write_and_land(script);
                script.go_back_behind(|script| {
                    script.unit(&[set(0, "landed"), Command::Grow(1, 2), reading("more")]);
                    script.land();
                    script.unit(&[set(0, "lost"), put(2, "lost")]);
                });
            },
            incidents: (&[IncidentKind::LogBehind], &[]),
            reaches: &["a log went on behind a gap"],
            ..Scenario::new(
                "log-behind",
                "a volume that went back: the log goes on behind where the database is",
                start_and_write,
            )
        },
        Scenario {
            before: |script| {
                write_and_land(script);
                script.go_back_behind(|script| {
                    script.close(1_000);
                    script.start();
                    script.unit(&[set(0, "landed"), Command::Grow(1, 2), reading("more")]);
                    script.land();
                    script.unit(&[set(0, "lost"), put(2, "lost")]);
                });
            },
            person: Script::adopt,
            incidents: (&[IncidentKind::Adopted, IncidentKind::LogBehind], &[]),
            reaches: &["somebody adopted", "a log went on behind a gap"],
            ..Scenario::new(
                "restored-directory",
                "a data directory restored from before the last start",
                adopt,
            )
        },
    ]
}

fn repairs() -> Vec<Scenario> {
    vec![
        Scenario {
            before: |script| {
                script.start();
                for number in 0..3u64 {
                    write_much(script, number);
                }
                script.land();
                script.unit(&[set(0, "owed"), put(1, "owed")]);
                script.end(Crash::Kill);
                script.damage(&"0".repeat(400));
            },
            person: Script::repair,
            reaches: &["a record was damaged", "a log was repaired"],
            ..Scenario::new("repair", "damage of what has landed is repaired without a loss", |script| {
                script.repair();
                script.start();
                script.land();
            })
        },
        Scenario {
            before: |script| {
                write_and_land(script);
                script.close(1_000);
                script.start();
                script.set_database_down(true);
                script.unit(&[set(0, &"lost".repeat(100))]);
                script.close(0);
                script.set_database_down(false);
                script.damage("lostlost");
                script.give_up_unlanded();
            },
            person: Script::repair_with_loss,
            incidents: (&[IncidentKind::DeclaredLoss], &[]),
            reaches: &["a close left a backlog", "a record was damaged", "a log was repaired"],
            ..Scenario::new(
                "repair-with-a-loss",
                "damage of what has not landed is declared as a loss",
                |script| {
                    script.repair_with_loss();
                    script.start();
                    script.unit(&[set(0, "behind")]);
                    script.land();
                },
            )
        },
    ]
}

fn write_and_land(script: &Script) {
    script.start();
    script.unit(&[set(0, "landed"), put(1, "landed"), reading("landed")]);
    script.unit(&[Command::Grow(1, 2)]);
    script.land();
}

fn write_much(script: &Script, number: u64) {
    let value = number.to_string().repeat(450);
    script.unit(&[set(0, &value), Command::Grow(1, 2)]);
    script.unit(&[set(1, &value), reading(&number.to_string())]);
}

fn adopt(script: &Script) {
    script.adopt();
    start_and_write(script);
}

fn start_and_write(script: &Script) {
    script.start();
    script.unit(&[set(0, "behind"), Command::Grow(1, 2)]);
    script.land();
}

fn acknowledge(script: &Script) {
    script.turns(2);
    script.acknowledge();
    script.unit(&[set(0, "behind")]);
    script.land();
    script.wait(100);
    script.turns(2);
}

fn fenced(script: &Script) {
    script.unit(&[set(0, "owed"), put(1, "owed")]);
    script.take_away();
    script.turns(3);
    script.wait(200);
    script.turns(3);
    script.end(Crash::Kill);
    adopt(script);
}
