//! Decides at start whether log and database belong together, lane by lane. Pure.
//! It never lets a landing start that would skip a record or overwrite another history.

use super::retry::Mark;
use crate::buffer::log::Head;
use crate::model::Anchor;

/// What a lane needs before it can land.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartVerdict {
    /// Go on behind the watermark. What the database lost lands again, if the log keeps it.
    Continue,
    /// The database has positions that the log lost (a suffix that was not durable): mark the gap in the log.
    Gap,
    /// Log and database tell different histories.
    Diverged,
}

/// What the watermark of a lane means for a log that ends at `head`.
///
/// `log_anchor` is the log's anchor at the watermark, if the log still has it.
pub(super) fn start_verdict(head: Head, watermark: Mark, log_anchor: Option<Anchor>) -> StartVerdict {
    if watermark.position > head.position {
        return StartVerdict::Gap;
    }
    if log_anchor.is_some_and(|anchor| anchor != watermark.anchor) {
        return StartVerdict::Diverged;
    }
    StartVerdict::Continue
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_goes_on_only_where_log_and_database_agree() {
        let anchor = |byte: u8| Anchor([byte; 16]);
        // (head, watermark, the log's anchor there, verdict); every watermark has anchor 7
        let table = [
            (9, 5, Some(7), StartVerdict::Continue),
            (5, 5, Some(7), StartVerdict::Continue),
            (9, 5, None, StartVerdict::Continue),
            (9, 5, Some(8), StartVerdict::Diverged),
            (4, 5, None, StartVerdict::Gap),
        ];
        for (head, watermark, log_anchor, verdict) in table {
            let head = Head { position: head, anchor: anchor(1) };
            let watermark = Mark { position: watermark, anchor: anchor(7) };
            let found = start_verdict(head, watermark, log_anchor.map(anchor));
            assert_eq!(found, verdict, "{head:?} {watermark:?} {log_anchor:?}");
        }
    }
}
