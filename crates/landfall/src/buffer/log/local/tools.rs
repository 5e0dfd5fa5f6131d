//! The faces of the tools for a log that no process has open: check, survey, dump, repair.
//! All but an allowed repair only read.

use std::path::Path;

use super::super::LogError;
use super::repair::{Permission, Repair, WatermarkOf};
use super::small_file::read_note;
use super::survey::{DumpEntry, Survey, Wanted};
use super::walk::OnProgress;
use super::{Checked, Folders, LocalLog, LocalLogSettings, recover, repair, survey};
use crate::env::Env;
use crate::model::Incident;

impl LocalLog {
    /// Verifies the log in this data directory and changes nothing. No process may have it open.
    ///
    /// # Errors
    /// As [`LocalLog::open`].
    pub fn check(
        env: &Env,
        dir: &Path,
        settings: &LocalLogSettings,
        progress: OnProgress<'_>,
    ) -> Result<Checked, LogError> {
        recover::check(env, &Folders::new(dir), settings, progress)
    }

    /// Reads a log as far as it can be read, damaged or not, and changes nothing.
    ///
    /// # Errors
    /// [`LogError`] when the files cannot be read at all.
    pub fn survey(env: &Env, dir: &Path, progress: OnProgress<'_>) -> Result<Survey, LogError> {
        survey::survey(env, &Folders::new(dir), progress)
    }

    /// Shows the records that `wanted` asks for by their lanes and positions, and all damage, in the log's order. Changes
    /// nothing; of a log that a process has open it may show a last record that is half written as a torn one.
    ///
    /// # Errors
    /// [`LogError`] when the files cannot be read at all.
    pub fn dump(
        env: &Env,
        dir: &Path,
        progress: OnProgress<'_>,
        wanted: Wanted<'_>,
        visit: &mut dyn FnMut(DumpEntry<'_>),
    ) -> Result<(), LogError> {
        survey::dump(env, &Folders::new(dir), progress, wanted, visit)
    }

    /// Repairs a damaged log as far as it is allowed to, and says what it found. No process may have it open. What is
    /// kept is what lies above the database's watermarks; the bytes that are cut go to the folder `quarantine`.
    ///
    /// # Errors
    /// [`LogError`]: nothing was changed but for copies in `quarantine`, and calling it again is safe.
    pub fn repair(
        env: &Env,
        dir: &Path,
        settings: &LocalLogSettings,
        permission: Permission,
        watermark_of: WatermarkOf<'_>,
        progress: OnProgress<'_>,
    ) -> Result<Repair, LogError> {
        repair::repair(env, &Folders::new(dir), settings, permission, watermark_of, progress)
    }

    /// The incidents that are noted beside the log in this directory.
    ///
    /// # Errors
    /// [`LogError`] when META or the note cannot be read.
    pub fn incidents(env: &Env, dir: &Path) -> Result<Vec<Incident>, LogError> {
        match super::read_meta(&env.disk, dir)? {
            Some(meta) => repair::incidents(env, dir, meta.lineage),
            None => Ok(Vec::new()),
        }
    }

    /// What somebody noted under this name beside the log in this directory.
    ///
    /// # Errors
    /// [`LogError`] when META or the note cannot be read.
    pub fn note_in(env: &Env, dir: &Path, name: &str) -> Result<Option<Vec<u8>>, LogError> {
        match super::read_meta(&env.disk, dir)? {
            Some(meta) => read_note(&env.disk, &Folders::new(dir).notes, name, meta.lineage),
            None => Ok(None),
        }
    }
}
