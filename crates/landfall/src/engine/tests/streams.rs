//! Streams over keys: their ids over landings, evictions, restarts and clocks that go back, and what a trim writes.

use super::doubles::Double;
use super::*;
use crate::engine::ops::fields as hashes;
use crate::engine::ops::streams::{self, Keep, NewEntry, NewId, Trim};
use crate::engine::ops::{copies, keys, strings};
use crate::model::codec::decode_body;
use crate::model::stream::fields;
use crate::model::{Change, EntryId, LoggedChange, StreamHead};

fn add(world: &World, key: &str, id: NewId, value: &str, trim: Option<Trim>) -> Result<EntryId, Refusal> {
    let new = NewEntry { id, only_there: false, trim, parts: &[b"f", value.as_bytes()] };
    let added = world.run(&[key], |unit, t| streams::add(unit, 0, &t[0], &new))?;
    Ok(added.0.expect("the key need not be there"))
}

fn now(world: &World, key: &str, value: &str) -> EntryId {
    add(world, key, NewId::Now, value, None).unwrap()
}

/// The head, and the entries as `id value`.
fn whole(world: &World, key: &str) -> Option<(StreamHead, Vec<String>)> {
    let seen = world.run(&[key], |unit, t| {
        streams::read(unit, 0, &t[0], |stream| {
            let stream = stream?;
            let line = |(id, entry): (EntryId, &Arc<[u8]>)| {
                let value = fields(entry).nth(1).unwrap();
                format!("{id} {}", String::from_utf8_lossy(value))
            };
            Some((*stream.head(), stream.iter().map(line).collect()))
        })
    });
    seen.unwrap().0
}

fn id(ms: u64, seq: u64) -> EntryId {
    EntryId { ms, seq }
}

#[test]
fn a_stream_is_read_as_it_was_written_after_landing_eviction_and_a_restart() {
    let (mut world, _database) = World::on_disk(|_| {});
    let start = world.clock.unix_ms();
    assert_eq!(now(&world, "log", "a"), id(start, 0));
    assert_eq!(now(&world, "log", "b"), id(start, 1));
    world.advance(5);
    assert_eq!(now(&world, "log", "c"), id(start + 5, 0));
    let seen = whole(&world, "log").unwrap();
    assert_eq!(seen.0, StreamHead { last: id(start + 5, 0), added: 3, deleted: EntryId::MIN });
    assert_eq!(seen.1, [format!("{start}-0 a"), format!("{start}-1 b"), format!("{}-0 c", start + 5)]);
    world.land_and_forget();
    assert_eq!(whole(&world, "log").as_ref(), Some(&seen), "from the database");
    world.engine().pause(None).unwrap();
    let last = now(&world, "log", "d");
    world.reopen();
    let (head, entries) = whole(&world, "log").unwrap();
    assert_eq!((head.last, head.added, entries.len()), (last, 4, 4), "from the log and the database");
    world.engine().resume(None).unwrap();
    world.land_and_forget();
    assert_eq!(whole(&world, "log"), Some((head, entries)));
}

#[test]
fn an_id_never_goes_back_over_a_clock_a_restart_and_an_empty_stream() {
    let (mut world, _database) = World::on_disk(|_| {});
    let start = world.clock.unix_ms();
    now(&world, "log", "a");
    world.clock.unix_ms.fetch_sub(100, Ordering::SeqCst);
    assert_eq!(now(&world, "log", "b"), id(start, 1));
    world.run(&["log"], |unit, t| streams::delete(unit, 0, &t[0], &[id(start, 0), id(start, 1)])).unwrap();
    let (head, entries) = whole(&world, "log").unwrap();
    assert_eq!((head.deleted, entries.len()), (id(start, 1), 0), "an empty stream is one");
    world.land_and_forget();
    assert_eq!(now(&world, "log", "c"), id(start, 2));
    world.reopen();
    assert_eq!(now(&world, "log", "d"), id(start, 3));
    assert!(add(&world, "log", NewId::Given(id(start, 3)), "e", None).is_err());
    // Deleted, or past its time, it begins anew.
    world.run(&["log"], |unit, t| keys::delete(unit, 0, &t[0])).unwrap();
    assert_eq!(add(&world, "log", NewId::Given(id(1, 1)), "f", None).unwrap(), id(1, 1));
    let until = world.clock.unix_ms() + 10;
    world.run(&["log"], |unit, t| keys::expire(unit, 0, &t[0], until)).unwrap();
    world.advance(10);
    assert_eq!(add(&world, "log", NewId::Given(id(1, 1)), "g", None).unwrap(), id(1, 1));
    world.land_and_forget();
    let (head, entries) = whole(&world, "log").unwrap();
    assert_eq!((head.added, entries), (1, vec!["1-1 g".to_owned()]));
}

