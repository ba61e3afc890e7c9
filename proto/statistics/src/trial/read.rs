//! From the object of a trial, as any kind of remote sends it, to its facts.

use std::borrow::Cow;

use docks_proto::object::{Lifecycle, Scalar, lifecycle};
use docks_proto::time::UnixMs;
use docks_proto::trial::Trial;

use super::facts::{MOST_MESSAGE_BYTES, TrialFacts};

/// Codes of errors that are no exceptions: the trial's process was gone.
const LOST_CODES: [&str; 2] = ["Lost", "NotStarted"];

impl TrialFacts<'static> {
    /// Reads the facts out of the object of a trial.
    ///
    /// A jobs directory and a `harbor serve` say what Harbor's rules make of a trial; these are trusted. What a Docks
    /// API sends is judged by its status, else by its reward.
    #[must_use]
    pub fn from_trial(trial: &Trial) -> Self {
        let fields = &trial.fields;
        let status = fields.status.text().unwrap_or_default();
        let ended = lifecycle(&status) == Lifecycle::Terminal;
        let code = trial.error_type();
        let lost = status.eq_ignore_ascii_case("error")
            && code
                .as_deref()
                .is_some_and(|code| LOST_CODES.contains(&code));
        let reward = trial.reward();
        let verdict = match (&trial.harbor.solved, ended) {
            (_, false) => Verdict::default(),
            (Scalar::Bool(solved), true) => Verdict::of_harbor(trial, *solved),
            // A trial whose process is gone has no reward, whatever comes of it later.
            _ if lost => Verdict::not_solved(),
            _ => Verdict::of_status(&status, reward),
        };
        let exceptions = match &trial.harbor.exceptions.0[..] {
            [] if lost || !ended || has_harbor_verdict(trial) => Vec::new(),
            [] => code.into_iter().collect(),
            kinds => kinds.to_vec(),
        };
        let rewards = match &trial.result.rewards.0[..] {
            [(key, _)] if key == "reward" => Vec::new(),
            rewards => rewards.to_vec(),
        };
        let is_failure = ended && verdict.solved != Some(true) || !exceptions.is_empty();
        let message = trial.error_message().filter(|_| is_failure);
        Self {
            id: owned(&fields.id),
            task: owned(&fields.task_slug),
            agent: trial.agent().unwrap_or_default().into(),
            model: trial.model().unwrap_or_default().into(),
            dataset: owned(&trial.harbor.dataset),
            ended,
            lost,
            cancelled: status.eq_ignore_ascii_case("cancelled"),
            status: status.into(),
            graded: verdict.graded,
            valid: verdict.valid,
            solved: verdict.solved,
            counts: verdict.counts,
            contradictory: verdict.contradictory,
            reward: reward.filter(|_| ended),
            counted_reward: verdict.counted_reward,
            rewards: rewards
                .into_iter()
                .map(|(key, reward)| (key.into(), reward))
                .collect(),
            exceptions: exceptions.into_iter().map(Cow::from).collect(),
            message: message
                .map(|text| shortened(&text).into())
                .unwrap_or_default(),
            cost_usd: trial.cost_usd(),
            input_tokens: trial.input_tokens().and_then(count),
            cached_tokens: trial.result.cached_tokens.number().and_then(count),
            output_tokens: trial.result.completion_tokens.number().and_then(count),
            created_ms: instant(&fields.created_at),
            started_ms: instant(&fields.started_at),
            completed_ms: instant(&fields.completed_at),
            duration_s: trial.duration_s(),
            attempt: trial.harbor.attempt.number().and_then(count),
        }
    }
}

/// How a trial ended.
#[derive(Debug, Default)]
struct Verdict {
    graded: bool,
    valid: bool,
    solved: Option<bool>,
    counts: bool,
    contradictory: bool,
    counted_reward: Option<f64>,
}

impl Verdict {
    fn not_solved() -> Self {
        Self {
            solved: Some(false),
            ..Self::default()
        }
    }

