//! What a PostgreSQL does to those who use it: it is restored from a backup, emptied, read-only, slow, paused in the middle,
//! locked by somebody else, changed under load, out of room, behind a pooler. Where writes flow, a checker decides.
//! It must never pass because nothing happened: each test waits for what it is about. Without a PostgreSQL it says that it is
//! skipped.
//!
//! `LANDFALL_SEED=N` repeats the choices of a run.
#![cfg(feature = "postgres")]

mod common;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::wait_until;
use landfall_resp::Value;
use landfall_sim::chance::Chance;
use landfall_sim::load::Scene;
use landfall_sim::private_mounts::{Entered, enter};
use landfall_sim::proxy::{Proxy, Weather};
use landfall_sim::round::{Round, Tally, prepare_postgres_at, told};
use landfall_sim::servers::{Landfall, LandfallOptions, PgBouncer, Postgres};
use landfall_sim::skipping::{find_program, program_or_skip, skipped};
use landfall_sim::tools;
use landfall_sim::waiting;
use rustix::process::{Pid, Signal, kill_process};

/// Landing all the time, and a log that reaches back over any backup of a test.
const CONFIG: &str = r#"
flush-interval = "5ms"
flush-count = 50
segment-bytes = "128KiB"
retention = "10m"
ttl = "20ms"
absent-ttl = "10ms"
load-timeout = "1s"
database-check = "1s"
"#;
/// Few: a test is about what happens to the database, and an outage lets them write as fast as they can.
const CLIENTS: usize = 2;
const WITHIN: Duration = Duration::from_secs(60);

fn begin(postgres: &Arc<Postgres>, proxy: &Proxy, chance: Chance) -> Result<Round> {
    let mut options = LandfallOptions::new(env!("CARGO_BIN_EXE_landfall"));
    CONFIG.clone_into(&mut options.config);
    let mut server = prepare_postgres_at(options, postgres, proxy.address())?;
    server.restart()?;
    let mut round = Round::new(server, chance);
    round.clients.truncate(CLIENTS);
    Ok(round)
}

/// A database under load.
struct Stage<'s> {
    round: &'s mut Round,
    scene: &'s Scene,
    postgres: &'s Arc<Postgres>,
    name: String,
    proxy: &'s Proxy,
}

impl Stage<'_> {
    fn progress(&mut self, writes: u64) -> Result<()> {
        self.round.progress(self.scene, writes)
    }

    fn psql(&self, sql: &str) -> Result<String> {
        self.postgres.psql(&self.name, sql)
    }

    /// A session that runs `sql` beside the load.
    fn session(&self, sql: &str) -> Result<Child> {
        let child = Command::new(find_program("psql").context("no psql")?)
            .args(["-X", "-q", "-d", &self.postgres.url(&self.name), "-v", "ON_ERROR_STOP=1", "-c", sql])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        Ok(child)
    }

    /// Waits until a query says `t`.
    fn until(&self, sql: &str) -> Result<()> {
        let is_so = || self.psql(sql).is_ok_and(|answer| answer == "t");
        ensure!(waiting::wait_until(Instant::now() + WITHIN, is_so), "waited in vain for {sql}");
        Ok(())
    }

    fn landed(&self) -> Result<u64> {
        Ok(self.psql("SELECT coalesce(sum(position), 0) FROM landfall.landfall_lane")?.parse()?)
    }

    /// Waits until more has landed.
    fn lands(&self) -> Result<()> {
        let before = self.landed()?;
        self.until(&format!("SELECT sum(position) > {before} FROM landfall.landfall_lane"))
    }
}

