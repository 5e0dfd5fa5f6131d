//! Waiting for the log from asynchronous code: one thread commits for everybody who waits.
//! A waiter that goes away loses its answer and nothing else.

use std::sync::Arc;

use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::core::Core;
use super::refusal::Refusal;
use crate::buffer::log::Address;
use crate::model::{LaneId, Position};
use crate::sync::{Condvar, Mutex};

/// What a committed unit wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Commit the log up to here and the write is safe. 0: nothing was written.
    pub end: Address,
    /// The position in each lane.
    pub places: SmallVec<[(LaneId, Position); 1]>,
}

/// The writes that wait for the log.
#[derive(Default)]
pub struct Commits {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<(Address, oneshot::Sender<Result<(), Refusal>>)>,
    closed: bool,
}

impl Commits {
    /// Waits until everything up to `end` is as safe as an acknowledgement promises.
    ///
    /// # Errors
    /// [`Refusal::Log`] when the log failed: the outcome is unknown.
    pub async fn wait(self: &Arc<Self>, end: Address) -> Result<(), Refusal> {
        let receive = {
            let mut state = self.state.lock();
            if state.closed {
                return Err(unknown());
            }
            let (send, receive) = oneshot::channel();
            state.waiting.push((end, send));
            receive
        };
        self.wake.notify_one();
        receive.await.unwrap_or_else(|_| Err(unknown()))
    }

    /// The work of the committing thread, until the engine closes.
    pub(super) fn run(&self, core: &Core) {
        loop {
            let waiting = {
                let mut state = self.state.lock();
                while state.waiting.is_empty() && !state.closed {
                    self.wake.wait(&mut state);
                }
                if state.waiting.is_empty() {
                    return;
                }
                std::mem::take(&mut state.waiting)
            };
            let end = waiting.iter().map(|(end, _)| *end).max().unwrap_or(0);
            let outcome = core.commit(end).map_err(|error| Refusal::of_commit(&error));
            for (_, waiter) in waiting {
                // Who no longer waits does not want to know.
                let _ = waiter.send(outcome.clone());
            }
        }
    }

    /// Lets the committing thread end when it has answered everybody.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_all();
    }
}

/// The engine closed behind an append: the write is in the log's memory, and whether the close still kept it is not known
/// here.
fn unknown() -> Refusal {
    Refusal::Log { reason: "the engine closed before the write was safe".into(), outcome_unknown: true }
}
