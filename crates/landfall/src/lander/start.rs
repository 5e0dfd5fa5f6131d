//! Decides at start whether log and database belong together, lane by lane. Pure.
//! It never lets a landing start that would skip a record or overwrite another history.

use super::retry::Mark;
use crate::buffer::log::Head;
use crate::model::{Anchor, Position};

/// What a lane needs before it can land.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartVerdict {
    /// Go on behind the watermark.
    Continue,
    /// The database has positions that the log lost (a suffix that was not durable): mark the gap in the log.
    Gap,
    /// The database went back behind what had landed: the log lands it again, if it keeps it.
    Replay,
    /// Log and database tell different histories.
    Diverged,
}

/// What the watermark of a lane means for a log that ends at `head` and noted `landed` as landed.
///
/// `log_anchor` is the log's anchor at the watermark, if the log still has it.
pub(super) fn start_verdict(
    landed: Position,
    head: Head,
    watermark: Mark,
    log_anchor: Option<Anchor>,
) -> StartVerdict {
    if watermark.position > head.position {
        return StartVerdict::Gap;
    }
    if log_anchor.is_some_and(|anchor| anchor != watermark.anchor) {
        return StartVerdict::Diverged;
    }
    if watermark.position < landed { StartVerdict::Replay } else { StartVerdict::Continue }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_goes_on_only_where_log_and_database_agree() {
        let anchor = |byte: u8| Anchor([byte; 16]);
        // (noted landed, head, watermark, the log's anchor there, verdict); every watermark has anchor 7
        let table = [
            (5, 9, 5, Some(7), StartVerdict::Continue),
            (0, 9, 5, Some(7), StartVerdict::Continue),
            (5, 5, 5, Some(7), StartVerdict::Continue),
            (9, 9, 5, Some(7), StartVerdict::Replay),
            (9, 9, 5, None, StartVerdict::Replay),
            (5, 9, 5, None, StartVerdict::Continue),
            (5, 9, 5, Some(8), StartVerdict::Diverged),
            (9, 9, 5, Some(8), StartVerdict::Diverged),
            (0, 4, 5, None, StartVerdict::Gap),
        ];
        for (landed, head, watermark, log_anchor, verdict) in table {
            let head = Head { position: head, anchor: anchor(1) };
            let watermark = Mark { position: watermark, anchor: anchor(7) };
            let found = start_verdict(landed, head, watermark, log_anchor.map(anchor));
            assert_eq!(found, verdict, "{landed} {head:?} {watermark:?} {log_anchor:?}");
        }
    }
}
