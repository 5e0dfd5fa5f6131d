//! Certificates and keys from files in PEM, for the server, for the commands that connect to it, and for databases.
//! It must never tell anything of a key, or take one that everybody may read.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Where systems keep the certificates that they trust.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The file of the certificates that this system trusts, if it has one.
pub(crate) fn system_roots() -> Option<PathBuf> {
    SYSTEM.iter().map(PathBuf::from).find(|path| path.exists())
}

/// The certificates in the file that a setting names.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let refused = |why: String| format!("{setting} = \"{}\" {why}", path.display());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| refused(format!("cannot be read: {error}")));
    match found? {
        none if none.is_empty() => Err(refused("holds no certificate in PEM".to_owned())),
        found => Ok(found),
    }
}

/// The key in the file that a setting names.
///
/// # Errors
/// What is wrong with the file, and what to do.
pub(crate) fn key(setting: &str, path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let refused = |why: String| format!("{setting} = \"{}\" {why}", path.display());
    let metadata = std::fs::metadata(path).map_err(|error| refused(format!("cannot be read: {error}")))?;
    if metadata.mode() & 0o007 != 0 {
        return Err(refused("is open to everybody on this machine; chmod o-rwx it".to_owned()));
    }
    // What is wrong with a key is said without any of it.
    PrivateKeyDer::from_pem_file(path).map_err(|_| refused("holds no key in PEM".to_owned()))
}
