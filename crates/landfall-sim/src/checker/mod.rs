//! Decides from what clients saw whether a store kept its promises: nothing acknowledged is lost, nothing is applied
//! twice, and the order of every row is kept. Pure: it must never do I/O, ask a clock, or guess; what it cannot
//! disprove it lets pass.
//!
//! # What is checked
//!
//! An operation *comes before* another when it was answered before the other was sent, or when both went over one
//! connection in that order. Every promise is a sentence about that relation.
//!
//! - **Registers** hold values that are written once in a whole history, so a read names its write. All operations on
//!   one value form a cluster; the store is linearizable exactly when "comes before" has no circle among the clusters
//!   (Gibbons and Korach, *Testing Shared Memories*, 1997). That covers lost writes, older values that win, stale
//!   reads, and reads that go back, in linear time, and a value that anybody has read must stay. A deletion is a
//!   write of nothing. As many deletions look alike, a read of nothing only needs one that can explain it.
//! - **Counters** only grow. A sum must hold what was acknowledged before the read, and nothing that was sent after it;
//!   two answers must not claim the same step. Where all deltas of a counter are distinct powers of 4, its base-4
//!   digits tell which additions are in, and how often.
//! - **Sets of events** hold each acknowledged id once, each unknown one at most once, and nothing else.
//! - **Groups** of registers that are only written together show one value at any time: all or nothing.
//!
//! An outcome is *unknown* when the connection broke after the request was sent: both ends of the story are allowed,
//! until somebody has seen one.
//!
//! ```
//! use landfall_sim::checker::{Kind, Operation, Outcome, Reply, State, check};
//!
//! let write = |value: &str, at_ns| Operation {
//!     client: 1,
//!     session: 1,
//!     sequence: at_ns,
//!     invoked_ns: at_ns,
//!     returned_ns: at_ns + 1,
//!     kind: Kind::Write { registers: vec!["x".into()], value: Some(value.into()) },
//!     outcome: Outcome::Acked(Reply::Done),
//! };
//! let history = [write("old", 10), write("new", 20)];
//! let mut last = State::default();
//! last.registers.insert("x".into(), Some("old".into()));
//! let found = check(&State::default(), &history, &last);
//! assert_eq!(found.len(), 1);
//! assert!(found[0].sentence.contains("new"), "{}", found[0].sentence);
//! ```

mod counter;
mod events;
mod group;
mod order;
pub mod positions;
mod register;
pub mod tail;

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use order::Span;

/// What a client asked for, when, and what it learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Who asked; only for people.
    pub client: u32,
    /// The connection. The server takes the requests of one connection in order.
    pub session: u64,
    /// The place among the requests of the session.
    pub sequence: u64,
    /// Before the request was sent, on one clock for all clients; at least 1.
    pub invoked_ns: u64,
    /// After the answer came; without meaning while the outcome is unknown.
    pub returned_ns: u64,
    /// What was asked.
    pub kind: Kind,
    /// What came of it.
    pub outcome: Outcome,
}

/// What an operation asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Gives all these registers one value, or deletes them. A value is written once in a history.
    Write {
        /// The registers.
        registers: Vec<String>,
        /// The value; none deletes.
        value: Option<String>,
    },
    /// Reads registers at one moment.
    Read {
        /// The registers.
        registers: Vec<String>,
    },
    /// Lets a counter grow.
    Add {
        /// The counter.
        counter: String,
        /// By how much; at least 1.
        delta: u64,
    },
    /// Reads a counter.
    ReadSum {
        /// The counter.
        counter: String,
    },
    /// Adds an event. The same id again is a repetition that must not count.
    Append {
        /// The set.
        set: String,
        /// The event.
        id: String,
    },
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Answered.
    Acked(Reply),
    /// Refused: nothing may have changed.
    Failed,
    /// Sent, and never answered.
    Unknown,
}

/// What an answer said.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Done, no more.
    Done,
    /// The values of the registers asked for, in their order.
    Values(Vec<Option<String>>),
    /// The sum of the counter, this operation included.
    Sum(i64),
}

/// What a store holds at one moment, as far as it was looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// Registers; none: absent. A register that is not named was not looked at (at the end), or is absent (at the start).
    pub registers: BTreeMap<String, Option<String>>,
    /// Counters; not named: not looked at (at the end), or 0 (at the start).
    pub counters: BTreeMap<String, i64>,
    /// Every id of a set, as often as it is there.
    pub sets: BTreeMap<String, Vec<String>>,
}

