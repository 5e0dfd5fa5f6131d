//! Looks ahead in what a connection has sent and tells the engine which keys come next, so that their rows are fetched
//! from memory together and not one after the other.
//! It must never change what a request does or answers: it has a decoder of its own, and hints are all it gives.

use landfall::engine::{Engine, FORESEEN_MAX};
use landfall_resp::{Decoded, Limits, Request, RequestDecoder};
use smallvec::SmallVec;

use crate::commands::Spec;
use crate::commands::table::lookup_like;

/// What lies behind this many bytes of a pipeline is looked at later.
const LOOK_AHEAD_BYTES: usize = 16 << 10;

/// The look ahead of a loop.
pub(super) struct Foresight {
    decoder: RequestDecoder,
    /// The command that was seen last.
    last: Option<&'static Spec>,
}

impl Foresight {
    /// Nothing seen yet.
    pub(super) fn new() -> Foresight {
        Foresight { decoder: RequestDecoder::new(Limits::authenticated()), last: None }
    }

    /// Looks at `request`, which is about to run, and at the whole requests in `ahead`, the bytes behind it. Returns how
    /// many of those behind it need not be looked at again.
    ///
    /// The work is linear in the bytes of requests that run: it is called when one is complete, and looks at none twice
    /// but the last, which may be cut off.
    pub(super) fn look(&mut self, engine: &Engine, request: &Request<'_>, ahead: &[u8]) -> usize {
        // Alone it gains nothing.
        if ahead.is_empty() {
            return 0;
        }
        let mut rest = &ahead[..ahead.len().min(LOOK_AHEAD_BYTES)];
        let mut rows: SmallVec<[u64; FORESEEN_MAX]> = SmallVec::new();
        note(engine, request, &mut self.last, &mut rows);
        self.decoder.reset();
        let mut requests = 0;
        while rows.len() < FORESEEN_MAX && !rest.is_empty() {
            // What is wrong with the bytes is said when they are run.
            let Ok(Decoded::Complete { request, consumed }) = self.decoder.decode(rest) else { break };
            note(engine, &request, &mut self.last, &mut rows);
            rest = &rest[consumed..];
            requests += 1;
        }
        engine.foresee(&rows);
        requests
    }

    /// Looks at what several connections sent, of each that sent a single request: a pipeline is looked at when it runs.
    pub(super) fn look_across<'i>(&mut self, engine: &Engine, inputs: impl Iterator<Item = &'i [u8]>) {
        let mut rows: SmallVec<[u64; FORESEEN_MAX]> = SmallVec::new();
        for input in inputs {
            self.decoder.reset();
            match self.decoder.decode(input) {
                Ok(Decoded::Complete { request, consumed }) if consumed == input.len() => {
                    note(engine, &request, &mut self.last, &mut rows);
                }
                _ => {}
            }
        }
        if rows.len() > 1 {
            engine.foresee(&rows);
        }
    }
}

/// Notes the rows that a request names.
fn note(
    engine: &Engine,
    request: &Request<'_>,
    last: &mut Option<&'static Spec>,
    rows: &mut SmallVec<[u64; FORESEEN_MAX]>,
) {
    *last = lookup_like(request.command(), *last);
    let Some(spec) = *last else { return };
    let keys = spec.key_args(request).take(FORESEEN_MAX - rows.len());
    rows.extend(keys.filter_map(|at| engine.foreshadow(request.arg(at)?)));
}
