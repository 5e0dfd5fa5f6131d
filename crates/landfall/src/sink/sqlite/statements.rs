//! The texts of the statements for mapped tables: one per table and set of columns, so that few are prepared.
//! Names come from the catalogue and are always quoted; values are always bound.

use std::fmt::Write;

/// A name in double quotes, which are doubled inside it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The quoted names of a table and its key, from which statements are made.
///
/// Columns that are read are written with their table: SQLite would take a quoted name of no column for a text.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) table: String,
    pub(super) columns: Vec<String>,
    pub(super) key: Vec<usize>,
}

impl Names {
    pub(super) fn select(&self, columns: impl IntoIterator<Item = usize>) -> String {
        let mut sql = "SELECT ".to_owned();
        for (at, column) in columns.into_iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let _ = write!(sql, "{comma}{}.{}", self.table, self.columns[column]);
        }
        let _ = write!(sql, " FROM {}", self.table);
        self.push_where(&mut sql, 0);
        sql
    }

    /// Whether the row is there.
    pub(super) fn exists(&self) -> String {
        let mut sql = format!("SELECT 1 FROM {}", self.table);
        self.push_where(&mut sql, 0);
        sql
    }

    /// At most as many keys as the last value bound says, by key: all of them, or those behind the key that is bound first.
    pub(super) fn page(&self, is_behind: bool) -> String {
        let key: Vec<String> =
            self.key.iter().map(|&column| format!("{}.{}", self.table, self.columns[column])).collect();
        let (list, there) = (key.join(", "), key.join(" IS NOT NULL AND "));
        let mut sql = format!("SELECT {list} FROM {} WHERE {there} IS NOT NULL", self.table);
        let mut bound = 0;
        if is_behind {
            bound = key.len();
            let values: Vec<String> = (1..=bound).map(|number| format!("?{number}")).collect();
            let _ = write!(sql, " AND ({list}) > ({})", values.join(", "));
        }
        let _ = write!(sql, " ORDER BY {list} LIMIT ?{}", bound + 1);
        sql
    }

    pub(super) fn delete(&self) -> String {
        let mut sql = format!("DELETE FROM {}", self.table);
        self.push_where(&mut sql, 0);
        sql
    }

    /// Each column gets the next bound value, or an expression of the schema; the key is bound after them.
    pub(super) fn update<'e>(&self, columns: impl IntoIterator<Item = (usize, Option<&'e str>)>) -> String {
        let mut sql = format!("UPDATE {} SET ", self.table);
        let mut bound = 0;
        for (at, (column, expression)) in columns.into_iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let name = &self.columns[column];
            match expression {
                Some(expression) => {
                    let _ = write!(sql, "{comma}{name} = ({expression})");
                }
                None => {
                    bound += 1;
                    let _ = write!(sql, "{comma}{name} = ?{bound}");
                }
            }
        }
        self.push_where(&mut sql, bound);
        sql
    }

    /// Inserts the columns in this order; with `unless_taken`, a row with the same value there changes nothing.
    pub(super) fn insert(&self, columns: &[usize], unless_taken: Option<usize>) -> String {
        let mut sql = format!("INSERT INTO {}", self.table);
        if columns.is_empty() {
            sql.push_str(" DEFAULT VALUES");
            return sql;
        }
        let names: Vec<&str> = columns.iter().map(|&column| &*self.columns[column]).collect();
        let _ = write!(sql, " ({}) VALUES (?{})", names.join(", "), ", ?".repeat(columns.len() - 1));
        if let Some(column) = unless_taken {
            let _ = write!(sql, " ON CONFLICT ({}) DO NOTHING", self.columns[column]);
        }
        sql
    }

    fn push_where(&self, sql: &mut String, bound: usize) {
        for (at, &column) in self.key.iter().enumerate() {
            let word = if at == 0 { "WHERE" } else { "AND" };
            let _ = write!(sql, " {word} {}.{} = ?{}", self.table, self.columns[column], bound + at + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_values_are_bound() {
        let names = Names {
            table: quoted("my \"table\""),
            columns: ["from", "to", "user"].map(quoted).into(),
            key: vec![0, 1],
        };
        assert_eq!(
            names.update([(2, None)]),
            r#"UPDATE "my ""table""" SET "user" = ?1 WHERE "my ""table"""."from" = ?2 AND "my ""table"""."to" = ?3"#
        );
        assert_eq!(
            names.insert(&[0, 2], Some(2)),
            r#"INSERT INTO "my ""table""" ("from", "user") VALUES (?, ?) ON CONFLICT ("user") DO NOTHING"#
        );
        let names = Names { table: quoted("t"), ..names };
        assert_eq!(
            names.page(true),
            r#"SELECT "t"."from", "t"."to" FROM "t" WHERE "t"."from" IS NOT NULL AND "t"."to" IS NOT NULL AND ("t"."from", "t"."to") > (?1, ?2) ORDER BY "t"."from", "t"."to" LIMIT ?3"#
        );
        assert_eq!(names.insert(&[], None), r#"INSERT INTO "t" DEFAULT VALUES"#);
    }
}
