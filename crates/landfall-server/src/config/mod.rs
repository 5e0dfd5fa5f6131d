//! The settings: from flags, `LANDFALL_*` variables, the file and the defaults, in this order, to what is in effect.
//! Settings are refused, never repaired, and no secret is ever shown.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use landfall::settings::Settings;

use crate::front::settings::FrontSettings;
use crate::front::users::User;

mod doors;
mod example;
mod file;
mod listen;
mod memory;
mod places;
mod problem;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod text;

pub(crate) use example::{example, print};
pub(crate) use places::check_buffer;
pub use places::{DEFAULT_PORT, DatabaseUrl, ServerAddress};
pub(crate) use problem::{Origin, Problems};
pub(crate) use table::{Flag, Form, SETTINGS, Setting};

use problem::{Problem, meant};
use table::{DATA_DIR, Draft};

/// The file that is read when none is named.
pub(crate) const FILE: &str = "landfall.toml";

/// How much a server tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// What an operator wants to know.
    #[default]
    Normal,
    /// What helps to find a fault.
    Verbose,
}

/// A password; it can be compared and sent, and is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

impl Password {
    /// The password itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What commands trust and show when they speak TLS.
#[derive(Debug, Clone, Default)]
pub struct ClientTls {
    /// The certificates that a server is trusted by; none: the system's.
    pub ca: Option<PathBuf>,
    /// The certificate to show if a server asks for one, and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// The settings in effect: everything that `serve` and the commands that talk to it need.
#[derive(Debug, Clone)]
pub struct Effective {
    /// The database that rows land in.
    pub database: DatabaseUrl,
    /// Where Redis clients connect, and how much they may take.
    pub front: FrontSettings,
    /// The server that commands talk to.
    pub server: ServerAddress,
    /// What clients have to give with AUTH.
    pub password: Option<Password>,
    /// The user that commands of this program log in as.
    pub username: String,
    /// What commands trust and show when they speak TLS.
    pub tls: ClientTls,
    /// The users of the server that the file names.
    pub users: Vec<User>,
    /// The settings of the engine; `data_dir` is where the log lives.
    pub settings: Settings,
    /// The file that was read, if any.
    pub config_file: Option<PathBuf>,
    /// How long to go on landing after SIGTERM.
    pub drain_timeout: Duration,
    /// How much to tell.
    pub verbosity: Verbosity,
    /// Where to write `host:port` once clients can connect.
    pub port_file: Option<PathBuf>,
    /// Whether the server ends with the process that started it.
    pub exit_with_parent: bool,
}

impl Effective {
    /// The user and the password that commands log in with, if there is a password.
    pub fn login(&self) -> Option<(&str, &Password)> {
        self.password.as_ref().map(|password| (self.username.as_str(), password))
    }
}

/// Where settings come from.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The file and its text, if there is one.
    pub(crate) file: Option<(PathBuf, String)>,
    /// The environment, all of it.
    pub(crate) variables: BTreeMap<String, String>,
    /// The flags that were given.
    pub(crate) flags: Vec<(&'static str, String)>,
}

/// The settings in effect, and where each comes from.
pub(crate) struct Resolved {
    pub(crate) effective: Effective,
    pub(crate) rows: Vec<Row>,
}

/// One setting as `config print` shows it.
pub(crate) struct Row {
    pub(crate) setting: &'static Setting,
    /// The value in effect, if there is one.
    pub(crate) value: Option<String>,
    pub(crate) origin: Origin,
}

/// Puts the sources together.
///
/// # Errors
/// Every problem of all sources.
pub(crate) fn resolve(sources: &Sources) -> Result<Resolved, Problems> {
    let mut resolver = Resolver {
        sources,
        draft: Draft::new(),
        origins: BTreeMap::new(),
        problems: Vec::new(),
        failed: Vec::new(),
    };
    resolver.take_defaults();
    resolver.take_file();
    resolver.take_variables();
    resolver.take_flags();
    let settled = resolver.settle();
    resolver.finish(settled)
}

/// What is known once all sources were read.
struct Settled {
    database: DatabaseUrl,
    server: ServerAddress,
    password: Option<Password>,
}

struct Resolver<'s> {
    sources: &'s Sources,
    draft: Draft,
    origins: BTreeMap<&'static str, Origin>,
    problems: Vec<Problem>,
    /// Settings with a value that could not be read; nothing is concluded from them.
    failed: Vec<&'static str>,
}

impl Resolver<'_> {
    fn file_path(&self) -> &Path {
        self.sources.file.as_ref().map_or(Path::new(FILE), |(path, _)| path)
    }

    /// The table's defaults are the truth; a test compares them with the library's.
    fn take_defaults(&mut self) {
        for setting in SETTINGS.iter().filter(|setting| !setting.default.is_empty()) {
            self.take(setting, Origin::Default, setting.default);
        }
    }

    fn take_file(&mut self) {
        let Some((path, text)) = &self.sources.file else { return };
        let given = file::read(path, text, &mut self.problems);
        for (name, line, text) in given.values {
            if let Some(setting) = find(name) {
                self.take(setting, Origin::File(line), &text);
            }
        }
        self.draft.settings.tables = given.tables;
        self.draft.users = given.users;
    }

    fn take_variables(&mut self) {
        for setting in SETTINGS {
            if let Some(text) = self.sources.variables.get(&setting.variable()) {
                self.take(setting, Origin::Variable, text);
            }
        }
        let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
        for name in self.sources.variables.keys() {
            let Some(rest) = name.strip_prefix("LANDFALL_") else { continue };
            if known.contains(name) {
                continue;
            }
            // Other programs may use the prefix: only what looks like a slip is refused.
            if let Some(meant) = meant(rest, SETTINGS.iter().map(|setting| setting.name)).and_then(find) {
                let sentence = format!("variable {name} is no setting; did you mean {}?", meant.variable());
                self.problems.push(Problem::of_settings(sentence));
            }
        }
    }

