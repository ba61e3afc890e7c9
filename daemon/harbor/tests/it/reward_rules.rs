//! Figures by the rules of the release that wrote the job.

use std::fs;

use serde_json::{Value, json};

use crate::archives::{case, job};
use crate::support::{open_now, trials};

#[tokio::test]
async fn since_0_25_means_are_over_valid_rewards_and_a_solved_trial_may_have_an_error() {
    let (_dir, jobs) = case("harbor-0.26-valid-rewards");
    let found = job(&jobs, "j").await;
    assert_eq!(found["passed_trials"], 2);
    assert_eq!(found["failed_trials"], 2);
    let group = &found["harbor"]["groups"][0];
    assert_eq!(group["mean_reward"], 1.0);
    assert_eq!(group["pass_at_k"], json!({"1": 1.0}));
    assert_eq!(
        (&group["valid"], &group["trials"]["errored"]),
        (&json!(2), &json!(3))
    );
    let all = trials(&open_now(&jobs), found["id"].as_str().unwrap()).await;
    let of = |name: &str| all.iter().find(|t| t["id"] == name).unwrap();
    let beta = of("beta__QQQQQQ2");
    assert_eq!(
        (&beta["status"], &beta["harbor"]["solved"]),
        (&json!("error"), &json!(true))
    );
    assert_eq!(
        of("delta__QQQQQQ4")["harbor"]["counted_reward"],
        Value::Null
    );
}

#[tokio::test]
async fn the_release_in_the_lock_decides() {
    let (_dir, jobs) = case("harbor-0.26-valid-rewards");
    let lock = json!({"created_at": "2026-02-10T15:00:00Z", "harbor": {"version": "0.24.0"}, "trials": []});
    fs::write(jobs.join("j/lock.json"), lock.to_string()).unwrap();
    let group = job(&jobs, "j").await["harbor"]["groups"][0].clone();
    assert_eq!(
        (&group["mean_reward"], &group["pass_at_k"]),
        (&json!(0.5), &json!({"1": 0.5}))
    );
}

