//! The clients of a run: they send units, load what is missing, and are told when the log says so.
//! Every answer is compared with what the history says; an answer counts only once it was sent.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use landfall::Refusal;
use landfall::engine::Stop;
use landfall::model::mapping::Target;
use landfall::model::row::RowName;
use landfall::model::{LoggedChange, RowKey};
use parking_lot::Mutex;

use super::World;
use crate::core::commands::{Answer, Command};
use crate::core::history::{Rows, difference};

/// A unit that was run so often without an end is given up.
const ATTEMPTS_MAX: u32 = 12;

/// All clients.
pub(super) struct Clients {
    states: Vec<State>,
    /// Answers that wait for the log.
    pending: Vec<Pending>,
    unique: u64,
    pub(super) disk_is_full: bool,
}

enum State {
    Idle,
    /// It waits for a load, or for another attempt.
    Loading(Vec<Command>, Arc<Mutex<Option<Result<(), Refusal>>>>, u32),
}

struct Pending {
    end: u64,
    /// The place in the history that has to stay once this is answered.
    place: usize,
}

impl Clients {
    pub(super) fn new(count: usize) -> Clients {
        let states = (0..count).map(|_| State::Idle).collect();
        Clients { states, pending: Vec::new(), unique: 0, disk_is_full: false }
    }

    /// The connections are gone, and with them what was not answered.
    pub(super) fn forget(&mut self) {
        self.pending.clear();
        self.states.iter_mut().for_each(|state| *state = State::Idle);
    }

    /// Whether none waits for a load.
    pub(super) fn are_idle(&self) -> bool {
        self.states.iter().all(|state| matches!(state, State::Idle))
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.pending.is_empty() && self.states.iter().all(|state| matches!(state, State::Idle))
    }
}

impl World {
    /// One client does what it can do.
    pub(super) fn client_move(&self) {
        if self.process.borrow().is_none() || self.context.is_crashed() {
            return;
        }
        let (at, state) = {
            let Ok(mut clients) = self.clients.try_borrow_mut() else { return };
            let at = self.context.below(clients.states.len() as u64) as usize;
            (at, std::mem::replace(&mut clients.states[at], State::Idle))
        };
        match state {
            State::Idle if self.context.clears && self.context.one_in(30) => self.clear(at),
            State::Idle => {
                let unit = self.any_unit();
                if !unit.is_empty() {
                    self.run(at, unit, 0);
                }
            }
            State::Loading(commands, done, attempts) => self.go_on(at, commands, done, attempts),
        }
    }

    /// Clients with a load go on; none sends anything new.
    pub(super) fn finish_clients(&self) {
        let count = self.clients.borrow().states.len();
        for at in 0..count {
            let state = std::mem::replace(&mut self.clients.borrow_mut().states[at], State::Idle);
            if let State::Loading(commands, done, attempts) = state {
                self.go_on(at, commands, done, attempts);
            }
        }
    }

    fn go_on(
        &self,
        at: usize,
        commands: Vec<Command>,
        done: Arc<Mutex<Option<Result<(), Refusal>>>>,
        attempts: u32,
    ) {
        let outcome = done.lock().clone();
        match outcome {
            None => self.clients.borrow_mut().states[at] = State::Loading(commands, done, attempts),
            Some(Ok(())) if attempts < ATTEMPTS_MAX => self.run(at, commands, attempts + 1),
            Some(Ok(())) => self.context.reached("a row left the cache again and again"),
            Some(Err(refusal)) if self.explains(&refusal) => self.context.reached("a load was refused"),
            Some(Err(refusal)) => self.context.violation(format!("a load was refused: {refusal}")),
        }
    }

    /// Whether nobody can tell what this command has to answer, because a letter was given up a moment ago.
    fn is_loose(&self, command: &Command) -> bool {
        let loose = self.loose.borrow();
        let Some(row) = command.row() else { return false };
        loose.iter().any(|(other, _)| *other == row || is_relative(other) && is_relative(&row))
    }

