//! What every database owes to key-value keys (strings, hashes, expiry, and the change of one into the other), and to
//! who pages through keys and rows.
//! Bytes must come back as they went in.

use super::{LANE, Owner, add, bytes, letter, put, refusal, replace, row, tables};
use crate::model::stream::encode_fields;
use crate::model::{Change, EntryId, Name, RowKey, Value};
use crate::sink::{Database, KeyKind, LandingOp, RowPlace, StoredKeys, StoredRows};

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

impl Owner {
    fn keys(&mut self, after: u64, most: usize) -> StoredKeys {
        let found = self.source.keys(after, most, &[LANE]).unwrap();
        assert_eq!(found.watermarks.iter().map(|at| at.position).collect::<Vec<_>>(), [self.at.0]);
        found
    }
}

fn names(found: &StoredKeys) -> Vec<&[u8]> {
    found.keys.iter().map(|key| &*key.key).collect()
}

pub(crate) fn a_key_keeps_its_place_until_it_is_deleted(database: &dyn Database) {
    let mut owner = Owner::new(database);
    assert_eq!((owner.keys(0, 9).keys.len(), owner.keys(0, 9).last), (0, 0));
    let key = |name: &[u8]| RowKey::of_key(name);
    for name in [&b"c"[..], b"\0\xff", b""] {
        owner.change(&key(name), replace(&[("=v", bytes("1"))])).unwrap();
    }
    let before = owner.keys(0, 9);
    assert_eq!(names(&before), [&b"c"[..], b"\0\xff", b""]);
    assert!(before.keys.is_sorted_by(|a, b| a.place < b.place) && before.keys[0].place > 0);
    assert_eq!(before.last, before.keys[2].place);
    owner.change(&key(b"c"), replace(&[(".f", bytes("1"))])).unwrap();
    owner.change(&key(b""), put(&[("=v", bytes("2"))])).unwrap();
    let places = |found: &StoredKeys| found.keys.iter().map(|key| key.place).collect::<Vec<_>>();
    assert_eq!(places(&owner.keys(0, 9)), places(&before), "a key that stays keeps its place");
    assert_eq!(names(&owner.keys(before.keys[0].place, 1)), [b"\0\xff"]);
    assert_eq!(owner.keys(before.last, 9).keys, []);
    assert_eq!(owner.keys(u64::MAX, 9).last, before.last);
    owner.change(&key(b"c"), Change::Delete).unwrap();
    owner.change(&key(b"c"), put(&[("=v", bytes("1"))])).unwrap();
    assert!(owner.keys(0, 9).last > before.last, "a new key has a place that no key has");
}

pub(crate) fn keys_come_with_what_they_hold(database: &dyn Database) {
    let mut owner = Owner::new(database);
    let keys = [RowKey::of_key(b"string"), RowKey::of_key(b"hash"), RowKey::of_key(b"nothing")];
    owner.change(&keys[0], replace(&[("=v", bytes("")), ("=x", Value::Int(77))])).unwrap();
    owner.change(&keys[1], replace(&[(".f", bytes("1"))])).unwrap();
    owner.change(&keys[2], put(&[("=x", Value::Null)])).unwrap();
    owner.park(letter(&keys[1], Change::Delete));
    let found = owner.keys(0, 9);
    let held: Vec<_> = found.keys.iter().map(|key| (key.kind, key.expires_ms, key.is_parked)).collect();
    let (string, hash) = (Some(KeyKind::String), Some(KeyKind::Hash));
    assert_eq!(held, [(string, 77, false), (hash, 0, true), (None, 0, false)]);
}

