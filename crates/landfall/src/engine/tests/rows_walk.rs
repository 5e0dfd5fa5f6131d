//! Walks over the rows of a table against a model: what stays is met, and with nobody writing a walk is exact.
//! Between two pages rows land, are evicted, are refused, and the database loses commits.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::doubles::Double;
use super::*;
use crate::engine::keyspace::{Cursor, Found};
use crate::engine::ops::{fields, keys, strings};
use crate::model::{Change, Intent};
use crate::sink::{KeyKind, LandingOp};

/// The tables of all tests, and one with a composite key of texts.
fn all_tables() -> Vec<Table> {
    let mut all = tables();
    let mut seat = all[0].clone();
    seat.name = "seat".into();
    for column in [0, 2] {
        seat.columns[column].kind = ColumnType::Text { chars_max: None };
        seat.columns[column].nullable = false;
    }
    seat.primary_key = vec![2, 0];
    all.push(seat);
    all
}

fn world(change: impl FnOnce(&mut Settings)) -> (World, Double) {
    let double = Double::new(all_tables());
    double.each(refuse_no);
    let world = World::with(Arc::new(double.clone()), None, |settings| {
        (settings.lanes, settings.refusals_max, settings.hold_rows_min) = (3, 1, 1_000);
        change(settings);
    });
    (world, double)
}

