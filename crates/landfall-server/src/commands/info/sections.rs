//! The sections of INFO, one function each.
//! A field that Landfall has no number for is left out, but for those without which exporters fail.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use landfall::lander::Phase;

use super::Picture;
use crate::commands::spec::Spec;
use crate::commands::table::everything;
use crate::front::counters::Counter;

/// The release of Redis whose commands are followed, for clients that decide by it.
pub(crate) const REDIS_VERSION: &str = "7.2.4";

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn lines(pairs: &[(&str, String)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect()
}

pub(super) fn server(Picture { session, status, .. }: &Picture<'_>) -> String {
    let shared = &session.shared;
    let uptime_s = shared.started.elapsed().as_secs();
    let now_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let program = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    lines(&[
        ("redis_version", REDIS_VERSION.into()),
        ("redis_git_sha1", "00000000".into()),
        ("redis_git_dirty", "0".into()),
        ("redis_build_id", "0".into()),
        ("redis_mode", "standalone".into()),
        ("server_name", "landfall".into()),
        ("landfall_version", env!("CARGO_PKG_VERSION").into()),
        ("os", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("arch_bits", usize::BITS.to_string()),
        ("multiplexing_api", "mio".into()),
        ("process_id", std::process::id().to_string()),
        ("run_id", padded_id(&status.lineage.to_string())),
        ("tcp_port", shared.port().into()),
        ("server_time_usec", now_us.to_string()),
        ("uptime_in_seconds", uptime_s.to_string()),
        ("uptime_in_days", (uptime_s / 86_400).to_string()),
        ("executable", program),
        ("config_file", String::new()),
    ])
}

/// An id as long as Redis's: forty digits.
fn padded_id(id: &str) -> String {
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(40).collect();
    format!("{digits:0<40}")
}

pub(super) fn clients(Picture { session, .. }: &Picture<'_>) -> String {
    lines(&[
        ("connected_clients", read(&session.shared.connections).to_string()),
        ("cluster_connections", "0".into()),
        ("maxclients", session.shared.connections_max.to_string()),
        ("blocked_clients", read(&session.shared.readers).to_string()),
        ("tracking_clients", "0".into()),
    ])
}

pub(super) fn memory(Picture { session, engine, status, .. }: &Picture<'_>) -> String {
    let (_, cached_bytes) = status.cache;
    let most = engine.settings().memory_bytes_max;
    let resident = resident_bytes().unwrap_or(cached_bytes);
    let human = |bytes: u64| format!("{:.2}M", bytes as f64 / f64::from(1 << 20));
    lines(&[
        ("used_memory", cached_bytes.to_string()),
        ("used_memory_human", human(cached_bytes)),
        ("used_memory_rss", resident.to_string()),
        ("used_memory_rss_human", human(resident)),
        ("used_memory_peak", peak_bytes().unwrap_or(resident).to_string()),
        ("used_memory_dataset", cached_bytes.to_string()),
        ("mem_clients_normal", read(&session.shared.client_bytes).to_string()),
        ("maxmemory", most.to_string()),
        ("maxmemory_human", human(most)),
        ("maxmemory_policy", "allkeys-lru".into()),
        ("mem_fragmentation_ratio", format!("{:.2}", resident as f64 / cached_bytes.max(1) as f64)),
        ("mem_not_counted_for_evict", status.dirty.1.to_string()),
    ])
}

/// A line of /proc/self/status, in bytes; none where there is no such file.
fn of_process(field: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn resident_bytes() -> Option<u64> {
    of_process("VmRSS")
}

fn peak_bytes() -> Option<u64> {
    of_process("VmHWM")
}

pub(super) fn persistence(Picture { status, .. }: &Picture<'_>) -> String {
    let written = if status.poisoned.is_some() { "err" } else { "ok" };
    lines(&[
        ("loading", "0".into()),
        ("async_loading", "0".into()),
        ("rdb_changes_since_last_save", status.owed.records.to_string()),
        ("rdb_bgsave_in_progress", "0".into()),
        ("rdb_last_save_time", (status.now_ms / 1000).to_string()),
        ("rdb_last_bgsave_status", "ok".into()),
        ("aof_enabled", "1".into()),
        ("aof_rewrite_in_progress", "0".into()),
        ("aof_last_write_status", written.into()),
        ("aof_current_size", status.log.disk_bytes.to_string()),
        ("aof_pending_bio_fsync", "0".into()),
    ])
}

pub(super) fn stats(Picture { session, status, .. }: &Picture<'_>) -> String {
    let shared = &session.shared;
    let errors: u64 = shared.counters.errors().values().sum();
    lines(&[
        ("total_connections_received", read(&shared.accepted).to_string()),
        ("evicted_clients", read(&shared.clients_evicted).to_string()),
        ("acl_access_denied_auth", read(&shared.failed_logins).to_string()),
        ("acl_access_denied_cmd", read(&shared.denied_commands).to_string()),
        ("total_commands_processed", read(&shared.commands).to_string()),
        ("rejected_connections", read(&shared.rejected).to_string()),
        ("expired_keys", status.counts.expired.to_string()),
        ("evicted_keys", status.evicted.to_string()),
        ("keyspace_misses", status.counts.loaded.to_string()),
        ("pubsub_channels", shared.messages.channels().len().to_string()),
        ("pubsub_patterns", shared.messages.patterns().to_string()),
        ("total_error_replies", errors.to_string()),
    ])
}

pub(super) fn replication(Picture { engine, status, .. }: &Picture<'_>) -> String {
    lines(&[
        ("role", "master".into()),
        ("connected_slaves", "0".into()),
        ("master_failover_state", "no-failover".into()),
        ("master_replid", padded_id(&status.lineage.to_string())),
        ("master_repl_offset", engine.accepted().to_string()),
        ("second_repl_offset", "-1".into()),
        ("repl_backlog_active", "0".into()),
    ])
}

pub(super) fn cpu(_: &Picture<'_>) -> String {
    let Some((user_s, system_s)) = cpu_seconds() else { return String::new() };
    lines(&[("used_cpu_sys", format!("{system_s:.6}")), ("used_cpu_user", format!("{user_s:.6}"))])
}

/// What /proc counts time in, on every machine that Linux runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// The time that the process spent, in its own code and in the system's.
fn cpu_seconds() -> Option<(f64, f64)> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || Some(fields.next()?.parse::<f64>().ok()? / TICKS_A_SECOND);
    Some((next()?, next()?))
}

pub(super) fn modules(_: &Picture<'_>) -> String {
    String::new()
}

/// Each command that was called, or was refused to be.
fn called<'p>(picture: &'p Picture<'_>) -> impl Iterator<Item = (&'static Spec, &'p Counter)> {
    let counters = &picture.session.shared.counters;
    everything()
        .map(|spec| (spec, counters.of(spec)))
        .filter(|(_, counter)| read(&counter.calls) + read(&counter.rejected) > 0)
}

pub(super) fn commandstats(picture: &Picture<'_>) -> String {
    let mut text = String::new();
    for (spec, counter) in called(picture) {
        let (calls, ns) = (read(&counter.calls), read(&counter.nanoseconds));
        let per_call_us = ns as f64 / 1000.0 / calls.max(1) as f64;
        let (rejected, failed) = (read(&counter.rejected), read(&counter.failed));
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "cmdstat_{}:calls={calls},usec={},usec_per_call={per_call_us:.2},rejected_calls={rejected},failed_calls={failed}\r\n",
            spec.full_name(),
            ns / 1000
        );
    }
    text
}

