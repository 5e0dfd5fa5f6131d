//! Where a PostgreSQL is and how it is used. A password or a key is never part of what is shown.
//! It never leaves to chance whether a connection is encrypted: what is asked for is done, or refused.

use std::fmt;
use std::path::PathBuf;

mod url;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresPlace {
    /// A name or an address, and a port.
    Tcp(String, u16),
    /// The folder of its socket, and the port that is part of the socket's name.
    Unix(PathBuf, u16),
}

impl PostgresPlace {
    /// Whether what goes there stays on this machine.
    fn is_here(&self) -> bool {
        match self {
            PostgresPlace::Unix(..) => true,
            PostgresPlace::Tcp(host, _) => {
                host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

/// `HOST:PORT`, or the file of the socket.
impl fmt::Display for PostgresPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PostgresPlace::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            PostgresPlace::Tcp(host, port) => write!(f, "{host}:{port}"),
            PostgresPlace::Unix(folder, port) => write!(f, "{}/.s.PGSQL.{port}", folder.display()),
        }
    }
}

/// How a server has to prove who it is. Plain text is never taken in the place of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostgresTls {
    /// Everything travels readable.
    Disable,
    /// TLS. No authority vouches for the server: it has to prove in the login, over this very connection
    /// (SCRAM-SHA-256-PLUS), that it knows the password, and is told nothing of it before.
    Require,
    /// TLS with a certificate of an authority that is trusted, whatever name it is made out to.
    VerifyCa,
    /// TLS with a certificate of an authority that is trusted, made out to the host of the URL.
    VerifyFull,
}

/// Which of several servers is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostgresTarget {
    /// The first that answers.
    Any,
    /// The first that can be written to.
    ReadWrite,
}

/// Files in PEM that the URL names, and what whoever opens the database read from them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PostgresPem {
    /// The certificates of the authorities that are trusted; none: those that this system trusts.
    pub root_file: Option<PathBuf>,
    /// Landfall's own certificate, and its key.
    pub own_files: Option<(PathBuf, PathBuf)>,
    /// The text of `root_file`, or of the system's.
    pub root: Vec<u8>,
    /// The texts of `own_files`.
    pub own: Option<(Vec<u8>, Vec<u8>)>,
}

/// Where a PostgreSQL is, who logs in, and how long its answers are waited for.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// The servers, in the order in which they are tried; at least one.
    pub places: Vec<PostgresPlace>,
    /// Which of them is taken.
    pub target: PostgresTarget,
    /// Who logs in.
    pub user: String,
    /// The password for all of them; none where the server asks for none, or a file like `~/.pgpass` has it.
    pub password: Option<String>,
    /// A file that holds the password and nothing else; whoever opens the database reads it.
    pub password_file: Option<PathBuf>,
    /// A file of passwords in the form of `~/.pgpass`, which the URL names; whoever opens the database reads it.
    pub pgpass_file: Option<PathBuf>,
    /// The database.
    pub database: String,
    /// How the server proves who it is.
    pub tls: PostgresTls,
    /// Certificates for that.
    pub pem: PostgresPem,
    /// A login that is not bound to the TLS connection is refused. [`PostgresTls::Require`] asks for it in any case.
    pub is_bound: bool,
    /// How long a connection may take to be made, for each server. Five seconds: one across the world needs less than one.
    pub connect_timeout_ms: u64,
    /// How long one exchange with the server may take before the connection is given up. Half a minute: batches are
    /// made to land within half a second, and a server that is sixty times slower is better asked again.
    pub answer_timeout_ms: u64,
    /// How long a statement waits for a lock. Short: whoever waits for one makes others wait behind.
    pub lock_timeout_ms: u64,
    /// What a file like `~/.pgpass` says, by place.
    passwords: Vec<Option<String>>,
}

/// Nobody sees the password or the key.
impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresSettings({self})")
    }
}

/// The URL without the password.
impl fmt::Display for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PostgresSettings { user, database, .. } = self;
        if let [PostgresPlace::Unix(folder, port)] = self.places.as_slice() {
            return write!(f, "postgres://{user}@/{database}?host={}&port={port}", folder.display());
        }
        let places: Vec<_> = self.places.iter().map(PostgresPlace::to_string).collect();
        write!(f, "postgres://{user}@{}/{database}", places.join(","))
    }
}

impl PostgresSettings {
    /// Reads `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?sslmode=verify-full`, with the parameters that other
    /// clients of PostgreSQL know; `?host=/FOLDER` names the folder of a socket. To another machine a connection is
    /// encrypted and the server's certificate verified, unless `sslmode` says otherwise.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and never holds the password.
    ///
    /// ```
    /// use landfall::sink::postgres::PostgresSettings;
    /// let settings = PostgresSettings::parse("postgres://me:secret@127.0.0.1/app")?;
    /// assert_eq!(settings.to_string(), "postgres://me@127.0.0.1:5432/app");
    /// assert!(PostgresSettings::parse("postgres://me@db.example/app?sslmode=prefer").is_err());
    /// # Ok::<(), String>(())
    /// ```
    pub fn parse(url: &str) -> Result<PostgresSettings, String> {
        url::parse(url)
    }