/// Writes all the time while `hurt` does something; then everything has to be as it was acknowledged.
fn under_load(test: &str, postgres: &Arc<Postgres>, hurt: impl FnOnce(&mut Stage<'_>) -> Result<()>) {
    under_load_through(test, postgres, postgres.address(), hurt);
}

/// As [`under_load`], where the server finds PostgreSQL at another address.
fn under_load_through(
    test: &str,
    postgres: &Arc<Postgres>,
    address: SocketAddr,
    hurt: impl FnOnce(&mut Stage<'_>) -> Result<()>,
) {
    let proxy = Proxy::start(address).unwrap();
    let seed = Chance::fresh_seed().unwrap();
    let mut tally = Tally::default();
    told(test, seed, begin(postgres, &proxy, Chance::from_seed(seed)), |round| {
        let name = round.server.postgres().context("a PostgreSQL")?.1.to_owned();
        let history = round.under_load(|round, scene| {
            let mut stage = Stage { round, scene, postgres, name, proxy: &proxy };
            stage.progress(100)?;
            hurt(&mut stage)?;
            stage.progress(100)?;
            tally.acknowledged += scene.acknowledged();
            Ok(())
        })?;
        round.reckon(&history, &mut tally)
    });
    println!("{}", tally.line(test));
}

/// A server that nobody shares; none, and a word that the test is skipped.
fn private_or_skip(test: &str) -> Option<Arc<Postgres>> {
    if Postgres::find().is_none() {
        skipped(test, "this machine has no postgres");
        return None;
    }
    Some(Arc::new(Postgres::start().unwrap()))
}

#[test]
fn a_database_put_back_from_a_backup_gets_again_what_it_lacks() {
    let test = "a_database_put_back_from_a_backup_gets_again_what_it_lacks";
    let Some(postgres) = private_or_skip(test) else { return };
    under_load(test, &postgres, |stage| {
        stage.postgres.back_up("backup")?;
        let before = stage.landed()?;
        stage.until(&format!("SELECT sum(position) > {before} FROM landfall.landfall_lane"))?;
        stage.progress(200)?;
        stage.postgres.put_back("backup")?;
        stage.lands()
    });
}

fn serve(postgres: &Arc<Postgres>, name: &str) -> Landfall {
    let mut options = LandfallOptions::new(env!("CARGO_BIN_EXE_landfall"));
    CONFIG.clone_into(&mut options.config);
    options.postgres = Some((Arc::clone(postgres), name.to_owned()));
    Landfall::start(options).unwrap()
}

#[test]
fn emptied_lanes_or_another_database_get_nothing_and_are_refused_at_a_start() {
    let test = "emptied_lanes_or_another_database_get_nothing_and_are_refused_at_a_start";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    let name = postgres.new_database().unwrap();
    let table = "CREATE TABLE page (id int PRIMARY KEY, views bigint NOT NULL DEFAULT 0)";
    let psql = |sql: &str| postgres.psql(&name, sql).unwrap();
    psql(table);
    let mut server = serve(&postgres, &name);
    let mut client = server.connect().unwrap();
    client.call(&["HINCRBY", "page:1", "views", "5"]).unwrap();
    client.call(&["LANDFALL.FLUSH"]).unwrap();
    psql("CREATE TABLE kept AS TABLE landfall.landfall_lane; TRUNCATE landfall.landfall_lane");
    client.call(&["LANDFALL.ADD", "page:1", "views", "2"]).unwrap();
    wait_until("it is told", || {
        let told = client.call(&["LANDFALL.STATUS"]).unwrap();
        says(&told, "a wrong, emptied or restored database?")
    });
    drop(client);
    server.kill9().unwrap();
    let refused = format!("{:#}", server.restart().unwrap_err());
    assert!(refused.contains("a wrong, emptied or restored database?"), "{refused}");
    assert_eq!(psql("SELECT views FROM page"), "5", "nothing landed again");
    // Another database with the same tables, in the same place.
    psql("INSERT INTO landfall.landfall_lane SELECT * FROM kept");
    postgres.psql("postgres", &format!("ALTER DATABASE {name} RENAME TO {name}_kept")).unwrap();
    postgres.psql("postgres", &format!("CREATE DATABASE {name}")).unwrap();
    psql(table);
    let _ = server.end();
    let refused = format!("{:#}", server.restart().unwrap_err());
    assert!(refused.contains("another database") || refused.contains("was emptied"), "{refused}");
    assert_eq!(psql("SELECT count(*) FROM page"), "0");
    postgres.psql("postgres", &format!("DROP DATABASE {name}")).unwrap();
    postgres.psql("postgres", &format!("ALTER DATABASE {name}_kept RENAME TO {name}")).unwrap();
    let _ = server.end();
    server.restart().unwrap();
    server.connect().unwrap().call(&["LANDFALL.FLUSH"]).unwrap();
    assert_eq!(psql("SELECT views FROM page"), "7");
}

#[test]
fn a_process_of_postgresql_that_is_paused_in_the_middle_holds_up_and_loses_nothing() {
    let test = "a_process_of_postgresql_that_is_paused_in_the_middle_holds_up_and_loses_nothing";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    under_load(test, &postgres, |stage| {
        for _ in 0..3 {
            let busy = "SELECT min(pid) FROM pg_stat_activity WHERE application_name = 'landfall' \
                AND datname = current_database() AND backend_xid IS NOT NULL";
            let mut found = None;
            waiting::wait_until(Instant::now() + WITHIN, || {
                found = stage.psql(busy).ok().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
                found.is_some()
            });
            let pid = found.context("no landing was met")?;
            kill_process(pid, Signal::STOP)?;
            let written = stage.progress(300);
            kill_process(pid, Signal::CONT)?;
            written?;
            stage.lands()?;
        }
        Ok(())
    });
}

#[test]
fn a_queue_behind_an_alter_and_a_changed_table_hold_up_and_lose_nothing() {
    let test = "a_queue_behind_an_alter_and_a_changed_table_hold_up_and_lose_nothing";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    under_load(test, &postgres, |stage| {
        for change in [
            // Writes the table anew, under the readers that wait for it.
            "ALTER TABLE item ALTER COLUMN note TYPE varchar(200)",
            "ALTER TABLE page ALTER COLUMN views SET DEFAULT 1",
        ] {
            let mut reader = stage.session("BEGIN; SELECT count(*) FROM item, page; SELECT pg_sleep(600)")?;
            stage.until(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' \
                AND wait_event = 'PgSleep' AND datname = current_database())",
            )?;
            let mut alter = stage.session(change)?;
            stage.until(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'ALTER%' \
                    AND wait_event_type = 'Lock' AND datname = current_database())",
            )?;
            stage.progress(20)?;
            stage.psql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE wait_event = 'PgSleep' AND datname = current_database()",
            )?;
            reader.wait()?;
            ensure!(alter.wait()?.success(), "{change}");
            stage.round.server.connect()?.call(&["LANDFALL.RELOAD"])?;
            stage.lands()?;
        }
        Ok(())
    });
}

