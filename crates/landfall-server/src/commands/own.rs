//! The commands of Landfall's own: WAIT, WAITAOF and what begins with `LANDFALL.`.
//! Documents are JSON for tools to read: members may be added, and none is taken away or given another meaning.

use std::time::{Duration, Instant};

use landfall::engine::explain::Cached;
use landfall::engine::ops::numbers;
use landfall::engine::refusal::Refusal;
use landfall::engine::{Engine, Stop};
use landfall::model::Value;
use landfall::model::mapping::Target;
use landfall::model::types;
use landfall_resp::{ReplyWriter, Request};
use serde_json::{Map, Value as Json, json};

use super::{Call, Flow, letters, refuse};
use crate::front::session::Session;
use crate::front::shared::Post;
use crate::front::waiting::{Answer, Wait};

/// How long LANDFALL.FLUSH waits when it is not told.
const FLUSH_TIMEOUT_MS: u64 = 30_000;

/// LANDFALL.ADD key column delta
pub fn add(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let (column, delta) = (call.request.arg(2).unwrap_or_default(), call.request.arg(3).unwrap_or_default());
    numbers::add(call.unit, call.base, &call.targets[0], column, delta)?;
    call.reply.ok();
    Ok(())
}

/// `LANDFALL.EVICT [key ..]`
pub fn evict(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let gone = match call.targets.is_empty() {
        true => call.engine.evict_clean(),
        false => (0..call.targets.len()).map(|at| u64::from(call.unit.evict(call.base + at))).sum(),
    };
    call.reply.integer(gone as i64);
    Ok(())
}

/// `LANDFALL.PAUSE [group]`
pub fn pause(_: &mut Session, engine: &Engine, request: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    answer_group(request, reply, |group| engine.pause(group))
}

/// `LANDFALL.RESUME [group]`
pub fn resume(_: &mut Session, engine: &Engine, request: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    answer_group(request, reply, |group| engine.resume(group))
}

fn answer_group(
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
    act: impl FnOnce(Option<&str>) -> Result<(), landfall::lander::UnknownGroup>,
) -> Flow {
    if request.arg_count() > 2 {
        let command = String::from_utf8_lossy(request.command()).to_ascii_uppercase();
        reply.error_fmt(format_args!(
            "ERR {command} takes one landing group, or none for all: {command} [group]; several commands do several groups"
        ));
        return Flow::Done;
    }
    let group = request.arg(1).map(String::from_utf8_lossy);
    match act(group.as_deref()) {
        Ok(()) => reply.ok(),
        Err(unknown) => reply.error_fmt(format_args!("ERR {unknown}; see `landfall status`")),
    }
    Flow::Done
}

/// `LANDFALL.FLUSH [timeout-ms]`
pub fn flush(_: &mut Session, engine: &Engine, request: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    let timeout_ms = match request.arg(1).map(numbers::integer) {
        _ if request.arg_count() > 2 => {
            reply.error("ERR LANDFALL.FLUSH takes how long to wait, in milliseconds, and nothing else: LANDFALL.FLUSH [timeout-ms]");
            return Flow::Done;
        }
        None => FLUSH_TIMEOUT_MS,
        Some(Ok(ms)) if ms >= 0 => ms as u64,
        Some(_) => {
            reply.error("ERR the timeout is a number of milliseconds");
            return Flow::Done;
        }
    };
    let places = engine.accepted_places();
    engine.flush();
    Flow::Park(Wait::Landed { places, deadline: deadline(timeout_ms), answer: Answer::Flush })
}

/// LANDFALL.POSITIONS
pub fn positions(
    session: &mut Session,
    engine: &Engine,
    _: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    reply.array_header(1 + session.places.len());
    reply.bulk(engine.lineage().to_string().as_bytes());
    for (lane, position) in &session.places {
        reply.array_header(2);
        reply.integer(i64::from(lane.0));
        reply.integer(*position as i64);
    }
    Flow::Done
}

/// WAIT numreplicas timeout: here the replica is the database.
pub fn wait(
    session: &mut Session,
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    let (Ok(wanted), Ok(timeout_ms)) = (numbers::integer(&request[1]), numbers::integer(&request[2])) else {
        reply.error("ERR value is not an integer or out of range");
        return Flow::Done;
    };
    let Ok(timeout_ms) = u64::try_from(timeout_ms) else {
        reply.error("ERR timeout is negative");
        return Flow::Done;
    };
    if engine.has_landed(&session.places) {
        letters::landed(session, engine, reply);
        return Flow::Done;
    }
    if wanted <= 0 {
        reply.integer(0);
        return Flow::Done;
    }
    engine.flush();
    // As in Redis, 0 waits without end.
    let deadline = if timeout_ms == 0 { None } else { deadline(timeout_ms) };
    Flow::Park(Wait::Landed { places: session.places.clone(), deadline, answer: Answer::Count })
}

