//! The one table of settings: flags, variables, the file, `config example` and `config print` all come from it.
//! It must never hold a setting that nothing reads.

use std::path::PathBuf;

use landfall::settings::{FlushMode, Fsync};

use super::places::{DatabaseUrl, LocalBuffer, ServerAddress};

use super::text::{amount, count, duration, show_duration, show_size, size};

mod draft;
mod front;
mod refused;

pub(super) use draft::{AuthClients, DATA_DIR, Draft};

/// Where a setting can be given besides the file and its variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    /// A flag of every command, with a short form perhaps.
    Global(Option<char>),
    /// A flag of `serve`.
    Serve,
    /// No flag: rarely changed.
    None,
}

/// How a setting is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text, named so in help.
    Text(&'static str),
    /// One of these words, with `|` between them.
    Choice(&'static str),
    /// `200ms`.
    Duration,
    /// `1GiB`; in percent too if `of` names the whole.
    Size {
        /// What a percentage is a share of.
        of: Option<&'static str>,
    },
    /// `500`; in percent too if `of` names the whole.
    Count {
        /// What a percentage is a share of.
        of: Option<&'static str>,
    },
}

/// One setting.
pub(crate) struct Setting {
    /// Its name in the file; `--name` is its flag, `LANDFALL_NAME` its variable.
    pub(crate) name: &'static str,
    pub(crate) flag: Flag,
    pub(crate) form: Form,
    /// The default as a user would write it; empty where it follows from other settings.
    pub(crate) default: &'static str,
    /// What it does, in one sentence without a full stop.
    pub(crate) doc: &'static str,
    /// Why the default is what it is.
    pub(crate) reason: &'static str,
    /// Reads a value into the draft; the error says what to write instead.
    pub(super) set: fn(&mut Draft, &str) -> Result<(), String>,
    /// Shows the value in effect; `None` where there is none.
    pub(super) show: fn(&Draft) -> Option<String>,
}

impl Setting {
    /// Its environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("LANDFALL_{}", self.name.replace('-', "_").to_ascii_uppercase())
    }
}

const FSYNC: [(&str, Fsync); 3] =
    [("always", Fsync::Always), ("everysec", Fsync::Everysec), ("os", Fsync::Os)];
const FLUSH: [(&str, FlushMode); 3] =
    [("hybrid", FlushMode::Hybrid), ("time", FlushMode::Time), ("count", FlushMode::Count)];

fn choose<T: Copy>(options: &[(&str, T)], text: &str) -> Result<T, String> {
    let found = options.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = options.iter().map(|(name, _)| *name).collect();
        format!("write one of {}", names.join(", "))
    })
}

fn chosen<T: PartialEq>(options: &[(&str, T)], value: &T) -> Option<String> {
    options.iter().find(|(_, option)| option == value).map(|(name, _)| (*name).to_owned())
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("name a file or a directory".to_owned()) } else { Ok(text.into()) }
}

fn small<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    T::try_from(count(text)?).map_err(|_| "write a smaller number".to_owned())
}

