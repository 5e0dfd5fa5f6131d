//! `landfall log dump`: shows the records of a log, one line each, damaged or not. It changes nothing, and shows keys and
//! values only when it is asked to.

use anyhow::Result;
use clap::Args;
use landfall::buffer::log::local::{Content, DumpEntry, Dumped, LocalLog};
use landfall::env;
use landfall::model::row::RowName;
use landfall::model::{Change, Intent, LaneId, LoggedChange, Name, Position, Value};
use serde_json::{Value as Json, json};

use super::{Output, Progress, Which, damage_json, damage_line, failure};
use crate::cli::Context;
use crate::failure::{FINDING, OK};

/// Show the records of the log, one line each
///
/// A line is file and offset, when it was written, its size, each lane with the position in it, and the changes. Keys and
/// values are hidden, with their sizes shown, unless --values is given. The server may be running. With --json each line
/// is an object. Ends with 1 when something is damaged.
#[derive(Args)]
#[command(after_help = "Example: landfall log dump landfall-data --lane 2 --from 100 --to 120")]
pub(super) struct Dump {
    #[command(flatten)]
    which: Which,
    /// Only records of this lane
    #[arg(long, value_name = "NUMBER")]
    lane: Option<u32>,
    /// Only from this position on
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    from: Position,
    /// Only up to this position
    #[arg(long, value_name = "POSITION", default_value_t = Position::MAX, hide_default_value = true)]
    to: Position,
    /// Show keys and values
    #[arg(long)]
    values: bool,
}

