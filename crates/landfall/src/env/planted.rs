//! Bugs that a test plants on purpose, each at one place of the library, to see that the simulation finds them (feature
//! `mutants`). Without the feature none is ever there and the question costs nothing; no build for users has it, and a
//! check looks.

/// Declares the bugs: what each does, its name, and the file that it is planted in.
macro_rules! bugs {
    ($(#[doc = $what:literal] $bug:ident = $name:literal in $place:literal,)*) => {
        /// A bug that can be planted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Bug {
            $(#[doc = $what] $bug,)*
        }

        #[cfg(any(test, feature = "mutants"))]
        impl Bug {
            /// Every bug.
            pub const ALL: &[Bug] = &[$(Bug::$bug),*];

            /// What it is called.
            pub fn name(self) -> &'static str {
                match self { $(Bug::$bug => $name),* }
            }

            /// The file that it is planted in, below `src`.
            pub fn place(self) -> &'static str {
                match self { $(Bug::$bug => $place),* }
            }

            /// What it does, in words.
            pub fn what(self) -> &'static str {
                match self { $(Bug::$bug => $what.trim_ascii()),* }
            }
        }
    };
}

bugs! {
    /// A write is acknowledged as soon as it is written, whatever the policy.
    AckBeforeSync = "ack-before-sync" in "engine/core.rs",
    /// A failed sync of the log is tried again, and its success is believed.
    SyncRetried = "sync-retried" in "buffer/log/local/commit.rs",
    /// Rows are committed first, and the watermark behind them in another transaction.
    TwoTransactions = "two-transactions" in "lander/pass.rs",
    /// Nobody looks whether the compare-and-set of a lane has changed its row.
    NoFence = "no-fence" in "sink/protocol.rs",
    /// Each log has a row of its own for a lane.
    RowByLineage = "row-by-lineage" in "sink/memory/lanes.rs",
    /// A landing goes on behind a statement that failed.
    CarriesOn = "carries-on-after-an-error" in "sink/protocol.rs",
    /// The directory is not synced behind the name of a new segment.
    NoDirectorySync = "no-directory-sync" in "buffer/log/local/segment.rs",
    /// What a file held before it was used again is valid in the next segment.
    OldRecordsCount = "old-records-count" in "buffer/log/local/segment.rs",
    /// A segment is let go as soon as it has landed, whatever the retention says.
    NoRetention = "no-retention" in "buffer/log/local/upkeep.rs",
    /// The directory is not synced behind each segment that is let go.
    TrimWithoutSync = "trim-without-directory-sync" in "buffer/log/local/upkeep.rs",
    /// A bad record anywhere is taken for a torn tail.
    AnyDamageIsTorn = "any-damage-is-a-torn-tail" in "buffer/log/local/scan.rs",
    /// The mark of what is durable is not looked at in the last segment.
    NoDurableMark = "no-durable-mark" in "buffer/log/local/scan.rs",
    /// A start that copies a segment forgets what that one had made void.
    VoidForgotten = "void-forgotten" in "buffer/log/local/scan.rs",
    /// The mark says what this sync will make durable, not what was durable before.
    MarkAheadOfSync = "mark-ahead-of-sync" in "buffer/log/local/commit.rs",
    /// A group commit over several segments syncs the last one.
    OnlyLastSegmentSynced = "only-last-segment-synced" in "buffer/log/local/commit.rs",
    /// A segment goes for a spill file that is not synced.
    SpillUnsynced = "spill-not-synced" in "buffer/log/local/spill/build.rs",
    /// A segment goes for a spill file that META does not name.
    SpillUnnamed = "spill-not-named" in "buffer/log/local/spilling.rs",
    /// The spill file goes while a lane owes some of it.
    SpillGoesEarly = "spill-goes-early" in "buffer/log/local/spilling.rs",
    /// What a lane owes behind the spill file keeps no segment.
    BehindSpillForgotten = "behind-a-spill-forgotten" in "buffer/log/local/owed.rs",
    /// What was written while a sync ran counts as durable behind it.
    CommitRace = "commit-race" in "buffer/log/local/commit.rs",
    /// A note gets its name before its content is durable.
    NoteWithoutSync = "note-without-sync" in "buffer/log/local/small_file.rs",
    /// Records that are no longer kept are passed over without a word.
    NoContiguity = "no-contiguity-check" in "buffer/log/local/index.rs",
    /// What is written and not synced may land.
    LandsUnsynced = "lands-unsynced" in "buffer/log/mod.rs",
    /// Lanes that no table uses any more land when they land, and not before the others.
    RetiredNotAwaited = "retired-not-awaited" in "lander/choose.rs",
    /// New positions begin where the log ends, although the database is further.
    GapForgotten = "gap-forgotten" in "lander/join.rs",
    /// The log may let go of a batch once it is sent.
    TrimWhenSent = "trim-when-sent" in "lander/pass.rs",
    /// Landed is published before the COMMIT.
    LandedBeforeCommit = "landed-before-commit" in "lander/pass.rs",
    /// A landing of unknown outcome is written once more.
    UnknownAppliedAgain = "unknown-applied-again" in "lander/pass.rs",
    /// The dead letters are not read again behind a take-over.
    LettersKept = "letters-kept-over-a-take-over" in "lander/pass.rs",
    /// A later change of a parked row lands without its letter.
    LetterMergeLost = "letter-merge-lost" in "lander/plan.rs",
    /// A change that another row depends on is merged to an earlier place.
    MergesAcrossConstraints = "merges-across-constraints" in "lander/plan.rs",
    /// The dead letters of keys stay when all keys are cleared.
    LettersOutliveClear = "letters-outlive-a-clear" in "lander/plan.rs",
    /// A letter that a person gave up stays.
    DropForgotten = "drop-forgotten" in "lander/plan.rs",
    /// A put and a delete become the put.
    DeleteForgotten = "delete-forgotten" in "lander/plan.rs",
    /// A delete and an add become the add.
    BareDelta = "bare-delta" in "lander/plan.rs",
    /// The operations of a group with constraints are sorted by row.
    SortsWhatIsOrdered = "sorts-what-is-ordered" in "lander/plan.rs",
    /// A clear lands together with what was written before it and behind it.
    ClearNotAlone = "clear-not-alone" in "lander/batch.rs",
    /// The keys are cleared in the database before the transaction of the watermark.
    ClearOutside = "clear-outside-the-transaction" in "lander/pass.rs",
    /// Of several lanes that land together one moves.
    OneLaneMoves = "one-lane-moves" in "lander/batch.rs",
    /// What a refused change carries is not merged in front of the next change of its row.
    CarriedChangeLost = "carried-change-lost" in "lander/dead_letter.rs",
    /// A refused row is left out, and no letter is written for it.
    LetterForgotten = "letter-forgotten" in "lander/dead_letter.rs",
    /// A start takes the lanes over before it is remembered.
    StartNotNoted = "start-not-noted" in "lander/notes.rs",
    /// Nobody looks at the database while nothing is owed.
    NeverLooks = "never-looks" in "lander/watch.rs",
    /// What a loaded row is owed is applied in the middle of a landing, whatever of it the load holds already.
    StaleFill = "fold-in-the-middle-of-a-landing" in "buffer/cache/owed.rs",
    /// A loaded row is given what it holds already.
    FoldsWhatLanded = "folds-what-landed" in "buffer/cache/owed.rs",
    /// A load that is older than what has landed is cached.
    OldLoadBelieved = "old-load-believed" in "buffer/cache/fill.rs",
    /// A load takes the place of a row that was written meanwhile.
    LoadOverwritesWrite = "load-overwrites-a-write" in "buffer/cache/fill.rs",
    /// A publication makes rows clean that have not landed.
    CleanedTooEarly = "cleaned-too-early" in "buffer/cache/shard.rs",
    /// A key that was evicted counts as one that exists nowhere.
    EvictionForgotten = "eviction-forgotten" in "buffer/cache/shard.rs",
    /// A clear leaves the keys in the cache that have not landed.
    ClearKeepsPending = "clear-keeps-what-is-pending" in "buffer/cache/shard/sweep.rs",
    /// A clear is logged in one lane of the keys.
    ClearInOneLane = "clear-in-one-lane" in "engine/clear.rs",
    /// That a key is absent by a clear is told before the clear is as safe as promised.
    AbsentBeforeSafe = "absent-before-a-clear-is-safe" in "engine/clear.rs",
    /// A start forgets a clear that has not landed.
    ClearNotRecovered = "clear-not-recovered" in "engine/recover.rs",
    /// A load that is older than a clear is believed.
    LoadOutlivesClear = "load-outlives-a-clear" in "engine/load.rs",
    /// Rows are spread over lanes one by one, whatever their group.
    LanesByRow = "lanes-by-row" in "engine/lanes.rs",
    /// An expired key is swept from the cache instead of being deleted through the log.
    SweptExpiry = "swept-expiry" in "engine/keeper.rs",
    /// The sync of `everysec` is left to the landings.
    EverysecNeverSyncs = "everysec-never-syncs" in "engine/keeper.rs",
    /// A value is shown before it is as safe as promised.
    ReplyBeforeSafe = "reply-before-safe" in "engine/unit.rs",
    /// A transaction is logged row by row and not command by command.
    TransactionByRow = "transaction-by-row" in "engine/unit/record.rs",
    /// A key is there until its expiry was logged.
    ExpiredKeyRead = "expired-key-read" in "engine/unit.rs",
    /// What is known of a row is believed after its letter was given up.
    DroppedRowStays = "dropped-row-stays" in "engine/letters.rs",
    /// What a parked row is owed is not in the view.
    ParkedOutOfView = "parked-out-of-view" in "engine/load.rs",
    /// A lane is taken over whoever had it last.
    AnyStartFollows = "any-start-follows" in "sink/parts.rs",
    /// Lanes of another log are taken for one's own.
    NoLineage = "no-lineage" in "sink/parts.rs",
}