    fn any_unit(&self) -> Vec<Command> {
        // A row that is refused twice in one batch is one of theirs.
        let relatives = self.context.one_in(if self.database.is_refusing() { 2 } else { 4 });
        let most = if relatives { 5 } else { 3 };
        let several = if self.context.one_in(4) { 2 + self.context.below(most) } else { 1 };
        let mut rows = self.history.lock().view.clone();
        let now_ms = self.context.unix();
        let mut commands = Vec::new();
        for _ in 0..several {
            let unique = {
                let mut clients = self.clients.borrow_mut();
                clients.unique += 1;
                clients.unique
            };
            let command = match relatives {
                true => Command::of_relatives(&self.context, &rows, unique),
                false if self.context.streams && self.context.one_in(3) => {
                    self.context.reached("a stream");
                    Command::of_stream(&self.context, &rows, unique)
                }
                false => Command::any(&self.context, &rows, unique),
            };
            if self.is_loose(&command) {
                continue;
            }
            command.expect(&mut rows, now_ms);
            commands.push(command);
        }
        commands
    }

    /// Runs a unit as a server does: lock, run, log, and answer when the log is safe.
    pub(super) fn run(&self, at: usize, commands: Vec<Command>, attempts: u32) {
        let Some(engine) = self.with(|process| process.steps.engine().clone()) else { return };
        if commands.iter().any(|command| self.is_loose(command)) {
            return;
        }
        let keys: Vec<String> = commands.iter().map(Command::key).collect();
        let mut targets: Vec<Target> = Vec::new();
        for key in &keys {
            match engine.resolve(key.as_bytes()) {
                Ok(target) => targets.push(target),
                Err(refusal) => return self.context.violation(format!("{key} was refused: {refusal}")),
            }
        }
        let is_unknown =
            |(command, target): (&Command, &Target)| command.is_of_table() && matches!(target, Target::Key);
        if commands.iter().zip(&targets).any(is_unknown) {
            // A table that is new since the last start with the database: its client waits.
            return self.context.reached("a table was not known yet");
        }
        let named: Vec<(&[u8], &Target)> = keys.iter().map(|key| key.as_bytes()).zip(&targets).collect();
        let mut unit = engine.unit(&named, commands.len() > 1);
        let mut rows = self.history.lock().view.clone();
        // It may have waited for a load: what was valid then need not be now.
        if attempts > 0 && !commands.iter().all(|command| command.is_valid(&rows)) {
            return;
        }
        self.context.mix(self.history.lock().order.len() as u64);
        let now_ms = unit.now_ms();
        let mut answers = Vec::new();
        for (number, command) in commands.iter().enumerate() {
            match command.run(&mut unit, number, &targets[number]) {
                Ok(answer) => answers.push((answer, command.expect(&mut rows, now_ms))),
                Err(Stop::Load) => {
                    let wanted = unit.wanted();
                    drop(unit);
                    let done: Arc<Mutex<Option<Result<(), Refusal>>>> = Arc::default();
                    let told = done.clone();
                    self.clients.borrow_mut().states[at] = State::Loading(commands, done, attempts);
                    engine.load(wanted, Box::new(move |outcome| *told.lock() = Some(outcome)));
                    return;
                }
                Err(Stop::Refused(refusal)) => {
                    return self.context.violation(format!("{command:?} was refused: {refusal}"));
                }
            }
        }
        self.operations.set(self.operations.get() + 1);
        self.check_answers(&commands, &answers);
        let before = self.history.lock().order.len();
        let read_dirty = unit.read_dirty();
        self.in_unit.store(true, Ordering::Relaxed);
        let committed = unit.commit();
        self.in_unit.store(false, Ordering::Relaxed);
        match committed {
            Ok(written) => {
                self.context.tell(|| format!("client {at}: {commands:?} at {:?}", written.places));
                self.check_view(&commands, &rows);
                if written.places.len() > 1 {
                    self.context.reached("a record of several lanes");
                }
                let end = if read_dirty { engine.accepted() } else { written.end };
                let pending = Pending { end, place: self.place(&commands, before) };
                match engine.is_acknowledged(end) {
                    true => self.answer(&pending),
                    false => self.clients.borrow_mut().pending.push(pending),
                }
            }
            Err(refusal) => self.check_refusal(&commands, &refusal, before),
        }
    }

