//! The bookkeeping of the cache: whatever happens to its rows, the sizes add up and each list holds what it should.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::owed::Owed;
use super::shard::{After, Stay};
use super::*;
use crate::model::{Change, Name, RowKey, Value};

#[derive(Debug, Clone)]
enum Step {
    Set(u8, usize, u64),
    Grow(u8),
    Delete(u8),
    Expire(u8, u64),
    Settle(u8, usize),
    Visit(u8),
    Remove(u8),
    Landed(u32, u64),
    Stay(u8, Stay),
    Leave(u64),
    EvictAll,
    /// The rows are written in other lanes from now on.
    Relane,
}

const LANES: u32 = 2;

fn step() -> impl Strategy<Value = Step> {
    let row = || 0u8..40;
    let size = || prop::sample::select(vec![1usize, 300, 2_000]);
    prop_oneof![
        6 => (row(), size(), 0u64..3).prop_map(|(row, size, expires)| Step::Set(row, size, expires)),
        4 => row().prop_map(Step::Grow),
        2 => row().prop_map(Step::Delete),
        2 => (row(), 0u64..3).prop_map(|(row, expires)| Step::Expire(row, expires)),
        5 => (row(), size()).prop_map(|(row, size)| Step::Settle(row, size)),
        3 => row().prop_map(Step::Visit),
        2 => row().prop_map(Step::Remove),
        4 => (0..LANES, 0u64..8).prop_map(|(lane, back)| Step::Landed(lane, back)),
        3 => (row(), stay()).prop_map(|(row, stay)| Step::Stay(row, stay)),
        2 => (0u64..4).prop_map(Step::Leave),
        1 => Just(Step::EvictAll),
        1 => Just(Step::Relane),
    ]
}

fn stay() -> impl Strategy<Value = Stay> {
    prop_oneof![
        3 => (1u64..4).prop_map(Stay::Until),
        1 => Just(Stay::AsOthers(9)),
        1 => Just(Stay::Over),
    ]
}

/// Even rows are key-value keys, odd ones rows of a table.
fn identity(row: u8) -> RowKey {
    match row % 2 {
        0 => RowKey::of_key(&[row]),
        _ => RowKey::of_table("page", &[Value::Int(row.into())]),
    }
}

struct Run {
    cache: Cache,
    position: Position,
    relaned: u32,
    now_ms: u64,
    /// The last write of each row: its lane and its position.
    written: BTreeMap<Vec<u8>, (LaneId, Position)>,
    /// The highest position that each lane was told has landed.
    landed: [Position; LANES as usize],
}

impl Run {
    fn lane(&self, row: u8) -> LaneId {
        LaneId((u32::from(row) + self.relaned) % LANES)
    }

