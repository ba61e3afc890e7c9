//! Jobs of a server as objects.

use docks_proto::object::RawObject;
use serde_json::Value;

use super::*;

const RESULT: &str = r#"{"id":"b","task_name":"tiny/hello","agent_info":{"name":"coder","version":"2",
    "model_info":{"name":"m","provider":"acme"}},"agent_result":null,"verifier_result":{"rewards":{"reward":0.5,"speed":1}},
    "exception_info":{"exception_type":"AgentTimeoutError","exception_message":"too slow: 9 s"},"reward_valid":true,
    "environment_setup":{"started_at":"2026-11-29T08:00:00Z","finished_at":"2026-11-29T08:00:01.25Z"},
    "step_results":[{"step_name":"one","agent_result":{"n_input_tokens":3,"n_output_tokens":1,"cost_usd":0.25},
    "verifier_result":{"rewards":{"reward":0.5}},"exception_info":null}]}"#;

fn attempt(id: &str, state: ServedState) -> ServedAttempt {
    ServedAttempt {
        id: id.into(),
        name: "hello__x".into(),
        state,
        created_us: Some(1_000_000),
        started_us: Some(2_000_000),
        finished_us: state.has_ended().then_some(3_500_000),
        task: "hello".into(),
        source: None,
        agent: "my.module:Coder".into(),
        agent_version: None,
        model: Some("acme/m".into()),
        input_tokens: None,
        cache_tokens: None,
        output_tokens: None,
        cost_usd: None,
        rewards: Vec::new(),
        error_type: None,
        phase: None,
        artifacts: ServedArtifacts::default(),
        result: None,
    }
}

fn job(state: ServedState) -> ServedJob<'static> {
    ServedJob {
        id: "j",
        name: "nightly",
        url: "http://h/jobs/j",
        state,
        config: "{}",
        created_us: Some(1),
        started_us: Some(2),
        updated_us: Some(3),
        finished_us: state.has_ended().then_some(3),
    }
}

fn objects(chains: &[Vec<&ServedAttempt>]) -> Vec<RawObject> {
    let trials = ServedTrials::Known(chains.to_vec());
    let download = |uri: &str| format!("http://h/download?uri={uri}");
    trial_objects(&job(ServedState::Running), &trials, &download).unwrap()
}

fn parsed(object: &RawObject) -> Value {
    serde_json::from_str(object.text()).unwrap()
}

fn shown(attempt: &ServedAttempt) -> (String, String) {
    let trial = parsed(&objects(&[vec![attempt]])[0]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&trial["status"]), text(&trial["harbor"]["state"]))
}

#[test]
fn a_trial_has_the_status_of_its_newest_attempt_and_the_id_of_its_first() {
    let (first, second) = (
        attempt("a", ServedState::Finished),
        attempt("b", ServedState::Queued),
    );
    let trial = parsed(&objects(&[vec![&second, &first]])[0]);
    assert_eq!(
        (&trial["id"], &trial["status"]),
        (&"a".into(), &"pending".into())
    );
    assert_eq!(trial["harbor"]["attempts"], serde_json::json!(["b", "a"]));
    assert_eq!(trial["harbor"]["phase"], "waiting_for_retry");
    assert_eq!(trial["harbor"]["trial_uuid"], "b");
}

#[test]
fn each_state_has_its_status() {
    let with = |state, change: &dyn Fn(&mut ServedAttempt)| {
        let mut attempt = attempt("a", state);
        change(&mut attempt);
        shown(&attempt)
    };
    let pair = |status: &str, word: &str| (status.to_owned(), word.to_owned());
    let reward = |value| move |a: &mut ServedAttempt| a.rewards = vec![("reward".into(), value)];
    let none = |_: &mut ServedAttempt| ();
    assert_eq!(with(ServedState::Paused, &none), pair("pending", "paused"));
    assert_eq!(
        with(ServedState::Running, &none),
        pair("running", "running")
    );
    let agent = |a: &mut ServedAttempt| a.phase = Some(ServedPhase::Agent);
    assert_eq!(with(ServedState::Running, &agent), pair("running", "agent"));
    assert_eq!(
        with(ServedState::Cancelling, &none),
        pair("running", "stopping")
    );
    assert_eq!(
        with(ServedState::Finished, &reward(Some(1.0))),
        pair("passed", "finished")
    );
    assert_eq!(
        with(ServedState::Finished, &reward(Some(0.9))),
        pair("failed", "finished")
    );
    assert_eq!(
        with(ServedState::Finished, &none),
        pair("completed", "finished")
    );
    let error = |a: &mut ServedAttempt| a.error_type = Some("ApiError".into());
    assert_eq!(
        with(ServedState::Finished, &error),
        pair("error", "finished")
    );
    // A server that was killed after the cancellation writes another exception.
    let killed = |a: &mut ServedAttempt| a.error_type = Some("RuntimeError".into());
    assert_eq!(
        with(ServedState::Cancelled, &killed),
        pair("cancelled", "cancelled")
    );
    let unstarted = |a: &mut ServedAttempt| a.started_us = None;
    assert_eq!(
        with(ServedState::Cancelled, &unstarted),
        pair("cancelled", "never_started")
    );
}

