//! Answers for the public Python client (`docks-cli`), in the words that it counts with.
//!
//! Its reports know five statuses of trials and count every other one as pending, take rates for percents, know no
//! verdict but numbers of tests, and stop at some nulls. `docs/hub.md` says what it is told, and what cannot be
//! told to it. Everybody else gets the objects as they are.

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Whether a request is from the public Python client: made with httpx, and with a content type although it has no
/// content. It has no name of its own.
pub(super) fn is_python_client(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let agent = text(header::USER_AGENT).unwrap_or_default();
    agent.starts_with("python-httpx/") && text(header::CONTENT_TYPE) == Some("application/json")
}

/// Rewrites a list or an object; what is neither stays as it is.
pub(super) fn rewrite(body: &Bytes) -> Bytes {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        return body.clone();
    };
    match &mut value {
        Value::Array(objects) => {
            for object in objects.iter_mut().filter_map(Value::as_object_mut) {
                rewrite_object(object);
            }
        }
        Value::Object(object) => rewrite_object(object),
        _ => return body.clone(),
    }
    Bytes::from(value.to_string())
}

fn rewrite_object(object: &mut Map<String, Value>) {
    if object.contains_key("run_id") {
        rewrite_trial(object);
    }
    if let Some(lines) = object.get_mut("leaderboard").and_then(Value::as_array_mut) {
        let rates = lines
            .iter_mut()
            .filter_map(|line| line.get_mut("avg_pass_rate"));
        for rate in rates {
            if let Some(share) = rate.as_f64() {
                *rate = json!(share * 100.0);
            }
        }
    }
    // Where a key may be missing it has a default; it calculates with a null.
    object.retain(|_, value| !value.is_null());
    if let Some(result) = object.get_mut("result_data").and_then(Value::as_object_mut) {
        result.retain(|_, value| !value.is_null());
    }
}

fn rewrite_trial(trial: &mut Map<String, Value>) {
    let status = trial
        .get("status")
        .and_then(Value::as_str)
        .unwrap_or_default();
    // Solved in spite of an exception, as after a time-out.
    let solved = trial
        .get("harbor")
        .and_then(|harbor| harbor["solved"].as_bool());
    let (word, passed) = match status {
        "passed" | "success" => ("completed", Some(true)),
        "error" | "cancelled" if solved == Some(true) => ("completed", Some(true)),
        "failed" | "error" => ("failed", Some(false)),
        // The only one of its words that says neither success nor failure nor that it waits.
        "cancelled" => ("partial", Some(false)),
        other => (other, None),
    };
    let word = word.to_owned();
    let Some(passed) = passed else {
        return;
    };
    let has_message = trial.get("error_message").is_some_and(Value::is_string);
    if word == "failed" && !has_message {
        let reward = trial.get("result_data").map(|result| &result["reward"]);
        let text = match reward.filter(|reward| reward.is_number()) {
            Some(reward) => format!("no error; the reward is {reward}"),
            None => "no error and no full reward".to_owned(),
        };
        trial.insert("error_message".to_owned(), text.into());
    }
    // Without numbers of tests, the verdict of the verifier is one test.
    if let Some(result) = trial.get_mut("result_data").and_then(Value::as_object_mut)
        && result.get("tests_total").and_then(Value::as_u64).is_none()
    {
        result.insert("tests_total".to_owned(), json!(1));
        result.insert("tests_passed".to_owned(), json!(u8::from(passed)));
    }
    trial.insert("status".to_owned(), word.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> Value {
        let body = rewrite(&Bytes::copy_from_slice(text.as_bytes()));
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn trials_have_statuses_and_tests_that_its_reports_count() {
        for (status, more, word, tests) in [
            ("passed", "", "completed", json!([1, 1])),
            ("failed", "", "failed", json!([0, 1])),
            (
                "error",
                r#","harbor":{"solved":false}"#,
                "failed",
                json!([0, 1]),
            ),
            (
                "error",
                r#","harbor":{"solved":true}"#,
                "completed",
                json!([1, 1]),
            ),
            ("cancelled", "", "partial", json!([0, 1])),
            ("completed", "", "completed", json!([null, null])),
            ("running", "", "running", json!([null, null])),
            ("new-word", "", "new-word", json!([null, null])),
        ] {
            let trial = rewritten(&format!(
                r#"[{{"id":"t","run_id":"r","status":"{status}","result_data":{{"reward":0.5}}{more}}}]"#
            ));
            assert_eq!(trial[0]["status"], word, "{status}");
            let result = &trial[0]["result_data"];
            assert_eq!(
                json!([result["tests_passed"], result["tests_total"]]),
                tests,
                "{status}"
            );
        }
        let counted = rewritten(
            r#"{"run_id":"r","status":"failed","result_data":{"tests_passed":2,"tests_total":3,"cost_usd":null}}"#,
        );
        assert_eq!(
            counted["result_data"],
            json!({"tests_passed": 2, "tests_total": 3})
        );
    }

    #[test]
    fn runs_have_percents_and_no_nulls_and_other_text_stays() {
        let run = rewritten(
            r#"{"id":"r","completed_at":null,"status":"completed","leaderboard":[{"avg_pass_rate":0.625,"failed_count":3},{}]}"#,
        );
        assert_eq!(run["leaderboard"][0]["avg_pass_rate"], 62.5);
        assert!(run.get("completed_at").is_none());
        assert_eq!(run["status"], "completed");
        let body = Bytes::from_static(b"no JSON");
        assert_eq!(rewrite(&body), body);
    }

    #[test]
    fn other_programs_are_not_taken_for_it() {
        let headers = |agent: &'static str, content: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::USER_AGENT, agent.parse().unwrap());
            if let Some(content) = content {
                headers.insert(header::CONTENT_TYPE, content.parse().unwrap());
            }
            is_python_client(&headers)
        };
        assert!(headers("python-httpx/0.28.1", Some("application/json")));
        assert!(!headers("python-httpx/0.28.1", None));
        assert!(!headers("docks/0.1.0", Some("application/json")));
        assert!(!is_python_client(&HeaderMap::new()));
    }
}
