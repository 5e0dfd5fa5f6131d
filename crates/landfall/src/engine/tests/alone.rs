//! A start while the database is away: what is known is served, writes are taken, nothing lands, and when it is there
//! everything of a start is made good, or landing and writing stop.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::engine::ops::{numbers, strings};
use crate::model::{Incident, IncidentKind};

fn add_view(world: &World) -> u64 {
    let (_, written) =
        world.run(&["page:1"], |unit, t| numbers::add(unit, 0, &t[0], b"views", b"1")).unwrap();
    written.places[0].1
}

fn set(world: &World, key: &str, value: &str) {
    let how = Default::default();
    let set = |unit: &mut Unit<'_>, t: &[Target]| strings::set(unit, 0, &t[0], value.as_bytes(), how, &[]);
    world.run(&[key], set).unwrap();
}

fn get(world: &World, key: &str) -> Result<Option<String>, Refusal> {
    world.run(&[key], |unit, t| strings::get(unit, 0, &t[0])).map(|(value, _)| text(value))
}

fn close(world: &mut World, left: u64) {
    let engine = world.engine.take().unwrap();
    assert_eq!(engine.close(Duration::ZERO).unwrap().changes, left);
}

fn views(database: &MemoryDatabase) -> Option<Value> {
    database.row(&page(1)).map(|row| row[&Name::column("views")].clone())
}

fn kinds(world: &World) -> Vec<IncidentKind> {
    world.engine().incidents().iter().map(|one: &Incident| one.kind).collect()
}

/// Hears when the engine has to be opened anew, as a server does.
fn listen(world: &World) -> Arc<AtomicBool> {
    let heard: Arc<AtomicBool> = Arc::default();
    let hear = heard.clone();
    world.engine().on_outdated(Arc::new(move || hear.store(true, Ordering::SeqCst)));
    heard
}

fn quick(settings: &mut Settings) {
    settings.database_check = Duration::from_millis(5);
}

#[test]
fn without_the_database_a_start_serves_and_lands_when_it_is_back() {
    let (mut world, database) = World::on_disk(quick);
    assert_eq!(add_view(&world), 1);
    set(&world, "k", "landed");
    world.land_all();
    world.engine().pause(None).unwrap();
    assert_eq!(add_view(&world), 2);
    close(&mut world, 1);
    database.set_down(true);
    let opened = world.open();
    assert!(opened.database_away && !world.engine().has_met_database());
    assert!(!world.engine().status().is_healthy());
    assert_eq!((opened.owed_changes, opened.tables.len()), (1, 2));
    let first = add_view(&world);
    assert!(first > 1 << 32, "{first}: far above all that the database may have");
    // Another start without it, before anything could land: positions jump again.
    close(&mut world, 2);
    assert!(world.open().database_away);
    assert!(add_view(&world) > first + (1 << 32));
    let unknown = world.run(&["page:2"], |unit, t| numbers::increment_field(unit, 0, &t[0], b"views", 1));
    assert!(matches!(unknown, Err(Refusal::DatabaseDown(_))), "{unknown:?}");
    let unknown = get(&world, "k");
    assert!(matches!(unknown, Err(Refusal::DatabaseDown(_))), "not in the log is not absent: {unknown:?}");
    set(&world, "k", "new");
    assert_eq!(get(&world, "k").unwrap().as_deref(), Some("new"));
    wait_until(|| world.engine().status().connection.attempts > 0);
    assert_eq!(views(&database), Some(Value::Int(1)));
    database.set_down(false);
    world.land_all();
    assert_eq!(views(&database), Some(Value::Int(4)));
    wait_until(|| world.engine().status().is_healthy());
    assert_eq!(world.engine().incidents(), []);
    assert!(!world.reopen().database_away);
    add_view(&world);
    world.land_all();
    assert_eq!(views(&database), Some(Value::Int(5)));
    assert_eq!(get(&world, "k").unwrap().as_deref(), Some("new"));
}

#[test]
fn lanes_that_are_new_at_a_start_without_the_database_are_made_when_it_is_back() {
    let (mut world, database) = World::on_disk(quick);
    set(&world, "a", "1");
    world.land_all();
    close(&mut world, 0);
    world.settings.lanes = 5;
    database.set_down(true);
    for _ in 0..2 {
        world.open();
        ["a", "b", "c", "d", "e"].iter().for_each(|key| set(&world, key, "2"));
        // What a close notes of lanes must not claim those that the database does not have.
        assert!(world.engine.take().unwrap().close(Duration::ZERO).unwrap().changes > 0);
    }
    world.open();
    database.set_down(false);
    world.land_and_forget();
    for key in ["a", "b", "c", "d", "e"] {
        assert_eq!(get(&world, key).unwrap().as_deref(), Some("2"));
    }
    assert_eq!(world.engine().incidents(), []);
}