    /// Takes the password from the text of a file that holds nothing else. One that the URL gave stays.
    pub fn take_password(&mut self, file: &str) {
        let line = file.strip_suffix('\n').unwrap_or(file);
        self.password.get_or_insert_with(|| line.strip_suffix('\r').unwrap_or(line).to_owned());
    }

    /// Takes passwords from the text of a file like `~/.pgpass`: `HOST:PORT:DATABASE:USER:PASSWORD`, where `*` stands
    /// for anything and a backslash keeps what follows it. One that the URL gave stays.
    pub fn take_passwords(&mut self, file: &str) {
        let of = |place: &PostgresPlace| {
            let (host, port) = match place {
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
            fitting.next()
        };
        self.passwords = self.places.iter().map(of).collect();
    }

    /// The password for the place of this number.
    pub fn password_at(&self, place: usize) -> Option<&str> {
        self.password.as_deref().or_else(|| self.passwords.get(place)?.as_deref())
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
            ("postgres://me@a:6,[::2],c/app?sslmode=disable", "postgres://me@a:6,[::2]:5432,c:5432/app"),
            (
                "postgres:///?user=me&password=secret&host=a,b&port=7&sslmode=disable",
                "postgres://me@a:7,b:7/me",
            ),
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
            settings.take_passwords(file);
            assert_eq!(settings.password_at(0), Some(expected), "{url}");
        }
        let mut settings = PostgresSettings::parse("postgres://me@localhost/app").unwrap();
        settings.take_passwords("other:*:*:*:no\nhalf:a");
        assert_eq!(settings.password_at(0), None);
    }

    #[test]
    fn a_file_with_nothing_but_the_password_gives_it_without_its_line_end() {
        for (file, expected) in [("s c ret", "s c ret"), ("s\n", "s"), ("s\r\n", "s"), ("\n", "")] {
            let mut settings = PostgresSettings::parse("postgres://me@localhost/app").unwrap();
            settings.take_password(file);
            assert_eq!(settings.password_at(0), Some(expected));
        }
    }

    #[test]
    fn each_of_several_servers_has_its_own_password() {
        let mut settings = PostgresSettings::parse("postgres://me@a,b:6/app?sslmode=disable").unwrap();
        settings.take_passwords("b:6:*:*:second\na:*:*:*:first");
        assert_eq!((settings.password_at(0), settings.password_at(1)), (Some("first"), Some("second")));
    }

    #[test]
    #[cfg(feature = "tls")]
    fn what_leaves_the_machine_is_encrypted_and_verified_unless_somebody_said_otherwise() {
        use PostgresTls::{Disable, Require, VerifyCa, VerifyFull};
        for (rest, expected) in [
            ("localhost/app", Disable),
            ("127.0.0.9/app", Disable),
            ("/app?host=/run/pg", Disable),
            ("db.example/app", VerifyFull),
            ("localhost,db.example/app", VerifyFull),
            ("localhost/app?sslrootcert=ca.pem", VerifyFull),
            ("localhost/app?sslrootcert=system", VerifyFull),
            ("localhost/app?channel_binding=require", VerifyFull),
            ("db.example/app?sslmode=disable", Disable),
            ("db.example/app?sslmode=require", Require),
            ("db.example/app?sslmode=require&sslrootcert=ca.pem", VerifyCa),
            ("db.example/app?sslmode=verify-ca", VerifyCa),
        ] {
            let settings = PostgresSettings::parse(&format!("postgres://me:secret@{rest}")).unwrap();
            assert_eq!(settings.tls, expected, "{rest}");
            assert!(settings.is_bound || expected != Require);
        }
        let target = |rest: &str| PostgresSettings::parse(&format!("postgres://me@{rest}")).unwrap().target;
        assert_eq!(target("a/app"), PostgresTarget::Any);
        assert_eq!(target("a,b/app"), PostgresTarget::ReadWrite);
        assert_eq!(target("a,b/app?target_session_attrs=any"), PostgresTarget::Any);
    }

    #[test]
    fn what_cannot_be_done_as_it_is_asked_for_is_refused() {
        for rest in [
            "127.0.0.1/app?sslmode=prefer",
            "127.0.0.1/app?sslmode=allow",
            "127.0.0.1/app?sslmode=VERIFY",
            "127.0.0.1/app?sslmode=disable&sslrootcert=x",
            "127.0.0.1/app?sslmode=disable&channel_binding=require",
            "127.0.0.1/app?sslcert=x",
            "127.0.0.1/app?ssl",
            "127.0.0.1/app?gssencmode=require",
            "127.0.0.1/app?connect_timeout=0",
            "127.0.0.1/app?target_session_attrs=standby",
            "a,b,c/app?port=1,2",
            "/app?host=/run/pg&sslmode=require",
            "127.0.0.1:x/app",
        ] {
            let refused = PostgresSettings::parse(&format!("postgres://me:secret@{rest}")).unwrap_err();
            assert!(!refused.contains("secret"), "{refused}");
        }
        for url in ["postgres://:secret@127.0.0.1/app", "postgres://me:secret%4@127.0.0.1/app"] {
            assert!(!PostgresSettings::parse(url).unwrap_err().contains("secret"));
        }
    }
}
