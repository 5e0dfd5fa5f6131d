//! The bytes of a row's identity or of its value: few of them lie in the entry itself, many have a piece of memory of their own.
//! It must never take more than three words: each row of the cache has two of these.

use std::fmt;
use std::ops::Deref;

/// So many bytes lie here, beside a length and the byte that tells the form.
const HERE_BYTES: usize = 22;

/// What an allocation costs beside its bytes, as far as one can tell.
pub(super) const ALLOCATION_BYTES: usize = 16;

/// Bytes, which nobody else holds.
#[derive(Clone)]
pub struct Compact(Form);

#[derive(Clone)]
enum Form {
    Here { length: u8, bytes: [u8; HERE_BYTES] },
    Apart(Box<[u8]>),
}

impl Compact {
    /// The memory that lies apart from this, in bytes.
    pub(super) fn apart_bytes(&self) -> usize {
        match &self.0 {
            Form::Here { .. } => 0,
            Form::Apart(bytes) => bytes.len() + ALLOCATION_BYTES,
        }
    }

    /// What lies apart, if anything does.
    pub(super) fn apart(&self) -> Option<&[u8]> {
        match &self.0 {
            Form::Here { .. } => None,
            Form::Apart(bytes) => Some(bytes),
        }
    }

    /// Becomes `new`. Bytes of the same length are copied over the old ones: that memory is cold, and freeing it would
    /// cost more than the copy.
    pub(super) fn become_this(&mut self, new: Compact) {
        if let (Form::Apart(old), Form::Apart(new)) = (&mut self.0, &new.0)
            && old.len() == new.len()
        {
            old.copy_from_slice(new);
            return;
        }
        *self = new;
    }
}

impl Deref for Compact {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Here { length, bytes } => &bytes[..usize::from(*length).min(HERE_BYTES)],
            Form::Apart(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Compact {
    #[inline]
    fn from(from: &[u8]) -> Compact {
        let mut bytes = [0; HERE_BYTES];
        match bytes.get_mut(..from.len()) {
            Some(here) => {
                here.copy_from_slice(from);
                Compact(Form::Here { length: from.len() as u8, bytes })
            }
            None => Compact(Form::Apart(from.into())),
        }
    }
}

impl From<Vec<u8>> for Compact {
    fn from(from: Vec<u8>) -> Compact {
        if from.len() <= HERE_BYTES { Compact::from(&from[..]) } else { Compact(Form::Apart(from.into())) }
    }
}

impl fmt::Debug for Compact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_come_back_and_become_others() {
        for length in 0..60 {
            let bytes = vec![b'a'; length];
            let compact = Compact::from(&bytes[..]);
            assert_eq!(*compact, bytes[..]);
            assert_eq!(*Compact::from(bytes), *compact);
            for other in [length, length + 1, length / 2] {
                let mut changed = compact.clone();
                changed.become_this(vec![b'b'; other].into());
                assert_eq!(*changed, vec![b'b'; other][..]);
            }
        }
    }

    #[test]
    fn bytes_take_three_words_and_a_view_takes_no_more() {
        assert_eq!(size_of::<Compact>(), 24);
        assert_eq!(size_of::<super::super::View>(), 24);
    }
}
