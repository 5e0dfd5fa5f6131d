//! A private Landfall server over a SQLite file, that can be killed and started again on the same data.
//! It must never be ready before the server said so.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::postgres::Postgres;
use super::process::{Process, tail_of};
use crate::client::Client;

/// A debug build on a busy machine, with a log to replay.
const READY_WITHIN: Duration = Duration::from_secs(60);
const END_WITHIN: Duration = Duration::from_secs(60);
const REPLY_WITHIN: Duration = Duration::from_secs(30);

/// How a server is started.
#[derive(Debug, Clone)]
pub struct LandfallOptions {
    /// The program; see [`LandfallOptions::new`].
    pub binary: PathBuf,
    /// `--fsync`.
    pub fsync: String,
    /// The text of the configuration file, for settings without a flag.
    pub config: String,
    /// A program and its arguments, which gets the server's command line behind them and becomes the server.
    pub wrapper: Vec<OsString>,
    /// The data directory, when it is not in the server's own folder.
    pub data_dir: Option<PathBuf>,
    /// The SQLite file, when it is not in the server's own folder.
    pub database: Option<PathBuf>,
    /// A PostgreSQL in the place of a SQLite file, and the database there.
    pub postgres: Option<(Arc<Postgres>, String)>,
    /// Where the server finds that PostgreSQL, when something stands before it.
    pub postgres_at: Option<SocketAddr>,
}

impl LandfallOptions {
    /// The program in the variable `LANDFALL_BIN`, else `binary`, with `--fsync always`.
    pub fn new(binary: impl Into<PathBuf>) -> LandfallOptions {
        LandfallOptions::of(std::env::var_os("LANDFALL_BIN").map_or_else(|| binary.into(), PathBuf::from))
    }

    /// This program and no other, with `--fsync always`.
    pub fn of(binary: PathBuf) -> LandfallOptions {
        LandfallOptions {
            binary,
            fsync: "always".to_owned(),
            config: String::new(),
            wrapper: Vec::new(),
            data_dir: None,
            database: None,
            postgres: None,
            postgres_at: None,
        }
    }
}

/// A server and its folder.
#[derive(Debug)]
pub struct Landfall {
    options: LandfallOptions,
    folder: Option<TempDir>,
    path: PathBuf,
    process: Option<Process>,
    address: Option<SocketAddr>,
}

impl Landfall {
    /// A new folder with an empty place for the database; starts nothing yet.
    ///
    /// # Errors
    /// No folder can be made.
    pub fn prepare(options: LandfallOptions) -> Result<Landfall> {
        let folder = tempfile::Builder::new().prefix("landfall-").tempdir()?;
        let path = folder.path().to_owned();
        fs::write(path.join("landfall.toml"), &options.config)?;
        Ok(Landfall { options, folder: Some(folder), path, process: None, address: None })
    }

    /// [`prepare`](Landfall::prepare) and [`restart`](Landfall::restart).
    ///
    /// # Errors
    /// The server does not get ready; the error shows what it said.
    pub fn start(options: LandfallOptions) -> Result<Landfall> {
        let mut server = Landfall::prepare(options)?;
        server.restart()?;
        Ok(server)
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        &self.path
    }

    /// The SQLite file.
    pub fn database(&self) -> PathBuf {
        self.options.database.clone().unwrap_or_else(|| self.path.join("rows.db"))
    }

    /// The PostgreSQL, if there is one in the place of the file, and the database there.
    pub fn postgres(&self) -> Option<(&Postgres, &str)> {
        self.options.postgres.as_ref().map(|(server, name)| (&**server, name.as_str()))
    }

    /// Another PostgreSQL has taken the place of the one of before, at the same address.
    pub fn set_postgres(&mut self, server: Arc<Postgres>) {
        if let Some(place) = &mut self.options.postgres {
            place.0 = server;
        }
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.options.data_dir.clone().unwrap_or_else(|| self.path.join("data"))
    }

    /// What the server said so far, all starts together.
    pub fn words(&self) -> PathBuf {
        self.path.join("server.log")
    }

    /// Changes the policy for the next start.
    pub fn set_fsync(&mut self, fsync: &str) {
        fsync.clone_into(&mut self.options.fsync);
    }