    fn take_flags(&mut self) {
        for (name, text) in &self.sources.flags {
            if let Some(setting) = find(name) {
                self.take(setting, Origin::Flag, text);
            }
        }
    }

    fn take(&mut self, setting: &'static Setting, origin: Origin, text: &str) {
        if let Err(hint) = (setting.set)(&mut self.draft, text) {
            let shown: String = places::without_secret(text).chars().take(80).collect();
            let sentence = format!("{} = {shown:?}: {hint}", setting.name);
            let file = self.file_path().to_owned();
            self.problems.push(Problem::at(&origin, setting.name, &setting.variable(), &file, sentence));
            self.failed.push(setting.name);
        }
        self.origins.insert(setting.name, origin);
    }

    fn origin(&self, name: &'static str) -> Origin {
        self.origins.get(name).cloned().unwrap_or(Origin::Default)
    }

    /// A problem with a value that can be read but does not fit the others.
    fn refuse(&mut self, name: &'static str, sentence: String) {
        let variable = find(name).map(Setting::variable).unwrap_or_default();
        let problem = Problem::at(&self.origin(name), name, &variable, self.file_path(), sentence);
        self.problems.push(problem.not_usage());
    }

    /// What follows from several settings.
    fn settle(&mut self) -> Settled {
        self.settle_data_dir();
        let draft = &mut self.draft;
        draft.settings.throttle_at = draft.throttle_at.of(draft.settings.max_pending);
        draft.settings.memory_bytes_max = draft.memory.of(memory::available_bytes());
        let origins = &mut self.origins;
        let database = draft.database.get_or_insert_with(|| {
            origins.insert("database", Origin::Derived("data-dir"));
            DatabaseUrl::Sqlite(draft.settings.data_dir.join("landfall.db"))
        });
        let database = database.clone();
        let usual = doors::usual_server(draft);
        let server = draft.url.get_or_insert_with(|| {
            origins.insert("url", Origin::Derived("listen"));
            usual
        });
        let server = server.clone();
        let password = self.password();
        self.check_doors();
        for sentence in self.draft.settings.problems() {
            self.refuse_sentence(sentence);
        }
        Settled { database, server, password }
    }

    fn settle_data_dir(&mut self) {
        let (buffer, data_dir) = (self.draft.buffer.0.clone(), self.draft.data_dir.clone());
        if let (Some(buffer), Some(data_dir)) = (&buffer, &data_dir)
            && buffer != data_dir
        {
            let sentence = format!(
                "buffer = \"local:{}\" and data-dir = \"{}\" name two places for the log; leave one out",
                buffer.display(),
                data_dir.display()
            );
            self.refuse("buffer", sentence);
        }
        if data_dir.is_none() && buffer.is_some() {
            self.origins.insert("data-dir", Origin::Derived("buffer"));
        }
        if data_dir.is_some() && buffer.is_none() {
            self.origins.insert("buffer", Origin::Derived("data-dir"));
        }
        self.draft.settings.data_dir = data_dir.or(buffer).unwrap_or_else(|| DATA_DIR.into());
    }

    fn password(&mut self) -> Option<Password> {
        let path = self.draft.password_file.clone()?;
        let refused = match std::fs::read(&path) {
            Ok(bytes) => {
                let end =
                    bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
                match &bytes[..end] {
                    [] => "is empty; write the password into it".to_owned(),
                    password if password.len() > 512 => {
                        "holds more than 512 bytes; a password is one line".to_owned()
                    }
                    password => return Some(Password(password.to_owned())),
                }
            }
            Err(error) => format!("cannot be read: {error}"),
        };
        self.refuse("password-file", format!("password-file = \"{}\" {refused}", path.display()));
        None
    }

    /// Problems of the library begin with the name of their setting. One that rests on a value that could not be
    /// read would only confuse.
    fn refuse_sentence(&mut self, sentence: String) {
        if self.failed.iter().any(|name| sentence.contains(name)) {
            return;
        }
        let first = sentence.split([' ', ':']).next().unwrap_or_default();
        match SETTINGS.iter().find(|setting| setting.name == first) {
            Some(setting) => self.refuse(setting.name, sentence),
            None => self.problems.push(Problem::of_settings(sentence)),
        }
    }

    fn finish(self, settled: Settled) -> Result<Resolved, Problems> {
        if !self.problems.is_empty() {
            return Err(Problems(self.problems));
        }
        let row = |setting: &'static Setting| Row {
            setting,
            value: (setting.show)(&self.draft),
            origin: self.origin(setting.name),
        };
        let rows = SETTINGS.iter().map(row).collect();
        let draft = &self.draft;
        let effective = Effective {
            database: settled.database,
            front: doors::front(draft),
            server: settled.server,
            password: settled.password,
            username: draft.username.clone(),
            // A server with the same settings is known by its own certificate.
            tls: ClientTls {
                ca: draft.tls_ca.clone().or_else(|| draft.tls_cert.clone()),
                own: draft.tls_client_cert.clone().zip(draft.tls_client_key.clone()),
            },
            users: draft.users.clone(),
            settings: draft.settings.clone(),
            config_file: self.sources.file.as_ref().map(|(path, _)| path.clone()),
            drain_timeout: draft.drain_timeout,
            verbosity: Verbosity::Normal,
            port_file: None,
            exit_with_parent: false,
        };
        Ok(Resolved { effective, rows })
    }
}

fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}
