//! What every database owes to key-value keys: strings, hashes, expiry, and the change of one into the other.
//! Bytes must come back as they went in.

use super::{Owner, add, bytes, put, refusal, replace};
use crate::model::{Change, Name, RowKey, Value};
use crate::sink::Database;

pub(crate) fn a_string_keeps_its_bytes_and_its_expiry(database: &dyn Database) {
    let mut owner = Owner::new(database);
    assert!(owner.source.key_values_are_empty().unwrap());
    let key = RowKey::of_key(b"user:1:name\0\xff");
    let raw = Value::bytes(b"Al\0ice\xff");
    owner.change(&key, replace(&[("=v", raw.clone()), ("=x", Value::Int(1_000))])).unwrap();
    let whole = [(Name::from_bytes(b"=v"), raw), (Name::from_bytes(b"=x"), Value::Int(1_000))];
    assert_eq!(owner.load(&key), Some(whole.into()));
    owner.change(&key, put(&[("=x", Value::Int(2_000))])).unwrap();
    owner.change(&key, put(&[("=v", bytes("Bob"))])).unwrap();
    assert_eq!((owner.cell(&key, "=v"), owner.cell(&key, "=x")), ("Bob".into(), "2000".into()));
    owner.change(&key, put(&[("=x", Value::Null)])).unwrap();
    assert_eq!((owner.cell(&key, "=v"), owner.cell(&key, "=x")), ("Bob".into(), "-".into()));
    owner.change(&key, put(&[("=v", Value::Int(41))])).unwrap();
    owner.change(&key, add("=v", Value::Int(1))).unwrap();
    assert_eq!(owner.cell(&key, "=v"), "42");
    assert!(!owner.source.key_values_are_empty().unwrap());
    owner.change(&key, replace(&[("=v", bytes("x"))])).unwrap();
    assert_eq!(refusal(owner.change(&key, add("=v", Value::Int(1)))).0, "landfall_key");
    assert_eq!(refusal(owner.change(&key, put(&[("name", bytes("x"))]))).0, "landfall_key");
    owner.change(&key, Change::Delete).unwrap();
    assert_eq!(owner.load(&key), None);
    assert!(owner.source.key_values_are_empty().unwrap());
}

pub(crate) fn a_hash_keeps_its_fields(database: &dyn Database) {
    let mut owner = Owner::new(database);
    let key = RowKey::of_key(b"session:1");
    owner.change(&key, put(&[(".a", bytes("1")), (".b", bytes("2")), (".", bytes("empty"))])).unwrap();
    owner.change(&key, put(&[(".a", Value::Null), (".c", bytes("3")), ("=x", Value::Int(5))])).unwrap();
    owner.change(&key, add(".n", Value::Int(2))).unwrap();
    owner.change(&key, add(".n", Value::Int(2))).unwrap();
    let whole = [(".", "empty"), (".b", "2"), (".c", "3"), (".n", "4")]
        .map(|(name, text)| (Name::from_bytes(name.as_bytes()), bytes(text)));
    let mut expected: std::collections::BTreeMap<_, _> = whole.into();
    expected.insert(Name::from_bytes(Name::EXPIRES), Value::Int(5));
    assert_eq!(owner.load(&key), Some(expected));
    owner.change(&key, replace(&[(".z", bytes("9"))])).unwrap();
    assert_eq!(owner.load(&key), Some([(Name::field(b"z"), bytes("9"))].into()));
    owner.change(&key, replace(&[("=v", bytes("text"))])).unwrap();
    assert_eq!(owner.load(&key), Some([(Name::from_bytes(b"=v"), bytes("text"))].into()));
    owner.change(&key, replace(&[(".z", bytes("9"))])).unwrap();
    assert_eq!(owner.load(&key), Some([(Name::field(b"z"), bytes("9"))].into()));
    owner.change(&key, Change::Delete).unwrap();
    owner.change(&key, put(&[(".y", bytes("1"))])).unwrap();
    assert_eq!(owner.load(&key), Some([(Name::field(b"y"), bytes("1"))].into()));
}