/// Lanes of that number have positions of the copy that was given up, and the log that goes on knows no such lanes.
#[test]
fn lanes_that_only_a_copy_had_that_was_given_up_use_no_position_twice() {
    let keys = ["a", "b", "c", "d", "e"];
    let (mut world, database) = World::on_disk(quick);
    let lanes = world.settings.lanes;
    add_view(&world);
    world.land_all();
    close(&mut world, 0);
    let older = world.disk.as_ref().unwrap().fork();
    world.settings.lanes = lanes + 3;
    database.set_down(true);
    world.open();
    for _ in 0..3 {
        keys.iter().for_each(|key| set(&world, key, "theirs"));
    }
    database.set_down(false);
    world.land_all();
    close(&mut world, 0);
    world.disk.as_ref().unwrap().restore(&older);
    world.settings.lanes = lanes;
    super::adopt::adopt(&mut world);
    close(&mut world, 0);
    // A start in between forgets nothing.
    world.open();
    close(&mut world, 0);
    world.settings.lanes = lanes + 3;
    database.set_down(true);
    world.open();
    let heard = listen(&world);
    keys.iter().for_each(|key| set(&world, key, "ours"));
    database.set_down(false);
    wait_until(|| heard.load(Ordering::SeqCst));
    close(&mut world, keys.len() as u64);
    world.open();
    world.land_and_forget();
    for key in keys {
        assert_eq!(get(&world, key).unwrap().as_deref(), Some("ours"), "{key}");
    }
}

/// Another start lands two things more, and then the end of the log is lost, but not the notes: a disk that lied.
fn lose_the_end_of_the_log(world: &mut World) {
    close(world, 0);
    let shorter = world.disk.as_ref().unwrap().fork();
    world.open();
    let starts = world.engine().core.log.note("starts").unwrap().unwrap();
    add_view(world);
    set(world, "k", "newer");
    world.land_all();
    close(world, 0);
    world.disk.as_ref().unwrap().restore(&shorter);
    let log =
        LocalLog::open(world.env.clone(), &world.settings.data_dir, LocalLogSettings::from(&world.settings));
    log.unwrap().0.set_note("starts", &starts).unwrap();
}

#[test]
fn a_log_that_lost_its_end_before_a_start_without_the_database_uses_no_position_twice() {
    let (mut world, database) = World::on_disk(quick);
    world.engine().pause(None).unwrap();
    add_view(&world);
    set(&world, "k", "old");
    world.engine().resume(None).unwrap();
    world.land_all();
    lose_the_end_of_the_log(&mut world);
    database.set_down(true);
    world.open();
    let heard = listen(&world);
    assert!(add_view(&world) > 1 << 32);
    database.set_down(false);
    wait_until(|| heard.load(Ordering::SeqCst));
    assert_eq!(views(&database), Some(Value::Int(2)), "nothing lands from an engine that served what is old");
    close(&mut world, 1);
    // As the server does then. The view is the database's again.
    assert!(!world.open().database_away);
    assert_eq!(get(&world, "k").unwrap().as_deref(), Some("newer"));
    world.land_all();
    assert_eq!(views(&database), Some(Value::Int(3)));
    assert_eq!(kinds(&world), [IncidentKind::LogBehind; 2], "one for each lane");
}

#[test]
fn a_log_that_lost_its_end_stops_an_engine_that_nobody_opens_anew() {
    let (mut world, database) = World::on_disk(quick);
    add_view(&world);
    world.land_all();
    lose_the_end_of_the_log(&mut world);
    database.set_down(true);
    world.open();
    database.set_down(false);
    wait_until(|| kinds(&world).contains(&IncidentKind::LogBehind));
    wait_until(|| world.engine().core.progress.stopped().is_some());
    let refused = world.run(&["page:1"], |unit, t| numbers::add(unit, 0, &t[0], b"views", b"1"));
    assert!(matches!(refused, Err(Refusal::Fenced(_))), "{refused:?}");
}

