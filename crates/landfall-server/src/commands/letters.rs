//! LANDFALL.DEADLETTERS: what the database refused, and what a person does about it.
//! Documents are JSON and hold values: they go to who asks, and never into a log or an error.

use landfall::engine::letters::{Act, Selection};
use landfall::engine::ops::numbers::integer;
use landfall::engine::{Engine, Status};
use landfall::model::letter::subject;
use landfall::model::{Change, Letter, LoggedChange, Name, Op, Value, types};
use landfall::settings::Settings;
use landfall_resp::{ReplyWriter, Request};
use serde_json::{Value as Json, json};

use super::{Flow, refuse};
use crate::front::session::Session;
use crate::front::shared::Post;
use crate::front::waiting::Wait;

/// How many letters LIST answers when it is not told.
const LISTED: usize = 100;
/// The most that it answers at once.
const LISTED_MAX: usize = 1000;
/// What a person has to write to give a letter up.
const CONFIRM: &str = "CONFIRM";

const USAGE: &str = "ERR write LANDFALL.DEADLETTERS LIST [table] [COUNT n] [CURSOR id] [FULL] | GET id | \
                     RETRY id|table|ALL | DROP id CONFIRM | EDIT id column value [column value ..]";

/// LANDFALL.DEADLETTERS subcommand ..
pub fn dead_letters(
    session: &mut Session,
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    let words: Vec<&[u8]> = request.args().skip(1).collect();
    let asked = match parse(&words) {
        Ok(asked) => asked,
        Err(words) => {
            reply.error(&words);
            return Flow::Done;
        }
    };
    let (shared, who, protocol) = (session.shared.clone(), session.who, session.protocol);
    let answer = move |write: &dyn Fn(&mut ReplyWriter<'_>)| {
        let mut out = Vec::new();
        write(&mut ReplyWriter::new(&mut out, protocol));
        shared.post(Post::Reply(who, out));
    };
    match asked {
        Asked::List { table, count, after, full } => {
            let total = engine.parked().count;
            // A table's letters are picked from a page, which may hold others.
            engine.letters(
                after,
                count,
                Box::new(move |letters| match letters {
                    Ok(letters) => {
                        let cursor = letters.last().filter(|_| letters.len() == count).map(|last| last.id);
                        let listed = letters.iter().filter(|letter| is_of(letter, table.as_deref()));
                        let listed: Vec<Json> = listed.map(|letter| document(letter, full)).collect();
                        let page = json!({"total": total, "letters": listed, "cursor": cursor});
                        answer(&|reply| reply.bulk(page.to_string().as_bytes()));
                    }
                    Err(refusal) => answer(&|reply| refuse(reply, &refusal)),
                }),
            );
        }
        Asked::Get(id) => engine.letters(
            id.saturating_sub(1),
            1,
            Box::new(move |letters| match letters.map(|mut letters| letters.pop()) {
                Ok(Some(letter)) if letter.id == id => {
                    answer(&|reply| reply.bulk(document(&letter, true).to_string().as_bytes()));
                }
                Ok(_) => answer(&|reply| reply.null()),
                Err(refusal) => answer(&|reply| refuse(reply, &refusal)),
            }),
        ),
        Asked::Act(selection, act) => engine.act_on_letters(
            selection,
            act,
            Box::new(move |acted| match acted {
                Ok(acted) => answer(&|reply| reply.integer(acted.letters as i64)),
                Err(refusal) => answer(&|reply| refuse(reply, &refusal)),
            }),
        ),
    }
    Flow::Park(Wait::Reply)
}

/// A request that is well formed.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    List { table: Option<String>, count: usize, after: u64, full: bool },
    Get(u64),
    Act(Selection, Act),
}

fn parse(words: &[&[u8]]) -> Result<Asked, String> {
    let (Some((verb, rest)), usage) = (words.split_first(), || USAGE.to_owned()) else {
        return Err(USAGE.into());
    };
    match (verb.to_ascii_uppercase().as_slice(), rest) {
        (b"LIST", rest) => list(rest),
        (b"GET", [id]) => Ok(Asked::Get(number(id)?)),
        (b"RETRY", [which]) => {
            let selection = match which {
                which if which.eq_ignore_ascii_case(b"ALL") => Selection::All,
                which if which.iter().all(u8::is_ascii_digit) => Selection::Id(number(which)?),
                table => Selection::Table(String::from_utf8_lossy(table).into_owned()),
            };
            Ok(Asked::Act(selection, Act::Retry))
        }
        (b"DROP", [id, word]) if word.eq_ignore_ascii_case(CONFIRM.as_bytes()) => {
            Ok(Asked::Act(Selection::Id(number(id)?), Act::Drop))
        }
        (b"DROP", [_] | [_, _]) => Err(format!(
            "ERR what the letter holds is gone for good when it is dropped; write LANDFALL.DEADLETTERS DROP id {CONFIRM}"
        )),
        (b"EDIT", [id, pairs @ ..]) if !pairs.is_empty() && pairs.len().is_multiple_of(2) => {
            let pairs =
                pairs.chunks_exact(2).map(|pair| (pair[0].to_vec(), Some(pair[1].to_vec()))).collect();
            Ok(Asked::Act(Selection::Id(number(id)?), Act::Edit(pairs)))
        }
        _ => Err(usage()),
    }
}

