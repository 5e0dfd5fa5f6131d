//! What a script has happen on the side of the database, and what is asked of the lander and the cache.
//! It must never do anything to a process that has ended.

use landfall::model::RowKey;

use super::Script;
use crate::core::database::{OwnTables, Trouble};

impl Script {
    /// Which of its own tables the product finds in the database.
    pub(in crate::core) fn own_tables(&self, own: OwnTables) {
        self.0.database.set_own_tables(own);
    }

    /// These tables are not there yet; all others are.
    pub(in crate::core) fn hide_tables(&self, hidden: &[&str]) {
        if !self.0.context.is_crashed() {
            self.0.database.hide_tables(hidden);
        }
    }

    /// The database is down, or up again.
    pub(in crate::core) fn set_database_down(&self, is_down: bool) {
        if !self.0.context.is_crashed() {
            self.0.database.set_down(is_down);
        }
    }

    /// All connections break.
    pub(in crate::core) fn drop_connections(&self) {
        if !self.is_over() {
            self.0.database.drop_connections();
        }
    }

    /// So many of the last commits never happened.
    pub(in crate::core) fn go_back(&self, commits: usize) {
        if !self.0.context.is_crashed() {
            let lost = self.0.database.go_back(commits);
            self.reached("the database lost commits", lost == commits);
        }
    }

    /// Has something happen to the next landing.
    pub(in crate::core) fn trouble_next(&self, trouble: Trouble) {
        if !self.is_over() {
            self.0.database.trouble_next(trouble);
        }
    }

    /// A paused owner goes on.
    pub(in crate::core) fn wake_owner(&self) {
        if !self.is_over() {
            self.0.database.wake_zombie();
        }
    }

    /// The database refuses this row and some others, or none.
    pub(in crate::core) fn refuse(&self, row: Option<&RowKey>) {
        if self.is_over() {
            return;
        }
        match row {
            Some(row) => self.0.database.refuse(row),
            None => self.0.database.set_refusing(false),
        }
    }

    /// A process on a copy of the data directory takes all lanes over.
    pub(in crate::core) fn take_away(&self) {
        if !self.0.context.is_crashed() {
            self.0.database.take_away();
        }
    }

    /// How many rows are parked in the database.
    pub(in crate::core) fn letters(&self) -> usize {
        self.0.database.snapshot().letters.len()
    }

    /// Landing of a group, or of all, stops, or goes on.
    pub(in crate::core) fn pause(&self, group: Option<&str>, is_paused: bool) {
        self.0.with(|process| {
            let engine = process.steps.engine();
            let done = if is_paused { engine.pause(group) } else { engine.resume(group) };
            if done.is_err() {
                self.0.context.violation(format!("there is no group {group:?}"));
            }
        });
    }

    /// All clean rows leave the cache.
    pub(in crate::core) fn evict(&self) {
        if !self.is_over() {
            self.0.with(|process| process.steps.engine().evict_clean());
        }
    }

    /// So many lanes for each table, from the next start on.
    pub(in crate::core) fn set_lanes(&self, lanes: u32) {
        if !self.0.context.is_crashed() {
            self.0.lanes.set(Some(lanes));
        }
    }
}
