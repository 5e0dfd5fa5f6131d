//! What every database owes to dead letters, and to whoever looks for the guilty rows of a landing.

use super::rows::{airline, booking, flight};
use super::{LANE, Owner, add, bytes, context, event, op, put, row};
use crate::model::{
    Anchor, Change, Letter, LetterKey, Lineage, LoggedChange, Name, Op, Position, Reason, RowKey, Value,
};
use crate::sink::{Database, Landing, LandingOp, LetterStep, RefusedOp, SinkError};

pub(crate) fn letter(row: &RowKey, change: Change) -> Letter {
    Letter {
        id: 0,
        key: LetterKey::of_row(row),
        lane: LANE,
        first: 3,
        last: 9,
        change: LoggedChange::Row { row: row.clone(), change },
        reason: Reason { table: "page".into(), class: "unique".into(), text: "taken".into() },
        attempts: 5,
        first_ms: 1_700_000_000_000,
        last_ms: 1_700_000_000_001,
    }
}

impl Owner {
    fn land_letters(&mut self, ops: Vec<LandingOp>, letters: Vec<LetterStep>) -> Result<(), SinkError> {
        let landing = Landing { letters, ..self.landing(ops) };
        self.sink.land(&landing)?;
        self.at = landing.lanes[0].to;
        Ok(())
    }

    pub(crate) fn park(&mut self, letter: Letter) {
        self.land_letters(Vec::new(), vec![LetterStep::Park(letter)]).unwrap();
    }

    fn letters(&mut self) -> Vec<Letter> {
        let of_sink = self.sink.letters(0, 1000).unwrap();
        assert_eq!(self.source.letters(0, 1000).unwrap(), of_sink);
        of_sink
    }

    fn isolate(&mut self, ops: Vec<LandingOp>) -> Vec<RefusedOp> {
        let landing = self.landing(ops);
        self.sink.isolate(&landing).unwrap()
    }
}

pub(crate) fn a_letter_moves_with_the_watermark_and_comes_back_whole(database: &dyn Database) {
    let mut owner = Owner::new(database);
    let page = row("page", 1);
    let change = Change::upsert(
        true,
        [
            (Name::column("views"), Op::Add(Value::Int(i64::MAX))),
            (Name::column("title"), Op::Assign(Value::Null)),
            (Name::column("raw"), Op::Assign(Value::bytes(&[0, 255, 0]))),
        ],
    );
    let fenced = Landing { lineage: Lineage([8; 16]), ..owner.landing(Vec::new()) };
    let fenced = Landing { letters: vec![LetterStep::Park(letter(&page, Change::Delete))], ..fenced };
    assert!(owner.sink.land(&fenced).is_err());
    let refused = vec![op(&row("nowhere", 1), put(&[]))];
    assert!(owner.land_letters(refused, vec![LetterStep::Park(letter(&page, Change::Delete))]).is_err());
    assert_eq!(owner.letters(), [], "a landing that fails leaves no letter");
    owner.park(letter(&page, change.clone()));
    let found = owner.letters().remove(0);
    assert_eq!(Letter { id: 0, ..found }, letter(&page, change.clone()));
    let loaded = owner.source.load(&page, LANE).unwrap();
    assert_eq!((loaded.row, loaded.letter), (None, Some(change)));
    let step = LetterStep::Remove(LetterKey::of_row(&page));
    owner.land_letters(vec![op(&page, put(&[("views", Value::Int(1))]))], vec![step.clone()]).unwrap();
    let loaded = owner.source.load(&page, LANE).unwrap();
    assert!(loaded.letter.is_none() && loaded.row.is_some());
    owner.land_letters(Vec::new(), vec![step]).unwrap();
    assert_eq!(owner.letters(), []);
}

