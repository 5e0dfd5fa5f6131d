//! Which rows are parked, which batches are held, and that no change is lost between operations and letters.

use super::*;
use crate::lander::plan::{Origin, Planner, Rules};
use crate::model::{Catalogue, Name, RowState, Value};

const LANE: LaneId = LaneId(1);

fn row(id: i64) -> RowKey {
    RowKey::of_table("seat", &[Value::Int(id)])
}

fn add(id: i64, delta: i64) -> LoggedChange {
    LoggedChange::Row { row: row(id), change: Change::add(Name::column("price"), Value::Int(delta)) }
}

fn reason(text: &str) -> Reason {
    Reason { table: "seat".into(), class: "unique".into(), text: text.into() }
}

fn refused(ops: &[usize], text: &str) -> Vec<RefusedOp> {
    ops.iter().map(|&op| RefusedOp { op, reason: reason(text) }).collect()
}

fn plan(parked: &Parked, changes: &[LoggedChange]) -> Plan {
    let rules = Rules::new(&Catalogue::default());
    let mut planner = Planner::new(&rules, &LanderSettings::default(), parked, true);
    for (at, change) in changes.iter().enumerate() {
        let origin = Origin { lane: LANE, position: at as u64 + 1, anchor: Anchor::START, number: 0 };
        planner.add(origin, true, change.clone());
    }
    planner.finish()
}

fn letters(parted: &Parted) -> Vec<&Letter> {
    parted
        .letters
        .iter()
        .filter_map(|step| match step {
            LetterStep::Park(letter) => Some(letter),
            LetterStep::Remove(_) => None,
        })
        .collect()
}

fn price(change: &LoggedChange) -> Option<Value> {
    let LoggedChange::Row { change, .. } = change else { return None };
    let state: RowState = change.apply(None);
    state?.remove(&Name::column("price"))
}

#[test]
fn later_operations_of_a_parked_row_merge_into_its_letter() {
    // Sensitive changes of other rows in between keep them apart.
    let plan = plan(
        &Parked::default(),
        &[
            add(1, 1),
            add(2, 10),
            LoggedChange::Row { row: row(1), change: Change::Delete },
            add(2, 20),
            add(1, 5),
        ],
    );
    let all: Vec<usize> = (0..plan.ops.len())
        .filter(|&at| matches!(&plan.ops[at], LandingOp::Row { row: r, .. } if *r == row(1)))
        .collect();
    assert!(all.len() > 1, "{:?}", plan.ops);
    let parted = part(plan, &refused(&all, "taken"), 77);
    assert!(parted.ops.iter().all(|op| matches!(op, LandingOp::Row { row: r, .. } if *r == row(2))));
    let letters = letters(&parted);
    assert_eq!(letters.len(), 1);
    assert_eq!(price(&letters[0].change), Some(Value::Int(5)), "put, delete, put again");
    assert_eq!((letters[0].first, letters[0].last, letters[0].attempts, letters[0].first_ms), (1, 5, 1, 77));
    assert_eq!(parted.places, [(LANE, 1), (LANE, 3), (LANE, 5)]);
}

#[test]
fn a_letter_is_tried_with_the_next_change_of_its_row_and_goes_when_that_is_taken() {
    let mut parked = Parked::default();
    let first = part(plan(&parked, &[add(1, 1)]), &refused(&[0], "taken"), 77);
    parked.follow(&first.letters);
    assert_eq!((parked.len(), parked.oldest_ms()), (1, Some(77)));
    let again = plan(&parked, &[add(2, 1), add(1, 10)]);
    let taken = part(again.clone(), &[], 99);
    assert_eq!(taken.letters, [LetterStep::Remove(LetterKey::of_row(&row(1)))]);
    assert_eq!(taken.ops.len(), 2);
    let refused_again = part(again, &refused(&[1], "taken"), 99);
    let letter = letters(&refused_again)[0].clone();
    assert_eq!(price(&letter.change), Some(Value::Int(11)));
    assert_eq!((letter.attempts, letter.first_ms, letter.last_ms), (2, 77, 99));
    parked.follow(&taken.letters);
    assert_eq!((parked.len(), parked.bytes()), (0, 0));
}

