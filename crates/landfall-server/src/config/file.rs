//! Reads a config file into texts with their lines; what a text means is decided by the table of settings.
//! It must never stop at the first problem.

use std::collections::BTreeMap;
use std::path::Path;

use landfall::settings::TableSettings;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, meant};
use super::table::{Form, SETTINGS, Setting};
use crate::front::users::User;

mod users;

/// What a file gives.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// The settings with their lines and their texts.
    pub(super) values: Vec<(&'static str, usize, String)>,
    /// Settings of single tables, with the line of each.
    pub(super) tables: BTreeMap<String, TableSettings>,
    /// Users, in the order of the file's sections.
    pub(super) users: Vec<User>,
}

/// Settings of one table, as `config example` and messages name them.
const TABLE_SETTINGS: [&str; 3] = ["audit", "ignore", "warm"];

/// Reads `text`; problems are added to `problems`.
pub(super) fn read(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Given {
    let mut reader = Reader { path, text, problems, given: Given::default() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = error.span().map_or(1, |span| reader.line(span.start));
        reader.problem(line, error.message().to_owned());
    }
    reader.document(document.get_ref());
    reader.given
}

struct Reader<'r> {
    path: &'r Path,
    text: &'r str,
    problems: &'r mut Vec<Problem>,
    given: Given,
}

impl Reader<'_> {
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    fn problem(&mut self, line: usize, sentence: String) {
        self.problems.push(Problem::in_file(self.path, line, sentence));
    }

    fn document(&mut self, document: &DeTable<'_>) {
        // In the order of the file, as people fix it from top to bottom.
        let mut entries: Vec<_> = document.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let (name, line) = (key.get_ref().as_ref(), self.line(key.span().start));
            if name == "table" {
                self.tables(line, value);
            } else if name == "user" {
                self.users(line, value);
            } else if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) {
                self.setting(setting, line, value.get_ref());
            } else {
                let names = SETTINGS.iter().map(|setting| setting.name).chain(["table", "user"]);
                self.unknown(line, name, "setting", meant(name, names));
            }
        }
    }

    fn unknown(&mut self, line: usize, name: &str, what: &str, meant: Option<&str>) {
        let name: String = name.chars().take(64).collect();
        let hint = match meant {
            Some(meant) => format!("did you mean {meant}?"),
            None => "remove it".to_owned(),
        };
        self.problem(line, format!("{name} is no {what}; {hint}"));
    }

    fn setting(&mut self, setting: &'static Setting, line: usize, value: &DeValue<'_>) {
        let text = match (setting.form, value) {
            (_, DeValue::String(text)) => Some(text.to_string()),
            (Form::Count { .. }, DeValue::Integer(number)) if number.radix() == 10 => {
                Some(number.to_string())
            }
            _ => None,
        };
        match text {
            Some(text) => self.given.values.push((setting.name, line, text)),
            None => {
                let wanted = match setting.form {
                    Form::Text(form) => format!("text in quotes ({form})"),
                    Form::Choice(options) => format!("one of \"{}\"", options.replace('|', "\", \"")),
                    Form::Duration => "a duration in quotes, as in \"200ms\"".to_owned(),
                    Form::Size { .. } => "a size in quotes, as in \"1GiB\"".to_owned(),
                    Form::Count { .. } => "a whole number".to_owned(),
                };
                self.problem(line, format!("{} takes {wanted}, not {}", setting.name, kind(value)));
            }
        }
    }

    fn tables(&mut self, line: usize, value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(tables) = value.get_ref() else {
            return self.problem(line, "table takes sections such as [table.flight]".to_owned());
        };
        for (name, value) in tables {
            let line = self.line(name.span().start);
            match value.get_ref() {
                DeValue::Table(entries) => self.table(name.get_ref().as_ref(), entries),
                _ => self.problem(line, format!("table.{} takes a section [table.{0}]", name.get_ref())),
            }
        }
    }

    fn table(&mut self, table: &str, entries: &DeTable<'_>) {
        let mut settings = TableSettings::default();
        for (key, value) in entries {
            let (name, line) = (key.get_ref().as_ref(), self.line(key.span().start));
            match (name, value.get_ref()) {
                ("audit", DeValue::String(text)) if !text.is_empty() => {
                    settings.audit = Some(text.to_string())
                }
                ("audit", other) => self.problem(
                    line,
                    format!("table.{table}.audit takes the name of a table in quotes, not {}", kind(other)),
                ),
                ("ignore", value) => match texts(value) {
                    Some(names) => settings.ignore = names,
                    None => self.problem(
                        line,
                        format!(
                            "table.{table}.ignore takes names, as in [\"from_airport\"], not {}",
                            kind(value)
                        ),
                    ),
                },
                ("warm", DeValue::Boolean(warm)) => settings.warm = *warm,
                ("warm", other) => {
                    self.problem(line, format!("table.{table}.warm takes true or false, not {}", kind(other)))
                }
                _ => {
                    let meant = meant(name, TABLE_SETTINGS.into_iter());
                    self.unknown(line, name, &format!("setting of table {table}"), meant);
                }
            }
        }
        self.given.tables.insert(table.to_owned(), settings);
    }
}

fn texts(value: &DeValue<'_>) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(text) if text.is_empty() => "an empty text",
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a bare number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