#[test]
fn a_trim_removes_the_oldest_and_writes_only_what_goes() {
    let (world, database) = World::new(|_| {});
    for n in 1..=300 {
        add(&world, "log", NewId::Given(id(n, 0)), "value", None).unwrap();
    }
    let before = world.engine().accepted();
    let newest = Some(Trim { keep: Keep::Newest(299), about: None });
    add(&world, "log", NewId::Given(id(301, 0)), "last", newest).unwrap();
    let records = world.engine().accepted() - before;
    assert!(records < 200, "{records} bytes for an entry that comes and two that go");
    let (head, entries) = whole(&world, "log").unwrap();
    assert_eq!((head.added, head.deleted, entries.len()), (301, EntryId::MIN, 299));
    assert_eq!((&*entries[0], &*entries[298]), ("3-0 value", "301-0 last"));
    let most = Trim { keep: Keep::From(id(300, 0)), about: None };
    assert_eq!(world.run(&["log"], |unit, t| streams::trim(unit, 0, &t[0], &most)).unwrap().0, 297);
    world.land_and_forget();
    let left = whole(&world, "log").unwrap();
    assert_eq!((left.0, &*left.1), (head, &["300-0 value".to_owned(), "301-0 last".to_owned()][..]));
    let row = database.row(&RowKey::of_key(b"log")).unwrap();
    assert_eq!(row.len(), 3, "two entries and the head");
    let none = Some(Trim { keep: Keep::Newest(0), about: None });
    add(&world, "log", NewId::Given(id(302, 0)), "gone", none).unwrap();
    let (head, entries) = whole(&world, "log").unwrap();
    assert_eq!((head.last, entries.len()), (id(302, 0), 0));
}

#[test]
fn a_trim_that_leaves_little_keeps_the_expiry() {
    let (world, _database) = World::new(|_| {});
    for n in 1..=200 {
        add(&world, "log", NewId::Given(id(n, 0)), "value", None).unwrap();
    }
    let until = world.clock.unix_ms() + 1_000;
    world.run(&["log"], |unit, t| keys::expire(unit, 0, &t[0], until)).unwrap();
    let trim = Trim { keep: Keep::Newest(1), about: None };
    world.run(&["log"], |unit, t| streams::trim(unit, 0, &t[0], &trim)).unwrap();
    for _ in 0..2 {
        let ttl = world.run(&["log"], |unit, t| keys::ttl(unit, 0, &t[0])).unwrap().0;
        assert_eq!(ttl, keys::Ttl::In(1_000));
        assert_eq!(whole(&world, "log").unwrap().1, ["200-0 value"]);
        world.land_and_forget();
    }
}

#[test]
fn a_stream_is_renamed_and_copied_with_its_head_and_its_expiry() {
    let (world, _database) = World::new(|_| {});
    let last = now(&world, "a", "1");
    now(&world, "a", "2");
    world.run(&["a"], |unit, t| streams::delete(unit, 0, &t[0], &[last])).unwrap();
    let until = world.clock.unix_ms() + 1_000;
    world.run(&["a"], |unit, t| keys::expire(unit, 0, &t[0], until)).unwrap();
    let seen = whole(&world, "a");
    world.run(&["a", "b"], |unit, t| copies::copy(unit, 0, (&t[0], &t[1]), false)).unwrap();
    world.run(&["a", "c"], |unit, t| copies::rename(unit, 0, (&t[0], &t[1]), false, false)).unwrap();
    for round in ["cached", "loaded"] {
        assert_eq!(whole(&world, "a"), None, "{round}");
        for key in ["b", "c"] {
            assert_eq!(whole(&world, key), seen, "{round}");
            let ttl = world.run(&[key], |unit, t| keys::ttl(unit, 0, &t[0])).unwrap().0;
            assert_eq!(ttl, keys::Ttl::In(1_000), "{round}");
        }
        world.land_and_forget();
    }
}

