//! What `simulate` can be asked for, and its help.
//! It must never guess: what is not understood is refused.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use landfall_sim::core::{Bug, Config};

/// The help.
pub(crate) const HELP: &str = "\
Plays seeds of the simulation: the library's core on a simulated disk, database and clock. One seed is one run.

Usage: simulate [OPTIONS]                       many seeds, those first that once failed
       simulate --seed SEED [OPTIONS]           one seed again
       simulate --mutants [OPTIONS]             bugs that are planted on purpose, one after the other
       simulate --crash-points [NAME] [OPTIONS] a fault at each step of scripted scenarios

Many seeds:
  --seeds N       so many (default 10000)
  --faults N      and go on until so many faults have happened (default 0)
  --minutes N     for so long, whatever --seeds says
  --from SEED     begin there (default 0)

One seed:
  --trace         tell everything that happens
  --shrink        leave out faults and moves as long as the seed still fails, and play what is left

Bugs:
  --mutants       find a seed that shows each bug, a recorded one first, else within --seeds (default 20000); fails when a
                  bug stays unseen, or when the same seed fails without it
  --record        write the seeds that were found to the file of recorded ones
  --rates         count for each bug how many of the first --seeds show it, as a table
  --bug NAME      plant this one; with --mutants: this one alone
  --minutes N     search for each again and again for so long, among other seeds each time

Crash points, of all scenarios or of the one that is named:
  --seconds N     so many second faults for each first one, or `all` (default 1)
  --modes         tell how many runs each kind of fault had
  --fault F       one run with this fault, MODE@STEP; twice for two
  --trace         tell everything that happens

  --moves N       so many moves a seed (default 160)
  --help          this text

It ends with 0 when every promise was kept (with --mutants: when every bug was seen), with 1 when not, and with 2 when it
does not understand what is asked. 10,000 seeds and more have to reach every rare state and every kind of fault, too.";

/// What is asked for.
pub(crate) struct Options {
    pub(crate) seed: Option<u64>,
    pub(crate) seeds: Option<u64>,
    pub(crate) faults: u64,
    pub(crate) from: u64,
    pub(crate) time: Option<Duration>,
    pub(crate) trace: bool,
    pub(crate) shrink: bool,
    pub(crate) moves: u64,
    pub(crate) bug: Option<Bug>,
    pub(crate) mutants: bool,
    pub(crate) record: bool,
    pub(crate) rates: bool,
}

impl Options {
    /// The options in the words of a command line; none when it asks for help.
    pub(crate) fn of(words: impl Iterator<Item = String>) -> Result<Option<Options>> {
        let mut options = Options {
            seed: None,
            seeds: None,
            faults: 0,
            from: 0,
            time: None,
            trace: false,
            shrink: false,
            moves: Config::default().moves,
            bug: None,
            mutants: false,
            record: false,
            rates: false,
        };
        let mut words = words;
        while let Some(word) = words.next() {
            if !options.switch(&word) {
                if matches!(word.as_str(), "--help" | "-h" | "help") {
                    return Ok(None);
                }
                let value = words.next();
                options.set(&word, value.as_deref())?;
            }
        }
        Ok(Some(options))
    }

    fn switch(&mut self, word: &str) -> bool {
        match word {
            "--trace" => self.trace = true,
            "--shrink" => self.shrink = true,
            "--mutants" => self.mutants = true,
            "--record" => self.record = true,
            "--rates" => self.rates = true,
            _ => return false,
        }
        true
    }

    fn set(&mut self, word: &str, value: Option<&str>) -> Result<()> {
        let value = || value.with_context(|| format!("{word} needs a value; see --help"));
        let number = || -> Result<u64> {
            value().and_then(|text| text.parse().with_context(|| format!("{word}: {text} is no number")))
        };
        match word {
            "--seed" => self.seed = Some(number()?),
            "--seeds" => self.seeds = Some(number()?),
            "--faults" => self.faults = number()?,
            "--from" => self.from = number()?,
            "--minutes" => self.time = Some(Duration::from_secs(60 * number()?)),
            "--moves" => self.moves = number()?,
            "--bug" => self.bug = Some(bug(value()?)?),
            other => bail!("{other} is not known; see --help"),
        }
        Ok(())
    }

    /// How a seed is played.
    pub(crate) fn config(&self) -> Config {
        Config { moves: self.moves, trace: self.trace, bug: self.bug, ..Config::default() }
    }
}

fn bug(name: &str) -> Result<Bug> {
    let found = Bug::ALL.iter().find(|bug| bug.name() == name);
    let names = || Bug::ALL.iter().map(|bug| bug.name()).collect::<Vec<_>>().join(", ");
    found.copied().with_context(|| format!("there is no bug `{name}`; there are {}", names()))
}
