//! Groups of registers that are only ever written together: they show one value, or a part of a whole was done.
//! It must never judge a group whose registers are also written alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, Operation, Outcome, Promise, Reply, State, Violation};

/// Every group that was seen half done, in an answer or in the end.
pub(super) fn check(first: &State, history: &[Operation], last: &State) -> Vec<Violation> {
    let groups = groups(first, history);
    let mut found = Vec::new();
    for operation in history {
        let (Kind::Read { registers }, Outcome::Acked(Reply::Values(values))) =
            (&operation.kind, &operation.outcome)
        else {
            continue;
        };
        let halves = registers.windows(2).zip(values.windows(2)).find(|(names, values)| {
            values[0] != values[1] && groups.iter().any(|group| names.iter().all(|name| group.contains(name)))
        });
        if let Some((names, _)) = halves {
            let sentence = format!(
                "`{}` and `{}` are written together, and one answer showed a half: {operation}",
                names[0], names[1]
            );
            found.push(Violation { promise: Promise::Half, sentence });
        }
    }
    for group in groups {
        let shown: Vec<(&String, &Option<String>)> =
            group.iter().filter_map(|name| Some((*name, last.registers.get(*name)?))).collect();
        if let Some(pair) = shown.windows(2).find(|pair| pair[0].1 != pair[1].1) {
            let told = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
            let sentence = format!(
                "`{}` and `{}` are written together, and the end shows a half: `{}` and `{}`",
                pair[0].0,
                pair[1].0,
                told(pair[0].1),
                told(pair[1].1)
            );
            found.push(Violation { promise: Promise::Half, sentence });
        }
    }
    found
}

/// The groups of two or more that share no register with any other write, and were equal at the start.
fn groups<'h>(first: &State, history: &'h [Operation]) -> Vec<BTreeSet<&'h String>> {
    let mut together: BTreeSet<BTreeSet<&String>> = BTreeSet::new();
    for operation in history {
        if let Kind::Write { registers, .. } = &operation.kind {
            together.insert(registers.iter().collect());
        }
    }
    let mut member_of: BTreeMap<&String, usize> = BTreeMap::new();
    for name in together.iter().flatten() {
        *member_of.entry(name).or_default() += 1;
    }
    let exclusive = together.into_iter().filter(|group| {
        let mut starts = group.iter().map(|name| first.registers.get(*name).cloned().flatten());
        let start = starts.next();
        group.len() > 1
            && group.iter().all(|name| member_of[name] == 1)
            && starts.all(|other| Some(&other) == start.as_ref())
    });
    exclusive.collect()
}
