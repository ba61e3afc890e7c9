//! Columns of `docks runs eval-list`.

use docks_proto::object::RunFields;

use super::{Cell, Fit, Rows, Show, Spec, id, status, text, time};

/// Evaluation runs.
pub(crate) const EVALUATIONS: Rows<RunFields> = Rows {
    read: RunFields::from_object,
    none: "no evaluation runs found",
    columns: &[
        Spec::new("id", "ID", Fit::Id, Show::Always, |run, _| id(&run.id)),
        Spec::new("name", "NAME", Fit::Text(10), Show::Room, |run, _| {
            text(&run.name)
        }),
        Spec::new(
            "status",
            "STATUS",
            Fit::Whole,
            Show::Always,
            |run, scene| status(&run.status, scene),
        ),
        Spec::number("trials", "TRIALS", Show::Room, |run, _| progress(run)),
        Spec::number("pass-rate", "PASSED", Show::Room, |run, _| pass_rate(run)),
        Spec::new(
            "created",
            "CREATED",
            Fit::Whole,
            Show::Room,
            |run, scene| time(&run.created_at, scene),
        ),
        Spec::new(
            "completed",
            "COMPLETED",
            Fit::Whole,
            Show::Asked,
            |run, scene| time(&run.completed_at, scene),
        ),
        Spec::new(
            "dataset",
            "DATASET",
            Fit::Text(10),
            Show::Asked,
            |run, _| text(&run.dataset_uri),
        ),
        Spec::new("remote", "REMOTE", Fit::Text(10), Show::Asked, |run, _| {
            text(&run.remote_ref)
        }),
        Spec::number("passed", "PASSED TRIALS", Show::Asked, |run, _| {
            text(&run.passed_trials)
        }),
        Spec::number("failed", "FAILED TRIALS", Show::Asked, |run, _| {
            text(&run.failed_trials)
        }),
    ],
};

/// Ended trials of all.
fn progress(run: &RunFields) -> Cell {
    match (run.completed_trials.text(), run.total_trials.text()) {
        (None, None) => Cell::missing(),
        (done, total) => {
            let number = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            Cell::new(format!("{}/{}", number(done), number(total)))
        }
    }
}

/// Share of the ended trials that passed.
pub(crate) fn pass_rate(run: &RunFields) -> Cell {
    let number = |value: Option<f64>| value.filter(|n| *n >= 0.0);
    let passed = number(run.passed_trials.number());
    let judged = number(run.failed_trials.number())
        .zip(passed)
        .map(|(f, p)| f + p);
    let ended = number(run.completed_trials.number()).or(judged);
    match (passed, ended) {
        (Some(passed), Some(ended)) if ended > 0.0 && passed <= ended => {
            Cell::new(format!("{:.4}", passed / ended))
                .shown(format!("{:.0}%", passed / ended * 100.0))
        }
        _ => Cell::missing(),
    }
}