#[test]
fn sessions_that_lock_rows_in_any_order_are_waited_for_and_lose_nothing() {
    let test = "sessions_that_lock_rows_in_any_order_are_waited_for_and_lose_nothing";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    under_load(test, &postgres, |stage| {
        stage.lands()?;
        // Two locks in one order and then in the other: with a landing in between, one of the three has to give way.
        let lock = |order: &str| {
            format!(
                "DO $$ DECLARE one bigint; BEGIN FOR i IN 1..40 LOOP \
                   FOR one IN SELECT id FROM page ORDER BY id {order} LIMIT 20 LOOP \
                     PERFORM FROM page WHERE id = one FOR UPDATE; PERFORM pg_sleep(0.002); END LOOP; \
                   COMMIT; END LOOP; END $$"
            )
        };
        let mut sessions = [stage.session(&lock("ASC"))?, stage.session(&lock("DESC"))?];
        stage.progress(300)?;
        for session in &mut sessions {
            session.wait()?;
        }
        stage.lands()
    });
}

#[test]
fn a_slow_network_has_no_more_transactions_at_once_and_loses_nothing() {
    let test = "a_slow_network_has_no_more_transactions_at_once_and_loses_nothing";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    under_load(test, &postgres, |stage| {
        stage.proxy.set_weather(Weather {
            delay: Duration::from_millis(5),
            bytes_per_second_max: Some(100_000),
            is_dark: false,
        });
        for _ in 0..5 {
            stage.progress(50)?;
            let landing = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'landfall' \
                AND datname = current_database() AND backend_xid IS NOT NULL";
            let at_once: u32 = stage.psql(landing)?.parse()?;
            ensure!(at_once <= 4, "{at_once} landings at once");
        }
        stage.proxy.clear();
        stage.lands()
    });
}

#[test]
fn a_network_that_goes_dark_and_comes_back_loses_nothing() {
    let test = "a_network_that_goes_dark_and_comes_back_loses_nothing";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    under_load(test, &postgres, |stage| {
        for _ in 0..3 {
            stage.proxy.darken();
            // Slow: what has to be read first waits for its deadline.
            stage.progress(20)?;
            stage.proxy.clear();
            stage.lands()?;
        }
        stage.proxy.darken();
        stage.progress(20)?;
        stage.proxy.cut_all();
        stage.proxy.clear();
        stage.lands()
    });
}

