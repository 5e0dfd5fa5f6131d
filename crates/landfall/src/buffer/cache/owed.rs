//! The merged changes that an unread dirty row is owed, kept apart where the lander cut.
//! A load may only be folded with changes that its snapshot does not hold; a change is never applied twice.

use smallvec::SmallVec;

use crate::buffer::cache::view::apply;
use crate::env::planted::{Bug, planted};
use crate::model::{Change, Name, Op, Position, StreamHead, Value};

/// Changes of one row between two cuts of its lane, merged.
#[derive(Debug, Clone)]
struct Span {
    first: Position,
    last: Position,
    change: Change,
}

/// What a row is owed: one span for each stretch between two cuts of its lane, oldest first.
///
/// The lander lands whole spans between cuts. So a snapshot whose watermark is a cut holds a span or does
/// not, and the fold is exact. A watermark inside a span comes while the lander is on its way to a
/// cut in several transactions, which may take as long as the database refuses the next one; then the
/// log tells the part of the span that the snapshot lacks.
#[derive(Debug, Clone, Default)]
pub struct Owed {
    spans: SmallVec<[Span; 1]>,
    /// Of a stream whose entries were not loaded: its head as it is behind all that is owed.
    head: Option<StreamHead>,
}

/// More spans than a landed, a landing and an open one are merged: reads may wait longer, nothing else.
const SPANS_MAX: usize = 4;

/// The watermark of a load lies inside a span: it can be folded with the span's [`Rest`] or not at all.
#[derive(Debug, PartialEq, Eq)]
pub struct InsideSpan {
    /// The last position of the span; none when the span holds changes of another lane, whose positions do not compare.
    pub last: Option<Position>,
}

/// What the log has of a row behind the watermark of a load, up to the end of the span that the watermark lies in.
#[derive(Debug, Clone)]
pub struct Rest {
    /// The end of the span.
    pub last: Position,
    /// The changes behind the watermark, merged.
    pub change: Option<Change>,
}

impl Owed {
    /// Adds the change of the write at `position`, when the lane's last cut was at `cut`.
    pub fn push(&mut self, position: Position, cut: Position, change: Change) {
        self.head = self.head.and_then(|head| head_behind(head, &change));
        match self.spans.last_mut() {
            Some(span) if span.last > cut => {
                span.change.merge(change);
                span.last = position;
            }
            _ => self.spans.push(Span { first: position, last: position, change }),
        }
        if self.spans.len() > SPANS_MAX {
            let second = self.spans.remove(1);
            self.spans[0].last = second.last;
            self.spans[0].change.merge(second.change);
        }
    }

    /// Says that the next change comes at `position` of another lane, whose positions do not compare with those of before:
    /// only a snapshot that holds that change, and so everything, tells the row.
    pub fn change_lane(&mut self, position: Position) {
        if let Some(change) = self.merged() {
            self.spans = SmallVec::from_buf([Span { first: 0, last: position, change }]);
        }
    }

    /// The head of a stream of which nothing else is known.
    pub fn head(&self) -> Option<&StreamHead> {
        self.head.as_ref()
    }

    /// Notes the head of the stream, with all that is owed in it.
    pub fn know_head(&mut self, head: StreamHead) {
        self.head = Some(head);
    }

    /// Drops what has landed.
    pub fn forget(&mut self, landed: Position) {
        self.spans.retain(|span| span.last > landed);
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The row, from a snapshot of the database at `watermark`, with the rest of the span that this lies in.
    ///
    /// # Errors
    /// [`InsideSpan`] when the snapshot holds a part of a span, and this is not the rest of it.
    pub fn fold(
        &self,
        mut columns: Option<Vec<(Name, Value)>>,
        watermark: Position,
        rest: Option<&Rest>,
    ) -> Result<Option<Vec<(Name, Value)>>, InsideSpan> {
        for span in &self.spans {
            let in_part = span.last > watermark && planted(Bug::StaleFill);
            if span.first > watermark || in_part || planted(Bug::FoldsWhatLanded) {
                columns = apply(columns, &span.change);
            } else if span.last > watermark {
                let one_lane = span.first > 0;
                match rest.filter(|rest| one_lane && rest.last == span.last) {
                    Some(Rest { change: Some(change), .. }) => columns = apply(columns, change),
                    Some(Rest { change: None, .. }) => {}
                    None => return Err(InsideSpan { last: one_lane.then_some(span.last) }),
                }
            }
        }
        Ok(columns)
    }

    /// All that is owed, merged. None when nothing is.
    pub fn merged(&self) -> Option<Change> {
        let mut spans = self.spans.iter();
        let mut change = spans.next()?.change.clone();
        spans.for_each(|span| change.merge(span.change.clone()));
        Some(change)
    }

    /// An estimate of the memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.spans.iter().fold(64, |sum, span| sum + span.change.memory_bytes())
    }
}