/// While somebody moves a number from the letter to the row and back, every load finds it once.
pub(crate) fn a_load_sees_row_letter_and_watermark_of_one_moment(database: &dyn Database) {
    const LANDINGS: Position = 60;
    let mut owner = Owner::new(database);
    let mut source = database.source(context(database)).unwrap();
    let page = row("page", 1);
    let watched = page.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for n in 1..=LANDINGS {
                let views = put(&[("views", Value::Int(n as i64 * 10))]);
                match n % 2 {
                    0 => owner.park(letter(&page, views)),
                    _ => {
                        let gone = LetterStep::Remove(LetterKey::of_row(&page));
                        owner.land_letters(vec![op(&page, views)], vec![gone]).unwrap();
                    }
                }
            }
        });
        let mut seen = 0;
        while seen < LANDINGS * 10 {
            let loaded = source.load(&watched, LANE).unwrap();
            seen = loaded.watermark.position;
            let row = loaded.row.map(|columns| columns.into_iter().collect());
            let view = loaded.letter.map_or(row.clone(), |letter| letter.apply(row)).unwrap_or_default();
            assert_eq!(view.get(&Name::column("views")), (seen > 0).then_some(&Value::Int(seen as i64)));
        }
    });
}

pub(crate) fn a_letter_keeps_its_id_and_no_id_is_given_again(database: &dyn Database) {
    let mut owner = Owner::new(database);
    let pages = [row("page", 1), row("page", 2), row("page", 3)];
    pages.iter().for_each(|page| owner.park(letter(page, Change::Delete)));
    let ids: Vec<u64> = owner.letters().iter().map(|letter| letter.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b) && ids[0] > 0, "{ids:?}");
    owner.park(Letter { attempts: 6, ..letter(&pages[0], put(&[])) });
    let again = owner.letters();
    assert_eq!((again[0].id, again[0].attempts, again.len()), (ids[0], 6, 3));
    owner.land_letters(Vec::new(), vec![LetterStep::Remove(LetterKey::of_row(&pages[2]))]).unwrap();
    owner.park(letter(&pages[2], Change::Delete));
    assert!(owner.letters()[2].id > ids[2], "an id that a person has seen means that letter for ever");
    assert_eq!(owner.source.letters(ids[0], 1).unwrap()[0].id, ids[1]);
    assert_eq!(owner.source.letters(u64::MAX >> 1, 9).unwrap(), []);
}

/// A corpus of what databases refuse: NUL, bytes that are no text, floats without an order, keys of all kinds.
pub(crate) fn letters_take_what_no_table_takes(database: &dyn Database) {
    let mut owner = Owner::new(database);
    let values = [
        Value::from("a\0b"),
        Value::bytes(&[0xff; 300]),
        Value::Float(f64::NAN),
        Value::Int(i64::MIN),
        Value::decimal("123456789012345678901234567890.123456789".parse().unwrap()),
        Value::from("x".repeat(3 << 20).as_str()),
    ];
    let rows = [
        RowKey::of_key(&[]),
        RowKey::of_key(b"\0\xff'; DROP TABLE page; --"),
        RowKey::of_table("no\"such", &[Value::Null, Value::bytes(&[0])]),
        RowKey::from_bytes(&[]),
        RowKey::from_bytes(&[1, 200, 7]),
        RowKey::of_key(&[b'k'; 70_000]),
    ];
    for (row, value) in rows.iter().zip(values) {
        let change = Change::upsert(false, [(Name::from_bytes(&[0xfe, 0]), Op::Assign(value))]);
        owner.park(letter(row, change.clone()));
        let found = owner.letters().pop().unwrap();
        assert_eq!(found.key.as_bytes(), row.as_bytes());
        let same = LoggedChange::Row { row: row.clone(), change };
        assert_eq!(format!("{:?}", found.change), format!("{same:?}"), "NaN is not equal to itself");
    }
    let event = LoggedChange::Append { table: "click".into(), columns: vec![] };
    let key = LetterKey::of_event(LANE, (7, Anchor::START), 0);
    owner.park(Letter { key: key.clone(), change: event.clone(), ..letter(&rows[0], Change::Delete) });
    let found = owner.letters().pop().unwrap();
    assert_eq!((found.key, found.change), (key, event));
}