#[test]
fn another_database_that_comes_back_stops_landing_and_writing_with_an_incident() {
    let (mut world, database) = World::on_disk(quick);
    add_view(&world);
    world.land_all();
    close(&mut world, 0);
    database.set_down(true);
    let other = MemoryDatabase::new(tables().into_iter().take(1));
    other.set_down(true);
    world.database = Arc::new(other.clone());
    assert_eq!(world.open().tables.len(), 2);
    add_view(&world);
    other.set_down(false);
    wait_until(|| !world.engine().incidents().is_empty());
    let refused = world.run(&["page:1"], |unit, t| numbers::add(unit, 0, &t[0], b"views", b"1"));
    assert!(matches!(refused, Err(Refusal::Fenced(_))), "{refused:?}");
    let told = world.engine().incidents()[0].what.clone();
    assert!(!world.engine().status().is_healthy());
    assert_eq!((other.row(&page(1)), other.landings()), (None, 0));
    assert_eq!(other.watermark(crate::model::LaneId(0)), None, "no lane was made there");
    close(&mut world, 1);
    let refused = world.try_open().unwrap_err().to_string();
    assert_eq!(refused, told, "the words of a start");
    // Nothing was noted of it, and of its tables neither: the right one is still the right one.
    world.database = Arc::new(database.clone());
    assert_eq!(world.open().tables.len(), 2);
    database.set_down(false);
    world.land_all();
    assert_eq!(views(&database), Some(Value::Int(2)));
}

#[test]
fn a_database_that_comes_back_from_the_past_lands_again_and_no_old_row_is_read_meanwhile() {
    let double = super::doubles::Double::new(tables());
    let mut world = World::with(Arc::new(double.clone()), Some(StrictDisk::default()), |settings| {
        quick(settings);
        settings.retention = Duration::from_secs(600);
        settings.retention_bytes = 1 << 24;
    });
    set(&world, "k", "old");
    world.land_all();
    double.stop_replicating();
    set(&world, "k", "new");
    world.land_all();
    close(&mut world, 0);
    double.primary().set_down(true);
    world.open();
    double.fail_over();
    wait_until(|| match get(&world, "k") {
        Ok(value) => {
            assert_eq!(value.as_deref(), Some("new"));
            true
        }
        Err(refusal) => {
            assert!(matches!(refusal, Refusal::DatabaseDown(_) | Refusal::TryAgain(_)), "{refusal}");
            false
        }
    });
}

#[test]
fn a_first_start_without_the_database_is_refused_and_says_why() {
    let database = MemoryDatabase::new(tables());
    database.set_down(true);
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(env::real(), MemoryLogSettings::default()));
    let opened =
        Engine::open(env::real(), Settings::in_dir("/log"), log, Arc::new(database), Arc::new(|_| {}));
    let error = opened.map(drop).unwrap_err();
    assert!(matches!(error, OpenError::NeverMet(_)), "{error}");
    assert!(error.to_string().contains("start again when the database answers"), "{error}");
}

#[cfg(feature = "sqlite")]
mod files {
    use std::path::PathBuf;

    use super::*;
    use crate::engine::ops::fields;
    use crate::sink::sqlite::{SqliteDatabase, SqliteSettings};

    /// A world over a SQLite file that can be taken away.
    struct Files {
        folder: tempfile::TempDir,
        world: World,
    }

    impl Files {
        fn new(schema: &str) -> Files {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("app.db");
            rusqlite::Connection::open(&file).unwrap().execute_batch(schema).unwrap();
            let database = SqliteDatabase::open_known(&file, SqliteSettings::default()).unwrap();
            let world = World::with(Arc::new(database), Some(StrictDisk::default()), |settings| {
                quick(settings);
                settings.refusals_max = 1;
            });
            Files { folder, world }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("app.db")
        }

        fn sql(&self, sql: &str) {
            self.connect().execute_batch(sql).unwrap();
        }

        fn connect(&self) -> rusqlite::Connection {
            rusqlite::Connection::open(self.path()).unwrap()
        }

        fn number(&self, sql: &str) -> i64 {
            self.connect().query_row(sql, [], |row| row.get(0)).unwrap()
        }

        /// Ends the engine, takes the file away, changes what is in it, and starts without it.
        fn change_while_away(&mut self, sql: &str) {
            close(&mut self.world, 0);
            self.sql(sql);
            std::fs::rename(self.path(), self.folder.path().join("away.db")).unwrap();
            assert!(self.world.open().database_away);
        }

