//! Proofs by simulation: made-up agents whose true figures are known.
//!
//! `cargo test -p docks-statistics --test proofs` runs 4,000 cases of each kind, always the same ones. The long form
//! runs more, prints what it found, and takes a minute:
//!
//! `DOCKS_PROOF_CASES=20000 cargo test --release -p docks-statistics --test proofs -- --nocapture`

#![expect(clippy::unwrap_used, reason = "a proof stops at the step that fails")]
#![expect(clippy::print_stdout, reason = "its figures are its output")]

mod these_tasks;
mod world;

use docks_statistics::attempts::TaskAttempts;
use docks_statistics::difference::{Claim, PairedDifference, Scale, Verdict, paired_difference};
use docks_statistics::rate::Rate;

use world::{Agents, World, solved};

const CLAIM: Claim = Claim {
    margin: 0.02,
    less_is_better: false,
};

fn cases() -> u32 {
    let given = std::env::var("DOCKS_PROOF_CASES").ok();
    given.map_or(4_000, |text| text.parse().unwrap())
}

/// Returns in which share of the cases something holds, and prints it.
fn share_of_cases(what: &str, seed: u64, mut holds: impl FnMut(&mut World) -> bool) -> f64 {
    let mut world = World::new(seed);
    let count = (0..cases()).filter(|_| holds(&mut world)).count();
    let share = count as f64 / f64::from(cases());
    println!("{what}: {:.1} % of {} cases", 100.0 * share, cases());
    share
}

fn compare(world: &mut World, agents: &Agents, attempts: usize) -> PairedDifference {
    let pairs = agents.try_tasks(world, attempts);
    paired_difference(&pairs, Scale::Difference).unwrap()
}

/// What does not hold; a proof goes on to the end, so that one run shows all of it.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn require(&mut self, holds: bool, what: String, share: f64) {
        if !holds {
            self.0.push(format!("{what}: {share}"));
        }
    }

    fn assert_none(self) {
        assert!(self.0.is_empty(), "{:#?}", self.0);
    }
}

/// Tasks, attempts at each.
const SIZES: [(usize, usize); 5] = [(10, 5), (10, 1), (30, 1), (30, 5), (89, 5)];

/// How rates are drawn: anywhere, near 0, near 1.
const RATES: [(&str, f64, f64); 3] = [
    ("anywhere", 0.0, 1.0),
    ("near 0", 0.0, 0.1),
    ("near 1", 0.9, 1.0),
];

#[test]
fn two_runs_of_the_same_agent_are_called_better_or_worse_in_at_most_5_of_100() {
    let mut wrong = Wrong::default();
    for (tasks, attempts) in SIZES {
        for (name, from, until) in RATES {
            let what = format!(
                "same agent, {tasks} tasks × {attempts}, rate {name}: a difference is claimed"
            );
            let share = share_of_cases(&what, 1, |world| {
                let rate = world.between(from, until);
                let agents = world.same_agent(tasks, rate);
                let found = compare(world, &agents, attempts);
                CLAIM.judge(&found, found.test.p) != Verdict::Unclear
                    && CLAIM.judge(&found, found.test.p) != Verdict::NoDifference
            });
            wrong.require(share <= 0.05, what, share);
        }
    }
    wrong.assert_none();
}

#[test]
fn intervals_hold_the_true_rate_in_93_to_97_of_100() {
    let mut wrong = Wrong::default();
    for (tasks, attempts) in SIZES {
        for (name, from, until) in RATES {
            let what = format!("rate {name}, {tasks} tasks × {attempts}: the interval holds it");
            let share = share_of_cases(&what, 2, |world| {
                let rate = world.between(from, until);
                let chances = world.tasks(tasks, rate);
                let tried: Vec<TaskAttempts> = chances
                    .iter()
                    .map(|chance| TaskAttempts {
                        attempts: attempts as u64,
                        solved: solved(world, *chance, attempts) as u64,
                    })
                    .collect();
                Rate::over_tasks(&tried).unwrap().interval.contains(rate)
            });
            wrong.require(is_about_95(share), what, share);
        }
    }
    wrong.assert_none();
}

#[test]
fn intervals_hold_the_true_difference_in_93_to_97_of_100() {
    let mut wrong = Wrong::default();
    for (tasks, attempts) in SIZES {
        for (name, from, until) in RATES {
            let what = format!(
                "rates {name}, {tasks} tasks × {attempts}: the interval holds their difference"
            );
            let share = share_of_cases(&what, 3, |world| {
                let rates = (world.between(from, until), world.between(from, until));
                let agents = world.two_agents(tasks, rates);
                let found = compare(world, &agents, attempts);
                found.interval.unwrap().contains(rates.1 - rates.0)
            });
            // With one attempt at each of a few tasks that are nearly all alike, an interval that always holds the
            // truth is the best there is: there are too few possible results.
            let always_holds_it = attempts == 1 && (from, until) != (0.0, 1.0) && share >= 0.93;
            wrong.require(is_about_95(share) || always_holds_it, what, share);
        }
    }
    wrong.assert_none();
}

/// Whether a share is 93 to 97 of 100, give or take two standard errors of so many cases.
fn is_about_95(share: f64) -> bool {
    let chance = 2.0 * (0.95 * 0.05 / f64::from(cases())).sqrt();
    (0.93 - chance..=0.97 + chance).contains(&share)
}

#[test]
fn a_difference_as_large_as_is_called_detectable_is_shown_in_80_of_100() {
    let mut wrong = Wrong::default();
    for (tasks, attempts) in [(30, 5), (89, 1), (89, 5), (300, 1)] {
        let mut world = World::new(4);
        let mut detectable = 0.2;
        // What is detectable depends a little on the difference itself.
        for _ in 0..3 {
            let each = (0..200).map(|_| {
                let agents = world.shifted_agent(tasks, detectable);
                compare(&mut world, &agents, attempts).detectable.unwrap()
            });
            detectable = each.sum::<f64>() / 200.0;
        }
        let what = format!("{tasks} tasks × {attempts}: a difference of {detectable:.3} is shown");
        let share = share_of_cases(&what, 5, |world| {
            let agents = world.shifted_agent(tasks, detectable);
            let found = compare(world, &agents, attempts);
            CLAIM.judge(&found, found.test.p) == Verdict::Better
        });
        wrong.require((share - 0.8).abs() <= 0.05, what, share);
    }
    wrong.assert_none();
}
