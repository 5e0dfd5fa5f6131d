//! What clients ask for, how it is asked, and what has to be answered.
//! The expected answer follows from the history alone; it never looks at the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use landfall::engine::ops::{fields, keys, numbers, rows, strings};
use landfall::engine::{Refusal, Stop, Unit};
use landfall::model::mapping::Target;
use landfall::model::{Name, RowKey, Value};

use super::context::Context;
use super::history::{Row, Rows};
use super::streams::StreamCommand;
use super::tables::{has_children, of_table};

/// One command. Values are unique in a run, so that a value names its write.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    Set(u64, String, Option<u64>),
    Get(u64),
    Delete(u64),
    Increment(u64),
    SetField(u64, u64, String),
    Fields(u64),
    Put(u64, String),
    Grow(u64, i64),
    Add(u64, i64),
    Read(&'static str, u64),
    DeleteRow(&'static str, u64),
    Parent(u64, String),
    Child(u64, u64, String),
    Account(u64, String, String),
    Owner(u64, String),
    Click(String),
    Reading(String),
    Stream(u64, StreamCommand),
}

/// What a command answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// Nothing that is compared.
    Done,
    Text(Option<String>),
    Sum(i64),
    Row(BTreeMap<String, String>),
    Was(bool),
}

const KEYS: u64 = 3;
/// How many streams there are.
pub(super) const STREAMS: u64 = 2;
const ROWS: u64 = 4;
/// What a value is longer by where the log is to fill.
const LONG_BYTES: usize = 300;
/// Commands about relatives meet in fewer rows.
const RELATED_ROWS: u64 = 2;

impl Command {
    /// Any command that is valid now.
    pub(super) fn any(context: &Context, view: &Rows, unique: u64) -> Command {
        let kind = context.below(23);
        Command::of(kind, ROWS, context, view, unique)
    }

    /// Any command of a table with constraints.
    pub(super) fn of_relatives(context: &Context, view: &Rows, unique: u64) -> Command {
        let kind = [14, 16, 16, 17, 18, 18, 19, 19, 19, 22][context.below(10) as usize];
        Command::of(kind, RELATED_ROWS, context, view, unique)
    }

    /// Any command on a stream.
    pub(super) fn of_stream(context: &Context, view: &Rows, unique: u64) -> Command {
        let key = context.below(STREAMS);
        let stream = view.rows.get(&RowKey::of_key(format!("t{key}").as_bytes()));
        Command::Stream(key, StreamCommand::any(context, stream.map(|stream| &**stream), unique))
    }

    fn of(kind: u64, rows: u64, context: &Context, view: &Rows, unique: u64) -> Command {
        let long = if context.spills { "+".repeat(LONG_BYTES) } else { String::new() };
        let value = format!("v{unique}{long}");
        let (key, row) = (context.below(KEYS), 1 + context.below(rows));
        match kind {
            0..=1 => Command::Set(key, value, context.one_in(3).then(|| 1 + context.below(400))),
            2 => Command::Get(key),
            3 => Command::Delete(key),
            4..=5 => Command::Increment(key),
            6..=7 => Command::SetField(key, context.below(3), value),
            8 => Command::Fields(key),
            9..=10 => Command::Put(row, value),
            11..=12 => Command::Grow(row, 1 + context.below(5) as i64),
            13 => Command::Add(row, 1),
            14..=15 => Command::Read(["page", "parent", "child", "account"][context.below(4) as usize], row),
            16 => {
                let table = ["page", "child", "account", "parent"][context.below(4) as usize];
                if table == "parent" && has_children(view, row as i64) {
                    return Command::Read("parent", row);
                }
                Command::DeleteRow(table, row)
            }
            17 => Command::Parent(row, value),
            18 => match RowKey::of_table("parent", &[Value::Int(row as i64)]) {
                parent if view.rows.contains_key(&parent) => {
                    Command::Child(1 + context.below(rows), row, value)
                }
                _ => Command::Parent(row, value),
            },
            19 => {
                let email = format!("e{}", context.below(3));
                let account = Command::Account(row, email, value);
                if account.is_valid(view) { account } else { Command::DeleteRow("account", row) }
            }
            20 => Command::Click(format!("c{}", if context.one_in(4) { unique / 2 } else { unique })),
            21 => Command::Reading(format!("r{unique}")),
            _ => Command::Owner(row, value),
        }
    }

    /// Whether no constraint stands against it.
    pub(super) fn is_valid(&self, view: &Rows) -> bool {
        match self {
            Command::DeleteRow("parent", row) => !has_children(view, *row as i64),
            Command::Child(_, parent, _) => {
                view.rows.contains_key(&RowKey::of_table("parent", &[Value::Int(*parent as i64)]))
            }
            Command::Account(row, email, _) => {
                let own = RowKey::of_table("account", &[Value::Int(*row as i64)]);
                let text = Value::from(email.as_str());
                of_table(view, "account")
                    .all(|(key, other)| *key == own || other.get(&Name::column("email")) != Some(&text))
            }
            _ => true,
        }
    }

