//! The places at which the server listens: addresses of networks, and a socket in the file system.
//! It must never take a socket away from a server that still answers there, or open one to more users than was asked.

use std::fmt;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};

use super::socket::{Peer, Socket};

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A network address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// The same with TLS.
    Tls(SocketAddr),
    /// A socket in the file system, and who may connect to it (as in `chmod`).
    Unix {
        /// Its path.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => address.fmt(f),
            Place::Tls(address) => write!(f, "rediss://{address}"),
            Place::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that listens.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// Everything that listens.
#[derive(Default)]
pub(super) struct Bound {
    /// Whose clients the loop takes in.
    pub(super) listeners: Vec<Listener>,
    /// Whose clients have to make a TLS handshake first.
    pub(super) encrypted: Vec<TcpListener>,
    /// Where these are, with the ports that the system chose: `host:port`, `rediss://host:port`, or `unix:path`.
    pub(super) names: Vec<String>,
}

impl Bound {
    /// Listens at one more place.
    pub(super) fn add(&mut self, place: &Place) -> Result<()> {
        match place {
            Place::Tcp(address) => self.push(Listener::Tcp(TcpListener::bind(*address)?)),
            Place::Unix { path, mode } => self.push(bind_unix(path, *mode)?),
            Place::Tls(address) => {
                let listener = TcpListener::bind(*address)?;
                self.names.push(format!("rediss://{}", listener.local_addr()?));
                self.encrypted.push(listener);
                Ok(())
            }
        }
    }

    fn push(&mut self, listener: Listener) -> Result<()> {
        self.names.push(listener.name()?);
        self.listeners.push(listener);
        Ok(())
    }
}

impl Listener {
    fn name(&self) -> Result<String> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map(|address| address.to_string()),
            Listener::Unix(_, path) => Ok(format!("unix:{}", path.display())),
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> Result<()> {
        match self {
            Listener::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            Listener::Unix(listener, _) => listener.register(registry, token, Interest::READABLE),
        }
    }

    /// The next client that waits.
    pub(super) fn accept(&self) -> Result<(Socket, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                // Small replies must not wait for more; a socket that refuses this still works.
                let _ = stream.set_nodelay(true);
                Ok((Socket::Tcp(stream), Peer::Network(address)))
            }
            Listener::Unix(listener, _) => {
                let (stream, _) = listener.accept()?;
                Ok((Socket::Unix(stream), Peer::Unix))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            // One that is left behind is recognised at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn bind_unix(path: &Path, mode: u32) -> Result<Listener> {
    remove_stale(path)?;
    // It is made where only the owner can reach it, so there is no moment in which others may connect.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let private = tempfile::Builder::new().prefix(".landfall-").tempdir_in(parent)?;
    let made = private.path().join("s");
    let listener = UnixListener::bind(&made)?;
    std::fs::set_permissions(&made, std::fs::Permissions::from_mode(mode))?;
    std::fs::rename(&made, path)?;
    Ok(Listener::Unix(listener, path.to_owned()))
}

/// Takes away the socket of a server that was killed. Whatever else is there stays.
fn remove_stale(path: &Path) -> Result<()> {
    let kind = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !kind.is_socket() {
        return Err(Error::new(ErrorKind::AlreadyExists, "there is a file that is no socket"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &Path) -> Place {
        Place::Unix { path: path.to_owned(), mode: 0o640 }
    }

    #[test]
    fn a_socket_has_the_permissions_that_were_asked_for_and_goes_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut listener = Bound::default();
        listener.add(&place(&path)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_nobody_listens_at_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let mut listener = Bound::default();
        listener.add(&place(&path)).unwrap();
        let taken = Bound::default().add(&place(&path)).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        assert!(path.exists(), "the first still has it");
        drop(listener);
        std::fs::write(&path, "mine").unwrap();
        assert!(Bound::default().add(&place(&path)).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}
