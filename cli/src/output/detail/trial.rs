//! `docks runs trial`.

use docks_proto::object::RawObject;

use super::{Cell, Detail};
use crate::output::cell::Ink;
use crate::output::rows::{self, Scene, Trial};

/// Shows one trial with its results and artifact URIs.
pub(crate) fn trial(object: &RawObject, scene: Scene) -> Detail {
    let trial = Trial::of(object);
    let fields = &trial.fields;
    let mut detail = Detail::default();
    detail.title("Trial", rows::text(&fields.id));
    detail.known("Name", fields.name.text());
    detail.field("Task", rows::text(&fields.task_slug));
    detail.field("Agent", Cell::of(trial.agent()));
    detail.field("Status", trial.status(scene));
    if let Some(error) = trial.error() {
        detail.field("Error", Cell::new(error).ink(Some(Ink::Red)));
    }
    detail.field("Duration", trial.duration());
    detail.field(
        "Created",
        super::evaluation::moment(&fields.created_at, scene),
    );
    results(&mut detail, &trial);
    artifacts(&mut detail, &trial);
    detail
}

fn results(detail: &mut Detail, trial: &Trial) {
    let result = &trial.result;
    let shown_above = trial.error();
    let detailed = result.error_message.text();
    let known = [
        ("Reward", result.reward.text()),
        ("Tests Passed", trial.tests()),
        ("Tokens", result.prompt_tokens.text()),
        ("Error Code", result.error_code.text()),
        (
            "Error Detail",
            detailed.filter(|_| result.error_message.text() != shown_above),
        ),
    ];
    if known.iter().all(|(_, value)| value.is_none()) {
        return;
    }
    detail.heading("Results");
    for (label, value) in known {
        if let Some(text) = value {
            detail.inner(label, Cell::new(text));
        }
    }
}

fn artifacts(detail: &mut Detail, trial: &Trial) {
    let fields = &trial.fields;
    let known = [
        ("Logs", fields.logs_uri.text()),
        ("Trajectory", fields.trajectory_uri.text()),
        ("Diff", fields.diff_uri.text()),
        ("Result", fields.result_uri.text()),
    ];
    detail.heading("Artifacts");
    if known.iter().all(|(_, uri)| uri.is_none()) {
        detail.block("none");
    }
    for (label, uri) in known {
        if let Some(uri) = uri {
            detail.inner(label, Cell::new(uri));
        }
    }
}
