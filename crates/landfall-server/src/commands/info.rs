//! INFO: the sections that tools parse, and `# Landfall`.
//! Every number is computed when asked; none is kept for INFO alone.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use landfall::engine::{Engine, Status};
use landfall::lander::Phase;
use landfall_resp::{ReplyWriter, Request};

use super::Flow;
use crate::front::session::Session;
use crate::front::shared::Shared;

/// The release of Redis whose commands are followed, for clients that decide by it.
const REDIS_VERSION: &str = "7.2.4";

/// `INFO [section ..]`
pub fn info(
    session: &mut Session,
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    let asked: Vec<String> =
        request.args().skip(1).map(|name| String::from_utf8_lossy(name).to_lowercase()).collect();
    let all = asked.is_empty()
        || asked.iter().any(|name| matches!(name.as_str(), "all" | "everything" | "default"));
    let status = engine.status();
    let mut text = String::new();
    for (name, section) in sections(&session.shared, engine, &status) {
        if all || asked.iter().any(|asked| *asked == name.to_lowercase()) {
            let gap = if text.is_empty() { "" } else { "\r\n" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{gap}# {name}\r\n{section}");
        }
    }
    reply.verbatim(b"txt", text.as_bytes());
    Flow::Done
}

fn sections(shared: &Shared, engine: &Engine, status: &Status) -> Vec<(&'static str, String)> {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let uptime = shared.started.elapsed().as_secs();
    let settings = engine.settings();
    let (_, cached_bytes) = status.cache;
    vec![
        (
            "Server",
            lines(&[
                ("redis_version", REDIS_VERSION.into()),
                ("server_name", "landfall".into()),
                ("landfall_version", env!("CARGO_PKG_VERSION").into()),
                ("redis_mode", "standalone".into()),
                ("os", std::env::consts::OS.into()),
                ("arch_bits", usize::BITS.to_string()),
                ("process_id", std::process::id().to_string()),
                ("tcp_port", shared.listen.rsplit(':').next().unwrap_or_default().into()),
                ("uptime_in_seconds", uptime.to_string()),
                ("uptime_in_days", (uptime / 86_400).to_string()),
            ]),
        ),
        (
            "Clients",
            lines(&[
                ("connected_clients", read(&shared.connections).to_string()),
                ("maxclients", shared.connections_max.to_string()),
            ]),
        ),
        (
            "Memory",
            lines(&[
                ("used_memory", cached_bytes.to_string()),
                ("used_memory_dataset", cached_bytes.to_string()),
                ("maxmemory", settings.memory_bytes_max.to_string()),
            ]),
        ),
        (
            "Persistence",
            lines(&[
                ("loading", "0".into()),
                ("aof_enabled", "1".into()),
                ("aof_last_write_status", if status.poisoned.is_some() { "err" } else { "ok" }.into()),
            ]),
        ),
        (
            "Stats",
            lines(&[
                ("total_connections_received", read(&shared.accepted).to_string()),
                ("total_commands_processed", read(&shared.commands).to_string()),
                ("expired_keys", status.counts.expired.to_string()),
                ("evicted_keys", status.evicted.to_string()),
            ]),
        ),
        ("Replication", lines(&[("role", "master".into()), ("connected_slaves", "0".into())])),
        ("Landfall", landfall_section(status)),
        ("Keyspace", String::new()),
    ]
}

type Pairs<'a> = &'a [(&'a str, String)];

fn lines(pairs: Pairs<'_>) -> String {
    pairs.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect()
}

fn landfall_section(status: &Status) -> String {
    let (cached_rows, _) = status.cache;
    let (dirty_rows, dirty_bytes) = status.dirty;
    let age_ms = match status.owed.oldest_ms {
        0 => 0,
        oldest => status.now_ms.saturating_sub(oldest),
    };
    let letter_age_ms = status.parked.oldest_ms.map_or(0, |oldest| status.now_ms.saturating_sub(oldest));
    let held = status.groups.iter().filter(|group| matches!(group.status.phase, Phase::Held { .. })).count();
    lines(&[
        ("lineage", status.lineage.to_string()),
        ("health", if status.is_healthy() { "ok" } else { "look" }.into()),
        ("incidents_open", status.incidents_open.to_string()),
        ("pending_changes", status.owed.records.to_string()),
        ("pending_log_bytes", status.owed.bytes.to_string()),
        ("oldest_pending_ms", age_ms.to_string()),
        ("cached_rows", cached_rows.to_string()),
        ("dirty_rows", dirty_rows.to_string()),
        ("dirty_bytes", dirty_bytes.to_string()),
        ("accepted_changes", status.counts.accepted.to_string()),
        ("landed_changes", status.counts.landed_changes.to_string()),
        ("landed_rows", status.counts.landed_rows.to_string()),
        ("landed_batches", status.counts.batches.to_string()),
        ("dead_letters", status.parked.count.to_string()),
        ("dead_letters_bytes", status.parked.bytes.to_string()),
        ("oldest_dead_letter_ms", letter_age_ms.to_string()),
        ("held_groups", held.to_string()),
        ("landing_retries", status.counts.retries.to_string()),
        ("refused_writes", status.counts.refused.to_string()),
        ("loaded_rows", status.counts.loaded.to_string()),
        ("key_values_complete", u8::from(status.complete).to_string()),
    ])
}