    /// What Harbor's rules say, as the object has it.
    fn of_harbor(trial: &Trial, solved: bool) -> Self {
        let rewards = &trial.result.rewards.0;
        let valid = matches!(trial.harbor.valid, Scalar::Bool(true));
        let counted_reward = trial.harbor.counted_reward.number();
        Self {
            graded: !rewards.is_empty() || trial.reward().is_some(),
            valid,
            solved: Some(solved),
            // A valid one has no reward that counts if none of several is *the* reward.
            counts: valid || counted_reward.is_some(),
            contradictory: false,
            counted_reward,
        }
    }

    /// What a remote says that grades by statuses; one that says nothing of success leaves it to the reward.
    fn of_status(status: &str, reward: Option<f64>) -> Self {
        let by_status = match status.to_ascii_lowercase().as_str() {
            "passed" | "success" => Some(true),
            "failed" | "error" | "cancelled" => Some(false),
            _ => None,
        };
        // Exactly 1, as in Harbor.
        let by_reward = reward.map(|reward| reward == 1.0);
        let graded = reward.is_some() || by_status == Some(true);
        Self {
            graded,
            valid: graded,
            solved: by_status.or(by_reward),
            counts: by_status.or(by_reward).is_some(),
            contradictory: by_status.zip(by_reward).is_some_and(|(a, b)| a != b),
            counted_reward: reward,
        }
    }
}

fn has_harbor_verdict(trial: &Trial) -> bool {
    matches!(trial.harbor.solved, Scalar::Bool(_))
}

fn owned(field: &Scalar) -> Cow<'static, str> {
    field.text().unwrap_or_default().into()
}

fn instant(field: &Scalar) -> Option<i64> {
    Some(UnixMs::parse(&field.text()?)?.0)
}

/// Reads a number of things; a negative one, or one that no integer can hold, is none.
fn count(number: f64) -> Option<u64> {
    ((0.0..9e15).contains(&number)).then_some(number as u64)
}

