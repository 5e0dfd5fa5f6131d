//! `landfall serve`: opens the log, the database and the engine, runs the front, and closes everything in order.
//! What stays in the log at the end is said, and the process ends with 0 when it was asked to end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use landfall::buffer::log::Log;
use landfall::buffer::log::local::{LocalLog, LocalLogSettings};
use landfall::engine::status::loss_in_words;
use landfall::engine::{Engine, OpenError, Opened, Remaining};
use landfall::env::{self, Env};
use landfall::error::{LogError, SinkError};
use landfall::lander::Phase;
use landfall::lander::notes::{has_database, missing_database};
use landfall::settings::Settings;
use signal_hook::consts;

use crate::admin_token;
use crate::config::{DatabaseUrl, ServerAddress};
use crate::database;
use crate::front::settings::FrontSettings;
use crate::front::shared::{Post, Shared};
use crate::front::users::Users;
use crate::front::{Front, FrontError, Reopen};
use crate::wrap::{all_landed, wrapped};

/// What `serve` needs.
#[derive(Clone)]
pub struct ServeOptions {
    /// Where to listen, and how much clients may take.
    pub front: FrontSettings,
    /// Where rows land.
    pub database: DatabaseUrl,
    /// The settings of the engine.
    pub settings: Settings,
    /// Who may come in, besides whoever can read the admin token.
    pub users: Users,
    /// How long to go on landing after SIGTERM.
    pub drain: Duration,
    /// Where to write `host:port` once the server is ready.
    pub port_file: Option<PathBuf>,
    /// End when the process that started this one ends.
    pub exit_with_parent: bool,
    /// Say nothing at the start.
    pub quiet: bool,
}

/// Says a line to whoever started the server; a reader that went away is no reason to end.
macro_rules! say {
    ($($line:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($line)*)));
    }};
}

/// Why `serve` ended badly: the exit code, and a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct ServeError {
    /// 69 unavailable, 78 configuration, 1 anything else.
    pub code: u8,
    /// What, why, and what to do.
    pub sentence: String,
}

const UNAVAILABLE: u8 = 69;
const CONFIG: u8 = 78;

impl From<OpenError> for ServeError {
    fn from(error: OpenError) -> ServeError {
        let code = match &error {
            OpenError::Settings(_) | OpenError::Table(_) => CONFIG,
            _ => UNAVAILABLE,
        };
        ServeError { code, sentence: error.to_string() }
    }
}

impl From<LogError> for ServeError {
    fn from(error: LogError) -> ServeError {
        ServeError { code: UNAVAILABLE, sentence: error.to_string() }
    }
}

impl From<SinkError> for ServeError {
    fn from(error: SinkError) -> ServeError {
        ServeError { code: UNAVAILABLE, sentence: error.to_string() }
    }
}

