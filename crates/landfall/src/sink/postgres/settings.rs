//! Where a PostgreSQL is and how it is used, read from a URL. A password is never part of what is shown.
//! It never accepts a URL that asks for encryption, because this version has none.

use std::fmt;
use std::path::PathBuf;

/// The port of PostgreSQL where none is named.
const DEFAULT_PORT: u16 = 5432;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresPlace {
    /// A name or an address, and a port.
    Tcp(String, u16),
    /// The folder of its socket, and the port that is part of the socket's name.
    Unix(PathBuf, u16),
}

/// Where a PostgreSQL is, who logs in, and how long its answers are waited for.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// The server.
    pub place: PostgresPlace,
    /// Who logs in.
    pub user: String,
    /// The password; none where the server asks for none.
    pub password: Option<String>,
    /// A file of passwords in the form of `~/.pgpass`, which the URL names; whoever opens the database reads it.
    pub password_file: Option<PathBuf>,
    /// The database.
    pub database: String,
    /// How long a connection may take to be made. Five seconds: a server across the world needs less than one.
    pub connect_timeout_ms: u64,
    /// How long one exchange with the server may take before the connection is given up. Half a minute: batches are
    /// made to land within half a second, and a server that is sixty times slower is better asked again.
    pub answer_timeout_ms: u64,
    /// How long a statement waits for a lock. Short: whoever waits for one makes others wait behind.
    pub lock_timeout_ms: u64,
}

/// Nobody sees the password.
impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresSettings({self})")
    }
}

/// The URL without the password.
impl fmt::Display for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PostgresSettings { user, database, .. } = self;
        match &self.place {
            PostgresPlace::Tcp(host, port) if host.contains(':') => {
                write!(f, "postgres://{user}@[{host}]:{port}/{database}")
            }
            PostgresPlace::Tcp(host, port) => write!(f, "postgres://{user}@{host}:{port}/{database}"),
            PostgresPlace::Unix(folder, port) => {
                write!(f, "postgres://{user}@/{database}?host={}&port={port}", folder.display())
            }
        }
    }
}

impl PostgresSettings {
    /// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=disable`; `?host=/FOLDER` names the folder of a socket.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and never holds the password.
    ///
    /// ```
    /// use landfall::sink::postgres::PostgresSettings;
    /// let settings = PostgresSettings::parse("postgres://me:secret@127.0.0.1/app")?;
    /// assert_eq!(settings.to_string(), "postgres://me@127.0.0.1:5432/app");
    /// assert!(PostgresSettings::parse("postgres://me@db.example/app?sslmode=require").is_err());
    /// # Ok::<(), String>(())
    /// ```
    pub fn parse(url: &str) -> Result<PostgresSettings, String> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or("write postgres://USER@HOST:PORT/DATABASE")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(decoded(password)?)),
            None => (login, None),
        };
        let (user, mut database) = (decoded(user)?, decoded(database)?);
        let (mut host, mut port) = host_and_port(address)?;
        let (mut sslmode, mut password_file) = (None, None);
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = decoded(value)?;
            match name {
                "host" => host = value,
                "port" => port = number(&value)?,
                "dbname" => database = value,
                "sslmode" => sslmode = Some(value),
                "passfile" => password_file = Some(PathBuf::from(value)),
                "application_name" | "connect_timeout" => {}
                other => {
                    return Err(format!("the parameter {other} is not known; leave it out"));
                }
            }
        }
        if user.is_empty() {
            return Err("name the user, as in postgres://USER@HOST/DATABASE".into());
        }
        if database.is_empty() {
            database.clone_from(&user);
        }
        let place = place(host, port, sslmode.as_deref())?;
        Ok(PostgresSettings {
            place,
            user,
            password,
            password_file,
            database,
            connect_timeout_ms: 5_000,
            answer_timeout_ms: 30_000,
            lock_timeout_ms: 2_000,
        })
    }

    /// Takes the password from the text of a file like `~/.pgpass`: `HOST:PORT:DATABASE:USER:PASSWORD`, where `*` stands
    /// for anything and a backslash keeps what follows it. One that the URL gave stays.
    pub fn take_password(&mut self, file: &str) {
        let (host, port) = match &self.place {
            PostgresPlace::Tcp(host, port) => (host.as_str(), *port),
            PostgresPlace::Unix(_, port) => ("localhost", *port),
        };
        let wanted = [host, &port.to_string(), &self.database, &self.user];
        let lines = file.lines().filter(|line| !line.starts_with('#')).map(fields);
        let mut fitting = lines.filter_map(|mut fields| {
            let password = (fields.len() == 5).then(|| fields.pop()).flatten()?;
            let fits = |(field, wanted): (&String, &&str)| field == "*" || field == wanted;
            fields.iter().zip(&wanted).all(fits).then_some(password)
        });
        if self.password.is_none() {
            self.password = fitting.next();
        }
    }
}