#[tokio::test]
async fn without_any_valid_reward_a_mean_is_unknown_and_never_negative_zero() {
    let (_dir, jobs) = case("harbor-0.26-valid-rewards");
    for name in ["alpha__QQQQQQ1", "beta__QQQQQQ2"] {
        fs::remove_dir_all(jobs.join("j").join(name)).unwrap();
    }
    let result = jobs.join("j/result.json");
    let text = fs::read_to_string(&result).unwrap();
    fs::write(
        &result,
        text.replace("QQQQQQ1", "x")
            .replace(r#""n_total_trials":4"#, r#""n_total_trials":2"#),
    )
    .unwrap();
    let mut value: Value = serde_json::from_str(&fs::read_to_string(&result).unwrap()).unwrap();
    value["stats"]["evals"] = json!({});
    fs::write(&result, value.to_string()).unwrap();
    let group = job(&jobs, "j").await["harbor"]["groups"][0].clone();
    assert_eq!(group["mean_reward"], Value::Null);
    assert_eq!(group["mean_rewards"], json!({}));
    let (_dir, jobs) = case("errors-lift-the-mean");
    for name in ["crashy", "steady"] {
        fs::remove_dir_all(jobs.join(name).join(format!("alpha__CCCCCC{}", &name[..1]))).unwrap();
    }
    let text = job(&jobs, "crashy").await.to_string();
    assert!(!text.contains("-0.0"), "{text}");
}

#[tokio::test]
async fn until_0_24_a_missing_reward_is_zero_and_a_solved_trial_counts_as_passed() {
    let (_dir, jobs) = case("timeout-but-solved");
    let before = job(&jobs, "before").await;
    assert_eq!(
        (&before["passed_trials"], &before["failed_trials"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(before["harbor"]["trials"]["passed_with_error"], 1);
    assert!((before["leaderboard"][0]["avg_pass_rate"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9);
    let group = &before["harbor"]["groups"][0];
    assert!((group["mean_reward"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9);
    let (_dir, jobs) = case("errors-lift-the-mean");
    for (name, mean) in [("steady", 0.625), ("crashy", 0.25)] {
        let found = job(&jobs, name).await;
        assert_eq!(found["harbor"]["groups"][0]["mean_reward"], mean, "{name}");
        let all = trials(&open_now(&jobs), found["id"].as_str().unwrap()).await;
        let counted = all
            .iter()
            .map(|t| t["harbor"]["counted_reward"].as_f64().unwrap());
        assert_eq!(counted.sum::<f64>() / 4.0, mean);
    }
}

#[tokio::test]
async fn exceptions_of_steps_are_the_trials_since_0_25() {
    let (_dir, jobs) = case("harbor-0.26-valid-rewards");
    let path = jobs.join("j/alpha__QQQQQQ1/result.json");
    let mut result: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let step = |kind: &str| json!({"step_name": kind, "exception_info": {"exception_type": kind, "exception_message": "late"}});
    result["step_results"] =
        json!([{"step_name": "ok"}, step("AgentTimeoutError"), step("ApiRateLimitError")]);
    fs::write(&path, result.to_string()).unwrap();
    let found = job(&jobs, "j").await;
    assert_eq!(
        found["harbor"]["errors"],
        json!({"AgentTimeoutError": 2, "ApiRateLimitError": 2, "EnvironmentStartTimeoutError": 1})
    );
    assert_eq!(found["harbor"]["trials"]["errored"], 4);
    let all = trials(&open_now(&jobs), found["id"].as_str().unwrap()).await;
    let alpha = all.iter().find(|t| t["id"] == "alpha__QQQQQQ1").unwrap();
    assert_eq!(
        (&alpha["status"], &alpha["harbor"]["solved"]),
        (&json!("error"), &json!(true))
    );
    assert_eq!(
        alpha["error_message"],
        "step AgentTimeoutError: AgentTimeoutError: late"
    );
    assert_eq!(alpha["result_data"]["error_code"], "AgentTimeoutError");
    // A cancelled step makes a cancelled trial.
    result["step_results"] = json!([step("AgentTimeoutError"), step("CancelledError")]);
    fs::write(&path, result.to_string()).unwrap();
    assert_eq!(job(&jobs, "j").await["harbor"]["trials"]["cancelled"], 1);
    // Until 0.24 they are told, but do not count.
    let lock = json!({"harbor": {"version": "0.24.0"}});
    fs::write(jobs.join("j/lock.json"), lock.to_string()).unwrap();
    let found = job(&jobs, "j").await;
    assert_eq!(found["harbor"]["trials"]["errored"], 3);
    let all = trials(&open_now(&jobs), found["id"].as_str().unwrap()).await;
    let alpha = all.iter().find(|t| t["id"] == "alpha__QQQQQQ1").unwrap();
    assert_eq!(alpha["status"], "passed");
    assert!(
        alpha["error_message"]
            .as_str()
            .unwrap()
            .contains("AgentTimeoutError")
    );
}

#[tokio::test]
async fn cached_tokens_beside_the_input_are_added_to_it() {
    let (_dir, jobs) = case("cached-beside-input");
    let harbor = job(&jobs, "j").await["harbor"].clone();
    assert_eq!(
        (&harbor["input_tokens"], &harbor["cache_tokens"]),
        (&json!(147), &json!(3009))
    );
    assert_eq!(harbor["all_input_tokens"], 3156);
}

#[tokio::test]
async fn a_provider_that_harbor_does_not_know_stays_in_the_models_name() {
    let (_dir, jobs) = case("harbor-0.26-valid-rewards");
    for entry in fs::read_dir(jobs.join("j")).unwrap() {
        for file in ["result.json", "config.json"] {
            let path = entry.as_ref().unwrap().path().join(file);
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            fs::write(
                &path,
                text.replace(
                    r#""name":"m-1","provider":"prov""#,
                    r#""name":"prov/m-1","provider":null"#,
                ),
            )
            .unwrap();
        }
    }
    fs::remove_file(jobs.join("j/gamma__QQQQQQ3/result.json")).unwrap();
    let found = job(&jobs, "j").await;
    let groups = found["harbor"]["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert_eq!(groups[0]["model"], "prov/m-1");
}
