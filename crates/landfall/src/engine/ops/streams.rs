//! XADD, XDEL, XTRIM and their kin: entries of key-value streams, by ids that never go back.
//! The id is chosen here, before anything is logged, so that a replay is exact; what goes is named entry by entry, so that a
//! stream is not written anew for it.

use std::sync::Arc;

use super::strings::key_value_only;
use crate::buffer::cache::{Stream, StreamEdits, View};
use crate::engine::refusal::{Refusal, Stop};
use crate::engine::unit::Unit;
use crate::model::mapping::Target;
use crate::model::stream::encode_fields;
use crate::model::{EntryId, StreamHead};

/// So many entries go at once where it need not be exact: the size of a node in Redis.
const TRIMMED_TOGETHER: usize = 100;
/// From so many entries that go on it is worth looking whether those that stay take less to write.
const WRITTEN_ANEW_MIN: usize = 64;
/// What an entry that goes takes in a record, in bytes.
const GONE_BYTES: usize = 21;

/// Which id a new entry gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewId {
    /// That of the time, or behind the last.
    Now,
    /// The next one within this millisecond.
    Within(u64),
    /// This one.
    Given(EntryId),
}

/// What a trim keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// So many of the newest.
    Newest(u64),
    /// All from this id on.
    From(EntryId),
}

/// How a stream is trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    /// What stays.
    pub keep: Keep,
    /// Not exactly: entries go by the hundred, and at most so many (0: all that may).
    pub about: Option<u64>,
}

impl Trim {
    /// How many of `length` entries go, the oldest first; `below` says how many of them are below an id.
    fn gone(&self, length: usize, below: impl Fn(EntryId) -> usize) -> usize {
        let excess = match self.keep {
            Keep::Newest(most) => length.saturating_sub(usize::try_from(most).unwrap_or(usize::MAX)),
            Keep::From(id) => below(id),
        };
        let Some(limit) = self.about else { return excess };
        let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
        let mut gone = 0;
        loop {
            let together = TRIMMED_TOGETHER.min(length - gone);
            if together == 0 || gone + together > excess || gone + together > limit {
                return gone;
            }
            gone += together;
        }
    }
}

/// An entry to be added.
#[derive(Debug, Clone, Copy)]
pub struct NewEntry<'a> {
    /// Its id.
    pub id: NewId,
    /// The key must be there already.
    pub only_there: bool,
    /// What goes for it.
    pub trim: Option<Trim>,
    /// Its fields and values, one after the other.
    pub parts: &'a [&'a [u8]],
}

/// XADD: the id of the entry; none when the key is absent and has to be there.
///
/// # Errors
/// [`Stop`].
pub fn add(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    new: &NewEntry<'_>,
) -> Result<Option<EntryId>, Stop> {
    let now_ms = unit.now_ms();
    key_value_only(target, "XADD")?;
    if new.trim.is_none()
        && let Some((head, expires_ms)) = unit.lone_head(at)?
    {
        let is_over = expires_ms > 0 && expires_ms <= now_ms;
        return add_to_head(unit, at, if is_over { None } else { Some(head) }, new);
    }
    let (stream, expires_ms) = seen(unit, at, target, "XADD")?;
    if stream.is_none() && new.only_there {
        return Ok(None);
    }
    let head = stream.map(|stream| *stream.head()).unwrap_or_default();
    let id = next_id(&head, new.id, now_ms)?;
    let head = StreamHead { last: id, added: head.added.saturating_add(1), ..head };
    let entry = (id, Arc::from(encode_fields(new.parts.iter().copied())));
    let length = stream.map_or(0, Stream::len);
    let below = |least: EntryId| below(stream, least) + usize::from(id < least);
    let gone = new.trim.map_or(0, |trim| trim.gone(length + 1, below));
    let added = (gone <= length).then_some(entry);
    let (edits, anew) = match stream {
        Some(stream) => trimmed(stream, gone.min(length), added, head, expires_ms),
        None => {
            let entries = added.into_iter().map(|(id, fields)| (id, Some(fields))).collect();
            (StreamEdits { head, entries }, Some(0))
        }
    };
    unit.edit_stream(at, edits, anew);
    Ok(Some(id))
}

/// Adds an entry to a stream of which the head alone is known, and which is absent without one.
fn add_to_head(
    unit: &mut Unit<'_>,
    at: usize,
    head: Option<StreamHead>,
    new: &NewEntry<'_>,
) -> Result<Option<EntryId>, Stop> {
    if head.is_none() && new.only_there {
        return Ok(None);
    }
    let anew = head.is_none().then_some(0);
    let head = head.unwrap_or_default();
    let id = next_id(&head, new.id, unit.now_ms())?;
    let head = StreamHead { last: id, added: head.added.saturating_add(1), ..head };
    let entries = vec![(id, Some(Arc::from(encode_fields(new.parts.iter().copied()))))];
    unit.edit_stream(at, StreamEdits { head, entries }, anew);
    Ok(Some(id))
}

