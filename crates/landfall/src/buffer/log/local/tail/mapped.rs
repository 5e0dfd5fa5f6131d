//! The tail of a mapped log: records go into the segment's file as they are appended, and nothing waits for a writer.
//! It never has a file in memory while something before its next record is not written.

use super::super::record::END;
use super::Tail;
use crate::env::Mapped;

impl Tail {
    /// Puts what waits for the writer into the file, when that is in memory. The clean end goes with it, and the next record
    /// covers it.
    #[inline]
    pub(super) fn put_pending(&mut self) {
        if let Some(mapped) = &mut self.mapped {
            let length = self.pending.len() as u64;
            self.pending.extend_from_slice(&END);
            mapped.put(&self.pending, self.taken);
            self.taken += length;
            self.pending.clear();
        }
    }

    /// Puts records into this file from now on, when it is that of the segment which records go to; the writer has written
    /// all that it has taken. Answers what is to be unmapped.
    pub(in super::super) fn map(&mut self, segment: u64, mapped: Box<dyn Mapped>) -> Option<Box<dyn Mapped>> {
        if self.segment.id != segment {
            return Some(mapped);
        }
        self.mapped = Some(mapped);
        self.put_pending();
        self.left.take()
    }

    /// Whether all that was appended is in the file.
    pub(in super::super) fn is_mapped(&self) -> bool {
        self.mapped.is_some()
    }
}