    /// Whether it is about no row.
    pub(super) fn is_event(&self) -> bool {
        matches!(self, Command::Click(_) | Command::Reading(_))
    }

    pub(super) fn key(&self) -> String {
        match self {
            Command::Set(key, ..) | Command::Get(key) | Command::Delete(key) => format!("s{key}"),
            Command::Increment(key) => format!("n{key}"),
            Command::Stream(key, _) => format!("t{key}"),
            Command::SetField(key, ..) | Command::Fields(key) => format!("h{key}"),
            Command::Put(row, _) | Command::Grow(row, _) | Command::Add(row, _) => format!("page:{row}"),
            Command::Read(table, row) | Command::DeleteRow(table, row) => format!("{table}:{row}"),
            Command::Parent(row, _) => format!("parent:{row}"),
            Command::Child(row, ..) => format!("child:{row}"),
            Command::Account(row, ..) | Command::Owner(row, _) => format!("account:{row}"),
            Command::Click(_) => "click".into(),
            Command::Reading(_) => "reading".into(),
        }
    }

    /// Whether it is about a table, and not about a key-value key.
    pub(super) fn is_of_table(&self) -> bool {
        self.is_event() || self.key().contains(':')
    }

    /// The row that it is about; none for an event.
    pub(super) fn row(&self) -> Option<RowKey> {
        if self.is_event() {
            return None;
        }
        let key = self.key();
        Some(match key.split_once(':') {
            Some((table, id)) => RowKey::of_table(table, &[Value::Int(id.parse().unwrap_or(0))]),
            None => RowKey::of_key(key.as_bytes()),
        })
    }

