//! A private PostgreSQL for tests: on a free port and a socket in its temporary folder, with fsync on.
//! It must never be needed by a test that has to be green on a machine without it.

use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use super::process::Process;
use crate::skipping::{find_program, skipped};
use crate::tools;

mod tls;

const READY_WITHIN: Duration = Duration::from_secs(60);
const END_WITHIN: Duration = Duration::from_secs(60);
/// The user of PostgreSQL, and its password for connections over TCP.
const USER: &str = "landfall";
const PASSWORD: &str = "not-a-secret";

/// A server and its folder.
#[derive(Debug)]
pub struct Postgres {
    // Before the folder, so that it is dropped first.
    server: Mutex<Server>,
    folder: TempDir,
    port: u16,
    databases: Mutex<u32>,
}

/// The process, and the thread that it ends with: one that lives as long as the owner, whichever thread asked for it.
#[derive(Debug)]
struct Server {
    process: Option<Process>,
    keeper: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Postgres {
    /// The programs, if this machine has them.
    pub fn find() -> Option<PathBuf> {
        find_program("postgres")
            .filter(|_| find_program("initdb").is_some() && find_program("psql").is_some())
    }

    /// A server that all who ask for it at the same time share, or none and a word that `test` is skipped.
    ///
    /// # Panics
    /// This machine has PostgreSQL, and it does not start.
    pub fn shared_or_skip(test: &str) -> Option<Arc<Postgres>> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        if Postgres::find().is_none() {
            skipped(test, "this machine has no postgres");
            return None;
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let started = Arc::new(Postgres::start().unwrap_or_else(|error| panic!("{error:#}")));
        *shared = Arc::downgrade(&started);
        Some(started)
    }

    /// Starts a server.
    ///
    /// # Errors
    /// There is no PostgreSQL on this machine, or it does not get ready.
    pub fn start() -> Result<Postgres> {
        Postgres::find().context("this machine has no PostgreSQL (package postgresql)")?;
        let folder = folder()?;
        let data = folder.path().join("data");
        let secret = folder.path().join("secret");
        fs::write(&secret, PASSWORD)?;
        let owner = Owner::of_this_process()?;
        owner.give(&[folder.path(), &secret])?;
        let mut initdb = owner.command("initdb")?;
        initdb.current_dir(folder.path()).args(["--encoding=UTF8", "--locale=C", "--no-sync", "-U", USER]);
        initdb.args(["--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile"]).arg(&secret);
        tools::run(initdb.arg("-D").arg(&data))?;
        Postgres::started(folder, 0)
    }

    /// Starts a replica that streams from `primary` through `link`, without the primary waiting for it.
    ///
    /// # Errors
    /// The primary cannot be copied, or the replica does not get ready.
    pub fn replica_of(primary: &Postgres, link: SocketAddr) -> Result<Postgres> {
        let folder = folder()?;
        let owner = Owner::of_this_process()?;
        owner.give(&[folder.path()])?;
        let data = folder.path().join("data");
        primary.copy_to(&data)?;
        let (host, port) = (link.ip(), link.port());
        let conninfo =
            format!("host={host} port={port} user={USER} password={PASSWORD} application_name=replica");
        let settings = File::options().append(true).open(data.join("postgresql.auto.conf"));
        settings?.write_all(format!("primary_conninfo = '{conninfo}'\n").as_bytes())?;
        let signal = data.join("standby.signal");
        fs::write(&signal, "")?;
        owner.give(&[&signal])?;
        let databases = *primary.databases.lock().unwrap_or_else(PoisonError::into_inner);
        Postgres::started(folder, databases)
    }

    /// A server over a folder that has everything.
    fn started(folder: TempDir, databases: u32) -> Result<Postgres> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = Mutex::new(Server { process: None, keeper: None });
        let postgres = Postgres { server, folder, port, databases: Mutex::new(databases) };
        postgres.restart()?;
        Ok(postgres)
    }

