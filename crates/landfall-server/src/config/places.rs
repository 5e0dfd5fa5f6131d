//! The addresses that settings name: database, buffer, listening socket, server. A secret in one is never shown again.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

#[cfg(feature = "postgres")]
use landfall::sink::postgres::PostgresSettings;

/// The port of Landfall where none is named.
pub const DEFAULT_PORT: u16 = 5263;

/// A database that this build can land in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite:FILE`.
    Sqlite(PathBuf),
    /// `postgres://USER@HOST:PORT/DATABASE`.
    #[cfg(feature = "postgres")]
    Postgres(Box<PostgresSettings>),
}

impl DatabaseUrl {
    /// Reads a URL; the error says what this build can do instead.
    pub fn parse(text: &str) -> Result<DatabaseUrl, String> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err("name the file, as in sqlite:app.db".to_owned()),
                ":memory:" => Err("a database in memory would lose what has landed; name a file".to_owned()),
                path => Ok(DatabaseUrl::Sqlite(path.into())),
            };
        }
        #[cfg(feature = "postgres")]
        if matches!(scheme_of(text), "postgres" | "postgresql") {
            return PostgresSettings::parse(text).map(|settings| DatabaseUrl::Postgres(Box::new(settings)));
        }
        let known = [
            ("postgres", "PostgreSQL"),
            ("postgresql", "PostgreSQL"),
            ("mysql", "MySQL"),
            ("mariadb", "MariaDB"),
        ];
        match known.iter().find(|(scheme, _)| *scheme == scheme_of(text)) {
            Some((_, name)) => Err(format!("{name} is not built yet; {BUILT}")),
            None => Err(format!("no database that Landfall knows; {BUILT}")),
        }
    }

    /// The file, where the database is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            DatabaseUrl::Sqlite(path) => Some(path),
            #[cfg(feature = "postgres")]
            DatabaseUrl::Postgres(_) => None,
        }
    }
}

#[cfg(feature = "postgres")]
const BUILT: &str =
    "today Landfall lands in SQLite and PostgreSQL: write sqlite:FILE or postgres://USER@HOST/DATABASE";
#[cfg(not(feature = "postgres"))]
const BUILT: &str = "this build lands in SQLite: write sqlite:FILE";

/// Without a password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatabaseUrl::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            #[cfg(feature = "postgres")]
            DatabaseUrl::Postgres(settings) => settings.fmt(f),
        }
    }
}

/// The buffer that this build has: files on the local disk. Without a directory it is the data directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct LocalBuffer(pub(super) Option<PathBuf>);

impl LocalBuffer {
    /// Reads a URL; the error says what this build can do instead.
    pub(super) fn parse(text: &str) -> Result<LocalBuffer, String> {
        const LOCAL_ONLY: &str = "today Landfall buffers on the local disk: write local:DIR";
        if let Some(path) = text.strip_prefix("local:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok(LocalBuffer((!path.is_empty()).then(|| path.into())));
        }
        let known = [
            ("redis", "a Valkey/Redis buffer"),
            ("rediss", "a Valkey/Redis buffer"),
            ("valkey", "a Valkey/Redis buffer"),
            ("redis+cluster", "a Redis Cluster buffer"),
            ("kafka", "a Kafka buffer"),
        ];
        match known.iter().find(|(scheme, _)| *scheme == scheme_of(text)) {
            Some((_, name)) => Err(format!("{name} is not built yet; {LOCAL_ONLY}")),
            None => Err(format!("no buffer that Landfall knows; {LOCAL_ONLY}")),
        }
    }
}

/// Refuses a buffer URL that this build cannot use; the error says what it can do instead.
pub(crate) fn check_buffer(text: &str) -> Result<(), String> {
    LocalBuffer::parse(text).map(|_| ())
}

fn scheme_of(text: &str) -> &str {
    text.split(':').next().unwrap_or_default()
}

/// The server that a command talks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// Over a network.
    Tcp {
        /// A name or an IP address.
        host: String,
        /// The port.
        port: u16,
        /// Whether it speaks TLS.
        tls: bool,
    },
    /// Over a socket in the file system.
    Unix(PathBuf),
}

