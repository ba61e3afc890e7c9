//! One row: the trials of an agent, a model, a dataset or a run.

use std::collections::{BTreeMap, BTreeSet};

use docks_proto::comparison::Known;
use docks_proto::failures::FailureClass;
use docks_proto::score::{KFigure, RowKey, ScoreKey, ScoreRow};

use super::is_by;
use crate::aggregate::Aggregate;
use crate::attempts::TaskAttempts;
use crate::comparison::{known, rate_figure};
use crate::failures::RuleSet;
use crate::figures::Figures;
use crate::trial::{RunFacts, TrialFacts};

/// What the trials of a row have in common; `None` where rows are not distinguished by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey<'a> {
    agent: Option<&'a str>,
    model: Option<&'a str>,
    dataset: Option<&'a str>,
    /// Place of the run among all runs.
    run: Option<usize>,
}

impl<'a> GroupKey<'a> {
    pub(super) fn of(trial: &'a TrialFacts<'_>, run: usize, by: &[ScoreKey]) -> Self {
        Self {
            agent: is_by(by, ScoreKey::Agent).then(|| trial.agent_name()),
            model: is_by(by, ScoreKey::Model).then_some(&*trial.model),
            dataset: is_by(by, ScoreKey::Dataset).then_some(&*trial.dataset),
            run: is_by(by, ScoreKey::Run).then_some(run),
        }
    }

    pub(super) fn row_key(self, runs: &[&RunFacts]) -> RowKey {
        let run = self.run.map(|at| runs[at]);
        let owned = |text: Option<&str>| text.map(str::to_owned);
        RowKey {
            agent: owned(self.agent),
            model: owned(self.model),
            dataset: owned(self.dataset),
            run_id: run.map(|run| run.id.clone()),
            run: run.map(|run| match run.name.as_str() {
                "" => run.id.clone(),
                name => name.to_owned(),
            }),
        }
    }
}

/// The trials of a row.
#[derive(Debug, Default)]
pub(super) struct Group<'a, 'b> {
    runs: BTreeSet<usize>,
    trials: Vec<&'a TrialFacts<'b>>,
}

impl<'a, 'b> Group<'a, 'b> {
    pub(super) fn add(&mut self, run: usize, trial: &'a TrialFacts<'b>) {
        self.runs.insert(run);
        self.trials.push(trial);
    }

    /// Returns the row, and the attempts at each task. Leads and frontier are left to the caller.
    pub(super) fn row(
        self,
        key: RowKey,
        rules: &RuleSet,
    ) -> (ScoreRow, BTreeMap<String, TaskAttempts>) {
        let figures = Figures::from_trials(self.trials.iter().copied());
        let counts = &figures.counts;
        let is_infrastructure = |trial: &&&TrialFacts<'_>| {
            let reason = rules.reason(trial);
            reason.is_some_and(|reason| reason.class == FailureClass::Infrastructure)
        };
        let row = ScoreRow {
            key,
            runs: self.runs.len() as u64,
            trials: counts.trials,
            ended: counts.ended,
            known: counts.known,
            solved: counts.solved,
            valid: counts.valid,
            errored: counts.errored,
            infrastructure: self.trials.iter().filter(is_infrastructure).count() as u64,
            rate: figures.rate.map(rate_figure),
            rate_of_valid: figures.rate_of_valid.map(rate_figure),
            pass_at_k: by_k(figures.pass_at_k()),
            pass_hat_k: by_k(figures.pass_hat_k()),
            mean_reward: known(figures.mean_reward),
            cost_usd: known(figures.cost_usd),
            cost_per_trial_usd: known(figures.cost_usd.per_known()),
            cost_per_solved_usd: known(figures.cost_per_solved_usd()),
            input_tokens: known(figures.input_tokens),
            output_tokens: known(figures.output_tokens),
            tokens: known(figures.tokens),
            mean_duration_s: known(figures.mean_duration_s),
            median_duration_s: figures.median_duration_s,
            leads: 0,
            shares_lead: 0,
            frontier: self.is_cost_known().then_some(false),
        };
        (row, figures.attempts)
    }

    /// Whether the cost is known of every trial with a valid reward. One that failed before its agent began has none.
    fn is_cost_known(&self) -> bool {
        let mut valid = self.trials.iter().filter(|trial| trial.valid).peekable();
        valid.peek().is_some() && valid.all(|trial| trial.cost_usd.is_some())
    }
}

fn by_k(figures: BTreeMap<u64, Aggregate>) -> Vec<KFigure> {
    let figure = |(k, aggregate)| {
        let Known { value, n, of } = known(aggregate);
        KFigure { k, value, n, of }
    };
    figures.into_iter().map(figure).collect()
}