fn deadline(timeout_ms: u64) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_millis(timeout_ms))
}

/// WAITAOF numlocal numreplicas timeout
pub fn waitaof(
    session: &mut Session,
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    let numbers = [1, 2, 3].map(|at| numbers::integer(&request[at]));
    let [Ok(local), Ok(replicas), Ok(timeout)] = numbers else {
        reply.error("ERR value is not an integer or out of range");
        return Flow::Done;
    };
    if !(0..=1).contains(&local) || replicas < 0 || timeout < 0 {
        reply.error("ERR value is out of range; numlocal is 0 or 1, and there are no replicas to wait for");
        return Flow::Done;
    }
    if local == 1
        && !engine.is_durable(session.end)
        && let Err(error) = engine.commit_durably()
    {
        refuse(reply, &Refusal::from(error));
        return Flow::Done;
    }
    reply.array_header(2);
    reply.integer(i64::from(engine.is_durable(session.end)));
    reply.integer(0);
    Flow::Done
}

/// LANDFALL.RELOAD
pub fn reload(_: &mut Session, _: &Engine, _: &Request<'_>, _: &mut ReplyWriter<'_>) -> Flow {
    Flow::Reload
}

/// LANDFALL.EXPLAIN key
pub fn explain(
    session: &mut Session,
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    let key = &request[1];
    let target = match engine.resolve(key) {
        Ok(target) => target,
        Err(refusal) => {
            refuse(reply, &refusal);
            return Flow::Done;
        }
    };
    let mut document = Map::new();
    document.insert("key".into(), String::from_utf8_lossy(key).into());
    let (is, table) = match &target {
        Target::Key => ("key", None),
        Target::Row(table, _) => ("row", Some(table)),
        Target::Cell(table, ..) => ("cell", Some(table)),
        Target::Table(table) => ("table", Some(table)),
    };
    document.insert("is".into(), is.into());
    document.insert("table".into(), table.map_or(Json::Null, |table| table.name.to_string().into()));
    let Some(explained) = engine.explain(key, &target) else {
        reply.bulk(Json::Object(document).to_string().as_bytes());
        return Flow::Done;
    };
    document.insert("group".into(), explained.group.clone().into());
    document.insert("lane".into(), explained.lane.0.into());
    let state = match explained.cached {
        Cached::Nothing => "absent from cache",
        Cached::Changes => "changes only",
        Cached::Absent => "known absent",
        Cached::Value => "known",
    };
    let cache = json!({"state": state, "dirty": explained.dirty, "expires_ms": explained.expires_ms});
    document.insert("cache".into(), cache);
    document.insert("position".into(), explained.position.into());
    document.insert("pending".into(), explained.dirty.into());
    document.insert("durable".into(), explained.durable.into());
    document.insert("landed".into(), explained.landed.into());
    document.insert("log".into(), json!({"accepted": explained.accepted}));
    let (shared, who, protocol) = (session.shared.clone(), session.who, session.protocol);
    engine.look(
        explained.row,
        explained.lane,
        Box::new(move |loaded| {
            let database = match loaded {
                Err(refusal) => json!({"error": refusal.to_string()}),
                Ok(loaded) => {
                    let columns: Option<Map<String, Json>> = loaded.row.as_ref().map(|row| {
                        row.iter().map(|(name, value)| (part_name(name), text(value).into())).collect()
                    });
                    json!({
                        "present": columns.is_some(),
                        "columns": columns,
                        "position": loaded.watermark.position,
                        "dead_letter": loaded.letter.is_some(),
                    })
                }
            };
            document.insert("database".into(), database);
            let mut out = Vec::new();
            ReplyWriter::new(&mut out, protocol).bulk(Json::Object(document).to_string().as_bytes());
            shared.post(Post::Reply(who, out));
        }),
    );
    Flow::Park(Wait::Reply)
}

/// The parts of a key-value key, as people would call them.
pub(super) fn part_name(name: &landfall::model::Name) -> String {
    match name.as_bytes() {
        landfall::model::Name::STRING => "value".into(),
        landfall::model::Name::EXPIRES => "expires_ms".into(),
        landfall::model::Name::STREAM => "stream".into(),
        _ => match (name.as_field(), name.as_entry()) {
            (Some(field), _) => String::from_utf8_lossy(field).into_owned(),
            (None, Some(id)) => format!("entry {id}"),
            (None, None) => name.to_text().into_owned(),
        },
    }
}

fn text(value: &Value) -> String {
    let mut out = Vec::new();
    types::render(value, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}
