//! The crash points themselves: they repeat exactly, and each scenario is what its name says.

use std::collections::BTreeSet;

use super::*;

#[test]
fn every_scenario_reaches_what_it_is_named_for() {
    let mut names = BTreeSet::new();
    for scenario in all() {
        assert!(names.insert(scenario.name.clone()), "{} is there twice", scenario.name);
        let report = play(&scenario, &[], 0, false);
        assert!(report.violations.is_empty(), "{}: {:?}", scenario.name, report.violations);
        for state in scenario.reaches {
            assert!(report.reached.contains_key(state), "{} does not reach: {state}", scenario.name);
        }
    }
}

#[test]
fn the_same_faults_give_the_same_run() {
    for (turn, scenario) in all().into_iter().enumerate() {
        let steps = play(&scenario, &[], 0, false).steps;
        // Along the scenarios every mode has its turn.
        for (number, mode) in Mode::all().iter().enumerate().skip(turn % 4).step_by(4) {
            let first = Fault { step: steps * (number as u64 + 1) / 20, mode };
            let second = Fault { step: first.step + 9, mode: &Mode::all()[0] };
            let [one, other] = [(), ()].map(|()| play(&scenario, &[first, second], 3, false));
            assert_eq!((one.hash, one.steps), (other.hash, other.steps), "{} {first}", scenario.name);
        }
    }
}

#[test]
fn a_scenario_survives_every_mode_at_every_step() {
    let scenario = all().into_iter().find(|scenario| scenario.name == "write-and-land").unwrap();
    let outcome = enumerate(&scenario, Depth { seconds: 1, round: 0 });
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    assert!(outcome.runs > 8 * outcome.steps, "{outcome:?}");
    assert_eq!(outcome.by_mode.len(), Mode::all().len(), "{:?}", outcome.by_mode);
}
