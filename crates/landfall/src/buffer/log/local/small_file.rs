//! Small files that are replaced as a whole: META and the notes (docs/format.md, "META and notes").
//! A reader gets what was written last or an error; never half of it, and never another log's.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::{LogError, NOTE_BYTES_MAX};
use super::record::{u32_at, u64_at};
use super::segment::FORMAT_VERSION;
use super::{damaged, failed};
use crate::env::Disk;
use crate::env::failpoint::reach;
use crate::env::planted::{Bug, planted};
use crate::model::Lineage;

const MAGIC: &[u8; 8] = b"LANDNOTE";
/// Magic, version, lineage, length, checksum.
const HEAD_BYTES: usize = 8 + 4 + 16 + 4 + 4;

/// What a log directory says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Which log this is.
    pub lineage: Lineage,
    /// How often it was opened.
    pub boot: u64,
    /// When it was made, Unix milliseconds.
    pub created_ms: u64,
    /// Whether its first segment was made: from then on a directory without segments is damaged.
    pub begun: bool,
    /// The number of the spill file, or 0.
    pub spill: u64,
}

/// META's content without a spill file, which older versions read too, and with one, which they refuse.
const META_BYTES: [usize; 2] = [17, 25];

/// Reads META of a data directory; none when there is no log yet.
///
/// # Errors
/// [`LogError::Damaged`], [`LogError::Format`] or [`LogError::Io`].
pub fn read_meta(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Option<Meta>, LogError> {
    let path = dir.join("META");
    let Some((lineage, content)) = read(disk, &path)? else { return Ok(None) };
    let spill = (content.len() == META_BYTES[1]).then(|| u64_at(&content, 17));
    // The longer form without a spill file would be a second one of the same content, which nobody writes.
    if !META_BYTES.contains(&content.len()) || content[16] > 1 || spill == Some(0) {
        return Err(damaged(&path, 0, "META does not have the form that its version asks for"));
    }
    let (boot, created_ms, spill) = (u64_at(&content, 0), u64_at(&content, 8), spill.unwrap_or(0));
    Ok(Some(Meta { lineage, boot, created_ms, begun: content[16] == 1, spill }))
}

pub(super) fn write_meta(disk: &Arc<dyn Disk>, dir: &Path, meta: &Meta) -> Result<(), LogError> {
    let mut content = Vec::with_capacity(META_BYTES[1]);
    content.extend_from_slice(&meta.boot.to_le_bytes());
    content.extend_from_slice(&meta.created_ms.to_le_bytes());
    content.push(u8::from(meta.begun));
    if meta.spill > 0 {
        content.extend_from_slice(&meta.spill.to_le_bytes());
    }
    write(disk, &dir.join("META"), meta.lineage, &content)
}

fn note_path(dir: &Path, name: &str) -> Result<PathBuf, LogError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
        let reason = "a note's name is 1 to 64 of a-z, 0-9, - and _".to_owned();
        return Err(LogError::Io { what: format!("note {name:?}"), reason });
    }
    Ok(dir.join(name))
}

pub(super) fn read_note(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    name: &str,
    lineage: Lineage,
) -> Result<Option<Vec<u8>>, LogError> {
    let path = note_path(dir, name)?;
    match read(disk, &path)? {
        Some((found, _)) if found != lineage => {
            Err(damaged(&path, 12, &format!("this note belongs to log {found}")))
        }
        note => Ok(note.map(|(_, content)| content)),
    }
}

pub(super) fn write_note(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    name: &str,
    lineage: Lineage,
    content: &[u8],
) -> Result<(), LogError> {
    if content.len() as u64 > NOTE_BYTES_MAX {
        return Err(LogError::TooLarge { bytes: content.len() as u64, bytes_max: NOTE_BYTES_MAX });
    }
    write(disk, &note_path(dir, name)?, lineage, content)
}

/// The checksum covers the name, so that one note cannot stand in for another.
fn checksum(path: &Path, head: &[u8], content: &[u8]) -> u32 {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(name), head), content)
}