    fn write(&mut self, row: u8, after: After) {
        self.position += 1;
        let key = identity(row);
        let hash = self.cache.hash(key.as_bytes());
        let mut shard = self.cache.lock(self.cache.shard_of(hash));
        let lane = self.lane(row);
        shard.write(&self.cache, (hash, key.as_bytes(), lane), (self.position, 0), None, after);
        self.written.insert(key.as_bytes().into(), (lane, self.position));
        shard.relieve(&self.cache);
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Set(row, size, expires_ms) if row % 2 == 0 => {
                self.write(row, After::Known(View::String(vec![b'x'; size].into()), expires_ms));
            }
            Step::Set(row, size, _) => {
                let text = "x".repeat(size);
                self.change(row, Change::put([(Name::column("t"), Value::from(text.as_str()))]));
            }
            Step::Grow(row) => self.change(row | 1, Change::add(Name::column("n"), Value::Int(1))),
            Step::Delete(row) => self.write(row, After::Known(View::Absent, 0)),
            Step::Expire(row, expires_ms) => {
                let key = identity(row & !1);
                let hash = self.cache.hash(key.as_bytes());
                let shard = self.cache.lock(self.cache.shard_of(hash));
                let known = shard.find(hash, key.as_bytes()).and_then(|at| shard.entry(at));
                let is_string = known.is_some_and(|entry| matches!(entry.view, View::String(_)));
                drop(shard);
                if is_string {
                    self.write(row & !1, After::Expires(expires_ms));
                }
            }
            Step::Settle(row, size) => {
                let key = identity(row);
                let columns = match row % 2 {
                    0 => vec![(Name::from_bytes(Name::STRING), Value::bytes(&vec![b'y'; size]))],
                    _ => vec![(Name::column("t"), Value::from("y".repeat(size).as_str()))],
                };
                let hash = self.cache.hash(key.as_bytes());
                let residency =
                    fill::Residency { now_ms: self.now_ms, present_until_ms: 9, absent_until_ms: 9 };
                let home = self.lane(row);
                let lane = fill::lane_to_load(&self.cache, key.as_bytes(), home);
                let landed = self.landed[lane.0 as usize];
                let outcome = fill(
                    &self.cache,
                    (hash, key.as_bytes(), home),
                    Some(columns),
                    fill::Snapshot { lane, watermark: landed, rest: None, only_head: false },
                    || landed,
                    residency,
                );
                // Of a span that has landed in part the rest is asked for; all three are fine for the bookkeeping.
                if let FillOutcome::InPart { upto } = outcome {
                    assert!(upto > landed);
                }
            }
            Step::Visit(row) => self.at(row, |shard, _, _, at| shard.visit(at)),
            Step::Remove(row) => self.at(row, |shard, cache, hash, at| {
                let dirty = shard.entry(at).is_some_and(Entry::is_dirty);
                assert_ne!(shard.remove_clean(cache, hash, at), dirty, "dirty rows stay, clean ones go");
            }),
            Step::Landed(lane, back) => {
                let landed = &mut self.landed[lane as usize];
                *landed = (*landed).max(self.position.saturating_sub(back));
                self.cache.landed(LaneId(lane), *landed);
            }
            Step::Relane => self.relaned += 1,
            Step::Stay(row, stay) => {
                let key = identity(row | 1);
                let hash = self.cache.hash(key.as_bytes());
                let mut shard = self.cache.lock(self.cache.shard_of(hash));
                shard.stay(&self.cache, hash, key.as_bytes(), stay);
            }
            Step::Leave(now_ms) => {
                self.now_ms = now_ms;
                for number in 0..self.cache.shards() {
                    let mut shard = self.cache.lock(number);
                    shard.let_leave(&self.cache, now_ms);
                    let over = |entry: &&Entry| (1..=now_ms).contains(&entry.kept_until_ms());
                    assert_eq!(shard.iter().filter(over).count(), 0, "their time is over");
                }
            }
            Step::EvictAll => {
                (0..self.cache.shards()).for_each(|shard| {
                    self.cache.lock(shard).evict_all(&self.cache);
                });
            }
        }
    }

    fn change(&mut self, row: u8, change: Change) {
        self.write(row | 1, After::Changed { change, until: 9, reload: row > 30 });
    }

    fn at(&self, row: u8, act: impl FnOnce(&mut Shard, &Cache, u64, u32)) {
        let key = identity(row);
        let hash = self.cache.hash(key.as_bytes());
        let mut shard = self.cache.lock(self.cache.shard_of(hash));
        if let Some(at) = shard.find(hash, key.as_bytes()) {
            act(&mut shard, &self.cache, hash, at);
        }
    }

    /// Counts everything again.
    fn check(&self) {
        let (mut all, mut dirty, mut rows, mut dirty_rows) = (0, 0, 0, 0);
        for number in 0..self.cache.shards() {
            let shard = self.cache.lock(number);
            shard.check_lists();
            for entry in shard.iter() {
                assert!(shard.find(self.cache.hash(&entry.row), &entry.row).is_some());
                all += entry.held_bytes();
                rows += 1;
                if entry.is_dirty() {
                    dirty += entry.held_bytes();
                    dirty_rows += 1;
                } else {
                    let landed =
                        |(lane, position): &(LaneId, Position)| self.landed[lane.0 as usize] >= *position;
                    assert!(self.written.get(&*entry.row).is_none_or(landed), "clean before it landed");
                    let is_kept = entry.kept_until_ms() > 0;
                    let has_head = entry.view.lone_head().is_some();
                    assert!(
                        is_kept || has_head || !entry.view.is_unknown(),
                        "nothing is known and nothing is owed"
                    );
                    let owes = |owed: &Owed| !owed.is_empty();
                    let is_owed = matches!(&entry.view, View::Unknown(Some(owed)) if owes(owed));
                    assert!(!is_owed, "a clean row is owed nothing");
                }
            }
        }
        let bytes = self.cache.bytes();
        let counted = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!((bytes.all_bytes(), bytes.dirty_bytes()), (all, dirty));
        assert_eq!((counted(&bytes.rows), counted(&bytes.dirty_rows)), (rows, dirty_rows));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn sizes_and_lists_add_up_after_any_sequence(steps in prop::collection::vec(step(), 1..120)) {
        // One or two small rows a shard fit, so that eviction runs all the time.
        let cache = Cache::new(64 * 1_000, [7; 32]);
        let mut run = Run { cache, position: 0, relaned: 0, now_ms: 0, written: BTreeMap::new(), landed: [0; LANES as usize] };
        for step in &steps {
            run.take(step);
            run.check();
        }
        let end = run.position;
        (0..LANES).for_each(|lane| run.cache.landed(LaneId(lane), end));
        (0..run.cache.shards()).for_each(|shard| { run.cache.lock(shard).evict_all(&run.cache); });
        prop_assert_eq!(run.cache.bytes().all_bytes(), 0);
        prop_assert_eq!(run.cache.bytes().dirty_rows.load(Ordering::Relaxed), 0);
    }
}

