//! Why the engine did not do what it was asked, in the few kinds that clients act on.
//! A refusal means that nothing was logged and nothing changed, except where it says that the outcome is unknown.

use crate::error::LogError;

/// Why a request was refused.
///
/// What to do is in the kind: correct the request ([`Refusal::Invalid`], [`Refusal::WrongType`]), try again a little
/// later ([`Refusal::TryAgain`], [`Refusal::OutOfMemory`], [`Refusal::DatabaseDown`]), or stop and look at the log or
/// the database ([`Refusal::Log`], [`Refusal::Fenced`]).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use landfall::{Landfall, Refusal, Settings};
/// # use std::time::Duration;
///
/// let (landfall, _) = Landfall::open_sqlite(Settings::in_dir(dir.join("log")), &dir.join("app.db")).await?;
/// let _ = landfall.set("greeting", b"hello").await?;
/// let refused = landfall.put("greeting", [("language", "en".into())]).await;
/// assert!(matches!(refused, Err(Refusal::WrongType))); // a string is no hash, and nothing was changed
/// # landfall.close(Duration::from_secs(5)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// The request does not fit the data: a value, a column, a key. The message says what, why and what to do.
    #[error("{0}")]
    Invalid(String),
    /// The key holds another kind of value.
    #[error("Operation against a key holding the wrong kind of value")]
    WrongType,
    /// A bound is reached; try again when rows have landed.
    #[error("{0}")]
    TryAgain(String),
    /// The memory for dirty rows is used up.
    #[error("{0}")]
    OutOfMemory(String),
    /// The log cannot be written. With `outcome_unknown` the write may or may not be found after a restart.
    #[error("{reason}")]
    Log {
        /// The log's words.
        reason: String,
        /// Whether the write may have been kept.
        outcome_unknown: bool,
    },
    /// Somebody else owns the lane in the database: this process must not write.
    #[error("{0}")]
    Fenced(String),
    /// The answer needs the database, and it is not available.
    #[error("{0}")]
    DatabaseDown(String),
    /// The engine is closing.
    #[error("the engine is closing")]
    Closing,
}

impl Refusal {
    /// A refusal because of the data.
    pub fn invalid(sentence: impl Into<String>) -> Refusal {
        Refusal::Invalid(sentence.into())
    }
}

impl Refusal {
    /// Why a commit failed: the write was appended before, so whatever the log says, it may be found after a restart.
    pub fn of_commit(error: &LogError) -> Refusal {
        Refusal::Log { reason: error.to_string(), outcome_unknown: true }
    }
}

/// Why an append failed: nothing was appended, except that a poisoned log tells nothing.
impl From<LogError> for Refusal {
    fn from(error: LogError) -> Refusal {
        match error {
            LogError::Full { .. } => Refusal::TryAgain(format!("{error}; try again when rows have landed")),
            LogError::TooLarge { .. } => Refusal::Invalid(error.to_string()),
            error => Refusal::Log {
                outcome_unknown: matches!(error, LogError::Poisoned { .. }),
                reason: error.to_string(),
            },
        }
    }
}

/// Why a command did not finish.
#[derive(Debug)]
pub enum Stop {
    /// Rows have to be loaded first; the unit names them ([`Unit::wanted`](super::Unit::wanted)). Run it again afterwards.
    Load,
    /// Refused; nothing was changed.
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}
