//! A private redis-server, for comparisons: nothing is saved but the append-only file, in a temporary folder.
//! It must never be needed by a test that has to be green on a machine without it.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::process::Process;
use crate::client::Client;
use crate::skipping::find_program;
use crate::tools;

const READY_WITHIN: Duration = Duration::from_secs(20);
const REPLY_WITHIN: Duration = Duration::from_secs(30);

/// When the append-only file is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appendfsync {
    /// Before each reply.
    Always,
    /// Every second.
    Everysec,
    /// When the system likes.
    No,
}

/// A server and its folder.
#[derive(Debug)]
pub struct Redis {
    // Before the folder, so that it is dropped first.
    _process: Process,
    folder: TempDir,
    address: SocketAddr,
}

impl Redis {
    /// The program, if this machine has it.
    pub fn find() -> Option<PathBuf> {
        find_program("redis-server")
    }

    /// Starts a server. `flags` are added to the command line.
    ///
    /// # Errors
    /// There is no redis-server on this machine, or it does not get ready.
    pub fn start(appendfsync: Appendfsync, flags: &[&str]) -> Result<Redis> {
        let program = Redis::find().context("this machine has no redis-server (package redis-server)")?;
        let folder = tempfile::Builder::new().prefix("landfall-redis-").tempdir()?;
        // Redis takes no port 0. Another process may take the port in between; then the start fails and says so.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let policy = match appendfsync {
            Appendfsync::Always => "always",
            Appendfsync::Everysec => "everysec",
            Appendfsync::No => "no",
        };
        let mut command = tools::dying_with_parent(program);
        command
            .current_dir(folder.path())
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", policy, "--dir"])
            .arg(folder.path())
            .args(flags);
        let mut process = Process::start(&mut command, &folder.path().join("server.log"))?;
        process
            .wait_ready(READY_WITHIN, || Client::connect(address, REPLY_WITHIN).ok()?.call(&["PING"]).ok())?;
        Ok(Redis { _process: process, folder, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder of its files.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A new connection.
    ///
    /// # Errors
    /// The server refuses.
    pub fn connect(&self) -> Result<Client> {
        Client::connect(self.address, REPLY_WITHIN).context("cannot connect to redis-server")
    }
}

#[cfg(test)]
mod tests {
    use landfall_resp::Value;

    use super::*;
    use crate::skipping::program_or_skip;

    #[test]
    fn a_private_redis_answers_and_is_gone_with_its_owner() {
        let name = "servers::redis::tests::a_private_redis_answers_and_is_gone_with_its_owner";
        if program_or_skip(name, "redis-server").is_none() {
            return;
        }
        let redis = Redis::start(Appendfsync::Everysec, &[]).unwrap();
        let mut client = redis.connect().unwrap();
        assert_eq!(client.call(&["SET", "a", "1"]).unwrap(), Value::Simple(b"OK".to_vec()));
        assert_eq!(client.call(&["INCR", "a"]).unwrap(), Value::Integer(2));
        let address = redis.address();
        drop(redis);
        assert!(Client::connect(address, REPLY_WITHIN).is_err());
    }
}