pub(super) fn errorstats(picture: &Picture<'_>) -> String {
    let errors = picture.session.shared.counters.errors();
    errors.iter().map(|(prefix, count)| format!("errorstat_{prefix}:count={count}\r\n")).collect()
}

pub(super) fn latencystats(picture: &Picture<'_>) -> String {
    let mut text = String::new();
    for (spec, counter) in called(picture).filter(|(_, counter)| read(&counter.calls) > 0) {
        let buckets: Vec<u64> = counter.buckets.iter().map(read).collect();
        let [p50, p99, p999] = [500, 990, 999].map(|per_mille| below_us(&buckets, per_mille));
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "latency_percentiles_usec_{}:p50={p50}.000,p99={p99}.000,p99.9={p999}.000\r\n",
            spec.full_name()
        );
    }
    text
}

/// So many of a thousand calls took less than this, in microseconds; a power of two.
fn below_us(buckets: &[u64], per_mille: u64) -> u64 {
    let all: u64 = buckets.iter().sum();
    let mut left = (all * per_mille).div_ceil(1000);
    for (number, bucket) in buckets.iter().enumerate() {
        left = left.saturating_sub(*bucket);
        if left == 0 {
            return 1 << number;
        }
    }
    0
}

pub(super) fn cluster(_: &Picture<'_>) -> String {
    lines(&[("cluster_enabled", "0".into())])
}

/// Landfall's own numbers.
pub(super) fn landfall(Picture { status, .. }: &Picture<'_>) -> String {
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

/// What is in the cache: how many keys the database has besides is not counted for INFO.
pub(super) fn keyspace(Picture { status, .. }: &Picture<'_>) -> String {
    match status.cache.0 {
        0 => String::new(),
        rows => lines(&[("db0", format!("keys={rows},expires=0,avg_ttl=0"))]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_power_of_two_above_it() {
        let mut buckets = [0; 32];
        (buckets[1], buckets[5]) = (98, 2);
        assert_eq!([500, 990, 999].map(|per_mille| below_us(&buckets, per_mille)), [2, 32, 32]);
        assert_eq!(below_us(&[0; 32], 500), 1, "nothing took less than anything");
    }

    #[test]
    fn an_id_has_forty_digits() {
        assert_eq!(padded_id("0a-ff").len(), 40);
        assert!(padded_id("0a-ff").starts_with("0aff00"));
    }
}
