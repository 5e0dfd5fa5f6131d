//! Fuzz targets: what must hold for any input at all, one file each. A target panics when it does not hold.
//! It is a crate of its own so that the engine and the doors into private parts stay out of what users build.
//!
//! Plain `cargo test` replays the inputs in `corpus/`. `cargo xtask fuzz` searches for new ones, guided by coverage.
//! An input that made a target panic is put into `corpus/` under the name of what was wrong, beside its fix.

pub mod disk;
mod targets;

/// One thing that must hold for any input.
pub struct Target {
    /// Its name, and that of its folder in `corpus/`.
    pub name: &'static str,
    /// What must hold, in one sentence.
    pub holds: &'static str,
    /// Panics when it does not.
    pub run: fn(&[u8]),
}

impl Target {
    /// The target of this name.
    pub fn named(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name == name)
    }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "requests",
        holds: "a request means the same however the network cuts it",
        run: targets::requests::run,
    },
    Target {
        name: "oracle",
        holds: "a request means to us what it means to another implementation",
        run: targets::oracle::run,
    },
    Target {
        name: "answers",
        holds: "every request gets one reply, in the protocol of its connection, whatever it asks",
        run: targets::answers::run,
    },
    Target {
        name: "replies",
        holds: "a reply means the same however it is cut, and reads back as it was written",
        run: targets::replies::run,
    },
    Target {
        name: "bodies",
        holds: "a record's body is refused, or decodes to what encodes to the same changes",
        run: targets::bodies::run,
    },
    Target {
        name: "merging",
        holds: "a merged change does what the single ones do, one after the other",
        run: targets::merging::run,
    },
    Target {
        name: "notes",
        holds: "META and notes are read as they were written, or refused",
        run: targets::notes::run,
    },
    Target {
        name: "records",
        holds: "a log whose checksums fit and whose content is arbitrary is refused, or read as the format says",
        run: targets::records::run,
    },
    Target {
        name: "recovery",
        holds: "a damaged log is refused, or opens with everything that was durable",
        run: targets::recovery::run,
    },
    Target {
        name: "statements",
        holds: "SQL for tables of any names is one statement of a known form, with quoted names",
        run: targets::statements::run,
    },
    Target {
        name: "keys",
        holds: "one row has one key, and a value that a column takes reads back as it was written",
        run: targets::keys::run,
    },
    Target {
        name: "config",
        holds: "a settings file is refused with sentences, or what is printed of it means the same",
        run: targets::config::run,
    },
];
