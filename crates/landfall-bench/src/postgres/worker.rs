//! What teams write by hand: SET and RPUSH into Redis, a worker that pops 500 rows and upserts them, in Python and in Go.
//! It must never be left out in silence: a worker that cannot be had on this machine is named, with the reason.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use landfall_sim::servers::{Appendfsync, Postgres, Redis};
use serde::Serialize;

use super::load::{Acknowledged, command, send};
use super::work::{Item, Keys};

const CONNECTIONS: u64 = 2;

/// In which language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Language {
    Python,
    Go,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    pub(super) acknowledged: Acknowledged,
    /// From the first command until the worker had committed the last row.
    pub(super) seconds: f64,
}

impl Language {
    pub(super) const ALL: [Language; 2] = [Language::Python, Language::Go];

    pub(super) fn name(self) -> &'static str {
        match self {
            Language::Python => "Python (psycopg)",
            Language::Go => "Go (pgx)",
        }
    }

    /// The command that runs the worker; made in `folder`.
    pub(super) fn built(self, folder: &Path) -> Result<Vec<PathBuf>> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("workers");
        match self {
            Language::Python => {
                let venv = folder.join("venv");
                done(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
                let pip = ["-m", "pip", "install", "--quiet", "psycopg[binary]==3.2.9"];
                let python = venv.join("bin/python");
                done(Command::new(&python).args(pip))?;
                Ok(vec![python, sources.join("worker.py")])
            }
            Language::Go => {
                let (built, program) = (folder.join("go"), folder.join("worker"));
                std::fs::create_dir_all(&built)?;
                for file in ["go.mod", "go.sum", "worker.go"] {
                    std::fs::copy(sources.join("go").join(file), built.join(file))?;
                }
                done(Command::new("go").current_dir(&built).args(["build", "-o"]).arg(&program).arg("."))?;
                Ok(vec![program])
            }
        }
    }
}

fn done(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{:?}: {}", command.get_program(), words.lines().last().unwrap_or("it failed"));
    }
    Ok(())
}

/// Writes rows into a fresh Redis while the worker lands them.
pub(super) fn run(
    line: &[PathBuf],
    postgres: &Postgres,
    database: &str,
    (keys, cell, count): (&Keys, u64, u64),
) -> Result<Figures> {
    let redis = Redis::start(Appendfsync::Everysec, &["--auto-aof-rewrite-percentage", "0"])?;
    let (program, arguments) = line.split_first().context("no program")?;
    let child = Command::new(program)
        .args(arguments)
        .args([redis.address().port().to_string(), postgres.socket_url(database), count.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut child = Ending(child);
    let mut words = BufReader::new(child.0.stdout.take().context("no output")?).lines();
    if words.next().transpose()?.as_deref() != Some("ready") {
        bail!("the worker did not get ready");
    }
    let started = Instant::now();
    let acknowledged = send(redis.address(), (CONNECTIONS, 2), 0..count, |number, out| {
        let item = Item::new(keys.at(number), cell);
        let json = format!(
            r#"[{},"{}","{}",{},{},"{}"]"#,
            item.id,
            item.name,
            item.kind,
            item.price,
            item.stock,
            item.changed_text()
        );
        // Both in one transaction of Redis would cost more, and most leave it out; one reply is read for each.
        command(&[b"SET", format!("item:{}", item.id).as_bytes(), json.as_bytes()], out);
        command(&[b"RPUSH", b"queue", json.as_bytes()], out);
    })?;
    words.next().transpose()?.context("the worker ended before it had landed all")?;
    Ok(Figures { acknowledged, seconds: started.elapsed().as_secs_f64() })
}

/// Ends with this process's interest in it.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