    /// FLUSHALL.
    pub(super) fn clear(&self, at: usize) {
        let Some(engine) = self.with(|process| process.steps.engine().clone()) else { return };
        // What a letter that was given up has left is not known, and so not whether it is cleared.
        if !self.loose.borrow().is_empty() {
            return;
        }
        let mut rows = self.history.lock().view.clone();
        rows.apply(&LoggedChange::Clear);
        let before = self.history.lock().order.len();
        self.in_unit.store(true, Ordering::Relaxed);
        let cleared = engine.clear();
        self.in_unit.store(false, Ordering::Relaxed);
        match cleared {
            Ok(written) => {
                self.context.tell(|| format!("client {at}: clear at {:?}", written.places));
                self.context.reached("all keys were cleared");
                self.check_view(&[], &rows);
                let pending = Pending { end: written.end, place: self.history.lock().order.len() };
                match engine.is_acknowledged(written.end) {
                    true => self.answer(&pending),
                    false => self.clients.borrow_mut().pending.push(pending),
                }
            }
            Err(refusal) => self.check_refusal(&[], &refusal, before),
        }
    }

    /// The place in the history that has to stay once these commands are answered: behind what they wrote, or behind the
    /// last write of what they read.
    fn place(&self, commands: &[Command], before: usize) -> usize {
        let history = self.history.lock();
        if history.order.len() > before {
            return history.order.len();
        }
        let named: Vec<RowKey> = commands.iter().filter_map(Command::row).collect();
        history.last_touch(&named)
    }

    fn check_refusal(&self, commands: &[Command], refusal: &Refusal, before: usize) {
        if self.history.lock().order.len() != before {
            self.context.violation(format!("a refused unit was logged: {refusal}"));
        }
        if !self.explains(refusal) {
            self.context.violation(format!("{commands:?} was refused: {refusal}"));
        }
        self.context.reached("a write was refused at a bound or without a log");
    }

    fn check_answers(&self, commands: &[Command], answers: &[(Answer, Answer)]) {
        for (command, (got, expected)) in commands.iter().zip(answers) {
            if got != expected && *expected != Answer::Done {
                self.context
                    .violation(format!("{command:?} answered {got:?}, and {expected:?} is the truth"));
            }
        }
    }

    /// What was logged does to the rows what the commands mean.
    fn check_view(&self, commands: &[Command], expected: &Rows) {
        let history = self.history.lock();
        if history.view != *expected {
            let what = difference(expected, &history.view);
            drop(history);
            self.context.violation(format!("{commands:?} was logged as something else: {what}"));
        }
    }

    /// The client is told.
    fn answer(&self, pending: &Pending) {
        if self.context.is_crashed() {
            return;
        }
        let now = self.context.now_ms();
        self.history.lock().acks.push((pending.place, now));
    }

    /// One group commit for all who wait, and their answers.
    pub(super) fn commit_move(&self) {
        let waits = self.clients.try_borrow().is_ok_and(|clients| !clients.pending.is_empty());
        if !waits || self.context.is_crashed() {
            return;
        }
        let committed = self.with(|process| process.steps.engine().commit());
        if let Some(Err(error)) = committed {
            self.context.tell(|| format!("no commit: {error}"));
        }
        self.poll_acks();
    }

    /// Answers whoever can be answered.
    pub(super) fn poll_acks(&self) {
        let Some(engine) = self.with(|process| process.steps.engine().clone()) else { return };
        let ready: Vec<Pending> = {
            let Ok(mut clients) = self.clients.try_borrow_mut() else { return };
            let all = std::mem::take(&mut clients.pending);
            let (ready, rest) = all.into_iter().partition(|pending| engine.is_acknowledged(pending.end));
            clients.pending = rest;
            ready
        };
        ready.iter().for_each(|pending| self.answer(pending));
    }

    /// Whether nobody waits for anything.
    pub(super) fn clients_are_quiet(&self) -> bool {
        self.clients.borrow().is_quiet()
    }
}

/// Whether other rows depend on this one.
fn is_relative(row: &RowKey) -> bool {
    matches!(row.decode(), Ok(RowName::Table { table, .. }) if table != "page")
}