impl From<FrontError> for ServeError {
    fn from(error: FrontError) -> ServeError {
        let advice = match &error {
            FrontError::Listen { cause, .. } if cause.kind() == std::io::ErrorKind::AddrInUse => {
                ". Is another server running there? Choose another place with --listen or --unixsocket"
            }
            FrontError::Listen { .. } => ". Choose another place with --listen or --unixsocket",
            FrontError::Poll(_) | FrontError::Tls(_) => "",
        };
        let code = if matches!(error, FrontError::Tls(_)) { CONFIG } else { UNAVAILABLE };
        ServeError { code, sentence: format!("{error}{advice}") }
    }
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// [`ServeError`] with the exit code.
pub fn run(options: &ServeOptions) -> Result<(), ServeError> {
    if options.exit_with_parent {
        end_with_parent()?;
    }
    let env = env::real();
    let reopen: Reopen = {
        let (options, env) = (options.clone(), env.clone());
        Box::new(move |engine, shared| reopen(&options, &env, engine, shared.clone()))
    };
    let front = Front::new(&options.front, reopen)?;
    let shared = front.shared().clone();
    let is_missing = |file: &Path| !file.exists();
    let is_new = options.database.file().is_some_and(is_missing);
    let (engine, opened) = open(options, &env, &shared)?;
    let_in(options, &shared)?;
    stop_on_signals(&shared)?;
    greet(options, &engine, (&opened, is_new), &shared);
    if let Some(path) = &options.port_file {
        announce(path, shared.listen())?;
    }
    env::failpoint::reach("serve.ready");
    let ended = front.run(Arc::new(engine)).map_err(|error| ServeError {
        code: 1,
        sentence: format!("the event loop failed: {error}. Everything acknowledged is in the log"),
    })?;
    if let Some(reason) = ended.failed {
        return Err(ServeError { code: 1, sentence: reason });
    }
    let Some(engine) = ended.engine else {
        // Whoever opens the engine anew is not waited for: it may wait for a database that is locked or gone.
        say!(
            "landfall: ended while the tables were being read again; what has not landed is in the log and lands after the next start"
        );
        return Ok(());
    };
    let remaining = engine.close(options.drain)?;
    farewell(&remaining, engine.parked().count);
    Ok(())
}

/// Says who may come in. The log is open and the data directory ours, so the admin token can lie there.
fn let_in(options: &ServeOptions, shared: &Shared) -> Result<(), ServeError> {
    let data_dir = &options.settings.data_dir;
    let admin = admin_token::user(data_dir).map_err(|error| ServeError {
        code: UNAVAILABLE,
        sentence: format!("the admin token {}: {error}", data_dir.join(admin_token::FILE).display()),
    })?;
    shared.let_in(options.users.clone().with(admin));
    Ok(())
}

/// Opens the log, the database and the engine.
fn open(options: &ServeOptions, env: &Env, shared: &Arc<Shared>) -> Result<(Engine, Opened), ServeError> {
    let settings = &options.settings;
    let problems = settings.problems();
    if !problems.is_empty() {
        return Err(OpenError::Settings(problems).into());
    }
    let (log, recovery) = LocalLog::open(env.clone(), &settings.data_dir, LocalLogSettings::from(settings))?;
    if recovery.torn_bytes > 0 {
        eprintln!(
            "landfall: the log ended in {} bytes that were never acknowledged as durable; they were cut and kept in {}",
            recovery.torn_bytes,
            settings.data_dir.join("quarantine").display()
        );
    }
    for incident in LocalLog::incidents(env, &settings.data_dir)? {
        if incident.acknowledged_ms.is_none() {
            let (kind, what) = (incident.kind.name(), &incident.what);
            eprintln!(
                "landfall: an incident that nobody has acknowledged: {kind}: {what}; see `landfall incidents list`"
            );
        }
    }
    let log: Arc<dyn Log> = Arc::new(log);
    if options.database.file().is_some_and(|file| !file.exists())
        && let Some(refused) = missing_database(&*log, &options.database.to_string())?
    {
        return Err(refused.into());
    }
    // A file that went away must not be made anew, empty.
    let database = database::open(&options.database, has_database(&*log)?)?;
    let stop = shared.clone();
    let on_failure = Arc::new(move |thread: &str| {
        // A thread that is gone would let rows wait for ever unseen: better end and recover.
        stop.post(Post::Failed(format!("the thread {thread} panicked; the next start recovers")));
    });
    // The front opens the engine anew when it says so.
    let settings = Settings { compares_tables: true, ..settings.clone() };
    Ok(Engine::open(env.clone(), settings, log, database, on_failure)?)
}

/// How long what is pending may land before the tables are read again: nobody is served meanwhile. A held group lands
/// nothing by itself, and most often it is held for what the reload is to repair.
fn drain_before_reload<'a>(mut phases: impl Iterator<Item = &'a Phase>) -> Duration {
    let is_held = phases.any(|phase| matches!(phase, Phase::Held { .. }));
    if is_held { Duration::ZERO } else { Duration::from_secs(5) }
}

/// Closes the engine and opens it anew, so that it reads the tables again. Without the database it serves what is known.
fn reopen(options: &ServeOptions, env: &Env, engine: Arc<Engine>, shared: Arc<Shared>) {
    let (mut options, env) = (options.clone(), env.clone());
    options.settings.paused = engine.paused();
    // One that was opened without the database and does not fit it lands nothing any more.
    let drain = match engine.is_outdated() {
        true => Duration::ZERO,
        false => drain_before_reload(engine.status().groups.iter().map(|group| &group.status.phase)),
    };
    let failed = shared.clone();
    let work = move || {
        // What does not land now stays in the log and is owed by the new engine.
        if let Err(error) = engine.close(drain) {
            return shared.post(Post::Failed(error.to_string()));
        }
        drop(engine);
        loop {
            match open(&options, &env, &shared) {
                Ok((engine, _)) => return shared.post(Post::Reloaded(Arc::new(engine))),
                Err(error) => eprintln!("landfall: reading the tables again failed: {error}; trying again"),
            }
            if shared.is_stopping() {
                return;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    };
    if let Err(error) = std::thread::Builder::new().name("landfall-reload".into()).spawn(work) {
        // The engine is gone with the thread: nobody could be served.
        failed.post(Post::Failed(format!("cannot start a thread to read the tables again: {error}")));
    }
}

fn end_with_parent() -> Result<(), ServeError> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).map_err(|error| {
        ServeError { code: 1, sentence: format!("cannot follow the end of the parent process: {error}") }
    })
}

