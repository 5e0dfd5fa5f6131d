//! What is wrong with the settings, all of it in one message; it must never show a secret.

use std::fmt;
use std::path::Path;

use crate::failure::{CONFIG, Failure, USAGE};

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nowhere.
    Default,
    /// In the file, on this line.
    File(usize),
    /// In the environment variable of the setting.
    Variable,
    /// As a flag.
    Flag,
    /// It follows from other settings.
    Derived(&'static str),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// `landfall.toml:3`, `variable LANDFALL_FSYNC`, `flag --fsync`, or empty.
    place: String,
    sentence: String,
    /// Whether only the command line is to blame.
    usage: bool,
}

impl Problem {
    pub(super) fn in_file(file: &Path, line: usize, sentence: impl Into<String>) -> Problem {
        Problem { place: format!("{}:{line}", file.display()), sentence: sentence.into(), usage: false }
    }

    pub(super) fn at(origin: &Origin, name: &str, variable: &str, file: &Path, sentence: String) -> Problem {
        match origin {
            Origin::File(line) => Problem::in_file(file, *line, sentence),
            Origin::Variable => Problem { place: format!("variable {variable}"), sentence, usage: false },
            Origin::Flag => Problem { place: format!("flag --{name}"), sentence, usage: true },
            Origin::Default | Origin::Derived(_) => Problem::of_settings(sentence),
        }
    }

    /// The same, when the command line can be understood and yet does not make sense.
    pub(super) fn not_usage(self) -> Problem {
        Problem { usage: false, ..self }
    }

    pub(super) fn of_settings(sentence: impl Into<String>) -> Problem {
        Problem { place: String::new(), sentence: sentence.into(), usage: false }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.sentence)
        } else {
            write!(f, "{}: {}", self.place, self.sentence)
        }
    }
}

/// Everything that is wrong with the settings.
#[derive(Debug)]
pub(crate) struct Problems(pub(super) Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "{count} {noun} in the settings, and nothing was started:")?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        write!(f, "\nEvery setting with its default: landfall config example")
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Failure {
        let code = if problems.0.iter().all(|problem| problem.usage) { USAGE } else { CONFIG };
        Failure::new(code, problems.to_string())
    }
}

impl From<Problems> for anyhow::Error {
    fn from(problems: Problems) -> anyhow::Error {
        Failure::from(problems).into()
    }
}

/// The name among `names` that was probably meant.
pub(super) fn meant<'n>(given: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let given = given.replace('_', "-").to_ascii_lowercase();
    let near = names.map(|name| (distance(&given, name), name)).min()?;
    (near.0 <= 2.min(near.1.len() / 2)).then_some(near.1)
}

/// How many letters have to be added, removed or replaced.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    // A name of a kilobyte is nothing that anybody meant.
    for (line, letter) in from.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()] + from.chars().count().saturating_sub(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_recognised_and_nonsense_is_not() {
        let names = || ["flush-interval", "flush-count", "ttl", "fsync"].into_iter();
        assert_eq!(meant("flush_interval", names()), Some("flush-interval"));
        assert_eq!(meant("flush-intervall", names()), Some("flush-interval"));
        assert_eq!(meant("fync", names()), Some("fsync"));
        assert_eq!(meant("abc", names()), None);
        assert_eq!(meant(&"x".repeat(100_000), names()), None);
    }
}
