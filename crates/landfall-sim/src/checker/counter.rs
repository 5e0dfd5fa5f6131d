//! One counter that only grows: bounds of every sum, steps that are claimed once, sums that never go back, and base-4
//! digits that name the additions. It must never blame a sum that some set of unknown outcomes can explain.

use std::collections::{BTreeMap, BTreeSet};

use super::order::Span;
use super::{Ends, Kind, Operation, Outcome, Promise, Reply, State, Violation};

/// How many base-4 digits a sum of 63 bits has.
const DIGITS: u32 = 31;

/// What touches one counter.
#[derive(Debug, Default)]
pub(super) struct Uses<'h> {
    adds: Vec<(&'h Operation, u64)>,
    reads: Vec<(&'h Operation, i64)>,
}

/// What touches each counter, or was looked at in the end.
pub(super) fn by_name<'h>(history: &'h [Operation], last: &'h State) -> BTreeMap<&'h str, Uses<'h>> {
    let mut uses: BTreeMap<&str, Uses<'_>> = BTreeMap::new();
    for name in last.counters.keys() {
        uses.entry(name).or_default();
    }
    for operation in history {
        match (&operation.kind, &operation.outcome) {
            (Kind::Add { counter, delta }, _) => {
                uses.entry(counter).or_default().adds.push((operation, *delta));
            }
            (Kind::ReadSum { counter }, Outcome::Acked(Reply::Sum(sum))) => {
                uses.entry(counter).or_default().reads.push((operation, *sum));
            }
            _ => {}
        }
    }
    uses
}

/// A sum that somebody saw. With a delta it is the answer to an addition, which is in the sum.
struct Seen<'h> {
    span: Span,
    sum: i128,
    delta: i128,
    operation: Option<&'h Operation>,
}

impl Seen<'_> {
    fn told(&self) -> String {
        self.operation.map_or_else(|| "the state at the end".to_owned(), Operation::to_string)
    }
}

/// Every broken promise of one counter. `last` is its sum at the end, if it was looked at.
pub(super) fn check(
    name: &str,
    initial: i64,
    uses: &Uses<'_>,
    last: Option<i64>,
    ends: &Ends,
) -> Vec<Violation> {
    let initial = i128::from(initial);
    let adds: Vec<Add<'_>> = uses.adds.iter().map(|(operation, delta)| Add::of(operation, *delta)).collect();
    let mut seen: Vec<Seen<'_>> = Vec::new();
    for (operation, sum) in &uses.reads {
        let (span, sum) = (operation.span(), i128::from(*sum));
        seen.push(Seen { span, sum, delta: 0, operation: Some(operation) });
    }
    for add in &adds {
        if let Outcome::Acked(Reply::Sum(sum)) = add.operation.outcome {
            let (span, sum) = (add.span, i128::from(sum));
            seen.push(Seen { span, sum, delta: add.delta, operation: Some(add.operation) });
        }
    }
    seen.extend(last.map(|sum| Seen { span: ends.last, sum: sum.into(), delta: 0, operation: None }));
    let mut found = bounds(name, initial, &adds, &seen);
    found.extend(steps(name, &seen));
    found.extend(going_back(name, &seen));
    found.extend(digits(name, initial, &adds, &seen));
    found
}

/// An addition that was not refused, or that was.
struct Add<'h> {
    span: Span,
    delta: i128,
    operation: &'h Operation,
    acked: bool,
    failed: bool,
}

