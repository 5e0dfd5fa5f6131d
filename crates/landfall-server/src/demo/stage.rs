//! The demo's own server process, its temporary directory and its database; all of it goes away, whatever happens.
//! It must never leave a process behind, and never a borrowed database changed.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::client::Client;
use crate::config::{ClientTls, ServerAddress};
use crate::failure::{FINDING, Failure, UNAVAILABLE};
use crate::sample::airport::{Airport, DEFAULT_SEED, Scale};
use crate::sample::borrowed::{BorrowError, Borrowed};
use crate::sample::sqlite::load_file;

/// How long a server may take to start or to stop.
const PROCESS_TIMEOUT: Duration = Duration::from_secs(10);
/// How often to look whether it has.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Which database the demo works on.
pub(super) enum Sample {
    /// One of its own, with the airport in it.
    Airport,
    /// One of its own, empty.
    Empty,
    /// A user's.
    Borrowed(PathBuf),
}

/// Everything that has to be cleaned up. Shared with the thread that waits for Ctrl-C.
pub(super) struct Stage {
    inner: Mutex<Option<Inner>>,
    interrupted: AtomicBool,
    pub(super) database: PathBuf,
    pub(super) is_borrowed: bool,
}

struct Inner {
    folder: TempDir,
    server: Option<Child>,
    sample: Option<Borrowed>,
}

impl Stage {
    /// Makes the directory and the database; starts nothing.
    pub(super) fn build(sample: Sample) -> Result<Stage> {
        let folder = tempfile::Builder::new().prefix("landfall-demo-").tempdir();
        let folder = folder.context("cannot make a temporary directory")?;
        let own = folder.path().join("airport.db");
        let (database, is_borrowed, has_airport) = match sample {
            Sample::Airport => {
                load_file(&own, &Airport::new(Scale::Tiny, DEFAULT_SEED), &mut |_| ())?;
                (own, false, true)
            }
            Sample::Empty => (own, false, false),
            // The server has its own working directory.
            Sample::Borrowed(path) => (std::path::absolute(path)?, true, true),
        };
        let mut config = String::new();
        let mut sample = None;
        if has_airport {
            config.push_str("[table.flight]\naudit = \"flight_log\"\n");
            let opened = Borrowed::open(&database);
            sample = Some(opened.map_err(|error| {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                let place = database.display();
                let code = if matches!(error, BorrowError::Database(_) | BorrowError::NoFile) {
                    UNAVAILABLE
                } else {
                    FINDING
                };
                Failure::new(code, format!("sqlite:{place}: {error}{}", cause.unwrap_or_default()))
            })?);
        }
        std::fs::write(folder.path().join("landfall.toml"), config)?;
        let inner = Mutex::new(Some(Inner { folder, server: None, sample }));
        Ok(Stage { inner, interrupted: AtomicBool::new(false), database, is_borrowed })
    }

