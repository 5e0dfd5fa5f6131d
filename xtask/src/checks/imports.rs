//! The import table of the library: which room may use which, so that arrows point one way.
//! Tests inside a room are free; nothing else is. `lib.rs` is the front page and belongs to no room.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::workspace::Workspace;

mod paths;

const LIBRARY: &str = "crates/landfall/src/";
const RULE: &str = "imports";

/// One row of the table: a room, and the paths below `crate::` that it may use.
struct Room {
    name: &'static str,
    may: &'static [&'static str],
    never: &'static [&'static str],
}

/// A room that may use whole rooms.
const fn room(name: &'static str, may: &'static [&'static str]) -> Room {
    Room { name, may, never: &[] }
}

/// The rooms, in the order of the flow.
const ROOMS: &[Room] = &[
    // Rows, changes and how they merge: pure data, at the bottom.
    room("model", &[]),
    // What went wrong names lanes and positions, and nothing that works.
    room("error", &["model"]),
    // Settings name limits and rows; they start nothing.
    room("settings", &["error", "model"]),
    // Locks and atomic numbers, which an interleaving test replaces; they know nothing of what they guard.
    room("sync", &[]),
    // Clock, chance and disk: the simulator replaces it, so it must know nothing of what runs on it.
    room("env", &["error"]),
    // Numbers and events are told about the model; nobody is asked for them.
    room("observe", &["error", "model", "settings", "env"]),
    // The only place that spawns: tasks have names and owners, and know nothing of the work they carry.
    room("tasks", &["error", "env", "observe"]),
    // The log and the cache. The log does not know who reads it, and only numbers come back.
    room("buffer", &["error", "model", "settings", "sync", "env", "observe", "tasks"]),
    // The lander reads the log and drives the seam of the sink; it knows neither cache, engine, nor any database.
    Room {
        name: "lander",
        may: &["error", "model", "settings", "sync", "env", "observe", "tasks", "buffer::log", "sink"],
        never: &["sink::sql", "sink::sqlite", "sink::postgres", "sink::mysql"],
    },
    // Databases know rows and batches, and neither log nor cache.
    room("sink", &["error", "model", "settings", "env", "observe", "tasks"]),
    // The engine joins the parts; it is the only room that sees them all.
    room(
        "engine",
        &["error", "model", "settings", "sync", "env", "observe", "tasks", "buffer", "lander", "sink"],
    ),
    // What a simulation is given; behind a feature, and nobody leans on it.
    room("simulation", &["env", "buffer", "engine", "sink"]),
    // The check of a whole installation may look everywhere, and nobody leans on it.
    room(
        "verify",
        &["error", "model", "settings", "env", "observe", "tasks", "buffer", "lander", "sink", "engine"],
    ),
];

/// Checks every file of the library against the table, and the whole for circles.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut arrows: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for source in &workspace.sources {
        let Some(own) = source.path.strip_prefix(LIBRARY) else { continue };
        let own = own.split(['/', '.']).next().unwrap_or_default();
        if own == "lib" {
            continue;
        }
        let Some(room) = ROOMS.iter().find(|room| room.name == own) else {
            let advice = format!(
                "`{own}` is no room of the library: use one that exists, or add it to the import table"
            );
            findings.push(Finding::new(&source.path, 1, RULE, advice));
            continue;
        };
        for (offset, target) in paths::in_source(source, LIBRARY) {
            if let Some(first) = target.first().filter(|first| *first != own) {
                arrows.entry(room.name).or_default().insert(first.clone());
            }
            if let Some(advice) = objection(room, &target) {
                findings.push(Finding::new(&source.path, source.line_of(offset), RULE, advice));
            }
        }
    }
    findings.extend(circles(&arrows));
    findings
}

/// What the table has against `room` using the path `target`, if anything.
fn objection(room: &Room, target: &[String]) -> Option<String> {
    let path = target.join("::");
    let first = target.first().map(String::as_str).unwrap_or_default();
    if first == room.name {
        return None;
    }
    if !ROOMS.iter().any(|room| room.name == first) {
        return Some(format!(
            "`crate::{path}` goes through the front page: name the room that it comes from"
        ));
    }
    let below = |prefix: &&str| path == **prefix || path.starts_with(&format!("{prefix}::"));
    if room.never.iter().any(&below) || !room.may.iter().any(below) {
        let may = room.may.join(", ");
        let may = if may.is_empty() { "no other room" } else { &may };
        return Some(format!(
            "`{}` must not use `crate::{path}`; it may use {may}. Turn the arrow, or move the code to its room",
            room.name
        ));
    }
    None
}

