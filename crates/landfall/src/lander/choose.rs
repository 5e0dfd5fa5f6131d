//! Chooses the groups that land next: in turn, together with those that their next record needs, and none that is
//! paused, stopped or backing off. It lands nothing; it tells each group what it waits for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::progress::status::Phase;
use super::retry::Backoff;
use super::{Lander, set};
use crate::env::planted::{Bug, planted};

/// What [`Lander::choose`] found.
pub(super) enum Choice {
    /// These groups land now.
    Land(BTreeSet<usize>),
    /// Some group can land at this time.
    Later(Duration),
    /// No group can land before something happens from outside.
    Nothing,
}

/// Rows wait for what they are owed in lanes that they have left. Each of the two that see to it is enough for the order in which
/// changes land: the choice of groups, and the record that these lanes land together.
pub(crate) fn awaits_lanes_that_were_left() -> bool {
    !planted(Bug::RetiredNotAwaited)
}

impl Lander {
    /// The next groups in turn that can land, or when some can.
    pub(super) fn choose(&mut self, now: Duration) -> Choice {
        let mut joint: Vec<BTreeSet<usize>> = self.groups.iter().map(|group| group.joint.clone()).collect();
        let retired = self.retired_that_owe();
        if let Some(retired) = retired {
            let together: BTreeSet<usize> = self.relatives.iter().copied().chain([retired]).collect();
            together.iter().for_each(|&at| joint[at].extend(&together));
        }
        let mut later: Option<Duration> = None;
        for step in 0..self.groups.len() {
            let at = (self.next + step) % self.groups.len();
            if self.groups[at].stopped {
                continue;
            }
            if self.progress.is_paused(at) {
                self.progress.set_phase(at, Phase::Paused);
                continue;
            }
            if !self.has_work(at) {
                continue;
            }
            let set = set::landing_set(at, &joint);
            let held = set.iter().find(|&&one| self.groups[one].stopped || self.progress.is_paused(one));
            if let Some(&other) = held.or(retired.as_ref().filter(|one| !set.contains(one))) {
                self.progress.set_phase(at, Phase::WaitingFor { group: self.groups[other].name.clone() });
                continue;
            }
            match self.wait_of(at, &set, now) {
                None => {
                    self.next = (at + 1) % self.groups.len();
                    return Choice::Land(set);
                }
                Some((until, phase)) => {
                    later = Some(later.map_or(until, |later| later.min(until)));
                    let held = self.groups[at].held && matches!(phase, Phase::BackingOff { .. });
                    let phase = if held { Phase::Held { until } } else { phase };
                    self.progress.set_phase(at, phase);
                }
            }
        }
        later.map_or(Choice::Nothing, Choice::Later)
    }

    /// The group of the lanes that were left, while it owes something: nothing lands without it.
    pub(super) fn retired_that_owe(&self) -> Option<usize> {
        let owes = |at: usize| self.groups[at].lanes.iter().any(|&lane| self.log.owed_by(lane).records > 0);
        let retired = self.retired.filter(|_| awaits_lanes_that_were_left());
        retired.filter(|&at| self.has_work(at) || owes(at))
    }

    pub(super) fn has_work(&self, group: usize) -> bool {
        self.groups[group].pass.is_some() || self.groups[group].due
    }

    /// Until when a backoff holds up the set of a group, and what the group's state is meanwhile.
    fn wait_of(&self, group: usize, set: &BTreeSet<usize>, now: Duration) -> Option<(Duration, Phase)> {
        let until = |backoff: &Backoff| backoff.until.filter(|_| !backoff.is_over(now));
        let of_groups = set
            .iter()
            .filter_map(|&at| until(&self.groups[at].backoff).map(|until| (until, at)))
            .max_by_key(|&(until, at)| (until, at == group));
        match (until(&self.connection), of_groups) {
            (None, None) => None,
            (Some(until), other) if other.is_none_or(|(theirs, _)| theirs <= until) => {
                Some((until, Phase::BackingOff { until }))
            }
            (_, Some((until, at))) if at != group => {
                Some((until, Phase::WaitingFor { group: self.groups[at].name.clone() }))
            }
            (_, Some((until, _))) | (Some(until), None) => Some((until, Phase::BackingOff { until })),
        }
    }
}
