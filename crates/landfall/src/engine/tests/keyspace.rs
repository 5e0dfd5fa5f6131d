//! Walks over the keys against a model: what stays is met, what never was is not, and a whole walk is exact.
//! Between two pages keys land, are evicted, expire, are refused, and the database loses commits.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::doubles::Double;
use super::*;
use crate::engine::keyspace::{Cursor, Found, Wish};
use crate::engine::ops::{copies, fields, keys, strings};
use crate::sink::{KeyKind, LandingOp};

fn walk(world: &World, wish: Wish) -> Found {
    try_walk(world, wish).unwrap()
}

fn try_walk(world: &World, wish: Wish) -> Result<Found, Refusal> {
    patiently(|| walk_once(world, wish))
}

fn walk_once(world: &World, wish: Wish) -> Result<Found, Refusal> {
    let (send, receive) = mpsc::channel();
    let done = Box::new(move |found| drop(send.send(found)));
    match world.engine().walk(wish, Box::new(|_, _| true), done) {
        Some(found) => found,
        None => receive.recv_timeout(PATIENCE).expect("a walk is answered"),
    }
}

/// A database that lost commits is not read before it has them again.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, Refusal>) -> Result<T, Refusal> {
    let deadline = env::real().clock.monotonic() + PATIENCE;
    loop {
        match attempt() {
            Err(Refusal::TryAgain(_)) if env::real().clock.monotonic() < deadline => {}
            outcome => return outcome,
        }
    }
}

fn names(found: &Found) -> Vec<String> {
    found.keys.iter().map(|key| String::from_utf8(key.clone()).unwrap()).collect()
}

/// All keys, sorted.
pub(super) fn all_keys(world: &World) -> Vec<String> {
    let mut all = names(&walk(world, Wish::All));
    all.sort();
    all
}

fn set(world: &World, key: &str, value: &str, ttl_ms: u64) {
    world
        .run(&[key], |unit, t| {
            let expiry = match ttl_ms {
                0 => strings::Expiry::None,
                ms => strings::Expiry::At(unit.now_ms() + ms),
            };
            let how = (strings::Condition::Always, expiry, false);
            strings::set(unit, 0, &t[0], value.as_bytes(), how, &[]).map(drop)
        })
        .unwrap();
}

fn delete(world: &World, key: &str) {
    patiently(|| world.run(&[key], |unit, t| keys::delete(unit, 0, &t[0]))).unwrap();
}

/// Refuses the value `no`, so that its key gets a dead letter.
fn refuse_no(database: &MemoryDatabase) {
    database.set_poison(Some(Arc::new(|op| match op {
        LandingOp::Row { change: crate::model::Change::Upsert(upsert), .. } => {
            let no = upsert.columns.iter().any(|(_, op)| *op.value() == Value::bytes(b"no"));
            no.then(|| "CHECK constraint failed: no".into())
        }
        _ => None,
    })));
}

#[derive(Debug, Clone)]
enum Step {
    Set(u8, bool, u64),
    Put(u8),
    Rewrite(u8),
    Delete(u8),
    Rename(u8, u8),
    Copy(u8, u8),
    Clear,
    Pass(u64),
    Land,
    Evict,
    Lose,
    FailOver,
    Page(usize),
    Whole,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0u8..24;
    prop_oneof![
        8 => (key(), any::<u8>(), prop::sample::select(vec![0u64, 0, 0, 20]))
            .prop_map(|(key, no, ttl)| Step::Set(key, no < 30, ttl)),
        3 => key().prop_map(Step::Put),
        3 => key().prop_map(Step::Rewrite),
        4 => key().prop_map(Step::Delete),
        2 => (key(), key()).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => (key(), key()).prop_map(|(from, to)| Step::Copy(from, to)),
        1 => Just(Step::Clear),
        1 => (1u64..30).prop_map(Step::Pass),
        5 => Just(Step::Land),
        4 => Just(Step::Evict),
        1 => Just(Step::Lose),
        1 => Just(Step::FailOver),
        16 => (1usize..7).prop_map(Step::Page),
        1 => Just(Step::Whole),
    ]
}

