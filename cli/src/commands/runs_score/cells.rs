//! The figures of a row as text: short for people, complete for programs.

use docks_proto::comparison::RateFigure;
use docks_proto::score::{KFigure, RowKey, ScoreRow};

use crate::output::figures;
use crate::output::known;

/// The keys of rows, each with what a row says.
pub(super) fn keys(key: &RowKey) -> [(&'static str, Option<&str>); 4] {
    [
        ("agent", key.agent.as_deref()),
        ("model", key.model.as_deref()),
        ("dataset", key.dataset.as_deref()),
        ("run", key.run.as_deref()),
    ]
}

/// What a row is called.
pub(super) fn label(key: &RowKey) -> String {
    let parts = keys(key).into_iter().filter_map(|(_, text)| text);
    let parts: Vec<&str> = parts.filter(|text| !text.is_empty()).collect();
    figures::or_dash(&parts.join(" "))
}

/// Returns the k whose pass@k is shown: the largest for which a row has it of all of its tasks, if that is more than 1.
pub(super) fn shown_k(rows: &[ScoreRow]) -> Option<u64> {
    let figures = rows.iter().flat_map(|row| &row.pass_at_k);
    let complete = figures.filter(|figure| figure.n == figure.of && figure.k > 1);
    complete.map(|figure| figure.k).max()
}

/// pass@k or pass^k for this k.
pub(super) fn by_k(figures: &[KFigure], k: u64) -> String {
    let figure = figures.iter().find(|figure| figure.k == k);
    let text = figure.and_then(|figure| {
        let text = format!("{:.1} %", 100.0 * figure.value?);
        Some(known::of(text, figure.n, figure.of))
    });
    text.unwrap_or_else(figures::dash)
}

/// Tasks on which a row leads, alone and with others.
pub(super) fn leads(row: &ScoreRow) -> String {
    match row.shares_lead {
        0 => row.leads.to_string(),
        shared => format!("{} (+{shared} shared)", row.leads),
    }
}

pub(super) fn frontier(row: &ScoreRow) -> &'static str {
    match row.frontier {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    }
}

/// Headings and values of a row for programs; what is not known is empty.
pub(super) fn complete(row: &ScoreRow, k: Option<u64>) -> Vec<(&'static str, String)> {
    let share =
        |rate: Option<RateFigure>, end: fn(RateFigure) -> f64| figures::exact(rate.map(end));
    let at_k = |figures: &[KFigure]| {
        let figure = figures.iter().find(|figure| Some(figure.k) == k);
        figures::exact(figure.and_then(|figure| figure.value))
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let RowKey {
        agent,
        model,
        dataset,
        run_id,
        run,
    } = &row.key;
    vec![
        ("agent", text(agent)),
        ("model", text(model)),
        ("dataset", text(dataset)),
        ("run", text(run)),
        ("run_id", text(run_id)),
        ("runs", row.runs.to_string()),
        ("trials", row.trials.to_string()),
        ("ended", row.ended.to_string()),
        ("known", row.known.to_string()),
        ("solved", row.solved.to_string()),
        ("rate", share(row.rate, |rate| rate.value)),
        ("low", share(row.rate, |rate| rate.low)),
        ("high", share(row.rate, |rate| rate.high)),
        ("valid", row.valid.to_string()),
        ("rate_of_valid", share(row.rate_of_valid, |rate| rate.value)),
        ("k", k.map_or_else(String::new, |k| k.to_string())),
        ("pass_at_k", at_k(&row.pass_at_k)),
        ("pass_hat_k", at_k(&row.pass_hat_k)),
        ("mean_reward", figures::exact(row.mean_reward.value)),
        ("mean_reward_n", row.mean_reward.n.to_string()),
        ("cost_usd", figures::exact(row.cost_usd.value)),
        ("cost_n", row.cost_usd.n.to_string()),
        (
            "cost_per_trial_usd",
            figures::exact(row.cost_per_trial_usd.value),
        ),
        (
            "cost_per_solved_usd",
            figures::exact(row.cost_per_solved_usd.value),
        ),
        ("tokens", figures::exact(row.tokens.value)),
        ("tokens_n", row.tokens.n.to_string()),
        ("mean_duration_s", figures::exact(row.mean_duration_s.value)),
        ("median_duration_s", figures::exact(row.median_duration_s)),
        ("duration_n", row.mean_duration_s.n.to_string()),
        ("errored", row.errored.to_string()),
        ("infrastructure", row.infrastructure.to_string()),
        ("leads", row.leads.to_string()),
        ("shares_lead", row.shares_lead.to_string()),
        (
            "frontier",
            row.frontier.map_or_else(String::new, |on| on.to_string()),
        ),
    ]
}
