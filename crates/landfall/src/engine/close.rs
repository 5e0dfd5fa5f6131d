//! Closing: land what is left until the deadline, sync the log, end the threads, and say what stays.
//! What stays is safe in the log and lands after the next start; it is reported, never dropped.

use std::time::Duration;

use super::commits::Commits;
use super::core::Core;
use super::keeper::{self, Threads};
use crate::buffer::log::LogError;
use crate::env::failpoint::reach;
use crate::settings::Fsync;
use crate::sync::atomic::Ordering;

/// What was still in the log when the engine closed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use std::time::Duration;
/// use landfall::{Landfall, Remaining, Settings};
///
/// let (landfall, _) = Landfall::open_sqlite(Settings::in_dir(dir.join("log")), &dir.join("app.db")).await?;
/// let _ = landfall.set("greeting", b"hello").await?;
/// let remaining: Remaining = landfall.close(Duration::from_secs(5)).await?;
/// assert_eq!(remaining, Remaining::default()); // everything has landed
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remaining {
    /// Changes that have not landed; they are in the log and land after the next start.
    pub changes: u64,
    /// Why, by landing group, when there is a reason.
    pub reasons: Vec<(String, String)>,
    /// Threads that had panicked.
    pub failed: Vec<String>,
}

/// Takes nothing more, syncs what was taken, and asks the lander to land what is left within `drain`. That may last, and the
/// thread that syncs every second ends before it: what `everysec` has acknowledged must not wait for the end of the drain.
pub(super) fn begin(core: &Core, drain: Duration) {
    core.closing.store(true, Ordering::Relaxed);
    reach("close.begin");
    core.progress.stop(core.env.clock.monotonic() + drain);
    if core.settings.fsync == Fsync::Everysec {
        keeper::sync(core);
    }
}

pub(super) fn close(
    core: &Core,
    commits: &Commits,
    threads: Option<Threads>,
    drain: Duration,
) -> Result<Remaining, LogError> {
    begin(core, drain);
    let failed = threads.map(|threads| threads.end(core, commits)).unwrap_or_default();
    reach("close.drained");
    let reasons = core
        .progress
        .groups()
        .into_iter()
        .filter_map(|group| group.error.map(|error| (group.name, error)))
        .collect();
    let changes = core.log.owed_records();
    core.note_landed()?;
    reach("close.noted");
    core.log.close()?;
    reach("close.closed");
    Ok(Remaining { changes, reasons: if changes > 0 { reasons } else { Vec::new() }, failed })
}
