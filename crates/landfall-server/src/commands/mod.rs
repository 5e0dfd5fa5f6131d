//! The commands: one table of names, arities, keys and handlers, and the handlers by family.
//! A handler never blocks, never logs a value, and writes exactly one reply.

use landfall::engine::{Engine, Refusal, Stop, Unit};
use landfall::model::LaneId;
use landfall::model::mapping::Target;
use landfall_resp::{ReplyWriter, Request};

use crate::front::session::Session;
use crate::front::waiting::Wait;

pub mod connection;
pub mod events;
pub mod glob;
pub mod hashes;
pub mod incidents;
pub mod info;
pub mod introspection;
pub mod keys;
pub mod letters;
pub mod numbers;
pub mod own;
pub mod status;
pub mod strings;
pub mod table;

/// One command, as the table lists it.
pub struct Spec {
    /// The name in capitals.
    pub name: &'static str,
    /// How many arguments with the name; negative: at least so many.
    pub arity: i32,
    /// Which arguments are keys.
    pub keys: Keys,
    /// Whether it may change data.
    pub writes: bool,
    /// Whether it may stand between MULTI and EXEC.
    pub in_multi: bool,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// What runs it.
    pub handler: Handler,
}

/// Which arguments are keys: from `first` to `last` (negative: counted from the end) in steps; `first` 0: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// The first.
    pub first: usize,
    /// The last.
    pub last: i32,
    /// The step.
    pub step: usize,
}

/// What runs a command.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Reads and writes rows, in a unit.
    Data(fn(&mut Call<'_, '_>) -> Result<(), Stop>),
    /// Concerns the connection or the server.
    Session(fn(&mut Session, &Engine, &Request<'_>, &mut ReplyWriter<'_>) -> Flow),
    /// EXEC: runs what was queued, as one unit.
    Exec,
}

/// How a session command ends.
pub enum Flow {
    /// Replied.
    Done,
    /// The reply comes later.
    Park(Wait),
    /// Replied; the connection closes.
    Close,
    /// The engine shall be opened anew; the reply comes afterwards.
    Reload,
}

/// One data command being run.
pub struct Call<'a, 'e> {
    /// The engine.
    pub engine: &'e Engine,
    /// The command with its arguments.
    pub request: Request<'a>,
    /// What its keys stand for, in their order.
    pub targets: &'a [Target],
    /// The number of its first key in the unit.
    pub base: usize,
    /// The locked rows.
    pub unit: &'a mut Unit<'e>,
    /// Where the reply goes.
    pub reply: ReplyWriter<'a>,
    /// Chooses the lane of events.
    pub origin: u64,
    /// Set by a command whose reply is the place of its event: the log gives it, so the front writes the reply.
    pub event: Option<LaneId>,
}

impl Call<'_, '_> {
    /// Argument `at`; empty when there is none, which arity rules out.
    pub fn arg(&self, at: usize) -> &[u8] {
        self.request.arg(at).unwrap_or_default()
    }
}

impl Spec {
    /// The numbers of the arguments that are keys.
    pub fn key_args(&self, args: usize) -> impl Iterator<Item = usize> {
        let last = match self.keys.last {
            last if last < 0 => args.saturating_sub(last.unsigned_abs() as usize),
            last => last as usize,
        };
        let first = if self.keys.first == 0 { usize::MAX } else { self.keys.first };
        (first..=last.min(args.saturating_sub(1))).step_by(self.keys.step.max(1))
    }

    /// Whether a request may have so many arguments.
    pub fn takes(&self, args: usize) -> bool {
        match self.arity {
            arity if arity < 0 => args >= arity.unsigned_abs() as usize,
            arity => args == arity as usize,
        }
    }
}

/// The prefix that clients act on, and the sentence.
pub fn refuse(reply: &mut ReplyWriter<'_>, refusal: &Refusal) {
    let prefix = match refusal {
        Refusal::Invalid(_) => "ERR",
        Refusal::WrongType => "WRONGTYPE",
        Refusal::TryAgain(_) => "TRYAGAIN",
        Refusal::OutOfMemory(_) => "OOM",
        Refusal::Log { .. } => "MISCONF",
        Refusal::Fenced(_) => "READONLY",
        Refusal::DatabaseDown(_) => "MASTERDOWN",
        Refusal::Closing => "LOADING",
    };
    reply.error_fmt(format_args!("{prefix} {refusal}"));
}

/// The refusal for an option that makes no sense.
pub fn syntax_error() -> Stop {
    Refusal::invalid("syntax error").into()
}
