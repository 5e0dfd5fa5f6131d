//! Notices that a database's file went away or that another was put in its place while connections are open to the old
//! one: what is written there would be gone with the last connection. It never opens or changes the file.

use std::path::{Path, PathBuf};

use crate::error::SinkError;

/// The file that has the database's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    /// The file that has this name now.
    pub(super) fn of(path: &Path) -> Result<Place, SinkError> {
        let found = rustix::fs::stat(path).map_err(|error| missing(path, error.into()))?;
        Ok(Place { path: path.to_owned(), device: found.st_dev as u64, inode: found.st_ino as u64 })
    }

    /// Whether the name still belongs to the same file.
    pub(super) fn check(&self) -> Result<(), SinkError> {
        if Place::of(&self.path)? == *self {
            return Ok(());
        }
        Err(SinkError::Unavailable(format!(
            "another file was put in the place of {}; nothing is written to the old one any more",
            self.path.display()
        )))
    }
}

fn missing(path: &Path, error: std::io::Error) -> SinkError {
    SinkError::Unavailable(format!(
        "the SQLite file {} is not there ({}); put it back, and landing goes on",
        path.display(),
        error.kind()
    ))
}
