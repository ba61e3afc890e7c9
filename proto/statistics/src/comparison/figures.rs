//! Figures in the form of a response.

use docks_proto::comparison::{Figures, Known, RateFigure, Side};

use super::side::{RunTrials, SideTrials};
use crate::aggregate::Aggregate;
use crate::figures;
use crate::rate::Rate;
use crate::trial::TrialFacts;

pub(super) fn figures_of<'a, 'b: 'a>(trials: impl Iterator<Item = &'a TrialFacts<'b>>) -> Figures {
    in_response(&figures::Figures::from_trials(trials))
}

fn in_response(figures: &figures::Figures) -> Figures {
    let counts = &figures.counts;
    Figures {
        attempts: counts.trials,
        ended: counts.ended,
        passed: counts.solved,
        reward: figures.mean_reward.value,
        duration_seconds: figures.mean_duration_s.value,
        cost_usd: figures.cost_usd.value,
        known: counts.known,
        valid: counts.valid,
        errored: counts.errored,
        lost: counts.lost,
        contradictory: counts.contradictory,
        reward_n: figures.mean_reward.n,
        duration_n: figures.mean_duration_s.n,
        cost_n: figures.cost_usd.n,
        tokens: known(figures.tokens),
    }
}

pub(crate) fn known(aggregate: Aggregate) -> Known {
    let Aggregate { value, n, of } = aggregate;
    Known { value, n, of }
}

pub(crate) fn rate_figure(rate: Rate) -> RateFigure {
    RateFigure {
        value: rate.value,
        low: rate.interval.low,
        high: rate.interval.high,
        solved: rate.solved,
        attempts: rate.attempts,
        tasks: rate.tasks,
    }
}

pub(super) fn side_figures(side: &SideTrials<'_>) -> Side {
    let figures = figures::Figures::from_trials(side.trials());
    let joined = |text: for<'r> fn(&'r RunTrials<'_>) -> &'r str| {
        let texts: Vec<&str> = side.runs.iter().map(text).collect();
        texts.join(",")
    };
    let remotes: Vec<&str> = side
        .runs
        .iter()
        .filter_map(|run| run.remote.as_deref())
        .collect();
    Side {
        remote: (!remotes.is_empty()).then(|| {
            let mut distinct = remotes;
            distinct.dedup();
            distinct.join(",")
        }),
        id: joined(|run| &run.run.id),
        name: joined(|run| match run.run.name.as_str() {
            "" => &run.run.id,
            name => name,
        }),
        status: joined(|run| &run.run.status),
        complete: side.runs.iter().all(|run| run.run.is_complete),
        figures: in_response(&figures),
        rate: figures.rate.map(rate_figure),
        rate_of_valid: figures.rate_of_valid.map(rate_figure),
    }
}
