//! Lands and loads key-value keys: strings and heads of streams in one table, fields of hashes in another, entries of
//! streams in a third, bytes as they are.
//! A key's row is there from the first upsert to its delete; its parts come and go.

use std::collections::{BTreeMap, HashMap};

use super::text::{self, array, hex, number};
use super::wire::{Answer, Cell, Step};
use crate::error::SinkError;
use crate::model::{Change, EntryId, LaneId, Name, Op, Upsert, Value};
use crate::sink::parts::{self, Part};
use crate::sink::{KeyKind, StoredKey};

pub(super) const TABLE: &str = "landfall_key";

/// A change of a key.
pub(super) type KeyOp<'l> = (LaneId, &'l [u8], &'l Change);

/// What is stored now, of the keys that are added to.
#[derive(Default)]
pub(super) struct Stored {
    strings: HashMap<Vec<u8>, Vec<u8>>,
    fields: HashMap<(Vec<u8>, Vec<u8>), Vec<u8>>,
}

/// What lands, as columns of arrays.
#[derive(Default)]
struct Batch {
    /// Keys whose fields go.
    emptied: Vec<Cell>,
    /// Keys that go.
    deleted: Vec<Cell>,
    /// By which of kind, value, expiry and a stream's head are set: key, kind, value, expiry, head, lane.
    heads: BTreeMap<[bool; 4], [Vec<Cell>; 6]>,
    /// Key, field, value.
    fields: [Vec<Cell>; 3],
    /// Key, field.
    removed: [Vec<Cell>; 2],
    /// Key, id, fields.
    entries: [Vec<Cell>; 3],
    /// Key, id.
    trimmed: [Vec<Cell>; 2],
}