    /// Makes a replica a primary, and waits until it takes writes.
    ///
    /// # Errors
    /// It is no replica, or does not get ready.
    pub fn promote(&self) -> Result<()> {
        let seconds = READY_WITHIN.as_secs();
        match self.psql("postgres", &format!("SELECT pg_promote(true, {seconds})"))?.as_str() {
            "t" => Ok(()),
            other => bail!("the replica was not promoted: {other}"),
        }
    }

    /// Gives a folder to the user that the server runs as.
    ///
    /// # Errors
    /// The system refuses.
    pub fn own(&self, folder: &Path) -> Result<()> {
        Owner::of_this_process()?.give(&[folder])
    }

    /// Takes a base backup while the server runs; [`Postgres::put_back`] restores it.
    ///
    /// # Errors
    /// The server cannot be copied.
    pub fn back_up(&self, name: &str) -> Result<()> {
        self.copy_to(&self.folder.path().join(name))
    }

    /// Ends the server with -9 and starts it on a backup, as after the loss of its disk. A backup serves once.
    ///
    /// # Errors
    /// There is no such backup, or it does not start.
    pub fn put_back(&self, name: &str) -> Result<()> {
        self.kill9()?;
        let data = self.folder.path().join("data");
        fs::remove_dir_all(&data)?;
        fs::rename(self.folder.path().join(name), &data)?;
        self.restart()
    }

    fn copy_to(&self, place: &Path) -> Result<()> {
        let mut copy = Owner::of_this_process()?.command("pg_basebackup")?;
        copy.current_dir(self.folder.path()).args(["-U", USER, "-h"]).arg(self.folder.path());
        copy.args(["-p", &self.port.to_string(), "-c", "fast", "-X", "stream", "--no-sync", "-D"]).arg(place);
        tools::run(&mut copy).map(|_| ())
    }

    /// Starts the process on the same data again.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn restart(&self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            match self.try_restart() {
                // What a killed server leaves behind ends by itself, and until then a new one refuses to start.
                Err(_) if Instant::now() < deadline => {}
                done => return done,
            }
        }
    }

    fn try_restart(&self) -> Result<()> {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.end(Signal::QUIT)?;
        let (path, port) = (self.folder.path().to_owned(), self.port);
        let (stop, stopped) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let keeper = std::thread::Builder::new().name("postgres-keeper".into()).spawn(move || {
            let _ = tell.send(launch(&path, port));
            // Ends when the owner drops its end.
            let _ = stopped.recv();
        })?;
        server.keeper = Some((stop, keeper));
        let mut process = told.recv().context("the keeper of the server ended")??;
        process.wait_ready(READY_WITHIN, || self.psql("postgres", "SELECT 1").ok())?;
        server.process = Some(process);
        Ok(())
    }

    /// Kills the server with -9, as a crash of the machine's process would end it.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn kill9(&self) -> Result<()> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).end(Signal::KILL)
    }

    /// A new, empty database; its name.
    ///
    /// # Errors
    /// The server refuses.
    pub fn new_database(&self) -> Result<String> {
        let mut count = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        let name = format!("test_{count}");
        self.psql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(name)
    }

    /// The URL of a database over TCP, with the password in it.
    pub fn url(&self, database: &str) -> String {
        self.url_at(database, self.address())
    }

    /// The URL of a database at another address: of what stands before the server.
    pub fn url_at(&self, database: &str, address: SocketAddr) -> String {
        format!("postgres://{USER}:{PASSWORD}@{address}/{database}")
    }

    /// What another program of PostgreSQL connects with.
    pub(super) fn conninfo(&self) -> String {
        format!("host=127.0.0.1 port={} user={USER} password={PASSWORD}", self.port)
    }

    /// The user that the server runs as, where it is not the one of this process.
    pub(super) fn runs_as(&self) -> Result<Option<String>> {
        Ok(Owner::of_this_process()?.0.map(|owner| owner.name))
    }

    /// Where it listens over TCP.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The URL of a database over the socket.
    pub fn socket_url(&self, database: &str) -> String {
        format!("postgres://{USER}@/{database}?host={}&port={}", self.folder.path().display(), self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What psql prints for `sql`, unaligned and without headings.
    ///
    /// # Errors
    /// The server refuses, with its words.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = tools::command("psql")?;
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", database, "-h"]);
        psql.arg(self.folder.path()).args(["-p", &self.port.to_string(), "-c", sql]);
        tools::run(&mut psql).map(|out| out.trim_end().to_owned())
    }
}

