//! Commands on streams over keys: what a client asks for, and what has to be answered.
//! The expected answer follows from the history and the time alone; ids that go back are a violation like any other.

use std::collections::BTreeMap;

use landfall::engine::ops::keys;
use landfall::engine::ops::streams::{self, Keep, NewEntry, NewId, Trim};
use landfall::engine::{Stop, Unit};
use landfall::model::mapping::Target;
use landfall::model::stream::{encode_fields, fields};
use landfall::model::{EntryId, Name, StreamHead, Value};

use super::commands::Answer;
use super::context::Context;
use super::history::Row;

/// A command on a stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum StreamCommand {
    /// XADD with an id of the time, and a trim to so many.
    Enter(String, Option<u64>),
    /// XDEL.
    Strike(EntryId),
    /// XTRIM.
    Trim(u64),
    /// XRANGE, and the head.
    Entries,
    /// DEL.
    End,
    /// PEXPIRE.
    Expire(u64),
}

impl StreamCommand {
    /// Any of them; `stream` is what the key holds.
    pub(super) fn any(context: &Context, stream: Option<&Row>, unique: u64) -> StreamCommand {
        match context.below(16) {
            0..=7 => {
                let most = context.one_in(4).then(|| context.below(4));
                StreamCommand::Enter(format!("v{unique}"), most)
            }
            8..=10 => {
                let all: Vec<EntryId> =
                    stream.into_iter().flatten().filter_map(|(name, _)| name.as_entry()).collect();
                let nth = context.below(all.len() as u64 + 1) as usize;
                StreamCommand::Strike(all.get(nth).copied().unwrap_or(EntryId { ms: 1, seq: 1 }))
            }
            11 => StreamCommand::Trim(context.below(3)),
            12..=13 => StreamCommand::Entries,
            14 => StreamCommand::Expire(1 + context.below(400)),
            _ => StreamCommand::End,
        }
    }

    pub(super) fn run(&self, unit: &mut Unit<'_>, at: usize, target: &Target) -> Result<Answer, Stop> {
        let trim_to = |most: u64| Trim { keep: Keep::Newest(most), about: None };
        match self {
            StreamCommand::Enter(value, most) => {
                let parts = &[&b"f"[..], value.as_bytes()];
                let new = NewEntry { id: NewId::Now, only_there: false, trim: most.map(trim_to), parts };
                Ok(Answer::Text(streams::add(unit, at, target, &new)?.map(|id| id.to_string())))
            }
            StreamCommand::Strike(id) => {
                streams::delete(unit, at, target, &[*id]).map(|gone| Answer::Sum(gone as i64))
            }
            StreamCommand::Trim(most) => {
                streams::trim(unit, at, target, &trim_to(*most)).map(|gone| Answer::Sum(gone as i64))
            }
            StreamCommand::Entries => streams::read(unit, at, target, |stream| {
                let mut row = BTreeMap::new();
                if let Some(stream) = stream {
                    row.extend(stream.iter().map(|(id, entry)| (id.to_string(), value(entry))));
                    row.insert("head".into(), stream.head().to_string());
                }
                Answer::Row(row)
            }),
            StreamCommand::End => keys::delete(unit, at, target).map(Answer::Was),
            StreamCommand::Expire(ms) => {
                let until = unit.now_ms() + ms;
                keys::expire(unit, at, target, until).map(Answer::Was)
            }
        }
    }

