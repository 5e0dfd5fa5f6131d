//! What the table knows of one command: name, arguments, keys, what it may do, and since when Redis has it.
//! It only describes; nothing here runs a command.

use landfall::engine::{Engine, Stop};
use landfall_resp::{ReplyWriter, Request};

use super::{Call, Flow};
use crate::front::session::Session;

/// One command, as the table lists it; of a subcommand, the part behind its container.
#[derive(Clone, Copy)]
pub struct Spec {
    /// The name in capitals.
    pub name: &'static str,
    /// Of a subcommand: the command that it belongs to, else empty.
    pub container: &'static str,
    /// Its number among all commands and subcommands, in the order of the table.
    pub id: u16,
    /// How many arguments with the name; negative: at least so many.
    pub arity: i32,
    /// Which arguments are keys.
    pub keys: Keys,
    /// What it may do.
    pub flags: Flags,
    /// Its family.
    pub group: Group,
    /// The release of Redis that brought it; empty for Landfall's own.
    pub since: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// What differs from Redis 7.2, a sentence each.
    pub differs: &'static [&'static str],
    /// Its subcommands; empty for a command that is none.
    pub subcommands: &'static [Spec],
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

impl Keys {
    /// No key.
    pub const NONE: Keys = Keys { first: 0, last: 0, step: 0 };
    /// The first argument.
    pub const ONE: Keys = Keys { first: 1, last: 1, step: 1 };
    /// The first argument of a subcommand.
    pub const SECOND: Keys = Keys { first: 2, last: 2, step: 1 };
    /// The first two arguments.
    pub const TWO: Keys = Keys { first: 1, last: 2, step: 1 };
    /// Every argument.
    pub const ALL: Keys = Keys { first: 1, last: -1, step: 1 };
    /// Every second argument.
    pub const PAIRS: Keys = Keys { first: 1, last: -1, step: 2 };
    /// The first half of what stands behind the word STREAMS. Clients are told that the places differ, by numbers of 0.
    pub const STREAMS: Keys = Keys { first: 0, last: 0, step: 1 };

    /// Where the keys of [`Keys::STREAMS`] are, among arguments of which the command's name is number `name`: the first, and
    /// how many. None where the arguments make no sense.
    pub fn of_streams(request: &Request<'_>, name: usize) -> Option<(usize, usize)> {
        let mut at = name + 1;
        loop {
            let word = request.arg(at)?;
            if word.eq_ignore_ascii_case(b"STREAMS") {
                let (behind, rest) = (at + 1, request.arg_count() - at - 1);
                return (rest > 0 && rest.is_multiple_of(2)).then_some((behind, rest / 2));
            }
            if !word.eq_ignore_ascii_case(b"COUNT") && !word.eq_ignore_ascii_case(b"BLOCK") {
                return None;
            }
            at += 2;
        }
    }
}

/// The families that the docs list commands by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Strings, cells, counters.
    String,
    /// Hashes and rows.
    Hash,
    /// Keys of any type.
    Generic,
    /// Events.
    Stream,
    /// MULTI and its kin.
    Transactions,
    /// What concerns the connection.
    Connection,
    /// What concerns the server.
    Server,
    /// Messages between clients.
    Pubsub,
    /// Landfall's own.
    Landfall,
}

impl Group {
    /// The name that COMMAND DOCS gives it.
    pub fn name(self) -> &'static str {
        match self {
            Group::String => "string",
            Group::Hash => "hash",
            Group::Generic => "generic",
            Group::Stream => "stream",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Pubsub => "pubsub",
            Group::Landfall => "landfall",
        }
    }
}

/// What a command may do, as COMMAND INFO tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// None.
    pub const NONE: Flags = Flags(0);
    /// It may change data.
    pub const WRITE: Flags = Flags(1);
    /// It reads data and changes none.
    pub const READONLY: Flags = Flags(1 << 1);
    /// It is refused when memory is short.
    pub const DENYOOM: Flags = Flags(1 << 2);
    /// It changes how the server works, or shows what other clients do.
    pub const ADMIN: Flags = Flags(1 << 3);
    /// It has to do with messages between clients.
    pub const PUBSUB: Flags = Flags(1 << 4);
    /// Its work does not grow with the data, but for one value.
    pub const FAST: Flags = Flags(1 << 5);
    /// It works before a login.
    pub const NO_AUTH: Flags = Flags(1 << 6);
    /// It is refused between MULTI and EXEC.
    pub const NO_MULTI: Flags = Flags(1 << 7);
    /// It may wait.
    pub const BLOCKING: Flags = Flags(1 << 8);
    /// It takes keys or fields away; not among the flags that COMMAND INFO tells, but in its key specifications.
    pub const REMOVES: Flags = Flags(1 << 9);
    /// It may put entries into streams that somebody waits for; not among the flags that COMMAND INFO tells.
    pub const WAKES: Flags = Flags(1 << 10);

    const NAMES: &'static [(Flags, &'static str)] = &[
        (Flags::WRITE, "write"),
        (Flags::READONLY, "readonly"),
        (Flags::DENYOOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::PUBSUB, "pubsub"),
        (Flags::FAST, "fast"),
        (Flags::NO_AUTH, "no_auth"),
        (Flags::NO_MULTI, "no_multi"),
        (Flags::BLOCKING, "blocking"),
    ];

    /// These and those.
    pub const fn and(self, more: Flags) -> Flags {
        Flags(self.0 | more.0)
    }

    /// These without those.
    pub const fn without(self, less: Flags) -> Flags {
        Flags(self.0 & !less.0)
    }

    /// Whether all of `flags` are set.
    pub const fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// The names that Redis has for them.
    pub fn names(self) -> Vec<&'static str> {
        Flags::NAMES.iter().filter(|(flag, _)| self.has(*flag)).map(|(_, name)| *name).collect()
    }
}

