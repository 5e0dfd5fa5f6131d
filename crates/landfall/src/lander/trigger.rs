//! Decides whether a landing starts now, or what it waits for. Pure: no clock, no log, no lock.

use std::time::Duration;

use super::settings::LanderSettings;
use crate::settings::FlushMode;

/// What waits to be landed by groups that could start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pending {
    /// Changes of groups that have no cut outstanding.
    pub(super) changes: u64,
    /// Changes of these groups and of those with a cut outstanding.
    pub(super) owed: u64,
    /// How long the oldest of `changes` waits.
    pub(super) age: Duration,
    /// Somebody asked for a flush that does not cover all of `changes` yet.
    pub(super) flush: bool,
    /// The lander ends; what is left lands.
    pub(super) closing: bool,
    /// Some groups are paused, stopped or backing off: not every change is one that waits to be landed.
    pub(super) held: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Land now.
    Land,
    /// Wait for time to pass, or for further changes, whichever comes first.
    Wait {
        /// At most so long; none: no time alone starts a landing.
        within: Option<Duration>,
        /// Look again after so many further changes.
        changes: u64,
    },
}

/// Whether what is pending lands now.
pub(super) fn decide(settings: &LanderSettings, pending: &Pending) -> Decision {
    if pending.changes == 0 && !pending.held {
        return Decision::Wait { within: None, changes: 1 };
    }
    let interval = match settings.flush_mode {
        FlushMode::Hybrid | FlushMode::Time => Some(Duration::from_millis(settings.flush_interval_ms)),
        FlushMode::Count => None,
    };
    let count = match settings.flush_mode {
        FlushMode::Hybrid | FlushMode::Count => settings.flush_count_changes,
        FlushMode::Time => u64::MAX,
    };
    if pending.changes == 0 {
        // Woken by every change of a held group, the lander would cost the writers more than it lands. What
        // another group accepts meanwhile is seen within the interval, and its age counts from its own time.
        return Decision::Wait { within: interval, changes: count };
    }
    let reached = pending.closing
        || pending.flush
        || pending.owed >= settings.throttle_at_changes
        || pending.changes >= count
        || interval.is_some_and(|interval| pending.age >= interval);
    if reached {
        return Decision::Land;
    }
    Decision::Wait {
        within: interval.map(|interval| interval - pending.age),
        changes: (count - pending.changes).min(settings.throttle_at_changes - pending.owed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide_in(flush_mode: FlushMode, pending: Pending) -> Decision {
        let settings = LanderSettings { flush_mode, throttle_at_changes: 5_000, ..LanderSettings::default() };
        decide(&settings, &pending)
    }

    fn pending(changes: u64, age_ms: u64) -> Pending {
        Pending { changes, owed: changes, age: Duration::from_millis(age_ms), ..Pending::default() }
    }

    #[test]
    fn a_held_group_does_not_wake_the_lander_for_each_of_its_changes() {
        let held = Pending { held: true, ..Pending::default() };
        let interval = Some(Duration::from_millis(200));
        assert_eq!(decide_in(FlushMode::Hybrid, held), Decision::Wait { within: interval, changes: 500 });
        assert_eq!(decide_in(FlushMode::Count, held), Decision::Wait { within: None, changes: 500 });
        let free = Pending::default();
        assert_eq!(decide_in(FlushMode::Hybrid, free), Decision::Wait { within: None, changes: 1 });
    }

    // shows: S2
    #[test]
    fn each_mode_lands_on_its_own_condition_only() {
        use FlushMode::{Count, Hybrid, Time};
        // (mode, changes, age in ms, lands)
        let table = [
            (Hybrid, 1, 199, false),
            (Hybrid, 1, 200, true),
            (Hybrid, 499, 0, false),
            (Hybrid, 500, 0, true),
            (Time, 500, 199, false),
            (Time, 4_999, 199, false),
            (Time, 1, 200, true),
            (Count, 499, 1_000_000, false),
            (Count, 500, 0, true),
            (Time, 5_000, 0, true),
            (Count, 5_000, 0, true),
            (Hybrid, 0, 1_000_000, false),
        ];
        for (mode, changes, age, lands) in table {
            let decision = decide_in(mode, pending(changes, age));
            assert_eq!(decision == Decision::Land, lands, "{mode:?} with {changes} changes of age {age}");
        }
    }

    #[test]
    fn a_flush_request_and_the_close_land_the_rest_in_every_mode() {
        for mode in [FlushMode::Hybrid, FlushMode::Time, FlushMode::Count] {
            assert_eq!(decide_in(mode, Pending { flush: true, ..pending(1, 0) }), Decision::Land);
            assert_eq!(decide_in(mode, Pending { closing: true, ..pending(1, 0) }), Decision::Land);
            assert_ne!(decide_in(mode, Pending { closing: true, ..pending(0, 0) }), Decision::Land);
        }
    }

    #[test]
    fn a_backlog_under_way_counts_for_the_throttle_and_not_for_the_count() {
        let few = Pending { owed: 4_000, ..pending(10, 0) };
        assert_ne!(decide_in(FlushMode::Hybrid, few), Decision::Land);
        assert_eq!(decide_in(FlushMode::Time, Pending { owed: 5_000, ..few }), Decision::Land);
    }

    #[test]
    fn a_wait_ends_exactly_where_the_condition_is_reached() {
        let wait = |mode, pending| match decide_in(mode, pending) {
            Decision::Wait { within, changes } => (within.map(|d| d.as_millis() as u64), changes),
            Decision::Land => panic!("nothing is reached"),
        };
        assert_eq!(wait(FlushMode::Hybrid, pending(0, 0)), (None, 1));
        assert_eq!(wait(FlushMode::Hybrid, pending(300, 150)), (Some(50), 200));
        assert_eq!(wait(FlushMode::Time, pending(300, 150)), (Some(50), 4_700));
        assert_eq!(wait(FlushMode::Count, pending(300, 150)), (None, 200));
    }
}
