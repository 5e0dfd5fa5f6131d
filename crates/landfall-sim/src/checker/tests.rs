//! Every promise broken on purpose, one at a time, and seen; and histories that look odd and are right.

use super::*;

/// Builds operations with times in the order they are called, unless told otherwise.
struct Story {
    clock: u64,
    history: Vec<Operation>,
    first: State,
    last: State,
}

impl Story {
    fn new() -> Story {
        Story { clock: 0, history: Vec::new(), first: State::default(), last: State::default() }
    }

    fn operation(&mut self, client: u32, kind: Kind, outcome: Outcome) -> &mut Operation {
        self.clock += 10;
        self.history.push(Operation {
            client,
            session: client.into(),
            sequence: self.clock,
            invoked_ns: self.clock,
            returned_ns: self.clock + 5,
            kind,
            outcome,
        });
        self.history.last_mut().unwrap()
    }

    fn write(&mut self, client: u32, name: &str, value: &str) -> &mut Operation {
        let kind = Kind::Write { registers: vec![name.into()], value: Some(value.into()) };
        self.operation(client, kind, Outcome::Acked(Reply::Done))
    }

    fn delete(&mut self, client: u32, name: &str) -> &mut Operation {
        let kind = Kind::Write { registers: vec![name.into()], value: None };
        self.operation(client, kind, Outcome::Acked(Reply::Done))
    }

    fn read(&mut self, client: u32, name: &str, value: Option<&str>) -> &mut Operation {
        let reply = Reply::Values(vec![value.map(str::to_owned)]);
        self.operation(client, Kind::Read { registers: vec![name.into()] }, Outcome::Acked(reply))
    }

    fn add(&mut self, client: u32, name: &str, delta: u64, sum: Option<i64>) -> &mut Operation {
        let reply = sum.map_or(Reply::Done, Reply::Sum);
        self.operation(client, Kind::Add { counter: name.into(), delta }, Outcome::Acked(reply))
    }

    fn append(&mut self, client: u32, id: &str, outcome: Outcome) -> &mut Operation {
        self.operation(client, Kind::Append { set: "click".into(), id: id.into() }, outcome)
    }

    fn ends_with(mut self, name: &str, value: Option<&str>) -> Story {
        self.last.registers.insert(name.into(), value.map(str::to_owned));
        self
    }

    fn sum_ends_with(mut self, name: &str, sum: i64) -> Story {
        self.last.counters.insert(name.into(), sum);
        self
    }

    fn set_ends_with(mut self, ids: &[&str]) -> Story {
        self.last.sets.insert("click".into(), ids.iter().map(|id| (*id).to_owned()).collect());
        self
    }

    fn promises(&self) -> Vec<Promise> {
        check(&self.first, &self.history, &self.last).into_iter().map(|found| found.promise).collect()
    }

    fn sentence(&self) -> String {
        let found = check(&self.first, &self.history, &self.last);
        assert_eq!(found.len(), 1, "{found:#?}");
        found[0].sentence.clone()
    }
}

fn acked() -> Outcome {
    Outcome::Acked(Reply::Done)
}

#[test]
fn a_clean_history_passes() {
    let mut story = Story::new();
    story.first.registers.insert("x".into(), Some("before".into()));
    story.read(1, "x", Some("before"));
    story.write(1, "x", "a");
    story.read(2, "x", Some("a"));
    story.delete(2, "x");
    story.read(1, "x", None);
    story.write(1, "x", "b").outcome = Outcome::Unknown;
    story.read(2, "x", Some("b"));
    story.write(3, "y", "c").outcome = Outcome::Failed;
    story.add(1, "n", 2, Some(2));
    story.add(2, "n", 3, None).outcome = Outcome::Unknown;
    story.add(1, "n", 1, Some(6));
    story.append(1, "e1", acked());
    story.append(1, "e2", Outcome::Unknown);
    story.append(1, "e3", Outcome::Failed);
    let story = story.ends_with("x", Some("b")).ends_with("y", None).sum_ends_with("n", 6);
    assert_eq!(story.set_ends_with(&["e1", "e2"]).promises(), []);
}

#[test]
fn a_lost_acknowledged_write_is_named() {
    let mut story = Story::new();
    story.write(1, "x", "a");
    story.write(1, "x", "b");
    let story = story.ends_with("x", Some("a"));
    assert_eq!(story.promises(), [Promise::Lost]);
    let sentence = story.sentence();
    assert!(sentence.contains("write `x` = `a`") && sentence.contains("write `x` = `b`"), "{sentence}");
    assert!(sentence.contains("the state at the end"), "{sentence}");
}

