//! Random changes in random batches, landed and compared with the model.
//! A batch is merged by [`Change::merge`], as a lander does it, and never by the database.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::{Owner, op, row};
use crate::model::stream::encode_fields;
use crate::model::{Change, EntryId, Name, Op, RowKey, RowState, StreamHead, Value};

/// Changes in the order of their acknowledgement, cut into batches; and whether the batch is ordered.
type Batches = Vec<(bool, Vec<(RowKey, Change)>)>;

pub(super) fn batches() -> impl Strategy<Value = Batches> {
    let change = prop_oneof![page_change(), key_change()];
    prop::collection::vec((any::<bool>(), prop::collection::vec(change, 1..8)), 1..6)
}

fn cents() -> impl Strategy<Value = Value> {
    (-500i64..500).prop_map(|cents| Value::decimal(BigDecimal::new(cents.into(), 2)))
}

fn page_change() -> impl Strategy<Value = (RowKey, Change)> {
    let number = prop_oneof![-9i64..9, Just(1 << 61)].prop_map(Value::Int);
    let op = prop_oneof![
        number.prop_map(|n| (Name::column("views"), Op::Assign(n))),
        (-9i64..9).prop_map(|n| (Name::column("views"), Op::Add(Value::Int(n)))),
        "[a-zäß']{0,5}".prop_map(|text: String| (Name::column("title"), Op::Assign(Value::from(&*text)))),
        cents().prop_map(|n| (Name::column("score"), Op::Assign(n))),
        cents().prop_map(|n| (Name::column("score"), Op::Add(n))),
        prop::collection::vec(any::<u8>(), 0..4)
            .prop_map(|raw| (Name::column("raw"), Op::Assign(Value::bytes(&raw)))),
        prop::sample::select(vec!["views", "title", "score", "raw"])
            .prop_map(|name| (Name::column(name), Op::Assign(Value::Null))),
    ];
    (1i64..4, changes(op)).prop_map(|(key, change)| (row("page", key), change))
}

fn key_change() -> impl Strategy<Value = (RowKey, Change)> {
    let name = prop::sample::select(vec![&b"=v"[..], b".a", b".b"]).prop_map(Name::from_bytes);
    let value = prop_oneof![
        1 => Just(Value::Null),
        3 => prop::collection::vec(any::<u8>(), 0..4).prop_map(|raw| Value::bytes(&raw)),
    ];
    let expiry = prop_oneof![Just(Value::Null), (0i64..9).prop_map(Value::Int)];
    let entry = (0u64..3, 0u64..2, prop::option::of(prop::collection::vec(any::<u8>(), 0..4))).prop_map(
        |(ms, seq, value)| {
            let fields = value.map(|value| Value::bytes(&encode_fields([&b"f"[..], &value])));
            (Name::entry(EntryId { ms: ms << 62, seq }), Op::Assign(fields.unwrap_or(Value::Null)))
        },
    );
    let head = prop::option::of(0u64..9).prop_map(|added| {
        let text = added.map(|added| StreamHead { added, ..StreamHead::default() }.to_string());
        let value = text.map_or(Value::Null, |text| Value::bytes(text.as_bytes()));
        (Name::from_bytes(Name::STREAM), Op::Assign(value))
    });
    let op = prop_oneof![
        3 => entry,
        1 => head,
        4 => (name, value.prop_map(Op::Assign)),
        1 => expiry.prop_map(|ms| (Name::from_bytes(Name::EXPIRES), Op::Assign(ms))),
    ];
    (prop::sample::select(vec!["k", "key", "l"]), changes(op))
        .prop_map(|(key, change)| (RowKey::of_key(key.as_bytes()), change))
}

fn changes(op: impl Strategy<Value = (Name, Op)>) -> impl Strategy<Value = Change> {
    (0u8..10, prop::collection::vec(op, 0..4)).prop_map(|(kind, columns)| match kind {
        0..2 => Change::Delete,
        2..4 => Change::upsert(true, columns),
        _ => Change::upsert(false, columns),
    })
}

pub(super) fn land_and_compare(owner: &mut Owner, batches: &Batches) -> Result<(), TestCaseError> {
    let mut model: BTreeMap<RowKey, RowState> = BTreeMap::new();
    for (ordered, batch) in batches {
        let mut merged: Vec<(RowKey, Change)> = Vec::new();
        for (row, change) in batch {
            match merged.iter_mut().find(|(known, _)| known == row) {
                Some((_, first)) => first.merge(change.clone()),
                None => merged.push((row.clone(), change.clone())),
            }
            let state = model.entry(row.clone()).or_default();
            *state = change.apply(state.take());
        }
        owner.ordered = *ordered;
        let landed = owner.land(merged.iter().map(|(row, change)| op(row, change.clone())).collect());
        prop_assert!(landed.is_ok(), "{landed:?}");
        for (row, state) in &model {
            let mut found = owner.load(row);
            if let Some(columns) = found.as_mut().filter(|_| !row.is_key_value()) {
                columns.remove(&Name::column("id"));
            }
            prop_assert_eq!(&found, state);
        }
    }
    Ok(())
}
