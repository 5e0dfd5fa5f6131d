//! The steps of a walk: what the cache holds, what the letters and the tables of the database hold, and in which order.
//! Every page from the database is checked against what was made clean before it is told.

use super::cursor::Leg;
use super::{LOADS_MAX, Next, Read, STEP_LETTERS, Told, Walk, Wish};
use crate::buffer::cache::{Entry, View};
use crate::engine::core::Core;
use crate::engine::keyspace::Found;
use crate::engine::load::Job;
use crate::engine::refusal::Refusal;
use crate::model::{LaneId, Letter, RowKey, Table, Watermark};
use crate::sink::{KeyKind, SinkError, Source, StoredKey, StoredKeys};

impl Core {
    /// Changes with each run, and with each loss of commits that the database has had in this run.
    pub(super) fn walk_tag(&self) -> u64 {
        // Of all lanes: rows may have left some of them.
        let rewinds: u64 = self.all_lanes().map(|lane| self.progress.rewinds(lane)).sum();
        self.cache.hash(b"walk").wrapping_add(rewinds)
    }

    /// The lanes of the rows, or of the key-value keys, that a walk is over.
    fn walked_lanes(&self, table: Option<&Table>) -> &[LaneId] {
        table.map_or(self.lanes.key_value(), |table| self.lanes.of_table(table))
    }

    pub(super) fn random_leg(&self) -> Leg {
        let mut bytes = [0; 8];
        self.env.random.fill(&mut bytes);
        let random = u64::from_le_bytes(bytes);
        // Without a look at the database nobody knows how many keys it has: a coin decides.
        match self.cache.is_complete() || random & 1 == 0 {
            true => Leg::Cache(((random >> 8) % (self.cache.shards() as u64)) << 32 | random >> 32),
            false => Leg::Somewhere(random >> 1),
        }
    }

    /// Tells what the cache holds from the walk's place on.
    pub(super) fn step_in_cache(&self, walk: &mut Walk) -> Next {
        if let Some(table) = walk.table.clone() {
            return self.step_rows_in_cache(walk, &table);
        }
        let Leg::Cache(from) = walk.leg else {
            // Complete since: all keys were cleared after the walk began.
            return walk.go_on(self, None);
        };
        // Before the rows are looked at: what is evicted meanwhile is met among the stored keys.
        let is_complete = self.cache.is_complete();
        let now_ms = self.env.clock.unix_ms();
        walk.found.read_dirty |= self.lanes.key_value().iter().any(|&lane| self.clear_pends(lane));
        let mut unknown = Vec::new();
        let mut met: Vec<(RowKey, KeyKind)> = Vec::new();
        let next = self.cache.walk(from, walk.step_rows(), |entry| {
            if !entry.is_key_value() || !(is_complete || entry.is_dirty()) {
                return;
            }
            walk.found.read_dirty |= entry.is_dirty();
            let told = told(entry, now_ms);
            if walk.is_whole() && !matches!(told, Told::Unknown) {
                let hash = self.cache.hash(&entry.row);
                if !walk.decided.insert(hash) {
                    return;
                }
            }
            match told {
                Told::There(kind) => met.push((RowKey::from_bytes(&entry.row), kind)),
                Told::Unknown => unknown.push((RowKey::from_bytes(&entry.row), entry.lane)),
                Told::Gone | Told::Nothing => {}
            }
        });
        for (row, kind) in met {
            walk.tell(&row.as_bytes()[1..], kind);
        }
        if !unknown.is_empty() {
            // The step is done again, and a page must not have its keys twice for that.
            if matches!(walk.wish, Wish::Page(..)) {
                walk.found = Found { read_dirty: walk.found.read_dirty, ..Found::default() };
            }
            return Next::Load(unknown);
        }
        let leg = next.map(Leg::Cache);
        walk.go_on(self, leg.or_else(|| (!self.cache.is_complete()).then_some(Leg::Letters(0))))
    }

    /// The first half of a loader's step: reads from the database what the walk needs.
    pub(in crate::engine) fn read_for_walk(&self, source: &mut Option<Box<dyn Source>>, walk: &mut Walk) {
        walk.clear_landed = self.owed_clear_landed();
        walk.take_overs = self.progress.take_overs();
        let rows = walk.step_rows();
        let lanes = self.lanes.key_value();
        let read = match walk.leg {
            Leg::Cache(_) => Ok(Read::Nothing),
            Leg::Letters(after) => {
                self.open(source).and_then(|open| {
                    // In this order: the letters are as new as these at least. A database that lost commits, and does not
                    // have them again yet, lacks their letters too.
                    let watermarks = match &walk.table {
                        Some(table) => open.rows(table, None, 0, self.lanes.of_table(table))?.watermarks,
                        None => open.keys(u64::MAX, 0, lanes)?.watermarks,
                    };
                    Ok(Read::Letters(open.letters(after, STEP_LETTERS)?, watermarks))
                })
            }
            Leg::Stored(_) if walk.table.is_some() => {
                self.open(source).and_then(|open| self.read_rows(open, walk))
            }
            Leg::Stored(after) => {
                self.open(source).and_then(|open| open.keys(after, rows, lanes)).map(Read::Keys)
            }
            Leg::Somewhere(random) => self.open(source).and_then(|open| {
                let last = open.keys(u64::MAX, 1, &[])?.last;
                open.keys(random % last.max(1), rows, lanes).map(Read::Keys)
            }),
        };
        walk.read = Some(read);
    }

