//! Reads the URL of a PostgreSQL, with the parameters that other clients of PostgreSQL know.
//! No message holds a password, and no parameter is passed over in silence.

use std::path::PathBuf;

use super::{PostgresPem, PostgresPlace, PostgresSettings, PostgresTarget, PostgresTls};

/// The port of PostgreSQL where none is named.
const DEFAULT_PORT: u16 = 5432;
/// The longest that a connection may take to be made: ten minutes. It stands for a wait without end.
const CONNECT_TIMEOUT_S_MAX: u64 = 600;

/// The parameters behind the question mark.
#[derive(Default)]
struct Query {
    user: Option<String>,
    password: Option<String>,
    hosts: Option<String>,
    ports: Option<String>,
    database: Option<String>,
    mode: Option<PostgresTls>,
    root_file: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    is_bound: Option<bool>,
    target: Option<PostgresTarget>,
    password_file: Option<PathBuf>,
    pgpass_file: Option<PathBuf>,
    connect_timeout_ms: Option<u64>,
}

pub(super) fn parse(url: &str) -> Result<PostgresSettings, String> {
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
    let rest = rest.ok_or("write postgres://USER@HOST:PORT/DATABASE")?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(decoded(password)?)),
        None => (login, None),
    };
    let query = Query::read(query)?;
    let user = query.user.clone().map_or_else(|| decoded(user), Ok)?;
    if user.is_empty() {
        return Err("name the user, as in postgres://USER@HOST/DATABASE".into());
    }
    let database = query.database.clone().map_or_else(|| decoded(database), Ok)?;
    let places = places(address, query.hosts.as_deref(), query.ports.as_deref())?;
    let (tls, is_bound) = encryption(&query, &places)?;
    let own_files = match (query.cert, query.key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => return Err("sslcert and sslkey go together: name the file of each".into()),
    };
    // A row lands only where it can be written; whoever names several servers wants the one that takes writes.
    let usual = if places.len() > 1 { PostgresTarget::ReadWrite } else { PostgresTarget::Any };
    Ok(PostgresSettings {
        target: query.target.unwrap_or(usual),
        database: if database.is_empty() { user.clone() } else { database },
        user,
        password: query.password.or(password),
        password_file: query.password_file,
        pgpass_file: query.pgpass_file,
        tls,
        pem: PostgresPem { root_file: query.root_file, own_files, ..PostgresPem::default() },
        is_bound,
        connect_timeout_ms: query.connect_timeout_ms.unwrap_or(5_000),
        answer_timeout_ms: 30_000,
        lock_timeout_ms: 2_000,
        passwords: Vec::new(),
        places,
    })
}

impl Query {
    fn read(query: &str) -> Result<Query, String> {
        let mut read = Query::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or("write parameters as NAME=VALUE")?;
            let value = decoded(value)?;
            match name {
                "user" => read.user = Some(value),
                "password" => read.password = Some(value),
                "host" => read.hosts = Some(value),
                "port" => read.ports = Some(value),
                "dbname" => read.database = Some(value),
                "sslmode" => read.mode = Some(mode(&value)?),
                "sslrootcert" if value == "system" => {
                    read.root_file = None;
                    read.mode.get_or_insert(PostgresTls::VerifyFull);
                }
                "sslrootcert" => read.root_file = Some(value.into()),
                "sslcert" => read.cert = Some(value.into()),
                "sslkey" => read.key = Some(value.into()),
                "channel_binding" => read.is_bound = Some(binding(&value)?),
                "target_session_attrs" => read.target = Some(target(&value)?),
                "password_file" => read.password_file = Some(value.into()),
                "passfile" => read.pgpass_file = Some(value.into()),
                "connect_timeout" => read.connect_timeout_ms = Some(seconds(&value)?),
                "application_name" => {}
                other => return Err(format!("the parameter {other} is not known; leave it out")),
            }
        }
        Ok(read)
    }
}

