//! What a client may expect, as simply as it can be said: maps, and what each command answers.
//! It knows no lane, no landing and no cache.

use std::collections::BTreeMap;

use crate::engine::ops::{fields, keys, numbers, strings};
use crate::engine::{Refusal, Stop, Unit};
use crate::model::Value;
use crate::model::mapping::Target;

/// A command on one key; the same for the engine and for the model.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Set(String, String, Option<u64>),
    SetAbsent(String, String),
    Get(String),
    Append(String, String),
    Incr(String, i64),
    Put(String, Vec<(&'static str, String)>),
    Clear(String, &'static str),
    Add(String, &'static str, i64),
    /// LANDFALL.ADD: rows only, and without an answer.
    Grow(String, &'static str, i64),
    Read(String),
    Del(String),
    Expire(String, u64),
    Persist(String),
    Evict(String),
}

/// What a command answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Nothing,
    Int(i64),
    Bool(bool),
    Text(Option<String>),
    Fields(Option<BTreeMap<String, String>>),
    WrongType,
    Invalid,
    /// The contract leaves it open.
    Open,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Text(String),
    Fields(BTreeMap<String, String>),
}

/// The state of the world.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) now_ms: u64,
    pub(super) keys: BTreeMap<String, (Content, u64)>,
    pub(super) rows: BTreeMap<String, BTreeMap<String, String>>,
}

impl Command {
    pub(super) fn key(&self) -> &str {
        use Command::*;
        match self {
            Get(key) | Read(key) | Del(key) | Persist(key) | Evict(key) => key,
            Set(key, ..) | SetAbsent(key, _) | Append(key, _) | Incr(key, _) | Put(key, _) => key,
            Clear(key, _) | Add(key, _, _) | Grow(key, _, _) | Expire(key, _) => key,
        }
    }

    /// Runs it on a unit; a refusal is an answer, a load is not.
    pub(super) fn run(&self, unit: &mut Unit<'_>, at: usize, target: &Target) -> Result<Reply, Stop> {
        match self.try_run(unit, at, target) {
            Err(Stop::Refused(Refusal::WrongType)) => Ok(Reply::WrongType),
            Err(Stop::Refused(Refusal::Invalid(_))) => Ok(Reply::Invalid),
            other => other,
        }
    }

    fn try_run(&self, unit: &mut Unit<'_>, at: usize, target: &Target) -> Result<Reply, Stop> {
        let is_row = matches!(target, Target::Row(..));
        let now_ms = unit.now_ms();
        Ok(match self {
            Command::Set(_, value, ttl) => {
                let expiry = ttl.map_or(strings::Expiry::None, |ms| strings::Expiry::At(now_ms + ms));
                let how = (strings::Condition::Always, expiry, false);
                strings::set(unit, at, target, value.as_bytes(), how, &[])?;
                Reply::Nothing
            }
            Command::SetAbsent(_, value) => {
                let how = (strings::Condition::Absent, strings::Expiry::None, false);
                Reply::Bool(strings::set(unit, at, target, value.as_bytes(), how, &[])?.0)
            }
            Command::Get(_) => Reply::Text(super::text(strings::get(unit, at, target)?)),
            Command::Append(_, tail) => {
                Reply::Int(strings::append(unit, at, target, tail.as_bytes())? as i64)
            }
            Command::Incr(_, delta) => Reply::Int(numbers::increment(unit, at, target, *delta)?),
            Command::Put(_, pairs) => {
                let pairs: Vec<(&[u8], &[u8])> =
                    pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
                let new = fields::set(unit, at, target, &pairs)?;
                if is_row { Reply::Open } else { Reply::Int(new as i64) }
            }
            Command::Clear(_, field) => {
                Reply::Int(fields::delete(unit, at, target, &[field.as_bytes()])? as i64)
            }
            Command::Add(_, field, delta) => {
                Reply::Int(numbers::increment_field(unit, at, target, field.as_bytes(), *delta)?)
            }
            Command::Grow(_, field, delta) => {
                let delta = if *field == "score" { format!("{delta}.5") } else { delta.to_string() };
                numbers::add(unit, at, target, field.as_bytes(), delta.as_bytes())?;
                Reply::Nothing
            }
            Command::Read(_) => {
                let mut found = BTreeMap::new();
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                fields::get_all(unit, at, target, |_, all| {
                    found = all.map(|(name, value)| (text(name), text(value))).collect();
                })?;
                found.remove("id");
                let there = !matches!(unit.see(at)?.view, crate::buffer::cache::View::Absent);
                Reply::Fields(there.then_some(found))
            }
            Command::Del(_) => {
                let there = keys::delete(unit, at, target)?;
                if is_row { Reply::Open } else { Reply::Bool(there) }
            }
            Command::Expire(_, ms) => Reply::Bool(keys::expire(unit, at, target, now_ms + ms)?),
            Command::Persist(_) => Reply::Bool(keys::persist(unit, at, target)?),
            Command::Evict(_) => {
                unit.evict(at);
                Reply::Nothing
            }
        })
    }
}

/// A whole number as Redis takes it: `07` and `+7` are none.
fn whole(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

impl Model {
    pub(super) fn answer(&mut self, command: &Command) -> Reply {
        let now_ms = self.now_ms;
        self.keys.retain(|_, (_, expires_ms)| *expires_ms == 0 || *expires_ms > now_ms);
        match command.key().contains(':') {
            true => self.answer_row(command),
            false => self.answer_key(command),
        }
    }

    fn answer_key(&mut self, command: &Command) -> Reply {
        let have = self.keys.get(command.key()).cloned();
        let key = command.key().to_owned();
        match (command, have) {
            (Command::Set(_, value, ttl), _) => {
                let expires_ms = ttl.map_or(0, |ms| self.now_ms + ms);
                self.keys.insert(key, (Content::Text(value.clone()), expires_ms));
                if *ttl == Some(0) {
                    self.keys.remove(command.key());
                }
                Reply::Nothing
            }
            (Command::SetAbsent(_, value), have) => {
                if have.is_none() {
                    self.keys.insert(key, (Content::Text(value.clone()), 0));
                }
                Reply::Bool(have.is_none())
            }
            (Command::Get(_), None) => Reply::Text(None),
            (Command::Get(_), Some((Content::Text(text), _))) => Reply::Text(Some(text)),
            (Command::Append(_, tail), None) => self.store(key, tail.clone(), 0),
            (Command::Append(_, tail), Some((Content::Text(text), expires_ms))) => {
                self.store(key, text + tail, expires_ms)
            }
            (Command::Incr(_, delta), have) => {
                let (old, expires_ms) = match have {
                    Some((Content::Text(text), expires_ms)) => match whole(&text) {
                        Some(old) => (old, expires_ms),
                        None => return Reply::Invalid,
                    },
                    Some(_) => return Reply::WrongType,
                    None => (0, 0),
                };
                self.store(key, (old + delta).to_string(), expires_ms);
                Reply::Int(old + delta)
            }
            (Command::Grow(..), _) => Reply::Invalid,
            (Command::Del(_), have) => {
                self.keys.remove(command.key());
                Reply::Bool(have.is_some())
            }
            (Command::Expire(_, ms), have) => {
                if let Some((_, expires_ms)) = self.keys.get_mut(command.key()) {
                    *expires_ms = self.now_ms + ms;
                }
                if *ms == 0 {
                    self.keys.remove(command.key());
                }
                Reply::Bool(have.is_some())
            }
            (Command::Persist(_), have) => {
                if let Some((_, expires_ms)) = self.keys.get_mut(command.key()) {
                    *expires_ms = 0;
                }
                Reply::Bool(have.is_some_and(|(_, expires_ms)| expires_ms > 0))
            }
            (Command::Evict(_), _) => Reply::Nothing,
            (Command::Get(_) | Command::Append(..), Some((Content::Fields(_), _))) => Reply::WrongType,
            (_, Some((Content::Text(_), _))) => Reply::WrongType,
            (_, have) => {
                let (mut fields, expires_ms) = match have {
                    Some((Content::Fields(fields), expires_ms)) => (Some(fields), expires_ms),
                    _ => (None, 0),
                };
                let reply = of_fields(&mut fields, command);
                match fields {
                    Some(fields) if !fields.is_empty() => {
                        self.keys.insert(key, (Content::Fields(fields), expires_ms));
                    }
                    _ => drop(self.keys.remove(&key)),
                }
                reply
            }
        }
    }

    fn store(&mut self, key: String, text: String, expires_ms: u64) -> Reply {
        let length = text.len() as i64;
        self.keys.insert(key, (Content::Text(text), expires_ms));
        Reply::Int(length)
    }

    fn answer_row(&mut self, command: &Command) -> Reply {
        let mut row = self.rows.remove(command.key());
        let reply = match command {
            Command::Put(..) => {
                of_fields(&mut row, command);
                Reply::Open
            }
            Command::Clear(..) | Command::Add(..) | Command::Read(_) => of_fields(&mut row, command),
            Command::Grow(_, "score", delta) => {
                let row = row.get_or_insert_default();
                let half = |text: &str| {
                    let (units, cents) = text.split_once('.').unwrap_or((text, "0"));
                    let cents: i64 = cents.parse().unwrap();
                    units.parse::<i64>().unwrap().abs() * 100 + cents
                };
                // Only positive deltas are made, so the sign needs no thought.
                let sum = row.get("score").map_or(0, |text| half(text)) + delta * 100 + 50;
                row.insert("score".into(), format!("{}.{:02}", sum / 100, sum % 100));
                Reply::Nothing
            }
            Command::Grow(key, field, delta) => {
                of_fields(&mut row, &Command::Add(key.clone(), field, *delta));
                Reply::Nothing
            }
            Command::Del(_) => {
                row = None;
                Reply::Open
            }
            Command::Expire(..) => Reply::Bool(row.is_some()),
            // How long it stays is forgotten whenever the cache lets it go.
            Command::Persist(_) => Reply::Open,
            Command::Evict(_) => Reply::Nothing,
            _ => unreachable!("{command:?} is not made for rows"),
        };
        if let Some(row) = row {
            self.rows.insert(command.key().to_owned(), row);
        }
        reply
    }
}

/// What hashes and rows have in common.
fn of_fields(fields: &mut Option<BTreeMap<String, String>>, command: &Command) -> Reply {
    match command {
        Command::Put(_, pairs) => {
            let have = fields.get_or_insert_default();
            let new =
                pairs.iter().filter(|(name, value)| have.insert((*name).into(), value.clone()).is_none());
            Reply::Int(new.count() as i64)
        }
        Command::Clear(_, field) => {
            Reply::Int(fields.as_mut().map_or(0, |have| i64::from(have.remove(*field).is_some())))
        }
        Command::Add(_, field, delta) => {
            let old = match fields.as_ref().and_then(|have| have.get(*field)) {
                Some(text) => match whole(text) {
                    Some(old) => old,
                    None => return Reply::Invalid,
                },
                None => 0,
            };
            fields.get_or_insert_default().insert((*field).into(), (old + delta).to_string());
            Reply::Int(old + delta)
        }
        Command::Read(_) => Reply::Fields(fields.clone()),
        _ => unreachable!("{command:?} is not about fields"),
    }
}

/// The row as the database has it, as text.
pub(super) fn as_text(row: BTreeMap<crate::model::Name, Value>) -> BTreeMap<String, String> {
    row.into_iter()
        .map(|(name, value)| {
            let mut text = Vec::new();
            crate::model::types::render(&value, &mut text);
            (name.to_text().into_owned(), String::from_utf8(text).unwrap())
        })
        .filter(|(name, _)| name != "id")
        .collect()
}
