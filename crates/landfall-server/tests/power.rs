//! Cuts the power of a real file system under a real load, and has a checker decide whether every promise was kept.
//! It proves what `FS_IOC_SHUTDOWN` can show: nothing survives that was not synced. It never tears a sector, so torn
//! writes are for the simulated disk.
//!
//! `LANDFALL_SEED=N` repeats the choices of a run. `LANDFALL_PROOF_MINUTES=N` goes on for so long.

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use landfall_sim::chance::Chance;
use landfall_sim::checker::Operation;
use landfall_sim::checker::tail::{Cut, excuse, taken};
use landfall_sim::disk::{Disk, Journal, Kind};
use landfall_sim::load::Scene;
use landfall_sim::private_mounts::{Entered, enter};
use landfall_sim::round::{CONFIG, PROGRESS_WITHIN, Round, Tally, prepare, proof_time, tell, told};
use landfall_sim::servers::LandfallOptions;
use landfall_sim::skipping::skipped;
use landfall_sim::waiting::wait_until;

const CUTS_PER_SEGMENT: u32 = 3;
const WRITES_BETWEEN_CUTS_MAX: u64 = 1500;
const WRITES_OF_A_LONG_LIFE_MAX: u64 = 15_000;
/// A cut in the middle of a start comes within this time.
const START_CUT_WITHIN_MS: u64 = 120;
/// A server that syncs now and then lives so long at most, so that cuts come before and after a sync.
const LIFE_MS_MAX: u64 = 1500;
/// What `everysec` may lose: a second between two syncs, and as much for a slow one.
const EVERYSEC_BOUND: Duration = Duration::from_secs(2);
/// Landing syncs the log, and on ext4 so does a new segment in its way, so with `everysec` both are rare: else nearly
/// nothing would be there to lose.
const RARE_LANDING: &str = "segment-bytes = \"16MiB\"\nflush-interval = \"20s\"\nflush-count = 1000000\nmax-pending = 10000000\nthrottle-at = \"100%\"\n";
const MEBIBYTES: u64 = 320;

/// What is cut, and how.
#[derive(Debug, Clone, Copy)]
struct Plan {
    kind: Kind,
    options: &'static str,
    fsync: &'static str,
    journal: &'static str,
    /// Whether the database loses its power too; else it is on another disk, which keeps everything.
    with_database: bool,
    segments: u32,
}

const fn plan(kind: Kind, fsync: &'static str, with_database: bool, segments: u32) -> Plan {
    Plan { kind, options: "", fsync, journal: "WAL", with_database, segments }
}

const PLANS: &[Plan] = &[
    plan(Kind::Ext4, "always", true, 2),
    plan(Kind::Ext4, "always", false, 2),
    Plan { options: "data=writeback", journal: "DELETE", ..plan(Kind::Ext4, "always", true, 1) },
    plan(Kind::Xfs, "always", true, 1),
    plan(Kind::Ext4, "os", true, 1),
    plan(Kind::Ext4, "everysec", false, 1),
];

/// What a proof runs besides.
const MORE_PLANS: &[Plan] = &[
    plan(Kind::Xfs, "everysec", true, 1),
    plan(Kind::Xfs, "always", false, 2),
    Plan { options: "nodelalloc", ..plan(Kind::Ext4, "always", true, 2) },
];

/// What the cuts did, over all rounds.
#[derive(Default)]
struct Count {
    cuts: u32,
    tally: Tally,
    /// Acknowledged under a weaker policy and gone, as that policy allows, where it can be told.
    allowed: u64,
    oldest_everysec: Duration,
}

impl Count {
    fn line(&self) -> String {
        let what = format!(
            "{} power cuts ({} acknowledged writes lost that everysec and os allow, with everysec at most {:.2} s old)",
            self.cuts,
            self.allowed,
            self.oldest_everysec.as_secs_f32()
        );
        self.tally.line(&what)
    }
}