/// The fields of a line, which colons part.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let kept = match letter {
            ':' if fields.len() < 5 => {
                fields.push(String::new());
                continue;
            }
            '\\' => letters.next().unwrap_or(letter),
            other => other,
        };
        fields.last_mut().into_iter().for_each(|field| field.push(kept));
    }
    fields
}

/// The place, if what goes there may go unencrypted.
fn place(host: String, port: u16, sslmode: Option<&str>) -> Result<PostgresPlace, String> {
    const NO_TLS: &str = "this version talks to PostgreSQL without TLS";
    match sslmode {
        None | Some("disable") => {}
        Some(mode @ ("allow" | "prefer" | "require" | "verify-ca" | "verify-full")) => {
            return Err(format!(
                "sslmode={mode} asks for TLS, and {NO_TLS}; use a tunnel or a socket, or write sslmode=disable if the network can be trusted"
            ));
        }
        Some(mode) => return Err(format!("sslmode={mode} is not known; write sslmode=disable")),
    }
    if host.starts_with('/') {
        return Ok(PostgresPlace::Unix(host.into(), port));
    }
    let is_here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !is_here && sslmode.is_none() {
        return Err(format!(
            "{host} is another machine, and {NO_TLS}: everything would travel readable. Use a tunnel, or write sslmode=disable if the network can be trusted"
        ));
    }
    Ok(PostgresPlace::Tcp(host, port))
}

fn host_and_port(address: &str) -> Result<(String, u16), String> {
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match address.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let host = if host.is_empty() { "localhost".to_owned() } else { decoded(host)? };
    Ok((host, port.map_or(Ok(DEFAULT_PORT), number)?))
}

fn number(port: &str) -> Result<u16, String> {
    port.parse().map_err(|_| "the port is a number up to 65535".to_owned())
}

/// A part of a URL with its `%` sequences decoded.
fn decoded(part: &str) -> Result<String, String> {
    const WRONG: &str = "a % in the URL is followed by two hexadecimal digits; write % itself as %25";
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(WRONG);
        let high = digit()?;
        bytes.push((high * 16 + digit()?) as u8);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).ok_or_else(|| WRONG.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_in_all_its_forms_and_never_shows_its_password() {
        for (url, shown) in [
            ("postgres://me:s%40c@localhost/app", "postgres://me@localhost:5432/app"),
            ("postgresql://me@[::1]:6/app?sslmode=disable", "postgres://me@[::1]:6/app"),
            ("postgres://me@/app?host=/run/pg&port=7", "postgres://me@/app?host=/run/pg&port=7"),
            ("postgres://me:secret@%2Frun%2Fpg", "postgres://me@/me?host=/run/pg&port=5432"),
            ("postgres://me@db.example:6/app?sslmode=disable", "postgres://me@db.example:6/app"),
        ] {
            let settings = PostgresSettings::parse(url).unwrap();
            assert_eq!(settings.to_string(), shown, "{url}");
            assert!(!format!("{settings:?}").contains("secret"));
        }
        let password = PostgresSettings::parse("postgres://me:s%40c@localhost/app").unwrap().password;
        assert_eq!(password.as_deref(), Some("s@c"));
    }

    #[test]
    fn a_password_comes_from_the_first_line_of_the_file_that_fits() {
        let file = "# all\nother:*:*:*:no\nlocalhost:5432:app:me:a\\:b\n*:*:*:*:last";
        for (url, expected) in [
            ("postgres://me@localhost/app", "a:b"),
            ("postgres://me@localhost/other", "last"),
            ("postgres://me@/app?host=/run/pg", "a:b"),
            ("postgres://me:own@localhost/app", "own"),
        ] {
            let mut settings = PostgresSettings::parse(url).unwrap();
            settings.take_password(file);
            assert_eq!(settings.password.as_deref(), Some(expected), "{url}");
        }
        let mut settings = PostgresSettings::parse("postgres://me@localhost/app").unwrap();
        settings.take_password("other:*:*:*:no\nhalf:a");
        assert_eq!(settings.password, None);
    }

    #[test]
    fn what_would_travel_readable_is_refused_unless_somebody_said_so() {
        for url in [
            "postgres://me:secret@db.example/app",
            "postgres://me:secret@127.0.0.1/app?sslmode=require",
            "postgres://me:secret@127.0.0.1/app?sslmode=prefer",
            "postgres://me:secret@127.0.0.1/app?sslmode=verify-full",
            "postgres://me:secret@127.0.0.1/app?sslrootcert=x",
            "postgres://:secret@127.0.0.1/app",
            "postgres://me:secret%4@127.0.0.1/app",
            "postgres://me:secret@127.0.0.1:x/app",
        ] {
            let refused = PostgresSettings::parse(url).unwrap_err();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
