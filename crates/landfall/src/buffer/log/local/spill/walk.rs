//! Walks over a spill file that may be damaged, as far as it can be read. It shows of each record only the lanes that need it
//! from here, and it never takes bytes for a record that was not written there.

use std::path::Path;
use std::sync::Arc;

use super::super::super::LogError;
use super::super::failed;
use super::super::record::NoRecord;
use super::super::walk::{Seen, bad};
use super::replay::Oldest;
use super::{Part, Spill};
use crate::env::Disk;
use crate::model::Lineage;

/// Shows what the spill file of this number has before the oldest segment.
pub(in super::super) fn walk(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    (lineage, id): (Lineage, u64),
    oldest: &Oldest<'_>,
    visit: &mut dyn FnMut(Seen<'_>),
) -> Result<(), LogError> {
    let spill = match Spill::open(disk, dir, id, lineage) {
        Ok(spill) => spill,
        Err(LogError::Damaged { file, what, .. } | LogError::Format { file, what }) => {
            // A missing one has no bytes.
            let bytes = disk.open(&file).and_then(|file| file.length()).unwrap_or(0);
            visit(Seen::Damage(bad(&file, 0, bytes, &what)));
            return Ok(());
        }
        Err(other) => return Err(other),
    };
    let needed = |part: &&Part| part.from < oldest.base && !oldest.has_passed(part);
    let parts: Vec<Part> = spill.parts.iter().filter(needed).copied().collect();
    visit(Seen::Spilled(&parts));
    let mut frames = spill.frames();
    let (mut offset, mut whole_to, mut records) = (spill.begin(), spill.begin(), 0);
    let mut why = None;
    while offset < spill.header.length {
        match frames.at(offset).map_err(|reason| failed("read", &spill.path, &reason))? {
            Ok(frame) => {
                if let Some(what) = why.take() {
                    visit(Seen::Damage(bad(&spill.path, whole_to, offset - whole_to, what)));
                }
                let has = |lane, _| parts.iter().any(|part| part.lane == lane && part.from <= frame.address);
                let lanes = frame.view.some_lanes(has);
                if frame.address < oldest.base && !lanes.is_empty() {
                    let view = frame.view.with(&lanes);
                    let is_whole = view.lanes().len() == frame.view.lanes().len();
                    visit(Seen::SpilledRecord { file: &spill.path, offset, view, is_whole });
                }
                offset += frame.bytes;
                whole_to = offset;
                records += 1;
            }
            Err(NoRecord::Bad(what) | NoRecord::Foreign(what)) => {
                why.get_or_insert(what);
                offset += 1;
            }
            Err(NoRecord::End) => break,
        }
    }
    if why.is_none() && records != spill.header.records {
        why = Some("the spill file does not end where it says");
    }
    if let Some(what) = why {
        let bytes = spill.header.length.saturating_sub(whole_to);
        visit(Seen::Damage(bad(&spill.path, whole_to, bytes, what)));
    }
    Ok(())
}
