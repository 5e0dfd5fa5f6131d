//! What a power cut may take under a policy that syncs only now and then: the end of what was acknowledged, and
//! nothing older than the policy's bound. Pure.
//! It must never excuse a loss before the bound, or a hole in front of something that survived.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, Operation, Outcome, Promise, State, Violation};

/// When the power went, on the clock of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Just before the cut.
    pub from_ns: u64,
    /// When the server was surely gone; it answered nothing later.
    pub gone_ns: u64,
    /// What was answered so long before may be lost; 0 for a policy that promises everything.
    pub bound_ns: u64,
}

impl Cut {
    /// Whether the answer of this operation may have been forgotten.
    fn may_take(&self, operation: &Operation) -> bool {
        self.bound_ns > 0
            && matches!(operation.outcome, Outcome::Acked(_))
            && operation.invoked_ns <= self.gone_ns
            && operation.returned_ns >= self.from_ns.saturating_sub(self.bound_ns)
    }
}

/// The history as the policy lets one see it: what a cut may have taken has an unknown outcome, a read included.
pub fn excuse(history: &[Operation], cuts: &[Cut]) -> Vec<Operation> {
    let excused = |operation: &Operation| match cuts.iter().any(|cut| cut.may_take(operation)) {
        true => Operation { outcome: Outcome::Unknown, ..operation.clone() },
        false => operation.clone(),
    };
    history.iter().map(excused).collect()
}

/// What the cuts took.
#[derive(Debug, Default)]
pub struct Taken {
    /// Acknowledged operations that are known to be gone. (Only of those can it be known that were never overwritten.)
    pub lost: u64,
    /// How long before its cut the oldest of them was answered.
    pub oldest_ns: u64,
    /// Something survived that came after something lost.
    pub violations: Vec<Violation>,
}

/// Looks at every operation whose survival shows in the end: events that were sent once, and additions with a digit of
/// their own.
pub fn taken(history: &[Operation], cuts: &[Cut], last: &State) -> Taken {
    let survival = Survival::of(history, last);
    let mut taken = Taken::default();
    let mut begin_ns = 0;
    for cut in cuts {
        let life: Vec<(&Operation, bool)> = history
            .iter()
            .filter(|operation| operation.invoked_ns > begin_ns && operation.invoked_ns <= cut.gone_ns)
            .filter_map(|operation| Some((operation, survival.of_one(operation)?)))
            .collect();
        begin_ns = cut.gone_ns;
        let lost: Vec<&Operation> = life
            .iter()
            .filter(|(operation, there)| !there && cut.may_take(operation))
            .map(|(o, _)| *o)
            .collect();
        taken.lost += lost.len() as u64;
        let oldest = lost.iter().map(|operation| cut.from_ns.saturating_sub(operation.returned_ns)).max();
        taken.oldest_ns = taken.oldest_ns.max(oldest.unwrap_or(0));
        taken.violations.extend(holes(&lost, &life));
    }
    taken
}

/// The first lost one of all, and of each session, against everything that survived.
fn holes(lost: &[&Operation], life: &[(&Operation, bool)]) -> Vec<Violation> {
    let first = lost.iter().min_by_key(|operation| operation.returned_ns);
    let mut in_session: BTreeMap<u64, &Operation> = BTreeMap::new();
    for operation in lost {
        let earliest = in_session.entry(operation.session).or_insert(operation);
        if operation.sequence < earliest.sequence {
            *earliest = operation;
        }
    }
    let survivors = life.iter().filter(|(_, there)| *there).map(|(operation, _)| *operation);
    let hole = |survivor: &Operation| {
        let by_time = first.copied().filter(|lost| lost.returned_ns < survivor.invoked_ns);
        let by_session = in_session.get(&survivor.session).copied();
        let lost = by_time.or(by_session.filter(|lost| lost.sequence < survivor.sequence))?;
        let sentence = format!("[{lost}] is lost, and [{survivor}], which came after it, is there");
        Some(Violation { promise: Promise::Lost, sentence })
    };
    survivors.filter_map(hole).collect()
}

/// What can be told of the end.
struct Survival<'h> {
    events: BTreeMap<&'h str, BTreeSet<&'h str>>,
    /// Events that were sent more than once: nobody knows which one it was.
    repeated: BTreeSet<(&'h str, &'h str)>,
    /// The sums of counters whose every addition has a base-4 digit of its own.
    sums: BTreeMap<&'h str, i64>,
}