/// Whether a bug is planted: never.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn planted(_: Bug) -> bool {
    false
}

/// Whether a bug is planted in this thread.
#[cfg(feature = "mutants")]
#[inline]
pub fn planted(bug: Bug) -> bool {
    let (found, asked) = armed::PLANTED.get();
    let is_it = found == Some(bug);
    if is_it {
        armed::PLANTED.set((found, asked + 1));
    }
    is_it
}

/// Plants a bug in this thread, or none, from now on.
#[cfg(feature = "mutants")]
pub fn plant(bug: Option<Bug>) {
    armed::PLANTED.set((bug, 0));
}

/// How often this thread came by the planted bug since it was planted.
#[cfg(feature = "mutants")]
pub fn came_by() -> u64 {
    armed::PLANTED.get().1
}

/// What the feature adds.
#[cfg(feature = "mutants")]
mod armed {
    use std::cell::Cell;

    use super::Bug;

    /// Every program with planted bugs holds this text: a test looks that the one for users does not.
    #[used]
    static MARK: [u8; 16] = *b"LANDFALL_MUTANTS";

    thread_local! {
        /// The bug, and how often it was come by. Of the thread: a simulation runs in one, and several run at once.
        pub(super) static PLANTED: Cell<(Option<Bug>, u64)> = const { Cell::new((None, 0)) };
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_bug_is_planted_at_one_place_and_its_file_is_named() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        let mut folders = vec![sources.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    folders.push(entry);
                } else if entry.extension().is_some_and(|extension| extension == "rs") {
                    files.push((std::fs::read_to_string(&entry).unwrap(), entry));
                }
            }
        }
        let own = Path::new("env/planted.rs");
        for bug in Bug::ALL {
            let question = format!("planted(Bug::{bug:?})");
            let places: Vec<_> = files
                .iter()
                .map(|(text, path)| (text, path.strip_prefix(&sources).unwrap()))
                .filter(|(_, path)| *path != own)
                .flat_map(|(text, path)| text.matches(&question).map(move |_| path))
                .collect();
            assert_eq!(places, [Path::new(bug.place())], "{question}");
        }
    }

    #[test]
    fn a_bug_has_a_name_of_its_own_and_none_is_planted_by_itself() {
        let mut names: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Bug::ALL.len());
        assert!(!Bug::ALL.iter().any(|bug| planted(*bug)));
    }
}