fn read(disk: &Arc<dyn Disk>, path: &Path) -> Result<Option<(Lineage, Vec<u8>)>, LogError> {
    let file = match disk.open(path) {
        Err(reason) if reason.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|reason| failed("open", path, &reason))?,
    };
    let length = file.length().map_err(|reason| failed("read", path, &reason))?;
    if length > NOTE_BYTES_MAX + HEAD_BYTES as u64 {
        return Err(damaged(path, 0, "the file is longer than any of its kind"));
    }
    let mut bytes = vec![0; length as usize];
    let got = file.read_at(&mut bytes, 0).map_err(|reason| failed("read", path, &reason))?;
    if got < HEAD_BYTES || got < bytes.len() || &bytes[..8] != MAGIC {
        return Err(damaged(path, 0, "this is not a note of a log"));
    }
    let (head, content) = bytes.split_at(HEAD_BYTES);
    if checksum(path, &head[..HEAD_BYTES - 4], content) != u32_at(head, HEAD_BYTES - 4) {
        return Err(damaged(path, 0, "the checksum does not fit"));
    }
    if u32_at(head, 8) != FORMAT_VERSION || u32_at(head, 28) as usize != content.len() {
        return Err(LogError::Format { file: path.into(), what: format!("format {}", u32_at(head, 8)) });
    }
    let mut lineage = [0; 16];
    lineage.copy_from_slice(&head[12..28]);
    Ok(Some((Lineage(lineage), content.to_vec())))
}

fn write(disk: &Arc<dyn Disk>, path: &Path, lineage: Lineage, content: &[u8]) -> Result<(), LogError> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + content.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&lineage.0);
    bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&checksum(path, &bytes, content).to_le_bytes());
    bytes.extend_from_slice(content);
    replace(disk, path, &bytes).map_err(|reason| failed("write", path, &reason))
}

/// The file that only keeps room, and its size: some META and notes.
const RESERVE: &str = "RESERVE";
const RESERVE_BYTES: u64 = 256 << 10;

/// Makes the reserve of a data directory, if it is not there.
pub(super) fn make_reserve(disk: &Arc<dyn Disk>, dir: &Path) -> io::Result<()> {
    let path = dir.join(RESERVE);
    match disk.create(&path) {
        Err(reason) if reason.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(reason) => Err(reason),
        Ok(file) => {
            let zeros = || file.write_at(&[0; RESERVE_BYTES as usize], 0);
            let made = file.reserve(RESERVE_BYTES).or_else(|_| zeros()).and_then(|()| file.sync_data());
            if made.is_err() {
                // A half-made file would keep the room that is missing. That it cannot be removed changes nothing.
                let _ = disk.remove(&path);
            }
            made
        }
    }
}

/// Replaces a file, durably. On a full disk the reserve of the data directory makes room for it.
pub(super) fn replace(disk: &Arc<dyn Disk>, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let full = match write_anew(disk, path, bytes) {
        Err(reason) if matches!(reason.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => reason,
        written => return written,
    };
    // The file lies in the data directory or in a folder of it.
    let reserves = path.ancestors().skip(1).take(2).map(|dir| dir.join(RESERVE));
    let freed = reserves.into_iter().any(|reserve| disk.remove(&reserve).is_ok());
    if freed { write_anew(disk, path, bytes) } else { Err(full) }
}

/// Under another name first, and durable before it gets its name.
fn write_anew(disk: &Arc<dyn Disk>, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("tmp");
    match disk.remove(&draft) {
        Err(reason) if reason.kind() != ErrorKind::NotFound => return Err(reason),
        _ => {}
    }
    let file = disk.create(&draft)?;
    file.write_at(bytes, 0)?;
    if !planted(Bug::NoteWithoutSync) {
        file.sync_data()?;
    }
    reach("note.draft");
    disk.rename(&draft, path)?;
    reach("note.named");
    disk.sync_dir(path.parent().unwrap_or(Path::new("")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::strict_disk::StrictDisk;

    #[test]
    fn every_changed_byte_of_a_note_is_noticed_and_no_note_stands_in_for_another() {
        let disk = StrictDisk::default();
        let any: Arc<dyn Disk> = Arc::new(disk.clone());
        let (dir, lineage) = (Path::new("notes"), Lineage([4; 16]));
        write_note(&any, dir, "landed", lineage, b"content").unwrap();
        let path = dir.join("landed");
        let bytes = disk.content(&path);
        for at in 0..bytes.len() {
            disk.change(&path, |content| content[at] ^= 4);
            assert!(read_note(&any, dir, "landed", lineage).is_err(), "byte {at}");
            disk.change(&path, |content| *content = bytes[..at].to_vec());
            assert!(read_note(&any, dir, "landed", lineage).is_err(), "length {at}");
            disk.change(&path, |content| *content = bytes.clone());
        }
        assert_eq!(read_note(&any, dir, "landed", lineage).unwrap().unwrap(), b"content");
        assert!(read_note(&any, dir, "landed", Lineage([5; 16])).is_err());
        any.rename(&path, &dir.join("other")).unwrap();
        assert!(read_note(&any, dir, "other", lineage).is_err());
        assert!(read_note(&any, dir, "../META", lineage).is_err());
    }
}