    /// Asks a unit for it.
    pub(super) fn run(&self, unit: &mut Unit<'_>, at: usize, target: &Target) -> Result<Answer, Stop> {
        let put = |unit: &mut Unit<'_>, pairs: &[(&str, &str)]| {
            let pairs: Vec<(&[u8], &[u8])> =
                pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            fields::set(unit, at, target, &pairs).map(|_| Answer::Done)
        };
        match self {
            Command::Set(_, value, ttl) => {
                let expiry = ttl.map_or(strings::Expiry::None, |ms| strings::Expiry::At(unit.now_ms() + ms));
                let how = (strings::Condition::Always, expiry, false);
                strings::set(unit, at, target, value.as_bytes(), how, &[]).map(|_| Answer::Done)
            }
            Command::Get(_) => Ok(Answer::Text(
                strings::get(unit, at, target)?.map(|text| String::from_utf8_lossy(&text).into_owned()),
            )),
            Command::Delete(_) => keys::delete(unit, at, target).map(Answer::Was),
            Command::Increment(_) => numbers::increment(unit, at, target, 1).map(Answer::Sum),
            Command::Stream(_, command) => command.run(unit, at, target),
            Command::SetField(_, field, value) => put(unit, &[(&format!("f{field}"), value)]),
            Command::Fields(_) | Command::Read(..) => {
                let mut row = BTreeMap::new();
                fields::get_all(unit, at, target, |_, each| {
                    row.extend(each.map(|(name, value)| {
                        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                        (text(name), text(value))
                    }));
                })?;
                Ok(Answer::Row(row))
            }
            Command::Put(_, title) => put(unit, &[("title", title)]),
            Command::Grow(_, delta) => {
                let delta = delta.to_string();
                numbers::add(unit, at, target, b"views", delta.as_bytes()).map(|()| Answer::Done)
            }
            Command::Add(_, delta) => {
                numbers::increment_field(unit, at, target, b"views", *delta).map(Answer::Sum)
            }
            Command::DeleteRow(..) => keys::delete(unit, at, target).map(|_| Answer::Done),
            Command::Parent(_, name) => put(unit, &[("name", name)]),
            Command::Child(_, parent, state) => {
                put(unit, &[("parent_id", &parent.to_string()), ("state", state)])
            }
            Command::Account(_, email, owner) => put(unit, &[("email", email), ("owner", owner)]),
            Command::Owner(_, owner) => put(unit, &[("owner", owner)]),
            Command::Click(id) => event(unit, target, &[("request_id", id), ("url", "u")]),
            Command::Reading(id) => event(unit, target, &[("id", id), ("value", "1")]),
        }
    }

    /// What it does to the rows, and what it has to answer.
    pub(super) fn expect(&self, rows: &mut Rows, now_ms: u64) -> Answer {
        let Some(row) = self.row() else { return self.count_event(rows) };
        let part = Name::from_bytes;
        let seen = rows.rows.get(&row).filter(|columns| is_seen(&row, columns, now_ms)).cloned();
        if let Command::Stream(_, command) = self {
            let (stream, answer) = command.expect(seen.as_deref().cloned(), now_ms);
            match stream {
                Some(stream) => drop(rows.rows.insert(row, Arc::new(stream))),
                // What is over is removed only when it is written to or swept.
                None if seen.is_some() => drop(rows.rows.remove(&row)),
                None => {}
            }
            return answer;
        }
        let mut columns = seen.as_deref().cloned().unwrap_or_default();
        let text = |value: &str| Value::from(value);
        let answer = match self {
            Command::Set(_, value, ttl) => {
                columns = Row::from([(part(Name::STRING), Value::bytes(value.as_bytes()))]);
                if let Some(ms) = ttl {
                    columns.insert(part(Name::EXPIRES), Value::Int((now_ms + ms) as i64));
                }
                Answer::Done
            }
            Command::Get(_) => return Answer::Text(columns.get(&part(Name::STRING)).map(shown)),
            Command::Fields(_) | Command::Read(..) => return Answer::Row(self.shown_row(seen.as_deref())),
            Command::Delete(_) => {
                if seen.is_some() {
                    rows.rows.remove(&row);
                }
                return Answer::Was(seen.is_some());
            }
            Command::DeleteRow(..) => {
                rows.rows.remove(&row);
                return Answer::Done;
            }
            Command::Increment(_) => increment(&mut columns),
            Command::SetField(_, field, value) => {
                let name = Name::field(format!("f{field}").as_bytes());
                columns.insert(name, Value::bytes(value.as_bytes()));
                Answer::Done
            }
            Command::Grow(_, delta) | Command::Add(_, delta) => {
                let old = match columns.get(&Name::column("views")) {
                    Some(Value::Int(old)) => *old,
                    _ => 0,
                };
                columns.insert(Name::column("views"), Value::Int(old + delta));
                if matches!(self, Command::Add(..)) { Answer::Sum(old + delta) } else { Answer::Done }
            }
            Command::Put(_, title) => put_columns(&mut columns, &[("title", text(title))]),
            Command::Parent(_, name) => put_columns(&mut columns, &[("name", text(name))]),
            Command::Child(_, parent, state) => put_columns(
                &mut columns,
                &[("parent_id", Value::Int(*parent as i64)), ("state", text(state))],
            ),
            Command::Owner(_, owner) => put_columns(&mut columns, &[("owner", text(owner))]),
            Command::Account(_, email, owner) => {
                put_columns(&mut columns, &[("email", text(email)), ("owner", text(owner))])
            }
            Command::Click(_) | Command::Reading(_) | Command::Stream(..) => Answer::Done,
        };
        rows.rows.insert(row, Arc::new(columns));
        answer
    }

    fn count_event(&self, rows: &mut Rows) -> Answer {
        let (table, id) = match self {
            Command::Click(id) => ("click", id),
            Command::Reading(id) => ("reading", id),
            _ => return Answer::Done,
        };
        let id = format!("{:?}", Some(Value::from(id.as_str())));
        let count = rows.events.entry((table.into(), id)).or_default();
        *count = if table == "click" { 1 } else { *count + 1 };
        Answer::Done
    }

    fn shown_row(&self, columns: Option<&Row>) -> BTreeMap<String, String> {
        let Some(columns) = columns else { return BTreeMap::new() };
        let mut row: BTreeMap<String, String> = columns
            .iter()
            .filter(|(name, _)| name.as_bytes() != Name::EXPIRES)
            .map(|(name, value)| {
                let field = name.as_field().map(|field| String::from_utf8_lossy(field).into_owned());
                (field.unwrap_or_else(|| name.to_text().into_owned()), shown(value))
            })
            .collect();
        if let Command::Read(_, id) = self {
            row.insert("id".into(), id.to_string());
        }
        row
    }
}

/// Whether a reader sees a row: one whose time is not over, and that is more than a time.
fn is_seen(row: &RowKey, columns: &Row, now_ms: u64) -> bool {
    let is_over = match columns.get(&Name::from_bytes(Name::EXPIRES)) {
        Some(Value::Int(ms)) => *ms as u64 <= now_ms,
        _ => false,
    };
    // A time alone is no key: a disaster took what it was given to.
    let has_value = || columns.keys().any(|name| name.as_bytes() != Name::EXPIRES);
    !is_over && (!row.is_key_value() || has_value())
}

fn increment(columns: &mut Row) -> Answer {
    let name = Name::from_bytes(Name::STRING);
    let old: i64 = columns.get(&name).and_then(|old| shown(old).parse().ok()).unwrap_or(0);
    columns.insert(name, Value::bytes((old + 1).to_string().as_bytes()));
    Answer::Sum(old + 1)
}

fn put_columns(columns: &mut Row, pairs: &[(&str, Value)]) -> Answer {
    columns.extend(pairs.iter().map(|(name, value)| (Name::column(name), value.clone())));
    Answer::Done
}

fn shown(value: &Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::Text(text) => text.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    }
}

fn event(unit: &mut Unit<'_>, target: &Target, pairs: &[(&str, &str)]) -> Result<Answer, Stop> {
    let Target::Table(table) = target else { return Err(Refusal::invalid("no table").into()) };
    let pairs: Vec<(&[u8], &[u8])> =
        pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let columns = rows::event(table, &pairs)?;
    unit.append(table, columns, 0);
    Ok(Answer::Done)
}
