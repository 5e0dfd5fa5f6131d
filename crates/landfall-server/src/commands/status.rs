//! LANDFALL.STATUS: what is pending and what holds it up, as one JSON document.
//! It only tells what the engine counts; no key and no value is in it.

use std::sync::atomic::Ordering;

use landfall::engine::status::{GroupNow, loss_in_words};
use landfall::engine::{Engine, Status};
use landfall::lander::Phase;
use landfall::settings::Settings;
use landfall_resp::{ReplyWriter, Request};
use serde_json::{Value as Json, json};

use super::{Flow, letters};
use crate::front::session::Session;

/// LANDFALL.STATUS
pub fn status(session: &mut Session, engine: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    reply.bulk(document(session, engine).to_string().as_bytes());
    Flow::Done
}

fn document(session: &Session, engine: &Engine) -> Json {
    let status = engine.status();
    let mut document = server_part(session, engine, &status);
    for part in [amounts_part(&status, engine.settings()), landing_part(&status, engine)] {
        if let (Json::Object(whole), Json::Object(part)) = (&mut document, part) {
            whole.extend(part);
        }
    }
    document
}

/// Who answers, and how it is set up.
fn server_part(session: &Session, engine: &Engine, status: &Status) -> Json {
    let settings = engine.settings();
    let shared = &session.shared;
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "uptime_s": shared.started.elapsed().as_secs(),
        "lineage": status.lineage.to_string(),
        "boot": status.boot,
        "data_dir": settings.data_dir.display().to_string(),
        "listen": shared.listens.join(", "),
        "connections": shared.connections.load(Ordering::Relaxed),
        "health": if status.is_healthy() { "ok" } else { "look" },
        "incidents_open": status.incidents_open,
        "database": status.database,
        "fsync": format!("{:?}", settings.fsync).to_lowercase(),
        "loss": loss_in_words(settings.fsync),
        "flush": {
            "mode": format!("{:?}", settings.flush).to_lowercase(),
            "interval_ms": settings.flush_interval.as_millis() as u64,
            "count": settings.flush_count,
        },
        "bounds": {
            "max_pending": settings.max_pending,
            "throttle_at": settings.throttle_at,
            "log_bytes_max": settings.log_bytes_max,
            "memory_bytes_max": settings.memory_bytes_max,
            "retention_s": settings.retention.as_secs(),
            "retention_bytes": settings.retention_bytes,
            "retained_bytes_max": settings.retained_bytes_max,
        },
    })
}

/// How much of everything there is.
fn amounts_part(status: &Status, settings: &Settings) -> Json {
    let age_ms = match status.owed.oldest_ms {
        0 => 0,
        oldest => status.now_ms.saturating_sub(oldest),
    };
    let counts = status.counts;
    json!({
        "pending": {
            "changes": status.owed.records,
            "log_bytes": status.owed.bytes,
            "oldest_age_ms": age_ms,
        },
        "log": {
            "segments": status.log.segments,
            "spares": status.log.spares,
            "landed_segments": status.log.landed_segments,
            "spilled_bytes": status.log.spilled_bytes,
            "disk_bytes": status.log.disk_bytes,
            "index_bytes": status.log.index_bytes,
            "unwritten_bytes": status.log.unwritten_bytes,
            "sync_ms_max": status.log.sync_ms_max,
        },
        "cache": {
            "rows": status.cache.0,
            "bytes": status.cache.1,
            "dirty_rows": status.dirty.0,
            "dirty_bytes": status.dirty.1,
            "evicted": status.evicted,
            "complete": status.complete,
        },
        "counts": {
            "accepted": counts.accepted,
            "landed_changes": counts.landed_changes,
            "landed_rows": counts.landed_rows,
            "batches": counts.batches,
            "retries": counts.retries,
            "refused": counts.refused,
            "loaded": counts.loaded,
            "stale_loads": counts.stale_loads,
            "joined_loads": counts.joined_loads,
            "expired": counts.expired,
        },
        "dead_letters": letters::numbers(status, settings),
    })
}

/// How landing goes, and what is in its way.
fn landing_part(status: &Status, engine: &Engine) -> Json {
    json!({
        "groups": groups_document(status, &engine.paused()),
        "connection": {
            "met": status.database_met,
            "attempts": status.connection.attempts,
            "error": status.connection.error,
        },
        "tables": tables_document(engine),
        "poisoned": status.poisoned,
        "troubles": status.troubles,
        "warnings": status.warnings,
    })
}

fn tables_document(engine: &Engine) -> Json {
    let unmapped: Vec<Json> = engine
        .catalogue()
        .unmapped()
        .iter()
        .map(|table| json!({"table": table.table, "reason": table.reason}))
        .collect();
    let mapped: Vec<String> =
        engine.catalogue().tables().iter().map(|table| table.name.to_string()).collect();
    json!({"mapped": mapped, "unmapped": unmapped})
}

/// The groups. Whether one is paused is what was asked for; its phase follows at its lander's next turn.
fn groups_document(status: &Status, paused: &[String]) -> Vec<Json> {
    let group = |group: &GroupNow| {
        let lanes: Vec<Json> = group
            .lanes
            .iter()
            .map(|lane| {
                json!({"lane": lane.lane.0, "accepted": lane.accepted, "landed": lane.landed, "epoch": lane.epoch})
            })
            .collect();
        json!({
            "name": group.status.name,
            "phase": group.status.phase.in_words(),
            "held": matches!(group.status.phase, Phase::Held { .. }),
            "paused": paused.contains(&group.status.name),
            "attempts": group.status.attempts,
            "error": group.status.error,
            "lanes": lanes,
        })
    };
    status.groups.iter().map(group).collect()
}
