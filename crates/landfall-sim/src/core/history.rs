//! What was ever appended to the log, by its chained hashes, and what rows follow from it.
//! It applies changes by itself and never asks the product what a change means.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use landfall::model::{
    Anchor, Change, Intent, LaneId, Lineage, LoggedChange, Name, Op, Position, RowKey, Value,
};

mod disasters;
#[cfg(test)]
mod tests;

/// A row: its columns or parts that are not NULL, without the key.
pub(super) type Row = BTreeMap<Name, Value>;

/// Rows by identity, and events by table and id with how often they are there.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Rows {
    pub(super) rows: BTreeMap<RowKey, Arc<Row>>,
    pub(super) events: BTreeMap<(Arc<str>, String), u32>,
}

/// What rows became.
type Became = Vec<(RowKey, Option<Arc<Row>>)>;

/// How a landing moves a lane: from where to where.
pub(super) type Step = (LaneId, (Position, Anchor), (Position, Anchor));

/// One record as it was appended.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) lanes: Vec<(LaneId, Position)>,
    pub(super) changes: Vec<(u8, LoggedChange)>,
    /// Each lane's anchors before and behind it.
    pub(super) links: Vec<(LaneId, Anchor, Anchor)>,
}

/// A step of a lane: the anchor before, the record (none: a gap), and how many positions it takes.
#[derive(Clone)]
struct Link {
    before: Anchor,
    record: Option<usize>,
    positions: u64,
}

/// Everything that was appended in a run.
#[derive(Clone, Default)]
pub(super) struct History {
    records: Vec<Record>,
    links: HashMap<(LaneId, Anchor), Link>,
    /// Where a log goes on behind records that it does not have.
    gaps: HashMap<(LaneId, Anchor), Link>,
    /// The records of the log as it is now, in the order of their appending.
    pub(super) order: Vec<usize>,
    /// What readers have to see: the fold of `order`.
    pub(super) view: Rows,
    /// What the log began with: rows from before it, and the positions of its lanes.
    base: (Rows, BTreeMap<LaneId, Position>),
    /// The log came back with an older end, and has to go on behind where the database is.
    pub(super) expects_gaps: bool,
    /// Lanes that the database of the base has and the log has not: it begins there when it gets them, or before its gap.
    foreign: BTreeSet<LaneId>,
    /// What rows became when the lander gave up a letter of theirs, by the record that asked for it.
    given_up: BTreeMap<usize, Became>,
    /// For each row the place in `order` behind the last record that touched it.
    touched: BTreeMap<RowKey, usize>,
    /// Acknowledged: everything before this place of `order`, and when.
    pub(super) acks: Vec<(usize, u64)>,
    /// Records of several lanes of which these had landed already where `order` begins.
    partly: BTreeMap<usize, Vec<LaneId>>,
    /// `order` before a disaster, as far as it was acknowledged.
    remembered: Vec<usize>,
    /// Another copy of the log has written.
    has_copies: bool,
    lineage: Option<Lineage>,
    lineages: BTreeSet<Lineage>,
}

impl Rows {
    /// What one change does.
    pub(super) fn apply(&mut self, change: &LoggedChange) {
        match change {
            LoggedChange::Row { row, change: Change::Delete } => {
                self.rows.remove(row);
            }
            LoggedChange::Row { row, change: Change::Upsert(upsert) } => {
                let entry = self.rows.entry(row.clone()).or_default();
                let columns = Arc::make_mut(entry);
                if upsert.replace {
                    columns.clear();
                }
                for (name, op) in &upsert.columns {
                    apply_op(columns, name, op);
                }
            }
            // What is asked of a letter changes where a change is kept; what is seen changes when one is given up.
            LoggedChange::Letter { .. } => {}
            LoggedChange::Clear => self.rows.retain(|row, _| !row.is_key_value()),
            LoggedChange::Append { table, columns } => {
                let id = event_id(columns);
                let count = self.events.entry((table.clone(), id)).or_default();
                // `click` has a unique request id: a repetition changes nothing.
                *count = if &**table == "click" { 1 } else { *count + 1 };
            }
        }
    }
}

