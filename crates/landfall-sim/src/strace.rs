//! Lets the k-th system call of a kind fail in a server, by strace.
//! It must never let a call do less than it claims: such a disk lies, and no log can stand that.

use std::ffi::OsString;
use std::fmt;

use anyhow::{Context, Result};

use crate::skipping::find_program;
use crate::tools;

/// How a system call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The call's name.
    pub call: &'static str,
    /// What it answers: `error=EIO`, or `retval=0` for a write of nothing.
    pub answer: &'static str,
}

/// A fault and its moment. Every thread counts its own calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injection {
    /// What fails.
    pub fault: Fault,
    /// Which call of a thread, from 1.
    pub nth: u64,
    /// Whether every later one fails too.
    pub for_ever: bool,
}

impl Injection {
    /// The program that starts the server so. The server stays a direct child: it can be killed and waited for.
    ///
    /// # Errors
    /// This machine lacks strace.
    pub fn wrapper(&self) -> Result<Vec<OsString>> {
        let strace = find_program("strace").context("this machine lacks strace")?;
        let Fault { call, answer } = self.fault;
        let when = format!("{}{}", self.nth, if self.for_ever { "+" } else { "" });
        let flags = ["-D", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null"].map(OsString::from);
        let trace = format!("trace={call}");
        let inject = format!("inject={call}:{answer}:when={when}");
        let rules = ["-e", &trace, "-e", &inject].map(OsString::from);
        Ok([strace.into()].into_iter().chain(flags).chain(rules).collect())
    }
}

impl fmt::Display for Injection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let later = if self.for_ever { " and every later one" } else { "" };
        write!(formatter, "{} number {}{later}: {}", self.fault.call, self.nth, self.fault.answer)
    }
}

/// Why this machine cannot do it, if it cannot.
pub fn forbidden() -> Option<String> {
    let flags = ["-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fsync", "true"];
    let tried = tools::command("strace").and_then(|mut strace| tools::run(strace.args(flags)));
    tried.err().map(|error| format!("no system call can be made to fail: {error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrapper_names_the_call_and_the_moment() {
        let fault = Fault { call: "fdatasync", answer: "error=EIO" };
        let injection = Injection { fault, nth: 3, for_ever: true };
        assert_eq!(injection.to_string(), "fdatasync number 3 and every later one: error=EIO");
        if let Ok(wrapper) = injection.wrapper() {
            assert_eq!(wrapper.last().unwrap(), "inject=fdatasync:error=EIO:when=3+");
        }
    }
}
