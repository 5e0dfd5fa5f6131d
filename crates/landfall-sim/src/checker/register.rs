//! One register: every value has one write, so every read names its write, and the clusters of writes and reads must
//! have an order. It must never blame a read of nothing that some deletion can explain.

use std::collections::{BTreeMap, HashMap};

use super::order::{Span, entangled, shortest_circle};
use super::{Ends, Kind, Operation, Outcome, Promise, Reply, Violation};

/// A tangle of more operations is told by its first ones only.
const TOLD_OPERATIONS_MAX: usize = 400;

/// What one operation did to one register.
#[derive(Debug, Clone, Copy)]
pub(super) enum Touch<'h> {
    Write(&'h Operation, Option<&'h str>),
    Read(&'h Operation, Option<&'h str>),
}

/// What is known to touch each register. Reads without an answer say nothing and are left out.
pub(super) fn by_name(history: &[Operation]) -> HashMap<&str, Vec<Touch<'_>>> {
    let mut touches: HashMap<&str, Vec<Touch<'_>>> = HashMap::new();
    for operation in history {
        match (&operation.kind, &operation.outcome) {
            (Kind::Write { registers, value }, _) => {
                for name in registers {
                    touches.entry(name).or_default().push(Touch::Write(operation, value.as_deref()));
                }
            }
            (Kind::Read { registers }, Outcome::Acked(Reply::Values(values))) => {
                for (name, value) in registers.iter().zip(values) {
                    touches.entry(name).or_default().push(Touch::Read(operation, value.as_deref()));
                }
            }
            _ => {}
        }
    }
    touches
}

/// Somebody who wrote or saw a value: an operation, or one of the two states around the history.
#[derive(Debug, Clone, Copy)]
enum Witness<'h> {
    First,
    Operation(&'h Operation),
    Last,
}

impl Witness<'_> {
    fn told(&self) -> String {
        match self {
            Witness::First => "the state at the start".to_owned(),
            Witness::Operation(operation) => operation.to_string(),
            Witness::Last => "the state at the end".to_owned(),
        }
    }
}

/// One event on the register, in its cluster.
#[derive(Debug, Clone, Copy)]
struct Event<'h> {
    span: Span,
    cluster: usize,
    is_read: bool,
    witness: Witness<'h>,
}

/// The register being checked.
struct Check<'h> {
    name: &'h str,
    /// The value of each cluster; none: a deletion, or absent at the start.
    values: Vec<Option<&'h str>>,
    events: Vec<Event<'h>>,
    found: Vec<Violation>,
}

