//! Decides what follows a failure: how long to wait, and what a take-over has told about a lane.
//! Pure: it never talks to a log or a database, and no verdict here overwrites what it does not understand.

use std::time::Duration;

use super::settings::LanderSettings;
use crate::error::SinkError;
use crate::model::{Anchor, Position};

/// A position and the chained hash there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) position: Position,
    pub(super) anchor: Anchor,
}

/// How often something failed in a row, and until when it waits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backoff {
    pub(super) attempts: u32,
    pub(super) until: Option<Duration>,
}

impl Backoff {
    /// Waits after one more failure. Full jitter: many waiters that failed at one instant spread out.
    pub(super) fn fail(&mut self, settings: &LanderSettings, now: Duration, random: u64) {
        self.attempts = self.attempts.saturating_add(1);
        self.until = Some(now + delay(settings, self.attempts, random));
    }

    /// Forgets the failures.
    pub(super) fn succeed(&mut self) {
        *self = Backoff::default();
    }

    /// Whether the wait is over.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}

/// The wait after `attempts` failures in a row: evenly between one millisecond and a bound that doubles.
pub(super) fn delay(settings: &LanderSettings, attempts: u32, random: u64) -> Duration {
    let doubled = settings.backoff_ms_min.saturating_mul(1u64 << (attempts.saturating_sub(1)).min(20));
    let bound = doubled.min(settings.backoff_ms_max).max(1);
    Duration::from_millis(1 + random % bound)
}

/// What a failed landing asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing was written; drop the connection, wait, connect and take all lanes over.
    Reconnect,
    /// Nothing was written; the groups of the batch wait and try again.
    Wait,
    /// Take all lanes over, after a wait, to learn what the database has.
    TakeOver,
    /// Look at once which of the rows are refused, and land without them.
    Isolate,
    /// No single row was found guilty: look at once among at most so many records.
    Split(usize),
}

/// What is known of a landing that failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    /// How many records it held.
    pub(super) records: usize,
    /// How often its groups were refused before, in a row.
    pub(super) refusals: u32,
    /// Whether it held only what its database had taken row by row.
    pub(super) isolated: bool,
}

/// What follows the failure of a landing.
pub(super) fn remedy(error: &SinkError, failed: Failed, refusals_max: u32) -> Remedy {
    match error {
        // After an unknown outcome the take-over must come from a new connection: the old one may still hold
        // the transaction.
        SinkError::Unavailable(_) | SinkError::Unknown(_) => Remedy::Reconnect,
        // A person has to act; the connection is made anew so that what was repaired is seen.
        SinkError::ForeignLineage { .. }
        | SinkError::LaneMissing { .. }
        | SinkError::OtherStart { .. }
        | SinkError::WrongDatabase { .. }
        | SinkError::Unusable(_) => Remedy::Reconnect,
        SinkError::Busy(_) => Remedy::Wait,
        SinkError::Fenced { .. } => Remedy::TakeOver,
        SinkError::Refused { .. } => match failed {
            Failed { isolated: true, records: 2.., .. } => Remedy::Split(failed.records / 2),
            Failed { isolated: true, .. } => Remedy::Wait,
            Failed { refusals, .. } if refusals + 1 < refusals_max => Remedy::Wait,
            _ => Remedy::Isolate,
        },
    }
}

/// What a take-over has told about one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The landing whose outcome was unknown has committed.
    Landed,
    /// The lane is where it was.
    Unmoved,
    /// The lane is further than we knew, within our own log: an older owner of this log landed it.
    Ahead,
    /// The database lost its last transactions; the log says what to land again.
    WentBack,
    /// Log and database tell different histories.
    Diverged(&'static str),
}

/// What the watermark `found` means for a lane that was at `from`, and perhaps at `to`.
///
/// `head` is the end of the lane in the log and `log_anchor` the log's anchor at the found position, if it still
/// has it. Position and anchor count together: a position alone may belong to another history.
pub(super) fn verdict(
    from: Mark,
    to: Option<Mark>,
    found: Mark,
    head: Position,
    log_anchor: Option<Anchor>,
) -> Verdict {
    if to == Some(found) {
        return Verdict::Landed;
    }
    if from == found {
        return Verdict::Unmoved;
    }
    if found.position > head {
        return Verdict::Diverged("the database is ahead of this log");
    }
    match log_anchor {
        None => Verdict::Diverged("the log no longer keeps the position that the database is at"),
        Some(anchor) if anchor != found.anchor => {
            Verdict::Diverged("the database has landed another history than this log holds")
        }
        Some(_) if found.position < from.position => Verdict::WentBack,
        Some(_) if found.position > from.position => Verdict::Ahead,
        Some(_) => Verdict::Diverged("the lander and the log disagree on the record at the watermark"),
    }
}

