//! Sets of events: each acknowledged id once, each unknown one at most once, nothing else.
//! It must never count a repetition of one id as a second event.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Kind, Operation, Outcome, Promise, State, Violation};

/// What is known of one id.
#[derive(Default)]
struct Asked<'h> {
    acked: Option<&'h Operation>,
    unknown: bool,
    refused: Option<&'h Operation>,
}

/// Every broken promise of every set that was looked at in the end.
pub(super) fn check(first: &State, history: &[Operation], last: &State) -> Vec<Violation> {
    let mut asked: BTreeMap<&str, HashMap<&str, Asked<'_>>> = BTreeMap::new();
    for operation in history {
        if let Kind::Append { set, id } = &operation.kind {
            let asked = asked.entry(set).or_default().entry(id).or_default();
            match operation.outcome {
                Outcome::Acked(_) => asked.acked = Some(operation),
                Outcome::Unknown => asked.unknown = true,
                Outcome::Failed => asked.refused = Some(operation),
            }
        }
    }
    let mut found = Vec::new();
    for (set, ids) in &last.sets {
        let before: BTreeSet<&str> = first.sets.get(set).into_iter().flatten().map(String::as_str).collect();
        let asked = asked.remove(set.as_str()).unwrap_or_default();
        found.extend(one_set(set, &before, &asked, ids));
    }
    found
}

fn one_set(
    set: &str,
    before: &BTreeSet<&str>,
    asked: &HashMap<&str, Asked<'_>>,
    ids: &[String],
) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut tell = |promise, sentence| found.push(Violation { promise, sentence });
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for id in ids {
        *times.entry(id).or_default() += 1;
    }
    for (id, times) in &times {
        if *times > 1 {
            let who = asked.get(id).and_then(|asked| asked.acked.or(asked.refused));
            let who = who.map_or_else(|| "its outcome was unknown".to_owned(), Operation::to_string);
            tell(Promise::Twice, format!("`{set}` holds the event `{id}` {times} times; {who}"));
        }
        match asked.get(id) {
            None if !before.contains(id) => {
                tell(Promise::Invented, format!("`{set}` holds the event `{id}`, which nobody sent"));
            }
            Some(Asked { acked: None, unknown: false, refused: Some(operation) }) if !before.contains(id) => {
                tell(
                    Promise::Invented,
                    format!("`{set}` holds the event `{id}`, which was refused: {operation}"),
                );
            }
            _ => {}
        }
    }
    let acked: BTreeMap<&str, &Operation> =
        asked.iter().filter_map(|(id, asked)| Some((*id, asked.acked?))).collect();
    for (id, operation) in &acked {
        if !times.contains_key(id) {
            tell(Promise::Lost, format!("`{set}` lacks the acknowledged event `{id}`: {operation}"));
        }
    }
    for id in before.iter().filter(|id| !times.contains_key(*id) && !acked.contains_key(*id)) {
        tell(Promise::Lost, format!("`{set}` lacks the event `{id}`, which was there at the start"));
    }
    found
}