#[test]
fn a_first_write_that_vanishes_is_lost() {
    let mut story = Story::new();
    story.write(1, "x", "a");
    assert_eq!(story.ends_with("x", None).promises(), [Promise::Lost]);
}

#[test]
fn a_vanished_value_that_was_only_read_is_lost() {
    let mut story = Story::new();
    story.write(1, "x", "a").outcome = Outcome::Unknown;
    story.read(2, "x", Some("a"));
    assert_eq!(story.ends_with("x", None).promises(), [Promise::Lost]);
}

#[test]
fn an_unknown_write_may_stay_or_vanish() {
    for end in [None, Some("a")] {
        let mut story = Story::new();
        story.write(1, "x", "a").outcome = Outcome::Unknown;
        assert_eq!(story.ends_with("x", end).promises(), []);
    }
}

#[test]
fn an_older_value_that_wins_is_out_of_order() {
    let mut story = Story::new();
    story.write(1, "x", "a");
    story.write(2, "x", "b");
    story.read(3, "x", Some("b"));
    assert_eq!(story.ends_with("x", Some("a")).promises(), [Promise::Order]);
}

#[test]
fn overlapping_writes_may_win_in_any_order() {
    for end in ["a", "b"] {
        let mut story = Story::new();
        story.write(1, "x", "a").returned_ns = 100;
        story.write(2, "x", "b").returned_ns = 100;
        assert_eq!(story.ends_with("x", Some(end)).promises(), []);
    }
}

#[test]
fn pipelined_writes_of_one_connection_keep_their_order() {
    let mut story = Story::new();
    story.write(1, "x", "a").returned_ns = 100;
    story.write(1, "x", "b").returned_ns = 100;
    assert_eq!(story.ends_with("x", Some("a")).promises(), [Promise::Lost]);
}

#[test]
fn a_stale_read_is_seen() {
    let mut story = Story::new();
    story.write(1, "x", "a");
    story.write(1, "x", "b");
    story.read(2, "x", Some("a"));
    let story = story.ends_with("x", Some("b"));
    assert_eq!(story.promises(), [Promise::Order]);
    assert!(story.sentence().contains("client 2: read `x`"), "{}", story.sentence());
}

#[test]
fn a_read_right_behind_its_write_sees_it() {
    let mut story = Story::new();
    story.first.registers.insert("x".into(), Some("old".into()));
    story.write(1, "x", "new").returned_ns = 100;
    story.read(1, "x", Some("old")).returned_ns = 100;
    assert_eq!(story.promises(), [Promise::Order]);
}

#[test]
fn reads_that_go_back_are_seen_while_the_writes_overlap() {
    let mut story = Story::new();
    story.write(1, "x", "a").returned_ns = 1000;
    story.write(2, "x", "b").returned_ns = 1000;
    story.read(3, "x", Some("a"));
    story.read(3, "x", Some("b"));
    assert_eq!(story.promises(), []);
    story.read(3, "x", Some("a"));
    assert_eq!(story.promises(), [Promise::Order]);
}

#[test]
fn an_invented_or_refused_value_is_seen() {
    let mut story = Story::new();
    story.write(1, "x", "refused").outcome = Outcome::Failed;
    story.read(1, "x", Some("refused"));
    story.read(1, "x", Some("never"));
    assert_eq!(story.promises(), [Promise::Invented, Promise::Invented]);
    let mut early = Story::new();
    early.read(1, "x", Some("later"));
    early.write(2, "x", "later");
    assert_eq!(early.promises(), [Promise::Invented]);
}

#[test]
fn a_deletion_that_comes_undone_is_seen() {
    let mut story = Story::new();
    story.write(1, "x", "a");
    story.delete(1, "x");
    assert_eq!(story.ends_with("x", Some("a")).promises(), [Promise::Lost]);
}

#[test]
fn a_deletion_explains_nothing_after_a_newer_write() {
    let mut story = Story::new();
    story.delete(1, "x");
    story.write(1, "x", "a");
    story.delete(2, "x").outcome = Outcome::Failed;
    assert_eq!(story.ends_with("x", None).promises(), [Promise::Lost]);
}

#[test]
fn a_doubled_increment_is_seen() {
    let mut story = Story::new();
    story.add(1, "n", 1, None);
    assert_eq!(story.sum_ends_with("n", 2).promises()[0], Promise::Twice);
}

