//! The ways in which a command of the binary ends, as exit codes; it must never print anything itself.

use std::fmt;

/// Everything went well. SIGTERM counts as well.
pub const OK: u8 = 0;
/// The command worked and found something that the user has to look at.
pub const FINDING: u8 = 1;
/// The command line cannot be understood.
pub const USAGE: u8 = 2;
/// Something that is needed cannot be reached (`EX_UNAVAILABLE` of sysexits.h).
pub const UNAVAILABLE: u8 = 69;
/// A setting is wrong (`EX_CONFIG` of sysexits.h).
pub const CONFIG: u8 = 78;

/// An error that knows its exit code.
///
/// ```
/// use landfall_server::failure::{Failure, UNAVAILABLE};
///
/// let error = anyhow::Error::from(Failure::new(UNAVAILABLE, "port 5263 is in use"));
/// assert_eq!(landfall_server::failure::exit_code(&error), UNAVAILABLE);
/// ```
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// A failure with this exit code and this message for the user.
    pub fn new(code: u8, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The exit code of an error: that of the [`Failure`] in it, 0 when the reader of our output went away, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if is_closed_pipe(error) {
        return OK;
    }
    error.downcast_ref::<Failure>().map_or(FINDING, |failure| failure.code)
}

/// Whether whoever read our output has enough, as `head` does.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
