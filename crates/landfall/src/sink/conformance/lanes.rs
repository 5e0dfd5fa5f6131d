//! What every database owes to a lane: compare-and-set, take-over, lineage.
//! A landing that is fenced must write nothing.

use super::{LANE, OURS, Owner, context, op, put, row};
use crate::model::{Anchor, LaneId, Lineage, Value};
use crate::sink::{Database, Landing, LaneStep, SinkError};

fn is_fenced(outcome: Result<(), SinkError>) -> bool {
    matches!(outcome, Err(SinkError::Fenced { lane: LANE }))
}

pub(crate) fn a_landing_moves_rows_and_watermark_together(database: &dyn Database) {
    let mut owner = Owner::new(database);
    assert_eq!((owner.epoch, owner.at), (1, (0, Anchor::START)));
    owner.land(vec![op(&row("page", 1), put(&[("views", Value::Int(5))]))]).unwrap();
    assert_eq!(owner.cell(&row("page", 1), "views"), "5");
    assert_eq!(owner.cell(&row("page", 1), "id"), "1");
    assert_eq!(owner.at.0, 10);
}

pub(crate) fn a_lane_that_is_elsewhere_fences_the_landing(database: &dyn Database) {
    let mut owner = Owner::new(database);
    owner.change(&row("page", 1), put(&[("views", Value::Int(5))])).unwrap();
    let good = owner.landing(vec![op(&row("page", 1), put(&[("views", Value::Int(6))]))]);
    let step = good.lanes[0];
    let bad_steps = [
        LaneStep { epoch: step.epoch + 1, ..step },
        LaneStep { epoch: step.epoch - 1, ..step },
        LaneStep { from: (step.from.0 - 1, step.from.1), ..step },
        LaneStep { from: (step.from.0, Anchor([9; 16])), ..step },
    ];
    for bad in bad_steps {
        assert!(is_fenced(owner.sink.land(&Landing { lanes: vec![bad], ..good.clone() })));
    }
    assert!(is_fenced(owner.sink.land(&Landing { lineage: Lineage([8; 16]), ..good.clone() })));
    let absent = LaneStep { lane: LaneId(99), ..step };
    let outcome = owner.sink.land(&Landing { lanes: vec![step, absent], ..good });
    assert!(matches!(outcome, Err(SinkError::Fenced { lane: LaneId(99) })));
    assert_eq!(owner.cell(&row("page", 1), "views"), "5", "a fenced landing writes nothing");
}

pub(crate) fn a_take_over_fences_the_older_owner(database: &dyn Database) {
    let mut old = Owner::new(database);
    let mut new = Owner::new(database);
    assert_eq!(new.epoch, old.epoch + 1);
    assert!(is_fenced(old.change(&row("page", 1), put(&[]))));
    new.change(&row("page", 1), put(&[])).unwrap();
    assert_eq!(new.cell(&row("page", 1), "id"), "1");
}

pub(crate) fn lanes_belong_to_one_log(database: &dyn Database) {
    let mut owner = Owner::new(database);
    owner.change(&row("page", 1), put(&[])).unwrap();
    let (theirs, other) = (Lineage([8; 16]), LaneId(4));
    let sink = &mut owner.sink;
    let is_foreign = |error| matches!(error, SinkError::ForeignLineage { lane: LANE, found: OURS, ours } if ours == theirs);
    assert!(is_foreign(sink.create_lanes(&theirs, &[other, LANE]).unwrap_err()));
    assert!(
        matches!(sink.take_over(&OURS, &[LANE, other]), Err(SinkError::LaneMissing { lane }) if lane == other)
    );
    assert!(is_foreign(sink.take_over(&theirs, &[LANE]).unwrap_err()));
    sink.create_lanes(&OURS, &[other, LANE]).unwrap();
    let taken = sink.take_over(&OURS, &[other, LANE]).unwrap();
    assert_eq!((taken[0].position, taken[0].epoch), (0, 1), "a refused take-over raised no epoch");
    assert_eq!((taken[1].position, taken[1].epoch), (10, 2), "an existing lane keeps its watermark");
    assert!(matches!(owner.source.load(&row("page", 1), LaneId(99)), Err(SinkError::LaneMissing { .. })));
}

/// While somebody lands, every load finds the row exactly as its watermark says: no older and no newer.
pub(crate) fn a_load_sees_row_and_watermark_of_one_moment(database: &dyn Database) {
    const LANDINGS: u64 = 100;
    let mut owner = Owner::new(database);
    let mut source = database.source(context(database)).unwrap();
    let page = row("page", 1);
    let watched = page.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for n in 1..=LANDINGS {
                owner.change(&page, put(&[("views", Value::Int(n as i64 * 10))])).unwrap();
            }
        });
        let mut seen = 0;
        while seen < LANDINGS * 10 {
            let loaded = source.load(&watched, LANE).unwrap();
            assert!(loaded.watermark.position >= seen, "a watermark never goes back");
            seen = loaded.watermark.position;
            let columns = loaded.row.unwrap_or_default();
            let views =
                columns.into_iter().find_map(|(name, value)| (name.as_bytes() == b"views").then_some(value));
            assert_eq!(views, (seen > 0).then_some(Value::Int(seen as i64)));
        }
    });
}
