//! Loads the airport database into PostgreSQL, all of it in one transaction: afterwards it is there, or nothing of it.
//! It must never touch a database that already has one of the tables.
//!
//! Keys to other tables and further indexes are made behind the rows, which is several times as fast.

use landfall::error::SinkError;
use landfall::sink::postgres::PostgresLoader;

use super::airport::{Airport, Cell, DEPARTMENTS, Row, WEATHER};
use super::schema::TABLES;
use super::{Filled, PROGRESS_EVERY_ROWS, Progress, list};

/// Why the sample could not be loaded; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There are such tables.
    #[error(
        "the database already has {}: the airport sample is only loaded where none of its tables exists; \
         name another database, or drop or rename what is there",
        list(tables)
    )]
    TablesExist {
        /// The names, as the sample spells them.
        tables: Vec<&'static str>,
    },
    /// PostgreSQL refused.
    #[error("could not load table {table} of the airport sample, and nothing of it is there")]
    Database {
        /// The table at work.
        table: &'static str,
        /// The cause.
        source: SinkError,
    },
}

/// Creates the 13 tables and fills them. `progress` is called at the start and the end of each table, and every few
/// thousand rows between.
///
/// # Errors
/// [`LoadError`].
pub fn load_postgres(
    connection: &mut PostgresLoader,
    airport: &Airport,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), LoadError> {
    let at = |table| move |source| LoadError::Database { table, source };
    connection.run("BEGIN").map_err(at(TABLES[0].0))?;
    let asked =
        "SELECT relname FROM pg_class WHERE relname = ANY ($1::text::text[]) AND pg_table_is_visible(oid)";
    let names = TABLES.map(|(table, _)| table);
    let found = connection.texts(asked, &[&format!("{{{}}}", names.join(","))]).map_err(at(TABLES[0].0))?;
    let tables: Vec<_> = names.into_iter().filter(|name| found.iter().any(|found| found == name)).collect();
    if !tables.is_empty() {
        return Err(LoadError::TablesExist { tables });
    }
    let definitions = TABLES.map(|(table, definition)| (table, Definition::of(table, definition)));
    for (table, definition) in &definitions {
        connection.run(&definition.table).map_err(at(table))?;
    }
    let mut loader = Loader { connection, progress };
    let last = super::fill(&mut loader, airport)?;
    for (table, definition) in &definitions {
        for statement in &definition.afterwards {
            loader.connection.run(statement).map_err(at(table))?;
        }
        loader.connection.run(&format!("ANALYZE \"{table}\"")).map_err(at(table))?;
    }
    loader.connection.commit().map_err(at(last))
}

struct Loader<'c> {
    connection: &'c mut PostgresLoader,
    progress: &'c mut dyn FnMut(Progress),
}

impl Filled for Loader<'_> {
    type Error = LoadError;

    fn fill<R: Row>(&mut self, rows_total: u64, rows: impl Iterator<Item = R>) -> Result<(), LoadError> {
        self.fill_table(rows_total, rows).map_err(|source| LoadError::Database { table: R::TABLE, source })
    }

    fn pass(&mut self, table: &'static str) {
        (self.progress)(Progress { table, rows_done: 0, rows_total: 0 });
    }
}

impl Loader<'_> {
    fn fill_table<R: Row>(
        &mut self,
        rows_total: u64,
        rows: impl Iterator<Item = R>,
    ) -> Result<(), SinkError> {
        let columns: Vec<String> = R::COLUMNS.iter().map(|column| format!("\"{column}\"")).collect();
        let sql = format!("COPY \"{}\" ({}) FROM STDIN", R::TABLE, columns.join(", "));
        let mut copy = self.connection.copy(&sql)?;
        let mut rows_done = 0;
        (self.progress)(Progress { table: R::TABLE, rows_done, rows_total });
        for row in rows {
            let cells = row.cells();
            let texts: Vec<Option<String>> = cells.as_ref().iter().map(text).collect();
            copy.row(texts.iter().map(Option::as_deref))?;
            rows_done += 1;
            if rows_done % PROGRESS_EVERY_ROWS == 0 && rows_done < rows_total {
                (self.progress)(Progress { table: R::TABLE, rows_done, rows_total });
            }
        }
        copy.finish()?;
        (self.progress)(Progress { table: R::TABLE, rows_done, rows_total });
        Ok(())
    }
}

