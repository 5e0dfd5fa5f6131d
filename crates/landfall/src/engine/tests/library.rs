//! The face for applications, on SQLite and a local log in a temporary folder.

use std::path::Path;

use super::PATIENCE;
use crate::engine::ops::strings;
use crate::engine::{Landfall, Refusal};
use crate::lander::Waited;
use crate::model::Value;
use crate::settings::Settings;

const TABLES: &str = "
    CREATE TABLE page (id INTEGER PRIMARY KEY, title TEXT, views INTEGER);
    CREATE TABLE click (page INTEGER NOT NULL, visitor TEXT);";

fn database(dir: &Path) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(dir.join("app.db")).unwrap();
    database.execute_batch(TABLES).unwrap();
    database
}

async fn open(dir: &Path, change: impl FnOnce(&mut Settings)) -> Landfall {
    let mut settings = super::small(Settings::in_dir(dir.join("log")));
    change(&mut settings);
    Landfall::open_sqlite(settings, &dir.join("app.db")).await.unwrap().0
}

fn one<T: rusqlite::types::FromSql>(database: &rusqlite::Connection, query: &str) -> T {
    database.query_row(query, [], |row| row.get(0)).unwrap()
}

// shows: S1
#[tokio::test]
async fn what_was_written_is_read_at_once_lands_and_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let database = database(dir.path());
    let landfall = open(dir.path(), |_| {}).await;
    let _ = landfall.put("page:1", [("title", "Home".into()), ("views", 1.into())]).await.unwrap();
    let _ = landfall.add("page:1", "views", 4.into()).await.unwrap();
    let _ = landfall.put("page:2", [("title", "Gone".into())]).await.unwrap();
    let _ = landfall.delete("page:2").await.unwrap();
    let _ = landfall.set("page:1:title", b"Start").await.unwrap();
    let last = landfall.append("click", [("page", 1.into()), ("visitor", Value::Null)]).await.unwrap();
    let row = landfall.get("page:1").await.unwrap().unwrap();
    assert_eq!((&row["id"], &row["title"], &row["views"]), (&1.into(), &"Start".into(), &5.into()));
    assert_eq!(landfall.get("page:2").await.unwrap(), None);
    assert_eq!(landfall.wait_landed(&last, PATIENCE).await, Waited::Landed);
    assert_eq!(landfall.close(PATIENCE).await.unwrap().changes, 0);
    assert_eq!(one::<i64>(&database, "SELECT views FROM page WHERE id = 1"), 5);
    assert_eq!(one::<i64>(&database, "SELECT count(*) FROM page"), 1);
    assert_eq!(one::<i64>(&database, "SELECT count(*) FROM click WHERE visitor IS NULL"), 1);
    let landfall = open(dir.path(), |_| {}).await;
    assert_eq!(landfall.get("page:1").await.unwrap().unwrap()["views"], 5.into());
    landfall.close(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn what_did_not_land_is_said_at_the_close_and_owed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let database = database(dir.path());
    let landfall = open(dir.path(), |_| {}).await;
    landfall.engine().pause(None).unwrap();
    let _ = landfall.add("page:1", "views", 4.into()).await.unwrap();
    let _ = landfall.set("greeting", b"hello").await.unwrap();
    let remaining = landfall.close(std::time::Duration::ZERO).await.unwrap();
    assert_eq!((remaining.changes, remaining.failed.len()), (2, 0));
    let settings = super::small(Settings::in_dir(dir.path().join("log")));
    let (landfall, opened) = Landfall::open_sqlite(settings, &dir.path().join("app.db")).await.unwrap();
    assert_eq!(opened.owed_changes, 2);
    assert_eq!(landfall.get_string("greeting").await.unwrap().as_deref(), Some(&b"hello"[..]));
    assert_eq!(landfall.close(PATIENCE).await.unwrap().changes, 0);
    assert_eq!(one::<i64>(&database, "SELECT views FROM page WHERE id = 1"), 4);
}

