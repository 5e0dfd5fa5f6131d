//! The requirements that Landfall was made for, and which tests show them.
//! A row is shown by a test that runs, or it is listed as planned work; nothing is taken on trust.
//!
//! A test says what it shows in a line of its own right above it (before or after its attributes):
//!
//! ```text
//! // shows: S3, S12
//! #[test]
//! fn a_million_increments_become_one_row() {
//! ```
//!
//! An ignored test shows nothing. The planned work is in `xtask/planned.txt`.

use std::collections::BTreeMap;

use crate::checks::Finding;
use crate::committed_list::entries;
use crate::source::{Source, words};
use crate::workspace::Workspace;

const PLANNED: &str = "xtask/planned.txt";
const MARKER: &str = "// shows:";
const RULE: &str = "requirements";

/// Every requirement, in few words.
const ROWS: &[(&str, &str)] = &[
    ("S1", "a write is acknowledged at once, lands later, and is read back right away"),
    ("S2", "flush by time, by count, or by whichever comes first; eager on demand"),
    ("S3", "many updates of one key before a flush become one"),
    ("S4", "one bulk statement for a batch; a spike lands as a steady flow"),
    ("S5", "a failed flush is tried again with backoff, then parked, never dropped"),
    ("S6", "a death in the middle of a batch leaves no duplicate and no gap; request_id counts once"),
    ("S7", "changes of one row land in the order of their acknowledgement"),
    ("S8", "buffers: local, Valkey/Redis, Kafka; databases: PostgreSQL, MySQL/MariaDB, SQLite"),
    ("S9", "the loss window is a setting, and is said in plain words"),
    ("S10", "bounded queues: smooth throttle first, then an error that clients understand"),
    ("S11", "lag is visible: pending, age of the oldest, metrics, alert rules"),
    ("S12", "increments of a hot row are summed before they reach it"),
    ("S13", "the batch size follows the database, down and up again"),
    ("S14", "a worker dies, others take over its lanes, nothing lost or doubled"),
    ("S15", "write-behind, write-through and cache-aside per table, on the same data"),
    ("S16", "cache-aside reads with a time to live; tables warmed ahead"),
    ("S17", "the walk-through `landfall demo`"),
    ("S18", "plain use from any Redis client, with the state visible at each step"),
    ("S19", "lists, streams and topics that producers fill already are drained safely"),
    ("S20", "one example for each use case; when to use it, when not, and what fails how"),
];

/// What is known of one requirement.
struct Row<'a> {
    name: &'static str,
    text: &'static str,
    tests: Vec<String>,
    /// The issue, and what is missing.
    planned: Option<(&'a str, &'a str)>,
}

/// Prints the table; `false` when something is wrong with it.
pub(crate) fn print(workspace: &Workspace) -> bool {
    let (rows, findings) = rows(workspace);
    for row in &rows {
        let state = match (row.tests.len(), row.planned) {
            (0, None) => "MISSING".to_owned(),
            (0, Some((issue, _))) => format!("open (issue {issue})"),
            (tests, None) => format!("shown by {tests}"),
            (tests, Some((issue, _))) => format!("shown by {tests}, open (issue {issue})"),
        };
        println!("{:<4} {:<26} {}", row.name, state, row.text);
        if let Some((_, missing)) = row.planned {
            println!("{:31} open: {missing}", "");
        }
        for test in &row.tests {
            println!("{:31} {test}", "");
        }
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    let shown = rows.iter().filter(|row| row.planned.is_none() && !row.tests.is_empty()).count();
    println!("\n{shown} of {} shown whole, {} problem(s)", rows.len(), findings.len());
    findings.is_empty()
}

/// The same as a house check.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    rows(workspace).1
}

fn rows(workspace: &Workspace) -> (Vec<Row<'_>>, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut tests = shown_by(workspace, &mut findings);
    let (entries, malformed) = entries::<3>(workspace.text(PLANNED).unwrap_or_default());
    for line in malformed {
        findings.push(Finding::new(PLANNED, line, RULE, "write `row | issue | what is missing`"));
    }
    let mut planned: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for entry in entries {
        let [row, issue, missing] = entry.fields;
        let known = ROWS.iter().any(|(name, _)| *name == row);
        if !known || planned.insert(row, (issue, missing)).is_some() {
            let advice = format!("`{row}` is no requirement, or is planned twice");
            findings.push(Finding::new(PLANNED, entry.line, RULE, advice));
        }
    }
    let row = |(name, text): &(&'static str, &'static str)| Row {
        name,
        text,
        tests: tests.remove(name).unwrap_or_default(),
        planned: planned.get(name).copied(),
    };
    let rows: Vec<Row<'_>> = ROWS.iter().map(row).collect();
    for row in rows.iter().filter(|row| row.tests.is_empty() && row.planned.is_none()) {
        let advice =
            format!("{} has no test: mark one with `{MARKER} {}`, or plan the work here", row.name, row.name);
        findings.push(Finding::new(PLANNED, 1, RULE, advice));
    }
    (rows, findings)
}