    /// The second half: tells what was read, and does what has to follow. The lane to wait for, if the step has to be done again.
    pub(in crate::engine) fn step_walk(
        &self,
        mut walk: Box<Walk>,
        source: &mut Option<Box<dyn Source>>,
        stopped: bool,
    ) -> Option<(Box<Walk>, LaneId)> {
        let next = match walk.refusal.is_some() {
            true => Next::End,
            false => self.tell_read(&mut walk, source),
        };
        match next {
            Next::Step => self.queue_again(Job::Walk(walk)),
            Next::Wait(lane) => {
                let now = self.env.clock.monotonic();
                let deadline = *walk.deadline.get_or_insert(now + self.settings.load_timeout);
                if !stopped && now < deadline {
                    return Some((walk, lane));
                }
                walk.refuse(Refusal::TryAgain(
                    "the keys could not be read in time: their lanes are landing or the database is busy; try again".into(),
                ));
            }
            Next::Load(_) if walk.loads >= LOADS_MAX => walk.refuse(Refusal::TryAgain(
                "the keys leave the cache faster than they are loaded; raise maxmemory, and try again".into(),
            )),
            Next::Load(rows) => {
                walk.loads += 1;
                self.load_for_walk(walk, rows);
            }
            Next::End => {
                let outcome = walk.outcome();
                // From here on it is as safe as promised, so whoever is told may believe it.
                let safe = match &outcome {
                    Ok(found) if found.read_dirty => self.commit(self.log.accepted()),
                    _ => Ok(()),
                };
                if let Some(done) = walk.done.take() {
                    done(safe.map_err(Refusal::from).and(outcome));
                }
            }
        }
        None
    }

    fn tell_read(&self, walk: &mut Walk, source: &mut Option<Box<dyn Source>>) -> Next {
        let read = match walk.read.take() {
            None | Some(Ok(Read::Nothing)) => return self.step_in_cache(walk),
            Some(Ok(read)) => read,
            Some(Err(SinkError::Busy(_))) => return self.wait_for_any(walk),
            Some(Err(error)) => {
                // A connection that failed once is not trusted again.
                *source = None;
                let known = match walk.table {
                    Some(_) => "which rows there are is never known without it",
                    None => "keys are known without it only while the cache is complete",
                };
                walk.refusal = Some(Refusal::DatabaseDown(format!(
                    "the answer needs the database, and {error}; {known}"
                )));
                return Next::End;
            }
        };
        let next = match read {
            Read::Nothing => Next::Step,
            Read::Letters(letters, watermarks) => match (self.refused(walk, &watermarks), walk.table.clone())
            {
                (Some(next), _) => next,
                (None, Some(table)) => self.tell_row_letters(walk, &table, &letters),
                (None, None) => self.tell_letters(walk, letters),
            },
            Read::Keys(keys) => self.tell_keys(walk, keys),
            Read::Rows(rows) => self.tell_stored_rows(walk, rows),
        };
        // Asked behind what was read: a page that was taken may be of before the loss or of after it.
        let tag = self.walk_tag();
        if tag != walk.tag && !matches!(next, Next::Wait(_)) {
            walk.begin_anew(tag);
            return Next::Step;
        }
        next
    }

    fn wait_for_any(&self, walk: &Walk) -> Next {
        self.walked_lanes(walk.table.as_deref()).first().map_or(Next::End, |&lane| Next::Wait(lane))
    }

    fn tell_letters(&self, walk: &mut Walk, letters: Vec<Letter>) -> Next {
        let now_ms = self.env.clock.unix_ms();
        let (mut unknown, mut met) = (Vec::new(), Vec::new());
        for row in letters.iter().filter_map(|letter| letter.key.row()).filter(RowKey::is_key_value) {
            let hash = self.cache.hash(row.as_bytes());
            if walk.decided.contains(&hash) {
                continue;
            }
            match self.told_of(walk, hash, row.as_bytes(), now_ms, || true) {
                Some(Told::There(kind)) => met.push((hash, row, kind)),
                Some(Told::Gone) => {}
                _ => unknown.push((row.clone(), self.lanes.of_row(None, row.as_bytes()))),
            }
        }
        if !unknown.is_empty() {
            return Next::Load(unknown);
        }
        for (hash, row, kind) in met {
            if walk.is_whole() {
                walk.decided.insert(hash);
            }
            walk.tell(&row.as_bytes()[1..], kind);
        }
        let more = letters.last().filter(|_| letters.len() == STEP_LETTERS);
        walk.go_on(self, Some(more.map_or(Leg::Stored(0), |last| Leg::Letters(last.id))))
    }