/// The head of a stream behind a change of it; none when the change is not one that adds entries and says so.
fn head_behind(mut head: StreamHead, change: &Change) -> Option<StreamHead> {
    let Change::Upsert(upsert) = change else { return None };
    for (name, op) in &upsert.columns {
        match (name.as_bytes(), op) {
            (Name::STREAM, Op::Assign(Value::Bytes(text))) => head = StreamHead::parse(text)?,
            (_, Op::Assign(Value::Bytes(_))) if name.as_entry().is_some() => {}
            _ => return None,
        }
    }
    (!upsert.replace).then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n() -> Name {
        Name::column("n")
    }

    fn row(value: i64) -> Option<Vec<(Name, Value)>> {
        Some(vec![(n(), Value::Int(value))])
    }

    #[test]
    fn a_load_folds_exactly_what_its_snapshot_does_not_hold() {
        let mut owed = Owed::default();
        owed.push(5, 0, Change::add(n(), Value::Int(1)));
        owed.push(8, 0, Change::add(n(), Value::Int(10)));
        owed.push(9, 8, Change::add(n(), Value::Int(100)));
        assert_eq!(owed.fold(row(0), 4, None).unwrap(), row(111));
        assert_eq!(owed.fold(row(11), 8, None).unwrap(), row(111));
        assert_eq!(owed.fold(row(111), 9, None).unwrap(), row(111));
        assert_eq!(owed.fold(row(1), 6, None), Err(InsideSpan { last: Some(8) }));
        let rest = |last| Rest { last, change: Some(Change::add(n(), Value::Int(10))) };
        assert_eq!(owed.fold(row(1), 6, Some(&rest(8))).unwrap(), row(111));
        let of_before = owed.fold(row(1), 6, Some(&rest(7)));
        assert_eq!(of_before, Err(InsideSpan { last: Some(8) }), "the span has grown since");
    }

    #[test]
    fn a_second_cut_forgets_what_landed_with_the_first() {
        let mut owed = Owed::default();
        owed.push(1, 0, Change::add(n(), Value::Int(1)));
        owed.push(2, 1, Change::add(n(), Value::Int(1)));
        owed.push(3, 2, Change::add(n(), Value::Int(1)));
        owed.forget(1);
        assert_eq!(owed.fold(row(2), 2, None).unwrap(), row(3));
        owed.forget(3);
        assert!(owed.is_empty());
    }

    #[test]
    fn what_is_owed_in_two_lanes_is_told_only_by_a_snapshot_that_holds_all_of_it() {
        let mut owed = Owed::default();
        owed.push(70, 0, Change::add(n(), Value::Int(1)));
        owed.change_lane(3);
        owed.push(3, 0, Change::add(n(), Value::Int(10)));
        owed.push(9, 8, Change::add(n(), Value::Int(100)));
        assert_eq!(owed.fold(row(1), 2, None), Err(InsideSpan { last: None }));
        assert_eq!(owed.fold(row(11), 3, None).unwrap(), row(111));
        assert_eq!(owed.fold(row(111), 9, None).unwrap(), row(111));
    }

    #[test]
    fn a_delete_that_is_owed_hides_the_loaded_row() {
        let mut owed = Owed::default();
        owed.push(1, 0, Change::Delete);
        assert_eq!(owed.fold(row(2), 0, None).unwrap(), None);
    }
}