fn one_shard() -> (Cache, Vec<RowKey>) {
    let cache = Cache::new(64 * 3_000, [7; 32]);
    let keys = (0..).map(|n: u64| RowKey::of_key(&n.to_le_bytes()));
    let keys = keys.filter(|key| cache.shard_of(cache.hash(key.as_bytes())) == 0).take(40).collect();
    (cache, keys)
}

/// Loads a row, and reads it as whoever asked for it does.
fn load(cache: &Cache, key: &RowKey) {
    let hash = cache.hash(key.as_bytes());
    let view = View::String(vec![b'x'; 400].into());
    let mut shard = cache.lock(0);
    let at = shard.settle(cache, (hash, key.as_bytes(), LaneId(0)), view, (0, 0));
    shard.visit(at);
}

fn holds(cache: &Cache, key: &RowKey) -> bool {
    cache.lock(0).find(cache.hash(key.as_bytes()), key.as_bytes()).is_some()
}

#[test]
fn a_row_that_is_read_outlives_rows_that_are_not() {
    let (cache, keys) = one_shard();
    load(&cache, &keys[0]);
    for key in &keys[1..] {
        let hash = cache.hash(keys[0].as_bytes());
        let mut shard = cache.lock(0);
        let at = shard.find(hash, keys[0].as_bytes()).expect("it is read all the time");
        shard.visit(at);
        drop(shard);
        load(&cache, key);
    }
    assert!(holds(&cache, &keys[0]));
    assert!(cache.bytes().evicted.load(Ordering::Relaxed) > 30);
    assert!(cache.bytes().all_bytes() <= 4_000, "the last one may be too much");
}

#[test]
fn evicting_a_key_ends_the_completeness_of_the_cache() {
    let (cache, keys) = one_shard();
    cache.set_complete(true);
    load(&cache, &keys[0]);
    assert!(cache.is_complete());
    keys[1..].iter().for_each(|key| load(&cache, key));
    assert!(!cache.is_complete());
}

