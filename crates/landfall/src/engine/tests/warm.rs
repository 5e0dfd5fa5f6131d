//! Warming the cache: every row that the database has is known afterwards, and it stops while there is room.

use super::*;
use crate::engine::keyspace::Cursor;
use crate::engine::ops::{fields, strings};
use crate::engine::warm::Warmed;

fn put(world: &World, row: usize, title: &str) {
    let columns: [(&[u8], &[u8]); 1] = [(b"title", title.as_bytes())];
    world.run(&[&format!("page:{row}")], |unit, t| fields::set(unit, 0, &t[0], &columns)).unwrap();
}

/// One page after the other; how many rows were loaded, and whether the cache is full.
fn warm(world: &World, count: usize) -> (u64, bool) {
    let table = world.engine().catalogue().table("page").unwrap().clone();
    let (mut loaded, mut cursor) = (0, Cursor::default());
    loop {
        let (send, receive) = mpsc::channel();
        let done = Box::new(move |warmed: Result<Warmed, Refusal>| drop(send.send(warmed)));
        world.engine().warm(&table, (cursor, count), done);
        match receive.recv_timeout(PATIENCE).expect("a page is answered") {
            Ok(page) => {
                assert!(page.loaded <= count as u64 + 1, "{page:?}");
                (loaded, cursor) = (loaded + page.loaded, page.cursor);
                if page.is_full || cursor == Cursor::default() {
                    return (loaded, page.is_full);
                }
            }
            Err(Refusal::TryAgain(_)) => {}
            Err(refusal) => panic!("{refusal}"),
        }
    }
}

fn landed(world: &World) {
    world.engine().flush_and_wait(PATIENCE).unwrap();
    world.engine().clean_landed();
}

// shows: S16
#[test]
fn a_warm_table_is_read_without_the_database() {
    let (world, database) = World::new(|_| {});
    (0..300).for_each(|row| put(&world, row, "old"));
    landed(&world);
    world.engine().evict_clean();
    world.engine().pause(None).unwrap();
    put(&world, 7, "new");
    assert_eq!(warm(&world, 64), (300, false));
    assert_eq!(world.engine().status().counts.loaded, 300);
    // What is known is not loaded again.
    assert_eq!(warm(&world, 1_000), (0, false));
    let read = |row: usize| {
        let key = format!("page:{row}");
        world.run(&[&key], |unit, t| strings::get(unit, 0, &t[0])).unwrap().0.unwrap()
    };
    for row in 0..300 {
        let json = String::from_utf8(read(row).to_vec()).unwrap();
        assert!(json.contains(if row == 7 { "new" } else { "old" }), "{json}");
    }
    assert_eq!(world.engine().status().counts.loaded, 300);
    drop(database);
}

#[test]
fn warming_stops_while_there_is_room_and_lets_nothing_go() {
    let (world, _) = World::new(|settings| settings.memory_bytes_max = 1 << 20);
    let title = "x".repeat(4_096);
    for row in 0..1_000 {
        put(&world, row, &title);
        if row % 50 == 0 {
            landed(&world);
        }
    }
    landed(&world);
    world.engine().evict_clean();
    let before = world.engine().status().evicted;
    let (loaded, is_full) = warm(&world, 20);
    assert!(is_full && (100..250).contains(&loaded), "{loaded}");
    assert_eq!(world.engine().status().evicted, before);
}

// shows: S16
#[test]
fn a_table_that_asks_for_it_is_warm_after_a_start_and_after_the_database_was_away() {
    let (mut world, database) = World::on_disk(|settings| {
        settings.tables.entry("page".into()).or_default().warm = true;
    });
    (0..50).for_each(|row| put(&world, row, "title"));
    landed(&world);
    database.set_down(true);
    world.reopen();
    database.set_down(false);
    let deadline = env::real().clock.monotonic() + PATIENCE;
    while world.engine().status().counts.loaded < 50 {
        assert!(env::real().clock.monotonic() < deadline, "{:?}", world.engine().status().counts);
        std::thread::yield_now();
    }
    assert_eq!(warm(&world, 1_000), (0, false));
}