/// Every broken promise of one register. `last` is what it held at the end, if it was looked at.
pub(super) fn check(
    name: &str,
    initial: Option<String>,
    touches: &[Touch<'_>],
    last: Option<&Option<String>>,
    ends: &Ends,
) -> Vec<Violation> {
    let mut check = Check { name, values: Vec::new(), events: Vec::new(), found: Vec::new() };
    let mut cluster_of: HashMap<&str, usize> = HashMap::new();
    check.write(initial.as_deref(), ends.first, Witness::First, &mut cluster_of);
    let mut refused: HashMap<&str, &Operation> = HashMap::new();
    for touch in touches {
        match touch {
            Touch::Write(operation, Some(value)) if operation.outcome == Outcome::Failed => {
                refused.insert(value, operation);
            }
            Touch::Write(operation, value) if operation.outcome != Outcome::Failed => {
                check.write(*value, operation.span(), Witness::Operation(operation), &mut cluster_of);
            }
            _ => {}
        }
    }
    let mut nothing = Vec::new();
    let seen = touches.iter().filter_map(|touch| match touch {
        Touch::Read(operation, value) => Some((operation.span(), Witness::Operation(operation), *value)),
        Touch::Write(..) => None,
    });
    for (span, witness, value) in seen.chain(last.map(|value| (ends.last, Witness::Last, value.as_deref()))) {
        match value {
            None => nothing.push((span, witness)),
            Some(value) => check.read(value, (span, witness), &cluster_of, &refused),
        }
    }
    check.explain_reads_of_nothing(&nothing);
    check.forget_what_may_never_have_happened();
    check.explain_order();
    check.found
}

impl<'h> Check<'h> {
    fn write(
        &mut self,
        value: Option<&'h str>,
        span: Span,
        witness: Witness<'h>,
        cluster_of: &mut HashMap<&'h str, usize>,
    ) {
        let cluster = self.values.len();
        self.values.push(value);
        self.events.push(Event { span, cluster, is_read: false, witness });
        if let Some(value) = value
            && cluster_of.insert(value, cluster).is_some()
        {
            let sentence = format!(
                "`{}`: the value `{value}` was written twice, so this history cannot be checked; second: {}",
                self.name,
                witness.told()
            );
            self.found.push(Violation { promise: Promise::Invented, sentence });
        }
    }

    fn read(
        &mut self,
        value: &str,
        (span, witness): (Span, Witness<'h>),
        cluster_of: &HashMap<&str, usize>,
        refused: &HashMap<&str, &Operation>,
    ) {
        let Some(&cluster) = cluster_of.get(value) else {
            let who = match refused.get(value) {
                Some(operation) => format!("which was refused: {operation}"),
                None => "which nobody wrote".to_owned(),
            };
            let sentence = format!("`{}` showed `{value}`, {who}; seen by {}", self.name, witness.told());
            self.found.push(Violation { promise: Promise::Invented, sentence });
            return;
        };
        let write = self.events.iter().find(|event| event.cluster == cluster && !event.is_read);
        if let Some(write) = write.filter(|write| span.before(&write.span)) {
            let sentence = format!(
                "`{}` showed `{value}` before it was written: {}, then {}",
                self.name,
                witness.told(),
                write.witness.told()
            );
            self.found.push(Violation { promise: Promise::Invented, sentence });
            return;
        }
        self.events.push(Event { span, cluster, is_read: true, witness });
    }

    /// A read of nothing needs a deletion (or the absence at the start) that nothing known came after.
    /// If only one can be it, the read joins its cluster.
    fn explain_reads_of_nothing(&mut self, reads: &[(Span, Witness<'h>)]) {
        let deletions: Vec<Event<'h>> =
            self.events.iter().filter(|event| self.values[event.cluster].is_none()).copied().collect();
        let mut present: Vec<Event<'h>> =
            self.events.iter().filter(|event| self.values[event.cluster].is_some()).copied().collect();
        // Only what is known to have happened speaks against a deletion.
        present.retain(|event| event.span.returned_ns.is_some());
        for (span, witness) in reads {
            let earlier: Vec<&Event<'h>> = present.iter().filter(|event| event.span.before(span)).collect();
            let latest = earlier.iter().max_by_key(|event| event.span.invoked_ns);
            let mut in_session: BTreeMap<u64, u64> = BTreeMap::new();
            for event in &earlier {
                let sequence = in_session.entry(event.span.session).or_default();
                *sequence = event.span.sequence.max(*sequence);
            }
            let overtaken = |deletion: &Event<'h>| {
                let by_time = latest.is_some_and(|event| deletion.span.before(&event.span));
                let by_session = in_session.get(&deletion.span.session);
                by_time || by_session.is_some_and(|sequence| deletion.span.sequence < *sequence)
            };
            let candidates: Vec<&Event<'h>> = deletions
                .iter()
                .filter(|deletion| !span.before(&deletion.span) && !overtaken(deletion))
                .collect();
            match (candidates.as_slice(), latest) {
                ([only], _) => self.events.push(Event {
                    span: *span,
                    cluster: only.cluster,
                    is_read: true,
                    witness: *witness,
                }),
                ([], Some(event)) => {
                    let sentence = format!(
                        "`{}` showed nothing, and no deletion explains it: {}; seen by {}",
                        self.name,
                        event.witness.told(),
                        witness.told()
                    );
                    self.found.push(Violation { promise: Promise::Lost, sentence });
                }
                ([], None) => {
                    let sentence = format!(
                        "`{}` showed nothing before anybody deleted it; seen by {}",
                        self.name,
                        witness.told()
                    );
                    self.found.push(Violation { promise: Promise::Lost, sentence });
                }
                _ => {}
            }
        }
    }

    /// A write of unknown outcome that nobody saw has no place in the order.
    fn forget_what_may_never_have_happened(&mut self) {
        let mut seen = vec![false; self.values.len()];
        for event in self.events.iter().filter(|event| event.is_read) {
            seen[event.cluster] = true;
        }
        self.events.retain(|event| event.span.returned_ns.is_some() || seen[event.cluster]);
    }

    fn explain_order(&mut self) {
        let spans: Vec<(Span, usize)> = self.events.iter().map(|event| (event.span, event.cluster)).collect();
        for tangle in entangled(&spans, self.values.len()) {
            let mut events: Vec<&Event<'h>> =
                self.events.iter().filter(|event| tangle.binary_search(&event.cluster).is_ok()).collect();
            events.sort_by_key(|event| std::cmp::Reverse(event.span.invoked_ns));
            events.truncate(TOLD_OPERATIONS_MAX);
            let spans: Vec<(Span, usize)> = events.iter().map(|event| (event.span, event.cluster)).collect();
            let circle = shortest_circle(&spans);
            let steps: Vec<String> = circle
                .iter()
                .map(|(from, to)| {
                    format!("[{}] came before [{}]", events[*from].witness.told(), events[*to].witness.told())
                })
                .collect();
            let steps = match steps.is_empty() {
                true => format!("{} values are tangled", tangle.len()),
                false => steps.join(", and "),
            };
            let seen = |cluster: &usize| {
                let mut reads = self.events.iter().filter(|event| event.cluster == *cluster);
                reads.any(|event| event.is_read)
            };
            // A newer value that nobody ever saw may as well have been lost.
            let promise = match tangle.iter().all(seen) {
                true => Promise::Order,
                false if events.iter().any(|event| matches!(event.witness, Witness::Last)) => Promise::Lost,
                false => Promise::Order,
            };
            let sentence = format!(
                "`{}`: no order of its values explains what was seen: {steps}; but operations on one value stay together",
                self.name
            );
            self.found.push(Violation { promise, sentence });
        }
    }
}