impl Dump {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        let settings = self.which.resolve(context)?.settings;
        let mut progress = Progress::new(context);
        let mut out = Output::new();
        let mut damaged = false;
        let wanted = |lanes: &[(LaneId, Position)]| {
            let asked = |&(lane, position): &(LaneId, Position)| {
                self.lane.is_none_or(|asked| asked == lane.0) && (self.from..=self.to).contains(&position)
            };
            // A lane map belongs to all lanes and to no position.
            lanes.iter().any(asked) || (lanes.is_empty() && self.lane.is_none() && self.from == 0)
        };
        let dumped = LocalLog::dump(
            &env::real(),
            &settings.data_dir,
            &mut |done, total| progress.update(done, total),
            &wanted,
            &mut |entry| match entry {
                DumpEntry::Damage(damage) => {
                    damaged |= !damage.torn;
                    let kind = if damage.torn { "torn" } else { "DAMAGE" };
                    out.line(&match context.global.json {
                        true => json!({ "damage": damage_json(&damage) }).to_string(),
                        false => format!("{kind}  {}", damage_line(&damage)),
                    });
                }
                DumpEntry::Record(record) => out.line(&match context.global.json {
                    true => self.json(&record).to_string(),
                    false => self.line(&record),
                }),
            },
        );
        drop(progress);
        dumped.map_err(|error| failure(&error))?;
        out.finish()?;
        Ok(if damaged { FINDING } else { OK })
    }

    fn line(&self, record: &Dumped<'_>) -> String {
        let file = record.file.file_name().unwrap_or_default().to_string_lossy();
        let places: Vec<String> =
            record.lanes.iter().map(|(lane, position)| format!("{lane}:{position}")).collect();
        let content = match &record.content {
            Content::Gap => "gap: the database was ahead of the log".to_owned(),
            Content::Unreadable(reason) => format!("UNREADABLE: {reason}"),
            Content::Lanes(lanes) => {
                let lanes = lanes.iter().enumerate().map(|(number, (name, head))| {
                    format!("{number}={}/{} at {}", name.group, name.index, head.position)
                });
                format!("lanes: {}", lanes.collect::<Vec<_>>().join(", "))
            }
            Content::Changes(changes) => {
                changes.iter().map(|(_, change)| self.change(change)).collect::<Vec<_>>().join("; ")
            }
        };
        let at = format!("{file}+{}", record.offset);
        format!("{at}  {} ms  {} bytes  {}  {content}", record.time_ms, record.bytes, places.join(" "))
    }

    fn json(&self, record: &Dumped<'_>) -> Json {
        let lanes: Vec<Json> = record
            .lanes
            .iter()
            .map(|(lane, position)| json!({"lane": lane.0, "position": position}))
            .collect();
        let (kind, content) = match &record.content {
            Content::Gap => ("gap", Json::Null),
            Content::Unreadable(reason) => ("unreadable", json!(reason)),
            Content::Lanes(lanes) => {
                let lane = |(name, head): &(landfall::buffer::log::LaneName, landfall::buffer::log::Head)| json!({"group": name.group, "index": name.index, "last": head.position});
                ("lanes", lanes.iter().map(lane).collect())
            }
            Content::Changes(changes) => {
                ("changes", changes.iter().map(|(_, change)| json!(self.change(change))).collect())
            }
        };
        json!({
            "file": record.file.display().to_string(),
            "offset": record.offset,
            "bytes": record.bytes,
            "time_ms": record.time_ms,
            "lanes": lanes,
            "kind": kind,
            "content": content,
        })
    }

    fn change(&self, change: &LoggedChange) -> String {
        match change {
            LoggedChange::Append { table, columns } => {
                let columns = columns.iter().map(|(name, value)| self.column(name, "=", value));
                format!("append {table} {}", columns.collect::<Vec<_>>().join(" "))
            }
            LoggedChange::Clear => "clear all keys".into(),
            LoggedChange::Letter { key, intent } => {
                let of = key.row().map_or("an event".into(), |row| {
                    self.change(&LoggedChange::Row { row, change: Change::Delete }).replacen("delete ", "", 1)
                });
                let verb = match intent {
                    Intent::Retry => "retry",
                    Intent::Drop => "drop",
                    Intent::Edit(_) => "edit",
                };
                format!("{verb} the dead letter of {of}")
            }
            LoggedChange::Row { row, change } => {
                let row = match (row.decode(), self.values) {
                    (Err(reason), _) => format!("(unreadable key: {reason})"),
                    (Ok(RowName::Key(key)), false) => format!("key ({} bytes)", key.len()),
                    (Ok(RowName::Key(key)), true) => format!("key {:?}", String::from_utf8_lossy(key)),
                    (Ok(RowName::Table { table, key }), false) => {
                        format!("{table} (key of {} bytes)", key.iter().map(size_bytes).sum::<usize>())
                    }
                    (Ok(RowName::Table { table, key }), true) => {
                        format!("{table} {}", key.iter().map(shown).collect::<Vec<_>>().join(":"))
                    }
                };
                match change {
                    Change::Delete => format!("delete {row}"),
                    Change::Upsert(upsert) => {
                        let verb = if upsert.replace { "replace" } else { "put" };
                        let columns = upsert.columns.iter().map(|(name, op)| {
                            let sign = if matches!(op, landfall::model::Op::Add(_)) { "+=" } else { "=" };
                            self.column(name, sign, op.value())
                        });
                        format!("{verb} {row} {}", columns.collect::<Vec<_>>().join(" "))
                    }
                }
            }
        }
    }

    fn column(&self, name: &Name, sign: &str, value: &Value) -> String {
        let value = match self.values {
            true => shown(value),
            false => format!("({} bytes)", size_bytes(value)),
        };
        // The name of a hash's field comes from a client, and may say as much as a value.
        match (name.as_field(), name.as_entry(), self.values) {
            (Some(field), _, false) => format!("field ({} bytes){sign}{value}", field.len()),
            (None, Some(id), _) => format!("entry {id}{sign}{value}"),
            _ => format!("{}{sign}{value}", name.to_text()),
        }
    }
}

fn size_bytes(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(_) | Value::Float(_) => 8,
        Value::Decimal(number) => number.to_plain_string().len(),
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Decimal(number) => number.to_plain_string(),
        Value::Text(text) => format!("{text:?}"),
        Value::Bytes(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
    }
}
