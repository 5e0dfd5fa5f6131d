//! Which faults a seed has, and how the product is set up for it: a random part of all, so that none hides another.
//! It must never give two runs of one seed different faults.

use std::collections::BTreeMap;
use std::time::Duration;

use landfall::Settings;
use landfall::buffer::log::local::LocalLogSettings;
use landfall::settings::{FlushMode, Fsync};

use super::context::Context;

/// Every kind of fault with its rate: in ten thousand chances of it.
const KINDS: &[(&str, u64)] = &[
    ("kill", 40),
    ("power cut", 40),
    ("crash at a step", 60),
    ("crash behind a new name", 300),
    ("disk: a sync fails", 25),
    ("disk: a write fails", 10),
    ("disk: a name fails", 100),
    ("disk: full", 60),
    ("db: connection lost", 60),
    ("db: deadlock or lock wait", 80),
    ("db: unknown, rolled back", 600),
    ("db: unknown, in flight", 600),
    ("db: unknown, committed", 600),
    ("db: take-over without answer", 1000),
    ("db: slow", 500),
    ("db: owner paused", 400),
    ("db: busy load", 800),
    ("db: down", 60),
    ("db: drops connections", 80),
    ("db: failover", 50),
    ("db: refuses rows", 120),
    ("clock jump", 80),
    ("lanes change", 2500),
    ("volume: a copy runs", 50),
    ("volume: lost", 12),
    ("volume: an older copy", 60),
    ("volume: damage", 30),
    ("db: restored from long ago", 80),
    ("db: down at start", 2500),
    ("db: tables change while down", 400),
];

/// A kind may come so many times as often: what needs two or three faults in a row is met there.
const OFTEN: u64 = 4;

/// The names of all kinds.
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(kind, _)| *kind)
}

/// The faults of a run.
pub(super) fn rates(context: &Context, without: &[&'static str]) -> BTreeMap<&'static str, u64> {
    let mut rates = BTreeMap::new();
    for (kind, rate) in KINDS {
        // The dice fall for what is left out too, so that the rest stays the same.
        let (happens, often) = (context.one_in(2), context.one_in(6));
        if happens && !without.contains(kind) {
            rates.insert(*kind, rate * if often { OFTEN } else { 1 });
        }
    }
    rates
}

/// How the product is set up in a run.
pub(super) struct Setup {
    pub(super) settings: Settings,
    pub(super) log: LocalLogSettings,
    pub(super) batch_records_max: usize,
    /// Whether the log keeps enough for a database that goes back.
    pub(super) keeps_much: bool,
    pub(super) clients: usize,
}

/// The set-up of a run.
pub(super) fn setup(context: &Context) -> Setup {
    let pick = |of: &[u64]| of[context.below(of.len() as u64) as usize];
    let keeps_much = context.one_in(2);
    let settings = Settings {
        fsync: [Fsync::Always, Fsync::Always, Fsync::Everysec, Fsync::Os][context.below(4) as usize],
        flush: [FlushMode::Hybrid, FlushMode::Time, FlushMode::Count][context.below(3) as usize],
        flush_interval: Duration::from_millis(pick(&[5, 50, 200])),
        flush_count: pick(&[1, 5, 40]),
        throttle_at: pick(&[20, 5_000_000]),
        max_pending: pick(&[25, 10_000_000, 10_000_000]),
        memory_bytes_max: pick(&[64 * 600, 1 << 22, 1 << 22]),
        lanes: pick(&[1, 2, 3]) as u32,
        ttl: Duration::from_millis(pick(&[20, 500, 3_600_000])),
        absent_ttl: Duration::from_millis(pick(&[10, 1000])),
        database_check: Duration::from_millis(50),
        loads_at_once: 2,
        load_timeout: Duration::from_millis(pick(&[200, 5_000])),
        refusals_max: pick(&[1, 2, 5]) as u32,
        hold_rows_min: pick(&[3, 100]),
        dead_letters_max: pick(&[2, 10_000, 10_000]),
        ..Settings::in_dir("/data")
    };
    let segment_bytes = pick(&[5 << 10, 5 << 10, 6 << 10, 16 << 10]);
    // Some logs are so small that what a group does not land has to be spilled.
    let (segment_bytes, log_bytes_max) = match (context.spills, segment_bytes == 6 << 10) {
        (true, _) => (6 << 10, 16 << 10),
        (false, true) => (segment_bytes, 20 << 10),
        (false, false) => (segment_bytes, 1 << 20),
    };
    let zero_fill = context.one_in(2);
    let log = LocalLogSettings {
        segment_bytes,
        log_bytes_max,
        record_bytes_max: log_bytes_max.min(1 << 16),
        retention_ms: if keeps_much { 1 << 40 } else { 0 },
        retention_bytes: if keeps_much { 1 << 30 } else { 0 },
        retained_bytes_max: 1 << 30,
        zero_fill,
        // As the library has it, and as the server has it.
        mapped: zero_fill && settings.fsync != Fsync::Always,
    };
    Setup {
        settings,
        log,
        batch_records_max: pick(&[1, 4, 200_000]) as usize,
        keeps_much,
        clients: 1 + context.below(4) as usize,
    }
}