/// The tests by requirement, as `path: name`.
fn shown_by(workspace: &Workspace, findings: &mut Vec<Finding>) -> BTreeMap<&'static str, Vec<String>> {
    let mut tests: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for source in workspace.sources.iter().filter(|source| source.path.starts_with("crates/")) {
        let mut offset = 0;
        for (index, line) in source.text.split_inclusive('\n').enumerate() {
            let start = offset;
            offset += line.len();
            let comment = line.trim();
            if !comment.starts_with(MARKER) || !source.has_comment(index + 1) {
                continue;
            }
            let Some(test) = test_at(source, start) else {
                let advice = "this marker stands above no test that runs: put it right above `#[test]`";
                findings.push(Finding::new(&source.path, index + 1, RULE, advice));
                continue;
            };
            for name in comment[MARKER.len()..].split(',').map(str::trim) {
                match ROWS.iter().find(|(row, _)| *row == name) {
                    Some((row, _)) => tests.entry(row).or_default().push(format!("{}: {test}", source.path)),
                    None => {
                        let advice = format!("`{name}` is no requirement: write {MARKER} S1, S2");
                        findings.push(Finding::new(&source.path, index + 1, RULE, advice));
                    }
                }
            }
        }
    }
    tests
}

/// The name of the test whose attributes a marker stands among or above.
fn test_at(source: &Source, marker: usize) -> Option<&str> {
    let start = source.code[..marker].rfind(['{', '}', ';']).map_or(0, |at| at + 1);
    let keyword = marker + words(&source.code[marker..], "fn").next()?;
    let attributes = &source.code[start..keyword];
    let runs = words(attributes, "test").next().is_some() && words(attributes, "ignore").next().is_none();
    let name = source.code[keyword + 2..].trim_start();
    let name = &name[..name.find(|c: char| !crate::source::is_word(c))?];
    (runs && !attributes.contains(['{', '}', ';'])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_planned_but(row: &str) -> String {
        let planned = ROWS.iter().filter(|(name, _)| *name != row);
        planned.map(|(name, _)| format!("{name} | 2 | all\n")).collect()
    }

    fn advice(files: &[(&str, &str)]) -> Vec<String> {
        check(&Workspace::planted(files)).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_row_with_neither_test_nor_plan_is_found() {
        let found = advice(&[(PLANNED, &all_planned_but("S3"))]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("S3 has no test"), "{found:?}");
    }

    #[test]
    fn a_marked_test_shows_its_rows() {
        let text = "fn helper() {}\n// shows: S3, S12\n#[test]\nfn updates_merge() {}\n";
        let after = "#[tokio::test(start_paused = true)]\n/// Why.\n// shows: S3\nasync fn another() {}\n";
        let files = [
            (PLANNED, all_planned_but("S3")),
            ("crates/a/src/b.rs", text.into()),
            ("crates/a/tests/c.rs", after.into()),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let workspace = Workspace::planted(&files);
        let (rows, findings) = rows(&workspace);
        assert_eq!(findings, []);
        assert_eq!(rows[2].tests, ["crates/a/src/b.rs: updates_merge", "crates/a/tests/c.rs: another"]);
        assert_eq!(rows[11].tests.len(), 1);
    }

    #[test]
    fn a_marker_that_shows_nothing_is_found() {
        let planned = all_planned_but("");
        for text in [
            "// shows: S3\nfn no_test() {}",
            "// shows: S3\n",
            "// shows: S3\nconst A: u8 = 1;\n#[test]\nfn later() {}",
            "// shows: S3\n#[test]\n#[ignore = \"slow\"]\nfn ignored() {}",
            "// shows: S99\n#[test]\nfn unknown() {}",
        ] {
            assert_eq!(advice(&[(PLANNED, &planned), ("crates/a/src/b.rs", text)]).len(), 1, "{text}");
        }
    }

    #[test]
    fn a_plan_for_no_row_is_found() {
        let planned = format!("{}S77 | 2 | all\nS1 | 2 | twice\n", all_planned_but(""));
        assert_eq!(advice(&[(PLANNED, &planned)]).len(), 2);
    }
}
