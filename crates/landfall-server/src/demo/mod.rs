//! `landfall demo`: the write-behind pattern, step by step, on a real server process over its own protocol.
//! Every figure is measured on the spot and every step has a check that can fail; nothing is staged.
//!
//! `stage` is the server, its directory and its database, and takes them away again. `walk` is the ten steps,
//! `compare`, `crash` and `poison` some of them, `trace` the short form for one key, `screen` what people see.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::{FINDING, OK};

mod compare;
mod crash;
mod flight;
mod measure;
mod poison;
mod screen;
mod stage;
mod summary;
mod trace;
mod walk;

use screen::Screen;
use stage::{CleanUp, Sample, Stage};

/// What the demo is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The flight that is delayed, unless it is the usual one.
    pub flight: Option<i64>,
    /// Wait for Enter before each step, and ask for the flight.
    pub interactive: bool,
    /// Show cache commands, the queue and SQL.
    pub verbose: bool,
    /// Land what is pending and empty the cache first.
    pub flush: bool,
    /// A SQLite file with the airport sample, or none for one of its own.
    pub database: Option<PathBuf>,
    /// Show one key's way instead of the ten steps.
    pub trace: bool,
    /// Use colours.
    pub coloured: bool,
}

/// A flight with a history, of the sample.
const USUAL_FLIGHT: i64 = 115;

impl Options {
    fn flight(&self) -> i64 {
        self.flight.unwrap_or(USUAL_FLIGHT)
    }
}

/// Runs the demo and returns its exit code: 0 only if every check held.
///
/// # Errors
/// Whatever keeps it from going on; everything is cleaned up before this returns.
pub fn run(options: &Options) -> Result<u8> {
    let mut screen = Screen::new(options.coloured, options.verbose, options.interactive);
    let sample = match (&options.database, options.trace) {
        (Some(path), _) => Sample::Borrowed(path.clone()),
        (None, false) => Sample::Airport,
        (None, true) => Sample::Empty,
    };
    let stage = Arc::new(Stage::build(sample)?);
    let _clean_up = CleanUp(&stage);
    // Asked for here and not where it is read, so that nothing is shown of a walk that cannot be walked.
    if let (Some(flight), false) = (options.flight, options.interactive)
        && !stage.sample(|sample| Ok(sample.has_flight(flight)?))?
    {
        return Err(flight::unknown(flight));
    }
    clean_up_on_signals(&stage)?;
    let told =
        if options.trace { trace::run(&stage, &mut screen) } else { walk::run(options, &stage, &mut screen) };
    stage.stop_if_interrupted();
    let put_back = stage.clean_up();
    stage.stop_if_interrupted();
    told?;
    if let Some(is_as_before) = put_back? {
        screen.blank()?;
        screen.check(is_as_before, "the database holds what it held before the demo")?;
    }
    let (held, failed) = screen.checks();
    screen.blank()?;
    if failed > 0 {
        screen.line(&format!("{failed} of {} checks did not hold.", held + failed))?;
        return Ok(FINDING);
    }
    let all = if held == 1 { "The check held".to_owned() } else { format!("All {held} checks held") };
    screen.line(&format!("{all}. The server and its directory are gone."))?;
    Ok(OK)
}

/// Ctrl-C ends the demo, and leaves nothing behind.
fn clean_up_on_signals(stage: &Arc<Stage>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot handle signals")?;
    let stage = stage.clone();
    let work = move || {
        if let Some(signal) = signals.forever().next() {
            stage.interrupt(128 + signal);
        }
    };
    std::thread::Builder::new().name("demo-signals".into()).spawn(work).context("cannot start a thread")?;
    Ok(())
}
