//! What every buffer (log and cache together) owes to whoever writes and reads, as tests that run over each of them:
//! accept, view, recover, landed, trim. They go through the engine's face alone, so that a buffer which keeps its values
//! in another server comes under the same tests (docs/decisions/0006-the-second-seam.md).
//! It must never know which buffer it has, but for whether that one outlives its process.

use super::model::as_text;
use super::*;
use crate::buffer::log::Owed;
use crate::engine::ops::{fields, keys, numbers, strings};
use crate::sink::memory::Failure;

/// A buffer, empty, under an engine of its own.
struct Subject {
    world: World,
    database: MemoryDatabase,
    /// Whether what it holds is there after a restart.
    survives: bool,
}

fn in_memory(change: fn(&mut Settings)) -> Subject {
    let (world, database) = World::new(change);
    Subject { world, database, survives: false }
}

fn on_local_disk(change: fn(&mut Settings)) -> Subject {
    let (world, database) = World::on_disk(change);
    Subject { world, database, survives: true }
}

type Open = fn(fn(&mut Settings)) -> Subject;

macro_rules! over_every_buffer {
    ($($name:ident)*) => {
        mod memory {
            $(#[test] fn $name() { super::$name(super::in_memory); })*
        }
        mod local {
            $(#[test] fn $name() { super::$name(super::on_local_disk); })*
        }
    };
}

over_every_buffer! {
    what_is_accepted_is_in_the_view_at_once_and_owed_to_the_database
    the_view_is_the_database_and_what_is_owed
    what_is_refused_leaves_no_trace
    nothing_that_is_owed_is_let_go
    what_is_owed_is_recovered_and_what_has_landed_is_not_applied_again
    a_write_over_several_lanes_is_recovered_whole
    only_what_the_database_has_committed_counts_as_landed
    changes_of_a_row_land_in_their_order
    what_has_landed_is_trimmed_and_read_from_the_database
    a_full_buffer_takes_writes_again_when_rows_have_landed
    what_status_tells_is_what_buffer_and_database_say
}

impl Subject {
    fn set(&self, key: &str, value: &str) -> Result<(), Refusal> {
        let how = Default::default();
        let set = self.world.run(&[key], |unit, t| strings::set(unit, 0, &t[0], value.as_bytes(), how, &[]));
        set.map(|_| ())
    }

    fn put(&self, key: &str, column: &str, value: &str) {
        let pairs = [(column.as_bytes(), value.as_bytes())];
        self.world.run(&[key], |unit, t| fields::set(unit, 0, &t[0], &pairs)).unwrap();
    }

    fn grow(&self, key: &str, by: &str) {
        self.world.run(&[key], |unit, t| numbers::add(unit, 0, &t[0], b"views", by.as_bytes())).unwrap();
    }

    fn get(&self, key: &str) -> Option<String> {
        self.world.run(&[key], |unit, t| strings::get(unit, 0, &t[0])).map(|(value, _)| text(value)).unwrap()
    }

    fn owed(&self) -> u64 {
        self.world.engine().status().owed.records
    }

    /// A row of table `page` as the database has it.
    fn landed(&self, id: i64, column: &str) -> Option<String> {
        as_text(self.database.row(&page(id))?).remove(column)
    }

    fn pause(&self) {
        self.world.engine().pause(None).unwrap();
    }

    fn land(&self) {
        self.world.engine().resume(None).unwrap();
        self.world.land_all();
    }
}

fn what_is_accepted_is_in_the_view_at_once_and_owed_to_the_database(open: Open) {
    let subject = open(|_| {});
    subject.pause();
    subject.set("key", "value").unwrap();
    subject.put("page:1", "title", "Home");
    subject.grow("page:1", "2");
    assert_eq!(subject.get("key").as_deref(), Some("value"));
    assert_eq!(subject.get("page:1:title").as_deref(), Some("Home"));
    assert_eq!(subject.get("page:1:views").as_deref(), Some("2"));
    assert_eq!((subject.owed(), subject.landed(1, "title")), (3, None));
    subject.land();
    assert_eq!((subject.owed(), subject.landed(1, "title").as_deref()), (0, Some("Home")));
    assert_eq!(subject.get("page:1:views").as_deref(), Some("2"), "landing changes no answer");
}

fn the_view_is_the_database_and_what_is_owed(open: Open) {
    let subject = open(|_| {});
    subject.put("page:1", "title", "Home");
    subject.grow("page:1", "5");
    subject.world.land_and_forget();
    subject.pause();
    subject.grow("page:1", "3");
    subject.put("page:1", "score", "1.5");
    assert_eq!(subject.get("page:1:title").as_deref(), Some("Home"), "from the database");
    assert_eq!(subject.get("page:1:score").as_deref(), Some("1.50"), "from the buffer");
    assert_eq!(subject.get("page:1:views").as_deref(), Some("8"), "from both");
}

fn what_is_refused_leaves_no_trace(open: Open) {
    let subject = open(|_| {});
    subject.pause();
    subject.put("page:1", "title", "Home");
    let pairs = [(b"title".as_slice(), b"Away".as_slice()), (b"views", b"many")];
    let refused = subject.world.run(&["page:1"], |unit, t| fields::set(unit, 0, &t[0], &pairs));
    assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
    assert_eq!((subject.owed(), subject.get("page:1:title").as_deref()), (1, Some("Home")));
}

fn nothing_that_is_owed_is_let_go(open: Open) {
    let subject = open(|settings| settings.memory_bytes_max = 1 << 20);
    subject.put("page:1", "title", "Home");
    subject.land();
    subject.pause();
    subject.set("key", "value").unwrap();
    subject.grow("page:2", "1");
    assert!(!subject.world.run(&["key"], |unit, _| Ok(unit.evict(0))).unwrap().0);
    subject.world.engine().evict_clean();
    subject.database.set_down(true);
    assert_eq!(subject.get("key").as_deref(), Some("value"), "asked of nobody else");
    subject.database.set_down(false);
    assert_eq!(subject.get("page:2:views").as_deref(), Some("1"));
    assert_eq!(subject.owed(), 2);
}

fn what_is_owed_is_recovered_and_what_has_landed_is_not_applied_again(open: Open) {
    let mut subject = open(|_| {});
    subject.grow("page:1", "1");
    subject.land();
    subject.pause();
    subject.grow("page:1", "10");
    subject.set("key", "value").unwrap();
    if !subject.survives {
        return;
    }
    assert_eq!(subject.world.reopen().owed_changes, 2);
    assert_eq!(subject.get("key").as_deref(), Some("value"));
    assert_eq!(subject.get("page:1:views").as_deref(), Some("11"));
    subject.land();
    assert_eq!(subject.landed(1, "views").as_deref(), Some("11"));
    assert_eq!(subject.world.reopen().owed_changes, 0, "landed once is landed for good");
    assert_eq!(subject.get("page:1:views").as_deref(), Some("11"));
}

fn a_write_over_several_lanes_is_recovered_whole(open: Open) {
    let mut subject = open(|_| {});
    subject.pause();
    let names = ["page:1", "shop:1", "key"];
    subject
        .world
        .run(&names, |unit, t| {
            fields::set(unit, 0, &t[0], &[(b"title", b"one")])?;
            fields::set(unit, 1, &t[1], &[(b"title", b"one")])?;
            strings::set(unit, 2, &t[2], b"one", Default::default(), &[]).map(|_| ())
        })
        .unwrap();
    if subject.survives {
        subject.world.reopen();
    }
    for key in ["page:1:title", "shop:1:title", "key"] {
        assert_eq!(subject.get(key).as_deref(), Some("one"), "{key}");
    }
    subject.land();
    assert_eq!(subject.landed(1, "title").as_deref(), Some("one"));
}

fn only_what_the_database_has_committed_counts_as_landed(open: Open) {
    let subject = open(|_| {});
    subject.database.set_down(true);
    subject.grow("page:1", "1");
    subject.world.engine().flush();
    wait_until(|| subject.world.engine().status().connection.attempts > 0);
    assert_eq!((subject.owed(), subject.world.engine().status().dirty.0), (1, 1));
    subject.database.set_down(false);
    subject.database.fail_next_landing(Failure::UnknownCommitted);
    subject.land();
    assert_eq!(subject.owed(), 0);
    assert_eq!(
        subject.landed(1, "views").as_deref(),
        Some("1"),
        "an unknown outcome is found out, not repeated"
    );
}

fn changes_of_a_row_land_in_their_order(open: Open) {
    let subject = open(|_| {});
    subject.pause();
    subject.put("page:1", "title", "first");
    subject.grow("page:1", "7");
    subject.world.run(&["page:1"], |unit, t| keys::delete(unit, 0, &t[0])).unwrap();
    subject.put("page:1", "title", "last");
    subject.grow("page:1", "1");
    assert_eq!(subject.get("page:1:views").as_deref(), Some("1"));
    subject.land();
    assert_eq!(subject.landed(1, "title").as_deref(), Some("last"));
    assert_eq!(subject.landed(1, "views").as_deref(), Some("1"));
}

fn what_has_landed_is_trimmed_and_read_from_the_database(open: Open) {
    let subject = open(|settings| settings.retention_bytes = 0);
    let value = "x".repeat(2000);
    for n in 0..200 {
        subject.set(&format!("key{n}"), &value).unwrap();
    }
    subject.land();
    let core = &subject.world.engine().core;
    wait_until(|| core.log.lanes().iter().any(|(_, lane)| core.log.oldest(*lane).position > 0));
    assert_eq!(core.log.owed().records, 0);
    subject.world.land_and_forget();
    assert_eq!(subject.get("key7").as_deref(), Some(&*value));
}

fn a_full_buffer_takes_writes_again_when_rows_have_landed(open: Open) {
    let subject = open(|settings| {
        settings.max_pending = 10;
        settings.throttle_at = 5;
    });
    subject.pause();
    let refused = (0..100).find_map(|n| subject.set(&format!("key{n}"), "value").err());
    assert!(matches!(refused, Some(Refusal::TryAgain(_))), "{refused:?}");
    assert_eq!((subject.owed(), subject.get("key9").as_deref()), (10, Some("value")));
    subject.land();
    subject.set("more", "value").unwrap();
    assert_eq!(subject.get("more").as_deref(), Some("value"));
}

/// The numbers of `status` against the sources: what was written here, and how far the database is.
fn what_status_tells_is_what_buffer_and_database_say(open: Open) {
    let subject = open(|_| {});
    for round in 1..=4 {
        let begun_ms = subject.world.env.clock.unix_ms();
        subject.pause();
        for n in 0..round * 10 {
            subject.set(&format!("key{}", n % 7), "value").unwrap();
            subject.grow(&format!("page:{}", n % 5), "1");
            subject.world.advance(400);
        }
        let status = subject.world.engine().status();
        let lanes = || status.groups.iter().flat_map(|group| &group.lanes);
        for lane in lanes() {
            let in_database = subject.database.watermark(lane.lane).unwrap().position;
            assert_eq!(lane.landed, in_database, "lane {}", lane.lane);
        }
        let behind: u64 = lanes().map(|lane| lane.accepted - lane.landed).sum();
        assert_eq!((status.owed.records, behind), (round * 20, round * 20));
        assert_eq!(status.dirty.0, 12, "seven keys and five rows");
        // The age is exact but for the step in which times are kept.
        assert!(status.owed.oldest_ms.abs_diff(begun_ms) <= 250, "{} {begun_ms}", status.owed.oldest_ms);
        subject.land();
        let status = subject.world.engine().status();
        assert_eq!((status.owed, status.dirty), (Owed::default(), (0, 0)));
        assert_eq!(status.counts.landed_changes, status.counts.accepted);
        assert!(status.is_healthy());
    }
}