fn next_id(head: &StreamHead, wanted: NewId, now_ms: u64) -> Result<EntryId, Refusal> {
    let exhausted =
        || Refusal::invalid("The stream has exhausted the last possible ID, unable to add more items");
    let too_low =
        || Refusal::invalid("The ID specified in XADD is equal or smaller than the target stream top item");
    if head.last == EntryId::MAX {
        return Err(exhausted());
    }
    let id = match wanted {
        NewId::Now => return head.last.next_at(now_ms).ok_or_else(exhausted),
        NewId::Within(ms) if ms == head.last.ms => {
            let seq = head.last.seq.checked_add(1).ok_or_else(too_low)?;
            EntryId { ms, seq }
        }
        NewId::Within(ms) => EntryId { ms, seq: 0 },
        NewId::Given(id) => id,
    };
    if id > head.last { Ok(id) } else { Err(too_low()) }
}

/// XDEL: how many of the entries were there.
///
/// # Errors
/// [`Stop`].
pub fn delete(unit: &mut Unit<'_>, at: usize, target: &Target, ids: &[EntryId]) -> Result<usize, Stop> {
    let Some(stream) = seen(unit, at, target, "XDEL")?.0 else { return Ok(0) };
    let mut gone: Vec<EntryId> = ids.iter().copied().filter(|id| stream.contains(*id)).collect();
    gone.sort_unstable();
    gone.dedup();
    let Some(highest) = gone.last() else { return Ok(0) };
    let head = StreamHead { deleted: stream.head().deleted.max(*highest), ..*stream.head() };
    let removed = gone.len();
    let entries = gone.into_iter().map(|id| (id, None)).collect();
    unit.edit_stream(at, StreamEdits { head, entries }, None);
    Ok(removed)
}

/// XTRIM: how many entries went.
///
/// # Errors
/// [`Stop`].
pub fn trim(unit: &mut Unit<'_>, at: usize, target: &Target, trim: &Trim) -> Result<usize, Stop> {
    let (Some(stream), expires_ms) = seen(unit, at, target, "XTRIM")? else { return Ok(0) };
    let gone = trim.gone(stream.len(), |least| below(Some(stream), least));
    if gone > 0 {
        let (edits, anew) = trimmed(stream, gone, None, *stream.head(), expires_ms);
        unit.edit_stream(at, edits, anew);
    }
    Ok(gone)
}

/// XSETID: gives a stream another last id, and what else is given.
///
/// # Errors
/// [`Stop`]: there is no stream, or its entries say otherwise.
pub fn set_id(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    last: EntryId,
    (added, deleted): (Option<u64>, Option<EntryId>),
) -> Result<(), Stop> {
    let refused = |why: &str| Err(Refusal::invalid(why).into());
    let Some(stream) = seen(unit, at, target, "XSETID")?.0 else { return refused("no such key") };
    if last < stream.head().deleted {
        return refused("The ID specified in XSETID is smaller than current max_deleted_entry_id");
    }
    if stream.last().is_some_and(|top| last < top) {
        return refused("The ID specified in XSETID is smaller than the target stream top item");
    }
    if !stream.is_empty() && added.is_some_and(|added| added < stream.len() as u64) {
        return refused("The entries_added specified in XSETID is smaller than the target stream length");
    }
    let head = stream.head();
    let head =
        StreamHead { last, added: added.unwrap_or(head.added), deleted: deleted.unwrap_or(head.deleted) };
    unit.edit_stream(at, StreamEdits { head, entries: Vec::new() }, None);
    Ok(())
}

/// Shows `visit` the stream, or none when the key is absent.
///
/// # Errors
/// [`Stop`].
pub fn read<T>(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    visit: impl FnOnce(Option<&Stream>) -> T,
) -> Result<T, Stop> {
    if let Target::Table(table) = target {
        return Err(super::names_a_table(table).into());
    }
    // A row is no stream, as a hash is none.
    if super::row_of(target).is_some() {
        return Err(Refusal::WrongType.into());
    }
    Ok(visit(unit.stream(at)?))
}

/// All of a stream, to be written somewhere else.
pub(super) fn whole(stream: &Stream) -> StreamEdits {
    let entries = stream.iter().map(|(id, fields)| (id, Some(fields.clone()))).collect();
    StreamEdits { head: *stream.head(), entries }
}

fn seen<'u>(
    unit: &'u mut Unit<'_>,
    at: usize,
    target: &Target,
    command: &str,
) -> Result<(Option<&'u Stream>, u64), Stop> {
    key_value_only(target, command)?;
    let seen = unit.see(at)?;
    match seen.view {
        View::Absent => Ok((None, 0)),
        View::Stream(stream) => Ok((Some(stream), seen.expires_ms)),
        _ => Err(Refusal::WrongType.into()),
    }
}

