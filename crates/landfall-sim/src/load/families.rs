//! The families of steps: what a client may do next, by chance.
//! A value, an event and a digit must never be used twice, or the checker could not name their origin.

use super::step::{Reading, Step};
use super::{Part, TRAIL};
use crate::checker::Kind;

/// Base-4 digits of one window counter; 4^30 and all smaller ones together stay below 2^63.
const WINDOW_DIGITS: u32 = 30;

/// What a client remembers between its steps.
#[derive(Debug)]
pub(super) struct Planner {
    part: Part,
    /// Everything that is written once gets its number from here.
    next: u64,
    digits: u32,
    /// Events whose outcome is unknown; sending them again must not count.
    pub(super) repeat: Vec<String>,
}

impl Planner {
    pub(super) fn new(part: Part) -> Planner {
        Planner { part, next: 0, digits: 0, repeat: Vec::new() }
    }

    /// The steps of the next pipeline.
    pub(super) fn pipeline(&mut self) -> Vec<Step> {
        let steps = 1 + self.below(8);
        (0..steps).map(|_| self.step()).collect()
    }

    fn step(&mut self) -> Step {
        match self.below(100) {
            0..15 => {
                let number = self.below(6);
                self.string(&format!("own:{}:{number}", self.part.client))
            }
            15..27 => {
                let name = format!("shared:{}", self.below(6));
                self.string(&name)
            }
            27..37 => self.hash(),
            37..53 => self.row(),
            53..60 => self.pair(),
            60..66 => self.transaction(),
            66..80 => self.counter(),
            80..89 => self.event(),
            89..93 => self.family(),
            93..96 => self.unique(),
            96..98 => {
                let row = format!("item:{}", 1 + self.below(8));
                Step::aside(&["LANDFALL.EVICT", &row])
            }
            _ => self.mixed(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.part.chance.below(bound)
    }

    /// A number that no other step of this client in this part of the run gets.
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A text that nobody else writes in the whole run.
    fn fresh(&mut self) -> String {
        let number = self.number();
        format!("{}-{}-{number}", self.part.segment, self.part.client)
    }

    fn string(&mut self, name: &str) -> Step {
        match self.below(10) {
            0..5 => {
                let value = self.fresh();
                Step::one(&["SET", name, &value], write(&[name], Some(&value)), Reading::Done)
            }
            5 => Step::one(&["DEL", name], write(&[name], None), Reading::Done),
            _ => Step::one(&["GET", name], read(&[name]), Reading::Value),
        }
    }

    fn hash(&mut self) -> Step {
        let key = format!("hash:{}", self.below(4));
        let first = self.below(3);
        let fields = [format!("f{first}"), format!("f{}", (first + 1) % 3)];
        let names = fields.each_ref().map(|field| format!("{key} {field}"));
        let both = [names[0].as_str(), names[1].as_str()];
        let value = self.fresh();
        match self.below(10) {
            0..3 => {
                let kind = write(&both[..1], Some(&value));
                Step::one(&["HSET", &key, &fields[0], &value], kind, Reading::Done)
            }
            3..5 => {
                let words = ["HSET", &key, &fields[0], &value, &fields[1], &value];
                Step::one(&words, write(&both, Some(&value)), Reading::Done)
            }
            5 => Step::one(&["HDEL", &key, &fields[0]], write(&both[..1], None), Reading::Done),
            6 if self.part.chance.percent(30) => {
                let all = ["f0", "f1", "f2"].map(|field| format!("{key} {field}"));
                let all = all.each_ref().map(String::as_str);
                Step::one(&["DEL", &key], write(&all, None), Reading::Done)
            }
            6..8 => Step::one(&["HMGET", &key, &fields[0], &fields[1]], read(&both), Reading::Values),
            _ => Step::one(&["HGET", &key, &fields[0]], read(&both[..1]), Reading::Value),
        }
    }

    fn row(&mut self) -> Step {
        let key = format!("item:{}", 1 + self.below(8));
        let column = if self.part.chance.percent(50) { "title" } else { "note" };
        let (cell, name) = (format!("{key}:{column}"), format!("{key} {column}"));
        let both = [format!("{key} title"), format!("{key} note")];
        let both = both.each_ref().map(String::as_str);
        let value = self.fresh();
        match self.below(12) {
            0..2 => Step::one(&["HSET", &key, column, &value], write(&[&name], Some(&value)), Reading::Done),
            2..4 => Step::one(&["SET", &cell, &value], write(&[&name], Some(&value)), Reading::Done),
            4 => {
                let json = format!(r#"{{"title":"{value}","note":"{value}"}}"#);
                Step::one(&["SET", &key, &json], write(&both, Some(&value)), Reading::Done)
            }
            5 => {
                let words = ["HSET", &key, "note", &value, "title", &value];
                Step::one(&words, write(&both, Some(&value)), Reading::Done)
            }
            6 => Step::one(&["DEL", &key], write(&both, None), Reading::Done),
            7 => Step::one(&["HDEL", &key, column], write(&[&name], None), Reading::Done),
            8..10 => Step::one(&["HMGET", &key, "title", "note"], read(&both), Reading::Values),
            10 => Step::one(&["GET", &cell], read(&[&name]), Reading::Value),
            _ => Step::one(&["HGET", &key, column], read(&[&name]), Reading::Value),
        }
    }

    /// Two keys that are only written together, by MSET: two strings, or a string and a cell.
    fn pair(&mut self) -> Step {
        let number = self.below(4);
        let (left, right, name) = match self.part.chance.percent(50) {
            true => {
                let right = format!("pair:{number}:b");
                (format!("pair:{number}:a"), right.clone(), right)
            }
            false => {
                let row = format!("item:{}", 600 + number);
                (format!("cellpair:{number}"), format!("{row}:title"), format!("{row} title"))
            }
        };
        let value = self.fresh();
        match self.part.chance.percent(60) {
            true => {
                let words = ["MSET", &left, &value, &right, &value];
                Step::one(&words, write(&[&left, &name], Some(&value)), Reading::Done)
            }
            false => Step::one(&["MGET", &left, &right], read(&[&left, &name]), Reading::Values),
        }
    }

    /// A string, a row of an ordinary table, and a row of a table with constraints, only written together, by EXEC.
    fn transaction(&mut self) -> Step {
        let number = self.below(4);
        let (key, item, account) = (
            format!("mix:{number}"),
            format!("item:{}", 500 + number),
            format!("account:{}", 900_000 + number),
        );
        let names = [key.clone(), format!("{item} title"), format!("{account} owner")];
        let names = names.each_ref().map(String::as_str);
        let value = self.fresh();
        let mut step = Step::default();
        match self.part.chance.percent(60) {
            true => {
                step.then(&["SET", &key, &value], None);
                step.then(&["HSET", &item, "title", &value], None);
                step.then(&["HSET", &account, "owner", &value], None);
                step.in_transaction(Some((write(&names, Some(&value)), Reading::Done)))
            }
            false => {
                step.then(&["GET", &key], None);
                step.then(&["HGET", &item, "title"], None);
                step.then(&["HGET", &account, "owner"], None);
                step.in_transaction(Some((read(&names), Reading::Values)))
            }
        }
    }

    fn counter(&mut self) -> Step {
        let delta = 1 + self.below(9);
        let by = delta.to_string();
        let number = self.below(3);
        let add = |counter: &str| Kind::Add { counter: counter.to_owned(), delta };
        let sum = |counter: &str| Kind::ReadSum { counter: counter.to_owned() };
        let (string, hash, row) =
            (format!("count:{number}"), format!("hcount:{number}"), format!("page:{number}"));
        let (field, column) = (format!("{hash} n"), format!("{row} views"));
        match self.below(12) {
            0..2 => Step::one(&["INCRBY", &string, &by], add(&string), Reading::Sum),
            2 => Step::one(&["GET", &string], sum(&string), Reading::SumText),
            3 => Step::one(&["HINCRBY", &hash, "n", &by], add(&field), Reading::Sum),
            4 => Step::one(&["HGET", &hash, "n"], sum(&field), Reading::SumText),
            5 => Step::one(&["HINCRBY", &row, "views", &by], add(&column), Reading::Sum),
            6 => Step::one(&["INCRBY", &format!("{row}:views"), &by], add(&column), Reading::Sum),
            7 => Step::one(&["LANDFALL.ADD", &row, "views", &by], add(&column), Reading::Done),
            8 => Step::one(&["HGET", &row, "views"], sum(&column), Reading::SumText),
            _ => self.digit(),
        }
    }

    /// A counter of which every addition can be told from its digits.
    fn digit(&mut self) -> Step {
        let (window, digit) = (self.digits / WINDOW_DIGITS, self.digits % WINDOW_DIGITS);
        let id = u64::from(self.part.segment) * 1_000_000
            + u64::from(self.part.client) * 10_000
            + u64::from(window);
        let row = format!("page:{}", 1_000_000 + id);
        let counter = format!("{row} views");
        if self.part.chance.percent(15) {
            return Step::one(&["HGET", &row, "views"], Kind::ReadSum { counter }, Reading::SumText);
        }
        self.digits += 1;
        let delta = 4_u64.pow(digit);
        Step::one(
            &["LANDFALL.ADD", &row, "views", &delta.to_string()],
            Kind::Add { counter, delta },
            Reading::Done,
        )
    }

    fn event(&mut self) -> Step {
        let client = self.part.client.to_string();
        let id = match self.repeat.pop() {
            Some(id) => id,
            None if self.part.chance.percent(30) => return self.trail(),
            None if self.part.chance.percent(50) => {
                let id = format!("r{}", self.fresh());
                let kind = Kind::Append { set: "reading".into(), id: id.clone() };
                return Step::one(
                    &["XADD", "reading", "*", "id", &id, "client", &client],
                    kind,
                    Reading::Done,
                );
            }
            None => format!("c{}", self.fresh()),
        };
        let kind = Kind::Append { set: "click".into(), id: id.clone() };
        let words = ["XADD", "click", "*", "request_id", &id, "url", "/start", "client", &client];
        Step::one(&words, kind, Reading::Done)
    }

    /// An entry of a stream over a key. Nothing keeps an entry from being added twice, so a repetition shows.
    fn trail(&mut self) -> Step {
        let (name, id) = (format!("{TRAIL}{}", self.below(3)), format!("t{}", self.fresh()));
        let kind = Kind::Append { set: name.clone(), id: id.clone() };
        Step::one(&["XADD", &name, "*", "id", &id], kind, Reading::Done)
    }

    /// A parent, its child, and sometimes the end of both: in any other order the database refuses.
    fn family(&mut self) -> Step {
        let id = u64::from(self.part.segment) * 10_000_000
            + u64::from(self.part.client) * 1_000_000
            + self.number();
        let (parent, child) = (format!("customer:{id}"), format!("purchase:{id}"));
        let (name, state) = (format!("{parent} name"), format!("{child} state"));
        let value = self.fresh();
        let mut step = Step::default();
        step.then(&["HSET", &parent, "name", &value], Some((write(&[&name], Some(&value)), Reading::Done)));
        let words = ["HSET", &child, "customer_id", &id.to_string(), "state", &value];
        step.then(&words, Some((write(&[&state], Some(&value)), Reading::Done)));
        if self.part.chance.percent(40) {
            let value = self.fresh();
            let words = ["HSET", &child, "state", &value];
            step.then(&words, Some((write(&[&state], Some(&value)), Reading::Done)));
        }
        if self.part.chance.percent(40) {
            step.then(&["DEL", &child], Some((write(&[&state], None), Reading::Done)));
            step.then(&["DEL", &parent], Some((write(&[&name], None), Reading::Done)));
        }
        step
    }

    /// A unique value moves from one row to another: only in this order is it ever free. The row that had it is
    /// written without a look at it, or in one piece with the other, as a refusal of the first step alone would
    /// make the second one wrong.
    fn unique(&mut self) -> Step {
        let id = u64::from(self.part.client) * 10 + self.below(3) * 2;
        let (from, to) = (format!("account:{id}"), format!("account:{}", id + 1));
        let (old, new) = (format!("{from} email"), format!("{to} email"));
        let value = self.fresh();
        let mut step = Step::default();
        let first = (write(&[&old], Some(&value)), Reading::Done);
        let last = (write(&[&new], Some(&value)), Reading::Done);
        if self.part.chance.percent(50) {
            step.then(&["HSET", &from, "email", &value], Some(first));
            let other = self.fresh();
            step.then(&["HSET", &from, "email", &other], Some((write(&[&old], Some(&other)), Reading::Done)));
            step.then(&["HSET", &to, "email", &value], Some(last));
            step.then(&["HGET", &to, "email"], Some((read(&[&new]), Reading::Value)));
            return step;
        }
        step.then(&["HSET", &from, "email", &value], Some(first));
        step.then(&["HDEL", &from, "email"], Some((write(&[&old], None), Reading::Done)));
        step.then(&["HSET", &to, "email", &value], Some(last));
        step.in_transaction(None)
    }

    /// A string, a sum and an event in one EXEC.
    fn mixed(&mut self) -> Step {
        let (key, number) = (format!("own:{}:0", self.part.client), self.below(3));
        let (value, id) = (self.fresh(), format!("r{}", self.fresh()));
        let row = format!("page:{number}");
        let client = self.part.client.to_string();
        let mut step = Step::default();
        step.then(&["SET", &key, &value], Some((write(&[&key], Some(&value)), Reading::Done)));
        let add = Kind::Add { counter: format!("{row} views"), delta: 3 };
        step.then(&["HINCRBY", &row, "views", "3"], Some((add, Reading::Sum)));
        let append = Kind::Append { set: "reading".into(), id: id.clone() };
        let words = ["XADD", "reading", "*", "id", &id, "client", &client];
        step.then(&words, Some((append, Reading::Done)));
        step.in_transaction(None)
    }
}

fn write(registers: &[&str], value: Option<&str>) -> Kind {
    let registers = registers.iter().map(|name| (*name).to_owned()).collect();
    Kind::Write { registers, value: value.map(str::to_owned) }
}

fn read(registers: &[&str]) -> Kind {
    Kind::Read { registers: registers.iter().map(|name| (*name).to_owned()).collect() }
}