/// A handler of rows.
pub type DataHandler = fn(&mut Call<'_, '_>) -> Result<(), Stop>;
/// A handler of the connection or the server.
pub type SessionHandler = fn(&mut Session, &Engine, &Request<'_>, &mut ReplyWriter<'_>) -> Flow;

/// What runs a command.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Reads and writes rows, in a unit.
    Data(DataHandler),
    /// Concerns the connection or the server.
    Session(SessionHandler),
    /// EXEC: runs what was queued, as one unit.
    Exec,
}

impl Spec {
    const fn new(name: &'static str, arity: i32, handler: Handler, summary: &'static str) -> Spec {
        Spec {
            name,
            container: "",
            id: 0,
            arity,
            keys: Keys::NONE,
            flags: Flags::NONE,
            group: Group::Server,
            since: "",
            summary,
            differs: &[],
            subcommands: &[],
            handler,
        }
    }

    /// A command that reads rows and changes none.
    pub const fn read(
        name: &'static str,
        arity: i32,
        keys: Keys,
        handler: DataHandler,
        summary: &'static str,
    ) -> Spec {
        Spec { keys, flags: Flags::READONLY, ..Spec::new(name, arity, Handler::Data(handler), summary) }
    }

    /// A command that changes rows.
    pub const fn write(
        name: &'static str,
        arity: i32,
        keys: Keys,
        handler: DataHandler,
        summary: &'static str,
    ) -> Spec {
        let flags = Flags::WRITE.and(Flags::DENYOOM);
        Spec { keys, flags, ..Spec::new(name, arity, Handler::Data(handler), summary) }
    }

    /// A command that concerns the connection or the server.
    pub const fn session(
        name: &'static str,
        arity: i32,
        handler: SessionHandler,
        summary: &'static str,
    ) -> Spec {
        Spec::new(name, arity, Handler::Session(handler), summary)
    }

    /// EXEC, which is like no other.
    pub const fn exec(summary: &'static str) -> Spec {
        Spec::new("EXEC", 1, Handler::Exec, summary)
    }

    /// The release of Redis that brought it.
    pub const fn since(self, since: &'static str) -> Spec {
        Spec { since, ..self }
    }

    /// More that it may do.
    pub const fn also(self, flags: Flags) -> Spec {
        Spec { flags: self.flags.and(flags), ..self }
    }

    /// Its work does not grow with the data.
    pub const fn fast(self) -> Spec {
        self.also(Flags::FAST)
    }

    /// It changes how the server works.
    pub const fn admin(self) -> Spec {
        self.also(Flags::ADMIN)
    }

    /// It is refused between MULTI and EXEC.
    pub const fn alone(self) -> Spec {
        self.also(Flags::NO_MULTI)
    }

    /// It needs no memory, and takes something away.
    pub const fn removes(self) -> Spec {
        Spec { flags: self.flags.without(Flags::DENYOOM).and(Flags::REMOVES), ..self }
    }

    /// It needs no memory.
    pub const fn frugal(self) -> Spec {
        Spec { flags: self.flags.without(Flags::DENYOOM), ..self }
    }

    /// What differs from Redis 7.2.
    pub const fn differs(self, differs: &'static [&'static str]) -> Spec {
        Spec { differs, ..self }
    }

    /// Its subcommands.
    pub const fn holds(self, subcommands: &'static [Spec]) -> Spec {
        Spec { subcommands, ..self }
    }

    /// Whether it may change data.
    pub fn writes(&self) -> bool {
        self.flags.has(Flags::WRITE)
    }

    /// The name in small letters, of a subcommand with its container: `client|list`.
    pub fn full_name(&self) -> String {
        match self.container {
            "" => self.name.to_lowercase(),
            container => format!("{}|{}", container.to_lowercase(), self.name.to_lowercase()),
        }
    }

    /// The subcommand of this name, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Spec> {
        self.subcommands.iter().find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The numbers of the arguments that are keys.
    pub fn key_args(&self, request: &Request<'_>) -> impl Iterator<Item = usize> {
        self.key_args_behind(request, 0)
    }

    /// The same when the command's name is argument number `name`.
    pub fn key_args_behind(&self, request: &Request<'_>, name: usize) -> impl Iterator<Item = usize> {
        let (first, end, step) = match self.keys {
            Keys::STREAMS => {
                let (first, count) = Keys::of_streams(request, name).unwrap_or_default();
                (first, first + count, 1)
            }
            _ => {
                let (first, end) = self.fixed_keys(request.arg_count() - name);
                (first + name, end + name, self.keys.step.max(1))
            }
        };
        (first..end).step_by(step)
    }

    /// The first key and the end of the keys among so many arguments, where their places are fixed.
    fn fixed_keys(&self, args: usize) -> (usize, usize) {
        if self.keys.first == 0 {
            return (0, 0);
        }
        let last = match self.keys.last {
            last if last < 0 => args.saturating_sub(last.unsigned_abs() as usize),
            last => last as usize,
        };
        (self.keys.first, (last + 1).min(args))
    }

    /// Whether a request may have so many arguments.
    pub fn takes(&self, args: usize) -> bool {
        match self.arity {
            arity if arity < 0 => args >= arity.unsigned_abs() as usize,
            arity => args == arity as usize,
        }
    }
}