fn text(cell: &Cell<'_>) -> Option<String> {
    match cell {
        Cell::Null => None,
        Cell::Boolean(value) => Some(if *value { "t" } else { "f" }.to_owned()),
        other => Some(other.to_string()),
    }
}

/// A table without what slows loading down, and the statements that add it.
struct Definition {
    table: String,
    afterwards: Vec<String>,
}

impl Definition {
    fn of(table: &str, definition: &str) -> Definition {
        let enums = [
            ("department", "\"department\" varchar(20)", &DEPARTMENTS[..]),
            ("weather", "\"weather\" varchar(30)", &WEATHER[..]),
        ];
        let mut statements = definition.split(';').map(str::trim);
        let create = statements.next().unwrap_or_default().replace("mediumint", "integer");
        let mut afterwards: Vec<String> = statements.map(str::to_owned).collect();
        let (mut kept, mut types) = (Vec::new(), String::new());
        for line in without_checks(&create) {
            let (line, reference) = match line.split_once(" REFERENCES ") {
                Some((column, reference)) => (column.to_owned(), Some(reference)),
                None => (line, None),
            };
            let Some(reference) = reference else {
                kept.push(line);
                continue;
            };
            let name = line.trim().split(' ').next().unwrap_or_default();
            let target = reference.trim_end_matches(',');
            afterwards.push(format!("ALTER TABLE \"{table}\" ADD FOREIGN KEY ({name}) REFERENCES {target}"));
            kept.push(if reference.ends_with(',') { format!("{line},") } else { line });
        }
        let mut create = kept.join("\n");
        for (name, declared, labels) in enums {
            if create.contains(declared) {
                let labels: Vec<String> = labels.iter().map(|label| format!("'{label}'")).collect();
                types = format!("CREATE TYPE \"{table}_{name}\" AS ENUM ({});\n", labels.join(", "));
                create = create.replace(declared, &format!("\"{name}\" \"{table}_{name}\""));
            }
        }
        Definition { table: format!("{types}{create}"), afterwards }
    }
}

/// The lines of a definition; a CHECK, which may go over several lines, is left out: an enum takes its place.
fn without_checks(definition: &str) -> Vec<String> {
    let mut text = definition.to_owned();
    while let Some(start) = text.find("CHECK (") {
        let mut depth = 0;
        let end = text[start..].char_indices().find_map(|(at, letter)| {
            depth += match letter {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            (letter == ')' && depth == 0).then_some(start + at + 1)
        });
        let before = text[..start].trim_end().to_owned();
        text = before + &text[end.unwrap_or(text.len())..];
    }
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_loses_what_slows_loading_down_and_gets_it_back_behind_the_rows() {
        let of = |wanted: &str| {
            let (table, definition) = TABLES.into_iter().find(|(table, _)| *table == wanted).unwrap();
            Definition::of(table, definition)
        };
        let flight = of("flight");
        assert!(!flight.table.contains("REFERENCES") && flight.table.contains("\"to\" smallint NOT NULL,"));
        assert_eq!(flight.afterwards.len(), 7);
        let details = of("passengerdetails").afterwards;
        assert!(details[0].ends_with(
            "FOREIGN KEY (\"passenger_id\") REFERENCES \"passenger\" (\"passenger_id\") ON DELETE CASCADE"
        ));
        let employee = of("employee").table;
        assert!(employee.contains("\"department\" \"employee_department\" NOT NULL,"), "{employee}");
        assert!(employee.starts_with("CREATE TYPE \"employee_department\" AS ENUM ('Marketing',"));
        let weather = of("weatherdata").table;
        assert!(weather.contains("\"weather\" \"weatherdata_weather\",\n"), "{weather}");
    }
}
