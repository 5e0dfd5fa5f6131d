//! The end of a run: the world heals, everything has to land in time, and log, view, database and a cold cache agree.
//! It looks at everything, so that what the chaos hid shows here.

use std::sync::atomic::Ordering;
use std::time::Duration;

use landfall::lander::{Phase, Turn};
use landfall::model::letter::Intent;
use landfall::model::{LaneId, Position, RowKey};

use super::World;
use crate::core::commands::{Command, STREAMS};
use crate::core::history::difference;
use crate::core::streams::StreamCommand;

/// After healing everything lands within so many rounds, each of which lets some time pass.
const ROUNDS_MAX: u64 = 3_000;
/// So many quiet rounds in a row are the end: a failover at rest is noticed within them, by a look at the database.
const QUIET_ROUNDS: u64 = 6;
/// After so many rounds without an end somebody looks at what is held.
const RESUME_EVERY: u64 = 200;
/// What a round lets pass: all rounds together are far longer than the longest backoff.
const ROUND_MS: u64 = 25;

/// Longer than an idle lander waits before it looks at the database again.
const IDLE_MS: u64 = 11_000;

/// How often all dead letters are tried again: a chain of rows that wait for each other has few links.
const LETTER_ROUNDS_MAX: u32 = 6;

impl World {
    /// Heals, lands, compares, closes.
    pub(super) fn finish(&self) {
        if self.context.has_failed() {
            return;
        }
        self.context.plan_faults(&[]);
        self.check_stopped();
        if self.context.is_crashed() || self.disaster.get().is_some() {
            self.crash(self.any_crash());
        }
        self.heal();
        self.database.wake_zombie();
        self.database.settle();
        let poisoned = self.with(|process| process.log.log_is_poisoned()).unwrap_or(true);
        if poisoned {
            self.crash(self.any_crash());
        }
        self.with(|process| drop(process.steps.engine().resume(None)));
        if self.context.has_failed() || !self.land_everything() {
            return;
        }
        // A database that lost commits while nothing was owed is noticed by the next look at it.
        // The first look finds broken connections, the next one the database.
        for _ in 0..3 {
            self.pass(IDLE_MS);
            if !self.land_everything() {
                return;
            }
        }
        self.compare("landed");
        let incidents = self.with(|process| process.steps.engine().incidents()).unwrap_or_default();
        let is_expected = self.had_disaster.get() || self.history.lock().expects_gaps;
        if let Some(incident) = incidents.first().filter(|_| !is_expected) {
            self.context.violation(format!("an incident was declared: {}", incident.what));
        }
        if !self.retry_letters() {
            return;
        }
        self.read_cold();
        self.land_everything();
        self.close();
    }

    /// Liveness: what was accepted lands.
    pub(super) fn land_everything(&self) -> bool {
        let mut quiet = 0;
        for round in 1..=ROUNDS_MAX {
            if round % RESUME_EVERY == 0 {
                // A person sees that a group is held, and lets it go on.
                self.with(|process| drop(process.steps.engine().resume(None)));
            }
            self.commit_move();
            for _ in 0..4 {
                self.load_move();
            }
            self.finish_clients();
            self.with(|process| process.steps.engine().flush());
            let mut turns = 0;
            while self.lander_move() == Some(Turn::Again) && turns < 50 {
                turns += 1;
            }
            self.keeper_move();
            self.segments_move();
            self.pass(ROUND_MS);
            let status = self.with(|process| process.steps.engine().status());
            let is_quiet = status
                .is_some_and(|now| now.owed.records == 0 && now.connection.attempts == 0 && now.database_met);
            quiet = if is_quiet && self.clients_are_quiet() { quiet + 1 } else { 0 };
            if quiet == QUIET_ROUNDS {
                return true;
            }
            if self.context.has_failed() {
                return false;
            }
        }
        let status = self.with(|process| process.steps.engine().status());
        let told = status.map(|status| {
            let groups = status.groups.iter().filter(|group| group.status.phase != Phase::Idle);
            let groups: Vec<String> = groups.map(|group| format!("{:?}", group.status)).collect();
            format!("{} records owed; {}; {:?}", status.owed.records, groups.join("; "), status.connection)
        });
        self.context.violation(format!("not everything has landed after healing: {told:?}"));
        false
    }

    /// Nothing is owed: the database holds exactly the view.
    pub(super) fn compare(&self, when: &str) {
        let (history, snapshot) = (self.history.lock(), self.database.snapshot());
        if history.view != snapshot.view() {
            let what = difference(&history.view, &snapshot.view());
            drop(history);
            self.context.violation(format!("{when}: the database differs from the log: {what}"));
        }
    }

