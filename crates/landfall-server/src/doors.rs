//! Doors for the fuzz targets to private parts; no build for users has them (feature `fuzz`).
//! They only pass on, and decide nothing.

use std::sync::Arc;

use landfall::engine::Engine;
use landfall_resp::{Decoded, Limits, OwnedRequest, RequestDecoder};

use crate::commands::Flow;
use crate::commands::table::{everything, find};
use crate::config::{Sources, print, resolve};
use crate::front::execute::{Outcome, execute};
use crate::front::session::Session;
use crate::front::shared::{Shared, Who};
use crate::front::socket::Peer;
use crate::front::users::Users;
use crate::front::waiting::LOAD_ATTEMPTS_MAX;

/// What `config print` says of a settings file with this text, and what is in effect; else the problems.
///
/// # Errors
/// Every problem of the file, in words.
pub fn settings_of(text: &str) -> Result<(String, String), String> {
    let sources = Sources { file: Some(("landfall.toml".into(), text.to_owned())), ..Sources::default() };
    match resolve(&sources) {
        Ok(resolved) => {
            let effective = &resolved.effective;
            let shown = format!(
                "{:?} {:?} {:?} {:?} {:?}",
                effective.database,
                effective.front,
                effective.server,
                effective.drain_timeout,
                effective.settings
            );
            Ok((print(&resolved), shown))
        }
        Err(problems) => Err(problems.to_string()),
    }
}

/// What a request was answered with.
#[derive(Debug, PartialEq, Eq)]
pub enum Given {
    /// These bytes.
    Reply(Vec<u8>),
    /// A reply comes later; these bytes are here already, and should be none.
    Later(Vec<u8>),
    /// These bytes, and then the connection is closed.
    Goodbye(Vec<u8>),
}

/// Runs requests as a connection with all rights sends them, and says what each was answered with. `load` brings the
/// rows that were asked for.
///
/// # Errors
/// The system's, when there can be no session.
pub fn answers(
    engine: &Engine,
    input: &[u8],
    load: &mut dyn FnMut(),
) -> std::io::Result<Vec<(OwnedRequest, Given)>> {
    let poll = mio::Poll::new()?;
    let waker = mio::Waker::new(poll.registry(), mio::Token(0))?;
    let shared = Arc::new(Shared::new(vec!["unix:fuzz".to_owned()], 1, waker));
    shared.let_in(Users::open());
    let mut session = Session::new(Who { token: 0, id: 1 }, Peer::Unix, shared);
    let mut decoder = RequestDecoder::new(Limits::authenticated());
    let (mut given, mut rest) = (Vec::new(), input);
    while let Ok(decoded) = decoder.decode(rest) {
        let (request, consumed) = match decoded {
            Decoded::Complete { request, consumed } => (request.to_owned_request(), consumed),
            Decoded::Skip { consumed } => {
                rest = &rest[consumed..];
                continue;
            }
            Decoded::Incomplete { .. } => break,
        };
        rest = &rest[consumed..];
        let answer = answer(engine, &mut session, &request, load);
        let is_last = matches!(answer, Given::Goodbye(_));
        given.push((request, answer));
        if is_last {
            break;
        }
    }
    Ok(given)
}

fn answer(engine: &Engine, session: &mut Session, request: &OwnedRequest, load: &mut dyn FnMut()) -> Given {
    let mut out = Vec::new();
    for _ in 0..LOAD_ATTEMPTS_MAX {
        let request = request.as_request();
        let outcome = execute(Some(engine), session, &mut out, &request, &find(&request, None));
        if session.is_silent() && !matches!(outcome, Outcome::Load(_)) {
            // As the loop does it.
            session.end_silence();
            return Given::Later(Vec::new());
        }
        match outcome {
            Outcome::Done | Outcome::Queued | Outcome::Rejected | Outcome::Flow(Flow::Done) => {
                return Given::Reply(out);
            }
            Outcome::Flow(Flow::Close) => return Given::Goodbye(out),
            Outcome::Flow(Flow::Park(_) | Flow::Reload | Flow::Clients(_)) | Outcome::Block(..) => {
                return Given::Later(out);
            }
            Outcome::Load(rows) => {
                engine.load(rows, Box::new(|_| {}));
                load();
            }
        }
        if !out.is_empty() {
            break;
        }
    }
    Given::Later(out)
}

/// The names of all commands, of a subcommand behind that of its command.
pub fn command_names() -> impl Iterator<Item = [&'static str; 2]> {
    everything().map(|spec| [spec.container, spec.name])
}
