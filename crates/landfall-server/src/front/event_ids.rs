//! The replies of events: the log gives their ids, so they are written when everything else is.
//! It must never look at a reply twice: a client chooses how many events a transaction has.

use landfall::engine::Written;
use landfall::model::LaneId;
use landfall_resp::{Protocol, ReplyWriter};

/// The place of an event in the log: `<position>-<lane>`.
pub(super) fn event_id(written: &Written, lane: LaneId) -> String {
    let position = written.places.iter().find(|(have, _)| *have == lane).map_or(0, |(_, position)| *position);
    format!("{position}-{lane}")
}

/// Gives each event its id, at its place in the replies.
pub(super) fn insert_event_ids(
    protocol: Protocol,
    out: &mut Vec<u8>,
    events: &[(usize, LaneId)],
    written: &Written,
) {
    let Some(&(first, _)) = events.first() else { return };
    let replies = out.split_off(first);
    let mut from = first;
    for &(at, lane) in events {
        out.extend_from_slice(&replies[from - first..at - first]);
        ReplyWriter::new(out, protocol).bulk(event_id(written, lane).as_bytes());
        from = at;
    }
    out.extend_from_slice(&replies[from - first..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_many_events_are_inserted_in_one_pass() {
        const EVENTS: usize = 400_000;
        let written = Written { places: vec![(LaneId(3), 17)].into(), ..Written::default() };
        let (mut out, mut events) = (b"*1\r\n".to_vec(), Vec::new());
        for _ in 0..EVENTS {
            events.push((out.len(), LaneId(3)));
            out.extend_from_slice(b"+OK\r\n");
        }
        let begun = std::time::Instant::now();
        insert_event_ids(Protocol::Resp2, &mut out, &events, &written);
        assert!(begun.elapsed().as_secs() < 3, "{:?}", begun.elapsed());
        let one = b"$4\r\n17-3\r\n+OK\r\n";
        assert!(out.starts_with(&[b"*1\r\n".as_slice(), one, one].concat()));
        assert_eq!(out.len(), 4 + EVENTS * one.len());
    }
}
