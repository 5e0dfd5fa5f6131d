//! A load for tests whose threads a scheduler lets run in turns: it waits where the scheduler sees it.
//! It must not be used by other tests, whose threads wait for the real loaders.

use std::sync::Arc;

use super::{Engine, Refusal};
use crate::engine::ToLoad;
use crate::sync;

/// What became of a load: told by the loader, waited for by who asked.
type Told = (sync::Mutex<Option<Result<(), Refusal>>>, sync::Condvar);

/// Loads rows, and answers what became of that.
pub(super) fn load(engine: &Engine, rows: Vec<ToLoad>) -> Result<(), Refusal> {
    let told: Arc<Told> = Arc::default();
    let teller = told.clone();
    let done = move |outcome| {
        *teller.0.lock() = Some(outcome);
        teller.1.notify_all();
    };
    engine.load(rows, Box::new(done));
    let mut outcome = told.0.lock();
    loop {
        match outcome.take() {
            Some(told) => return told,
            None => told.1.wait(&mut outcome),
        }
    }
}