#[test]
fn keys_expire_in_the_order_of_their_times_and_no_sooner() {
    let (cache, keys) = one_shard();
    for (key, expires_ms) in keys.iter().zip([30, 10, 0, 20]) {
        let hash = cache.hash(key.as_bytes());
        let after = After::Known(View::String(b"v"[..].into()), expires_ms);
        cache.lock(0).write(&cache, (hash, key.as_bytes(), LaneId(0)), (1, 0), None, after);
    }
    let expired = |now_ms, most| -> Vec<RowKey> {
        cache.lock(0).expired(now_ms, most).iter().map(|row| RowKey::from_bytes(row)).collect()
    };
    assert_eq!(expired(9, 10).len(), 0);
    assert_eq!(expired(20, 10), [keys[1].clone(), keys[3].clone()]);
    assert_eq!(expired(100, 1), [keys[1].clone()]);
    let again = After::Known(View::String(b"v"[..].into()), 0);
    let hash = cache.hash(keys[1].as_bytes());
    cache.lock(0).write(&cache, (hash, keys[1].as_bytes(), LaneId(0)), (2, 0), None, again);
    assert_eq!(expired(20, 10), [keys[3].clone()]);
}

#[test]
fn a_publication_cleans_the_rows_of_its_lane_up_to_its_position() {
    let (cache, keys) = one_shard();
    for (at, key) in keys.iter().take(6).enumerate() {
        let hash = cache.hash(key.as_bytes());
        let lane = LaneId(at as u32 % 2);
        let after = After::Known(View::String(b"v"[..].into()), 0);
        cache.lock(0).write(&cache, (hash, key.as_bytes(), lane), (at as u64 + 1, 0), None, after);
    }
    cache.landed(LaneId(0), 3);
    let dirty: BTreeSet<u64> =
        cache.lock(0).iter().filter(|entry| entry.is_dirty()).map(Entry::position).collect();
    assert_eq!(dirty, [2, 4, 5, 6].into());
}

#[test]
fn a_write_lets_no_row_go_that_the_next_change_of_its_unit_builds_on() {
    let (cache, keys) = one_shard();
    load(&cache, &keys[0]);
    let big = After::Known(View::String(vec![0; 100_000].into()), 0);
    let hash = cache.hash(keys[1].as_bytes());
    cache.lock(0).write(&cache, (hash, keys[1].as_bytes(), LaneId(0)), (1, 0), None, big);
    assert!(holds(&cache, &keys[0]), "fields that HSET adds to it would be taken for all of it");
    cache.lock(0).relieve(&cache);
    assert!(!holds(&cache, &keys[0]), "the pressure was real");
}

#[test]
fn foreseeing_rows_waits_for_no_lock_and_lets_them_stay_what_they_are() {
    let (cache, keys) = one_shard();
    load(&cache, &keys[0]);
    // Rows that are here, rows that are not, and one hash more than once.
    let hashes: Vec<u64> = keys.iter().chain([&keys[0]; 40]).map(|key| cache.hash(key.as_bytes())).collect();
    let held: Vec<_> = (0..cache.shards()).map(|shard| cache.lock(shard)).collect();
    cache.foresee(&hashes);
    drop(held);
    cache.foresee(&hashes);
    cache.foresee(&[]);
    (0..cache.shards()).for_each(|shard| cache.lock(shard).check_lists());
    assert!(holds(&cache, &keys[0]));
    assert!(!holds(&cache, &keys[1]));
}

// shows: S17
#[test]
fn keys_that_meet_in_one_server_do_not_meet_in_another() {
    let cache = |seed: u8| Cache::new(1 << 20, [seed; 32]);
    let (first, second) = (cache(1), cache(2));
    // What an attacker would look for beforehand: keys of one shard, and of one place in its table.
    let place = |cache: &Cache, key: u32| cache.hash(&key.to_le_bytes()) & 0xff;
    let chosen: Vec<u32> = (0..100_000).filter(|&key| place(&first, key) == 0).collect();
    assert!(chosen.len() > 300, "one in 256: {}", chosen.len());
    let met = chosen.iter().filter(|&&key| place(&second, key) == 0).count();
    assert!(met < chosen.len() / 32, "{met} of {} meet under another seed too", chosen.len());
}
