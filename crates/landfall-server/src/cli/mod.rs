//! The command line of `landfall`: one file per command, and nothing here that the server needs.
//! Exit codes are those of [`crate::failure`]; a command never ends the process itself.

use std::collections::BTreeMap;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::client::Client;
use crate::config::{self, Effective, Resolved, Sources, Verbosity};
use crate::failure::{self, CONFIG, Failure};

mod adopt;
mod command;
mod config_command;
mod dead_letters;
mod demo;
mod drain;
mod evict;
mod explain;
mod flags;
mod incidents;
mod log;
mod pause;
mod reply;
mod serve;
mod setup;
mod status;
mod tables;
mod warm;

use flags::{GlobalSettings, SettingFlags};

/// A write-behind cache for SQL databases: Redis protocol in front, SQL rows behind.
///
/// An empty machine needs two commands: `landfall serve`, and in another terminal `landfall cli SET user:1:name Alice`.
#[derive(Parser)]
#[command(name = "landfall", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    global: Global,
}

/// The flags of every command.
#[derive(Args)]
struct Global {
    /// The file with settings [default: landfall.toml in the working directory, if it is there] [LANDFALL_CONFIG]
    #[arg(long, short, global = true, value_name = "FILE", help_heading = "Settings of every command")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingFlags<GlobalSettings>,
    /// Print JSON, for programs
    #[arg(long, global = true, help_heading = "Output")]
    json: bool,
    /// Tell more
    #[arg(long, short, global = true, help_heading = "Output")]
    verbose: bool,
    /// Tell only what went wrong
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = "Output")]
    quiet: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    color: Color,
}

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Serve),
    Cli(command::Cli),
    Status(status::StatusCommand),
    Explain(explain::Explain),
    Drain(drain::Drain),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Evict(evict::Evict),
    Warm(warm::Warm),
    DeadLetters(dead_letters::DeadLettersCommand),
    Log(log::LogCommand),
    Adopt(adopt::Adopt),
    Incidents(incidents::IncidentsCommand),
    Config(config_command::ConfigCommand),
    Tables(tables::TablesCommand),
    Setup(setup::Setup),
    Demo(demo::DemoCommand),
}

/// Runs the command of this process and returns its exit code.
pub fn main() -> u8 {
    let parsed = command_line().try_get_matches().and_then(|matches| CommandLine::from_arg_matches(&matches));
    let line = match parsed {
        Ok(line) => line,
        Err(error) => {
            // Help and version are errors to clap, with exit code 0. If they cannot be printed, nobody reads them.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(failure::USAGE);
        }
    };
    match run(line) {
        Ok(code) => code,
        Err(error) => {
            if !failure::is_closed_pipe(&error) {
                eprintln!("landfall: {error:#}");
            }
            failure::exit_code(&error)
        }
    }
}

/// The commands, each with the help that concerns it: flags for the server's own places are taken everywhere, and shown
/// only where they matter.
fn command_line() -> clap::Command {
    const ASK_A_SERVER: [&str; 8] = ["cli", "status", "explain", "drain", "pause", "resume", "evict", "warm"];
    let mut all = CommandLine::command();
    let hidden_in = ASK_A_SERVER.map(|name| (name, &["database", "buffer"][..]));
    let demo = (
        "demo",
        &[
            "buffer",
            "url",
            "password-file",
            "username",
            "tls-ca",
            "tls-client-cert",
            "tls-client-key",
            "config",
            "json",
            "quiet",
        ][..],
    );
    for (name, flags) in hidden_in.into_iter().chain([demo]) {
        // A command's own copy of a flag stands in for the one that is handed down.
        let all_flags = all.get_arguments();
        let hidden: Vec<clap::Arg> = all_flags
            .filter(|flag| flags.contains(&flag.get_id().as_str()))
            .map(|flag| flag.clone().hide(true))
            .collect();
        all = all.mut_subcommand(name, |command| command.args(hidden));
    }
    all
}