/// The scan under way: what has been there since it began, what was there at any time, what it has met.
#[derive(Default)]
struct Scan {
    cursor: Cursor,
    stays: BTreeSet<String>,
    ever: BTreeSet<String>,
    met: BTreeSet<String>,
}

struct Run {
    world: World,
    double: Double,
    /// When each key expires; 0: never.
    keys: BTreeMap<String, u64>,
    scan: Scan,
    failed_over: bool,
    loses: bool,
}

impl Run {
    fn new() -> Run {
        let double = Double::new(tables());
        double.each(refuse_no);
        let world = World::with(Arc::new(double.clone()), None, |settings| {
            settings.lanes = 3;
            settings.refusals_max = 1;
            settings.hold_rows_min = 1_000;
        });
        let (keys, scan) = (BTreeMap::new(), Scan::default());
        Run { world, double, keys, scan, failed_over: false, loses: false }
    }

    fn expire(&mut self) {
        let now_ms = self.world.clock.unix_ms();
        self.keys.retain(|_, expires_ms| *expires_ms == 0 || *expires_ms > now_ms);
    }

    fn there(&mut self, key: &str, expires_ms: u64) {
        self.keys.insert(key.into(), expires_ms);
        self.scan.ever.insert(key.into());
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let name = |key: u8| format!("key{key}");
        match *step {
            Step::Set(key, no, ttl_ms) => {
                set(&self.world, &name(key), if no { "no" } else { "yes" }, ttl_ms);
                let expires_ms = if ttl_ms > 0 { self.world.clock.unix_ms() + ttl_ms } else { 0 };
                self.there(&name(key), expires_ms);
            }
            Step::Put(key) => {
                let pairs: [(&[u8], &[u8]); 1] = [(b"field", b"1")];
                let put = |unit: &mut Unit<'_>, t: &[Target]| fields::set(unit, 0, &t[0], &pairs);
                if patiently(|| self.world.run(&[&name(key)], put)).is_ok()
                    && !self.keys.contains_key(&name(key))
                {
                    self.there(&name(key), 0);
                }
            }
            Step::Rewrite(key) => {
                let append = |unit: &mut Unit<'_>, t: &[Target]| strings::append(unit, 0, &t[0], b"x");
                if patiently(|| self.world.run(&[&name(key)], append)).is_ok()
                    && !self.keys.contains_key(&name(key))
                {
                    self.there(&name(key), 0);
                }
            }
            Step::Delete(key) => {
                delete(&self.world, &name(key));
                self.keys.remove(&name(key));
            }
            Step::Rename(from, to) => {
                let rename = |unit: &mut Unit<'_>, t: &[Target]| {
                    copies::rename(unit, 0, (&t[0], &t[1]), from == to, false)
                };
                let done = patiently(|| self.world.run(&[&name(from), &name(to)], rename)).unwrap().0;
                prop_assert_eq!(done, self.keys.contains_key(&name(from)));
                if let Some(expires_ms) = self.keys.remove(&name(from)) {
                    self.there(&name(to), expires_ms);
                }
            }
            Step::Copy(from, to) if from != to => {
                let copy = |unit: &mut Unit<'_>, t: &[Target]| copies::copy(unit, 0, (&t[0], &t[1]), false);
                let done = patiently(|| self.world.run(&[&name(from), &name(to)], copy)).unwrap().0;
                let expires_ms = self.keys.get(&name(from)).copied();
                let expected = expires_ms.filter(|_| !self.keys.contains_key(&name(to)));
                prop_assert_eq!(done, expected.is_some());
                if let Some(expires_ms) = expected {
                    self.there(&name(to), expires_ms);
                }
            }
            Step::Copy(..) => {}
            Step::Clear => {
                self.world.engine().clear().unwrap();
                self.world.engine().commit().unwrap();
                self.keys.clear();
            }
            Step::Pass(ms) => self.world.advance(ms),
            Step::Land => self.world.land_all(),
            Step::Evict => {
                self.world.engine().evict_clean();
            }
            Step::Lose => {
                self.double.stop_replicating();
                self.loses = true;
            }
            Step::FailOver if self.loses && !self.failed_over => {
                self.failed_over = true;
                self.double.fail_over();
                // Whoever lands notices.
                set(&self.world, "notice", "yes", 0);
                self.there("notice", 0);
            }
            Step::FailOver => {}
            Step::Page(count) => self.page(count)?,
            Step::Whole => self.whole()?,
        }
        self.expire();
        let keys = &self.keys;
        self.scan.stays.retain(|key| keys.contains_key(key));
        Ok(())
    }

    fn page(&mut self, count: usize) -> Result<(), TestCaseError> {
        if self.scan.cursor == Cursor::default() {
            let all: BTreeSet<String> = self.keys.keys().cloned().collect();
            self.scan = Scan { stays: all.clone(), ever: all, ..Scan::default() };
        }
        let found = walk(&self.world, Wish::Page(self.scan.cursor, count));
        self.scan.met.extend(names(&found));
        self.scan.cursor = found.cursor;
        let unreal: Vec<_> = self.scan.met.difference(&self.scan.ever).collect();
        prop_assert!(unreal.is_empty(), "{unreal:?} never was there");
        if found.cursor == Cursor::default() {
            let missed: Vec<_> = self.scan.stays.difference(&self.scan.met).collect();
            prop_assert!(missed.is_empty(), "{missed:?} stayed and was not met");
        }
        Ok(())
    }

    fn whole(&mut self) -> Result<(), TestCaseError> {
        let all: Vec<String> = self.keys.keys().cloned().collect();
        let mut found = names(&walk(&self.world, Wish::All));
        found.sort();
        prop_assert_eq!(&found, &all);
        prop_assert_eq!(walk(&self.world, Wish::Count).count, all.len() as u64);
        let one = names(&walk(&self.world, Wish::One));
        prop_assert_eq!(one.len(), usize::from(!all.is_empty()));
        prop_assert!(one.iter().all(|key| all.contains(key)));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_scan_meets_every_key_that_stays_and_a_whole_walk_is_exact(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut run = Run::new();
        for step in &steps {
            run.take(step)?;
        }
        while run.scan.cursor != Cursor::default() {
            run.page(3)?;
        }
        run.page(3)?;
        run.whole()?;
    }
}