        fn put_back(&self) {
            std::fs::rename(self.folder.path().join("away.db"), self.path()).unwrap();
        }

        fn put(&self, key: &str, columns: &[(&str, &str)]) {
            let pairs: Vec<(&[u8], &[u8])> =
                columns.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            self.world.run(&[key], |unit, t| fields::set(unit, 0, &t[0], &pairs)).unwrap();
        }
    }

    const SCHEMA: &str = "
        CREATE TABLE page (id INTEGER PRIMARY KEY, views INTEGER, title TEXT);
        CREATE TABLE gone (id INTEGER PRIMARY KEY, n INTEGER);
        CREATE TABLE city (id INTEGER PRIMARY KEY, code TEXT);";
    const CHANGE: &str = "
        ALTER TABLE page DROP COLUMN title;
        DROP TABLE gone;
        CREATE UNIQUE INDEX one_code ON city (code);
        CREATE TABLE later (id INTEGER PRIMARY KEY, n INTEGER);";

    #[test]
    fn tables_that_changed_while_the_database_was_away_are_read_before_anything_lands() {
        let mut files = Files::new(SCHEMA);
        files.put("page:1", &[("views", "1")]);
        files.world.land_all();
        files.change_while_away(CHANGE);
        let heard = listen(&files.world);
        files.put("page:2", &[("views", "2")]);
        files.put("page:3", &[("views", "3"), ("title", "t")]);
        files.put("gone:1", &[("n", "1")]);
        files.put("city:1", &[("code", "A")]);
        files.put("city:1", &[("code", "B")]);
        files.put("city:2", &[("code", "A")]);
        files.put_back();
        wait_until(|| heard.load(Ordering::SeqCst));
        assert_eq!(files.number("SELECT count(*) FROM page"), 1, "nothing lands by the old tables");
        // As the server does then.
        close(&mut files.world, 6);
        let opened = files.world.open();
        assert!(!opened.database_away && opened.tables.contains(&"later".to_owned()), "{opened:?}");
        files.put("later:1", &[("n", "1")]);
        files.world.land_all();
        assert_eq!(files.number("SELECT views FROM page WHERE id = 2"), 2);
        assert_eq!(
            files.number("SELECT count(*) FROM city WHERE (id, code) IN (VALUES (1, 'B'), (2, 'A'))"),
            2
        );
        assert_eq!(files.number("SELECT count(*) FROM later"), 1);
        let mut parked: Vec<String> =
            letters(files.world.engine()).iter().map(|letter| letter.reason.table.to_string()).collect();
        parked.sort();
        assert_eq!(parked, ["gone", "page"], "what has no place any more is a dead letter");
        assert_eq!(files.number("SELECT count(*) FROM page WHERE id = 3"), 0);
    }

    #[test]
    fn an_engine_that_nobody_opens_anew_lands_what_the_changed_tables_take_and_says_so() {
        let mut files = Files::new(SCHEMA);
        files.put("page:1", &[("views", "1")]);
        files.world.land_all();
        files.change_while_away(CHANGE);
        files.put("page:2", &[("views", "2")]);
        files.put_back();
        files.world.land_all();
        assert_eq!(files.number("SELECT views FROM page WHERE id = 2"), 2);
        let warnings = files.world.engine().status().warnings;
        assert!(warnings[0].contains("close and open again"), "{warnings:?}");
        // The next start knows the tables as they were seen last, also without the database.
        close(&mut files.world, 0);
        std::fs::rename(files.path(), files.folder.path().join("away.db")).unwrap();
        let opened = files.world.open();
        assert!(opened.database_away && opened.tables.contains(&"later".to_owned()), "{opened:?}");
    }

    #[test]
    fn a_database_that_is_locked_at_the_start_is_met_when_it_is_free() {
        let mut files = Files::new(SCHEMA);
        files.put("page:1", &[("views", "1")]);
        files.world.land_all();
        close(&mut files.world, 0);
        let other = files.connect();
        // Readers are let in: the tables can be read, and no lane can be taken over.
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert!(files.world.open().database_away);
        files.put("page:1", &[("views", "2")]);
        other.execute_batch("ROLLBACK").unwrap();
        files.world.land_all();
        assert_eq!(files.number("SELECT views FROM page"), 2);
        assert_eq!(files.world.engine().incidents(), []);
    }
}
