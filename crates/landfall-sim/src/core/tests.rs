//! The simulation itself: it repeats exactly, and a few seeds are clean in every build.

use super::*;

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        let (one, other) = (run(seed, &Config::default()), run(seed, &Config::default()));
        assert_eq!((one.hash, one.steps, one.operations), (other.hash, other.steps, other.operations));
    }
}

#[test]
fn a_few_seeds_keep_every_promise() {
    for seed in 0..150 {
        let report = run(seed, &Config::default());
        assert!(report.violations.is_empty(), "seed {seed}: {:?}", report.violations);
    }
}

#[test]
fn a_planted_bug_is_seen_and_goes_with_its_run() {
    let bug = Some(Bug::TwoTransactions);
    let of = |bug| run(0, &Config { bug, ..Config::default() });
    let (before, planted, behind) = (of(None), of(bug), of(None));
    assert!(planted.came_by > 0 && !planted.violations.is_empty(), "{planted:?}");
    assert_eq!((before.hash, before.came_by), (behind.hash, 0));
    assert!(behind.violations.is_empty(), "{:?}", behind.violations);
}

#[test]
fn a_scenario_survives_a_crash_at_every_step() {
    let scenario = |simulation: &Simulation| {
        simulation.write(6);
        simulation.land(3);
        simulation.write(3);
        simulation.restart(Crash::Kill);
        simulation.write(3);
    };
    let config = Config { faults: false, ..Config::default() };
    let steps = run_scenario(7, &config, scenario).steps;
    assert!(steps > 50, "{steps}");
    for step in (1..=steps).step_by(5) {
        let fault_at = Some(FaultAt { step, mode: Mode::Crash, end: None, salt: 0 });
        let report = run_scenario(7, &Config { fault_at, ..config.clone() }, scenario);
        assert!(report.violations.is_empty(), "step {step}: {:?}", report.violations);
    }
}