/// A key that is only in a dead letter is nowhere while a database that has lost the letter catches up.
#[test]
fn a_scan_meets_a_key_whose_dead_letter_was_lost_and_is_written_again() {
    let double = Double::new(tables());
    double.each(refuse_no);
    let world = World::with(Arc::new(double.clone()), None, |settings| {
        settings.refusals_max = 1;
        settings.hold_rows_min = 1_000;
        settings.load_timeout = Duration::from_millis(20);
        settings.database_check = Duration::from_millis(2);
    });
    set(&world, "stored", "yes", 0);
    world.land_all();
    double.stop_replicating();
    set(&world, "parked", "no", 0);
    world.land_and_forget();
    world.engine().pause(None).unwrap();
    double.fail_over();
    let core = &world.engine().core;
    wait_until(|| core.lanes.key_value().iter().any(|&lane| core.progress.rewinds(lane) > 0));
    let (mut met, mut cursor, mut refused) = (BTreeSet::new(), Cursor::default(), false);
    loop {
        match walk_once(&world, Wish::Page(cursor, 10)) {
            Ok(found) => {
                met.extend(names(&found));
                cursor = found.cursor;
            }
            Err(refusal) => {
                assert!(matches!(refusal, Refusal::TryAgain(_)) && !refused, "{refusal}");
                refused = true;
                world.engine().resume(None).unwrap();
                world.land_all();
                continue;
            }
        }
        if cursor == Cursor::default() {
            break;
        }
    }
    assert!(refused, "it waits for what has to land again");
    assert_eq!(met, BTreeSet::from(["parked".into(), "stored".into()]));
}

