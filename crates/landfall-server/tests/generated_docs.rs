//! docs/commands.md is made from the command table; this test fails when the two differ.
//! Run it with LANDFALL_WRITE_DOCS=1 to write the page; it must never be edited by hand.

use std::fmt::Write;

use landfall_server::commands::table::COMMANDS;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md");

const HEAD: &str = "# Commands

Generated from the command table; do not edit. Every reply has the shape that Redis 7.2 gives it, in RESP2 and RESP3, but for what
[mapping.md](mapping.md) says of rows. What is not in this list is not built yet and answers `ERR unknown command`.

| command | arguments | keys | what it does |
|---|---|---|---|
";

const TAIL: &str = "
## What differs from Redis today

- `EXPIRE` takes no NX, XX, GT, LT yet. `CLIENT` has ID, SETNAME, GETNAME, SETINFO, NO-EVICT and NO-TOUCH; `CONFIG` has GET.
- WATCH, SCAN, KEYS, DBSIZE, FLUSHALL, RENAME, COPY and streams over key-value keys are not built yet.
- Database 0 is the only one. Inline commands are refused.
- `WAIT n ms` waits for the database: 1 when this connection's writes are committed there, and an error
  `DEADLETTER` when the database refused one of them. `WAITAOF` waits for the log.
- Errors use Redis's prefixes: `TRYAGAIN` (a bound is reached), `OOM`, `MISCONF` (the log failed), `READONLY` (somebody else owns the
  database's lanes), `MASTERDOWN` (the answer needs the database, and it is down), `LOADING` (tables are being read again).
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for spec in COMMANDS {
        let arguments = match spec.arity {
            arity if arity < 0 => format!("at least {}", arity.unsigned_abs() - 1),
            arity => (arity - 1).to_string(),
        };
        let keys = match (spec.keys.first, spec.keys.last) {
            (0, _) => "none".to_owned(),
            (first, -1) => {
                format!("from {first} on{}", if spec.keys.step > 1 { ", every second" } else { "" })
            }
            (first, _) => first.to_string(),
        };
        writeln!(page, "| `{}` | {arguments} | {keys} | {} |", spec.name, spec.summary).unwrap();
    }
    page + TAIL
}

#[test]
fn the_page_of_commands_says_what_the_table_says() {
    if std::env::var_os("LANDFALL_WRITE_DOCS").is_some() {
        std::fs::write(PAGE, page()).unwrap();
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        found == page(),
        "docs/commands.md is stale: run LANDFALL_WRITE_DOCS=1 cargo test -p landfall-server --test generated_docs"
    );
}
