//! `landfall tables`: which tables keys and events lead to, which not and why, and what lands together.
//! It reads the database as it is now, needs no server, and never changes anything.

use std::fmt::Write;

use anyhow::Result;
use clap::{Args, Subcommand};
use landfall::model::{Catalogue, Column, Group, Table, landing_groups, types};
use serde_json::{Value as Json, json};

use super::status::shortened;
use super::{Context, print};
use crate::config::Effective;
use crate::database;
use crate::failure::{FINDING, Failure, OK, UNAVAILABLE};
use crate::wrap::{counted, wrapped};

/// Say which keys lead to which tables, what lands together, and which tables are left out and why
///
/// The tables are read from the database itself, as a server that starts now would see them.
#[derive(Args)]
#[command(after_help = "Example: landfall tables --database sqlite:airport.db")]
pub(super) struct TablesCommand {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// All tables, or one with its columns
    List {
        /// Only this table, with what each column takes
        table: Option<String>,
    },
}

impl TablesCommand {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        let settings = context.settings()?;
        let Some(Action::List { table: Some(wanted) }) = &self.action else {
            let document = document(&settings, None)?;
            return show(context, &document, OK);
        };
        let document = document(&settings, Some(wanted))?;
        let is_there = ["tables", "unmapped"]
            .iter()
            .any(|list| document[*list].as_array().is_some_and(|all| !all.is_empty()));
        if !is_there {
            let place = document["database"].as_str().unwrap_or_default();
            let words = format!("{place} has no table {wanted}; see `landfall tables` for those it has");
            return Err(Failure::new(FINDING, words).into());
        }
        show(context, &document, OK)
    }
}

fn show(context: &Context, document: &Json, code: u8) -> Result<u8> {
    match context.global.json {
        true => print(&format!("{document}\n"))?,
        false => print(&render(document, context.global.verbose))?,
    }
    Ok(code)
}

/// What is known of the tables, or of one of them.
fn document(settings: &Effective, wanted: Option<&str>) -> Result<Json> {
    let failed = |error: landfall::error::SinkError| Failure::new(UNAVAILABLE, error.to_string());
    // A database that is not there is not made by looking at it.
    let database = database::open(&settings.database, true).map_err(failed)?;
    let catalogue = database.catalogue().map_err(failed)?;
    Ok(described(&catalogue, settings, &database.describe(), wanted))
}

fn described(catalogue: &Catalogue, settings: &Effective, place: &str, wanted: Option<&str>) -> Json {
    let is_wanted = |name: &str| wanted.is_none_or(|wanted| wanted == name);
    let groups = landing_groups(catalogue, settings.settings.lanes);
    let of =
        |table: &Table| groups.iter().find(|group| group.tables.iter().any(|name| **name == *table.name));
    let tables: Vec<Json> = catalogue
        .tables()
        .into_iter()
        .filter(|table| is_wanted(&table.name))
        .map(|table| of_table(table, of(table), settings))
        .collect();
    let unmapped: Vec<Json> = catalogue
        .unmapped()
        .iter()
        .filter(|one| is_wanted(&one.table))
        .map(|one| json!({"table": one.table, "reason": one.reason}))
        .collect();
    let has = |group: &&Group| group.tables.iter().any(|name| is_wanted(name));
    let groups: Vec<Json> = groups
        .iter()
        .filter(has)
        .map(|group| json!({"name": group.name, "tables": group.tables, "lanes": group.lanes, "ordered": group.ordered}))
        .collect();
    json!({"database": place, "tables": tables, "unmapped": unmapped, "groups": groups})
}

fn of_table(table: &Table, group: Option<&Group>, settings: &Effective) -> Json {
    let names =
        |columns: &[usize]| -> Vec<&str> { columns.iter().map(|&at| &*table.columns[at].name).collect() };
    let key = names(&table.primary_key);
    let form = (!key.is_empty()).then(|| format!("{}:<{}>", table.name, key.join(">:<")));
    let own = settings.settings.tables.get(&*table.name);
    let references: Vec<Json> = table
        .references
        .iter()
        .map(|one| json!({"columns": names(&one.columns), "table": one.table, "cascades": one.cascades}))
        .collect();
    let columns: Vec<Json> =
        table.columns.iter().enumerate().map(|(at, column)| of_column(table, at, column)).collect();
    json!({
        "name": &*table.name,
        "key": form,
        "reason": table.keyless_reason,
        "writes": "write-behind",
        "audit": own.and_then(|own| own.audit.clone()),
        "group": group.map(|group| &group.name),
        "lanes": group.map(|group| group.lanes),
        "ordered": group.map(|group| group.ordered),
        "unique": table.unique.iter().map(|columns| names(columns)).collect::<Vec<_>>(),
        "references": references,
        "columns": columns,
    })
}

fn of_column(table: &Table, at: usize, column: &Column) -> Json {
    let default = column.default.as_ref().map(|value| {
        let mut text = Vec::new();
        types::render(value, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    json!({
        "name": &*column.name,
        "type": column.declared,
        "takes": types::expected(column),
        "key": table.is_key_column(at),
        "writable": column.is_writable(),
        "nullable": column.nullable,
        "required": !column.nullable && !column.has_default && !column.generated,
        "generated": column.generated,
        "has_default": column.has_default,
        "default": default,
    })
}

fn list<'j>(json: &'j Json, name: &str) -> &'j [Json] {
    json[name].as_array().map_or(&[], Vec::as_slice)
}

fn text<'j>(json: &'j Json, name: &str) -> &'j str {
    json[name].as_str().unwrap_or("-")
}

