//! The moves of the chaos: everybody works in any order, and what can break breaks now and then.
//! Every fault is one that the product has to survive without a person.

use landfall::lander::Turn;

use super::{Disaster, World};

/// So many turns of the lander a quiet moment has.
const QUIET_TURNS: u32 = 30;

impl World {
    /// So many moves with faults.
    pub(super) fn chaos(&self, moves: u64) {
        self.context.set_chaos(true);
        if self.context.spills {
            self.pause();
        }
        for _ in 0..moves {
            self.any_move();
            self.any_fault();
            self.any_disaster();
            self.end_if_crashed();
            if self.context.has_failed() {
                break;
            }
        }
    }

    fn any_move(&self) {
        let Some(engine) = self.with(|process| process.steps.engine().clone()) else { return };
        match self.context.below(100) {
            0..=44 => self.client_move(),
            45..=57 => self.commit_move(),
            58..=70 => {
                self.lander_move();
                // What has landed wakes it.
                if self.context.one_in(3) {
                    self.segments_move();
                }
            }
            71..=80 => drop(self.load_move()),
            81..=84 => self.keeper_move(),
            85..=88 => drop(self.segments_move()),
            89..=94 => self.pass(1 + self.context.below(40)),
            95 if self.context.one_in(2) => self.quiet_moment(),
            95 => self.pass(1 + self.context.below(4_000)),
            96 => drop(engine.evict_clean()),
            97 if self.context.one_in(3) => drop(self.ask_for_letters()),
            97 if self.context.one_in(3) => self.drop_letter(),
            97 => engine.flush(),
            98 if self.context.one_in(2) => self.pause(),
            // A group that is to be spilled waits for long.
            99 if self.context.spills && !self.context.one_in(8) => self.pause(),
            _ => {
                // All groups exist.
                let _ = engine.resume(None);
            }
        }
    }

    /// Nobody writes for a moment: what can land lands, and what has landed is let go.
    fn quiet_moment(&self) {
        self.commit_move();
        self.with(|process| process.steps.engine().flush());
        for _ in 0..QUIET_TURNS {
            if self.lander_move() != Some(Turn::Again) || self.context.is_crashed() {
                break;
            }
        }
        self.keeper_move();
        self.segments_move();
    }

    fn pause(&self) {
        self.with(|process| {
            let groups = process.steps.engine().status().groups;
            let group = &groups[self.context.below(groups.len() as u64) as usize].status.name;
            self.context.reached("a group was paused");
            let _ = process.steps.engine().pause(Some(group));
        });
    }

    /// A log that has no room for the next segment lets go of the past that is kept for a database that goes back.
    pub(super) fn past_may_go(&self) {
        self.was_full.set(true);
        if self.database.went_back() && self.disaster.get().is_none() {
            // Before anybody noticed that it is needed.
            self.begin_disaster(Disaster::OldDatabase);
        }
    }

    fn any_fault(&self) {
        let (context, database) = (&self.context, &self.database);
        if context.fault("kill") {
            self.crash(super::Crash::Kill);
        }
        if context.fault("power cut") {
            let how = std::iter::repeat_with(|| self.any_crash()).find(|how| *how != super::Crash::Kill);
            how.into_iter().for_each(|how| self.crash(how));
        }
        if context.fault("crash at a step") {
            context.crash_within(30);
        }
        if context.has("disk: full") {
            let full = self.clients.borrow().disk_is_full;
            if full && context.one_in(20) {
                self.disk.limit_room(None);
                self.clients.borrow_mut().disk_is_full = false;
            } else if !full && context.fault("disk: full") {
                self.disk.limit_room(Some(self.disk.bytes() + context.below(3_000)));
                self.clients.borrow_mut().disk_is_full = true;
                self.past_may_go();
            }
        }
        if database.is_down() && context.one_in(15) {
            database.set_down(false);
        } else if !database.is_down() && context.fault("db: down") {
            database.set_down(true);
        }
        if database.is_down() && context.fault("db: tables change while down") {
            database.change_tables();
        }
        if context.fault("db: drops connections") {
            database.drop_connections();
        }
        if context.fault("db: refuses rows") {
            database.set_refusing(true);
        } else if context.one_in(60) {
            database.set_refusing(false);
        } else if database.is_refusing() && context.one_in(4) {
            // The waits between the attempts pass, or nothing would ever be looked at row by row.
            self.pass(150);
            if self.context.one_in(4) {
                self.drop_letter();
            }
        }
        if context.fault("clock jump") {
            let jump = context.below(4_000_000) as i64 - 2_000_000;
            context.jump(jump);
        }
        if context.one_in(30) {
            database.wake_zombie();
        }
    }
}
