//! Starts the real binary for the end-to-end tests, in a directory of its own; no server outlives its test.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use landfall_resp::Value;
use landfall_sim::client::Client;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// A condition that does not come within this time will not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The binary under test: `LANDFALL_BIN`, or the one that cargo built for this test.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("LANDFALL_BIN").map_or_else(|| env!("CARGO_BIN_EXE_landfall").into(), PathBuf::from)
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        Ended {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A directory to run commands in.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LANDFALL_") {
                command.env_remove(name);
            }
        }
        command.args(args).current_dir(self.path()).env("TMPDIR", self.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.command(args).output().unwrap().into()
    }

    /// Starts a server and waits until clients can connect.
    pub(crate) fn serve(&self, args: &[&str]) -> Server<'_> {
        self.serve_with(args, &[])
    }

    pub(crate) fn serve_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Server<'_> {
        self.serve_by(&[], args, variables)
    }

    /// Starts a server by a command that gets its words behind its own.
    pub(crate) fn serve_by(&self, wrapper: &[&str], args: &[&str], variables: &[(&str, &str)]) -> Server<'_> {
        let args = [&["--listen", "127.0.0.1:0"], args].concat();
        self.start(wrapper, &args, variables)
    }

    /// Starts a server where its settings file says.
    pub(crate) fn serve_at(&self, args: &[&str]) -> Server<'_> {
        self.start(&[], args, &[])
    }

    fn start(&self, wrapper: &[&str], args: &[&str], variables: &[(&str, &str)]) -> Server<'_> {
        let port_file = self.path().join("port");
        let _ = std::fs::remove_file(&port_file);
        let log = std::fs::File::options().create(true).append(true).open(self.path().join("log")).unwrap();
        let fixed = ["serve", "--exit-with-parent", "--port-file", "port"];
        let mut command = self.command(&fixed);
        if let [program, rest @ ..] = wrapper {
            let mut wrapped = Command::new(program);
            wrapped.args(rest).arg(binary()).args(fixed).current_dir(self.path()).stdin(Stdio::null());
            command = wrapped;
        }
        let process = command
            .args(args)
            .envs(variables.iter().copied())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Server { place: self, process, address: String::new() };
        wait_until("the server is ready", || {
            assert!(server.process.try_wait().unwrap().is_none(), "the server ended: {}", server.said());
            port_file.exists()
        });
        server.address = std::fs::read_to_string(&port_file).unwrap().trim().to_owned();
        server
    }
}

/// A running server.
pub(crate) struct Server<'p> {
    place: &'p Place,
    process: Child,
    pub(crate) address: String,
}

impl Server<'_> {
    /// Runs a command against this server.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.place.command(args).args(["--url", &self.address]).output().unwrap().into()
    }

    /// Sends one command with `landfall cli`, which has to succeed; returns what it printed.
    pub(crate) fn cli(&self, args: &[&str]) -> String {
        let ended = self.cli_ended(args);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.out.strip_suffix('\n').unwrap().to_owned()
    }

    pub(crate) fn cli_ended(&self, args: &[&str]) -> Ended {
        let all: Vec<&str> = ["--url", &self.address, "cli"].iter().chain(args).copied().collect();
        self.place.command(&all).output().unwrap().into()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> ExitStatus {
        wait_until("the server ends", || self.process.try_wait().unwrap().is_some());
        self.process.wait().unwrap()
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        signal(self.process.id(), Signal::TERM);
        self.process.wait().unwrap()
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Everything that servers in this place have printed.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A client of the server.
pub(crate) fn connect(server: &Server<'_>) -> Client {
    Client::connect(server.address.parse().unwrap(), PATIENCE).unwrap()
}

/// A reply that is a text.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Bulk(text) | Value::Simple(text) | Value::Verbatim { text, .. } => {
            String::from_utf8(text.clone()).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// A reply that is a list of texts.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    let (Value::Array(items) | Value::Set(items)) = value else { panic!("{value:?}") };
    items.iter().map(text).collect()
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

pub(crate) fn is_alive(pid: u32) -> bool {
    // A zombie that its parent has not waited for is still a process; it does nothing any more.
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let is_zombie = state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
    test_kill_process(Pid::from_raw(pid as i32).unwrap()).is_ok() && !is_zombie
}

/// Looks again and again until it is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}