#[test]
fn keys_that_are_cached_pending_stored_or_in_a_dead_letter_are_all_found() {
    let (world, memory) = World::new(|settings| settings.refusals_max = 1);
    refuse_no(&memory);
    for key in ["stored", "gone", "changed"] {
        set(&world, key, "1", 0);
    }
    set(&world, "parked", "no", 0);
    world.land_and_forget();
    world.engine().pause(None).unwrap();
    set(&world, "pending", "1", 0);
    set(&world, "short", "1", 5);
    delete(&world, "gone");
    set(&world, "changed", "2", 0);
    world.advance(10);
    let mut found = names(&walk(&world, Wish::All));
    found.sort();
    assert_eq!(found, ["changed", "parked", "pending", "stored"]);
    assert_eq!(walk(&world, Wish::Count).count, 4);
}

#[test]
fn a_key_is_wanted_by_its_name_and_its_kind() {
    let (world, _) = World::new(|_| {});
    set(&world, "string", "1", 0);
    let pairs: [(&[u8], &[u8]); 1] = [(b"f", b"1")];
    world.run(&["hash"], |unit, t| fields::set(unit, 0, &t[0], &pairs)).unwrap();
    for forget in [false, true] {
        if forget {
            world.land_and_forget();
        }
        let (send, receive) = mpsc::channel();
        let wanted = Box::new(|_: &[u8], kind| kind == KeyKind::Hash);
        let done = Box::new(move |found| drop(send.send(found)));
        let found = world.engine().walk(Wish::All, wanted, done);
        let found = found.unwrap_or_else(|| receive.recv_timeout(PATIENCE).unwrap()).unwrap();
        assert_eq!(names(&found), ["hash"]);
    }
}

#[test]
fn with_the_database_down_keys_are_known_only_while_the_cache_is_complete() {
    let (world, memory) = World::new(|_| {});
    set(&world, "a", "1", 0);
    world.land_all();
    memory.set_down(true);
    assert_eq!(names(&walk(&world, Wish::All)), ["a"]);
    assert_eq!(walk(&world, Wish::Count).count, 1);
    world.engine().evict_clean();
    for wish in [Wish::All, Wish::Count, Wish::One] {
        assert!(matches!(try_walk(&world, wish), Err(Refusal::DatabaseDown(_))), "{wish:?}");
    }
}

