//! META and notes: any bytes are refused or read as the format says, and each changed byte is noticed.
//! It must never give the content of one note for another's, or half of it.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use arbitrary::{Result, Unstructured};
use landfall::buffer::log::Log;
use landfall::buffer::log::local::{LocalLog, Meta, read_meta};
use landfall::env::Disk;
use landfall::model::Lineage;

use super::logs::{DIR, crc, new_log, settings};
use crate::disk::{Image, MemoryDisk};

const LINEAGE: [u8; 16] = [7; 16];
const NAMES: &[&str] = &["landed", "a", "catalogue-2"];

/// An empty log, to put notes into, and its lineage.
static LOG: LazyLock<(Image, Lineage)> = LazyLock::new(|| {
    let (disk, log) = new_log();
    let lineage = log.lineage();
    drop(log);
    (disk.image(), lineage)
});

pub(crate) fn run(input: &[u8]) {
    let mut choices = Unstructured::new(input);
    let _too_short = match choices.arbitrary().unwrap_or_default() {
        0u8..=63 => meta(choices.take_rest()),
        64..=127 => any_note(choices),
        _ => whole_note(choices),
    };
}

/// Bytes in the place of META.
fn meta(bytes: &[u8]) -> Result<()> {
    let read = |bytes: &[u8]| {
        let image = Image::from([(Path::new(DIR).join("META"), bytes.to_vec())]);
        let disk: Arc<dyn Disk> = MemoryDisk::of(&image);
        read_meta(&disk, Path::new(DIR)).ok().flatten()
    };
    if let Some(found) = read(bytes) {
        assert_eq!(written_meta(&found), bytes, "META has one form");
    }
    // The same content with a head that fits.
    let content = bytes.get(36..).unwrap_or_default();
    let whole = note("META", LINEAGE, content);
    match read(&whole) {
        Some(found) => assert_eq!(written_meta(&found), whole, "META has one form"),
        None => assert!(!is_meta(content), "a whole META is refused"),
    }
    Ok(())
}

/// Whether this is what META holds: with the number of a spill file, or without one.
fn is_meta(content: &[u8]) -> bool {
    let is_spill = content.len() == 25 && content[17..] != [0; 8];
    (content.len() == 17 || is_spill) && content[16] <= 1
}

fn written_meta(meta: &Meta) -> Vec<u8> {
    let mut content = Vec::new();
    content.extend_from_slice(&meta.boot.to_le_bytes());
    content.extend_from_slice(&meta.created_ms.to_le_bytes());
    content.push(meta.begun.into());
    if meta.spill > 0 {
        content.extend_from_slice(&meta.spill.to_le_bytes());
    }
    note("META", meta.lineage.0, &content)
}

/// Any bytes in the place of a note.
fn any_note(mut choices: Unstructured<'_>) -> Result<()> {
    let name = choices.choose(NAMES)?;
    let bytes = choices.take_rest();
    if let Some(content) = read_note(name, bytes) {
        assert_eq!(note(name, LOG.1.0, &content), bytes, "a note has one form");
    }
    Ok(())
}

/// A note as the format describes it; then the same with one byte changed.
fn whole_note(mut choices: Unstructured<'_>) -> Result<()> {
    let name = choices.choose(NAMES)?;
    let (at, change): (u16, u8) = choices.arbitrary()?;
    let content = choices.take_rest();
    let mut bytes = note(name, LOG.1.0, content);
    assert_eq!(read_note(name, &bytes).as_deref(), Some(content));
    let other = NAMES.iter().find(|other| *other != name).copied().unwrap_or_default();
    assert_eq!(read_note(other, &bytes), None, "one note stands in for another");
    let at = usize::from(at) % bytes.len();
    bytes[at] ^= change.max(1);
    assert_eq!(read_note(name, &bytes), None, "byte {at} was changed");
    bytes.truncate(at);
    assert_eq!(read_note(name, &bytes), None, "cut at {at}");
    Ok(())
}

fn read_note(name: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut image = LOG.0.clone();
    image.insert(Path::new(DIR).join("notes").join(name), bytes.to_vec());
    let (log, _) = LocalLog::open(MemoryDisk::of(&image).env(), Path::new(DIR), settings())
        .expect("notes do not matter to a start");
    log.note(name).ok().flatten()
}

/// A note's bytes, written after docs/format.md and not with the library's code.
pub(super) fn note(name: &str, lineage: [u8; 16], content: &[u8]) -> Vec<u8> {
    let mut bytes = b"LANDNOTE\x01\0\0\0".to_vec();
    bytes.extend_from_slice(&lineage);
    bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
    let sum = crc(crc(crc(0, name.as_bytes()), &bytes), content);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(content);
    bytes
}
