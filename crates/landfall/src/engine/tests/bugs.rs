//! What was wrong once, each at the narrowest place where it shows.

use super::model::as_text;
use super::*;
use crate::buffer::log::Safety;
use crate::engine::ops::{fields, keys, numbers, strings};
use crate::sink::{LandingOp, Sink};

fn set(world: &World, name: &str, value: &str) {
    let how = Default::default();
    world
        .run(&[name], |unit, t| strings::set(unit, 0, &t[0], value.as_bytes(), how, &[]).map(|_| ()))
        .unwrap();
}

fn put(world: &World, name: &str, column: &str, value: &str) {
    let pairs = [(column.as_bytes(), value.as_bytes())];
    world.run(&[name], |unit, t| fields::set(unit, 0, &t[0], &pairs).map(|_| ())).unwrap();
}

fn get(world: &World, name: &str) -> Option<String> {
    world.run(&[name], |unit, t| strings::get(unit, 0, &t[0])).map(|(value, _)| text(value)).unwrap()
}

/// What the first record of the log holds, one by one: the row, or none for an event.
fn first_record(world: &World) -> Vec<Option<RowKey>> {
    use crate::model::LoggedChange;
    let core = &world.engine().core;
    let lanes: Vec<_> = core.log.lanes().into_iter().map(|(_, lane)| (lane, 0)).collect();
    core.log.commit(core.log.accepted(), Safety::Durable).unwrap();
    let record = core.log.records(&lanes, core.log.accepted()).unwrap().next().unwrap().unwrap();
    let changes = crate::model::codec::decode_body(&record.body).unwrap().into_iter();
    let row = |change| if let LoggedChange::Row { row, .. } = change { Some(row) } else { None };
    changes.map(|(_, change)| row(change)).collect()
}

#[test]
fn a_transaction_is_logged_in_the_order_of_its_commands() {
    let (world, _memory) = World::new(|_| {});
    world.engine().pause(None).unwrap();
    // What the last command needs is done by the one before it, to another row.
    world
        .run(&["page:1", "page:2", "page:1"], |unit, targets| {
            fields::set(unit, 0, &targets[0], &[(b"title", b"a")])?;
            fields::set(unit, 1, &targets[1], &[(b"title", b"b")])?;
            fields::set(unit, 2, &targets[2], &[(b"title", b"c")])
        })
        .unwrap();
    assert_eq!(first_record(&world), [Some(page(1)), Some(page(2)), Some(page(1))]);
}

#[test]
fn an_event_of_a_transaction_has_its_place_among_the_commands() {
    let (world, _memory) = World::new(|_| {});
    world.engine().pause(None).unwrap();
    // The event may need the row that the next command deletes.
    world
        .run(&["page:1", "page:2"], |unit, targets| {
            fields::set(unit, 0, &targets[0], &[(b"title", b"a")])?;
            let Target::Row(table, _) = &targets[0] else { panic!("a row") };
            unit.append(table, vec![(Name::column("id"), Value::Int(9))], 0);
            // A command that is refused half-way takes back its own and nothing else.
            let savepoint = unit.savepoint(true).unwrap();
            keys::delete(unit, 1, &targets[1])?;
            unit.restore(savepoint);
            keys::delete(unit, 0, &targets[0]).map(|_| ())
        })
        .unwrap();
    assert_eq!(first_record(&world), [Some(page(1)), None, Some(page(1))]);
}

#[test]
fn a_row_larger_than_its_part_of_the_cache_is_still_read() {
    let (world, _) = World::new(|settings| settings.memory_bytes_max = 1 << 20);
    let value = "x".repeat(100_000);
    set(&world, "large", &value);
    world.land_and_forget();
    assert_eq!(get(&world, "large"), Some(value));
}

#[test]
fn large_rows_that_share_a_part_of_the_cache_are_read_by_one_unit() {
    let (world, _) = World::new(|settings| settings.memory_bytes_max = 1 << 20);
    let cache = &world.engine().core.cache;
    let part = |key: &String| cache.shard_of(cache.hash(RowKey::of_key(key.as_bytes()).as_bytes()));
    let keys: Vec<String> = (0..).map(|n| format!("key{n}")).filter(|key| part(key) == 0).take(5).collect();
    keys.iter().for_each(|key| set(&world, key, &"x".repeat(20_000)));
    world.land_and_forget();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let read = |unit: &mut Unit<'_>, targets: &[Target]| {
        let mut bytes = 0;
        for (at, target) in targets.iter().enumerate() {
            bytes += strings::get(unit, at, target)?.map_or(0, |value| value.len());
        }
        Ok(bytes)
    };
    assert_eq!(world.run(&keys, read).unwrap().0, 100_000);
    // Nobody waits for them any more, so they go when the next row comes.
    set(&world, "key0", "small");
    world.land_all();
    for n in 0..200 {
        assert_eq!(get(&world, &format!("absent{n}")), None);
    }
    assert!(world.engine().status().cache.1 < 100_000);
}

#[test]
fn evicting_and_reading_in_one_unit_comes_to_an_end() {
    let (world, _) = World::new(|_| {});
    put(&world, "page:1", "views", "1");
    world.land_all();
    let read = |unit: &mut Unit<'_>, targets: &[Target]| {
        unit.evict(0);
        strings::get(unit, 1, &targets[1])
    };
    let (views, _) = world.run(&["page:1", "page:1:views"], read).unwrap();
    assert_eq!(text(views).as_deref(), Some("1"));
    assert_eq!(world.engine().status().cache.0, 0, "it is gone when the unit is over");
}

