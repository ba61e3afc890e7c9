//! Evaluates functions of this crate, one line each: a name, then its arguments; groups of numbers are separated by `;`.
//! Prints the results as numbers. `.ci/peers/reference_statistics.py` compares them with scipy, statsmodels and numpy.

#![expect(clippy::unwrap_used, reason = "its only caller writes what it reads")]
#![expect(clippy::print_stdout, reason = "its results are its output")]

use std::io::BufRead;

use docks_statistics::attempts::TaskAttempts;
use docks_statistics::difference::{
    PairedTask, Scale, Test, difference_on_these_tasks, fisher_exact, holm, mcnemar_exact,
    paired_difference, paired_t, sign_flip, two_samples, whole_sign_flip,
};
use docks_statistics::rate::{Rate, clustered_variance, wilson};
use docks_statistics::special::{
    beta_quantile, fair_coin_at_most, normal_probability, normal_quantile, t_probability,
    t_quantile, t_two_sided,
};

fn main() {
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let (name, rest) = line.split_once(' ').unwrap();
        let groups: Vec<Vec<f64>> = rest
            .split(';')
            .map(|group| {
                group
                    .split_whitespace()
                    .map(|n| n.parse().unwrap())
                    .collect()
            })
            .collect();
        let results = evaluate(name, &groups).into_iter();
        let results: Vec<String> = results.map(|number| format!("{number:e}")).collect();
        println!("{}", results.join(" "));
    }
}

fn evaluate(name: &str, groups: &[Vec<f64>]) -> Vec<f64> {
    let first = &groups[0][..];
    let whole = |at: usize| first[at] as u64;
    let attempts = || TaskAttempts {
        attempts: whole(0),
        solved: whole(1),
    };
    let tasks = || -> Vec<TaskAttempts> {
        let groups = groups.iter();
        groups
            .map(|group| TaskAttempts {
                attempts: group.len() as u64,
                solved: group.iter().sum::<f64>() as u64,
            })
            .collect()
    };
    match name {
        "normal_probability" => vec![normal_probability(first[0])],
        "normal_quantile" => vec![normal_quantile(first[0])],
        "t_probability" => vec![t_probability(first[0], first[1])],
        "t_two_sided" => vec![t_two_sided(first[0], first[1])],
        "t_quantile" => vec![t_quantile(first[0], first[1])],
        "beta_quantile" => vec![beta_quantile(first[0], first[1], first[2])],
        "fair_coin_at_most" => vec![fair_coin_at_most(whole(0), whole(1))],
        "pass_at_k" => vec![attempts().pass_at_k(whole(2)).unwrap()],
        "pass_hat_k" => vec![attempts().pass_hat_k(whole(2)).unwrap()],
        "flip_rate" => vec![attempts().flip_rate().unwrap()],
        "wilson" => {
            let interval = wilson(first[0], first[1]);
            vec![interval.low, interval.high]
        }
        "rate" => {
            let rate = Rate::over_tasks(&tasks()).unwrap();
            vec![rate.value, rate.standard_error]
        }
        "clustered" => {
            let (count, sum) = groups
                .iter()
                .flatten()
                .fold((0.0, 0.0), |(n, s), v| (n + 1.0, s + v));
            let clusters = groups.iter().map(|g| (g.len() as u64, g.iter().sum()));
            vec![clustered_variance(sum / count, clusters).unwrap().sqrt()]
        }
        "mcnemar" => vec![mcnemar_exact(whole(0), whole(1), whole(2)).p],
        "fisher" => vec![fisher_exact((whole(0), whole(1)), (whole(2), whole(3))).p],
        "holm" => holm(first),
        "sign_flip" => vec![sign_flip(first).p],
        "whole_sign_flip" => {
            let sizes = groups[1].iter().map(|n| (*n as u64, *n as u64));
            vec![whole_sign_flip(first, sizes).unwrap().p]
        }
        "two_samples" => vec![two_samples(first, &groups[1]).p],
        "paired_t" => {
            let interval = paired_t(first).unwrap();
            vec![interval.low, interval.high]
        }
        "paired_ratio" => {
            let pairs = groups[0].iter().zip(&groups[1]);
            let pairs = pairs.map(|(before, after)| PairedTask {
                before: vec![*before],
                after: vec![*after],
            });
            let found = paired_difference(&pairs.collect::<Vec<_>>(), Scale::Ratio).unwrap();
            let interval = found.interval.unwrap();
            vec![found.value, interval.low, interval.high]
        }
        "these_tasks" | "these_tasks_ratio" => {
            let scale = match name {
                "these_tasks" => Scale::Difference,
                _ => Scale::Ratio,
            };
            let pairs = groups.chunks(2).map(|pair| PairedTask {
                before: pair[0].clone(),
                after: pair[1].clone(),
            });
            let found = difference_on_these_tasks(&pairs.collect::<Vec<_>>(), scale).unwrap();
            let interval = found.interval.unwrap();
            let mut results = vec![found.value, interval.low, interval.high];
            // Drawn ways are not the same ones elsewhere.
            if found.test.test == Test::StratifiedExact {
                results.push(found.test.p);
            }
            results
        }
        other => panic!("there is no function {other}"),
    }
}