fn list(mut words: &[&[u8]]) -> Result<Asked, String> {
    let (mut table, mut count, mut after, mut full) = (None, LISTED, 0, false);
    while let Some((word, rest)) = words.split_first() {
        words = rest;
        match (word.to_ascii_uppercase().as_slice(), rest) {
            (b"FULL", _) => full = true,
            (b"COUNT", [n, rest @ ..]) => {
                count = usize::try_from(number(n)?).unwrap_or(LISTED_MAX).clamp(1, LISTED_MAX);
                words = rest;
            }
            (b"CURSOR", [id, rest @ ..]) => {
                after = number(id)?;
                words = rest;
            }
            (b"COUNT" | b"CURSOR", []) => return Err(USAGE.into()),
            _ if table.is_none() => table = Some(String::from_utf8_lossy(word).into_owned()),
            _ => return Err(USAGE.into()),
        }
    }
    Ok(Asked::List { table, count, after, full })
}

fn number(text: &[u8]) -> Result<u64, String> {
    let number = integer(text).ok().and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| "ERR an id, COUNT and CURSOR are whole numbers".into())
}

fn is_of(letter: &Letter, table: Option<&str>) -> bool {
    table.is_none_or(|table| *letter.table() == *table || *letter.reason.table == *table)
}

/// A letter for tools: members may be added, and none is taken away or given another meaning.
fn document(letter: &Letter, full: bool) -> Json {
    let mut key = String::new();
    if let Some(row) = letter.key.row() {
        subject(&mut key, &row);
    }
    let mut document = json!({
        "id": letter.id,
        "key": (!key.is_empty()).then_some(key),
        "table": &*letter.table(),
        "refused_by": &*letter.reason.table,
        "class": &*letter.reason.class,
        "reason": &*letter.reason.text,
        "attempts": letter.attempts,
        "first_ms": letter.first_ms,
        "last_ms": letter.last_ms,
        "lane": letter.lane.0,
        "first_position": letter.first,
        "last_position": letter.last,
        "bytes": letter.bytes(),
        "display": letter.display(),
    });
    if full {
        let (kind, columns) = match &letter.change {
            LoggedChange::Row { change: Change::Delete, .. } => ("delete", Vec::new()),
            LoggedChange::Row { change: Change::Upsert(upsert), .. } => (
                if upsert.replace { "replace" } else { "put" },
                upsert.columns.iter().map(|(name, op)| column(name, op)).collect(),
            ),
            LoggedChange::Append { columns, .. } => (
                "event",
                columns.iter().map(|(name, value)| column(name, &Op::Assign(value.clone()))).collect(),
            ),
            LoggedChange::Letter { .. } | LoggedChange::Clear => ("unknown", Vec::new()),
        };
        document["change"] = json!({"kind": kind, "columns": columns});
    }
    document
}

fn column(name: &Name, op: &Op) -> Json {
    let (what, value) = match op {
        Op::Assign(value) => ("set", value),
        Op::Add(value) => ("add", value),
    };
    let mut bytes = Vec::new();
    types::render(value, &mut bytes);
    let name = super::own::part_name(name);
    match (value, String::from_utf8(bytes)) {
        (Value::Null, _) => json!({"name": name, "op": what, "value": null}),
        (_, Ok(text)) => json!({"name": name, "op": what, "value": text}),
        (_, Err(raw)) => {
            let hex: String = raw.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"name": name, "op": what, "hex": hex})
        }
    }
}

/// The dead letters in numbers, for LANDFALL.STATUS.
pub fn numbers(status: &Status, settings: &Settings) -> Json {
    let oldest = status.parked.oldest_ms;
    json!({
        "count": status.parked.count,
        "bytes": status.parked.bytes,
        "oldest_age_ms": oldest.map_or(0, |oldest| status.now_ms.saturating_sub(oldest)),
        "count_max": settings.dead_letters_max,
        "bytes_max": settings.dead_letters_bytes_max,
    })
}

/// The error of WAIT when a write has landed as a dead letter.
pub fn parked_error(reply: &mut ReplyWriter<'_>) {
    reply.error(
        "DEADLETTER the database refused a write of this connection; unless a later one has corrected it, it is kept as a dead letter, see `landfall dead-letters list`",
    );
}

/// What WAIT answers for writes that have landed.
pub fn landed(session: &mut Session, engine: &Engine, reply: &mut ReplyWriter<'_>) {
    let recent = session.take_recent();
    match engine.was_parked(&recent) {
        true => parked_error(reply),
        false => reply.integer(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Asked, String> {
        parse(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_asked_is_understood_in_any_case_and_nothing_is_guessed() {
        let all = Asked::List { table: None, count: LISTED, after: 0, full: false };
        assert_eq!(parsed("list"), Ok(all));
        let some = Asked::List { table: Some("seat".into()), count: 5, after: 7, full: true };
        assert_eq!(parsed("LIST seat COUNT 5 cursor 7 FULL"), Ok(some));
        assert_eq!(parsed("GET 7"), Ok(Asked::Get(7)));
        assert_eq!(parsed("RETRY all"), Ok(Asked::Act(Selection::All, Act::Retry)));
        assert_eq!(parsed("RETRY seat"), Ok(Asked::Act(Selection::Table("seat".into()), Act::Retry)));
        assert_eq!(parsed("RETRY 9"), Ok(Asked::Act(Selection::Id(9), Act::Retry)));
        assert_eq!(parsed("DROP 9 confirm"), Ok(Asked::Act(Selection::Id(9), Act::Drop)));
        let pairs = vec![(b"no".to_vec(), Some(b"7A".to_vec()))];
        assert_eq!(parsed("EDIT 9 no 7A"), Ok(Asked::Act(Selection::Id(9), Act::Edit(pairs))));
        for bad in [
            "",
            "GET",
            "GET x",
            "DROP 9",
            "DROP 9 yes",
            "DROP ALL CONFIRM",
            "EDIT 9 no",
            "EDIT 9",
            "RETRY",
            "LIST a b",
            "LIST COUNT",
            "LIST COUNT -1",
            "EDIT",
            "RETRY 99999999999999999999",
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
        assert!(parsed("DROP 9").unwrap_err().contains("CONFIRM"));
    }
}
