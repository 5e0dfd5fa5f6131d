//! Finds records in the spill file by their addresses. It never takes one record for another: what it gives has this very
//! address under its checksum.

use std::sync::Arc;

use super::super::super::{Address, LogError};
use super::super::failed;
use super::super::record::{NoRecord, View};
use super::{Frames, Spill};

/// One reader's place in a spill file.
#[derive(Default)]
pub(in super::super) struct Place {
    open: Option<(Arc<Spill>, Frames)>,
    /// The record that was read last.
    last: (Address, u64),
}

impl Spill {
    /// The offset of a noted record at or before an address.
    fn block(&self, address: Address) -> Option<u64> {
        let at = self.blocks.partition_point(|&(first, _)| first <= address).checked_sub(1)?;
        Some(self.blocks[at].1)
    }
}

impl Place {
    /// The record at an address; none when this spill file does not have it.
    pub(in super::super) fn record(
        &mut self,
        spill: Arc<Spill>,
        address: Address,
    ) -> Result<Option<View<'_>>, LogError> {
        let Some(mut offset) = spill.block(address) else { return Ok(None) };
        if self.open.as_ref().is_none_or(|(open, _)| !Arc::ptr_eq(open, &spill)) {
            self.open = Some((spill.clone(), spill.frames()));
        } else if self.last.0 <= address && self.last.1 > offset {
            offset = self.last.1;
        }
        let Some((_, frames)) = &mut self.open else { return Ok(None) };
        let io = |reason| failed("read", &spill.path, &reason);
        loop {
            match frames.at(offset).map_err(io)? {
                Ok(frame) if frame.address < address => offset += frame.bytes,
                Ok(frame) if frame.address == address => break,
                Ok(_) | Err(NoRecord::End) => return Ok(None),
                Err(NoRecord::Bad(what) | NoRecord::Foreign(what)) => return Err(spill.bad(offset, what)),
            }
        }
        self.last = (address, offset);
        Ok(frames.at(offset).map_err(io)?.ok().map(|frame| frame.view))
    }
}