#[test]
fn the_id_stands_in_the_record_so_that_a_replay_is_exact() {
    let (world, _database) = World::new(|settings| settings.flush_interval = Duration::from_secs(3600));
    let given = now(&world, "log", "a");
    let log = &world.engine().core.log;
    let lanes: Vec<_> = log.lanes().into_iter().map(|(_, lane)| (lane, 0)).collect();
    let mut records = log.records(&lanes, log.accepted()).unwrap();
    let record = records.next().unwrap().unwrap();
    let [(_, LoggedChange::Row { change: Change::Upsert(upsert), .. })] =
        &decode_body(&record.body).unwrap()[..]
    else {
        panic!("another record")
    };
    let entries: Vec<_> = upsert.columns.iter().filter_map(|(name, _)| name.as_entry()).collect();
    assert!(upsert.replace && entries == [given]);
}

/// XADD as a client sends it, in a unit of its own, and no more loads of whole rows than before.
fn add_alone(world: &World, key: &str, id: NewId, only_there: bool) -> Result<Option<EntryId>, Refusal> {
    let engine = world.engine();
    let target = engine.resolve(key.as_bytes()).unwrap();
    let new = NewEntry { id, only_there, trim: None, parts: &[b"f", b"more"] };
    loop {
        let mut unit = engine.unit(&[(key.as_bytes(), &target)], false);
        match streams::add(&mut unit, 0, &target, &new) {
            Ok(added) => {
                unit.commit().unwrap();
                engine.commit().unwrap();
                return Ok(added);
            }
            Err(Stop::Refused(refusal)) => return Err(refusal),
            Err(Stop::Load) => {}
        }
        let wanted = unit.wanted();
        assert!(wanted.iter().all(|row| row.only_head), "the head is enough");
        drop(unit);
        load(engine, wanted).unwrap();
    }
}

fn counted() -> (World, Double) {
    let double = Double::new(tables());
    (World::with(Arc::new(double.clone()), None, |_| {}), double)
}

#[test]
fn an_entry_is_added_to_a_stream_that_is_not_in_the_cache_by_its_head_alone() {
    let (world, double) = counted();
    for n in 1..=5 {
        add(&world, "log", NewId::Given(id(n, 0)), "old", None).unwrap();
    }
    world.land_and_forget();
    world.engine().pause(None).unwrap();
    assert_eq!(add_alone(&world, "log", NewId::Given(id(6, 0)), true).unwrap(), Some(id(6, 0)));
    assert!(add_alone(&world, "log", NewId::Given(id(6, 0)), false).is_err(), "its head is known");
    assert_eq!(add_alone(&world, "log", NewId::Within(6), false).unwrap(), Some(id(6, 1)));
    assert_eq!(double.loads(), 0, "no entry was loaded");
    // Who reads loads the entries, below what was added since.
    let seen = whole(&world, "log").unwrap();
    assert_eq!(seen.0, StreamHead { last: id(6, 1), added: 7, deleted: EntryId::MIN });
    assert_eq!(seen.1.join(" "), "1-0 old 2-0 old 3-0 old 4-0 old 5-0 old 6-0 more 6-1 more");
    assert_eq!(double.loads(), 1);
    world.engine().resume(None).unwrap();
    world.land_and_forget();
    assert_eq!(whole(&world, "log"), Some(seen), "from the database");
}

