//! Connections whose request was parked: it runs again when what it waited for is there, and then what was sent behind it.
//! It must never run what came later before the reply of the parked one is written.

use landfall::engine::Refusal;
use landfall_resp::OwnedRequest;

use super::Front;
use super::connection::Connection;
use super::run::{Next, Running, begin, run_one};
use super::shared::Who;
use super::waiting::{LOAD_ATTEMPTS_MAX, Wait};

impl Front {
    /// A connection that waits, if it is still the one that is meant.
    pub(super) fn parked(&mut self, who: Who) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(who.token)?;
        if connection.session.who.id != who.id || connection.wait.is_none() {
            return None;
        }
        begin(connection, &mut self.touched, who.token);
        Some(connection)
    }

    /// Runs a request again whose rows were loaded, or says why they were not.
    pub(super) fn loaded(&mut self, who: Who, outcome: Result<(), Refusal>) {
        let Some(connection) = self.parked(who) else { return };
        let Some(Wait::Load { request, attempts }) = connection.wait.take() else { return };
        let refusal = match outcome {
            Err(refusal) => Some(refusal),
            Ok(()) if attempts >= LOAD_ATTEMPTS_MAX + most_loads(&request) => Some(Refusal::TryAgain(
                "the rows of this command leave the cache faster than they are loaded; raise maxmemory, or use smaller commands".into(),
            )),
            Ok(()) => None,
        };
        if let Some(refusal) = refusal {
            // That was EXEC: what it watched is over as well.
            if connection.session.transaction.take().is_some() {
                connection.session.watch = None;
            }
            connection.session.reading = None;
            connection.refuse(&refusal);
            return self.go_on(who.token);
        }
        let next = self.run_again(who.token, &request, attempts + 1);
        self.follow(who.token, next);
        self.go_on(who.token);
    }

    /// Runs a request again that was parked.
    pub(super) fn run_again(&mut self, token: usize, request: &OwnedRequest, attempts: u32) -> Next {
        let engine = self.engine.as_deref();
        let Some(connection) = self.connections.get_mut(token) else { return Next::Stop };
        self.timed.restart();
        let running = Running {
            session: &mut connection.session,
            output: &mut connection.output,
            wait: &mut connection.wait,
            closing: &mut connection.closing,
        };
        let counted = (&mut self.timed, &self.shared.counters);
        run_one(engine, running, counted, &request.as_request(), (attempts, true))
    }

    /// Runs what a connection sent while it was parked.
    pub(super) fn go_on(&mut self, token: usize) {
        self.run_input(token);
        let Some(connection) = self.connections.get_mut(token) else { return };
        connection.active = self.now;
        if connection.readable && connection.may_run() && !self.ready.contains(&token) {
            self.ready.push_back(token);
        }
    }
}

/// How many rounds of loads a request of so many keys may need: each round loads many rows.
fn most_loads(request: &OwnedRequest) -> u32 {
    u32::try_from(request.as_request().arg_count() / 256).unwrap_or(u32::MAX)
}