/// Refuses the title `no`, so that its row gets a dead letter.
fn refuse_no(database: &MemoryDatabase) {
    database.set_poison(Some(Arc::new(|op| match op {
        LandingOp::Row { change: Change::Upsert(upsert), .. } => {
            let is_no = |value: &Value| *value == Value::from("no") || *value == Value::bytes(b"no");
            let no = upsert.columns.iter().any(|(_, op)| is_no(op.value()));
            no.then(|| "CHECK constraint failed: no".into())
        }
        _ => None,
    })));
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

fn page(world: &World, table: &str, cursor: Cursor, count: usize) -> Result<Found, Refusal> {
    let table = world.engine().catalogue().table(table).unwrap().clone();
    patiently(|| {
        let (send, receive) = mpsc::channel();
        let done = Box::new(move |found| drop(send.send(found)));
        let wanted = Box::new(|_: &[u8], kind| kind == KeyKind::Hash);
        match world.engine().walk_rows(&table, (cursor, count), wanted, done) {
            Some(found) => found,
            None => receive.recv_timeout(PATIENCE).expect("a walk is answered"),
        }
    })
}

fn names(found: &Found) -> Vec<String> {
    found.keys.iter().map(|key| String::from_utf8(key.clone()).unwrap()).collect()
}

/// All that a walk meets, and in how many pages.
fn walked(world: &World, table: &str, count: usize) -> (BTreeSet<String>, usize) {
    let (mut met, mut cursor, mut pages) = (BTreeSet::new(), Cursor::default(), 0);
    loop {
        let found = page(world, table, cursor, count).unwrap();
        met.extend(names(&found));
        (cursor, pages) = (found.cursor, pages + 1);
        assert!(pages < 10_000, "a walk ends");
        if cursor == Cursor::default() {
            return (met, pages);
        }
    }
}

fn put(world: &World, key: &str, title: &str) {
    let columns: [(&[u8], &[u8]); 1] = [(b"title", title.as_bytes())];
    world.run(&[key], |unit, t| fields::set(unit, 0, &t[0], &columns)).unwrap();
}

fn delete(world: &World, key: &str) {
    patiently(|| world.run(&[key], |unit, t| keys::delete(unit, 0, &t[0]))).unwrap();
}

fn read(world: &World, key: &str) -> Option<String> {
    text(patiently(|| world.run(&[key], |unit, t| strings::get(unit, 0, &t[0]))).unwrap().0)
}

#[derive(Debug, Clone)]
enum Step {
    /// A put, refused by the database if it says so.
    Put(u8, bool),
    Read(u8),
    Delete(u8),
    Leave(u8),
    /// A row of another table, and a key.
    Other(u8),
    Retry,
    Land,
    Evict,
    Lose,
    FailOver,
    Page(usize),
    Whole(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let row = || 0u8..24;
    prop_oneof![
        8 => (row(), any::<u8>()).prop_map(|(row, no)| Step::Put(row, no < 40)),
        4 => row().prop_map(Step::Read),
        4 => row().prop_map(Step::Delete),
        1 => row().prop_map(Step::Leave),
        2 => row().prop_map(Step::Other),
        1 => Just(Step::Retry),
        5 => Just(Step::Land),
        4 => Just(Step::Evict),
        1 => Just(Step::Lose),
        1 => Just(Step::FailOver),
        16 => (1usize..7).prop_map(Step::Page),
        1 => (1usize..9).prop_map(Step::Whole),
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
    rows: BTreeSet<String>,
    scan: Scan,
    failed_over: bool,
    loses: bool,
}

impl Run {
    fn new() -> Run {
        let (world, double) = world(|settings| settings.memory_bytes_max = 1 << 20);
        Run { world, double, rows: BTreeSet::new(), scan: Scan::default(), failed_over: false, loses: false }
    }

    fn there(&mut self, key: String) {
        self.rows.insert(key.clone());
        self.scan.ever.insert(key);
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let name = |row: u8| format!("page:{row}");
        match *step {
            Step::Put(row, no) => {
                put(&self.world, &name(row), if no { "no" } else { "yes" });
                self.there(name(row));
            }
            Step::Read(row) => {
                prop_assert_eq!(read(&self.world, &name(row)).is_some(), self.rows.contains(&name(row)));
            }
            Step::Delete(row) => {
                delete(&self.world, &name(row));
                self.rows.remove(&name(row));
            }
            Step::Leave(row) => {
                let leave = |unit: &mut Unit<'_>, t: &[Target]| keys::expire(unit, 0, &t[0], 1);
                let left = patiently(|| self.world.run(&[&name(row)], leave)).unwrap().0;
                prop_assert_eq!(left, self.rows.contains(&name(row)));
            }
            Step::Other(row) => {
                put(&self.world, &format!("shop:{row}"), "yes");
                put(&self.world, &format!("seat:a:{row}"), "a");
            }
            Step::Retry => {
                let all = letters(self.world.engine());
                self.world.engine().ask_of_letters(&all, &Intent::Retry).unwrap();
            }
            Step::Land => self.world.land_all(),
            Step::Evict => drop(self.world.engine().evict_clean()),
            Step::Lose => {
                self.double.stop_replicating();
                self.loses = true;
            }
            Step::FailOver if self.loses && !self.failed_over => {
                self.failed_over = true;
                self.double.fail_over();
                // Whoever lands notices.
                put(&self.world, "page:99", "yes");
                self.there("page:99".into());
            }
            Step::FailOver => {}
            Step::Page(count) => self.page(count)?,
            Step::Whole(count) => prop_assert_eq!(&walked(&self.world, "page", count).0, &self.rows),
        }
        let rows = &self.rows;
        self.scan.stays.retain(|key| rows.contains(key));
        Ok(())
    }

    fn page(&mut self, count: usize) -> Result<(), TestCaseError> {
        if self.scan.cursor == Cursor::default() {
            let all = self.rows.clone();
            self.scan = Scan { stays: all.clone(), ever: all, ..Scan::default() };
        }
        let found = page(&self.world, "page", self.scan.cursor, count).unwrap();
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
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_scan_of_a_table_meets_every_row_that_stays_and_with_nobody_writing_it_is_exact(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut run = Run::new();
        for step in &steps {
            run.take(step)?;
        }
        while run.scan.cursor != Cursor::default() {
            run.page(3)?;
        }
        run.take(&Step::Whole(3))?;
    }
}

#[test]
fn rows_that_are_pending_stored_cached_or_in_a_dead_letter_are_all_found_and_deleted_ones_are_not() {
    let (world, double) = world(|_| {});
    for id in 1..=5 {
        put(&world, &format!("page:{id}"), "yes");
    }
    put(&world, "page:6", "no");
    world.land_and_forget();
    let all = |ids: &[i64]| ids.iter().map(|id| format!("page:{id}")).collect::<BTreeSet<_>>();
    assert_eq!(walked(&world, "page", 100).0, all(&[1, 2, 3, 4, 5, 6]));
    world.engine().pause(None).unwrap();
    assert!(read(&world, "page:1").is_some());
    delete(&world, "page:2");
    delete(&world, "page:6");
    put(&world, "page:3", "changed");
    let loads = double.loads();
    put(&world, "page:7", "new");
    assert_eq!(walked(&world, "page", 2).0, all(&[1, 3, 4, 5, 7]));
    assert_eq!(double.loads(), loads, "what is owed to a row tells that it is there");
    world.engine().resume(None).unwrap();
    world.land_and_forget();
    assert_eq!(walked(&world, "page", 2).0, all(&[1, 3, 4, 5, 7]));
}

#[test]
fn a_composite_key_is_told_in_the_spelling_that_leads_back_to_it() {
    let (world, _) = world(|_| {});
    let keys = ["seat:12%3AA:x", "seat:100%25:y%7B1%7D", "seat::", "seat:a b:ä"];
    for key in keys {
        world.run(&[key], |unit, t| fields::set(unit, 0, &t[0], &[(b"views", b"1")])).unwrap();
    }
    let expected: BTreeSet<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    for round in ["pending", "stored"] {
        let (found, _) = walked(&world, "seat", 1);
        assert_eq!(found, expected, "{round}");
        for key in &found {
            let value =
                world.run(&[&format!("{key}:views")], |unit, t| strings::get(unit, 0, &t[0])).unwrap();
            assert_eq!(text(value.0).as_deref(), Some("1"), "{key}");
        }
        world.land_and_forget();
    }
}

#[test]
fn a_page_has_about_as_many_rows_as_were_asked_for_also_when_the_cache_is_full_of_others() {
    let (world, double) = world(|_| {});
    for id in 0..200 {
        put(&world, &format!("page:{id}"), "yes");
    }
    world.land_and_forget();
    world.engine().pause(None).unwrap();
    for id in 0..500 {
        put(&world, &format!("shop:{id}"), "yes");
    }
    let (found, pages) = walked(&world, "page", 10);
    assert_eq!(found.len(), 200);
    assert!((20..=24).contains(&pages), "{pages} pages of 10 rows");
    assert_eq!(double.loads(), 0, "no row is loaded for it");
    assert!(matches!(page(&world, "page", Cursor::default(), 1_000), Ok(found) if found.keys.len() == 200));
}

#[test]
fn a_cursor_leads_on_only_where_it_was_given() {
    let (world, _) = world(|_| {});
    for id in 0..20 {
        put(&world, &format!("page:{id}"), "yes");
        put(&world, &format!("shop:{id}"), "yes");
    }
    world.land_and_forget();
    let mut at = page(&world, "page", Cursor::default(), 5).unwrap();
    while at.keys.is_empty() {
        at = page(&world, "page", at.cursor, 5).unwrap();
    }
    let next = page(&world, "page", at.cursor, 5).unwrap();
    assert_eq!(page(&world, "page", at.cursor, 5).unwrap().keys, next.keys, "a page may be asked for again");
    assert!(next.keys.iter().all(|key| !at.keys.contains(key)));
    // Of another table, or of another run: the walk begins anew, and meets everything.
    let mut of_shop = page(&world, "shop", next.cursor, 100).unwrap();
    let mut met = names(&of_shop);
    while of_shop.cursor != Cursor::default() {
        of_shop = page(&world, "shop", of_shop.cursor, 100).unwrap();
        met.extend(names(&of_shop));
    }
    assert_eq!(met.len(), 20);
}

#[test]
fn without_the_database_a_walk_over_rows_is_refused_and_nothing_hangs() {
    let (world, memory) = World::new(|_| {});
    put(&world, "page:1", "yes");
    world.land_all();
    memory.set_down(true);
    let mut cursor = Cursor::default();
    let refusal = loop {
        match page(&world, "page", cursor, 10) {
            Ok(found) => cursor = found.cursor,
            Err(refusal) => break refusal,
        }
        assert!(cursor != Cursor::default(), "the walk did not need the database");
    };
    assert!(matches!(refusal, Refusal::DatabaseDown(words) if words.contains("never known without it")));
}

#[test]
fn a_row_of_which_only_a_dead_letter_tells_is_met_also_while_a_database_that_lost_the_letter_catches_up() {
    for _ in 0..3 {
        let (world, double) = world(|_| {});
        put(&world, "page:1", "yes");
        world.land_all();
        double.stop_replicating();
        put(&world, "page:2", "no");
        world
            .run(&["key"], |unit, t| {
                let how = (strings::Condition::Always, strings::Expiry::None, false);
                strings::set(unit, 0, &t[0], b"no", how, &[]).map(drop)
            })
            .unwrap();
        world.land_and_forget();
        double.fail_over();
        put(&world, "page:3", "yes");
        let both = BTreeSet::from(["page:1", "page:2", "page:3"].map(str::to_owned));
        let lost = || double.primary().letters().len() < 2;
        loop {
            let is_last = !lost();
            assert_eq!(walked(&world, "page", 2).0, both);
            assert_eq!(super::keyspace::all_keys(&world), ["key"]);
            if is_last {
                break;
            }
        }
    }
}

#[test]
fn a_row_whose_deletion_landed_after_a_page_was_read_is_not_told() {
    let (world, double) = world(|_| {});
    for id in 1..=3 {
        put(&world, &format!("page:{id}"), "yes");
    }
    world.land_and_forget();
    let table = world.engine().catalogue().table("page").unwrap().clone();
    double.hold_loads();
    let (send, receive) = mpsc::channel();
    let done = Box::new(move |found| drop(send.send(found)));
    let asked = world.engine().walk_rows(&table, (Cursor::default(), 10), Box::new(|_, _| true), done);
    assert!(asked.is_none(), "a page of the table is needed");
    double.wait_for_held_load();
    delete(&world, "page:2");
    world.land_all();
    double.release_loads();
    let found = receive.recv_timeout(PATIENCE).expect("a walk is answered").unwrap();
    assert_eq!(names(&found), ["page:1", "page:3"]);
}
