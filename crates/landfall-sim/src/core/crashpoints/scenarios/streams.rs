//! Streams over keys: entries that come, go and land, on a stream that is known whole, by its head alone, or not at all.
//! Every entry is there once, in the order of its id, and no id comes twice, whatever happens.

use super::super::Scenario;
use super::super::setup::set;
use crate::core::commands::Command;
use crate::core::streams::StreamCommand;
use crate::core::world::Crash;
use crate::core::world::scripted::Script;

const HEAD_ALONE: &str = "only the head of a stream was loaded";

pub(super) fn all() -> Vec<Scenario> {
    [entries(), by_the_head()].into_iter().flatten().collect()
}

fn entries() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "stream",
            "entries come and go by trims, an XDEL and a DEL, landed and pending",
            |script| {
                script.unit(&[enter("a", None)]);
                script.unit(&[enter("b", None), set(0, "beside")]);
                script.land();
                script.unit(&[enter("c", Some(2))]);
                script.unit(&[enter("d", None)]);
                script.unit(&[on_stream(StreamCommand::Trim(1))]);
                script.land();
                script.unit(&[on_stream(StreamCommand::End)]);
                script.unit(&[enter("e", None)]);
                script.land();
                script.unit(&[on_stream(StreamCommand::Entries)]);
            },
        ),
        Scenario {
            set_up: |setup| setup.batch_records_max = 1,
            before: landed,
            reaches: &[HEAD_ALONE],
            ..Scenario::new(
                "stream-head",
                "entries are added to a stream by its head alone, land, and are read in between",
                |script| {
                    script.evict();
                    script.unit(&[enter("c", None)]);
                    script.unit(&[enter("d", None)]);
                    script.turns(2);
                    script.unit(&[on_stream(StreamCommand::Entries)]);
                    script.unit(&[enter("e", Some(3))]);
                    script.land();
                    script.evict();
                    script.unit(&[enter("f", None)]);
                    script.land();
                    script.unit(&[on_stream(StreamCommand::Entries)]);
                },
            )
        },
    ]
}

fn by_the_head() -> Vec<Scenario> {
    vec![
        Scenario {
            before: |script| {
                landed(script);
                script.unit(&[enter("owed", None)]);
                script.end(Crash::Kill);
            },
            reaches: &[HEAD_ALONE],
            ..Scenario::new(
                "stream-head-and-start",
                "a start owes a stream an entry, and more are added by its head alone",
                |script| {
                    script.start();
                    script.unit(&[enter("c", None)]);
                    script.land();
                    script.unit(&[enter("d", None)]);
                    script.unit(&[on_stream(StreamCommand::Entries)]);
                    script.land();
                },
            )
        },
        Scenario {
            before: landed,
            reaches: &[HEAD_ALONE, "all keys were cleared"],
            ..Scenario::new(
                "stream-head-and-clear",
                "a clear comes behind an entry that was added by the head alone",
                |script| {
                    script.evict();
                    script.unit(&[enter("c", None)]);
                    script.clear();
                    script.unit(&[enter("d", None)]);
                    script.land();
                    script.unit(&[on_stream(StreamCommand::Entries)]);
                },
            )
        },
    ]
}

fn landed(script: &Script) {
    script.start();
    script.unit(&[enter("a", None)]);
    script.unit(&[enter("b", None)]);
    script.land();
}

fn on_stream(command: StreamCommand) -> Command {
    Command::Stream(0, command)
}

fn enter(value: &str, most: Option<u64>) -> Command {
    on_stream(StreamCommand::Enter(value.into(), most))
}
