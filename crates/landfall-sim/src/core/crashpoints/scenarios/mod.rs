//! The scenarios, in the order of a log's life. Each is a function of a few lines: what is done, and nothing else.

use super::Scenario;

mod clears;
mod disk;
mod landing;
mod letters;
mod log;
mod persons;
mod spills;
mod starts;
mod streams;

/// These are played with `everysec` too: what they do to the log, or to the order of log and database, is another thing
/// when a write is acknowledged before it is synced.
const WITH_EVERYSEC: &[&str] = &[
    "start-with-backlog",
    "more-lanes",
    "close-at-a-deadline",
    "reload",
    "several-lanes",
    "long-record",
    "roll-over",
    "trim",
    "trim-at-a-roll-over",
    "recycled-segment",
    "spill",
    "spill-and-land",
    "spill-while-written",
    "clear",
    "clear-and-load",
    "clear-and-start",
    "clear-and-failover",
    "idle-mark",
    "poisoned-by-a-sync",
    "full-disk",
    "copied-segment",
    "take-over",
    "commit-in-flight",
    "failover",
    "load-in-a-landing",
    "expiry",
    "park",
    "drop",
    "log-behind",
    "stream-head",
    "stream-head-and-start",
];

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    let log = [log::all(), spills::all(), disk::all()].into_iter().flatten().collect();
    let parts =
        [starts::all(), log, landing::all(), letters::all(), clears::all(), streams::all(), persons::all()];
    let mut all: Vec<Scenario> = parts.into_iter().flatten().collect();
    let twins = all.iter().filter(|scenario| WITH_EVERYSEC.contains(&&*scenario.name));
    let twins: Vec<Scenario> = twins.map(Scenario::with_everysec).collect();
    all.extend(twins);
    all
}
