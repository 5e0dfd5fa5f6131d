//! LANDFALL.INCIDENTS: what a person has to know of, as JSON, and saying that it is known. It never changes a row.

use landfall::engine::{Engine, Refusal};
use landfall::model::Incident;
use landfall::model::types::timestamp_of_unix_ms;
use landfall_resp::{ReplyWriter, Request};
use serde_json::{Value as Json, json};

use super::{Flow, refuse};
use crate::front::session::Session;

/// `LANDFALL.INCIDENTS [LIST | ACKNOWLEDGE id|all]`
pub fn incidents(
    _: &mut Session,
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    let word = request.arg(1).map(<[u8]>::to_ascii_uppercase);
    let id = request.arg(2).map(String::from_utf8_lossy);
    match (word.as_deref(), id.as_deref(), request.arg_count()) {
        (None | Some(b"LIST"), None, _) => {
            let all: Vec<Json> = engine.incidents().iter().map(document).collect();
            reply.bulk(Json::Array(all).to_string().as_bytes());
        }
        (Some(b"ACKNOWLEDGE"), Some(id), 3) => {
            let id = (!id.eq_ignore_ascii_case("all")).then_some(id);
            match engine.acknowledge_incidents(id) {
                Ok(count) => reply.integer(count as i64),
                Err(error) => refuse(reply, &Refusal::from(error)),
            }
        }
        _ => reply.error(
            "ERR syntax error; write LIST, ACKNOWLEDGE and the beginning of an id, or ACKNOWLEDGE all",
        ),
    }
    Flow::Done
}

fn document(incident: &Incident) -> Json {
    json!({
        "id": incident.id_in_words(),
        "time": timestamp_of_unix_ms(incident.time_ms),
        "time_ms": incident.time_ms,
        "kind": incident.kind.name(),
        "lineage": incident.lineage.to_string(),
        "lane": incident.lane.map(|lane| lane.0),
        "positions": [incident.positions.0, incident.positions.1],
        "what": incident.what,
        "acknowledged_ms": incident.acknowledged_ms,
    })
}