fn mode(value: &str) -> Result<PostgresTls, String> {
    Ok(match value {
        "disable" => PostgresTls::Disable,
        "require" => PostgresTls::Require,
        "verify-ca" => PostgresTls::VerifyCa,
        "verify-full" => PostgresTls::VerifyFull,
        "allow" | "prefer" => {
            return Err(format!(
                "sslmode={value} would go on in plain text where the server, or somebody in between, has no TLS; write sslmode=verify-full, or sslmode=disable if the network can be trusted"
            ));
        }
        _ => {
            return Err(format!(
                "sslmode={value} is not known; write verify-full, verify-ca, require or disable"
            ));
        }
    })
}

fn binding(value: &str) -> Result<bool, String> {
    match value {
        "require" => Ok(true),
        "prefer" => Ok(false),
        _ => Err(format!("channel_binding={value} is not known; write require or prefer")),
    }
}

fn target(value: &str) -> Result<PostgresTarget, String> {
    match value {
        "any" => Ok(PostgresTarget::Any),
        "read-write" | "primary" => Ok(PostgresTarget::ReadWrite),
        "read-only" | "standby" | "prefer-standby" => Err(format!(
            "target_session_attrs={value}: rows land only where they can be written; write read-write"
        )),
        _ => Err(format!("target_session_attrs={value} is not known; write read-write or any")),
    }
}

fn seconds(value: &str) -> Result<u64, String> {
    let seconds = value.parse().ok().filter(|seconds| (1..=CONNECT_TIMEOUT_S_MAX).contains(seconds));
    seconds
        .map(|seconds: u64| seconds * 1_000)
        .ok_or_else(|| format!("connect_timeout is a number of seconds from 1 to {CONNECT_TIMEOUT_S_MAX}"))
}

/// How the connection is protected, and whether the login is bound to it.
fn encryption(query: &Query, places: &[PostgresPlace]) -> Result<(PostgresTls, bool), String> {
    let names_files = query.root_file.is_some() || query.cert.is_some() || query.key.is_some();
    let is_bound = query.is_bound.unwrap_or(false);
    let mode = match query.mode {
        // As with other clients: who names an authority wants it to be asked.
        Some(PostgresTls::Require) if query.root_file.is_some() => PostgresTls::VerifyCa,
        Some(mode) => mode,
        None if places.iter().all(PostgresPlace::is_here) && !names_files && !is_bound => {
            PostgresTls::Disable
        }
        None => PostgresTls::VerifyFull,
    };
    if mode == PostgresTls::Disable {
        return match names_files || is_bound {
            true => Err("sslmode=disable leaves no use for sslrootcert, sslcert, sslkey and channel_binding; leave them out, or write sslmode=verify-full".into()),
            false => Ok((mode, false)),
        };
    }
    if !cfg!(feature = "tls") {
        return Err("this build has no TLS; build it with the feature tls, or write sslmode=disable if the network can be trusted".into());
    }
    if places.iter().any(|place| matches!(place, PostgresPlace::Unix(..))) {
        return Err("a socket in the file system has no TLS, and needs none; leave sslmode out".into());
    }
    Ok((mode, is_bound || mode == PostgresTls::Require))
}

/// The servers: the hosts of the parameter, else those of the address, each with its port.
fn places(address: &str, hosts: Option<&str>, ports: Option<&str>) -> Result<Vec<PostgresPlace>, String> {
    let mut pairs = match hosts {
        Some(hosts) => hosts.split(',').map(|host| (host.to_owned(), None)).collect(),
        None => address.split(',').map(host_and_port).collect::<Result<Vec<_>, _>>()?,
    };
    if let Some(ports) = ports {
        let ports = ports.split(',').map(number).collect::<Result<Vec<_>, _>>()?;
        if ports.len() != 1 && ports.len() != pairs.len() {
            return Err("write one port, or one for each host".into());
        }
        for (at, (_, port)) in pairs.iter_mut().enumerate() {
            *port = Some(ports[at.min(ports.len() - 1)]);
        }
    }
    let place = |(host, port): (String, Option<u16>)| {
        let port = port.unwrap_or(DEFAULT_PORT);
        match host.as_str() {
            "" => PostgresPlace::Tcp("localhost".to_owned(), port),
            folder if folder.starts_with('/') => PostgresPlace::Unix(folder.into(), port),
            _ => PostgresPlace::Tcp(host, port),
        }
    };
    Ok(pairs.into_iter().map(place).collect())
}

fn host_and_port(address: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match address.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    Ok((decoded(host)?, port.map(number).transpose()?))
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
