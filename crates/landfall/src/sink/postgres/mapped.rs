//! A table as the database has it now: what the statements for its rows need and the catalogue leaves out.
//! It only reads, and is asked again after every error.

use std::sync::Arc;

use super::catalogue::known_name;
use super::errors::classify;
use super::text;
use super::wire::{Cell, Step, Wire};
use crate::error::SinkError;
use crate::model::{Column, ColumnType, Table};
use crate::sink::parts::{self, no_such_table};

/// A table with what its statements are made of.
pub(super) struct Mapped {
    pub(super) table: Arc<Table>,
    /// With its schema, quoted.
    pub(super) qualified: String,
    pub(super) columns: Vec<Physical>,
    /// The columns of each unique index, for the words of a refusal.
    pub(super) indexes: Vec<(String, String)>,
    /// The unique index of `request_id` can decide a conflict: it is not deferrable.
    pub(super) request_id_decides: bool,
    /// The key can decide a conflict, and nothing but the columns themselves is asked of a proposed row.
    pub(super) is_plain: bool,
}

/// A column as the database has it.
pub(super) struct Physical {
    pub(super) quoted: String,
    /// The type without its length, which a cast would cut values to.
    pub(super) base: String,
    /// The length, precision and so on, as PostgreSQL packs them; -1: none.
    pub(super) modifier: i64,
    /// Only an insert that says so may name it.
    pub(super) is_always: bool,
    /// A list: `unnest` would take it apart, so it travels as a text.
    pub(super) is_list: bool,
}

const FIND: &str = concat!(
    "SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname), \
 NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c') \
 AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) \
 AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid \
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND y.typtype = 'd') \
 AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate) \
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
 WHERE ",
    known_name!(),
    " = $1::text AND c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'landfall') \
 ORDER BY pg_table_is_visible(c.oid) DESC"
);
const COLUMNS: &str = "SELECT a.attname, quote_ident(a.attname), \
 format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE a.atttypid END, -1), a.atttypmod, a.attidentity = 'a' \
 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
 WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped";
const INDEXES: &str = "SELECT x.relname, (SELECT string_agg(a.attname, ',' ORDER BY k.n) \
 FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(at, n) \
 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.at WHERE k.n <= i.indnkeyatts), \
 i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL \
 FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = $1::oid AND i.indisunique";

impl Mapped {
    /// Asks the database for what the catalogue leaves out.
    pub(super) fn new(wire: &mut Wire, table: &Arc<Table>) -> Result<Mapped, SinkError> {
        let failed = |failure| classify(&table.name, failure, |_| None);
        let name = Some(table.name.as_bytes().to_vec());
        let found = wire.run(&[Step::new(FIND, vec![name])]).map_err(failed)?;
        let found = found.into_iter().next().unwrap_or_default().rows.into_iter().next();
        let found = found.ok_or_else(|| no_such_table(&table.name))?;
        let of = |sql: &'static str| Step::new(sql, vec![found[0].clone()]);
        let answers = wire.run(&[of(COLUMNS), of(INDEXES)]).map_err(failed)?;
        let (physical, indexes) = (&answers[0].rows, &answers[1].rows);
        let column = |column: &Column| {
            let row = physical.iter().find(|row| row[0].as_deref() == Some(column.name.as_bytes()))?;
            Some(Physical {
                quoted: text::string(row.get(1))?,
                base: text::string(row.get(2))?,
                modifier: text::whole(row.get(3))?,
                is_always: row[4].as_deref() == Some(b"t"),
                is_list: matches!(column.kind, ColumnType::Array { .. }),
            })
        };
        let columns = table.columns.iter().map(column).collect::<Option<Vec<_>>>();
        let index = |row: &Vec<Cell>| {
            let columns = text::string(row.get(1)).unwrap_or_default();
            let columns: Vec<_> =
                columns.split(',').map(|column| format!("{}.{column}", table.name)).collect();
            Some((text::string(row.first())?, columns.join(", ")))
        };
        let decides = |row: &Vec<Cell>| {
            row[1].as_deref() == Some(parts::REQUEST_ID.as_bytes()) && row[2].as_deref() == Some(b"t")
        };
        Ok(Mapped {
            table: Arc::clone(table),
            qualified: text::string(found.get(1)).unwrap_or_default(),
            columns: columns.ok_or_else(|| no_such_table(&table.name))?,
            indexes: indexes.iter().filter_map(index).collect(),
            request_id_decides: indexes.iter().any(decides),
            is_plain: found[2].as_deref() == Some(b"t"),
        })
    }
}