    fn tell_keys(&self, walk: &mut Walk, stored: StoredKeys) -> Next {
        let lanes = self.lanes.key_value();
        if let Some(next) = self.refused(walk, &stored.watermarks) {
            return next;
        }
        let owed_clear = !self.owed_clear_landed();
        if !owed_clear && !walk.clear_landed {
            return self.wait_for_any(walk);
        }
        let now_ms = self.env.clock.unix_ms();
        let (mut unknown, mut met) = (Vec::new(), Vec::new());
        for key in &stored.keys {
            let row = RowKey::of_key(&key.key);
            let hash = self.cache.hash(row.as_bytes());
            if walk.decided.contains(&hash) {
                continue;
            }
            let lane = self.lanes.of_row(None, row.as_bytes());
            let at = lanes.iter().position(|have| *have == lane).and_then(|at| stored.watermarks.get(at));
            let is_new = || at.is_some_and(|at| at.position >= self.loads_from(lane));
            match self.told_of(walk, hash, row.as_bytes(), now_ms, is_new) {
                // Let go since: what was read may be older than that.
                None => return Next::Wait(lane),
                Some(Told::There(kind)) => met.push((&key.key, kind)),
                Some(Told::Gone) => {}
                Some(Told::Unknown) => unknown.push((row, lane)),
                Some(Told::Nothing)
                    if owed_clear || at.is_some_and(|at| at.position < self.cleared(lane)) =>
                {
                    walk.found.read_dirty = true;
                }
                Some(Told::Nothing) if key.is_parked => unknown.push((row, lane)),
                Some(Told::Nothing) => met.extend(there(key, now_ms).map(|kind| (&key.key, kind))),
            }
        }
        if !unknown.is_empty() {
            return Next::Load(unknown);
        }
        for (key, kind) in met {
            walk.tell(key, kind);
        }
        walk.go_on(self, stored.keys.last().map(|last| Leg::Stored(last.place)))
    }

    /// What has to follow when a page is not to be believed, by the watermarks of its lanes: of a database that belongs to
    /// another log, older than what was made clean, or without what had landed before this start.
    pub(super) fn refused(&self, walk: &mut Walk, watermarks: &[Watermark]) -> Option<Next> {
        let lineage = self.log.lineage();
        if watermarks.iter().any(|watermark| watermark.lineage != lineage) {
            let words = "the database belongs to another log now; see `landfall status`";
            walk.refusal = Some(Refusal::DatabaseDown(words.into()));
            return Some(Next::End);
        }
        let lanes = self.walked_lanes(walk.table.as_deref());
        let old = lanes.iter().zip(watermarks).find(|&(&lane, at)| {
            at.position < self.loads_from(lane) || self.may_be_from_before(lane, (lane, at), walk.take_overs)
        });
        old.map(|(&lane, _)| Next::Wait(lane))
    }

    /// What the cache makes of a row; none when it knows nothing and `is_new`, asked under the shard's lock, says that what was
    /// read is too old to tell.
    fn told_of(
        &self,
        walk: &mut Walk,
        hash: u64,
        row: &[u8],
        now_ms: u64,
        is_new: impl FnOnce() -> bool,
    ) -> Option<Told> {
        let shard = self.cache.lock(self.cache.shard_of(hash));
        match shard.find(hash, row).and_then(|at| shard.entry(at)) {
            Some(entry) => {
                walk.found.read_dirty |= entry.is_dirty();
                Some(told(entry, now_ms))
            }
            None => is_new().then_some(Told::Nothing),
        }
    }
}

fn told(entry: &Entry, now_ms: u64) -> Told {
    let kind = match &entry.view {
        View::Unknown(_) => return Told::Unknown,
        View::String(_) => KeyKind::String,
        View::Hash(_) => KeyKind::Hash,
        View::Stream(_) => KeyKind::Stream,
        View::Absent | View::Row(_) => return Told::Gone,
    };
    if entry.expires_ms > 0 && entry.expires_ms <= now_ms { Told::Gone } else { Told::There(kind) }
}

fn there(key: &StoredKey, now_ms: u64) -> Option<KeyKind> {
    key.kind.filter(|_| key.expires_ms == 0 || key.expires_ms > now_ms)
}