/// What lands changes of keys, each of another key; `stored` is what [`added`] asks for.
pub(super) fn change(ops: &[KeyOp<'_>], stored: &Stored) -> Result<Vec<Step>, SinkError> {
    let mut batch = Batch::default();
    for (lane, key, change) in ops {
        match change {
            Change::Delete => {
                batch.emptied.push(Some(hex(key)));
                batch.deleted.push(Some(hex(key)));
            }
            Change::Upsert(upsert) => batch.upsert(*lane, key, upsert, stored)?,
        }
    }
    Ok(batch.steps())
}

/// What lands a clear.
pub(super) fn clear() -> Vec<Step> {
    let tables = ["landfall_hash_field", "landfall_stream_entry", "landfall_key"];
    tables.map(|table| Step::bare(format!("DELETE FROM landfall.{table}"))).into()
}

/// What asks for the keys that are added to, if there are any. Nobody else writes these keys: the lane's row is ours until
/// the transaction ends.
pub(super) fn added(ops: &[KeyOp<'_>]) -> Option<[Step; 2]> {
    let is_added = |change: &Change| match change {
        Change::Upsert(upsert) => {
            !upsert.replace && upsert.columns.iter().any(|(_, op)| matches!(op, Op::Add(_)))
        }
        Change::Delete => false,
    };
    let keys: Vec<Cell> =
        ops.iter().filter(|(_, _, change)| is_added(change)).map(|(_, key, _)| Some(hex(key))).collect();
    if keys.is_empty() {
        return None;
    }
    let keys = array(&keys);
    Some(
        [
            "SELECT key, value FROM landfall.landfall_key WHERE value IS NOT NULL AND landfall.indexed(key) \
             IN (SELECT landfall.indexed(k) FROM unnest($1::bytea[]) AS k)",
            "SELECT key, field, value FROM landfall.landfall_hash_field WHERE landfall.indexed(key) \
             IN (SELECT landfall.indexed(k) FROM unnest($1::bytea[]) AS k)",
        ]
        .map(|sql| Step::new(sql, vec![keys.clone()])),
    )
}

impl Stored {
    /// From the answers to [`added`].
    pub(super) fn read(answers: &[Answer]) -> Stored {
        let mut stored = Stored::default();
        let cell = |row: &[Cell], at: usize| text::bytes(row.get(at)).unwrap_or_default();
        for (is_string, answer) in [true, false].into_iter().zip(answers) {
            for row in &answer.rows {
                match is_string {
                    true => stored.strings.insert(cell(row, 0), cell(row, 1)),
                    false => stored.fields.insert((cell(row, 0), cell(row, 1)), cell(row, 2)),
                };
            }
        }
        stored
    }
}

impl Batch {
    fn upsert(
        &mut self,
        lane: LaneId,
        key: &[u8],
        upsert: &Upsert,
        stored: &Stored,
    ) -> Result<(), SinkError> {
        let emptied = upsert.replace;
        if emptied {
            self.emptied.push(Some(hex(key)));
        }
        let mut kind = None;
        let mut value: Option<Cell> = emptied.then_some(None);
        let mut expires: Option<Cell> = emptied.then_some(None);
        let mut head: Option<Cell> = emptied.then_some(None);
        for (name, op) in &upsert.columns {
            let part = Part::of(name)?;
            let new = |old: Option<&Vec<u8>>| match op {
                Op::Assign(value) => Ok(parts::stored(value)),
                Op::Add(delta) => {
                    let old = old.filter(|_| !emptied).map(Vec::as_slice);
                    parts::stored_sum(old, delta).map(|sum| parts::stored(&sum))
                }
            };
            match (part, op) {
                (Part::Expires, Op::Assign(value)) => expires = Some(parts::expiry(value)?.and_then(number)),
                (Part::Expires, Op::Add(_)) => return Err(parts::refused_key("an add to a time of expiry")),
                (Part::Stream, op) => {
                    let new = parts::of_stream(op)?.map(hex);
                    if new.is_some() {
                        kind = kind.or(Some("stream"));
                    }
                    head = Some(new);
                }
                (Part::Entry(id), op) => self.entry(key, id, parts::of_stream(op)?),
                (Part::Value, _) => {
                    let new = new(stored.strings.get(key))?;
                    if new.is_some() {
                        kind = Some("string");
                    }
                    value = Some(new.as_deref().map(hex));
                }
                (Part::Field(field), _) => {
                    if kind.is_none() && !op.value().is_null() {
                        kind = Some("hash");
                    }
                    match new(stored.fields.get(&(key.to_vec(), field.to_vec())))? {
                        Some(new) => {
                            push(&mut self.fields, [Some(hex(key)), Some(hex(field)), Some(hex(&new))])
                        }
                        None => push(&mut self.removed, [Some(hex(key)), Some(hex(field))]),
                    }
                }
            }
        }
        let shape = [kind.is_some(), value.is_some(), expires.is_some(), head.is_some()];
        let cells = [
            Some(hex(key)),
            Some(kind.unwrap_or("hash").into()),
            value.flatten(),
            expires.flatten(),
            head.flatten(),
            number(lane.0.into()),
        ];
        push(self.heads.entry(shape).or_default(), cells);
        Ok(())
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (keys, table) in [
            (&self.emptied, "landfall_hash_field"),
            (&self.emptied, "landfall_stream_entry"),
            (&self.deleted, "landfall_key"),
        ] {
            if !keys.is_empty() {
                let sql = format!(
                    "DELETE FROM landfall.{table} WHERE landfall.indexed(key) IN (SELECT landfall.indexed(k) FROM unnest($1::bytea[]) AS k)"
                );
                steps.push(Step::new(sql, vec![array(keys)]));
            }
        }
        for (shape, columns) in &self.heads {
            let mut sql = "INSERT INTO landfall.landfall_key (key, kind, value, expires_ms, head, lane) \
                 SELECT * FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::bigint[], $5::bytea[], $6::bigint[]) \
                 ON CONFLICT (landfall.indexed(key)) DO UPDATE SET lane = excluded.lane"
                .to_owned();
            let parts = [
                ", kind = excluded.kind",
                ", value = excluded.value",
                ", expires_ms = excluded.expires_ms",
                ", head = excluded.head",
            ];
            for (is_set, part) in shape.iter().zip(parts) {
                if *is_set {
                    sql.push_str(part);
                }
            }
            steps.push(Step::new(sql, columns.iter().map(array).collect()));
        }
        if !self.fields[0].is_empty() {
            let sql = "INSERT INTO landfall.landfall_hash_field (key, field, value) \
                 SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) \
                 ON CONFLICT (landfall.indexed(key), landfall.indexed(field)) DO UPDATE SET value = excluded.value";
            steps.push(Step::new(sql, self.fields.iter().map(array).collect()));
        }
        if !self.removed[0].is_empty() {
            let sql = "DELETE FROM landfall.landfall_hash_field WHERE (landfall.indexed(key), landfall.indexed(field)) \
                 IN (SELECT landfall.indexed(k), landfall.indexed(f) FROM unnest($1::bytea[], $2::bytea[]) AS i(k, f))";
            steps.push(Step::new(sql, self.removed.iter().map(array).collect()));
        }
        self.entry_steps(&mut steps);
        steps
    }

    fn entry(&mut self, key: &[u8], id: EntryId, fields: Option<&[u8]>) {
        let id = [id.ms.to_be_bytes(), id.seq.to_be_bytes()].concat();
        match fields {
            Some(fields) => push(&mut self.entries, [Some(hex(key)), Some(hex(&id)), Some(hex(fields))]),
            None => push(&mut self.trimmed, [Some(hex(key)), Some(hex(&id))]),
        }
    }

    fn entry_steps(&self, steps: &mut Vec<Step>) {
        if !self.entries[0].is_empty() {
            let sql = "INSERT INTO landfall.landfall_stream_entry (key, id, fields) \
                 SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) \
                 ON CONFLICT (landfall.indexed(key), id) DO UPDATE SET fields = excluded.fields";
            steps.push(Step::new(sql, self.entries.iter().map(array).collect()));
        }
        if !self.trimmed[0].is_empty() {
            let sql = "DELETE FROM landfall.landfall_stream_entry WHERE (landfall.indexed(key), id) \
                 IN (SELECT landfall.indexed(k), e FROM unnest($1::bytea[], $2::bytea[]) AS i(k, e))";
            steps.push(Step::new(sql, self.trimmed.iter().map(array).collect()));
        }
    }
}

fn push<const N: usize>(columns: &mut [Vec<Cell>; N], cells: [Cell; N]) {
    columns.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
}

/// What asks for the parts of a key: its own row, its fields, its entries; [`loaded`] understands the answers.
pub(super) fn asked(key: &[u8]) -> [Step; 3] {
    let bound = || vec![Some(hex(key))];
    [
        Step::new(
            "SELECT value, expires_ms, head FROM landfall.landfall_key WHERE landfall.indexed(key) = landfall.indexed($1::bytea)",
            bound(),
        ),
        Step::new(
            "SELECT field, value FROM landfall.landfall_hash_field WHERE landfall.indexed(key) = landfall.indexed($1::bytea) ORDER BY field",
            bound(),
        ),
        Step::new(
            "SELECT id, fields FROM landfall.landfall_stream_entry WHERE landfall.indexed(key) = landfall.indexed($1::bytea) ORDER BY id",
            bound(),
        ),
    ]
}

/// What asks for the last entry of a stream in place of all, as [`asked`] does.
pub(super) fn asked_for_last_entry(key: &[u8]) -> Step {
    Step::new(
        "SELECT id, fields FROM landfall.landfall_stream_entry WHERE landfall.indexed(key) = landfall.indexed($1::bytea) \
         ORDER BY landfall.indexed(key) DESC, id DESC LIMIT 1",
        vec![Some(hex(key))],
    )
}

/// The parts of a key, sorted by name, or none for an absent key.
pub(super) fn loaded(head: &Answer, fields: &Answer, entries: &Answer) -> Option<Vec<(Name, Value)>> {
    let head = head.rows.first()?;
    let of = |row: &[Cell], at: usize| text::bytes(row.get(at)).unwrap_or_default();
    // In the order of names: '+' sorts before '.', and that before '='.
    let entry = |row: &Vec<Cell>| {
        let name = [&b"+"[..], &of(row, 0)].concat();
        (Name::from_bytes(&name), Value::bytes(&of(row, 1)))
    };
    let mut parts: Vec<(Name, Value)> = entries.rows.iter().map(entry).collect();
    parts.extend(fields.rows.iter().map(|row| (Name::field(&of(row, 0)), Value::bytes(&of(row, 1)))));
    for (at, name) in [(2, Name::STREAM), (0, Name::STRING)] {
        parts.extend(text::bytes(head.get(at)).map(|value| (Name::from_bytes(name), Value::bytes(&value))));
    }
    parts.extend(text::whole(head.get(1)).map(|ms| (Name::from_bytes(Name::EXPIRES), Value::Int(ms))));
    Some(parts)
}

/// What asks whether there is a key at all; the answer then has a row.
pub(super) fn asked_for_any() -> Step {
    Step::bare("SELECT 1 FROM landfall.landfall_key LIMIT 1")
}

/// What asks for keys with a place above `after`, by place, and for the last place of all; [`page`] understands both.
pub(super) fn asked_for_page(after: u64, most: usize) -> [Step; 2] {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    [
        Step::new(
            "SELECT id, key, expires_ms, value IS NOT NULL, \
             EXISTS (SELECT FROM landfall.landfall_hash_field AS f WHERE landfall.indexed(f.key) = landfall.indexed(k.key)), \
             EXISTS (SELECT FROM landfall.landfall_dead_letter AS d \
               WHERE landfall.indexed(d.key) = landfall.indexed('\\x00'::bytea || k.key)) \
             , head IS NOT NULL OR EXISTS (SELECT FROM landfall.landfall_stream_entry AS e WHERE landfall.indexed(e.key) = landfall.indexed(k.key)) \
             FROM landfall.landfall_key AS k WHERE id > $1::bigint ORDER BY id LIMIT $2::bigint",
            vec![number(after), number(most)],
        ),
        Step::bare("SELECT coalesce(max(id), 0) FROM landfall.landfall_key"),
    ]
}

/// Keys by place, and the last place of all.
pub(super) fn page(keys: &Answer, last: &Answer) -> (Vec<StoredKey>, u64) {
    let key = |row: &Vec<Cell>| {
        let is_true = |at: usize| matches!(row.get(at), Some(Some(text)) if text == b"t");
        let expires_ms = text::whole(row.get(2));
        StoredKey {
            place: text::whole(row.first()).and_then(|id| u64::try_from(id).ok()).unwrap_or(0),
            key: text::bytes(row.get(1)).unwrap_or_default(),
            kind: KeyKind::of(is_true(3), is_true(6), is_true(4)),
            expires_ms: expires_ms.map_or(0, |ms| u64::try_from(ms).unwrap_or(1)),
            is_parked: is_true(5),
        }
    };
    let last = last.rows.first().and_then(|row| text::whole(row.first()));
    (keys.rows.iter().map(key).collect(), last.and_then(|last| u64::try_from(last).ok()).unwrap_or(0))
}
