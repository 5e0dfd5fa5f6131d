//! How the product is set up in a script, and what its clients say. Nothing lands and no segment is long, unless a script
//! asks for it.

use std::time::Duration;

use landfall::Settings;
use landfall::buffer::log::local::LocalLogSettings;
use landfall::settings::{FlushMode, Fsync};

use crate::core::commands::Command;
use crate::core::swarm::Setup;

/// What a script begins with.
pub(super) fn plain() -> Setup {
    let settings = Settings {
        fsync: Fsync::Always,
        flush: FlushMode::Count,
        flush_count: 1_000_000,
        refusals_max: 1,
        lanes: 1,
        database_check: Duration::from_millis(50),
        loads_at_once: 2,
        ..Settings::in_dir("/data")
    };
    let log = LocalLogSettings {
        segment_bytes: 6 << 10,
        log_bytes_max: 1 << 20,
        record_bytes_max: 1 << 16,
        retention_ms: 1 << 40,
        retention_bytes: 1 << 30,
        retained_bytes_max: 1 << 30,
        zero_fill: true,
        mapped: false,
    };
    Setup { settings, log, batch_records_max: 200_000, keeps_much: true, clients: 1 }
}

/// What is acknowledged is synced a moment later.
pub(super) fn everysec(setup: &mut Setup) {
    setup.settings.fsync = Fsync::Everysec;
}

/// The same with records that are put into files in memory, as the library does it.
pub(super) fn mapped(setup: &mut Setup) {
    everysec(setup);
    setup.log.mapped = true;
}

/// What has landed is let go at once.
pub(super) fn forgetful(setup: &mut Setup) {
    (setup.log.retention_ms, setup.log.retention_bytes, setup.keeps_much) = (0, 0, false);
}

/// The log is at its bound after some dozen of long writes, and lets go of what it can.
pub(super) fn narrow(setup: &mut Setup) {
    forgetful(setup);
    setup.log.log_bytes_max = 1 << 16;
}

pub(super) fn set(key: u64, value: &str) -> Command {
    Command::Set(key, value.into(), None)
}

pub(super) fn put(row: u64, title: &str) -> Command {
    Command::Put(row, title.into())
}

pub(super) fn parent(row: u64, name: &str) -> Command {
    Command::Parent(row, name.into())
}

pub(super) fn child(row: u64, parent: u64, state: &str) -> Command {
    Command::Child(row, parent, state.into())
}

pub(super) fn reading(id: &str) -> Command {
    Command::Reading(id.into())
}
