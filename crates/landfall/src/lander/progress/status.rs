//! What the lander says of itself to people: the state of each group and of the connection, and how a wait ended.
//! No value, key or password ever gets into it.

use std::time::Duration;

/// What a group is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is owed, or what is owed waits for its trigger.
    Idle,
    /// A cut is being landed.
    Landing,
    /// The next record belongs to other groups too, and this one of them cannot land now.
    WaitingFor {
        /// The group that is waited for.
        group: String,
    },
    /// A landing failed and is tried again.
    BackingOff {
        /// When, on the monotonic clock.
        until: Duration,
    },
    /// Too much is refused to be parked: the group lands nothing until a person has acted or the database takes it.
    Held {
        /// When it is tried again, on the monotonic clock.
        until: Duration,
    },
    /// Somebody asked for a pause.
    Paused,
    /// The group lands nothing until a person has acted and the process is started again.
    Stopped(StopReason),
}

impl Phase {
    /// The phase as `status` shows it.
    pub fn in_words(&self) -> String {
        match self {
            Phase::Idle => "idle".into(),
            Phase::Landing => "landing".into(),
            Phase::WaitingFor { group } => format!("waiting for {group}"),
            Phase::BackingOff { .. } => "backing off".into(),
            Phase::Held { .. } => "held".into(),
            Phase::Paused => "paused".into(),
            Phase::Stopped(StopReason::Fenced) => "stopped: fenced".into(),
            Phase::Stopped(StopReason::Diverged) => "stopped: diverged".into(),
            Phase::Stopped(StopReason::LogFailed) => "stopped: the log failed".into(),
        }
    }
}

/// Why a group lands nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Another live owner took a lane again and again.
    Fenced,
    /// Log and database tell different histories.
    Diverged,
    /// The log cannot be read or synced.
    LogFailed,
}

/// The state of a group, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// The group.
    pub name: String,
    /// What it is doing.
    pub phase: Phase,
    /// Since when, on the monotonic clock.
    pub since: Duration,
    /// Failures in a row.
    pub attempts: u32,
    /// The last error, without values; none after a success.
    pub error: Option<String>,
}

/// The state of the connection to the database, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// Failures in a row; 0: the database answers.
    pub attempts: u32,
    /// When the next attempt is, on the monotonic clock.
    pub until: Option<Duration>,
    /// The last error, without values; none after a success.
    pub error: Option<String>,
}

/// How a wait for landing ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use std::time::Duration;
/// use landfall::{Landfall, Settings, Waited};
///
/// let (landfall, _) = Landfall::open_sqlite(Settings::in_dir(dir.join("log")), &dir.join("app.db")).await?;
/// landfall.engine().pause(None)?;
/// let receipt = landfall.set("greeting", b"hello").await?;
/// assert_eq!(landfall.wait_landed(&receipt, Duration::from_millis(1)).await, Waited::TimedOut);
/// landfall.engine().resume(None)?;
/// assert_eq!(landfall.wait_landed(&receipt, Duration::from_secs(5)).await, Waited::Landed);
/// # landfall.close(Duration::from_secs(5)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// Every position has landed.
    Landed,
    /// The deadline came first.
    TimedOut,
    /// A lane's group, or the lander, has stopped: it will not land in this process.
    Stopped,
}

/// No group has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no landing group {0:?}")]
pub struct UnknownGroup(pub String);