pub(crate) fn a_key_that_only_a_letter_holds_is_no_empty_database(database: &dyn Database) {
    let mut owner = Owner::new(database);
    assert!(owner.source.key_values_are_empty().unwrap());
    owner.park(letter(&row("page", 1), put(&[])));
    assert!(owner.source.key_values_are_empty().unwrap(), "a row of a table is no key");
    owner.park(letter(&RowKey::of_key(b"k"), put(&[("=v", bytes("v"))])));
    assert!(!owner.source.key_values_are_empty().unwrap());
}

fn ops_of(refused: &[RefusedOp]) -> Vec<(usize, &str)> {
    refused.iter().map(|one| (one.op, &*one.reason.class)).collect()
}

pub(crate) fn each_operation_answers_for_itself(database: &dyn Database) {
    let mut owner = Owner::new(database);
    owner.land(vec![airline(3, "AM"), flight(115), booking(1, "1A")]).unwrap();
    let batch = vec![
        booking(2, "1A"),
        booking(3, "3C"),
        op(&row("flight", 999), put(&[("from", Value::Int(1))])),
        op(&row("booking", 4), put(&[("flight_id", Value::Int(999)), ("price", super::decimal("1.00"))])),
        op(&row("flight", 115), Change::Delete),
        op(&row("page", 1), put(&[("views", "many".into())])),
        event("click", &[("at", Value::Null)]),
        op(&row("nowhere", 1), put(&[])),
        op(&row("booking", 1), put(&[("seat", "9Z".into())])),
        op(&RowKey::of_key(b"k"), add("=x", Value::Int(1))),
    ];
    let refused = owner.isolate(batch);
    let expected = [
        (0, "unique"),
        (2, "not-null"),
        (3, "foreign-key"),
        (4, "foreign-key"),
        (5, "value"),
        (6, "not-null"),
        (7, Reason::NO_TABLE),
        (9, "value"),
    ];
    assert_eq!(ops_of(&refused), expected);
    assert_eq!((&*refused[0].reason.table, &*refused[5].reason.table), ("booking", "click"));
    assert!(!refused.iter().any(|one| one.reason.text.contains("many")), "no value is in a reason");
    assert_eq!(owner.cell(&row("booking", 3), "seat"), "absent");
}

pub(crate) fn what_a_row_carries_is_tried_with_its_next_operation(database: &dyn Database) {
    let mut owner = Owner::new(database);
    owner.land(vec![airline(3, "AM"), flight(115), booking(1, "1A")]).unwrap();
    let seat = |id, seat: &str| op(&row("booking", id), put(&[("seat", seat.into())]));
    // Alone the second operation of booking 2 would insert a row without a price.
    assert_eq!(ops_of(&owner.isolate(vec![booking(2, "1A"), seat(2, "2B")])), [(0, "unique")]);
    assert_eq!(
        ops_of(&owner.isolate(vec![booking(2, "1A"), seat(1, "3C"), seat(2, "3C"), seat(2, "1A")])),
        [(0, "unique"), (2, "unique")],
        "once the seat is free, the row has it"
    );
    assert_eq!(ops_of(&owner.isolate(vec![booking(2, "1A"), seat(2, "1A")])), [(0, "unique"), (1, "unique")]);
}

pub(crate) fn isolating_writes_nothing_and_obeys_the_fence(database: &dyn Database) {
    let mut owner = Owner::new(database);
    assert_eq!(
        owner.isolate(vec![op(&row("page", 1), put(&[])), event("click", &[("page", Value::Int(1))])]).len(),
        0
    );
    assert_eq!(owner.cell(&row("page", 1), "id"), "absent");
    let mut newer = Owner::new(database);
    let landing = owner.landing(vec![]);
    assert!(matches!(owner.sink.isolate(&landing), Err(SinkError::Fenced { lane: LANE })));
    newer.land(vec![op(&row("page", 1), put(&[]))]).unwrap();
    assert_eq!(newer.cell(&row("page", 1), "id"), "1");
}
