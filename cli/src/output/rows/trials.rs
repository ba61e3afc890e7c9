//! Columns of `docks runs trials`.

use std::time::Duration;

use docks_proto::object::{RawObject, TrialFields, TrialResult};

use super::{Cell, Fit, Ink, Rows, Scene, Show, Spec, id, status, text, time};
use crate::output::when;

/// A trial's own fields and those of its `result_data`, whichever form that has.
#[derive(Debug)]
pub(crate) struct Trial {
    /// Its own fields.
    pub(crate) fields: TrialFields,
    /// Its result.
    pub(crate) result: TrialResult,
}

impl Trial {
    /// Reads a trial.
    pub(crate) fn of(object: &RawObject) -> Self {
        Self {
            fields: TrialFields::of(object),
            result: TrialResult::of_trial(object),
        }
    }

    /// Returns the agent variant under its newer or older name.
    pub(crate) fn agent(&self) -> Option<String> {
        let newer = self.fields.agent_variant.text();
        newer.or_else(|| self.fields.variant_name.text())
    }

    /// Returns what went wrong, from wherever it is said.
    pub(crate) fn error(&self) -> Option<String> {
        let places = [
            &self.fields.error_message,
            &self.result.error_message,
            &self.result.error,
            &self.result.error_code,
        ];
        places.into_iter().find_map(|place| place.text())
    }

    /// Returns the tests that passed, of all where that is known.
    pub(crate) fn tests(&self) -> Option<String> {
        let passed = self.result.tests_passed.text();
        match (passed, self.result.tests_total.text()) {
            (Some(passed), Some(total)) => Some(format!("{passed}/{total}")),
            (passed, _) => passed,
        }
    }

    /// Returns the reward, shortened at a terminal.
    fn reward(&self) -> Cell {
        let reward = &self.result.reward;
        match reward.number() {
            Some(number) if number.fract() != 0.0 => {
                let short = format!("{number:.3}");
                text(reward).shown(short.trim_end_matches('0').trim_end_matches('.'))
            }
            _ => text(reward),
        }
    }

    /// Returns the wall time.
    pub(crate) fn duration(&self) -> Cell {
        let own = &self.fields.duration_seconds;
        let of_result = &self.result.duration_seconds;
        match own.number().or_else(|| of_result.number()) {
            Some(seconds) => Cell::new(seconds.to_string()).shown(when::lasting(seconds)),
            None => Cell::missing(),
        }
    }

    fn artifacts(&self) -> Cell {
        let f = &self.fields;
        let uris = [&f.logs_uri, &f.trajectory_uri, &f.diff_uri, &f.result_uri];
        let count = uris.iter().filter(|uri| uri.text().is_some()).count();
        match count {
            0 => Cell::missing(),
            _ => Cell::new(count.to_string()),
        }
    }

    pub(crate) fn status(&self, scene: Scene) -> Cell {
        // One that says why it never ran does not move any more, however old the answer is.
        let moving = self.error().is_none();
        let age = if moving { scene.age } else { Duration::ZERO };
        status(&self.fields.status, Scene { age, ..scene })
    }
}

/// Trials of an evaluation run.
pub(crate) const TRIALS: Rows<Trial> = Rows {
    read: Trial::of,
    none: "no trials found",
    columns: &[
        Spec::new("id", "ID", Fit::Id, Show::Always, |trial, _| {
            id(&trial.fields.id)
        }),
        Spec::new("task", "TASK", Fit::Text(10), Show::Room, |trial, _| {
            text(&trial.fields.task_slug)
        }),
        Spec::new("agent", "AGENT", Fit::Text(6), Show::Room, |trial, _| {
            Cell::of(trial.agent())
        }),
        Spec::new("status", "STATUS", Fit::Whole, Show::Always, Trial::status),
        Spec::number("reward", "REWARD", Show::Room, |trial, _| trial.reward()),
        Spec::number("tests", "TESTS", Show::Room, |trial, _| {
            Cell::of(trial.tests())
        }),
        Spec::number("duration", "DURATION", Show::Room, |trial, _| {
            trial.duration()
        }),
        Spec::new("error", "ERROR", Fit::Text(10), Show::Wanted, |trial, _| {
            Cell::of(trial.error()).ink(Some(Ink::Red))
        }),
        Spec::new("name", "NAME", Fit::Text(10), Show::Asked, |trial, _| {
            text(&trial.fields.name)
        }),
        Spec::new(
            "created",
            "CREATED",
            Fit::Whole,
            Show::Asked,
            |trial, scene| time(&trial.fields.created_at, scene),
        ),
        Spec::new(
            "completed",
            "COMPLETED",
            Fit::Whole,
            Show::Asked,
            |trial, scene| time(&trial.fields.completed_at, scene),
        ),
        Spec::number("artifacts", "ARTIFACTS", Show::Asked, |trial, _| {
            trial.artifacts()
        }),
        Spec::number("tokens", "TOKENS", Show::Asked, |trial, _| {
            text(&trial.result.prompt_tokens)
        }),
    ],
};