/// Whether the lanes of one transaction tell of a transaction that landed in part.
pub(super) fn landed_in_part(verdicts: impl Iterator<Item = Verdict>) -> bool {
    let (mut landed, mut not) = (false, false);
    for verdict in verdicts {
        landed |= verdict == Verdict::Landed;
        not |= matches!(verdict, Verdict::Unmoved | Verdict::WentBack);
    }
    landed && not
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LaneId;

    fn mark(position: Position, anchor: u8) -> Mark {
        Mark { position, anchor: Anchor([anchor; 16]) }
    }

    #[test]
    fn backoff_is_bounded_jittered_and_doubles() {
        let settings = LanderSettings::default();
        for attempts in 1..200 {
            let bound = 100u64.saturating_mul(1 << (attempts - 1).min(20)).min(30_000);
            assert_eq!(delay(&settings, attempts, 0), Duration::from_millis(1));
            assert_eq!(delay(&settings, attempts, bound - 1), Duration::from_millis(bound));
            assert_eq!(delay(&settings, attempts, bound), Duration::from_millis(1));
        }
        assert_eq!(delay(&settings, u32::MAX, 29_999), Duration::from_millis(30_000));
    }

    #[test]
    fn a_success_starts_the_backoff_anew() {
        let settings = LanderSettings::default();
        let mut backoff = Backoff::default();
        (0..9).for_each(|_| backoff.fail(&settings, Duration::ZERO, u64::MAX));
        assert!(!backoff.is_over(Duration::ZERO));
        backoff.succeed();
        assert!(backoff.is_over(Duration::ZERO));
        assert_eq!(backoff.attempts, 0);
    }

    #[test]
    fn every_error_has_its_remedy() {
        let fenced = SinkError::Fenced { lane: LaneId(1) };
        let refused = SinkError::Refused { table: "t".into(), reason: "r".into() };
        let of = |error: &SinkError, records, refusals, isolated| {
            remedy(error, Failed { records, refusals, isolated }, 5)
        };
        assert_eq!(of(&SinkError::Unavailable("x".into()), 9, 0, false), Remedy::Reconnect);
        assert_eq!(of(&SinkError::Unknown("x".into()), 9, 9, true), Remedy::Reconnect);
        assert_eq!(of(&SinkError::LaneMissing { lane: LaneId(1) }, 9, 0, false), Remedy::Reconnect);
        assert_eq!(of(&SinkError::Busy("x".into()), 9, 9, true), Remedy::Wait);
        assert_eq!(of(&fenced, 9, 0, false), Remedy::TakeOver);
        assert_eq!(of(&refused, 9, 3, false), Remedy::Wait);
        assert_eq!(of(&refused, 9, 4, false), Remedy::Isolate);
        assert_eq!(of(&refused, 1, 9, false), Remedy::Isolate);
        assert_eq!(of(&refused, 9, 4, true), Remedy::Split(4));
        assert_eq!(of(&refused, 2, 4, true), Remedy::Split(1));
        assert_eq!(of(&refused, 1, 4, true), Remedy::Wait);
    }

    #[test]
    fn a_take_over_tells_where_a_lane_is_by_position_and_anchor() {
        let (from, to) = (mark(10, 1), mark(20, 2));
        let at = |found: Mark, log_anchor: Option<u8>| {
            verdict(from, Some(to), found, 30, log_anchor.map(|byte| Anchor([byte; 16])))
        };
        assert_eq!(at(to, Some(2)), Verdict::Landed);
        assert_eq!(at(from, Some(1)), Verdict::Unmoved);
        assert_eq!(at(mark(5, 5), Some(5)), Verdict::WentBack);
        assert_eq!(at(mark(15, 5), Some(5)), Verdict::Ahead);
        assert_eq!(at(mark(25, 5), Some(5)), Verdict::Ahead);
        for (found, log_anchor) in [
            (mark(20, 9), Some(2)),
            (mark(10, 9), Some(1)),
            (mark(5, 9), Some(5)),
            (mark(5, 5), None),
            (mark(31, 5), None),
        ] {
            assert!(matches!(at(found, log_anchor), Verdict::Diverged(_)), "{found:?}");
        }
    }

    #[test]
    fn lanes_of_one_transaction_landed_all_or_none() {
        use Verdict::{Landed, Unmoved, WentBack};
        assert!(!landed_in_part([Landed, Landed].into_iter()));
        assert!(!landed_in_part([Unmoved, WentBack].into_iter()));
        assert!(landed_in_part([Landed, Unmoved].into_iter()));
        assert!(landed_in_part([WentBack, Landed].into_iter()));
    }
}
