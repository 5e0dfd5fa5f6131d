//! Plays seeds of the simulation, many at once, or one again with everything it does; or plants bugs and finds them.
//! It must never hide a failing seed: each is printed with the command that repeats it.

mod crash_points;
mod mutants;
mod options;
mod seeds;

use std::process::ExitCode;

use landfall_sim::core::{run, shrink};
use options::{HELP, Options};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if(|word| word == "--crash-points").is_some() {
        return exit_code(crash_points::main(words));
    }
    exit_code(Options::of(words).and_then(|options| match options {
        None => {
            println!("{HELP}");
            Ok(true)
        }
        Some(options) if options.mutants => mutants::play(&options),
        Some(options) => match options.seed {
            Some(seed) => Ok(play_one(seed, &options)),
            None => seeds::play(&options),
        },
    }))
}

fn exit_code(outcome: anyhow::Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn play_one(seed: u64, options: &Options) -> bool {
    let config = options.config();
    let report = if options.shrink {
        let (smaller, report) = shrink(seed, &config);
        println!("smallest: {} moves, without {:?}", smaller.moves, smaller.without);
        report
    } else {
        run(seed, &config)
    };
    report.trace.iter().for_each(|line| println!("{line}"));
    println!("seed {seed}: hash {:016x}, {} steps, faults {:?}", report.hash, report.steps, report.faults);
    if options.bug.is_some() {
        println!("the planted bug was come by {} times", report.came_by);
    }
    report.violations.iter().for_each(|what| println!("VIOLATION: {what}"));
    report.violations.is_empty()
}
