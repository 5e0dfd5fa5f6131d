//! docs/commands.md and docs/compatibility.md are made from the command table; these tests fail when they differ.
//! Run them with LANDFALL_WRITE_DOCS=1 to write the pages; they must never be edited by hand.

use std::fmt::Write;

use landfall_server::commands::Spec;
use landfall_server::commands::spec::{Group, Keys};
use landfall_server::commands::table::differences::{DIFFERENCES, MISSING};
use landfall_server::commands::table::{COMMANDS, everything, named};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

const COMMANDS_HEAD: &str = "# Commands

Generated from the command table; do not edit. Every reply has the shape that Redis 7.2 gives it, in RESP2 and RESP3, but for what
[compatibility.md](compatibility.md) and, of rows, [mapping.md](mapping.md) say. What is not in this list answers `ERR unknown command`.
";

const COMPATIBILITY_HEAD: &str = "# Compatibility with Redis 7.2

Generated from the command table; do not edit. Landfall speaks RESP2 and RESP3, and reports `redis_version` 7.2 so that clients
choose their newest ways; its own version stands beside it as `landfall_version`. What it does in another way is all here. A
differential test sends random commands to a real Redis and to Landfall and accepts no difference that is not on this page.
The clients that are tested stand in [clients.md](clients.md).
";

const GROUPS: &[(Group, &str)] = &[
    (Group::String, "Strings and counters"),
    (Group::Hash, "Hashes and rows"),
    (Group::Generic, "Keys"),
    (Group::Stream, "Events"),
    (Group::Transactions, "Transactions"),
    (Group::Pubsub, "Messages"),
    (Group::Connection, "Connection"),
    (Group::Server, "Server"),
    (Group::Landfall, "Durability and Landfall's own"),
];

fn arguments(spec: &Spec) -> String {
    let own = if spec.container.is_empty() { 1 } else { 2 };
    match spec.arity {
        arity if arity < 0 => format!("at least {}", arity.unsigned_abs() - own),
        arity => (arity.unsigned_abs() - own).to_string(),
    }
}

fn keys(spec: &Spec) -> String {
    let own = if spec.container.is_empty() { 0 } else { 1 };
    match (spec.keys.first, spec.keys.last) {
        (0, _) if spec.keys == Keys::STREAMS => "behind `STREAMS`".to_owned(),
        (0, _) => "none".to_owned(),
        (first, -1) => {
            format!("from {} on{}", first - own, if spec.keys.step > 1 { ", every second" } else { "" })
        }
        (first, _) => (first - own).to_string(),
    }
}

fn shown(spec: &Spec) -> String {
    spec.full_name().to_uppercase().replace('|', " ")
}

fn commands_page() -> String {
    let mut page = COMMANDS_HEAD.to_owned();
    for (group, title) in GROUPS {
        let mut family = COMMANDS.iter().filter(|spec| spec.group == *group).peekable();
        if family.peek().is_none() {
            continue;
        }
        writeln!(page, "\n## {title}\n\n| command | arguments | keys | since Redis | what it does |\n|---|---|---|---|---|").unwrap();
        for spec in family.flat_map(|spec| std::iter::once(spec).chain(spec.subcommands)) {
            let since = if spec.since.is_empty() { "" } else { spec.since };
            writeln!(
                page,
                "| `{}` | {} | {} | {since} | {} |",
                shown(spec),
                arguments(spec),
                keys(spec),
                spec.summary
            )
            .unwrap();
        }
    }
    page
}

fn compatibility_page() -> String {
    let mut page = COMPATIBILITY_HEAD.to_owned();
    page += "\n## In general\n\n";
    for difference in DIFFERENCES {
        writeln!(page, "- {}", difference.text).unwrap();
    }
    page += "\n## By command\n\n| command | what differs |\n|---|---|\n";
    for spec in everything().filter(|spec| !spec.differs.is_empty()) {
        writeln!(page, "| `{}` | {} |", shown(spec), spec.differs.join(" ")).unwrap();
    }
    page += "\n## What is not there\n\n| family | commands | why |\n|---|---|---|\n";
    for (family, commands, why) in MISSING {
        let commands: Vec<String> = commands.iter().map(|name| format!("`{name}`")).collect();
        writeln!(page, "| {family} | {} | {why} |", commands.join(", ")).unwrap();
    }
    page
}

fn check(name: &str, page: &str) {
    let file = format!("{DOCS}/{name}");
    if std::env::var_os("LANDFALL_WRITE_DOCS").is_some() {
        std::fs::write(&file, page).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == page,
        "docs/{name} is stale: run LANDFALL_WRITE_DOCS=1 cargo test -p landfall-server --test generated_docs"
    );
}

#[test]
fn the_page_of_commands_says_what_the_table_says() {
    check("commands.md", &commands_page());
}

#[test]
fn the_page_of_compatibility_says_what_the_table_says() {
    check("compatibility.md", &compatibility_page());
}

#[test]
fn no_command_is_called_missing_that_is_there() {
    for name in MISSING.iter().flat_map(|(_, commands, _)| commands.iter()) {
        assert!(named(name.as_bytes()).is_none(), "{name} is there: take it out of MISSING");
    }
}

#[test]
fn every_family_of_the_table_has_its_part_of_the_page() {
    for spec in COMMANDS.iter() {
        assert!(GROUPS.iter().any(|(group, _)| *group == spec.group), "{}", spec.name);
    }
}