    /// Nothing refuses the parked rows any more: asked to be tried again they land, unless they block each other.
    pub(super) fn retry_letters(&self) -> bool {
        for _ in 0..LETTER_ROUNDS_MAX {
            if !self.ask_for_letters() {
                break;
            }
            if !self.land_everything() {
                return false;
            }
        }
        if !self.database.snapshot().letters.is_empty() {
            self.context.reached("parked rows blocked each other");
        }
        self.compare("letters tried again");
        true
    }

    /// Asks that all dead letters are tried again; whether there are any.
    pub(super) fn ask_for_letters(&self) -> bool {
        let letters = self.database.snapshot().letters.after(0, usize::MAX);
        if letters.is_empty() {
            return false;
        }
        self.in_unit.store(true, Ordering::Relaxed);
        let asked = self.with(|process| process.steps.engine().ask_of_letters(&letters, &Intent::Retry));
        self.in_unit.store(false, Ordering::Relaxed);
        self.context.tell(|| {
            let keys: Vec<_> = letters.iter().map(|letter| &letter.key).collect();
            format!("letters are asked for, {keys:?}: {asked:?}")
        });
        if let Some(Err(refusal)) = asked
            && !self.explains(&refusal)
        {
            self.context.violation(format!("letters cannot be tried again: {refusal}"));
        }
        true
    }

    /// A person gives up a dead letter of a row.
    pub(super) fn drop_letter(&self) {
        let mut letters = self.database.snapshot().letters.after(0, usize::MAX);
        letters.retain(|letter| letter.key.row().is_some());
        if letters.is_empty() || self.database.went_back() || self.disaster.get().is_some() {
            return;
        }
        let letter = letters.swap_remove(self.context.below(letters.len() as u64) as usize);
        self.in_unit.store(true, Ordering::Relaxed);
        let asked = self.with(|process| {
            process.steps.engine().ask_of_letters(std::slice::from_ref(&letter), &Intent::Drop)
        });
        self.in_unit.store(false, Ordering::Relaxed);
        self.context.tell(|| format!("a letter is given up, {:?}: {asked:?}", letter.key));
        match asked {
            Some(Ok(written)) => {
                self.context.reached("a letter was given up");
                self.database.lacks_rows();
                self.gave_up.set(true);
                self.backup.borrow_mut().take();
                let places = written.places.into_iter().filter_map(|place| Some((letter.key.row()?, place)));
                self.ever_loose.borrow_mut().extend(places.clone());
                self.loose.borrow_mut().extend(places);
            }
            Some(Err(refusal)) if !self.explains(&refusal) => {
                self.context.violation(format!("a letter cannot be given up: {refusal}"));
            }
            _ => {}
        }
    }

    /// The rows of which it is known now what they are without their letters; the cache knows it behind a round.
    pub(super) fn landed_loose_rows(&self) -> Vec<(RowKey, (LaneId, Position))> {
        let loose = self.loose.borrow().clone();
        let has_landed = |place| self.with(|process| process.steps.engine().has_landed(&[place]));
        loose.into_iter().filter(|(_, place)| has_landed(*place) == Some(true)).collect()
    }

    /// Every row is read from the database, and is what the history says.
    pub(super) fn read_cold(&self) {
        self.with(|process| process.steps.engine().evict_clean());
        let tables = ["page", "parent", "child", "account"];
        let rows = (1..=4).flat_map(|row| tables.map(|table| Command::Read(table, row)));
        let keys = (0..3).flat_map(|key| [Command::Get(key), Command::Fields(key)]);
        let streams = if self.context.streams { STREAMS } else { 0 };
        let streams = (0..streams).map(|key| Command::Stream(key, StreamCommand::Entries));
        for command in rows.chain(keys).chain(streams) {
            self.run(0, vec![command], 0);
            for _ in 0..200 {
                if self.clients_are_quiet() {
                    break;
                }
                self.load_move();
                self.commit_move();
                self.finish_clients();
                self.lander_move();
                self.pass(5);
            }
        }
    }

    /// A close in order leaves nothing behind, and the next start finds nothing owed.
    pub(super) fn close(&self) {
        self.with(|process| process.steps.begin_close(World::drain_time()));
        for _ in 0..1_000 {
            match self.lander_move() {
                Some(Turn::Ended) | None => break,
                Some(Turn::Again) => {}
                Some(Turn::Wait { .. }) => self.context.pass(10),
            }
        }
        let closed = self.with(|process| {
            process.steps.end_loads();
            process.steps.engine().close(Duration::ZERO)
        });
        match closed {
            Some(Ok(remaining)) if remaining.changes == 0 => {}
            other => self.context.violation(format!("the close left something: {other:?}")),
        }
        self.compare("closed");
        self.crash(super::Crash::Power(landfall::simulation::strict_disk::Keep::Nothing));
        let owed = self.with(|process| process.steps.engine().status().owed.records);
        if owed != Some(0) {
            self.context.violation(format!("after a close in order {owed:?} records are owed"));
        }
    }
}
