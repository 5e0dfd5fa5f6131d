//! FLUSHALL when something is in its way: a full memory, a database that is away or refuses, others that write or clear too.

use super::*;
use crate::engine::keyspace::{Found, Wish};
use crate::engine::ops::{fields, numbers, rows, strings};
use crate::sink::LandingOp;
use crate::tasks::Tasks;

const CLEARS: usize = 40;

fn set(world: &World, key: &str, value: &[u8]) -> Result<(), Refusal> {
    world
        .run(&[key], |unit, t| strings::set(unit, 0, &t[0], value, Default::default(), &[]).map(drop))
        .map(drop)
}

fn get(world: &World, key: &str) -> Option<String> {
    text(world.run(&[key], |unit, t| strings::get(unit, 0, &t[0])).unwrap().0)
}

/// The names of all keys.
fn names(world: &World) -> Vec<String> {
    let (send, receive) = mpsc::channel();
    let done = Box::new(move |found: Result<Found, Refusal>| drop(send.send(found)));
    let found = match world.engine().walk(Wish::All, Box::new(|_, _| true), done) {
        Some(found) => found,
        None => receive.recv_timeout(PATIENCE).expect("a walk is answered"),
    };
    let mut names: Vec<String> =
        found.unwrap().keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
    names.sort_unstable();
    names
}

fn clear(world: &World) {
    world.engine().clear().unwrap();
    world.engine().commit().unwrap();
}

#[test]
fn a_clear_is_taken_although_rows_that_have_not_landed_fill_the_memory_and_it_frees_it() {
    let (world, _) = World::on_disk(|settings| settings.memory_bytes_max = 1 << 20);
    world.engine().pause(None).unwrap();
    let full = (0..100_000).find_map(|n| set(&world, &format!("k{n}"), &[b'v'; 200]).err());
    assert!(matches!(full, Some(Refusal::OutOfMemory(_) | Refusal::TryAgain(_))), "{full:?}");
    let refused = world.engine().status().counts.refused;
    clear(&world);
    assert_eq!(world.engine().status().counts.refused, refused, "it was not refused");
    assert_eq!(world.engine().status().dirty, (0, 0));
    set(&world, "new", b"1").unwrap();
    world.engine().resume(None).unwrap();
    world.land_and_forget();
    assert_eq!(names(&world), ["new"]);
}

#[test]
fn a_database_that_refuses_a_clear_holds_the_keys_and_parks_nothing() {
    let (world, memory) = World::on_disk(|settings| settings.refusals_max = 1);
    set(&world, "stored", b"1").unwrap();
    world.land_and_forget();
    memory.set_poison(Some(Arc::new(|op| {
        matches!(op, LandingOp::Clear).then(|| "a trigger keeps what is there".into())
    })));
    clear(&world);
    set(&world, "new", b"1").unwrap();
    world.engine().flush();
    let held = || {
        let groups = world.engine().status().groups;
        groups.into_iter().any(|group| {
            group.status.phase.in_words() == "held"
                && group.status.error.is_some_and(|error| error.contains("be cleared"))
        })
    };
    wait_until(held);
    // The others land.
    let pairs: [(&[u8], &[u8]); 1] = [(b"views", b"3")];
    let (_, page) = world.run(&["page:1"], |unit, t| fields::set(unit, 0, &t[0], &pairs)).unwrap();
    world.engine().flush();
    wait_until(|| world.engine().has_landed(&page.places));
    // Whoever lets it go on loses nothing by it.
    world.engine().resume(None).unwrap();
    world.engine().flush();
    wait_until(held);
    assert_eq!(letters(world.engine()).len(), 0);
    assert_eq!(names(&world), ["new"]);
    memory.set_poison(None);
    world.engine().resume(None).unwrap();
    world.land_and_forget();
    assert_eq!(names(&world), ["new"]);
}

#[test]
fn without_the_database_a_clear_is_taken_and_every_key_is_known_to_be_gone() {
    let (mut world, memory) = World::on_disk(|settings| settings.lanes = 3);
    set(&world, "stored", b"1").unwrap();
    let pairs: [(&[u8], &[u8]); 1] = [(b"views", b"3")];
    world.run(&["page:1"], |unit, t| fields::set(unit, 0, &t[0], &pairs)).unwrap();
    world.land_all();
    memory.set_down(true);
    set(&world, "pending", b"1").unwrap();
    clear(&world);
    clear(&world);
    assert_eq!((get(&world, "stored"), get(&world, "pending")), (None, None));
    let (sum, _) = world.run(&["n"], |unit, t| numbers::increment(unit, 0, &t[0], 1)).unwrap();
    assert_eq!((sum, names(&world)), (1, vec!["n".to_owned()]));
    // A row has left the cache, and nobody can tell what is in it.
    let read = world.run(&["page:1"], |unit, t| rows::exists(unit, 0, &t[0]));
    assert!(matches!(read, Err(Refusal::DatabaseDown(_))), "{read:?}");
    // A start knows it from the log, without the database too.
    assert!(world.reopen().database_away);
    assert_eq!((get(&world, "stored"), get(&world, "n")), (None, Some("1".to_owned())));
    memory.set_down(false);
    world.land_and_forget();
    assert_eq!(names(&world), ["n"]);
    assert!(world.run(&["page:1"], |unit, t| rows::exists(unit, 0, &t[0])).unwrap().0, "rows stay");
}

#[test]
fn whoever_writes_or_clears_at_once_log_cache_and_database_agree_in_the_end() {
    let (mut world, _) = World::on_disk(|settings| settings.lanes = 3);
    let engine = Arc::new(world.engine.take().unwrap());
    let clearing = Arc::new(AtomicU64::new(2));
    let mut tasks = Tasks::new(Arc::new(|_| {}));
    for writer in 0..3 {
        let (engine, clearing) = (engine.clone(), clearing.clone());
        let write = move || {
            // Some is written behind the last clear.
            let mut left = 30;
            for n in 0.. {
                left -= u32::from(clearing.load(Ordering::SeqCst) == 0);
                if left == 0 {
                    break;
                }
                let (one, other) = (format!("{writer}-{}", n % 20), format!("both-{}", n % 5));
                let value = n.to_string();
                run(&engine, &[&one, &other], |unit, t| {
                    for (at, target) in t.iter().enumerate() {
                        strings::set(unit, at, target, value.as_bytes(), Default::default(), &[])?;
                    }
                    Ok(())
                })
                .unwrap();
            }
        };
        tasks.spawn(&format!("test-writer-{writer}"), write).unwrap();
    }
    for number in 0..2 {
        let (engine, clearing) = (engine.clone(), clearing.clone());
        let clear = move || {
            for n in 0..CLEARS {
                engine.clear().unwrap();
                if n % 3 == 0 {
                    engine.evict_clean();
                }
                std::thread::yield_now();
            }
            clearing.fetch_sub(1, Ordering::SeqCst);
        };
        tasks.spawn(&format!("test-clear-{number}"), clear).unwrap();
    }
    assert_eq!(tasks.join(), Vec::<String>::new());
    world.engine = Arc::into_inner(engine);
    set(&world, "last", b"1").unwrap();
    let all =
        |world: &World| -> Vec<_> { names(world).into_iter().map(|key| (get(world, &key), key)).collect() };
    let seen = all(&world);
    assert!(seen.len() > 1, "{seen:?}");
    world.reopen();
    assert_eq!(all(&world), seen, "the log says the same");
    world.land_and_forget();
    assert_eq!(all(&world), seen, "and so does the database");
}
