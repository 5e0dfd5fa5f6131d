//! The scenarios, in the order of a log's life. Each is a function of a few lines: what is done, and nothing else.

use super::Scenario;

mod disk;
mod log;
mod starts;

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    [starts::all(), log::all(), disk::all()].into_iter().flatten().collect()
}