    /// Starts the server and waits until clients can connect. Returns its address and how long it took.
    pub(super) fn start(&self) -> Result<(ServerAddress, Duration)> {
        let mut inner = self.lock();
        let inner = inner.as_mut().context("the demo is being cleaned up")?;
        let folder = inner.folder.path().to_owned();
        let port_file = folder.join("port");
        if port_file.exists() {
            std::fs::remove_file(&port_file)?;
        }
        let begun = Instant::now();
        let server =
            inner.server.insert(command(&folder, &self.database)?.spawn().context("cannot start a server")?);
        loop {
            if let Ok(text) = std::fs::read_to_string(&port_file) {
                let address = ServerAddress::reaching_place(text.trim());
                return Ok((address.context("the server wrote no address")?, begun.elapsed()));
            }
            if let Some(status) = server.try_wait()? {
                let said = last_words(&folder);
                return Err(
                    Failure::new(UNAVAILABLE, format!("the demo's server ended ({status}): {said}")).into()
                );
            }
            if begun.elapsed() > PROCESS_TIMEOUT {
                let said = last_words(&folder);
                return Err(
                    Failure::new(UNAVAILABLE, format!("the demo's server does not start: {said}")).into()
                );
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// A panic of the other thread must not keep this one from cleaning up.
    fn lock(&self) -> MutexGuard<'_, Option<Inner>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the server's process.
    pub(super) fn pid(&self) -> Option<u32> {
        self.lock().as_ref().and_then(|inner| inner.server.as_ref().map(Child::id))
    }

    /// Kills the server with signal 9.
    pub(super) fn kill(&self) -> Result<()> {
        let mut inner = self.lock();
        if let Some(mut server) = inner.as_mut().and_then(|inner| inner.server.take()) {
            server.kill()?;
            server.wait()?;
        }
        Ok(())
    }

    /// Looks into the sample, past the server.
    pub(super) fn sample<T>(&self, look: impl FnOnce(&mut Borrowed) -> Result<T>) -> Result<T> {
        let mut inner = self.lock();
        let sample = inner.as_mut().and_then(|inner| inner.sample.as_mut());
        look(sample.context("the demo is being cleaned up")?)
    }

    /// Connects to the server.
    pub(super) fn connect(&self, address: &ServerAddress) -> Result<Client> {
        let mut client = Client::connect(address, &ClientTls::default(), None).map_err(Failure::from)?;
        client.set_timeout(PROCESS_TIMEOUT);
        Ok(client)
    }

    /// Cleans up and ends the process: somebody pressed Ctrl-C.
    pub(super) fn interrupt(&self, code: i32) -> ! {
        self.interrupted.store(true, Ordering::SeqCst);
        if let Err(error) = self.clean_up() {
            eprintln!("landfall: cleaning up after the demo: {error:#}");
        }
        std::process::exit(code)
    }

    /// After an interruption whatever went wrong is only its consequence: the process ends by itself.
    pub(super) fn stop_if_interrupted(&self) {
        while self.interrupted.load(Ordering::SeqCst) {
            std::thread::park();
        }
    }

    /// Ends the server, puts a borrowed database back and removes the directory. Does nothing the second time.
    /// Returns whether a borrowed database reads as before; none if there is none.
    pub(super) fn clean_up(&self) -> Result<Option<bool>> {
        // Held to the end, so that nobody ends the process while another thread still cleans up.
        let mut guard = self.lock();
        let Some(mut inner) = guard.take() else { return Ok(None) };
        if let Some(server) = inner.server.take() {
            stop(server)?;
        }
        let borrowed = inner.sample.filter(|_| self.is_borrowed);
        let put_back = borrowed.map(|sample| sample.put_back()).transpose()?;
        inner.folder.close().context("cannot remove the temporary directory")?;
        Ok(put_back)
    }
}

/// Cleans up when the demo ends in a way that nobody planned.
pub(super) struct CleanUp<'s>(pub(super) &'s Stage);

impl Drop for CleanUp<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.clean_up() {
            eprintln!("landfall: cleaning up after the demo: {error:#}");
        }
    }
}

/// The same executable as this one, in the directory. Its own process group, so that Ctrl-C reaches the demo alone and
/// the demo can put things in order first; should the demo be killed, the server ends with it.
fn command(folder: &Path, database: &Path) -> Result<Command> {
    let output = || File::options().create(true).append(true).open(folder.join("server.log"));
    let mut command = Command::new(std::env::current_exe().context("cannot find this executable")?);
    let mut url = std::ffi::OsString::from("sqlite:");
    url.push(database);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--exit-with-parent", "--config", "landfall.toml"])
        .args(["--data-dir", "data", "--port-file", "port", "--database"])
        .arg(url)
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(output()?)
        .stderr(output()?);
    // The demo shows the defaults, whatever this shell has set for another server.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("LANDFALL_")) {
            command.env_remove(name);
        }
    }
    Ok(command)
}

fn stop(mut server: Child) -> Result<()> {
    let pid = i32::try_from(server.id()).ok().and_then(rustix::process::Pid::from_raw);
    let begun = Instant::now();
    if let Some(pid) = pid {
        // It may have ended already.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    while server.try_wait()?.is_none() {
        if begun.elapsed() > PROCESS_TIMEOUT {
            server.kill()?;
            server.wait()?;
            break;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// The end of what the server said.
fn last_words(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
}
