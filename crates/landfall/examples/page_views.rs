//! Counts views of pages: many writers, one hot row, and a handful of statements in the database.
//!
//! Run it with `cargo run -p landfall --example page_views`.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use landfall::{Landfall, Settings, Waited};

const TABLES: &str = "
    CREATE TABLE page (id INTEGER PRIMARY KEY, title TEXT NOT NULL, views INTEGER);
    CREATE TABLE click (page INTEGER NOT NULL, visitor TEXT);";

const READERS: usize = 8;
const VIEWS: usize = 50;

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("app.db");
    rusqlite::Connection::open(&file)?.execute_batch(TABLES)?;

    let (landfall, opened) = Landfall::open_sqlite(Settings::in_dir(dir.path().join("log")), &file).await?;
    println!("tables: {}", opened.tables.join(", "));
    let landfall = Arc::new(landfall);

    let _ = landfall.put("page:1", [("title", "Home".into()), ("views", 0.into())]).await?;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let landfall = landfall.clone();
        readers.push(tokio::spawn(async move {
            for _ in 0..VIEWS {
                // No read, no wait for the database: the sum is made where the row is.
                let _ = landfall.add("page:1", "views", 1.into()).await?;
            }
            Ok::<(), landfall::Refusal>(())
        }));
    }
    for reader in readers {
        reader.await??;
    }
    let click = landfall.append("click", [("page", 1.into()), ("visitor", "Alice".into())]).await?;

    let page = landfall.get("page:1").await?.ok_or("the page was just written")?;
    println!("the view:     {:?} views", page["views"]);

    let last = landfall.add("page:1", "views", 0.into()).await?;
    for receipt in [&click, &last] {
        assert_eq!(landfall.wait_landed(receipt, Duration::from_secs(10)).await, Waited::Landed);
    }
    let landfall = Arc::into_inner(landfall).ok_or("the readers have ended")?;
    let remaining = landfall.close(Duration::from_secs(10)).await?;
    println!("left in the log: {} changes", remaining.changes);

    let database = rusqlite::Connection::open(&file)?;
    let views: i64 = database.query_row("SELECT views FROM page WHERE id = 1", [], |row| row.get(0))?;
    println!("the database: {views} views");
    assert_eq!(views as usize, READERS * VIEWS);
    Ok(())
}
