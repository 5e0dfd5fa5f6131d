//! What every database owes to a lane: compare-and-set, take-over, lineage.
//! A landing that is fenced must write nothing.

use super::{LANE, OURS, Owner, context, op, put, row, us};
use crate::model::{self, Anchor, Incident, IncidentKind, LaneId, LaneRow, Lineage, Start, Value};
use crate::sink::{Adopted, Database, Landing, LaneStep, SinkError};

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
    let (theirs, other) = (model::Owner { lineage: Lineage([8; 16]), ..us(1) }, LaneId(4));
    let sink = &mut owner.sink;
    let is_foreign = |error| {
        let SinkError::ForeignLineage { lane: LANE, found: OURS, ours } = error else { return false };
        ours == theirs.lineage
    };
    assert!(is_foreign(sink.create_lanes(&theirs, &[other, LANE]).unwrap_err()));
    assert!(
        matches!(sink.take_over(&us(1), &[LANE, other]), Err(SinkError::LaneMissing { lane }) if lane == other)
    );
    assert!(is_foreign(sink.take_over(&theirs, &[LANE]).unwrap_err()));
    sink.create_lanes(&us(1), &[other, LANE]).unwrap();
    let taken = sink.take_over(&us(1), &[other, LANE]).unwrap();
    assert_eq!((taken[0].position, taken[0].epoch), (0, 1), "a refused take-over raised no epoch");
    assert_eq!((taken[1].position, taken[1].epoch), (10, 2), "an existing lane keeps its watermark");
    assert!(matches!(owner.source.load(&row("page", 1), LaneId(99)), Err(SinkError::LaneMissing { .. })));
}

pub(crate) fn a_start_that_the_owner_does_not_follow_keeps_its_lanes(database: &dyn Database) {
    let sink = &mut Owner::new(database).sink;
    sink.take_over(&us(4), &[LANE]).unwrap();
    let before = sink.lanes(&[LANE]).unwrap();
    assert_eq!(before[0].unwrap().start, us(4).start);
    let run = [99; 16];
    let copies = [2, 4, 9].map(|boot| model::Owner { start: Start { boot, run }, ..us(boot.min(4)) });
    for copy in copies {
        let refused = sink.take_over(&copy, &[LANE]);
        let (boot, expected) =
            (copy.start.boot, matches!(refused, Err(SinkError::OtherStart { found: 4, .. })));
        assert!(expected, "{boot}: {refused:?}");
        assert_eq!(sink.lanes(&[LANE]).unwrap(), before, "a refused take-over changes nothing");
    }
    sink.take_over(&us(5), &[LANE]).unwrap();
    assert_eq!(sink.lanes(&[LANE, LaneId(9)]).unwrap()[1], None);
}

pub(crate) fn a_lane_is_adopted_only_as_it_was_found(database: &dyn Database) {
    let mut owner = Owner::new(database);
    owner.change(&row("page", 1), put(&[])).unwrap();
    let found = owner.sink.lanes(&[LANE]).unwrap()[0];
    let watermark = model::Watermark {
        lineage: Lineage([8; 16]),
        epoch: found.unwrap().watermark.epoch + 1,
        position: 3,
        anchor: Anchor([3; 16]),
    };
    let becomes = LaneRow { watermark, start: Start { boot: 7, run: [7; 16] } };
    let (new, wrong) = (LaneId(8), Adopted { lane: LANE, found: None, becomes });
    let create = Adopted { lane: new, found: None, becomes };
    assert!(is_fenced(owner.sink.adopt(&[create, wrong], &[incident()])));
    assert_eq!(owner.sink.lanes(&[LANE, new]).unwrap(), [found, None], "all or nothing");
    owner.sink.adopt(&[create, Adopted { found, ..wrong }], &[incident()]).unwrap();
    assert_eq!(owner.sink.lanes(&[LANE, new]).unwrap(), [Some(becomes); 2]);
    assert_eq!(owner.sink.lane_ids().unwrap(), [LANE, new]);
    assert!(is_fenced(owner.change(&row("page", 1), put(&[]))), "whoever landed before is fenced");
}

pub(crate) fn a_database_has_one_identity_for_ever(database: &dyn Database) {
    let identity = database.identity().unwrap();
    assert!(identity.is_some());
    database.set_up().unwrap();
    assert_eq!(database.identity().unwrap(), identity);
}

pub(crate) fn an_incident_is_kept_once(database: &dyn Database) {
    let mut owner = Owner::new(database);
    owner.sink.declare(&[incident()]).unwrap();
    owner.sink.declare(&[Incident { acknowledged_ms: Some(9), ..incident() }]).unwrap();
    owner.sink.declare(&[]).unwrap();
}

fn incident() -> Incident {
    Incident {
        id: [5; 16],
        time_ms: 1,
        kind: IncidentKind::Adopted,
        lineage: OURS,
        lane: Some(LANE),
        positions: (1, 2),
        what: "a test".into(),
        acknowledged_ms: None,
    }
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
