//! The commands: one table of names, arities, keys and handlers, and the handlers by family.
//! A handler never blocks, never logs a value, and writes exactly one reply.

use landfall::engine::{Engine, Refusal, Stop, Unit, Watch};
use landfall::model::LaneId;
use landfall::model::mapping::Target;
use landfall_resp::{ReplyWriter, Request};

use crate::commands::streams::reads::Blocking;
use crate::front::waiting::Wait;

pub mod acl;
pub mod chance;
pub mod client;
pub mod config;
pub mod connection;
pub mod events;
pub mod glob;
pub mod hashes;
pub mod incidents;
pub mod info;
pub mod introspection;
pub mod keys;
pub mod keyspace;
pub mod letters;
pub mod memory;
pub mod messages;
pub mod numbers;
pub mod object;
pub mod others;
pub mod own;
pub mod slowlog;
pub mod spec;
pub mod status;
pub mod streams;
pub mod strings;
pub mod table;
pub mod transactions;
pub mod warm;

pub use spec::{Handler, Spec};

/// How a session command ends.
pub enum Flow {
    /// Replied.
    Done,
    /// The reply comes later.
    Park(Wait),
    /// Replied; the connection closes.
    Close,
    /// The reply is about other connections, which the loop has.
    Clients(client::Asked),
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
    /// What the connection watches.
    pub watch: &'a mut Option<Watch>,
    /// Set by a command whose reply is the place of its event: the log gives it, so the front writes the reply.
    pub event: Option<LaneId>,
    /// Set by a command that found nothing and may wait for it. In a transaction it does not: its reply is what it wrote.
    pub blocking: Option<Blocking>,
}

impl Call<'_, '_> {
    /// Argument `at`; empty when there is none, which arity rules out.
    pub fn arg(&self, at: usize) -> &[u8] {
        self.request.arg(at).unwrap_or_default()
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
