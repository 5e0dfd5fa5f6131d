//! What the history takes for the same record, tried by hand.
//! It never opens a log.

use std::collections::{BTreeMap, BTreeSet};

use landfall::model::{Anchor, LaneId, LoggedChange};

use super::{History, Record, Rows};

fn anchor(number: u8) -> Anchor {
    Anchor([number; 16])
}

/// A clear of two lanes, the first record of both, which ends the first lane at `behind`.
fn clear(behind: Anchor) -> Record {
    let (one, two) = (LaneId(0), LaneId(1));
    Record {
        lanes: vec![(one, 1), (two, 1)],
        changes: vec![(0, LoggedChange::Clear), (1, LoggedChange::Clear)],
        links: vec![(one, Anchor::START, behind), (two, Anchor::START, anchor(9))],
    }
}

#[test]
fn an_older_copy_lands_its_own_record_where_a_lane_went_the_same_way_since() {
    let mut history = History::default();
    history.append(clear(anchor(1)));
    let copied = history.order.clone();
    // A power cut loses it behind the copy, and the second lane goes the same way again.
    history.cut(0);
    history.append(clear(anchor(2)));
    history.restore(copied);
    let start = (0, Anchor::START);
    let steps = [(LaneId(0), start, (1, anchor(1))), (LaneId(1), start, (1, anchor(9)))];
    assert_eq!(history.land(&Rows::default(), &Rows::default(), &steps).err(), None);
}

/// An older copy of the log, with one lane, is adopted for a database with two.
#[test]
fn only_a_lane_that_the_log_had_not_may_begin_behind_the_database() {
    let (old, new) = (LaneId(0), LaneId(1));
    let begun = History::default().rebased(Rows::default(), BTreeMap::from([(old, 3), (new, 4)]));
    let mut adopted = begun.clone();
    adopted.goes_on_with(&BTreeSet::from([old]));
    let at_start = |lane| BTreeMap::from([(lane, (0, Anchor::START))]);
    assert_eq!(adopted.survived(&at_start(new)), Ok(0));
    assert!(adopted.survived(&at_start(old)).is_err());
    assert!(begun.survived(&at_start(new)).is_err(), "nobody said that the log has no such lane");
    assert!(adopted.meets_foreign(new, 4));
    assert!(!adopted.meets_foreign(new, 5), "nobody has landed that");
    assert!(!adopted.meets_foreign(old, 3) && !begun.meets_foreign(new, 4));
    adopted.append(Record {
        lanes: vec![(new, 5)],
        changes: Vec::new(),
        links: vec![(new, anchor(4), anchor(5))],
    });
    assert!(!adopted.meets_foreign(new, 4), "the lane has gone on");
}