fn run(line: CommandLine) -> Result<u8> {
    let Some(command) = line.command else {
        CommandLine::command().print_help()?;
        return Ok(failure::OK);
    };
    let context = Context { global: line.global };
    match command {
        Command::Serve(serve) => serve.run(&context),
        Command::Cli(cli) => cli.run(&context),
        Command::Status(status) => status.run(&context),
        Command::Explain(explain) => explain.run(&context),
        Command::Drain(drain) => drain.run(&context),
        Command::Pause(pause) => pause.run(&context),
        Command::Resume(resume) => resume.run(&context),
        Command::Evict(evict) => evict.run(&context),
        Command::Warm(warm) => warm.run(&context),
        Command::DeadLetters(letters) => letters.run(&context),
        Command::Log(log) => log.run(&context),
        Command::Adopt(adopt) => adopt.run(&context),
        Command::Incidents(incidents) => incidents.run(&context),
        Command::Config(config) => config.run(&context),
        Command::Tables(tables) => tables.run(&context),
        Command::Setup(setup) => setup.run(&context),
        Command::Demo(demo) => demo.run(&context),
    }
}

/// What every command may use.
struct Context {
    global: Global,
}

impl Context {
    /// The settings, with the flags of one command added.
    fn resolve(&self, more: &[(&'static str, String)]) -> Result<Resolved> {
        let variables = variables()?;
        let mut flags = self.global.settings.given().to_vec();
        flags.extend(more.iter().cloned());
        let file = self.file(variables.get("LANDFALL_CONFIG").map(PathBuf::from))?;
        let mut resolved = config::resolve(&Sources { file, variables, flags })?;
        resolved.effective.verbosity = match (self.global.verbose, self.global.quiet) {
            (true, _) => Verbosity::Verbose,
            (_, true) => Verbosity::Quiet,
            _ => Verbosity::Normal,
        };
        Ok(resolved)
    }

    fn settings(&self) -> Result<Effective> {
        self.resolve(&[]).map(|resolved| resolved.effective)
    }

    fn connect(&self) -> Result<Client> {
        let settings = self.settings()?;
        Ok(Client::connect(&settings.server, &settings.tls, settings.login()).map_err(Failure::from)?)
    }

    /// The file that was named, which has to be there, or else the usual one, which need not.
    fn file(&self, from_variable: Option<PathBuf>) -> Result<Option<(PathBuf, String)>> {
        let named = self.global.config.clone().or(from_variable);
        let path = named.clone().unwrap_or_else(|| config::FILE.into());
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some((path, text))),
            Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let message = format!("cannot read the settings in {}: {error}", path.display());
                Err(Failure::new(CONFIG, message).into())
            }
        }
    }

    /// Whether standard output may have colours.
    fn is_coloured(&self) -> bool {
        match self.global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                std::io::stdout().is_terminal() && !unwanted
            }
        }
    }
}

/// The variables of ours; others may be no text at all, and do not concern us.
fn variables() -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with("LANDFALL_")) else { continue };
        match value.into_string() {
            Ok(value) => found.insert(name.to_owned(), value),
            Err(_) => return Err(Failure::new(CONFIG, format!("variable {name} is not UTF-8")).into()),
        };
    }
    Ok(found)
}

/// Writes to standard output; a reader that went away is an error that ends the command quietly.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in CommandLine::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example"), "{} has no example", command.get_name());
            assert!(help.contains(&format!("landfall {}", command.get_name())), "{}", command.get_name());
        }
    }

    #[test]
    fn every_flag_of_a_setting_is_in_the_help() {
        let mut line = CommandLine::command();
        let help = line.render_long_help().to_string();
        let serve = line.find_subcommand_mut("serve").map(|serve| serve.render_long_help().to_string());
        for setting in config::SETTINGS {
            let text = match setting.flag {
                config::Flag::Global(_) => &help,
                config::Flag::Serve => serve.as_ref().unwrap(),
                config::Flag::None => continue,
            };
            assert!(text.contains(&format!("--{}", setting.name)), "{}", setting.name);
            assert!(text.contains(&setting.variable()), "{}", setting.name);
        }
    }
}