#[test]
fn what_was_added_to_a_head_alone_lands_and_the_next_entry_asks_for_the_head_again() {
    let (world, double) = counted();
    add(&world, "log", NewId::Given(id(1, 0)), "old", None).unwrap();
    world.land_and_forget();
    for n in 2..=4 {
        assert_eq!(add_alone(&world, "log", NewId::Within(n), false).unwrap(), Some(id(n, 0)));
        world.land_all();
    }
    assert_eq!(double.loads(), 0);
    world.engine().pause(None).unwrap();
    add_alone(&world, "log", NewId::Within(5), false).unwrap();
    // What removes entries needs them.
    let trim = Trim { keep: Keep::Newest(2), about: None };
    assert_eq!(world.run(&["log"], |unit, t| streams::trim(unit, 0, &t[0], &trim)).unwrap().0, 3);
    let left = vec!["4-0 more".to_owned(), "5-0 more".to_owned()];
    assert_eq!(whole(&world, "log").unwrap().1, left);
    world.engine().resume(None).unwrap();
    world.land_and_forget();
    assert_eq!(whole(&world, "log").unwrap().1, left);
    // A key that is gone, past its time, or something else is none to add to.
    let until = world.clock.unix_ms() + 10;
    world.run(&["log"], |unit, t| keys::expire(unit, 0, &t[0], until)).unwrap();
    world.land_and_forget();
    assert_eq!(add_alone(&world, "log", NewId::Within(6), true).unwrap(), Some(id(6, 0)));
    world.advance(10);
    assert_eq!(add_alone(&world, "log", NewId::Given(id(7, 0)), true).unwrap(), None);
    assert_eq!(
        add_alone(&world, "log", NewId::Given(id(1, 1)), false).unwrap(),
        Some(id(1, 1)),
        "it begins anew"
    );
    assert_eq!(whole(&world, "log").unwrap().1, ["1-1 more"]);
    world.run(&["log"], |unit, t| keys::delete(unit, 0, &t[0])).unwrap();
    world.land_and_forget();
    assert_eq!(add_alone(&world, "log", NewId::Within(9), true).unwrap(), None);
    world.run(&["hash"], |unit, t| hashes::set(unit, 0, &t[0], &[(b"f", b"v")])).unwrap();
    world.land_and_forget();
    assert!(matches!(add_alone(&world, "hash", NewId::Now, false), Err(Refusal::WrongType)));
}

#[test]
fn a_head_that_was_read_before_the_key_became_something_else_is_not_believed() {
    let (world, double) = counted();
    for n in 1..=2 {
        add(&world, "log", NewId::Given(id(n, 0)), "old", None).unwrap();
    }
    world.land_and_forget();
    double.hold_loads();
    std::thread::scope(|scope| {
        let late = scope.spawn(|| add_alone(&world, "log", NewId::Within(5), false));
        double.wait_for_held_load();
        let set = |unit: &mut Unit<'_>, t: &[Target]| {
            strings::set(unit, 0, &t[0], b"text", Default::default(), &[])
        };
        world.run(&["log"], set).unwrap();
        world.land_and_forget();
        double.release_loads();
        assert!(matches!(late.join().unwrap(), Err(Refusal::WrongType)));
    });
}

#[test]
fn after_a_restart_what_the_log_owes_a_stream_counts_for_its_head() {
    let (mut world, _database) = World::on_disk(|_| {});
    for n in 1..=3 {
        add(&world, "log", NewId::Given(id(n, 0)), "old", None).unwrap();
    }
    world.land_all();
    world.engine().pause(None).unwrap();
    for n in 4..=5 {
        add(&world, "log", NewId::Given(id(n, 0)), "owed", None).unwrap();
    }
    world.reopen();
    assert_eq!(add_alone(&world, "log", NewId::Within(5), true).unwrap(), Some(id(5, 1)));
    world.reopen();
    assert_eq!(add_alone(&world, "log", NewId::Within(5), true).unwrap(), Some(id(5, 2)));
    let seen = whole(&world, "log").unwrap();
    assert_eq!(
        (seen.0.added, seen.1.join(" ")),
        (7, "1-0 old 2-0 old 3-0 old 4-0 owed 5-0 owed 5-1 more 5-2 more".into())
    );
    world.engine().resume(None).unwrap();
    world.land_and_forget();
    assert_eq!(whole(&world, "log"), Some(seen));
}