#[test]
fn a_renamed_or_copied_key_has_the_value_and_the_expiry_of_the_other_also_when_both_are_cold() {
    let (mut world, _) = World::on_disk(|settings| settings.lanes = 3);
    let pairs: [(&[u8], &[u8]); 2] = [(b"f", b"1"), (b"g", b"2")];
    let until = world.clock.unix_ms() + 1_000;
    for key in ["hash", "other"] {
        world.run(&[key], |unit, t| fields::set(unit, 0, &t[0], &pairs)).unwrap();
    }
    world.run(&["hash"], |unit, t| keys::expire(unit, 0, &t[0], until)).unwrap();
    world.run(&["other"], |unit, t| fields::set(unit, 0, &t[0], &[(b"old", b"3")])).unwrap();
    set(&world, "string", "text", 0);
    world.land_and_forget();
    world.engine().pause(None).unwrap();
    let both = ["hash", "other"];
    let renamed = world.run(&both, |unit, t| copies::rename(unit, 0, (&t[0], &t[1]), false, true)).unwrap();
    assert!(!renamed.0, "the other is there");
    assert!(world.run(&both, |unit, t| copies::rename(unit, 0, (&t[0], &t[1]), false, false)).unwrap().0);
    let both = ["string", "copy"];
    assert!(world.run(&both, |unit, t| copies::copy(unit, 0, (&t[0], &t[1]), false)).unwrap().0);
    let refused = world.run(&["string", "page:1"], |unit, t| copies::copy(unit, 0, (&t[0], &t[1]), true));
    assert!(matches!(refused, Err(Refusal::Invalid(words)) if words.contains("row of table page")));
    for round in 0..3 {
        match round {
            0 => {}
            1 => drop(world.reopen()),
            _ => world.land_and_forget(),
        }
        let mut found = Vec::new();
        let read = |unit: &mut Unit<'_>, t: &[Target]| {
            found.clear();
            fields::get_all(unit, 0, &t[0], |_, all| {
                found.extend(all.map(|(field, value)| (field.to_vec(), value.to_vec())));
            })?;
            Ok(unit.see(0)?.expires_ms)
        };
        assert_eq!(world.run(&["other"], read).unwrap().0, until, "round {round}");
        found.sort();
        assert_eq!(found, pairs.map(|(field, value)| (field.to_vec(), value.to_vec())), "round {round}");
        assert_eq!(all_keys(&world), ["copy", "other", "string"], "round {round}");
    }
}

#[test]
fn a_clear_takes_all_keys_at_once_and_for_ever_and_leaves_the_rows() {
    let (mut world, memory) = World::on_disk(|settings| {
        settings.refusals_max = 1;
        settings.lanes = 3;
    });
    refuse_no(&memory);
    for key in ["stored", "again", "bad"] {
        set(&world, key, if key == "bad" { "no" } else { "1" }, 0);
    }
    let pairs: [(&[u8], &[u8]); 1] = [(b"views", b"3")];
    world.run(&["page:1"], |unit, t| fields::set(unit, 0, &t[0], &pairs)).unwrap();
    world.land_and_forget();
    assert_eq!(letters(world.engine()).len(), 1);
    world.engine().pause(None).unwrap();
    set(&world, "pending", "1", 0);
    let mut watch = world.engine().watch();
    let watched = |unit: &mut Unit<'_>, _: &[Target]| unit.watch(0, &mut watch);
    world.run(&["stored"], watched).unwrap();
    world.engine().clear().unwrap();
    world.engine().commit().unwrap();
    let holds = world.run(&["stored"], |unit, _| Ok(unit.holds(&watch))).unwrap().0;
    assert!(!holds, "who watched a key hears of it");
    let unsafe_read = |unit: &mut Unit<'_>, _: &[Target]| unit.see(0).map(|_| ()).map(|()| unit.read_dirty());
    assert!(world.run(&["stored"], unsafe_read).unwrap().0, "absent by what has not landed");
    set(&world, "again", "2", 0);
    let expected = |world: &World, when: &str| {
        assert_eq!(names(&walk(world, Wish::All)), ["again"], "{when}");
        for key in ["stored", "pending", "bad"] {
            let get = |unit: &mut Unit<'_>, t: &[Target]| strings::get(unit, 0, &t[0]);
            assert_eq!(world.run(&[key], get).unwrap().0, None, "{key}, {when}");
        }
        assert_eq!(walk(world, Wish::Count).count, 1, "{when}");
    };
    expected(&world, "at once");
    // Not complete any more: what the database still has must not come back.
    world.engine().evict_clean();
    expected(&world, "evicted before it has landed");
    world.reopen();
    expected(&world, "after a restart");
    world.engine().evict_clean();
    expected(&world, "after a restart, evicted");
    world.engine().resume(None).unwrap();
    world.land_and_forget();
    expected(&world, "landed");
    assert_eq!(letters(world.engine()).len(), 0, "a dead letter of a key is cleared too");
    assert_eq!(memory.row(&super::page(1)).unwrap().len(), 2, "rows stay");
    world.reopen();
    expected(&world, "landed and opened again");
}