/// Every setting, in the order in which people read about them.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "database",
        flag: Flag::Global(Some('d')),
        form: Form::Text("URL"),
        default: "",
        doc: "The database that rows land in: sqlite:FILE, or postgres://USER@HOST:PORT/DATABASE",
        reason: "sqlite:DATA-DIR/landfall.db: an empty machine needs nothing installed, and log and rows stay together",
        set: |draft, text| DatabaseUrl::parse(text).map(|url| draft.database = Some(url)),
        show: |draft| draft.database.as_ref().map(DatabaseUrl::to_string),
    },
    Setting {
        name: "buffer",
        flag: Flag::Global(None),
        form: Form::Text("URL"),
        default: "local:",
        doc: "Where writes wait until they land: local:DIR, or local: for the data directory",
        reason: "The local disk: no second server to keep",
        set: |draft, text| LocalBuffer::parse(text).map(|buffer| draft.buffer = buffer),
        show: |draft| Some(format!("local:{}", draft.settings.data_dir.display())),
    },
    Setting {
        name: "url",
        flag: Flag::Global(None),
        form: Form::Text("HOST:PORT"),
        default: "",
        doc: "The server that commands talk to",
        reason: "The address of `listen`: on one machine one setting is enough",
        set: |draft, text| ServerAddress::parse(text).map(|url| draft.url = Some(url)),
        show: |draft| draft.url.as_ref().map(ServerAddress::to_string),
    },
    front::PASSWORD_FILE,
    front::USERNAME,
    front::TLS_CERT,
    front::TLS_KEY,
    front::TLS_CA,
    front::TLS_AUTH_CLIENTS,
    front::TLS_CLIENT_CERT,
    front::TLS_CLIENT_KEY,
    front::LISTEN,
    front::UNIXSOCKET,
    front::UNIXSOCKETPERM,
    front::MAXCLIENTS,
    front::MAXMEMORY_CLIENTS,
    front::IDLE_TIMEOUT,
    front::LOGIN_TIMEOUT,
    Setting {
        name: "data-dir",
        flag: Flag::Serve,
        form: Form::Text("DIR"),
        default: "",
        doc: "The directory of the log",
        reason: "landfall-data in the working directory: easy to find, and to delete",
        set: |draft, text| path(text).map(|path| draft.data_dir = Some(path)),
        show: |draft| Some(draft.settings.data_dir.display().to_string()),
    },
    Setting {
        name: "fsync",
        flag: Flag::Serve,
        form: Form::Choice("always|everysec|os"),
        default: "always",
        doc: "When an acknowledged write is on disk: before the reply, within a second, or when the system likes",
        reason: "Nobody is surprised by a power cut",
        set: |draft, text| choose(&FSYNC, text).map(|fsync| draft.settings.fsync = fsync),
        show: |draft| chosen(&FSYNC, &draft.settings.fsync),
    },
    Setting {
        name: "flush",
        flag: Flag::Serve,
        form: Form::Choice("hybrid|time|count"),
        default: "hybrid",
        doc: "What starts a flush: the interval or the count, the interval alone, or the count alone",
        reason: "Whichever comes first: quick when quiet, full batches when busy",
        set: |draft, text| choose(&FLUSH, text).map(|mode| draft.settings.flush = mode),
        show: |draft| chosen(&FLUSH, &draft.settings.flush),
    },
    Setting {
        name: "flush-interval",
        flag: Flag::Serve,
        form: Form::Duration,
        default: "200ms",
        doc: "The longest that a change waits for company",
        reason: "People do not notice it, and batches are full under load",
        set: |draft, text| duration(text).map(|interval| draft.settings.flush_interval = interval),
        show: |draft| Some(show_duration(draft.settings.flush_interval)),
    },
    Setting {
        name: "flush-count",
        flag: Flag::Serve,
        form: Form::Count { of: None },
        default: "500",
        doc: "So many accepted changes start a flush, counted over all lanes",
        reason: "A bulk statement is near its best rate",
        set: |draft, text| count(text).map(|number| draft.settings.flush_count = number),
        show: |draft| Some(draft.settings.flush_count.to_string()),
    },
    Setting {
        name: "throttle-at",
        flag: Flag::Serve,
        form: Form::Count { of: Some("max-pending") },
        default: "50%",
        doc: "From so many pending changes on, every flush mode lands at once",
        reason: "Half: what is held back for company starts to land long before writes are refused",
        set: |draft, text| amount(text, count).map(|amount| draft.throttle_at = amount),
        show: |draft| Some(draft.settings.throttle_at.to_string()),
    },
    Setting {
        name: "max-pending",
        flag: Flag::Serve,
        form: Form::Count { of: None },
        default: "10_000_000",
        doc: "At so many pending changes, writes are refused with TRYAGAIN",
        reason: "A spike is absorbed on disk",
        set: |draft, text| count(text).map(|number| draft.settings.max_pending = number),
        show: |draft| Some(draft.settings.max_pending.to_string()),
    },
    refused::REFUSALS_MAX,
    refused::HOLD_ROWS,
    refused::HOLD_SHARE,
    refused::DEAD_LETTERS_MAX,
    refused::DEAD_LETTERS_BYTES_MAX,
    Setting {
        name: "maxmemory",
        flag: Flag::Serve,
        form: Form::Size { of: Some("the memory available to the process") },
        default: "50%",
        doc: "The memory of the cache; rows that wait to land may take half of it",
        reason: "Half of what the machine or the container gives: the rest of the system needs the other half",
        set: |draft, text| amount(text, size).map(|amount| draft.memory = amount),
        show: |draft| Some(show_size(draft.settings.memory_bytes_max)),
    },
    Setting {
        name: "log-bytes-max",
        flag: Flag::None,
        form: Form::Size { of: None },
        default: "1GiB",
        doc: "At so many bytes of log that have not landed, writes are refused with TRYAGAIN",
        reason: "A full disk is worse than a refused write",
        set: |draft, text| size(text).map(|bytes| draft.settings.log_bytes_max = bytes),
        show: |draft| Some(show_size(draft.settings.log_bytes_max)),
    },
    Setting {
        name: "segment-bytes",
        flag: Flag::None,
        form: Form::Size { of: None },
        default: "64MiB",
        doc: "The size of one file of the log",
        reason: "A new file every few seconds at full speed",
        set: |draft, text| size(text).map(|bytes| draft.settings.segment_bytes = bytes),
        show: |draft| Some(show_size(draft.settings.segment_bytes)),
    },
    Setting {
        name: "retention",
        flag: Flag::None,
        form: Form::Duration,
        default: "10m",
        doc: "Landed log is kept at least so long",
        reason: "Long enough for a failover of the database to be noticed",
        set: |draft, text| duration(text).map(|time| draft.settings.retention = time),
        show: |draft| Some(show_duration(draft.settings.retention)),
    },
    Setting {
        name: "retention-bytes",
        flag: Flag::None,
        form: Form::Size { of: None },
        default: "256MiB",
        doc: "Landed log is kept at least up to this size",
        reason: "Cheap, and covers a failover after a burst",
        set: |draft, text| size(text).map(|bytes| draft.settings.retention_bytes = bytes),
        show: |draft| Some(show_size(draft.settings.retention_bytes)),
    },
    Setting {
        name: "retained-bytes-max",
        flag: Flag::None,
        form: Form::Size { of: None },
        default: "4GiB",
        doc: "Landed log never takes more than this, however young it is",
        reason: "A burst must not fill the disk with what has landed already",
        set: |draft, text| size(text).map(|bytes| draft.settings.retained_bytes_max = bytes),
        show: |draft| Some(show_size(draft.settings.retained_bytes_max)),
    },
    Setting {
        name: "database-check",
        flag: Flag::None,
        form: Form::Duration,
        default: "5s",
        doc: "How often the database is looked at while nothing lands; a failover or another owner is noticed then",
        reason: "Before people ask, at the cost of one small read",
        set: |draft, text| duration(text).map(|time| draft.settings.database_check = time),
        show: |draft| Some(show_duration(draft.settings.database_check)),
    },
    Setting {
        name: "lanes",
        flag: Flag::None,
        form: Form::Count { of: None },
        default: "4",
        doc: "How many lanes a table without foreign keys and second unique indexes has",
        reason: "Enough to keep one database connection busy each",
        set: |draft, text| small(text).map(|number| draft.settings.lanes = number),
        show: |draft| Some(draft.settings.lanes.to_string()),
    },
    Setting {
        name: "ttl",
        flag: Flag::None,
        form: Form::Duration,
        default: "1h",
        doc: "A loaded row is served so long before it is read from the database again",
        reason: "Another writer's change is seen within the hour, hot rows are loaded rarely",
        set: |draft, text| duration(text).map(|time| draft.settings.ttl = time),
        show: |draft| Some(show_duration(draft.settings.ttl)),
    },
    Setting {
        name: "absent-ttl",
        flag: Flag::None,
        form: Form::Duration,
        default: "1s",
        doc: "The absence of a row is believed so long",
        reason: "A row that another program inserts is seen soon",
        set: |draft, text| duration(text).map(|time| draft.settings.absent_ttl = time),
        show: |draft| Some(show_duration(draft.settings.absent_ttl)),
    },
    Setting {
        name: "loads-at-once",
        flag: Flag::None,
        form: Form::Count { of: None },
        default: "4",
        doc: "So many rows are loaded from the database at once",
        reason: "Reads must not take the database away from landing",
        set: |draft, text| small(text).map(|number| draft.settings.loads_at_once = number),
        show: |draft| Some(draft.settings.loads_at_once.to_string()),
    },
    Setting {
        name: "loads-waiting-max",
        flag: Flag::None,
        form: Form::Count { of: None },
        default: "10_000",
        doc: "So many loads may wait; one more is refused",
        reason: "A queue that is longer than its patience helps nobody",
        set: |draft, text| small(text).map(|number| draft.settings.loads_waiting_max = number),
        show: |draft| Some(draft.settings.loads_waiting_max.to_string()),
    },
    Setting {
        name: "load-timeout",
        flag: Flag::None,
        form: Form::Duration,
        default: "5s",
        doc: "A read waits so long for a load before it is refused",
        reason: "Clients give up at about the same time",
        set: |draft, text| duration(text).map(|time| draft.settings.load_timeout = time),
        show: |draft| Some(show_duration(draft.settings.load_timeout)),
    },
    Setting {
        name: "drain-timeout",
        flag: Flag::None,
        form: Form::Duration,
        default: "5s",
        doc: "After SIGTERM, landing goes on for so long; what is left stays in the log",
        reason: "Service managers wait longer than that before they kill",
        set: |draft, text| duration(text).map(|time| draft.drain_timeout = time),
        show: |draft| Some(show_duration(draft.drain_timeout)),
    },
];