impl<'h> Add<'h> {
    fn of(operation: &'h Operation, delta: u64) -> Add<'h> {
        Add {
            span: operation.span(),
            delta: delta.into(),
            operation,
            acked: matches!(operation.outcome, Outcome::Acked(_)),
            failed: operation.outcome == Outcome::Failed,
        }
    }
}

/// Each sum holds at least what was acknowledged before, and at most what was sent before it was answered.
fn bounds(name: &str, initial: i128, adds: &[Add<'_>], seen: &[Seen<'_>]) -> Vec<Violation> {
    let mut found = Vec::new();
    for read in seen {
        let (mut least, mut most) = (initial, initial);
        for add in adds.iter().filter(|add| !add.failed) {
            let own = read.operation.is_some_and(|operation| std::ptr::eq(operation, add.operation));
            if own || (add.acked && add.span.before(&read.span)) {
                least += add.delta;
            }
            if own || !read.span.before(&add.span) {
                most += add.delta;
            }
        }
        if read.sum < least {
            let sentence = format!(
                "`{name}` showed {}, and what was acknowledged before makes {least}: {} lost; seen by {}",
                read.sum,
                least - read.sum,
                read.told()
            );
            found.push(Violation { promise: Promise::Lost, sentence });
        } else if read.sum > most {
            let sentence = format!(
                "`{name}` showed {}, and all that was asked for makes {most}: {} too much; seen by {}",
                read.sum,
                read.sum - most,
                read.told()
            );
            found.push(Violation { promise: Promise::Twice, sentence });
        }
    }
    found
}

/// Two answers never claim one step: an addition that answered 7 took the counter from 7 less its delta to 7.
fn steps(name: &str, seen: &[Seen<'_>]) -> Vec<Violation> {
    let mut answers: Vec<&Seen<'_>> = seen.iter().filter(|seen| seen.delta > 0).collect();
    answers.sort_by_key(|answer| answer.sum);
    let mut found = Vec::new();
    for pair in answers.windows(2) {
        if pair[1].sum - pair[1].delta < pair[0].sum {
            let sentence = format!(
                "`{name}`: two answers claim one step, so an addition was lost in between: [{}] and [{}]",
                pair[0].told(),
                pair[1].told()
            );
            found.push(Violation { promise: Promise::Lost, sentence });
        }
    }
    for read in seen.iter().filter(|seen| seen.delta == 0) {
        let after = answers.partition_point(|answer| answer.sum <= read.sum);
        if let Some(answer) = answers.get(after).filter(|answer| answer.sum - answer.delta < read.sum) {
            let sentence = format!(
                "`{name}` showed {}, in the middle of a step: [{}], seen by {}",
                read.sum,
                answer.told(),
                read.told()
            );
            found.push(Violation { promise: Promise::Half, sentence });
        }
    }
    found
}

/// A sum that was seen before is never below an earlier one.
fn going_back(name: &str, seen: &[Seen<'_>]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut tell = |earlier: &Seen<'_>, later: &Seen<'_>| {
        if later.sum - later.delta < earlier.sum {
            let sentence = format!("`{name}` went back: [{}] came before [{}]", earlier.told(), later.told());
            found.push(Violation { promise: Promise::Lost, sentence });
        }
    };
    let mut by_sending: Vec<&Seen<'_>> = seen.iter().collect();
    by_sending.sort_by_key(|seen| seen.span.invoked_ns);
    let mut by_answer: Vec<&Seen<'_>> = seen.iter().filter(|seen| seen.span.returned_ns.is_some()).collect();
    by_answer.sort_by_key(|seen| seen.span.returned_ns);
    let mut answered = by_answer.into_iter().peekable();
    let mut highest: Option<&Seen<'_>> = None;
    for later in by_sending {
        let in_time = |earlier: &&Seen<'_>| earlier.span.returned_ns < Some(later.span.invoked_ns);
        while let Some(earlier) = answered.next_if(in_time) {
            if highest.is_none_or(|highest| highest.sum < earlier.sum) {
                highest = Some(earlier);
            }
        }
        if let Some(earlier) = highest {
            tell(earlier, later);
        }
    }
    let mut sessions: BTreeMap<u64, Vec<&Seen<'_>>> = BTreeMap::new();
    for seen in seen {
        sessions.entry(seen.span.session).or_default().push(seen);
    }
    for requests in sessions.values_mut() {
        requests.sort_by_key(|seen| seen.span.sequence);
        requests.windows(2).for_each(|pair| tell(pair[0], pair[1]));
    }
    found
}

/// Where every addition has a base-4 digit of its own, the digits of a sum say how often each one is in it.
fn digits(name: &str, initial: i128, adds: &[Add<'_>], seen: &[Seen<'_>]) -> Vec<Violation> {
    let deltas: BTreeSet<i128> = adds.iter().map(|add| add.delta).collect();
    let power_of_4 = |delta: &i128| delta.count_ones() == 1 && delta.trailing_zeros().is_multiple_of(2);
    if adds.is_empty() || deltas.len() < adds.len() || !deltas.iter().all(power_of_4) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for read in seen.iter().filter(|read| read.sum >= initial) {
        let grown = read.sum - initial;
        for place in 0..DIGITS {
            let times = (grown >> (2 * place)) & 3;
            let unit = 1_i128 << (2 * place);
            let add = adds.iter().find(|add| add.delta == unit);
            let own = |add: &Add<'_>| {
                read.operation.is_some_and(|operation| std::ptr::eq(operation, add.operation))
            };
            let (promise, what) = match add {
                None if times > 0 => (Promise::Invented, "that nobody asked for".to_owned()),
                Some(add) if times > 0 && add.failed => {
                    (Promise::Invented, format!("that was refused: {}", add.operation))
                }
                Some(add) if times > 0 && read.span.before(&add.span) => {
                    (Promise::Invented, format!("that was not sent yet: {}", add.operation))
                }
                Some(add) if times > 1 => (Promise::Twice, format!("more than once: {}", add.operation)),
                Some(add) if times == 0 && add.acked && (own(add) || add.span.before(&read.span)) => {
                    (Promise::Lost, format!("that was acknowledged: {}", add.operation))
                }
                _ => continue,
            };
            let sentence =
                format!("`{name}` held {times} times the addition of {unit} {what}; seen by {}", read.told());
            found.push(Violation { promise, sentence });
        }
    }
    found
}
