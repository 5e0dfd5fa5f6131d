//! What the history takes for the same record, tried by hand.
//! It never opens a log.

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
