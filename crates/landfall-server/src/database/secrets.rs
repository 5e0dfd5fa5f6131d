//! Reads the files that the URL of a PostgreSQL names: passwords, certificates, keys.
//! It never takes a secret from a file that others can read, and never says anything of what is in one.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use landfall::error::SinkError;
use landfall::sink::postgres::{PostgresSettings, PostgresTls};

#[cfg(feature = "tls")]
use crate::pem::system_roots;

/// Fills in what the URL leaves to files.
pub(super) fn read(settings: &mut PostgresSettings) -> Result<(), SinkError> {
    if let Some(path) = settings.password_file.clone() {
        settings.take_password(&text("password_file", &path)?);
    }
    if settings.password.is_none() {
        passwords(settings)?;
    }
    if settings.tls == PostgresTls::Disable {
        return Ok(());
    }
    let root = settings.pem.root_file.clone();
    if let Some(path) = root.or_else(system_roots) {
        settings.pem.root = public("sslrootcert", &path)?;
    }
    if let Some((cert, key)) = settings.pem.own_files.clone() {
        settings.pem.own = Some((public("sslcert", &cert)?, secret("sslkey", &key)?));
    }
    Ok(())
}

#[cfg(not(feature = "tls"))]
fn system_roots() -> Option<PathBuf> {
    None
}

/// From the file that the URL names, else from that of the variable PGPASSFILE, else from ~/.pgpass.
fn passwords(settings: &mut PostgresSettings) -> Result<(), SinkError> {
    let named = settings.pgpass_file.clone().map(|path| ("passfile", path));
    let named = named.or_else(|| Some(("PGPASSFILE", PathBuf::from(std::env::var_os("PGPASSFILE")?))));
    if let Some((name, path)) = named {
        settings.take_passwords(&text(name, &path)?);
        return Ok(());
    }
    let Some(home) = std::env::var_os("HOME") else { return Ok(()) };
    let usual = PathBuf::from(home).join(".pgpass");
    match usual.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        _ => settings.take_passwords(&text("~/.pgpass", &usual)?),
    }
    Ok(())
}

fn text(name: &str, path: &Path) -> Result<String, SinkError> {
    String::from_utf8(secret(name, path)?).map_err(|_| unusable(name, path, "is no text in UTF-8"))
}

/// A file that only Landfall may read; one of root's also its group, which is how secrets come into containers.
fn secret(name: &str, path: &Path) -> Result<Vec<u8>, SinkError> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(name, path, &error))?;
    let others = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & others != 0 {
        return Err(unusable(name, path, "can be read by other users; chmod 600 it"));
    }
    public(name, path)
}

fn public(name: &str, path: &Path) -> Result<Vec<u8>, SinkError> {
    std::fs::read(path).map_err(|error| unreadable(name, path, &error))
}

fn unreadable(name: &str, path: &Path, error: &std::io::Error) -> SinkError {
    unusable(name, path, &format!("cannot be read: {error}"))
}

fn unusable(name: &str, path: &Path, why: &str) -> SinkError {
    SinkError::Unusable(format!("{name}: the file {} {why}", path.display()))
}