#[test]
fn a_doubled_increment_hides_behind_no_unknown_one_when_digits_tell() {
    let mut story = Story::new();
    story.add(1, "n", 1, None);
    story.add(1, "n", 4, None).outcome = Outcome::Unknown;
    story.add(1, "n", 16, None);
    assert_eq!(story.promises(), []);
    let story = story.sum_ends_with("n", 1 + 1 + 16);
    assert_eq!(story.promises(), [Promise::Twice]);
}

#[test]
fn a_lost_increment_is_seen_by_its_digit_although_the_sum_is_possible() {
    let mut story = Story::new();
    story.add(1, "n", 1, None);
    story.add(1, "n", 4, None).outcome = Outcome::Unknown;
    assert_eq!(story.sum_ends_with("n", 4).promises(), [Promise::Lost]);
}

#[test]
fn two_answers_for_one_step_are_seen() {
    let mut story = Story::new();
    story.add(1, "n", 2, Some(2));
    story.add(2, "n", 2, Some(2)).outcome = Outcome::Acked(Reply::Sum(2));
    story.add(3, "n", 2, None).outcome = Outcome::Unknown;
    let promises = story.sum_ends_with("n", 4).promises();
    assert!(promises.contains(&Promise::Lost), "{promises:?}");
}

#[test]
fn a_counter_that_goes_back_is_seen() {
    let mut story = Story::new();
    story.add(1, "n", 3, None).outcome = Outcome::Unknown;
    story.operation(2, Kind::ReadSum { counter: "n".into() }, Outcome::Acked(Reply::Sum(3)));
    story.operation(2, Kind::ReadSum { counter: "n".into() }, Outcome::Acked(Reply::Sum(0)));
    assert!(story.promises().contains(&Promise::Lost));
}

#[test]
fn an_event_twice_lost_refused_or_invented_is_seen() {
    let mut story = Story::new();
    story.append(1, "a", acked());
    story.append(1, "b", Outcome::Unknown);
    story.append(1, "c", Outcome::Failed);
    let told = |ids: &[&str]| {
        let mut story = Story { history: story.history.clone(), ..Story::new() };
        story = story.set_ends_with(ids);
        story.promises()
    };
    assert_eq!(told(&["a"]), []);
    assert_eq!(told(&["a", "b"]), []);
    assert_eq!(told(&["a", "a"]), [Promise::Twice]);
    assert_eq!(told(&["a", "b", "b"]), [Promise::Twice]);
    assert_eq!(told(&["b"]), [Promise::Lost]);
    assert_eq!(told(&["a", "c"]), [Promise::Invented]);
    assert_eq!(told(&["a", "x"]), [Promise::Invented]);
}

#[test]
fn a_repeated_event_counts_once() {
    let mut story = Story::new();
    story.append(1, "a", Outcome::Unknown);
    story.append(1, "a", acked());
    let story = story.set_ends_with(&["a"]);
    assert_eq!(story.promises(), []);
    assert_eq!(story.set_ends_with(&["a", "a"]).promises(), [Promise::Twice]);
}

#[test]
fn half_a_transaction_is_seen_in_the_end_and_in_an_answer() {
    let both = || vec!["p".to_owned(), "q".to_owned()];
    let mut story = Story::new();
    story.operation(1, Kind::Write { registers: both(), value: Some("a".into()) }, acked());
    story.operation(1, Kind::Write { registers: both(), value: Some("b".into()) }, Outcome::Unknown);
    let half = Story { history: story.history.clone(), ..Story::new() };
    let half = half.ends_with("p", Some("a")).ends_with("q", Some("b"));
    assert_eq!(half.promises(), [Promise::Half]);
    let whole = Story { history: story.history.clone(), ..Story::new() };
    assert_eq!(whole.ends_with("p", Some("b")).ends_with("q", Some("b")).promises(), []);
    let reply = Reply::Values(vec![Some("b".into()), Some("a".into())]);
    story.operation(2, Kind::Read { registers: both() }, Outcome::Acked(reply));
    assert!(story.promises().contains(&Promise::Half));
}

#[test]
fn registers_that_are_also_written_alone_are_no_group() {
    let mut story = Story::new();
    let both = vec!["p".to_owned(), "q".to_owned()];
    story.operation(1, Kind::Write { registers: both, value: Some("a".into()) }, acked());
    story.write(1, "p", "b");
    assert_eq!(story.ends_with("p", Some("b")).ends_with("q", Some("a")).promises(), []);
}