/// How many entries are below an id.
fn below(stream: Option<&Stream>, least: EntryId) -> usize {
    let (Some(stream), Some(last)) = (stream, least.previous()) else { return 0 };
    stream.range(EntryId::MIN..=last).count()
}

/// A stream without its `gone` oldest entries and with one more. When many go and little stays, what stays is written anew.
fn trimmed(
    stream: &Stream,
    gone: usize,
    added: Option<(EntryId, Arc<[u8]>)>,
    head: StreamHead,
    expires_ms: u64,
) -> (StreamEdits, Option<u64>) {
    let added = added.map(|(id, fields)| (id, Some(fields)));
    if gone >= WRITTEN_ANEW_MIN {
        let gone_bytes: usize = stream.iter().take(gone).map(|(_, fields)| fields.len()).sum();
        let kept = stream.len() - gone;
        if stream.fields_bytes() - gone_bytes + kept * GONE_BYTES < gone * GONE_BYTES {
            let kept = stream.iter().skip(gone).map(|(id, fields)| (id, Some(fields.clone())));
            return (StreamEdits { head, entries: kept.chain(added).collect() }, Some(expires_ms));
        }
    }
    let removed = stream.iter().take(gone).map(|(id, _)| (id, None));
    (StreamEdits { head, entries: removed.chain(added).collect() }, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trim_says_how_many_go() {
        let (newest, from) = (|n| Keep::Newest(n), |ms| Keep::From(EntryId { ms, seq: 0 }));
        // Entries 1-0, 2-0, ..
        for (length, keep, about, gone) in [
            (5, newest(3), None, 2),
            (5, newest(9), None, 0),
            (5, newest(0), None, 5),
            (5, newest(3), Some(0), 0),
            (5, newest(0), Some(0), 5),
            (5, newest(0), Some(4), 0),
            (250, newest(100), Some(0), 100),
            (250, newest(49), Some(0), 200),
            (250, newest(0), Some(0), 250),
            (250, newest(0), Some(220), 200),
            (250, newest(0), Some(99), 0),
            (250, from(3), None, 2),
            (250, from(101), Some(0), 100),
            (250, from(100), Some(0), 0),
            (250, from(999), Some(0), 250),
        ] {
            let below = |least: EntryId| (least.ms as usize - 1).min(length);
            assert_eq!(Trim { keep, about }.gone(length, below), gone, "{length} {keep:?} {about:?}");
        }
    }

    #[test]
    fn an_id_never_goes_back() {
        let id = |ms, seq| EntryId { ms, seq };
        let next = |last, wanted, now_ms| {
            next_id(&StreamHead { last, ..StreamHead::default() }, wanted, now_ms).ok()
        };
        assert_eq!(next(id(7, 3), NewId::Now, 9), Some(id(9, 0)));
        assert_eq!(next(id(7, 3), NewId::Now, 7), Some(id(7, 4)));
        assert_eq!(next(id(7, 3), NewId::Now, 2), Some(id(7, 4)), "the clock went back");
        assert_eq!(next(id(7, u64::MAX), NewId::Now, 2), Some(id(8, 0)));
        assert_eq!(next(id(7, 3), NewId::Within(7), 0), Some(id(7, 4)));
        assert_eq!(next(id(7, 3), NewId::Within(8), 0), Some(id(8, 0)));
        assert_eq!(next(id(7, 3), NewId::Within(6), 0), None);
        assert_eq!(next(id(7, u64::MAX), NewId::Within(7), 0), None);
        assert_eq!(next(id(0, 0), NewId::Within(0), 0), Some(id(0, 1)));
        assert_eq!(next(id(7, 3), NewId::Given(id(7, 3)), 0), None);
        assert_eq!(next(id(7, 3), NewId::Given(id(7, 4)), 0), Some(id(7, 4)));
        assert_eq!(next(EntryId::MAX, NewId::Now, 9), None);
    }

    #[test]
    fn a_trim_writes_anew_what_stays_only_when_that_is_less() {
        let entry = |ms| (EntryId { ms, seq: 0 }, Arc::<[u8]>::from(&[7; 30][..]));
        let stream = Stream::new(None, (1..=500).map(entry).collect());
        let head = *stream.head();
        let (few, anew) = trimmed(&stream, 2, Some(entry(501)), head, 9);
        assert_eq!((few.entries.len(), anew), (3, None));
        let (half, anew) = trimmed(&stream, 250, None, head, 9);
        assert_eq!((half.entries.len(), anew), (250, None));
        let (most, anew) = trimmed(&stream, 490, Some(entry(501)), head, 9);
        assert_eq!((most.entries.len(), anew), (11, Some(9)), "with its expiry");
        let mut after = stream.clone();
        after.edit(&trimmed(&stream, 250, None, head, 9).0);
        assert_eq!((after.len(), after.first()), (250, Some(entry(251).0)));
    }
}
