//! A private PgBouncer in transaction mode before a private PostgreSQL: few connections for many clients.
//! It must never be needed by a test that has to be green on a machine without it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::Postgres;
use super::process::Process;
use crate::skipping::find_program;
use crate::tools;

const READY_WITHIN: Duration = Duration::from_secs(20);
/// Connections to PostgreSQL: fewer than Landfall wants, so that each is used by all in turns.
const POOL: u32 = 3;

/// A pooler and its folder.
#[derive(Debug)]
pub struct PgBouncer {
    // Before the folder, so that it is dropped first.
    _process: Process,
    _folder: TempDir,
    address: SocketAddr,
}

impl PgBouncer {
    /// Starts a pooler before every database of `postgres`.
    ///
    /// # Errors
    /// There is no pgbouncer on this machine, or it does not get ready.
    pub fn start(postgres: &Postgres) -> Result<PgBouncer> {
        let program =
            find_program("pgbouncer").context("this machine has no pgbouncer (package pgbouncer)")?;
        let folder = tempfile::Builder::new().prefix("landfall-pgbouncer-").tempdir_in("/tmp")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let path = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = {}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = {POOL}\nmax_client_conn = 200\n\
             server_login_retry = 1\n",
            postgres.conninfo()
        );
        fs::write(&path, text)?;
        postgres.own(folder.path())?;
        postgres.own(&path)?;
        let mut command = tools::dying_with_parent(program);
        // It refuses to run as root.
        if let Some(user) = postgres.runs_as()? {
            command.args(["-u", &user]);
        }
        command.arg(&path);
        let mut process = Process::start(&mut command, &folder.path().join("server.log"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        process.wait_ready(READY_WITHIN, || TcpStream::connect(address).ok())?;
        Ok(PgBouncer { _process: process, _folder: folder, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