    /// Changes the wrapper for the next start.
    pub fn set_wrapper(&mut self, wrapper: Vec<OsString>) {
        self.options.wrapper = wrapper;
    }

    /// Where the server listens, while it runs.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// A new connection.
    ///
    /// # Errors
    /// The server does not run, or refuses.
    pub fn connect(&self) -> Result<Client> {
        let address = self.address.context("the server does not run")?;
        Client::connect(address, REPLY_WITHIN).with_context(|| self.said("cannot connect"))
    }

    /// Starts the process and does not wait until it is ready.
    ///
    /// # Errors
    /// It runs already, or cannot be started.
    pub fn launch(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("the server runs already");
        }
        self.process = Some(self.process("port", &self.words())?);
        Ok(())
    }

    /// Starts the process and waits until it is ready; returns where it listens.
    ///
    /// # Errors
    /// It runs already, or does not get ready.
    pub fn restart(&mut self) -> Result<SocketAddr> {
        self.launch()?;
        let port = self.path.join("port");
        let process = self.process.as_mut().context("just started")?;
        let address =
            process.wait_ready(READY_WITHIN, || fs::read_to_string(&port).ok()?.trim().parse().ok())?;
        self.address = Some(address);
        Ok(address)
    }

    /// Kills the process with -9.
    ///
    /// # Errors
    /// It had ended by itself before.
    pub fn kill9(&mut self) -> Result<()> {
        self.address = None;
        let mut process = self.process.take().context("the server does not run")?;
        if !process.kill9()? {
            bail!(self.said("the server had ended by itself"));
        }
        Ok(())
    }

    /// Sees to it that the process has ended: kills it with -9, unless it had ended by itself. How it ended.
    ///
    /// # Errors
    /// It does not run.
    pub fn end(&mut self) -> Result<ExitStatus> {
        self.address = None;
        let mut process = self.process.take().context("the server does not run")?;
        process.kill9()?;
        process.wait(END_WITHIN)
    }

    /// How the process ended by itself, if it did.
    ///
    /// # Errors
    /// It does not run.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.as_mut().context("the server does not run")?.ended()
    }

    /// Asks the process to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.address = None;
        let mut process = self.process.take().context("the server does not run")?;
        process.terminate(END_WITHIN)
    }

    /// Starts a second process on the same data and waits for its end: how it ended, and what it said.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn start_another(&self) -> Result<(ExitStatus, String)> {
        let words = self.path.join("another.log");
        let mut process = self.process("another-port", &words)?;
        let status = process.wait(END_WITHIN)?;
        Ok((status, tail_of(&words)))
    }

    /// A message, and what the server said last.
    pub fn said(&self, message: &str) -> String {
        format!("{message}; the server said:\n{}", tail_of(&self.words()))
    }

    /// Keeps the folder for a look at it; returns where it is.
    pub fn keep(&mut self) -> PathBuf {
        if let Some(folder) = self.folder.take() {
            return folder.keep();
        }
        self.path.clone()
    }

    fn process(&self, port_file: &str, words: &Path) -> Result<Process> {
        let port = self.path.join(port_file);
        // A port of an earlier start would be taken for the new one.
        match fs::remove_file(&port) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let database = match &self.options.postgres {
            Some((server, name)) => {
                server.url_at(name, self.options.postgres_at.unwrap_or_else(|| server.address()))
            }
            None => format!("sqlite:{}", self.database().display()),
        };
        let mut line = self.options.wrapper.iter().cloned().chain([self.options.binary.clone().into()]);
        let mut command = Command::new(line.next().context("no program")?);
        command.args(line);
        // What the person who runs the tests has set for a server of theirs is not for this one.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"LANDFALL_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(&self.path)
            .args(["serve", "--listen", "127.0.0.1:0", "--exit-with-parent", "--database", &database])
            .arg("--port-file")
            .arg(&port)
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(["--fsync", &self.options.fsync, "--config"])
            .arg(self.path.join("landfall.toml"));
        Process::start(&mut command, words)
    }
}

/// The process goes before its folder does.
impl Drop for Landfall {
    fn drop(&mut self) {
        self.process = None;
    }
}