/// Rooms that reach themselves through others. The table alone allows none; an exception from it might.
fn circles(arrows: &BTreeMap<&str, BTreeSet<String>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for start in arrows.keys() {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = vec![start];
        while let Some(room) = open.pop() {
            for next in arrows.get(room).into_iter().flatten() {
                if reached.insert(next) {
                    open.push(next);
                }
            }
        }
        if reached.contains(start) {
            let advice =
                format!("room `{start}` uses itself in a circle through other rooms: turn one arrow");
            findings.push(Finding::new(&format!("{LIBRARY}{start}"), 1, "circle", advice));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let path = format!("{LIBRARY}{path}");
        check(&Workspace::planted(&[(&path, text)])).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn the_table_itself_has_no_circle() {
        let first = |path: &&str| path.split("::").next().unwrap().to_owned();
        let arrows = ROOMS.iter().map(|room| (room.name, room.may.iter().map(first).collect())).collect();
        assert_eq!(circles(&arrows), []);
        assert!(!ROOMS.iter().any(|room| room.may.contains(&"verify")));
    }

    #[test]
    fn an_import_against_the_flow_is_found_in_every_form() {
        let forms = [
            "use crate::engine::Engine;",
            "use crate::{error::Error, engine};",
            "pub(crate) use crate::error::{self, Error};\nfn a() { crate::engine::open() }",
            "use super::super::super::engine::Engine;",
            "mod inner { use super::super::super::super::engine::Engine; }",
        ];
        for form in forms {
            let found = found("buffer/log/local.rs", form);
            assert_eq!(found.len(), 1, "{form}: {found:?}");
            assert!(found[0].contains("`buffer` must not use `crate::engine"), "{found:?}");
        }
    }

    #[test]
    fn imports_along_the_flow_are_free() {
        let text = "use crate::model::{Change, merge::{self, Merged}};\nuse super::super::cache;\nuse super::record;\n\
                    pub(in crate::buffer) fn a() {}\n// use crate::engine;\nconst A: &str = \"crate::engine\";\n\
                    #[cfg(test)]\nmod tests { use crate::engine::Engine; }\n";
        assert_eq!(found("buffer/log/local.rs", text), Vec::<String>::new());
    }

    #[test]
    fn the_lander_sees_the_log_and_the_seam_only() {
        assert_eq!(
            found("lander/plan.rs", "use crate::buffer::log::Log;\nuse crate::sink::{Sink, Batch};").len(),
            0
        );
        assert_eq!(found("lander/plan.rs", "use crate::buffer::cache::Cache;").len(), 1);
        assert_eq!(found("lander/plan.rs", "use crate::buffer;").len(), 1);
        assert_eq!(found("lander/plan.rs", "use crate::sink::sqlite::Sqlite;").len(), 1);
    }

    #[test]
    fn the_front_page_is_no_way_around_the_table() {
        assert_eq!(found("model.rs", "use crate::Engine;").len(), 1);
        assert_eq!(found("model.rs", "use crate::*;").len(), 1);
        assert_eq!(found("lib.rs", "pub use crate::engine::Engine;").len(), 0);
    }

    #[test]
    fn a_new_room_must_be_added_to_the_table() {
        assert_eq!(found("util/strings.rs", "fn a() {}").len(), 1);
    }

    #[test]
    fn a_circle_of_rooms_is_found() {
        let arrows = [("a", "b"), ("b", "c"), ("c", "b")];
        let arrows = arrows.into_iter().map(|(from, to)| (from, BTreeSet::from([to.to_owned()]))).collect();
        let rooms: Vec<String> = circles(&arrows).into_iter().map(|finding| finding.path).collect();
        assert_eq!(rooms, [format!("{LIBRARY}b"), format!("{LIBRARY}c")]);
    }
}