/// What one op does to a column; sums are whole numbers here.
pub(super) fn apply_op(columns: &mut Row, name: &Name, op: &Op) {
    let value = match op {
        Op::Assign(value) => value.clone(),
        Op::Add(Value::Int(delta)) => match columns.get(name) {
            Some(Value::Int(old)) => Value::Int(old + delta),
            _ => Value::Int(*delta),
        },
        Op::Add(other) => other.clone(),
    };
    if value.is_null() {
        columns.remove(name);
    } else {
        columns.insert(name.clone(), value);
    }
}

/// The first column of an event names it.
pub(super) fn event_id(columns: &[(Name, Value)]) -> String {
    let id = columns.iter().find(|(name, _)| matches!(&*name.to_text(), "request_id" | "id"));
    format!("{:?}", id.map(|(_, value)| value))
}

/// The first difference between two states, for people.
pub(super) fn difference(expected: &Rows, found: &Rows) -> String {
    for row in expected.rows.keys().chain(found.rows.keys()) {
        let (one, other) = (expected.rows.get(row), found.rows.get(row));
        if one != other {
            return format!("{row:?} is {other:?}, and should be {one:?}");
        }
    }
    for event in expected.events.keys().chain(found.events.keys()) {
        let (one, other) = (expected.events.get(event), found.events.get(event));
        if one != other {
            return format!("event {event:?} is there {other:?} times, and should be {one:?}");
        }
    }
    "nothing".into()
}

impl History {
    /// Notes an appended record.
    pub(super) fn append(&mut self, record: Record) {
        self.order.push(self.records.len());
        for (_, change) in &record.changes {
            self.view.apply(change);
            touch(&mut self.touched, change, self.order.len());
        }
        self.records.push(record);
        // A copy may have gone the same way before.
        self.relink(self.records.len() - 1);
    }

    /// Notes a record that another copy of the log has: it may land, and nobody here knows of it.
    pub(super) fn append_to_copy(&mut self, record: Record) {
        self.has_copies = true;
        for &(lane, before, behind) in &record.links {
            let link = Link { before, record: Some(self.records.len()), positions: 1 };
            self.links.entry((lane, behind)).or_insert(link);
        }
        self.records.push(record);
    }

    /// From now on this record is meant by the places that it ends at, and no other that has the same ones.
    fn relink(&mut self, number: usize) {
        for &(lane, before, behind) in &self.records[number].links {
            self.links.insert((lane, behind), Link { before, record: Some(number), positions: 1 });
        }
    }

    pub(super) fn gap(&mut self, lane: LaneId, before: Anchor, behind: Anchor, positions: u64) {
        let gap = Link { before, record: None, positions };
        // It may end where a record was that the log has lost.
        self.links.entry((lane, behind)).or_insert_with(|| gap.clone());
        self.gaps.insert((lane, behind), gap);
    }

    /// Where a lane that ends here ended before the gaps at its end.
    fn before_gaps(&self, lane: LaneId, (mut position, mut anchor): (Position, Anchor)) -> Position {
        while let Some(Link { before, positions, .. }) = self.gaps.get(&(lane, anchor)) {
            (position, anchor) = (position.saturating_sub(*positions), *before);
        }
        position
    }

    /// The place behind the last record that touched one of these rows; 0: none did.
    pub(super) fn last_touch(&self, rows: &[RowKey]) -> usize {
        rows.iter().filter_map(|row| self.touched.get(row)).copied().max().unwrap_or(0)
    }

    /// Whether a clear is owed where the lanes have landed so far.
    pub(super) fn owes_clear(&self, landed: impl Fn(LaneId) -> Position) -> bool {
        self.order.iter().map(|&number| &self.records[number]).any(|record| {
            let clears = record.changes.iter().filter(|(_, change)| *change == LoggedChange::Clear);
            let mut places = clears.filter_map(|(lane, _)| record.lanes.get(usize::from(*lane)));
            places.any(|&(lane, position)| position > landed(lane))
        })
    }