/// A server on a disk without a future.
struct Rig<'r> {
    plan: Plan,
    disk: &'r mut Disk,
    round: &'r mut Round,
    count: &'r mut Count,
}

fn begin(plan: Plan, disk: &Disk, chance: Chance) -> Result<Round> {
    let mut options = LandfallOptions::new(env!("CARGO_BIN_EXE_landfall"));
    plan.fsync.clone_into(&mut options.fsync);
    options.config = match plan.fsync {
        "everysec" => {
            let rest =
                CONFIG.lines().filter(|line| !line.starts_with("flush-") && !line.starts_with("segment-"));
            rest.map(|line| format!("{line}\n")).chain([RARE_LANDING.to_owned()]).collect()
        }
        _ => CONFIG.to_owned(),
    };
    options.data_dir = Some(disk.path().join("data"));
    options.database = plan.with_database.then(|| disk.path().join("rows.db"));
    let mut server = prepare(options, plan.journal)?;
    server.restart()?;
    let mut round = Round::new(server, chance);
    // What clients hear between the cut and the end of the process.
    round.expected_refusals.push("MISCONF ");
    if plan.fsync == "everysec" {
        // Seconds of load are more to check than a test run has time for.
        round.clients.truncate(if proof_time()?.is_some() { 3 } else { 1 });
    }
    Ok(round)
}