    /// What it makes of the key, and what it has to answer.
    pub(super) fn expect(&self, stream: Option<Row>, now_ms: u64) -> (Option<Row>, Answer) {
        let enters = matches!(self, StreamCommand::Enter(..));
        let Some(mut parts) = stream.or_else(|| enters.then(Row::new)) else {
            let answer = match self {
                StreamCommand::Strike(_) | StreamCommand::Trim(_) => Answer::Sum(0),
                StreamCommand::End | StreamCommand::Expire(_) => Answer::Was(false),
                StreamCommand::Entries | StreamCommand::Enter(..) => Answer::Row(BTreeMap::new()),
            };
            return (None, answer);
        };
        let mut head = head_of(&parts);
        let answer = match self {
            StreamCommand::Enter(value, most) => {
                head.last = head.last.next_at(now_ms).unwrap_or(EntryId::MAX);
                head.added += 1;
                let fields = encode_fields([&b"f"[..], value.as_bytes()]);
                parts.insert(Name::entry(head.last), Value::bytes(&fields));
                if let Some(most) = most {
                    trim(&mut parts, *most);
                }
                Answer::Text(Some(head.last.to_string()))
            }
            StreamCommand::Strike(id) => {
                let gone = parts.remove(&Name::entry(*id)).is_some();
                if gone {
                    head.deleted = head.deleted.max(*id);
                }
                Answer::Sum(i64::from(gone))
            }
            StreamCommand::Trim(most) => Answer::Sum(trim(&mut parts, *most)),
            StreamCommand::Entries => {
                let entry = |(name, fields): (&Name, &Value)| match (name.as_entry(), fields) {
                    (Some(id), Value::Bytes(entry)) => Some((id.to_string(), value(entry))),
                    _ => None,
                };
                let mut row: BTreeMap<String, String> = parts.iter().filter_map(entry).collect();
                row.insert("head".into(), head.to_string());
                Answer::Row(row)
            }
            StreamCommand::End => return (None, Answer::Was(true)),
            StreamCommand::Expire(ms) => {
                parts.insert(Name::from_bytes(Name::EXPIRES), Value::Int((now_ms + ms) as i64));
                Answer::Was(true)
            }
        };
        parts.insert(Name::from_bytes(Name::STREAM), Value::bytes(head.to_string().as_bytes()));
        (Some(parts), answer)
    }
}

fn head_of(parts: &Row) -> StreamHead {
    match parts.get(&Name::from_bytes(Name::STREAM)) {
        Some(Value::Bytes(text)) => StreamHead::parse(text).unwrap_or_default(),
        _ => StreamHead::default(),
    }
}

/// Removes the oldest entries; how many.
fn trim(parts: &mut Row, most: u64) -> i64 {
    // Names of entries sort as their ids do.
    let entries: Vec<Name> = parts.keys().filter(|name| name.as_entry().is_some()).cloned().collect();
    let gone = entries.len().saturating_sub(most as usize);
    entries[..gone].iter().for_each(|name| drop(parts.remove(name)));
    gone as i64
}

fn value(entry: &[u8]) -> String {
    fields(entry).nth(1).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use landfall::model::RowKey;

    use super::super::commands::Command;
    use super::super::history::Rows;
    use super::*;

    #[test]
    fn a_time_whose_stream_is_lost_is_no_stream() {
        let row = RowKey::of_key(b"t0");
        let time = Row::from([(Name::from_bytes(Name::EXPIRES), Value::Int(9))]);
        let lone = || Rows { rows: [(row.clone(), Arc::new(time.clone()))].into(), ..Rows::default() };
        for (command, answer) in [
            (StreamCommand::Entries, Answer::Row(BTreeMap::new())),
            (StreamCommand::Strike(EntryId { ms: 1, seq: 1 }), Answer::Sum(0)),
            (StreamCommand::Trim(0), Answer::Sum(0)),
            (StreamCommand::Expire(5), Answer::Was(false)),
            (StreamCommand::End, Answer::Was(false)),
        ] {
            let mut rows = lone();
            assert_eq!(Command::Stream(0, command.clone()).expect(&mut rows, 3), answer, "{command:?}");
            assert!(rows == lone(), "{command:?} writes nothing");
        }
        let mut rows = lone();
        Command::Stream(0, StreamCommand::Enter("v".into(), None)).expect(&mut rows, 3);
        let names: Vec<&Name> = rows.rows[&row].keys().collect();
        assert!(
            !names.contains(&&Name::from_bytes(Name::EXPIRES)) && names.len() == 2,
            "a new one: {names:?}"
        );
    }
}
