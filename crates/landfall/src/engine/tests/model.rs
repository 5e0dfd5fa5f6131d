//! What a client may expect, as simply as it can be said: maps, and what each command answers.
//! It knows no lane, no landing and no cache.

use std::collections::BTreeMap;

use crate::engine::ops::streams::{self, Keep, NewEntry, NewId, Trim};
use crate::engine::ops::{fields, keys, numbers, strings};
use crate::engine::{Refusal, Stop, Unit};
use crate::model::mapping::Target;
use crate::model::{EntryId, StreamHead, Value};

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
    /// XADD of one field.
    Enter(String, NewId, String, Option<Trim>),
    /// XDEL.
    Strike(String, Vec<EntryId>),
    /// XTRIM.
    Trim(String, Trim),
    /// XSETID.
    SetId(String, EntryId),
    /// XRANGE and XINFO.
    Entries(String),
}

/// A stream as it is read: its head, and its entries with the values of their fields.
pub(super) type Stream = (StreamHead, BTreeMap<EntryId, String>);

/// What a command answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Nothing,
    Int(i64),
    Bool(bool),
    Text(Option<String>),
    Fields(Option<BTreeMap<String, String>>),
    Entry(EntryId),
    Entries(Option<Stream>),
    WrongType,
    Invalid,
    /// The contract leaves it open.
    Open,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Text(String),
    Fields(BTreeMap<String, String>),
    Stream(Stream),
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
            Get(key) | Read(key) | Del(key) | Persist(key) | Evict(key) | Entries(key) => key,
            Enter(key, ..) | Strike(key, _) | Trim(key, _) | SetId(key, _) => key,
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
            Command::Enter(_, id, value, trim) => {
                let parts = &[&b"f"[..], value.as_bytes()];
                let new = NewEntry { id: *id, only_there: false, trim: *trim, parts };
                streams::add(unit, at, target, &new)?.map_or(Reply::Nothing, Reply::Entry)
            }
            Command::Strike(_, ids) => Reply::Int(streams::delete(unit, at, target, ids)? as i64),
            Command::Trim(_, trim) => Reply::Int(streams::trim(unit, at, target, trim)? as i64),
            Command::SetId(_, last) => {
                streams::set_id(unit, at, target, *last, (None, None))?;
                Reply::Nothing
            }
            Command::Entries(_) => streams::read(unit, at, target, |stream| {
                let text = |entry: &[u8]| {
                    let value = crate::model::stream::fields(entry).nth(1).unwrap();
                    String::from_utf8_lossy(value).into_owned()
                };
                let all = |stream: &crate::buffer::cache::Stream| {
                    (*stream.head(), stream.iter().map(|(id, entry)| (id, text(entry))).collect())
                };
                Reply::Entries(stream.map(all))
            })?,
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
            (
                Command::Enter(..)
                | Command::Strike(..)
                | Command::Trim(..)
                | Command::SetId(..)
                | Command::Entries(_),
                have,
            ) => self.answer_stream(command, have),
            (_, Some((Content::Stream(_), _))) => Reply::WrongType,
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

    fn answer_stream(&mut self, command: &Command, have: Option<(Content, u64)>) -> Reply {
        let (mut stream, expires_ms) = match have {
            Some((Content::Stream(stream), expires_ms)) => (Some(stream), expires_ms),
            Some(_) => return Reply::WrongType,
            None => (None, 0),
        };
        let reply = of_stream(&mut stream, command, self.now_ms);
        if let Some(stream) = stream {
            self.keys.insert(command.key().to_owned(), (Content::Stream(stream), expires_ms));
        }
        reply
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

fn of_stream(stream: &mut Option<Stream>, command: &Command, now_ms: u64) -> Reply {
    let trimmed = |entries: &mut BTreeMap<EntryId, String>, trim: &Trim| {
        let before = entries.len();
        match trim.keep {
            Keep::Newest(most) => {
                while entries.len() as u64 > most {
                    entries.pop_first();
                }
            }
            Keep::From(id) => *entries = entries.split_off(&id),
        }
        Reply::Int((before - entries.len()) as i64)
    };
    match command {
        Command::Enter(_, id, value, trim) => {
            let last = stream.as_ref().map_or(EntryId::MIN, |(head, _)| head.last);
            let behind = EntryId { seq: last.seq + 1, ..last };
            let id = match id {
                NewId::Now if now_ms > last.ms => EntryId { ms: now_ms, seq: 0 },
                NewId::Now => behind,
                NewId::Within(ms) if *ms == last.ms => behind,
                NewId::Within(ms) => EntryId { ms: *ms, seq: 0 },
                NewId::Given(id) => *id,
            };
            if id <= last {
                return Reply::Invalid;
            }
            let (head, entries) = stream.get_or_insert_default();
            (head.last, head.added) = (id, head.added + 1);
            entries.insert(id, value.clone());
            trim.iter().for_each(|trim| drop(trimmed(entries, trim)));
            Reply::Entry(id)
        }
        Command::Strike(_, ids) => {
            let Some((head, entries)) = stream else { return Reply::Int(0) };
            let gone = ids.iter().filter(|id| entries.remove(id).is_some()).inspect(|id| {
                head.deleted = head.deleted.max(**id);
            });
            Reply::Int(gone.count() as i64)
        }
        Command::Trim(_, trim) => {
            stream.as_mut().map_or(Reply::Int(0), |(_, entries)| trimmed(entries, trim))
        }
        Command::SetId(_, last) => {
            let Some((head, entries)) = stream else { return Reply::Invalid };
            if *last < head.deleted || entries.keys().next_back().is_some_and(|top| last < top) {
                return Reply::Invalid;
            }
            head.last = *last;
            Reply::Nothing
        }
        Command::Entries(_) => Reply::Entries(stream.clone()),
        _ => unreachable!("{command:?} is not about streams"),
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