/// Returns the beginning of a text, up to [`MOST_MESSAGE_BYTES`].
fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(MOST_MESSAGE_BYTES);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use docks_proto::object::RawObject;
    use docks_proto::trial::UNKNOWN_ERROR;

    use super::*;

    fn facts(text: &str) -> TrialFacts<'static> {
        let object = RawObject::parse(text).unwrap().unwrap();
        TrialFacts::from_trial(&Trial::from_object(&object))
    }

    #[test]
    fn a_docks_api_is_judged_by_its_status_else_by_its_reward() {
        for (status, reward, solved, contradictory) in [
            ("passed", "1.0", Some(true), false),
            ("Success", "null", Some(true), false),
            ("passed", "0.5", Some(true), true),
            ("failed", "1", Some(false), true),
            ("failed", "0", Some(false), false),
            ("error", "null", Some(false), false),
            ("cancelled", "null", Some(false), false),
            ("completed", "1", Some(true), false),
            ("completed", "0.99", Some(false), false),
            ("completed", "null", None, false),
            ("running", "1", None, false),
            ("warming-up", "1", None, false),
        ] {
            let found = facts(&format!(
                r#"{{"status":"{status}","result_data":{{"reward":{reward}}}}}"#
            ));
            assert_eq!(
                (found.solved, found.contradictory),
                (solved, contradictory),
                "{status} {reward}"
            );
            assert_eq!(found.ended, !["running", "warming-up"].contains(&status));
        }
        let passed = facts(r#"{"status":"passed"}"#);
        assert!(passed.graded && passed.valid && passed.counted_reward.is_none());
    }

    #[test]
    fn what_harbors_rules_make_of_a_trial_comes_before_its_status() {
        let timed_out = facts(
            r#"{"id":"t__1","status":"error","error_message":"AgentTimeoutError: too long","result_data":{"reward":1.0,"rewards":{"reward":1.0},
            "error_code":"AgentTimeoutError"},"harbor":{"valid":true,"solved":true,"counted_reward":1.0,
            "exceptions":["AgentTimeoutError"],"dataset":"d","attempt":2}}"#,
        );
        assert_eq!(timed_out.solved, Some(true));
        assert!(timed_out.errored() && timed_out.valid && timed_out.graded && !timed_out.lost);
        assert_eq!(timed_out.message, "AgentTimeoutError: too long");
        assert_eq!((timed_out.attempt, &*timed_out.dataset), (Some(2), "d"));
        assert!(timed_out.rewards.is_empty());
        let rate_limited = facts(
            r#"{"status":"error","result_data":{"reward":1.0,"rewards":{"reward":1.0},"error_code":"ApiRateLimitError"},
            "harbor":{"valid":false,"solved":false,"counted_reward":null,"exceptions":["ApiRateLimitError"]}}"#,
        );
        assert_eq!(
            (rate_limited.solved, rate_limited.counted_reward),
            (Some(false), None)
        );
        assert!(rate_limited.graded && !rate_limited.valid && !rate_limited.counts);
        let crashed = facts(
            r#"{"status":"error","result_data":{"rewards":{},"error_code":"RuntimeError"},
            "harbor":{"valid":false,"solved":false,"counted_reward":0.0,"exceptions":["RuntimeError"]}}"#,
        );
        assert_eq!(
            (crashed.graded, crashed.counts, crashed.counted_reward),
            (false, true, Some(0.0))
        );
        // An exception of a step until 0.24: the code names it, but it is not the trial's.
        let step = facts(
            r#"{"status":"failed","result_data":{"reward":0,"rewards":{"reward":0},"error_code":"HealthcheckError"},
            "harbor":{"valid":true,"solved":false,"counted_reward":0,"exceptions":[]}}"#,
        );
        assert!(!step.errored());
    }

    #[test]
    fn a_lost_trial_has_ended_unsolved_and_without_an_exception() {
        for code in ["Lost", "NotStarted"] {
            let lost = facts(&format!(
                r#"{{"status":"error","error_message":"lost: gone","result_data":{{"error_code":"{code}"}},
                "harbor":{{"valid":null,"solved":null,"counted_reward":null,"exceptions":[]}}}}"#
            ));
            assert!(lost.ended && lost.lost && !lost.errored() && !lost.graded && !lost.counts);
            assert_eq!((lost.solved, lost.counted_reward), (Some(false), None));
            assert_eq!(lost.message, "lost: gone");
        }
    }

    #[test]
    fn of_a_trial_whose_folder_is_not_here_nothing_is_claimed() {
        let absent = facts(r#"{"status":"completed","harbor":{"valid":null,"solved":null}}"#);
        assert!(absent.ended && !absent.valid);
        assert_eq!(absent.solved, None);
    }

    #[test]
    fn several_rewards_cached_tokens_and_a_long_message_are_read() {
        let long = "ä".repeat(300);
        let found = facts(&format!(
            r#"{{"status":"failed","error_message":"{long}","created_at":"1970-01-01T00:00:01Z","result_data":{{"rewards":{{"speed":0.5,"style":"NaN","x":2}},
            "prompt_tokens":147,"cached_tokens":3009,"completion_tokens":-1,"cost_usd":0.25}}}}"#
        ));
        assert_eq!(found.rewards, [("speed".into(), 0.5), ("x".into(), 2.0)]);
        assert_eq!(found.input_tokens, Some(3_156));
        assert_eq!(
            (found.cached_tokens, found.output_tokens),
            (Some(3_009), None)
        );
        assert_eq!(found.message.chars().count(), MOST_MESSAGE_BYTES / 2);
        assert_eq!(
            (found.created_ms, found.cost_usd),
            (Some(1_000), Some(0.25))
        );
        assert_eq!(found.exceptions, [UNKNOWN_ERROR]);
    }
}