pub(crate) fn a_clear_removes_all_keys_and_no_row(database: &dyn Database) {
    let mut owner = Owner::new(database);
    let (string, hash) = (RowKey::of_key(b"string"), RowKey::of_key(b"hash"));
    owner.change(&string, replace(&[("=v", bytes("1"))])).unwrap();
    owner.change(&hash, replace(&[(".f", bytes("1"))])).unwrap();
    let page = super::row("page", 7);
    owner.change(&page, put(&[("views", Value::Int(1))])).unwrap();
    assert_eq!(owner.isolate_clear(), 0);
    assert_eq!(owner.keys(0, 9).keys.len(), 2, "a trial leaves everything");
    owner.land(vec![LandingOp::Clear]).unwrap();
    assert!(owner.source.key_values_are_empty().unwrap());
    assert_eq!((owner.load(&string), owner.load(&hash)), (None, None));
    assert!(owner.load(&page).is_some());
    owner.change(&hash, put(&[(".g", bytes("2"))])).unwrap();
    assert_eq!(owner.load(&hash), Some([(Name::field(b"g"), bytes("2"))].into()));
}

/// An entry by its id, with its fields and values; none: it goes.
type StreamPart<'f> = ((u64, u64), Option<&'f [&'f [u8]]>);

/// Parts of a stream: entries by their ids, with fields or none, and its head.
fn parts(entries: &[StreamPart<'_>], head: &str) -> Change {
    let entries = entries.iter().map(|&((ms, seq), fields)| {
        let fields = fields.map(|fields| Value::bytes(&encode_fields(fields.iter().copied())));
        (Name::entry(EntryId { ms, seq }), fields.unwrap_or(Value::Null))
    });
    Change::put(entries.chain([(Name::from_bytes(Name::STREAM), bytes(head))]))
}

pub(crate) fn a_stream_keeps_its_entries_and_its_head(database: &dyn Database) {
    let mut owner = Owner::new(database);
    let key = RowKey::of_key(b"log\0\xff");
    let raw: &[&[u8]] = &[b"a", b"1", b"a", b"\xff\0", b"\xfe", b""];
    let last = (u64::MAX, u64::MAX);
    let all =
        [((1, 2), Some(raw)), ((1, 10), Some(&[b"b", b"2"])), (last, Some(&[b"c", "\u{e4}\"".as_bytes()]))];
    owner.change(&key, parts(&all, "9-9 5 3-1")).unwrap();
    let as_loaded = |change: Change| change.apply(None).unwrap();
    assert_eq!(owner.load(&key), Some(as_loaded(parts(&all, "9-9 5 3-1"))));
    assert_eq!(owner.keys(0, 9).keys[0].kind, Some(KeyKind::Stream));
    // What goes and what comes in one batch.
    let later = [((1, 2), None), ((2, 0), Some(&[&b"d"[..], b"3"][..])), (last, None), ((7, 7), None)];
    owner.change(&key, parts(&later, "9-9 6 3-1")).unwrap();
    let left = [all[1], later[1]];
    assert_eq!(owner.load(&key), Some(as_loaded(parts(&left, "9-9 6 3-1"))));
    // An empty stream is one; it may expire.
    let gone = left.map(|(id, _)| (id, None));
    owner.change(&key, parts(&gone, "9-9 6 4-1")).unwrap();
    owner.change(&key, put(&[("=x", Value::Int(5))])).unwrap();
    let whole = [
        (Name::from_bytes(Name::EXPIRES), Value::Int(5)),
        (Name::from_bytes(Name::STREAM), bytes("9-9 6 4-1")),
    ];
    assert_eq!(owner.load(&key), Some(whole.into()));
    assert_eq!(owner.keys(0, 9).keys[0].kind, Some(KeyKind::Stream));
    // It becomes something else, and again a stream that knows nothing of the one before.
    owner.change(&key, parts(&all, "9-9 9 4-1")).unwrap();
    owner.change(&key, replace(&[("=v", bytes("text"))])).unwrap();
    assert_eq!(owner.load(&key), Some([(Name::from_bytes(b"=v"), bytes("text"))].into()));
    owner.change(&key, Change::Delete).unwrap();
    owner.change(&key, parts(&left, "9-9 1 0-0")).unwrap();
    assert_eq!(owner.load(&key), Some(as_loaded(parts(&left, "9-9 1 0-0"))));
    let no_entry = put(&[("=s", Value::Int(5))]);
    assert_eq!(refusal(owner.change(&key, no_entry)).0, "landfall_key");
    owner.land(vec![LandingOp::Clear]).unwrap();
    assert_eq!(owner.load(&key), None);
    owner.change(&key, put(&[("=x", Value::Null)])).unwrap();
    assert_eq!(owner.load(&key).map(|left| left.len()), Some(0), "entries outlived their key");
}

impl Owner {
    fn isolate_clear(&mut self) -> usize {
        let landing = self.landing(vec![LandingOp::Clear]);
        self.sink.isolate(&landing).unwrap().len()
    }
}

impl Owner {
    fn rows(&mut self, table: &str, after: Option<&RowPlace>, most: usize) -> StoredRows {
        let tables = tables();
        let table = tables.iter().find(|have| &*have.name == table).unwrap();
        let found = self.source.rows(table, after, most, &[LANE]).unwrap();
        assert_eq!(found.watermarks.iter().map(|at| at.position).collect::<Vec<_>>(), [self.at.0]);
        assert!(found.rows.len() <= most && found.last.is_some() != found.rows.is_empty());
        found
    }
}

pub(crate) fn a_table_is_paged_through_by_its_primary_key(database: &dyn Database) {
    let mut owner = Owner::new(database);
    let weather = |day: &str, time: &str, station: i64| {
        RowKey::of_table("weatherdata", &[day.into(), time.into(), Value::Int(station)])
    };
    let all = [
        weather("2025-10-01", "11:19:00", -7),
        weather("2025-10-01", "11:19:00", 10),
        weather("2025-10-01", "12:00:00", 9),
        weather("2025-10-02", "00:00:00", 1),
        weather("2025-10-02", "00:00:00", 2),
    ];
    assert_eq!(owner.rows("weatherdata", None, 9).rows, []);
    for at in [3, 1, 4, 0, 2] {
        owner.change(&all[at], put(&[("temp", Value::Null)])).unwrap();
    }
    owner.change(&row("page", 7), put(&[("views", Value::Int(1))])).unwrap();
    let key = |found: &StoredRows| {
        found.rows.iter().map(|found| RowKey::of_table("weatherdata", &found.key)).collect::<Vec<_>>()
    };
    let mut every = key(&owner.rows("weatherdata", None, 9));
    every.sort();
    let mut sorted = all.to_vec();
    sorted.sort();
    assert_eq!(every, sorted);
    let (mut met, mut after) = (Vec::new(), None);
    let mut pages = 0;
    loop {
        let page = owner.rows("weatherdata", after.as_ref(), 2);
        met.extend(key(&page));
        pages += 1;
        if page.last.is_none() {
            break;
        }
        after = page.last;
        // Rows that stay are changed and replaced meanwhile; others go and come.
        owner.change(&all[0], replace(&[("temp", Value::Null)])).unwrap();
        owner.change(&weather("2025-09-01", "00:00:00", pages), put(&[])).unwrap();
        owner.change(&weather("2025-09-01", "00:00:00", pages - 1), Change::Delete).unwrap();
    }
    assert!(pages >= 3, "{pages} pages of two rows");
    assert!(all.iter().all(|row| met.iter().filter(|have| *have == row).count() == 1), "{met:?}");
    assert_eq!(key(&owner.rows("page", None, 9)).len(), 1);
}

pub(crate) fn a_page_of_rows_says_which_have_dead_letters(database: &dyn Database) {
    let mut owner = Owner::new(database);
    for id in 1..=3 {
        owner.change(&row("page", id), put(&[("views", Value::Int(1))])).unwrap();
    }
    let parked = |owner: &mut Owner| {
        owner.rows("page", None, 9).rows.iter().map(|found| found.is_parked).collect::<Vec<_>>()
    };
    assert_eq!(parked(&mut owner), [false, false, false]);
    owner.park(letter(&row("page", 2), Change::Delete));
    owner.park(letter(&RowKey::of_key(b"3"), Change::Delete));
    assert_eq!(parked(&mut owner), [false, true, false]);
}
