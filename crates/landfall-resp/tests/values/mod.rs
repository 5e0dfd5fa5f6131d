//! Random replies for the property tests and the comparison with the oracle.
//! A value here never holds what a line of the protocol would change, so that it must come back the same.

use landfall_resp::Value;
use proptest::collection::vec;
use proptest::prelude::*;

/// Any value, nested a few levels deep.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let bytes = || vec(any::<u8>(), 0..20);
    let line = || "[ -~äß]{0,20}".prop_map(String::into_bytes);
    let scalar = prop_oneof![
        line().prop_map(Value::Simple),
        line().prop_map(Value::Error),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Double),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
        bytes().prop_map(Value::Bulk),
        bytes().prop_map(|text| Value::Verbatim { format: *b"txt", text }),
        "-?[0-9]{1,40}".prop_map(|digits| Value::BigNumber(digits.into_bytes())),
    ];
    scalar.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::Array),
            vec(inner.clone(), 0..5).prop_map(Value::Set),
            vec(inner.clone(), 0..5).prop_map(Value::Push),
            vec((inner.clone(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}