#[test]
fn each_event_has_a_letter_of_its_own() {
    let event =
        |n| LoggedChange::Append { table: "click".into(), columns: vec![(Name::column("n"), Value::Int(n))] };
    let parted = part(plan(&Parked::default(), &[event(1), event(2), event(3)]), &refused(&[0, 2], "x"), 1);
    let keys: Vec<_> = letters(&parted).iter().map(|letter| letter.key.clone()).collect();
    let key = |position| LetterKey::of_event(LANE, (position, Anchor::START), 0);
    assert_eq!(keys, [key(1), key(3)]);
    assert_eq!(parted.ops.len(), 1);
}

fn verdict(rows: i64, refused: &[RefusedOp], parked: &Parked, streak: &Streak, anyway: bool) -> Verdict {
    let plan = plan(parked, &(0..rows).map(|id| add(id, 1)).collect::<Vec<_>>());
    let parted = part(plan.clone(), refused, 1);
    let settings = LanderSettings { dead_letters_max: 500, ..LanderSettings::default() };
    judge(&settings, &plan, refused, &parted, (parked, streak, anyway))
}

#[test]
fn most_of_a_batch_refused_for_one_reason_holds_it_and_a_few_do_not() {
    let none = Parked::default();
    let some = |count: usize, text: &str| refused(&(0..count).collect::<Vec<_>>(), text);
    let holds = |verdict| matches!(verdict, Verdict::Hold(_));
    assert_eq!(verdict(1000, &some(300, "x"), &none, &None, false), Verdict::Park(None));
    assert!(holds(verdict(200, &some(100, "x"), &none, &None, false)));
    assert!(!holds(verdict(200, &some(100, "x"), &none, &None, true)), "a person has looked");
    let mut mixed = some(200, "x");
    mixed.iter_mut().skip(80).for_each(|one| one.reason = reason("y"));
    mixed.iter_mut().skip(140).for_each(|one| one.reason = reason("z"));
    assert_eq!(verdict(200, &mixed, &none, &None, false), Verdict::Park(None), "not for one reason");
    // Batch after batch of a few rows, all refused.
    let Verdict::Park(streak) = verdict(60, &some(60, "x"), &none, &None, false) else { panic!("too few") };
    assert_eq!(streak, Some((reason("x"), 60)));
    assert!(holds(verdict(60, &some(60, "x"), &none, &streak, false)));
    assert!(!holds(verdict(60, &some(60, "y"), &none, &streak, false)));
    let mut gone = some(200, "x");
    gone.iter_mut().for_each(|one| one.reason.class = Reason::NO_TABLE.into());
    assert!(!holds(verdict(200, &gone, &none, &None, false)), "nothing would ever help them");
}

#[test]
fn nothing_is_parked_beyond_the_bound_but_what_is_parked_may_change() {
    let mut parked = Parked::default();
    let all: Vec<usize> = (0..500).collect();
    let full = plan(&parked, &(0..500).map(|id| add(id, 1)).collect::<Vec<_>>());
    parked.follow(&part(full, &refused(&all, "x"), 1).letters);
    assert_eq!(parked.len(), 500);
    let more: Vec<usize> = (0..501).collect();
    assert!(matches!(verdict(501, &refused(&more, "x"), &parked, &None, false), Verdict::Hold(_)));
    assert_eq!(verdict(501, &refused(&more, "x"), &parked, &None, true), Verdict::Park(None));
    assert_eq!(verdict(600, &refused(&[550], "x"), &parked, &None, false), Verdict::Park(None), "500 heal");
    assert_eq!(verdict(600, &refused(&[3], "x"), &parked, &None, false), Verdict::Park(None));
    assert_eq!(verdict(1, &refused(&[0], "x"), &parked, &None, false), Verdict::Park(None), "it was parked");
}