/// The document for people.
fn render(document: &Json, verbose: bool) -> String {
    let tables = list(document, "tables");
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = match tables.len() {
        0 => writeln!(out, "{} has no table that keys or events lead to", text(document, "database")),
        count => writeln!(out, "{} in {}", counted(count as u64, "table"), text(document, "database")),
    };
    for table in tables {
        out.push('\n');
        of_one(&mut out, table, verbose || tables.len() == 1);
    }
    let unmapped = list(document, "unmapped");
    if !unmapped.is_empty() {
        let _ = writeln!(out, "\nleft out");
    }
    for one in unmapped {
        let _ =
            writeln!(out, "  {}", wrapped(&format!("{}: {}", text(one, "table"), text(one, "reason")), 4));
    }
    out
}

fn of_one(out: &mut String, table: &Json, in_full: bool) {
    let _ = writeln!(out, "{}", text(table, "name"));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:10}{}", wrapped(value, 12));
    };
    match table["key"].as_str() {
        Some(key) => line("rows", key),
        None => line("no rows", text(table, "reason")),
    }
    let needs = "an event of its own, never merged";
    line("events", &format!("XADD {} * column value ..: {needs}", text(table, "name")));
    line("lands", &landing(table));
    if let Some(audit) = table["audit"].as_str() {
        line("audit", &format!("old and new values go to {audit}"));
    }
    let read_only: Vec<&str> = list(table, "columns")
        .iter()
        .filter(|column| column["writable"].as_bool() == Some(false))
        .map(|column| text(column, "name"))
        .collect();
    if !in_full {
        if !read_only.is_empty() {
            line("read only", &read_only.join(", "));
        }
        return;
    }
    for column in list(table, "columns") {
        let _ = writeln!(out, "    {}", wrapped(&of_column_in_words(column), 6));
    }
}

fn landing(table: &Json) -> String {
    let group = shortened(text(table, "group"));
    let alone = group == text(table, "name");
    let together = if alone { String::new() } else { format!(" with the group {group}") };
    let order = match (table["ordered"].as_bool(), table["lanes"].as_u64()) {
        (Some(true), _) => {
            "in the order of acknowledgement, for its foreign keys or unique columns".to_owned()
        }
        (_, Some(1)) => "in the order of acknowledgement".to_owned(),
        (_, lanes) => format!("in {} lanes, in the order of each row", lanes.unwrap_or(0)),
    };
    format!("{}{together}, {order}", text(table, "writes"))
}

fn of_column_in_words(column: &Json) -> String {
    let is = |name: &str| column[name].as_bool() == Some(true);
    let mut words = format!("{}: {}", text(column, "name"), text(column, "takes"));
    for (name, word) in [("key", "key"), ("required", "required"), ("generated", "computed by the database")]
    {
        if is(name) && !(name == "required" && is("key")) {
            words.push_str(", ");
            words.push_str(word);
        }
    }
    match column["default"].as_str() {
        Some(default) => {
            let _ = write!(words, ", default {}", default.escape_debug());
        }
        None if is("has_default") => words.push_str(", with a default that the database computes"),
        None => {}
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, required: bool) -> Json {
        json!({"name": name, "type": "int", "takes": "int 0..9", "key": name == "id", "writable": true, "nullable": !required,
            "required": required, "generated": false, "has_default": false, "default": null})
    }

    #[test]
    fn a_table_tells_its_keys_and_how_it_lands() {
        let table = json!({"name": "page", "key": "page:<id>", "reason": null, "writes": "write-behind", "audit": null,
            "group": "page", "lanes": 4, "ordered": false, "columns": [column("id", true), column("n", true)]});
        let keyless = json!({"name": "geo", "key": null, "reason": "it has no primary key", "writes": "write-behind",
            "group": "a+b+c+geo", "lanes": 1, "ordered": true, "columns": []});
        let left_out = json!({"table": "seen", "reason": "it is a view"});
        let shown = render(
            &json!({"database": "sqlite:a", "tables": [table, keyless], "unmapped": [left_out]}),
            false,
        );
        assert_eq!(
            shown,
            "2 tables in sqlite:a\n\n\
             page\n  rows      page:<id>\n  events    XADD page * column value ..: an event of its own, never merged\n  \
             lands     write-behind, in 4 lanes, in the order of each row\n\n\
             geo\n  no rows   it has no primary key\n  events    XADD geo * column value ..: an event of its own, never merged\n  \
             lands     write-behind with the group a+b+ 2 more, in the order of\n            acknowledgement, for its foreign keys or unique columns\n\n\
             left out\n  seen: it is a view\n"
        );
    }

    #[test]
    fn one_table_tells_its_columns() {
        let table =
            json!({"name": "page", "key": "page:<id>", "columns": [column("id", true), column("n", true)]});
        let shown = render(&json!({"database": "sqlite:a", "tables": [table], "unmapped": []}), false);
        assert!(shown.ends_with("    id: int 0..9, key\n    n: int 0..9, required\n"), "{shown}");
    }
}