#[tokio::test]
async fn what_another_program_changed_keeps_what_nobody_wrote_here_and_is_read_when_the_row_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let database = database(dir.path());
    let landfall = open(dir.path(), |_| {}).await;
    let grow = async |key: &str| {
        let last = landfall.add(key, "views", 1.into()).await.unwrap();
        assert_eq!(landfall.wait_landed(&last, PATIENCE).await, Waited::Landed);
        // A row that may have to be read again is let go a moment later.
        while landfall.engine().status().dirty.0 > 0 {
            tokio::task::yield_now().await;
        }
    };
    let views = async |key: &str| landfall.get(key).await.unwrap().unwrap()["views"].clone();
    for key in ["page:1", "page:2"] {
        let _ = landfall.put(key, [("title", "Ours".into()), ("views", 4.into())]).await.unwrap();
        grow(key).await;
        assert_eq!(views(key).await, 5.into());
    }
    database
        .execute_batch(
            "UPDATE page SET title = 'Theirs', views = 100 WHERE id = 1; DELETE FROM page WHERE id = 2",
        )
        .unwrap();
    assert_eq!((views("page:1").await, views("page:2").await), (5.into(), 5.into()), "nobody tells");
    grow("page:1").await;
    grow("page:2").await;
    // What is added is added to what is there, and a row that is gone begins anew.
    assert_eq!(
        one::<String>(&database, "SELECT group_concat(title || views) FROM page WHERE id = 1"),
        "Theirs101"
    );
    assert_eq!(one::<i64>(&database, "SELECT views FROM page WHERE id = 2 AND title IS NULL"), 1);
    landfall.engine().evict_clean();
    assert_eq!((views("page:1").await, views("page:2").await), (101.into(), 1.into()));
    assert_eq!(landfall.get("page:1").await.unwrap().unwrap()["title"], "Theirs".into());
    landfall.close(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn null_clears_a_column_and_takes_a_field_away() {
    let dir = tempfile::tempdir().unwrap();
    let database = database(dir.path());
    let landfall = open(dir.path(), |_| {}).await;
    let _ = landfall.put("page:1", [("title", "Home".into()), ("views", 1.into())]).await.unwrap();
    let _ = landfall.put("page:1", [("title", Value::Null), ("views", Value::Null)]).await.unwrap();
    let _ = landfall.put("hash", [("a", "1".into()), ("b", "2".into())]).await.unwrap();
    let _ = landfall.put("hash", [("a", Value::Null), ("c", "3".into())]).await.unwrap();
    let fields: Vec<String> = landfall.get("hash").await.unwrap().unwrap().into_keys().collect();
    assert_eq!(fields, ["b", "c"]);
    assert_eq!(landfall.get("page:1").await.unwrap().unwrap().len(), 1);
    let _ = landfall.put("hash", [("b", Value::Null), ("c", Value::Null)]).await.unwrap();
    assert_eq!(landfall.get("hash").await.unwrap(), None);
    assert_eq!(landfall.close(PATIENCE).await.unwrap().changes, 0);
    assert_eq!(one::<i64>(&database, "SELECT count(*) FROM page WHERE title IS NULL AND views IS NULL"), 1);
}

#[tokio::test]
async fn a_key_of_the_wrong_kind_is_refused_and_nothing_breaks() {
    let dir = tempfile::tempdir().unwrap();
    database(dir.path());
    let landfall = open(dir.path(), |_| {}).await;
    for key in ["page", "page:1:title", "page:1:nothing", "page:01", "click:1"] {
        let refused = landfall.get(key).await;
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "{key}: {refused:?}");
    }
    let refused = landfall.append("nowhere", [("page", 1.into())]).await;
    assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
    let refused = landfall.put("page:1", [("views", "many".into())]).await;
    assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
    assert_eq!(landfall.close(PATIENCE).await.unwrap().changes, 0);
}

#[tokio::test]
async fn a_value_that_is_not_on_the_disk_yet_is_shown_when_it_is() {
    let dir = tempfile::tempdir().unwrap();
    database(dir.path());
    let landfall = open(dir.path(), |settings| settings.flush_interval = PATIENCE).await;
    let engine = landfall.engine();
    let target = engine.resolve(b"greeting").unwrap();
    let written = {
        let mut unit = engine.unit(&[(b"greeting", &target)], false);
        strings::set(&mut unit, 0, &target, b"hello", Default::default(), &[]).unwrap();
        unit.commit().unwrap()
    };
    assert!(!engine.is_durable(written.end), "nobody has asked for it");
    assert_eq!(landfall.get_string("greeting").await.unwrap().as_deref(), Some(&b"hello"[..]));
    assert!(engine.is_durable(written.end), "the reader saw only what is safe");
    landfall.close(PATIENCE).await.unwrap();
}