#[test]
fn a_result_is_read_back_from_the_trial_that_was_built_of_it() {
    let mut first = attempt("b", ServedState::Finished);
    first.result = AttemptResult::parse(RESULT);
    first.error_type = Some("AgentTimeoutError".into());
    let built = objects(&[vec![&first]]);
    let trial = parsed(&built[0]);
    assert_eq!(trial["status"], "error");
    assert_eq!(trial["error_message"], "AgentTimeoutError: too slow: 9 s");
    assert_eq!(trial["harbor"]["phase_seconds"]["environment_setup"], 1.25);
    let (id, result) = AttemptResult::recall(&built[0]).unwrap();
    assert_eq!(id, "b");
    let again = ServedAttempt {
        result: Some(result),
        ..first.clone()
    };
    assert_eq!(objects(&[vec![&again]])[0].text(), built[0].text());
    first.result = None;
    assert!(AttemptResult::recall(&objects(&[vec![&first]])[0]).is_none());
}

#[test]
fn counted_trials_give_the_same_counts_as_read_ones() {
    let solved = ServedAttempt {
        rewards: vec![("reward".into(), Some(1.0))],
        ..attempt("a", ServedState::Finished)
    };
    let failed = ServedAttempt {
        error_type: Some("ApiError".into()),
        ..attempt("b", ServedState::Finished)
    };
    let queued = attempt("c", ServedState::Queued);
    let known = ServedTrials::Known(vec![vec![&solved], vec![&failed], vec![&queued]]);
    let kind = |state, has_error, is_solved| ServedCount {
        state,
        is_retry: false,
        has_error,
        has_reward: is_solved,
        is_solved,
        count: 1,
    };
    let kinds = [
        kind(ServedState::Finished, false, true),
        kind(ServedState::Finished, true, false),
        kind(ServedState::Queued, false, false),
    ];
    let of = |trials: &ServedTrials<'_>| {
        let [_, evaluation] = job_objects(&job(ServedState::Running), trials).unwrap();
        parsed(&evaluation)
    };
    let (read, counted) = (of(&known), of(&ServedTrials::Counted(&kinds)));
    for key in [
        "total_trials",
        "completed_trials",
        "passed_trials",
        "failed_trials",
        "status",
    ] {
        assert_eq!(read[key], counted[key], "{key}");
    }
    assert_eq!(read["harbor"]["trials"], counted["harbor"]["trials"]);
    assert_eq!(counted["harbor"]["complete"], false);
}

#[test]
fn files_are_listed_as_in_a_jobs_directory_at_the_download_route() {
    let base = "file:///d/rollouts/a/hello__x/";
    let paths = [
        "agent/",
        "agent/setup/stdout.txt",
        "agent/my.module:Coder.txt",
        "agent/z.txt",
        "artifacts/out/x.patch",
        "verifier/reward.txt",
        "trial.log",
        "result.json",
        "../evil.txt",
    ];
    let uris: Vec<String> = paths.iter().map(|path| format!("{base}{path}")).collect();
    let files = paths.iter().copied().zip(uris.iter().map(String::as_str));
    let one = ServedAttempt {
        artifacts: ServedArtifacts::new(files),
        ..attempt("a", ServedState::Finished)
    };
    let trial = parsed(&objects(&[vec![&one]])[0]);
    let listed = trial["harbor"]["artifacts"].as_array().unwrap();
    let listed: Vec<String> = listed
        .iter()
        .map(|file| {
            format!(
                "{} {}",
                file["type"].as_str().unwrap(),
                file["path"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        listed,
        [
            "logs agent/my.module:Coder.txt",
            "logs agent/z.txt",
            "logs agent/setup/stdout.txt",
            "logs trial.log",
            "diff artifacts/out/x.patch",
            "result result.json",
            "result verifier/reward.txt",
        ]
    );
    let uri = trial["result_uri"].as_str().unwrap();
    assert_eq!(uri, format!("http://h/download?uri={base}result.json"));
}

#[test]
fn a_job_that_waits_for_a_resume_says_so() {
    let paused = attempt("a", ServedState::Paused);
    let trials = ServedTrials::Known(vec![vec![&paused]]);
    let [run, _] = job_objects(&job(ServedState::Paused), &trials).unwrap();
    let run = parsed(&run);
    assert_eq!(
        (&run["status"], &run["harbor"]["state"]),
        (&"running".into(), &"paused".into())
    );
    let reason = run["status_reason"].as_str().unwrap();
    assert!(reason.contains("docks runs resume"), "{reason}");
}