/// SIGTERM and SIGINT end the server in order; a second one ends it at once, which is as safe as a crash. SIGHUP has the
/// tables read again.
fn stop_on_signals(shared: &Arc<Shared>) -> Result<(), ServeError> {
    let failed =
        |error: std::io::Error| ServeError { code: 1, sentence: format!("cannot handle signals: {error}") };
    let mut signals = signal_hook::iterator::Signals::new([consts::SIGTERM, consts::SIGINT, consts::SIGHUP])
        .map_err(failed)?;
    let shared = shared.clone();
    let work = move || {
        let mut ending = false;
        for signal in signals.forever() {
            if signal == consts::SIGHUP {
                shared.post(Post::Reload);
                continue;
            }
            if std::mem::replace(&mut ending, true) {
                eprintln!("landfall: ending at once; what has not landed stays in the log");
                std::process::exit(1);
            }
            shared.stop();
        }
    };
    std::thread::Builder::new().name("landfall-signals".into()).spawn(work).map_err(failed)?;
    Ok(())
}

/// Writes `host:port` so that whoever waits for it sees the whole line or none.
fn announce(path: &std::path::Path, listen: &str) -> Result<(), ServeError> {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, format!("{listen}\n")).and_then(|()| std::fs::rename(&draft, path)).map_err(
        |error| ServeError { code: 1, sentence: format!("cannot write {}: {error}", path.display()) },
    )
}

fn greet(options: &ServeOptions, engine: &Engine, (opened, is_new): (&Opened, bool), shared: &Shared) {
    if options.quiet {
        return;
    }
    let settings = &options.settings;
    say!("Landfall {}", env!("CARGO_PKG_VERSION"));
    say!("  listens on    {}", wrapped(&shared.listens.join(", "), 16));
    say!("  log           {}", settings.data_dir.display());
    // A name with a slip in it makes a file too.
    let new = if is_new { " (a new file)" } else { "" };
    say!("  database      {}{new}", engine.status().database);
    match opened.tables.len() {
        0 => say!("  tables        none yet; every key is a key-value key"),
        count => say!("  tables        {}", wrapped(&format!("{count}: {}", opened.tables.join(", ")), 16)),
    }
    for table in &opened.unmapped {
        say!("  not mapped    {}", wrapped(&format!("{}: {}", table.table, table.reason), 16));
    }
    for warning in engine.status().warnings {
        say!("  WARNING       {warning}");
    }
    if opened.database_away {
        say!(
            "  WARNING       {}",
            wrapped(
                "the database does not answer: what is in the log is served, writes are taken, and nothing lands before it is there; see landfall status",
                16
            )
        );
    }
    if opened.owed_changes > 0 {
        say!("  recovered     {} changes that had not landed; they land next", opened.owed_changes);
    }
    say!("  can be lost   {}", loss_in_words(settings.fsync));
    // Without a URL it would be another server, if there is one at the usual address.
    let url = match ServerAddress::reaching_place(shared.listen()) {
        Some(reached) if !reached.is_default() => format!("--url {reached} "),
        _ => String::new(),
    };
    say!("  try           landfall cli {url}SET user:1:name Alice");
}

fn farewell(remaining: &Remaining, dead_letters: u64) {
    match remaining.changes {
        0 => say!("landfall: {}", all_landed(dead_letters)),
        changes => {
            say!(
                "landfall: {changes} changes have not landed; they are in the log and land after the next start"
            );
            for (group, reason) in &remaining.reasons {
                say!("landfall: {group}: {reason}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_does_not_wait_for_a_group_that_is_held() {
        let held = Phase::Held { until: Duration::from_secs(9) };
        assert_eq!(drain_before_reload([&Phase::Idle, &held].into_iter()), Duration::ZERO);
        assert!(!drain_before_reload([&Phase::Idle, &Phase::Paused].into_iter()).is_zero());
    }
}