    /// The records of a lane from one place to another, newest first, and how many positions they and the gaps between
    /// them take; none when the one does not lead to the other. Where a volume went back, a step may begin within a gap, at
    /// the place of a record that is gone.
    fn between(
        &self,
        lane: LaneId,
        from: (Position, Anchor),
        to: (Position, Anchor),
    ) -> Option<(Vec<usize>, u64)> {
        let (mut at, mut found, mut positions) = (to.1, Vec::new(), 0);
        let wanted = to.0.saturating_sub(from.0);
        let first = self.links.get(&(lane, from.1));
        let is_kept = |link: &Link| link.record.is_some_and(|number| self.order.contains(&number));
        let is_gone = || first.is_some_and(|link| !is_kept(link));
        while at != from.1 {
            let link = self.links.get(&(lane, at))?;
            found.extend(link.record);
            positions += link.positions;
            if link.record.is_none() && positions > wanted && is_gone() {
                return Some((found, wanted));
            }
            at = link.before;
        }
        Some((found, positions))
    }

    /// The view of a database after the lanes moved like this; `bare` are its rows without their letters.
    pub(super) fn land(&mut self, rows: &Rows, bare: &Rows, steps: &[Step]) -> Result<Rows, String> {
        let mut times: BTreeMap<usize, usize> = BTreeMap::new();
        for (lane, from, to) in steps {
            let (passed, positions) = self.between(*lane, *from, *to).ok_or_else(|| {
                format!("lane {lane} landed from {} to {}, which the log never held like that", from.0, to.0)
            })?;
            if positions != to.0 - from.0 {
                return Err(format!(
                    "lane {lane} landed {} to {} with {} records",
                    from.0,
                    to.0,
                    passed.len()
                ));
            }
            for number in passed {
                *times.entry(number).or_default() += 1;
            }
        }
        let (mut rows, mut gave_up) = (rows.clone(), false);
        for (number, times) in times {
            let lanes = self.records[number].lanes.len() - self.partly.get(&number).map_or(0, Vec::len);
            // In a lane where nothing was written since, the mark of a copy's start is the same as that of a start here.
            let is_mark = self.has_copies && self.records[number].changes.is_empty();
            if times != lanes && !is_mark {
                return Err(format!("a record of {lanes} lanes landed for {times} of them"));
            }
            let changes: Vec<LoggedChange> = self.owed(number).cloned().collect();
            for change in &changes {
                rows.apply(change);
                if let Some(row) = dropped(change) {
                    let kept = bare.rows.get(&row).cloned();
                    set(&mut rows, &row, kept.as_ref());
                    self.given_up.entry(number).or_default().push((row, kept));
                    gave_up = true;
                }
            }
        }
        if gave_up {
            self.cut(self.order.len());
        }
        Ok(rows)
    }

    /// A person gave up everything: what the database shows now counts, and the lanes of the log go on from here.
    pub(super) fn give_up_all(&mut self, rows: Rows, heads: BTreeMap<LaneId, Position>) {
        self.order.clear();
        self.begin_anew(rows, heads);
    }

    /// A person gave up everything up to these positions: what the database shows now counts, and what is behind them.
    pub(super) fn begin_anew(&mut self, rows: Rows, heads: BTreeMap<LaneId, Position>) {
        let is_behind =
            |(lane, position): &(LaneId, Position)| heads.get(lane).is_none_or(|head| position > head);
        let records = &self.records;
        self.order.retain(|number| records[*number].lanes.iter().any(is_behind));
        self.acks.clear();
        self.base = (rows, heads);
        self.cut(self.order.len());
    }

