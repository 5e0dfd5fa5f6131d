//! The scenarios, in the order of a log's life. Each is a function of a few lines: what is done, and nothing else.

use super::Scenario;

mod disk;
mod landing;
mod letters;
mod log;
mod persons;
mod starts;

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    [starts::all(), log::all(), disk::all(), landing::all(), letters::all(), persons::all()]
        .into_iter()
        .flatten()
        .collect()
}
