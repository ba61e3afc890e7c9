//! Runs a reader of docks on hostile inputs: a fuzz target is a test that calls [`fuzz`].
//!
//! Inputs are made from a seed corpus, the files of a folder, by changes that know the structure of
//! their text, so that most of them get past the parser to what reads the parsed values. An input that
//! fails is made smaller before it is shown.
//!
//! A target runs [`USUAL_CASES`] inputs in `cargo test`, and for [`SECONDS`] where that is set:
//! `DOCKS_FUZZ_SECONDS=300 .ci/run fuzz` takes five minutes for each target.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod change;
mod corpus;
mod json;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};

use crate::change::Change;
use crate::corpus::Corpus;

/// The environment variable that says how many seconds each target runs.
pub const SECONDS: &str = "DOCKS_FUZZ_SECONDS";

/// The environment variable with the seed of the inputs, to run the same ones again.
pub const SEED: &str = "DOCKS_FUZZ_SEED";

/// Inputs of a target in `cargo test`; also how many are run between two looks at the clock.
pub const USUAL_CASES: u32 = 256;

/// Changes of one seed file that make an input, at most.
const MAX_CHANGES: usize = 6;

/// Attempts to make a failing input smaller.
const MAX_SHRINKS: u32 = 1_000;

/// Bytes of an input that a failure shows; the seed makes the whole one again.
const MAX_SHOWN: usize = 2_000;

/// An input: a seed file, and what is changed in it. A failure shows what comes out.
#[derive(Clone)]
struct Input {
    seed_file: usize,
    changes: Vec<Change>,
    bytes: Vec<u8>,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.bytes.len().min(MAX_SHOWN);
        write!(f, "b\"{}\"", self.bytes[..shown].escape_ascii())?;
        match self.bytes.len() - shown {
            0 => Ok(()),
            more => write!(f, " and {more} bytes more"),
        }
    }
}

/// Calls `target` with every file of `folder`, a path below `manifest_dir`, then with inputs made from
/// them. `target` panics where a promise is broken.
///
/// # Panics
///
/// When `target` panics: with the smallest input that was found to do it, and the seed. Also when the
/// folder has no files.
pub fn fuzz(manifest_dir: &str, folder: &str, target: impl Fn(&[u8])) {
    let folder = Path::new(manifest_dir).join(folder);
    let corpus = Corpus::read(&folder);
    corpus.files().for_each(&target);
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let time = number(SECONDS).map(Duration::from_secs);
    let mut seed = number(SEED).unwrap_or_else(|| RandomState::new().hash_one(&folder));
    let start = Instant::now();
    let mut inputs = 0;
    loop {
        run(&corpus, seed, &target);
        seed = seed.wrapping_add(1);
        inputs += USUAL_CASES;
        if time.is_none_or(|time| start.elapsed() >= time) {
            break;
        }
    }
    report(&folder, inputs);
}

#[expect(
    clippy::print_stdout,
    reason = "the harness of tests shows it with --nocapture"
)]
fn report(folder: &Path, inputs: u32) {
    println!("{}: {inputs} inputs", folder.display());
}

/// Runs [`USUAL_CASES`] inputs.
fn run(corpus: &Corpus, seed: u64, target: &impl Fn(&[u8])) {
    let config = Config {
        cases: USUAL_CASES,
        failure_persistence: None,
        max_shrink_iters: MAX_SHRINKS,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let inputs = (0..corpus.len(), vec(change::strategy(), 0..=MAX_CHANGES));
    let inputs = inputs.prop_map(|(seed_file, changes)| Input {
        bytes: corpus.changed(seed_file, &changes),
        seed_file,
        changes,
    });
    let tested = TestRunner::new(config).run(&inputs, |input| {
        target(&input.bytes);
        Ok(())
    });
    match tested {
        Ok(()) => {}
        Err(TestError::Fail(reason, input)) => panic!(
            "{reason}\ninput: {input:?}\nmade from file {} by {:?}\nagain: {SEED}={seed}\n\
             Mend the reader and keep the input as a file of the corpus.",
            corpus.name(input.seed_file),
            input.changes,
        ),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use serde_json::Value;

    use super::*;

    type Target = fn(&[u8]);

    fn found(target: Target) -> Option<String> {
        let found = catch_unwind(|| {
            let corpus = Corpus::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"));
            (0..16).for_each(|seed| run(&corpus, seed, &target));
        });
        found.err().map(|panic| *panic.downcast().unwrap())
    }

    fn json(input: &[u8]) -> Value {
        serde_json::from_slice(input).unwrap_or_default()
    }

    #[test]
    fn what_a_reader_overlooks_is_found_and_reported_small() {
        assert_eq!(found(|input| drop(json(input))), None);
        let faults: [(&str, Target); _] = [
            ("a member is missing", |input| {
                let json = json(input);
                let result = json["result"].as_object();
                assert!(result.is_none_or(|result| result.contains_key("reward")));
            }),
            ("a member is of another type", |input| {
                assert!(!json(input)["result"]["rewards"].is_array());
            }),
            ("bytes are not UTF-8", |input| {
                assert!(str::from_utf8(input).is_ok())
            }),
            ("values are deep", |input| {
                assert!(
                    !input
                        .windows(100)
                        .any(|part| part.iter().all(|b| *b == b'['))
                );
            }),
            ("lines are many", |input| {
                assert!(input.split(|byte| *byte == b'\n').count() < 100);
            }),
        ];
        for (what, fault) in faults {
            let report = found(fault).unwrap_or_else(|| panic!("not found: {what}"));
            assert!(report.contains("again: DOCKS_FUZZ_SEED="), "{report}");
            let input = report.lines().find(|line| line.starts_with("input: b"));
            assert!(
                input.is_some_and(|input| input.len() < 8 * MAX_SHOWN),
                "{what}"
            );
        }
    }
}
