//! Replays every input in `corpus/` and simple changes of each, without an engine: plain `cargo test` runs it.
//! What once made a target panic stays here for good.

use std::fs;
use std::path::{Path, PathBuf};

use landfall_fuzz::TARGETS;

/// An input that is longer is no example any more.
const INPUT_BYTES_MAX: u64 = 8192;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder(target)).unwrap_or_else(|error| panic!("corpus of {target}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect()
}

#[test]
fn what_must_hold_for_any_input_holds_for_every_input_of_the_corpus() {
    for target in TARGETS {
        for (name, input) in inputs(target.name) {
            println!("{name}");
            (target.run)(&input);
            for length in 0..input.len() {
                (target.run)(&input[..length]);
            }
            for at in 0..input.len() {
                let mut changed = input.clone();
                changed[at] ^= 1 << (at % 8);
                (target.run)(&changed);
            }
        }
        (target.run)(b"");
    }
}

#[test]
fn every_target_has_a_small_corpus_and_every_corpus_a_target() {
    for target in TARGETS {
        assert!(inputs(target.name).len() >= 2, "{} has no corpus", target.name);
        for entry in fs::read_dir(folder(target.name)).unwrap() {
            let entry = entry.unwrap();
            assert!(entry.metadata().unwrap().len() <= INPUT_BYTES_MAX, "{}", entry.path().display());
        }
    }
    for entry in fs::read_dir(folder("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(landfall_fuzz::Target::named(&name).is_some(), "corpus/{name} belongs to no target");
    }
}