impl ServerAddress {
    /// Reads `HOST:PORT` or `HOST`, perhaps behind `redis://`, or `rediss://` for TLS; or `unix:PATH`.
    pub(super) fn parse(text: &str) -> Result<ServerAddress, String> {
        let hint = || "write a host and a port, as in 127.0.0.1:5263, or unix:PATH".to_owned();
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(hint()) } else { Ok(ServerAddress::Unix(path.into())) };
        }
        let (tls, rest) = match text.strip_prefix("rediss://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("redis://").unwrap_or(text)),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            let advice =
                "a password on a command line is visible to everybody on this machine; use --password-file";
            return Err(advice.to_owned());
        }
        if rest.is_empty() || rest.contains("//") {
            return Err(hint());
        }
        if let Ok(address) = rest.parse::<SocketAddr>() {
            return Ok(ServerAddress::reaching(address, tls));
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| hint())?),
            None => (rest, DEFAULT_PORT),
        };
        if host.is_empty() || host.contains([':', '/', ' ']) {
            return Err(hint());
        }
        Ok(ServerAddress::Tcp { host: host.to_owned(), port, tls })
    }

    /// The address that reaches a server listening on `address`.
    pub(crate) fn reaching(address: SocketAddr, tls: bool) -> ServerAddress {
        let host = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        ServerAddress::Tcp { host: host.to_string(), port: address.port(), tls }
    }

    /// The address that reaches a server that says it listens there: `host:port`, `rediss://host:port` or `unix:path`.
    pub(crate) fn reaching_place(place: &str) -> Option<ServerAddress> {
        ServerAddress::parse(place).ok()
    }

    /// Whether a command that is told nothing asks this server.
    pub(crate) fn is_default(&self) -> bool {
        *self == ServerAddress::reaching((Ipv4Addr::LOCALHOST, DEFAULT_PORT).into(), false)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            ServerAddress::Tcp { host, port, tls } => {
                let scheme = if *tls { "rediss://" } else { "" };
                match host.contains(':') {
                    true => write!(f, "{scheme}[{host}]:{port}"),
                    false => write!(f, "{scheme}{host}:{port}"),
                }
            }
        }
    }
}

/// What a message may show of a value: no user and no password of a URL.
pub(super) fn without_secret(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    match rest.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}://...@{place}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_built_is_accepted_and_the_rest_is_named() {
        assert_eq!(DatabaseUrl::parse("sqlite:app.db"), Ok(DatabaseUrl::Sqlite("app.db".into())));
        assert_eq!(DatabaseUrl::parse("sqlite:///var/app.db"), Ok(DatabaseUrl::Sqlite("/var/app.db".into())));
        #[cfg(feature = "postgres")]
        {
            let url = DatabaseUrl::parse("postgres://me:secret@localhost/d").unwrap();
            assert_eq!((url.to_string().as_str(), url.file()), ("postgres://me@localhost:5432/d", None));
            let refused = DatabaseUrl::parse("postgres://me:secret@localhost/d?sslmode=prefer").unwrap_err();
            assert!(refused.contains("TLS") && !refused.contains("secret"), "{refused}");
        }
        for (text, name) in [("mysql://h/d", "MySQL"), ("oracle:x", "no database")] {
            assert!(DatabaseUrl::parse(text).is_err_and(|message| message.contains(name)), "{text}");
        }
        assert!(DatabaseUrl::parse("sqlite:").is_err() && DatabaseUrl::parse("sqlite::memory:").is_err());
        assert_eq!(LocalBuffer::parse("local:dir"), Ok(LocalBuffer(Some("dir".into()))));
        for (text, name) in [("redis://h", "Redis"), ("kafka://h", "Kafka"), ("redis+cluster://h", "Cluster")]
        {
            assert!(LocalBuffer::parse(text).is_err_and(|message| message.contains(name)), "{text}");
        }
    }

    #[test]
    fn a_server_is_found_by_many_spellings() {
        for (text, shown) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("redis://cache:7000/", "cache:7000"),
            ("cache", "cache:5263"),
            ("[::1]:9", "[::1]:9"),
            ("0.0.0.0:9", "127.0.0.1:9"),
            ("rediss://cache:7000", "rediss://cache:7000"),
            ("rediss://[::]:7000", "rediss://[::1]:7000"),
            ("unix:run/a.sock", "unix:run/a.sock"),
            ("unix:///run/a.sock", "unix:/run/a.sock"),
        ] {
            assert_eq!(
                ServerAddress::parse(text).map(|address| address.to_string()),
                Ok(shown.to_owned()),
                "{text}"
            );
        }
        for text in ["", "redis://", "http://x", "a:b", "redis://:secret@h:1", ":1", "unix:"] {
            let refused = ServerAddress::parse(text);
            assert!(refused.is_err_and(|message| !message.contains("secret")), "{text}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        assert_eq!(without_secret("postgres://me:se@cret@host/db"), "postgres://...@host/db");
        assert_eq!(without_secret("sqlite:a@b"), "sqlite:a@b");
    }
}
