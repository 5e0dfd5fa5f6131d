//! Reads the users of a config file: `[user.NAME]` with hashes of passwords and rights.
//! It must never show a hash, and never take a password that is not hashed.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Reader, kind, texts};
use crate::admin_token;
use crate::config::problem::meant;
use crate::front::users::{DEFAULT_USER, PasswordHash, Rights, User};

/// The longest name of a user.
const NAME_BYTES_MAX: usize = 64;
/// The most users.
const USERS_MAX: usize = 1000;
/// The most passwords of one user: the old one and the new one, and some more.
const PASSWORDS_MAX: usize = 8;
/// What can be set of a user.
const USER_SETTINGS: [&str; 2] = ["password-sha256", "rights"];
const HOW_TO_HASH: &str = "write the 64 digits that `printf %s PASSWORD | sha256sum` prints";

impl Reader<'_> {
    pub(super) fn users(&mut self, line: usize, value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(users) = value.get_ref() else {
            return self.problem(line, "user takes sections such as [user.alice]".to_owned());
        };
        for (name, value) in users {
            let (name, line) = (name.get_ref().as_ref(), self.line(name.span().start));
            let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
            if name.is_empty()
                || name.len() > NAME_BYTES_MAX
                || !name.bytes().all(|byte| byte.is_ascii_graphic())
            {
                let sentence = format!(
                    "user.{shown:?} is no name of a user; write 1 to {NAME_BYTES_MAX} letters, digits and signs without spaces"
                );
                self.problem(line, sentence);
                continue;
            }
            if name == admin_token::USER {
                let sentence =
                    format!("user.{name} is the one of the file {} in the data directory", admin_token::FILE);
                self.problem(line, sentence);
                continue;
            }
            match value.get_ref() {
                DeValue::Table(entries) => self.user(line, name, entries),
                _ => self.problem(line, format!("user.{shown} takes a section [user.{shown}]")),
            }
        }
        if self.given.users.len() > USERS_MAX {
            self.problem(line, format!("there are more than {USERS_MAX} users"));
        }
    }

    fn user(&mut self, line: usize, name: &str, entries: &DeTable<'_>) {
        let (mut passwords, mut rights) = (Some(Vec::new()), None);
        for (key, value) in entries {
            let (key, line) = (key.get_ref().as_ref(), self.line(key.span().start));
            match key {
                "password-sha256" => {
                    passwords = hashes(value.get_ref());
                    if passwords.is_none() {
                        // What stands there may be the password itself.
                        self.problem(line, format!("user.{name}.password-sha256 is no hash, or a list of more than {PASSWORDS_MAX}; {HOW_TO_HASH}"));
                    }
                }
                "rights" => match given_rights(value.get_ref()) {
                    Ok(given) => rights = Some(given),
                    Err(hint) => {
                        rights = Some(Rights::NONE);
                        self.problem(line, format!("user.{name}.rights takes {hint}"));
                    }
                },
                "password" => self.problem(
                    line,
                    format!("user.{name}.password would stand here for everybody to read; use password-sha256: {HOW_TO_HASH}"),
                ),
                _ => {
                    let meant = meant(key, USER_SETTINGS.into_iter());
                    self.unknown(line, key, &format!("setting of user {name}"), meant);
                }
            }
        }
        if passwords.as_ref().is_some_and(Vec::is_empty) && name != DEFAULT_USER {
            self.problem(line, format!("user.{name} has no password-sha256; {HOW_TO_HASH}"));
        }
        if rights.is_none() {
            self.problem(
                line,
                format!("user.{name} has no rights; write rights = [\"read\"], or what it may do"),
            );
        }
        if let (Some(passwords), Some(rights)) = (passwords, rights) {
            self.given.users.push(User { name: name.to_owned(), passwords, rights });
        }
    }
}

fn hashes(value: &DeValue<'_>) -> Option<Vec<PasswordHash>> {
    let written = match value {
        DeValue::String(text) => vec![text.to_string()],
        value => texts(value).filter(|texts| (1..=PASSWORDS_MAX).contains(&texts.len()))?,
    };
    written.iter().map(|text| PasswordHash::from_hex(text)).collect()
}

fn given_rights(value: &DeValue<'_>) -> Result<Rights, String> {
    let names = texts(value).ok_or_else(|| format!("a list such as [\"read\"], not {}", kind(value)))?;
    let mut rights = Rights::NONE;
    for name in names {
        let known = Rights::named(&name).ok_or("read, write and admin")?;
        rights = rights.and(known);
    }
    Ok(rights)
}
