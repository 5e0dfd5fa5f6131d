//! The dirty rows of a shard: a queue for each lane, oldest first, and what the rows of each hold. It knows places only, and
//! forgets none before it is told to.

use std::collections::VecDeque;

use crate::model::LaneId;

/// By lane number.
#[derive(Default)]
pub(super) struct Dirty(Vec<Queue>);

#[derive(Default)]
struct Queue {
    rows: VecDeque<u32>,
    bytes: u64,
}

impl Dirty {
    fn of(&self, lane: LaneId) -> Option<&Queue> {
        self.0.get(lane.0 as usize)
    }

    /// How many rows of a lane are dirty.
    pub(super) fn len(&self, lane: LaneId) -> usize {
        self.of(lane).map_or(0, |queue| queue.rows.len())
    }

    /// What the dirty rows of a lane hold.
    pub(super) fn bytes(&self, lane: LaneId) -> u64 {
        self.of(lane).map_or(0, |queue| queue.bytes)
    }

    /// A row of so many bytes became dirty.
    pub(super) fn push(&mut self, lane: LaneId, at: u32, bytes: u64) {
        let number = lane.0 as usize;
        if self.0.len() <= number {
            self.0.resize_with(number + 1, Queue::default);
        }
        self.0[number].rows.push_back(at);
        self.0[number].bytes += bytes;
    }

    /// A dirty row holds more or less than before.
    pub(super) fn resize(&mut self, lane: LaneId, before: u64, bytes: u64) {
        if let Some(queue) = self.0.get_mut(lane.0 as usize) {
            queue.bytes = queue.bytes + bytes - before;
        }
    }

    /// The oldest dirty row of a lane, taken out to be looked at: it goes back, or it is clean.
    pub(super) fn take(&mut self, lane: LaneId) -> Option<u32> {
        self.0.get_mut(lane.0 as usize)?.rows.pop_front()
    }

    /// A row that was taken out is still dirty.
    pub(super) fn put_back(&mut self, lane: LaneId, at: u32) {
        if let Some(queue) = self.0.get_mut(lane.0 as usize) {
            queue.rows.push_back(at);
        }
    }

    /// Of many rows that go at once, those that do not `stay` leave their queues; what they held was taken off before.
    pub(super) fn retain(&mut self, stay: impl Fn(u32) -> bool) {
        self.0.iter_mut().for_each(|queue| queue.rows.retain(|at| stay(*at)));
    }

    /// A row goes to another lane, where it holds as much as is said.
    pub(super) fn change_lane(&mut self, at: u32, from: (LaneId, u64), to: (LaneId, u64)) {
        if let Some(queue) = self.0.get_mut(from.0.0 as usize) {
            queue.rows.retain(|queued| *queued != at);
        }
        self.resize(from.0, from.1, 0);
        self.push(to.0, at, to.1);
    }

    /// All queues with what they hold, by lane.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (LaneId, Vec<u32>, u64)> {
        let queues = self.0.iter().enumerate();
        queues.map(|(lane, queue)| (LaneId(lane as u32), queue.rows.iter().copied().collect(), queue.bytes))
    }
}