impl<'h> Survival<'h> {
    fn of(history: &'h [Operation], last: &'h State) -> Survival<'h> {
        let events =
            last.sets.iter().map(|(set, ids)| (set.as_str(), ids.iter().map(String::as_str).collect()));
        let mut seen = BTreeSet::new();
        let mut repeated = BTreeSet::new();
        let mut deltas: BTreeMap<&str, Option<BTreeSet<u64>>> = BTreeMap::new();
        for operation in history {
            match &operation.kind {
                Kind::Append { set, id } if !seen.insert((set.as_str(), id.as_str())) => {
                    repeated.insert((set.as_str(), id.as_str()));
                }
                Kind::Add { counter, delta } => {
                    let own = deltas.entry(counter).or_insert_with(|| Some(BTreeSet::new()));
                    let power_of_4 = delta.count_ones() == 1 && delta.trailing_zeros().is_multiple_of(2);
                    if !power_of_4 || own.as_mut().is_some_and(|own| !own.insert(*delta)) {
                        *own = None;
                    }
                }
                _ => {}
            }
        }
        let sums = deltas.into_iter().filter(|(_, own)| own.is_some());
        let sums = sums.filter_map(|(counter, _)| Some((counter, *last.counters.get(counter)?))).collect();
        Survival { events: events.collect(), repeated, sums }
    }

    /// Whether an operation is there in the end, where that can be told.
    fn of_one(&self, operation: &Operation) -> Option<bool> {
        match &operation.kind {
            Kind::Append { set, id } if !self.repeated.contains(&(set.as_str(), id.as_str())) => {
                Some(self.events.get(set.as_str())?.contains(id.as_str()))
            }
            Kind::Add { counter, delta } => {
                Some((self.sums.get(counter.as_str())? >> delta.trailing_zeros()) & 3 > 0)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Reply;

    const MS: u64 = 1_000_000;

    fn event(id: &str, session: u64, at_ms: u64) -> Operation {
        Operation {
            client: 1,
            session,
            sequence: at_ms,
            invoked_ns: at_ms * MS,
            returned_ns: at_ms * MS + 1,
            kind: Kind::Append { set: "reading".into(), id: id.into() },
            outcome: Outcome::Acked(Reply::Done),
        }
    }

    fn cut() -> Cut {
        Cut { from_ns: 100 * MS, gone_ns: 110 * MS, bound_ns: 50 * MS }
    }

    fn end(ids: &[&str]) -> State {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        State { sets: BTreeMap::from([("reading".to_owned(), ids)]), ..State::default() }
    }

    #[test]
    fn the_end_of_what_was_acknowledged_may_go() {
        let history = [event("a", 1, 20), event("b", 1, 60), event("c", 2, 90), event("d", 3, 200)];
        let last = end(&["a", "d"]);
        assert!(crate::checker::check(&State::default(), &excuse(&history, &[cut()]), &last).is_empty());
        let taken = taken(&history, &[cut()], &last);
        assert_eq!((taken.lost, taken.violations.len()), (2, 0));
        assert_eq!(taken.oldest_ns / MS, 39);
    }

    #[test]
    fn what_is_older_than_the_bound_may_not_go() {
        let history = [event("a", 1, 20), event("b", 1, 60)];
        let found = crate::checker::check(&State::default(), &excuse(&history, &[cut()]), &end(&["b"]));
        assert_eq!(found.len(), 1, "{found:?}");
        let strict = Cut { bound_ns: 0, ..cut() };
        assert_eq!(excuse(&history, &[strict]), history);
    }

    #[test]
    fn a_hole_is_no_end() {
        let history = [event("a", 1, 60), event("b", 2, 70), event("c", 2, 80)];
        assert_eq!(taken(&history, &[cut()], &end(&["a", "b"])).violations.len(), 0);
        assert_eq!(taken(&history, &[cut()], &end(&["b", "c"])).violations.len(), 2);
        assert_eq!(taken(&history, &[cut()], &end(&["a", "c"])).violations.len(), 1);
    }

    #[test]
    fn a_digit_tells_whether_its_addition_survived() {
        let add = |delta, at_ms| Operation {
            kind: Kind::Add { counter: "page:1000000 views".into(), delta },
            ..event("", 1, at_ms)
        };
        let history = [add(1, 60), add(4, 70), add(16, 80)];
        let mut last = State::default();
        last.counters.insert("page:1000000 views".into(), 17);
        let taken = taken(&history, &[cut()], &last);
        assert_eq!((taken.lost, taken.violations.len()), (1, 1));
    }
}
