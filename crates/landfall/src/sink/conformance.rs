//! One suite for every database: what the seam in `sink/mod.rs` promises, shown on the same tables.
//! It never looks behind the seam, so a new database gets it by adding one line of [`suite`].

use std::sync::Arc;

use proptest::test_runner::{Config, TestRunner};

use super::{Database, Landing, LandingContext, LandingOp, LaneStep, Loaded, Sink, SinkError, Source};
use crate::model::{
    Anchor, Catalogue, Change, Epoch, LaneId, Lineage, Name, Position, RowKey, RowState, Start, Value,
};

mod generate;
mod keys;
mod lanes;
mod letters;
mod rows;
mod tables;

pub(crate) use keys::*;
pub(crate) use lanes::*;
pub(crate) use letters::*;
pub(crate) use rows::*;
pub(crate) use tables::*;

pub(crate) const OURS: Lineage = Lineage([7; 16]);
pub(crate) const LANE: LaneId = LaneId(3);

/// Our log at its first starts, of which it remembers all.
pub(crate) fn us(boot: u64) -> crate::model::Owner {
    let start = |boot: u64| Start { boot, run: [boot as u8; 16] };
    crate::model::Owner { lineage: OURS, start: start(boot), earlier: (1..boot).map(start).collect() }
}

/// Somebody who lands in one lane and reads back.
pub(crate) struct Owner {
    sink: Box<dyn Sink>,
    source: Box<dyn Source>,
    pub(crate) epoch: Epoch,
    pub(crate) at: (Position, Anchor),
    pub(crate) ordered: bool,
    pub(crate) time_ms: u64,
}

pub(crate) fn context(database: &dyn Database) -> LandingContext {
    let catalogue: Catalogue = database.catalogue().unwrap();
    LandingContext { catalogue: Arc::new(catalogue), audits: Arc::new(Vec::new()) }
}

/// Of a stream entries may be left out, but never all, and nothing else.
fn check_head(head: &Loaded, whole: &Loaded) {
    if !head.only_head {
        return assert_eq!(head, whole);
    }
    let parts = |loaded: &Loaded| loaded.row.clone().unwrap_or_default();
    let is_entry = |(name, _): &(Name, Value)| name.as_entry().is_some();
    let (some, all) = (parts(head), parts(whole));
    assert!(some.is_sorted() && some.iter().all(|part| all.contains(part)), "a part that is not there");
    let others = |parts: &[(Name, Value)]| parts.iter().filter(|part| !is_entry(part)).count();
    assert_eq!(others(&some), others(&all), "another part than an entry was left out");
    assert!(some.iter().any(|(name, _)| name.as_bytes() == Name::STREAM), "a stream without a head");
    assert!(some.iter().any(is_entry), "a stream without its last entry");
    assert_eq!(head.watermark, whole.watermark);
}

impl Owner {
    pub(crate) fn new(database: &dyn Database) -> Owner {
        Owner::with(database, context(database))
    }