impl Rig<'_> {
    fn bound(&self) -> Duration {
        match self.plan.fsync {
            "always" => Duration::ZERO,
            "everysec" => EVERYSEC_BOUND,
            _ => Duration::from_secs(24 * 3600),
        }
    }

    /// Lets the clients write for a while.
    fn live(&mut self, scene: &Scene) -> Result<()> {
        let most = match self.round.chance.percent(10) {
            true => WRITES_OF_A_LONG_LIFE_MAX,
            false => WRITES_BETWEEN_CUTS_MAX,
        };
        let writes = 20 + self.round.chance.below(most);
        if self.plan.fsync == "everysec" {
            // Any moment between two syncs will do; there is nothing to wait for.
            let mut life = Duration::from_millis(self.round.chance.below(LIFE_MS_MAX));
            if self.round.chance.percent(40) {
                // Long enough to tell a late sync from none at all.
                life += EVERYSEC_BOUND;
            }
            wait_until(Instant::now() + life, || false);
        }
        self.round.progress(scene, writes)
    }

    /// The system may write any file before any other: some are on the disk already when the power goes.
    fn sync_some(&mut self) -> Result<()> {
        for path in self.disk.files()? {
            if self.round.chance.percent(40) {
                // A file that went meanwhile needs no sync.
                if let Ok(file) = File::open(&path) {
                    file.sync_data().with_context(|| path.display().to_string())?;
                }
            }
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<()> {
        if self.round.chance.percent(30) {
            self.sync_some()?;
        }
        let journal = if self.round.chance.percent(40) { Journal::Written } else { Journal::Lost };
        self.disk.cut(journal)?;
        self.round.server.end()?;
        self.disk.replug()?;
        self.count.cuts += 1;
        Ok(())
    }

    fn cut_and_restart(&mut self, scene: &Scene) -> Result<Cut> {
        let from_ns = scene.now_ns();
        self.cut()?;
        scene.set_address(None);
        let gone_ns = scene.now_ns();
        if self.round.chance.percent(30) {
            self.round.server.launch()?;
            let moment = Instant::now() + Duration::from_millis(self.round.chance.below(START_CUT_WITHIN_MS));
            wait_until(moment, || false);
            self.cut()?;
        }
        scene.set_address(Some(self.round.server.restart()?));
        Ok(Cut { from_ns, gone_ns, bound_ns: self.bound().as_nanos() as u64 })
    }

    /// Another process holds the database's lock, so that all of it is owed when the power goes.
    fn live_while_nothing_lands(&mut self, scene: &Scene) -> Result<()> {
        let mut other = rusqlite::Connection::open(self.round.server.database())?;
        other.busy_timeout(PROGRESS_WITHIN)?;
        let lock = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let lived = self.live(scene);
        lock.rollback()?;
        lived
    }

    /// Several cuts under one load, then the whole reckoning.
    fn segment(&mut self) -> Result<()> {
        let mut cuts = Vec::new();
        let Rig { plan, disk, round, count } = self;
        let history = round.under_load(|round, scene| {
            let mut rig = Rig { plan: *plan, disk, round, count };
            for _ in 0..CUTS_PER_SEGMENT {
                rig.live(scene)?;
                if rig.round.chance.percent(25) {
                    rig.live_while_nothing_lands(scene)?;
                }
                cuts.push(rig.cut_and_restart(scene)?);
            }
            rig.live(scene)?;
            rig.count.tally.acknowledged += scene.acknowledged();
            Ok(())
        })?;
        self.reckon(&history, &cuts)
    }

    fn reckon(&mut self, history: &[Operation], cuts: &[Cut]) -> Result<()> {
        self.round.reckon(&excuse(history, cuts), &mut self.count.tally)?;
        let taken = taken(history, cuts, self.round.state());
        self.count.tally.add(&taken.violations);
        self.count.allowed += taken.lost;
        if self.plan.fsync == "everysec" {
            self.count.oldest_everysec =
                self.count.oldest_everysec.max(Duration::from_nanos(taken.oldest_ns));
        }
        if !taken.violations.is_empty() {
            self.round.write_down(history)?;
        }
        tell(&[], &taken.violations)
    }
}

/// Why this machine cannot do it, if it cannot.
fn forbidden() -> Option<String> {
    for kind in [Kind::Ext4, Kind::Xfs] {
        let tried = Disk::make(kind, MEBIBYTES, "").and_then(|mut disk| {
            disk.cut(Journal::Lost)?;
            disk.unmount()
        });
        if let Err(error) = tried {
            return Some(format!("no file system whose power can be cut: {error:#}"));
        }
    }
    None
}

fn run(plan: Plan, seed: u64, chance: Chance, count: &mut Count) {
    let mut disk = Disk::make(plan.kind, MEBIBYTES, plan.options).unwrap();
    let round = begin(plan, &disk, chance);
    told(&format!("{plan:?}"), seed, round, |round| {
        let mut rig = Rig { plan, disk: &mut disk, round, count };
        let done = (0..plan.segments).try_for_each(|_| rig.segment());
        if done.is_err() {
            println!("{}", rig.count.line());
            // A copy of a disk without power is no reason to hide what was found.
            let copied = disk.copy_to(round.server.folder());
            done.context(format!("the disk, as it is now: {copied:?}"))?;
        }
        // The disk cannot go while the server has files on it.
        round.server.end()?;
        disk.unmount()
    });
}

// shows: S1, S5, S6, S7
#[test]
fn a_server_whose_power_is_cut_again_and_again_keeps_what_its_policy_promises() {
    const NAME: &str = "a_server_whose_power_is_cut_again_and_again_keeps_what_its_policy_promises";
    match enter(NAME).unwrap() {
        Entered::Inside => {}
        Entered::Done => return,
        Entered::Forbidden(reason) => return skipped(NAME, &reason),
    }
    if let Some(reason) = forbidden() {
        return skipped(NAME, &reason);
    }
    let seed = Chance::fresh_seed().unwrap();
    println!("LANDFALL_SEED={seed}");
    let mut chance = Chance::from_seed(seed);
    let end = proof_time().unwrap().map(|time| Instant::now() + time);
    let mut count = Count::default();
    loop {
        let more = end.map_or(&[][..], |_| MORE_PLANS);
        for plan in PLANS.iter().chain(more) {
            run(*plan, seed, chance.fork(), &mut count);
        }
        if end.is_none_or(|end| Instant::now() >= end) {
            break;
        }
    }
    println!("{}", count.line());
    assert!(count.cuts >= 20, "{} cuts are too few", count.cuts);
}