impl Server {
    fn end(&mut self, signal: Signal) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signalled(signal, END_WITHIN)?;
        }
        if let Some((stop, keeper)) = self.keeper.take() {
            drop(stop);
            keeper.join().map_err(|_| anyhow!("the keeper of the server panicked"))?;
        }
        Ok(())
    }
}

/// In order, so that nothing stays behind in the system's shared memory.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.end(Signal::QUIT);
    }
}

fn launch(folder: &Path, port: u16) -> Result<Process> {
    let mut command = Owner::of_this_process()?.command("postgres")?;
    command
        .current_dir(folder)
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=on"])
        .args(["-c", "shared_buffers=64MB", "-c", "max_connections=200"])
        .arg("-c")
        .arg(format!("unix_socket_directories={}", folder.display()));
    Process::start(&mut command, &folder.join("server.log"))
}

/// A folder that the server's user can reach: the one for temporary files may be in a place of root's own.
fn folder() -> Result<TempDir> {
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("landfall-postgres-");
        builder
    };
    Ok(if rustix::process::geteuid().is_root() {
        builder().tempdir_in("/tmp")?
    } else {
        builder().tempdir()?
    })
}

/// Who the server runs as: PostgreSQL refuses root.
struct Owner(Option<User>);

struct User {
    name: String,
    user: u32,
    group: u32,
}

impl Owner {
    fn of_this_process() -> Result<Owner> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Owner(None));
        }
        let users = fs::read_to_string("/etc/passwd")?;
        let ids = |name: &str| {
            let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut parts = line.split(':').skip(2).map_while(|id| id.parse().ok());
            Some(User { name: name.to_owned(), user: parts.next()?, group: parts.next()? })
        };
        let found = ids("postgres").or_else(|| ids("nobody"));
        Ok(Owner(Some(found.context("PostgreSQL refuses root, and there is no user postgres or nobody")?)))
    }

    fn give(&self, paths: &[&Path]) -> Result<()> {
        let Some(User { user, group, .. }) = &self.0 else { return Ok(()) };
        paths.iter().try_for_each(|path| Ok(chown(path, Some(*user), Some(*group))?))
    }

    fn command(&self, program: &str) -> Result<Command> {
        let program = find_program(program).with_context(|| format!("this machine lacks {program}"))?;
        let Some(User { user, group, .. }) = &self.0 else { return Ok(tools::dying_with_parent(program)) };
        let mut command = tools::command("setpriv")?;
        command.args(["--reuid", &user.to_string(), "--regid", &group.to_string(), "--clear-groups"]);
        // Behind the change of the user, which would take the signal away.
        command.args(["--", "setpriv", "--pdeathsig", "KILL", "--"]).arg(program);
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_postgres_answers_and_keeps_what_was_committed_over_a_kill() {
        let name =
            "servers::postgres::tests::a_private_postgres_answers_and_keeps_what_was_committed_over_a_kill";
        if Postgres::find().is_none() {
            return skipped(name, "this machine has no postgres");
        }
        let postgres = Postgres::start().unwrap();
        let database = postgres.new_database().unwrap();
        postgres.psql(&database, "CREATE TABLE t AS SELECT 7 AS n").unwrap();
        assert_eq!(postgres.psql(&database, "SHOW fsync").unwrap(), "on");
        postgres.kill9().unwrap();
        assert!(postgres.psql(&database, "SELECT 1").is_err());
        postgres.restart().unwrap();
        assert_eq!(postgres.psql(&database, "SELECT n FROM t").unwrap(), "7");
    }
}