    /// Finds what a restart has kept: `heads` are the ends of all lanes. The place in the order behind what is kept.
    pub(super) fn survived(&self, heads: &BTreeMap<LaneId, (Position, Anchor)>) -> Result<usize, String> {
        let mut kept = 0;
        let mut ended = false;
        for (place, &number) in self.order.iter().enumerate() {
            let record = &self.records[number];
            let of_lanes: Vec<bool> = record
                .lanes
                .iter()
                .map(|(lane, position)| heads.get(lane).is_some_and(|head| head.0 >= *position))
                .collect();
            let here = of_lanes.iter().all(|here| *here);
            if !here && of_lanes.iter().any(|here| *here) {
                return Err(format!("record {place} of several lanes came back for some of them only"));
            }
            if here && ended {
                return Err(format!("record {place} came back, and one before it did not"));
            }
            ended |= !here;
            kept = if here { place + 1 } else { kept };
        }
        for (lane, (position, anchor)) in heads {
            let last = self.order[..kept].iter().rev().find_map(|&number| {
                self.records[number].lanes.iter().find(|(have, _)| have == lane).map(|found| found.1)
            });
            let base = self.base.1.get(lane).filter(|_| !self.foreign.contains(lane)).copied();
            let last = last.max(base).unwrap_or(0);
            let ended = self.before_gaps(*lane, (*position, *anchor));
            if !((ended..=*position).contains(&last) || self.expects_gaps && ended < last) {
                return Err(format!("lane {lane} came back at {position}, and its last record is {last}"));
            }
            if *position > 0 && !self.links.contains_key(&(*lane, *anchor)) {
                return Err(format!("lane {lane} came back at {position} with another history"));
            }
        }
        Ok(kept)
    }

    /// Forgets what did not come back. The view is what is left.
    pub(super) fn cut(&mut self, kept: usize) {
        self.order.truncate(kept);
        self.acks.retain(|(place, _)| *place <= kept);
        self.fold();
    }

    fn fold(&mut self) {
        let (mut view, mut touched) = (self.base.0.clone(), BTreeMap::new());
        for (place, &number) in self.order.iter().enumerate() {
            for change in self.owed(number) {
                view.apply(change);
                touch(&mut touched, change, place + 1);
            }
            for (row, kept) in self.given_up.get(&number).into_iter().flatten() {
                set(&mut view, row, kept.as_ref());
            }
        }
        (self.view, self.touched) = (view, touched);
    }

    /// The changes of a record that had not landed where `order` begins.
    fn owed(&self, number: usize) -> impl Iterator<Item = &LoggedChange> {
        let record = &self.records[number];
        let landed = self.partly.get(&number);
        let is_owed = move |lane: u8| {
            let lane = record.lanes.get(usize::from(lane)).map(|(lane, _)| lane);
            landed.is_none_or(|landed| lane.is_none_or(|lane| !landed.contains(lane)))
        };
        record.changes.iter().filter(move |(lane, _)| is_owed(*lane)).map(|(_, change)| change)
    }
}

/// Notes the place behind a change for each row that it touches. A key that nobody has touched is not cleared: it was absent.
fn touch(touched: &mut BTreeMap<RowKey, usize>, change: &LoggedChange, place: usize) {
    match change {
        LoggedChange::Row { row, .. } => drop(touched.insert(row.clone(), place)),
        LoggedChange::Clear => {
            let keys = touched.iter_mut().filter(|(row, _)| row.is_key_value());
            keys.for_each(|(_, last)| *last = place);
        }
        LoggedChange::Append { .. } | LoggedChange::Letter { .. } => {}
    }
}

/// The row whose letter is given up by a change.
fn dropped(change: &LoggedChange) -> Option<RowKey> {
    match change {
        LoggedChange::Letter { key, intent: Intent::Drop } => key.row(),
        _ => None,
    }
}

fn set(rows: &mut Rows, row: &RowKey, columns: Option<&Arc<Row>>) {
    match columns {
        Some(columns) => drop(rows.rows.insert(row.clone(), columns.clone())),
        None => drop(rows.rows.remove(row)),
    }
}
