//! The same of differences on exactly these tasks.

use docks_statistics::difference::{
    PairedDifference, PairedTask, Scale, Verdict, attempts_t, difference_on_these_tasks,
};

use super::world::{Agents, World};
use super::{CLAIM, RATES, Wrong, is_about_95, share_of_cases};

/// Tasks, attempts at each.
const SIZES: [(usize, usize); 5] = [(10, 2), (10, 5), (30, 2), (30, 5), (89, 5)];

fn compare(world: &mut World, agents: &Agents, attempts: usize) -> PairedDifference {
    let pairs = agents.try_tasks(world, attempts);
    difference_on_these_tasks(&pairs, Scale::Difference).unwrap()
}

#[test]
fn two_runs_of_the_same_agent_are_called_better_or_worse_in_at_most_5_of_100() {
    let mut wrong = Wrong::default();
    for (tasks, attempts) in SIZES {
        for (name, from, until) in RATES {
            let what = format!(
                "on these tasks, same agent, {tasks} tasks × {attempts}, rate {name}: a difference is claimed"
            );
            let share = share_of_cases(&what, 6, |world| {
                let rate = world.between(from, until);
                let agents = world.same_agent(tasks, rate);
                let found = compare(world, &agents, attempts);
                matches!(
                    CLAIM.judge(&found, found.test.p),
                    Verdict::Better | Verdict::Worse
                )
            });
            wrong.require(share <= 0.05, what, share);
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
                "on these tasks, rates {name}, {tasks} tasks × {attempts}: the interval holds their difference"
            );
            let share = share_of_cases(&what, 7, |world| {
                let rates = (world.between(from, until), world.between(from, until));
                let agents = world.two_agents(tasks, rates);
                let found = compare(world, &agents, attempts);
                found.interval.unwrap().contains(agents.difference())
            });
            // Of a few attempts that nearly all end alike, there are too few possible results.
            let always_holds_it = tasks == 10 && (from, until) != (0.0, 1.0) && share >= 0.93;
            wrong.require(is_about_95(share) || always_holds_it, what, share);
        }
    }
    for (tasks, attempts) in [(10, 3), (30, 2), (30, 5)] {
        let what = format!(
            "on these tasks, what is spent, {tasks} tasks × {attempts}: the interval holds the ratio"
        );
        let share = share_of_cases(&what, 8, |world| {
            let ratio = world.between(0.5, 2.0);
            let pairs = world.spent(tasks, attempts, ratio);
            // The interval alone: to draw ways to divide attempts takes far longer.
            let pairs: Vec<&PairedTask> = pairs.iter().collect();
            let (interval, _) = attempts_t(&pairs, Scale::Ratio);
            interval.contains(ratio.ln())
        });
        wrong.require(is_about_95(share), what, share);
    }
    wrong.assert_none();
}

#[test]
fn a_difference_as_large_as_is_called_detectable_is_shown_in_80_of_100() {
    let mut wrong = Wrong::default();
    for (tasks, attempts) in [(30, 5), (89, 2), (89, 5)] {
        let mut world = World::new(9);
        let mut detectable = 0.2;
        for _ in 0..3 {
            let each = (0..200).map(|_| {
                let agents = world.shifted_agent(tasks, detectable);
                compare(&mut world, &agents, attempts).detectable.unwrap()
            });
            detectable = each.sum::<f64>() / 200.0;
        }
        let what = format!(
            "on these tasks, {tasks} tasks × {attempts}: a difference of {detectable:.3} is shown"
        );
        let share = share_of_cases(&what, 10, |world| {
            let agents = world.shifted_agent(tasks, detectable);
            let found = compare(world, &agents, attempts);
            CLAIM.judge(&found, found.test.p) == Verdict::Better
        });
        wrong.require((share - 0.8).abs() <= 0.05, what, share);
    }
    wrong.assert_none();
}
