//! Reads of a unit by type: strings, hashes, streams, rows.
//! They add the check of the type to what the unit sees, and nothing else.

use super::{Refusal, Stop, Unit};
use crate::buffer::cache::{Hash, Stream, View};
use crate::model::{Name, StreamHead, Value};

/// A string where it lies, and when it expires (Unix milliseconds, 0 for never).
type StringSeen<'a> = (&'a [u8], u64);

impl Unit<'_> {
    /// The string of a key-value key where it lies, or none when it is absent.
    ///
    /// # Errors
    /// [`Stop::Load`], or [`Refusal::WrongType`].
    pub fn string(&mut self, at: usize) -> Result<Option<StringSeen<'_>>, Stop> {
        let seen = self.see(at)?;
        match seen.view {
            View::Absent => Ok(None),
            View::String(value) => Ok(Some((value, seen.expires_ms))),
            _ => Err(Refusal::WrongType.into()),
        }
    }

    /// The hash of a key-value key, or none when it is absent.
    ///
    /// # Errors
    /// [`Stop::Load`], or [`Refusal::WrongType`].
    pub fn hash(&mut self, at: usize) -> Result<Option<&Hash>, Stop> {
        match self.see(at)?.view {
            View::Absent => Ok(None),
            View::Hash(hash) => Ok(Some(hash)),
            _ => Err(Refusal::WrongType.into()),
        }
    }

    /// The stream of a key-value key, or none when it is absent.
    ///
    /// # Errors
    /// [`Stop::Load`], or [`Refusal::WrongType`].
    pub fn stream(&mut self, at: usize) -> Result<Option<&Stream>, Stop> {
        match self.see(at)?.view {
            View::Absent => Ok(None),
            View::Stream(stream) => Ok(Some(stream)),
            _ => Err(Refusal::WrongType.into()),
        }
    }

    /// The head of a key-value stream of which nothing else is known, and when it expires (Unix milliseconds, 0 for never);
    /// none where more is known, which [`Unit::see`] shows. For a unit of one command: the next one would have to see what
    /// this one did.
    ///
    /// # Errors
    /// [`Stop::Load`] when not even the head is known.
    pub fn lone_head(&mut self, at: usize) -> Result<Option<(StreamHead, u64)>, Stop> {
        if self.several_commands || self.look(at) {
            return Ok(None);
        }
        let slot = self.slots[at];
        let row = &self.rows[slot];
        let entry = row.place.and_then(|place| self.guards[row.guard].entry(place));
        let Some((entry, head)) = entry.and_then(|entry| Some((entry, *entry.view.lone_head()?))) else {
            self.wanted.push(slot);
            self.only_head = true;
            return Err(Stop::Load);
        };
        self.read_dirty |= entry.is_dirty();
        let expires_ms = entry.expires_ms;
        self.rows[slot].seen = true;
        Ok(Some((head, expires_ms)))
    }

    /// The columns of a mapped row, or none when it is absent.
    ///
    /// # Errors
    /// [`Stop::Load`].
    pub fn row(&mut self, at: usize) -> Result<Option<&[(Name, Value)]>, Stop> {
        match self.see(at)?.view {
            View::Row(row) => Ok(Some(row)),
            _ => Ok(None),
        }
    }
}
