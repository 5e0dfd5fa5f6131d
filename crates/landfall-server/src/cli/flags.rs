//! The flags of settings, made from the table of settings; what they mean is never decided here.

use std::marker::PhantomData;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Flag, Form, SETTINGS, Setting};

/// Which settings are flags of a command.
pub(super) trait Scope {
    const HEADING: &'static str;
    const GLOBAL: bool;

    fn has(flag: Flag) -> bool;
}

/// Those of every command.
pub(super) enum GlobalSettings {}

impl Scope for GlobalSettings {
    const HEADING: &'static str = "Settings of every command";
    const GLOBAL: bool = true;

    fn has(flag: Flag) -> bool {
        matches!(flag, Flag::Global(_))
    }
}

/// Those of `serve`.
pub(super) enum ServeSettings {}

impl Scope for ServeSettings {
    const HEADING: &'static str = "Settings of the server";
    const GLOBAL: bool = false;

    fn has(flag: Flag) -> bool {
        flag == Flag::Serve
    }
}

/// The settings that were given as flags, as texts.
pub(super) struct SettingFlags<S> {
    given: Vec<(&'static str, String)>,
    scope: PhantomData<S>,
}

impl<S: Scope> SettingFlags<S> {
    pub(super) fn given(&self) -> &[(&'static str, String)] {
        &self.given
    }
}

fn argument<S: Scope>(setting: &'static Setting) -> Arg {
    let value_name = match setting.form {
        Form::Text(form) | Form::Choice(form) => form,
        Form::Duration => "DURATION",
        Form::Size { .. } => "SIZE",
        Form::Count { .. } => "NUMBER",
    };
    let whole = match setting.form {
        Form::Size { of: Some(whole) } | Form::Count { of: Some(whole) } => format!(" of {whole}"),
        _ => String::new(),
    };
    let variable = setting.variable();
    let default = match setting.default {
        "" => String::new(),
        default => format!(" [default: {default}{whole}]"),
    };
    // Why a default is what it is stands in `config example`; here only what it is.
    let unless_given = match setting.default {
        "" => format!("\nDefault: {}", setting.reason),
        _ => String::new(),
    };
    let arg = Arg::new(setting.name)
        .long(setting.name)
        .value_name(value_name)
        .help(format!("{}{default} [{variable}]", setting.doc))
        .long_help(format!("{}{default} [{variable}]{unless_given}", setting.doc))
        .help_heading(S::HEADING)
        .global(S::GLOBAL);
    match setting.flag {
        Flag::Global(Some(short)) => arg.short(short),
        _ => arg,
    }
}

impl<S: Scope> Args for SettingFlags<S> {
    fn augment_args(command: Command) -> Command {
        command.args(SETTINGS.iter().filter(|setting| S::has(setting.flag)).map(argument::<S>))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<S: Scope> FromArgMatches for SettingFlags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = SettingFlags { given: Vec::new(), scope: PhantomData };
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in SETTINGS.iter().filter(|setting| S::has(setting.flag)) {
            if let Some(text) = matches.get_one::<String>(setting.name) {
                self.given.push((setting.name, text.clone()));
            }
        }
        Ok(())
    }
}