    pub(crate) fn with(database: &dyn Database, context: LandingContext) -> Owner {
        let mut sink = database.sink(context.clone()).unwrap();
        sink.create_lanes(&us(1), &[LANE]).unwrap();
        let taken = sink.take_over(&us(1), &[LANE]).unwrap()[0];
        let source = database.source(context).unwrap();
        let at = (taken.position, taken.anchor);
        Owner { sink, source, epoch: taken.epoch, at, ordered: true, time_ms: 0 }
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn sink(&mut self) -> &mut dyn Sink {
        &mut *self.sink
    }

    fn landing(&self, ops: Vec<LandingOp>) -> Landing {
        let position = self.at.0 + 10;
        let anchor = self.at.1.next(&OURS, LANE, position, Anchor::body_hash(b"body"));
        let step = LaneStep { lane: LANE, epoch: self.epoch, from: self.at, to: (position, anchor) };
        let (batch, time_ms, ordered) = ([1; 16], self.time_ms, self.ordered);
        let letters = Vec::new();
        Landing { batch, time_ms, lineage: OURS, lanes: vec![step], ops, letters, ordered }
    }

    /// Lands, and moves on if that succeeded.
    pub(crate) fn land(&mut self, ops: Vec<LandingOp>) -> Result<(), SinkError> {
        let landing = self.landing(ops);
        self.sink.land(&landing)?;
        self.at = landing.lanes[0].to;
        Ok(())
    }

    /// Lands one change of one row.
    pub(crate) fn change(&mut self, row: &RowKey, change: Change) -> Result<(), SinkError> {
        self.land(vec![op(row, change)])
    }

    pub(crate) fn load(&mut self, row: &RowKey) -> RowState {
        let loaded = self.source.load(row, LANE).unwrap();
        assert_eq!((loaded.watermark.position, loaded.watermark.anchor), self.at);
        if let Some(columns) = &loaded.row {
            assert!(columns.is_sorted(), "columns come sorted by name");
        }
        assert_eq!(loaded.letter, None);
        check_head(&self.source.load_head(row, LANE).unwrap(), &loaded);
        loaded.row.map(|columns| columns.into_iter().collect())
    }

    /// The text of one column, `-` for NULL, `absent` for no row.
    pub(crate) fn cell(&mut self, row: &RowKey, name: &str) -> String {
        let Some(columns) = self.load(row) else { return "absent".into() };
        let Some(value) = columns.get(&Name::from_bytes(name.as_bytes())) else { return "-".into() };
        let mut text = Vec::new();
        crate::model::types::render(value, &mut text);
        String::from_utf8(text).unwrap()
    }
}

pub(crate) fn op(row: &RowKey, change: Change) -> LandingOp {
    LandingOp::Row { lane: LANE, row: row.clone(), change }
}

pub(crate) fn event(table: &str, columns: &[(&str, Value)]) -> LandingOp {
    LandingOp::Append { table: table.into(), columns: named(columns) }
}

fn named(columns: &[(&str, Value)]) -> Vec<(Name, Value)> {
    columns.iter().map(|(name, value)| (Name::from_bytes(name.as_bytes()), value.clone())).collect()
}

pub(crate) fn put(columns: &[(&str, Value)]) -> Change {
    Change::put(named(columns))
}

pub(crate) fn replace(columns: &[(&str, Value)]) -> Change {
    Change::replace(named(columns))
}

pub(crate) fn add(column: &str, delta: Value) -> Change {
    Change::add(Name::from_bytes(column.as_bytes()), delta)
}

pub(crate) fn row(table: &str, key: i64) -> RowKey {
    RowKey::of_table(table, &[Value::Int(key)])
}

fn decimal(text: &str) -> Value {
    Value::decimal(text.parse().unwrap())
}

pub(crate) fn bytes(text: &str) -> Value {
    Value::bytes(text.as_bytes())
}

/// The words of a refusal, and its table.
pub(crate) fn refusal(outcome: Result<(), SinkError>) -> (String, String) {
    match outcome {
        Err(SinkError::Refused { table, reason }) => (table, reason),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Shows S3 and S7 at the seam: merged batches of any cut leave what the single changes would have left.
pub(crate) fn landed_batches_equal_the_model(new: impl Fn() -> Box<dyn Database>) {
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&generate::batches(), |batches| {
        let database = new();
        generate::land_and_compare(&mut Owner::new(&*database), &batches)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// Runs every check of the suite against a database made by `$new`, which must be empty with [`tables`].
macro_rules! suite {
    (@checks $how:tt) => {
        $crate::sink::conformance::suite!(@each $how
            a_landing_moves_rows_and_watermark_together,
            a_lane_that_is_elsewhere_fences_the_landing,
            a_take_over_fences_the_older_owner,
            lanes_belong_to_one_log,
            a_start_that_the_owner_does_not_follow_keeps_its_lanes,
            a_lane_is_adopted_only_as_it_was_found,
            a_database_has_one_identity_for_ever,
            an_incident_is_kept_once,
            a_load_sees_row_and_watermark_of_one_moment,
            a_refused_row_leaves_rows_and_watermark_as_they_were,
            constraints_refuse_with_the_table,
            a_partial_put_keeps_the_other_columns,
            an_add_counts_null_and_absent_as_zero,
            a_delete_removes_and_is_content_with_nothing,
            a_replace_forgets_the_other_columns_and_never_cascades,
            ops_run_in_their_order,
            an_event_is_a_new_row,
            an_event_that_is_there_already_is_no_error,
            a_string_keeps_its_bytes_and_its_expiry,
            a_hash_keeps_its_fields,
            a_key_keeps_its_place_until_it_is_deleted,
            keys_come_with_what_they_hold,
            a_clear_removes_all_keys_and_no_row,
            a_stream_keeps_its_entries_and_its_head,
            a_table_is_paged_through_by_its_primary_key,
            a_page_of_rows_says_which_have_dead_letters,
            a_letter_moves_with_the_watermark_and_comes_back_whole,
            a_load_sees_row_letter_and_watermark_of_one_moment,
            a_letter_keeps_its_id_and_no_id_is_given_again,
            letters_take_what_no_table_takes,
            a_key_that_only_a_letter_holds_is_no_empty_database,
            each_operation_answers_for_itself,
            what_a_row_carries_is_tried_with_its_next_operation,
            isolating_writes_nothing_and_obeys_the_fence
        );
    };
    (@each $how:tt $($check:ident),*) => {
        $($crate::sink::conformance::suite!(@one $how $check);)*
    };
    (@one {always $new:expr} $check:ident) => {
        #[test]
        fn $check() {
            $crate::sink::conformance::$check(&$new);
        }
    };
    (@one {skipping $open:ident} $check:ident) => {
        #[test]
        fn $check() {
            if let Some(database) = $open(stringify!($check), &tables()) {
                $crate::sink::conformance::$check(&database);
            }
        }
    };
    // A database that this machine may lack: `$open` gets the name of the test and the tables, and gives none to skip it.
    (skipping $open:ident) => {
        $crate::sink::conformance::suite!(@checks {skipping $open});

        #[test]
        fn landed_batches_equal_the_model() {
            let new = || $open("landed_batches_equal_the_model", &tables());
            if new().is_some() {
                $crate::sink::conformance::landed_batches_equal_the_model(|| Box::new(new().unwrap()));
            }
        }
    };
    ($new:expr) => {
        $crate::sink::conformance::suite!(@checks {always $new});

        #[test]
        fn landed_batches_equal_the_model() {
            $crate::sink::conformance::landed_batches_equal_the_model(|| Box::new($new));
        }
    };
}

pub(crate) use suite;
