//! The merge law: applying a merged change equals applying the single ones, one after the other.
//! It must hold for every state of a row, and on both sides of the log's bytes.

use arbitrary::{Result, Unstructured};
use landfall::model::codec::{BodyWriter, decode_body};
use landfall::model::{Change, LoggedChange, Op, RowKey, RowState};

use super::input::{name, number, value};

const CHANGES_MAX: usize = 8;
const COLUMNS_MAX: usize = 5;

pub(crate) fn run(input: &[u8]) {
    let mut choices = Unstructured::new(input);
    let Ok((state, changes, middle)) = case(&mut choices) else { return };
    let stepwise = changes.iter().fold(state.clone(), |row, change| change.apply(row));
    let merged = merge(&changes);
    assert_eq!(merged.apply(state.clone()), stepwise, "all at once: {changes:?}");

    // Associative: wherever a flush cuts the sequence, both parts together do the same.
    let (first, second) = changes.split_at(middle.min(changes.len()));
    if !first.is_empty() && !second.is_empty() {
        let (mut first, second) = (merge(first), merge(second));
        assert_eq!(second.apply(first.apply(state)), stepwise, "cut at {middle}: {changes:?}");
        first.merge(second);
        assert_eq!(first, merged, "cut at {middle}: {changes:?}");
    }

    let row = RowKey::of_key(b"key");
    let mut body = Vec::new();
    BodyWriter::new(&mut body, 1).row(0, row.as_bytes(), &merged);
    assert_eq!(decode_body(&body), Ok(vec![(0, LoggedChange::Row { row, change: merged })]));
}

fn merge(changes: &[Change]) -> Change {
    let mut merged = changes[0].clone();
    changes[1..].iter().for_each(|later| merged.merge(later.clone()));
    merged
}

fn case(choices: &mut Unstructured<'_>) -> Result<(RowState, Vec<Change>, usize)> {
    let state = match choices.arbitrary()? {
        true => None,
        false => {
            let columns = columns(choices, |choices| Ok((name(choices)?, value(choices)?)))?;
            Some(columns.into_iter().filter(|(_, value)| !value.is_null()).collect())
        }
    };
    let count = choices.int_in_range(1..=CHANGES_MAX)?;
    let changes = (0..count).map(|_| change(choices)).collect::<Result<_>>()?;
    Ok((state, changes, choices.int_in_range(0..=CHANGES_MAX)?))
}

fn change(choices: &mut Unstructured<'_>) -> Result<Change> {
    if choices.ratio(1, 5)? {
        return Ok(Change::Delete);
    }
    let replace = choices.arbitrary()?;
    let columns = columns(choices, |choices| {
        let op = if choices.arbitrary()? { Op::Add(number(choices)?) } else { Op::Assign(value(choices)?) };
        Ok((name(choices)?, op))
    })?;
    Ok(Change::upsert(replace, columns))
}

fn columns<T>(
    choices: &mut Unstructured<'_>,
    mut one: impl FnMut(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = choices.int_in_range(0..=COLUMNS_MAX)?;
    (0..count).map(|_| one(choices)).collect()
}