#[test]
fn a_default_of_read_only_is_overruled_and_a_read_only_server_is_waited_for() {
    let test = "a_default_of_read_only_is_overruled_and_a_read_only_server_is_waited_for";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    under_load(test, &postgres, |stage| {
        stage.psql(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", stage.name))?;
        stage.proxy.cut_all();
        stage.lands()
    });
}

#[test]
fn behind_a_pooler_in_transaction_mode_nothing_leaks_from_one_session_to_the_other() {
    let test = "behind_a_pooler_in_transaction_mode_nothing_leaks_from_one_session_to_the_other";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    if program_or_skip(test, "pgbouncer").is_none() {
        return;
    }
    let pooler = PgBouncer::start(&postgres).unwrap();
    under_load_through(test, &postgres, pooler.address(), |stage| {
        for _ in 0..3 {
            stage.lands()?;
            stage.progress(300)?;
            stage.proxy.cut_all();
        }
        stage.scene.set_address(None);
        stage.round.server.kill9()?;
        stage.scene.set_address(Some(stage.round.server.restart()?));
        stage.lands()?;
        let left = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'landfall' \
            AND datname = current_database() AND state = 'idle in transaction' AND state_change < now() - interval '5s'";
        stage.until(left)
    });
}

#[test]
fn without_room_in_postgresql_writes_go_on_and_land_when_there_is_room() {
    let test = "without_room_in_postgresql_writes_go_on_and_land_when_there_is_room";
    if Postgres::find().is_none() {
        return skipped(test, "this machine has no postgres");
    }
    match enter(test).unwrap() {
        Entered::Inside => {}
        Entered::Done => return,
        Entered::Forbidden(reason) => return skipped(test, &reason),
    }
    let folder = tempfile::Builder::new().prefix("landfall-space-").tempdir_in("/tmp").unwrap();
    let mut mount = tools::command("mount").unwrap();
    mount.args(["-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs"]).arg(folder.path());
    if let Err(error) = tools::run(&mut mount) {
        return skipped(test, &format!("no tmpfs: {error:#}"));
    }
    let postgres = Arc::new(Postgres::start().unwrap());
    // The folder has to be the server's own.
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    postgres.own(&data).unwrap();
    let space = format!("CREATE TABLESPACE small LOCATION '{}'", data.display());
    postgres.psql("postgres", &space).unwrap();
    under_load(test, &postgres, |stage| {
        stage.psql(
            "CREATE TABLE filler (x text) TABLESPACE small; ALTER TABLE filler ALTER x SET STORAGE PLAIN",
        )?;
        for table in ["reading", "click", "item"] {
            stage.psql(&format!("ALTER TABLE {table} SET TABLESPACE small"))?;
        }
        for rows in [1000, 100, 10, 1] {
            let fill = format!(
                "INSERT INTO filler SELECT repeat(md5(i::text), 100) FROM generate_series(1, {rows}) i"
            );
            let is_full = || stage.psql(&fill).is_err();
            ensure!(waiting::wait_until(Instant::now() + WITHIN, is_full), "it is never full");
        }
        let told = |stage: &Stage<'_>| {
            let client = stage.round.server.connect();
            client
                .and_then(|mut client| client.call(&["LANDFALL.STATUS"]))
                .is_ok_and(|status| says(&status, "53100"))
        };
        ensure!(
            waiting::wait_until(Instant::now() + WITHIN, || told(stage)),
            "the status does not tell of it"
        );
        stage.progress(100)?;
        stage.psql("DROP TABLE filler")?;
        stage.lands()
    });
    drop(postgres);
    tools::run(tools::command("umount").unwrap().arg(folder.path())).unwrap();
}

/// Whether a text is anywhere in a reply.
fn says(value: &Value, part: &str) -> bool {
    match value {
        Value::Bulk(text) | Value::Simple(text) => String::from_utf8_lossy(text).contains(part),
        Value::Array(items) | Value::Set(items) => items.iter().any(|item| says(item, part)),
        Value::Map(pairs) => pairs.iter().any(|(key, value)| says(key, part) || says(value, part)),
        _ => false,
    }
}