/// Which promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Something acknowledged, or seen, is not there.
    Lost,
    /// Something is there more often than it was asked for.
    Twice,
    /// Something older came after something newer.
    Order,
    /// Something is there that nobody wrote, or that was refused.
    Invented,
    /// A part of a whole is there.
    Half,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// What happened, with the operations.
    pub sentence: String,
}

/// Every broken promise of a history between two states.
pub fn check(first: &State, history: &[Operation], last: &State) -> Vec<Violation> {
    let ends = Ends::of(history);
    let mut found = Vec::new();
    let registers = history.iter().flat_map(|operation| match &operation.kind {
        Kind::Write { registers, .. } | Kind::Read { registers } => &registers[..],
        _ => &[],
    });
    let names: BTreeSet<&String> = registers.chain(last.registers.keys()).collect();
    let mut by_register = register::by_name(history);
    for name in names {
        let touches = by_register.remove(name.as_str()).unwrap_or_default();
        let initial = first.registers.get(name).cloned().flatten();
        found.extend(register::check(name, initial, &touches, last.registers.get(name), &ends));
    }
    for (name, uses) in counter::by_name(history, last) {
        let initial = first.counters.get(name).copied().unwrap_or(0);
        found.extend(counter::check(name, initial, &uses, last.counters.get(name).copied(), &ends));
    }
    found.extend(events::check(first, history, last));
    found.extend(group::check(first, history, last));
    found
}

/// The spans of the two states around a history.
#[derive(Debug)]
struct Ends {
    first: Span,
    last: Span,
}

impl Ends {
    fn of(history: &[Operation]) -> Ends {
        let latest = history.iter().map(|operation| operation.invoked_ns.max(operation.returned_ns)).max();
        let after = latest.unwrap_or(0) + 1;
        Ends {
            first: Span { session: u64::MAX, sequence: 0, invoked_ns: 0, returned_ns: Some(0) },
            last: Span { session: u64::MAX, sequence: 1, invoked_ns: after, returned_ns: Some(after + 1) },
        }
    }
}

impl Operation {
    fn span(&self) -> Span {
        let returned_ns = match self.outcome {
            Outcome::Unknown => None,
            Outcome::Acked(_) | Outcome::Failed => Some(self.returned_ns),
        };
        Span { session: self.session, sequence: self.sequence, invoked_ns: self.invoked_ns, returned_ns }
    }
}

/// An operation as a person reads it: who, what, when, and what came of it.
impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "client {}: ", self.client)?;
        match &self.kind {
            Kind::Write { registers, value: Some(value) } => {
                write!(formatter, "write `{}` = `{value}`", registers.join("`, `"))?;
            }
            Kind::Write { registers, value: None } => {
                write!(formatter, "delete `{}`", registers.join("`, `"))?
            }
            Kind::Read { registers } => write!(formatter, "read `{}`", registers.join("`, `"))?,
            Kind::Add { counter, delta } => write!(formatter, "add {delta} to `{counter}`")?,
            Kind::ReadSum { counter } => write!(formatter, "read `{counter}`")?,
            Kind::Append { set, id } => write!(formatter, "append `{id}` to `{set}`")?,
        }
        let ms = |ns: u64| ns as f64 / 1e6;
        write!(
            formatter,
            " (session {} request {}, sent {:.3} ms",
            self.session,
            self.sequence,
            ms(self.invoked_ns)
        )?;
        match &self.outcome {
            Outcome::Unknown => formatter.write_str(", outcome unknown)"),
            Outcome::Failed => write!(formatter, ", refused {:.3} ms)", ms(self.returned_ns)),
            Outcome::Acked(reply) => {
                write!(formatter, ", answered {:.3} ms", ms(self.returned_ns))?;
                match reply {
                    Reply::Done => formatter.write_str(")"),
                    Reply::Sum(sum) => write!(formatter, " with {sum})"),
                    Reply::Values(values) => {
                        let values: Vec<&str> =
                            values.iter().map(|value| value.as_deref().unwrap_or("nothing")).collect();
                        write!(formatter, " with {})", values.join(", "))
                    }
                }
            }
        }
    }
}