#[test]
fn evicting_and_writing_in_one_unit_keeps_the_fields_that_were_not_written() {
    let (world, _) = World::new(|_| {});
    put(&world, "hash", "a", "1");
    world.land_all();
    let write = |unit: &mut Unit<'_>, targets: &[Target]| {
        fields::set(unit, 0, &targets[0], &[(b"b", b"2")])?;
        unit.evict(1);
        Ok(())
    };
    world.run(&["hash", "hash"], write).unwrap();
    let mut count = 0;
    world.run(&["hash"], |unit, t| fields::get_all(unit, 0, &t[0], |found, _| count = found)).unwrap();
    assert_eq!(count, 2);
}

#[test]
fn what_is_refused_in_a_transaction_does_nothing() {
    let (world, _) = World::new(|_| {});
    put(&world, "page:1", "score", "1.50");
    let refused = world.run(&["page:1"], |unit, t| {
        let refused = numbers::increment_field(unit, 0, &t[0], b"score", 1);
        if matches!(refused, Err(Stop::Load)) {
            return Err(Stop::Load);
        }
        assert!(matches!(refused, Err(Stop::Refused(Refusal::Invalid(_)))), "{refused:?}");
        Ok(())
    });
    assert_eq!(refused.unwrap().1, Written::default(), "nothing was written");
    assert_eq!(get(&world, "page:1:score").as_deref(), Some("1.50"));
}

#[test]
fn a_decimal_that_grew_is_read_with_all_its_digits_before_it_lands_too() {
    let (world, _) = World::new(|_| {});
    world.run(&["page:1"], |unit, t| numbers::add(unit, 0, &t[0], b"score", b"0.1")).unwrap();
    assert_eq!(get(&world, "page:1:score").as_deref(), Some("0.10"));
    let refused = world.run(&["page:1"], |unit, t| numbers::add(unit, 0, &t[0], b"score", b"0.001"));
    assert!(matches!(refused, Err(Refusal::Invalid(_))), "it could never land: {refused:?}");
}

/// Another program's write: straight into the database, in no lane.
fn elsewhere(database: &MemoryDatabase, row: RowKey, change: crate::model::Change) {
    let context = crate::sink::LandingContext {
        catalogue: database.catalogue().unwrap().into(),
        audits: Vec::new().into(),
    };
    let mut sink: Box<dyn Sink> = database.sink(context).unwrap();
    sink.land(&crate::sink::Landing {
        batch: [0; 16],
        time_ms: 0,
        lineage: crate::model::Lineage([0; 16]),
        lanes: Vec::new(),
        ops: vec![LandingOp::Row { lane: crate::model::LaneId(0), row, change }],
        letters: Vec::new(),
        ordered: false,
    })
    .unwrap();
}

#[test]
fn a_write_does_not_make_a_row_believed_again_whose_time_in_the_cache_is_over() {
    let (world, database) = World::new(|_| {});
    assert_eq!(get(&world, "page:1:views"), None);
    let change = crate::model::Change::put([(crate::model::Name::column("views"), Value::Int(7))]);
    elsewhere(&database, page(1), change);
    world.advance(world.settings.absent_ttl.as_millis() as u64 + 1);
    put(&world, "page:1", "title", "new");
    assert_eq!(get(&world, "page:1:views").as_deref(), Some("7"));
    world.land_all();
    assert_eq!(as_text(database.row(&page(1)).unwrap()).len(), 2);
}

#[test]
fn deleting_a_cell_of_a_row_that_is_not_there_makes_no_row() {
    let (world, database) = World::new(|_| {});
    let (there, _) = world.run(&["page:1:title"], |unit, t| keys::delete(unit, 0, &t[0])).unwrap();
    assert!(!there);
    world.land_all();
    assert_eq!(database.row(&page(1)), None);
}

#[test]
fn a_load_of_nothing_is_answered() {
    let (world, _) = World::new(|_| {});
    load(world.engine(), Vec::new()).unwrap();
}

#[test]
fn what_was_acknowledged_is_synced_although_the_disk_is_full() {
    let disk = StrictDisk::default();
    let database = Arc::new(MemoryDatabase::new(tables()));
    let world = World::with(database, Some(disk.clone()), |settings| {
        settings.fsync = crate::settings::Fsync::Everysec;
        (settings.flush_interval, settings.flush_count) = (Duration::from_secs(60), 100_000);
    });
    disk.limit_room(Some(disk.bytes()));
    let write = |at: u32| {
        let (how, value) = (Default::default(), [b'x'; 1000]);
        world.run(&[&format!("k:{at}")], |unit, t| strings::set(unit, 0, &t[0], &value, how, &[]).map(|_| ()))
    };
    assert!((0..10_000).any(|at| write(at).is_err()), "the disk does not get full");
    let core = &world.engine().core;
    let written = core.log.safe(Safety::Written);
    assert!(written < core.log.accepted());
    assert!(crate::engine::keeper::sync(core));
    assert_eq!(core.log.safe(Safety::Durable), written);
    // Closing needs the room that is there again.
    disk.limit_room(None);
}

#[test]
fn a_write_after_the_log_failed_hears_of_the_log_and_not_of_the_landing() {
    use crate::env::strict_disk::{Step, Verdict};
    let disk = StrictDisk::default();
    let database = Arc::new(MemoryDatabase::new(tables()));
    let world = World::with(database, Some(disk.clone()), |_| {});
    let fails = |_: &StrictDisk, step| if step == Step::Write { Verdict::Failed } else { Verdict::Done };
    disk.set_hook(Arc::new(fails));
    let write = || {
        let how = Default::default();
        world.run(&["k"], |unit, t| strings::set(unit, 0, &t[0], b"v", how, &[]).map(|_| ()))
    };
    assert!(write().is_err());
    wait_until(|| world.engine().core.progress.stopped().is_some());
    assert!(matches!(write(), Err(Refusal::Log { outcome_unknown: false, .. })), "{:?}", write());
}
