//! `config example` and `config print`, written from the table of settings; neither may show a secret.

use std::fmt::Write;

use super::{FILE, Form, Origin, Resolved, SETTINGS};

/// A config file with every setting, its default and the reason; nothing in it is active.
pub(crate) fn example() -> String {
    let mut out = String::from(
        "# Landfall's settings, all of them, with their defaults. Take the # away from a line to change it.\n\
         # A flag (--name) goes before a variable (LANDFALL_NAME), and both go before this file.\n",
    );
    for setting in SETTINGS {
        let choices = match setting.form {
            Form::Choice(options) => format!(" ({})", options.replace('|', ", ")),
            Form::Size { of: Some(whole) } | Form::Count { of: Some(whole) } => {
                format!(" (or a share of {whole})")
            }
            Form::Text(_) | Form::Duration | Form::Size { of: None } | Form::Count { of: None } => {
                String::new()
            }
        };
        let value = match (setting.form, setting.default) {
            (Form::Text(form), "") => format!("# {} = \"{form}\"", setting.name),
            (Form::Count { .. }, default) if !default.ends_with('%') => {
                format!("#{} = {default}", setting.name)
            }
            (_, default) => format!("#{} = \"{default}\"", setting.name),
        };
        let why = if setting.default.is_empty() { "Default" } else { "Why" };
        // Writing to a string cannot fail.
        let _ = write!(out, "\n# {}{choices}.\n# {why}: {}.\n{value}\n", setting.doc, setting.reason);
    }
    out.push_str(
        "\n# Settings of one table, here of a table named flight.\n\
         # [table.flight]\n\
         # The table that gets the old and new values of every landed change.\n\
         # audit = \"flight_log\"\n\
         # JSON names that are no columns and are passed over by SET flight:115 {json}.\n\
         # ignore = [\"from_airport\", \"to_airport\", \"airlinename\"]\n\
         # Loads its rows after the start, up to three quarters of the cache's memory, before somebody asks for them.\n\
         # warm = true\n\
         \n# A user, here named alice, who logs in with AUTH alice PASSWORD. With users there is no login without a password,\n\
         # unless [user.default] has none; password-file is the password of the user default, who may do everything.\n\
         # [user.alice]\n\
         # What `printf %s PASSWORD | sha256sum` prints, or a list of such texts.\n\
         # password-sha256 = \"...\"\n\
         # Of read, write and admin.\n\
         # rights = [\"read\", \"write\"]\n",
    );
    out
}

/// The settings in effect and where each comes from, as a config file.
pub(crate) fn print(resolved: &Resolved) -> String {
    let rows = resolved.rows.iter().map(|row| {
        let name = row.setting.name;
        let line = match (&row.value, row.setting.form) {
            (None, _) => format!("# {name} is not set"),
            (Some(value), Form::Count { .. }) => format!("{name} = {value}"),
            (Some(value), _) => format!("{name} = {}", quoted(value)),
        };
        let origin = match &row.origin {
            Origin::Default => "default".to_owned(),
            Origin::File(at) => {
                let file = resolved.effective.config_file.as_deref();
                format!("{}:{at}", file.map_or(FILE.into(), |path| path.display().to_string()))
            }
            Origin::Variable => row.setting.variable(),
            Origin::Flag => format!("--{name}"),
            Origin::Derived(from) => format!("follows {from}"),
        };
        (line, origin)
    });
    let rows: Vec<(String, String)> = rows.collect();
    let width =
        rows.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= 48).max().unwrap_or(0);
    let mut out = String::new();
    for (line, origin) in rows {
        let _ = writeln!(out, "{line:width$}  # {origin}");
    }
    for (table, settings) in &resolved.effective.settings.tables {
        let _ = writeln!(out, "\n[table.{}]", quoted(table));
        if let Some(audit) = &settings.audit {
            let _ = writeln!(out, "audit = {}", quoted(audit));
        }
        if !settings.ignore.is_empty() {
            let names: Vec<String> = settings.ignore.iter().map(|name| quoted(name)).collect();
            let _ = writeln!(out, "ignore = [{}]", names.join(", "));
        }
        if settings.warm {
            out.push_str("warm = true\n");
        }
    }
    // A hash can be guessed at without asking the server, so it is not shown.
    for user in &resolved.effective.users {
        let rights: Vec<&str> = user.rights.names().collect();
        let _ = writeln!(out, "\n# user {}: {}", quoted(&user.name), rights.join(", "));
    }
    out
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
