//! Ends real servers at every named step of the path by a kill -9 from within, under load, and has a checker decide
//! whether every promise was kept. A step that is not reached fails the test: a point that never comes proves nothing.
//!
//! It runs the program of this build, which alone has the steps. `LANDFALL_SEED=N` repeats the choices of a run;
//! `LANDFALL_PROOF_MINUTES=N` goes on for so long.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use landfall::env::failpoint::{POINTS, When};
use landfall_sim::chance::Chance;
use landfall_sim::load::Scene;
use landfall_sim::round::{CONFIG, Round, Tally, prepare, proof_time, told};
use landfall_sim::servers::LandfallOptions;
use landfall_sim::waiting::wait_until;
use rustix::process::Signal;

/// Counting begins when the server can be reached: a start has many of the same steps.
const WORKING: &str = "serve.ready";
/// A step that the load does not lead to in this time is not on its path.
const REACHED_WITHIN: Duration = Duration::from_secs(60);
/// Steps that end a server before everything is read back.
const STEPS_PER_RECKONING: usize = 7;
const WRITES_BETWEEN: u64 = 40;

/// How often a step may be passed before it ends the server; the first time always may.
fn passes(when: When, chance: &mut Chance, first: bool) -> u64 {
    let most = match when {
        When::Often => 40,
        When::Seldom => 3,
        When::Start | When::Close => 1,
    };
    if first { 1 } else { 1 + chance.below(most) }
}

fn begin((fsync, journal): (&str, &str), chance: Chance) -> Result<Round> {
    let mut options = LandfallOptions::of(env!("CARGO_BIN_EXE_landfall").into());
    fsync.clone_into(&mut options.fsync);
    CONFIG.clone_into(&mut options.config);
    let mut server = prepare(options, journal)?;
    server.restart()?;
    Ok(Round::new(server, chance))
}

/// Lets the next start of the server end at a step.
fn arm(round: &mut Round, plan: &str) {
    let wrapper = ["env".to_owned(), format!("LANDFALL_FAILPOINT={plan}")];
    round.server.set_wrapper(wrapper.map(OsString::from).into());
}

/// Waits until the server has ended by itself; how it ended.
fn ended(round: &mut Round, step: &str, count: u64) -> Result<ExitStatus> {
    let ended = wait_until(Instant::now() + REACHED_WITHIN, || !matches!(round.server.ended(), Ok(None)));
    ensure!(ended, round.server.said(&format!("{step} was not reached {count} times")));
    round.server.end()
}

/// Starts the server so that it ends at a step, and waits until it has. The last server has ended.
fn end_at(round: &mut Round, scene: &Scene, (step, when): (&str, When), count: u64) -> Result<()> {
    let status = match when {
        When::Start => {
            arm(round, &format!("{step}:{count}"));
            round.server.launch()?;
            ended(round, step, count)?
        }
        When::Often | When::Seldom => {
            arm(round, &format!("{WORKING}>{step}:{count}"));
            scene.set_address(Some(round.server.restart()?));
            ended(round, step, count)?
        }
        When::Close => {
            arm(round, &format!("{step}:{count}"));
            scene.set_address(Some(round.server.restart()?));
            round.progress(scene, WRITES_BETWEEN)?;
            round.server.terminate()?
        }
    };
    scene.set_address(None);
    round.server.set_wrapper(Vec::new());
    let killed = status.signal() == Some(Signal::KILL.as_raw());
    ensure!(
        killed,
        round.server.said(&format!("instead of dying at {step}, the server ended with {status}"))
    );
    Ok(())
}

/// A server that works is killed, ends at a step, maybe ends in the start behind it too, and works again.
fn one_step(round: &mut Round, scene: &Scene, (step, when): (&str, When), first: bool) -> Result<u64> {
    scene.set_address(None);
    round.server.kill9()?;
    let count = passes(when, &mut round.chance, first);
    end_at(round, scene, (step, when), count)?;
    let mut kills = 2;
    if round.chance.percent(20) {
        let starts: Vec<_> = POINTS.iter().filter(|(_, when)| *when == When::Start).collect();
        let again = starts[round.chance.below(starts.len() as u64) as usize];
        end_at(round, scene, *again, 1)?;
        kills += 1;
    }
    scene.set_address(Some(round.server.restart()?));
    round.progress(scene, WRITES_BETWEEN)?;
    Ok(kills)
}

/// Ends the server once at every step, in any order.
fn every_step(round: &mut Round, tally: &mut Tally, first: bool) -> Result<u64> {
    let mut steps = POINTS.to_vec();
    for at in (1..steps.len()).rev() {
        steps.swap(at, round.chance.below(at as u64 + 1) as usize);
    }
    let mut kills = 0;
    for some in steps.chunks(STEPS_PER_RECKONING) {
        let history = round.under_load(|round, scene| {
            for step in some {
                kills += one_step(round, scene, *step, first)?;
            }
            tally.acknowledged += scene.acknowledged();
            Ok(())
        })?;
        round.reckon(&history, tally)?;
    }
    Ok(kills)
}

// shows: S1, S5, S6
#[test]
fn a_server_that_dies_at_any_step_of_its_path_loses_and_doubles_nothing() {
    let seed = Chance::fresh_seed().unwrap();
    println!("LANDFALL_SEED={seed}");
    let mut chance = Chance::from_seed(seed);
    let end = proof_time().unwrap().map(|time| Instant::now() + time);
    let (mut tally, mut kills, mut rounds) = (Tally::default(), 0, 0);
    loop {
        let policy = [("always", "WAL"), ("everysec", "WAL"), ("always", "DELETE")][rounds % 3];
        told("failpoints", seed, begin(policy, chance.fork()), |round| {
            kills += every_step(round, &mut tally, rounds == 0)?;
            Ok(())
        });
        rounds += 1;
        if end.is_none_or(|end| Instant::now() >= end) {
            break;
        }
    }
    let what = format!("{kills} kills at {} named steps, each reached {rounds} times", POINTS.len());
    println!("{}", tally.line(&what));
}

#[test]
fn the_program_for_users_has_no_step_at_which_it_ends_and_no_planted_bug() {
    // Without it, only the program of this build is there, and that one has them.
    let Some(program) = std::env::var_os("LANDFALL_BIN") else { return };
    let program = std::fs::read(program).unwrap();
    let holds = |text: &[u8]| program.windows(text.len()).any(|window| window == text);
    assert!(holds(b"LANDFALL_CONFIG") || holds(b"landfall"), "this is the program");
    assert!(!holds(b"LANDFALL_FAILPOINT"), "the build for users has failpoints");
    assert!(!holds(b"LANDFALL_MUTANTS"), "the build for users has bugs that a test can plant");
}
