use std::time::Duration;

use docks_proto::object::RawObject;
use docks_proto::time::UnixMs;

use super::*;
use crate::output::clean;
use crate::output::lists::RowContext;

fn object(text: &str) -> RawObject {
    RawObject::parse(text).unwrap().unwrap()
}

fn row_context() -> RowContext {
    RowContext {
        now: UnixMs::parse("2026-11-24T03:00:00Z").unwrap(),
        age: Duration::ZERO,
    }
}

#[test]
fn a_run_is_shown_as_in_the_python_client() {
    let run_text = r#"{"id":"r-1","template_name":"swe","status":"failed","status_reason":"no disk",
        "created_at":"2026-11-24T02:00:00Z","task_results":[{"status":"passed"},{"status":"error"},{},null]}"#;
    insta::assert_snapshot!(run(&object(run_text), row_context()).render(false));
}

#[test]
fn an_evaluation_run_shows_its_leaderboard() {
    let text = r#"{"id":"e-1","name":"nightly","status":"completed","dataset_uri":"gs://b/d",
        "total_trials":10,"completed_trials":10,"passed_trials":7,"failed_trials":3,
        "created_at":"2026-11-24T02:00:00Z","completed_at":"2026-11-24T02:30:00Z",
        "leaderboard":[{"variant_name":"oracle","trial_count":5,"avg_pass_rate":0.9,"completed_count":5,"failed_count":0},
        {"variant_name":null,"avg_pass_rate":"x"},7]}"#;
    insta::assert_snapshot!(evaluation(&object(text), row_context(), None).render(false));
}

#[test]
fn a_trial_shows_results_and_artifacts_from_both_forms() {
    let text = r#"{"id":"t-1","task_slug":"hello","variant_name":"old","status":"error",
        "result_data":"{\"reward\":0,\"error_code\":\"E1\",\"error_message\":\"boom\"}",
        "logs_uri":"gs://b/logs.txt","diff_uri":""}"#;
    insta::assert_snapshot!(trial(&object(text), row_context(), None).render(false));
}

#[test]
fn hostile_objects_produce_no_control_characters() {
    let bad = "\\u001b[2J\\u009b\\u202e\\n\\t\\u0007x";
    let text = format!(
        r#"{{"id":"{bad}","name":"{bad}","status":"{bad}","template_name":"{bad}","dataset_uri":"{bad}",
        "task_slug":"{bad}","agent_variant":"{bad}","error_message":"{bad}","logs_uri":"{bad}",
        "created_at":"{bad}","leaderboard":[{{"variant_name":"{bad}"}}],"result_data":{{"reward":"{bad}","rewards":{{"{bad}":1,"x":2}}}}}}"#
    );
    let object = object(&text);
    for text in [
        run(&object, row_context()).render(false),
        evaluation(&object, row_context(), Some(40)).render(false),
        trial(&object, row_context(), Some(40)).render(false),
    ] {
        let harmless = |c: char| c == '\n' || !(c.is_control() || clean::is_deceptive(c));
        assert!(text.chars().all(harmless), "{text:?}");
    }
}

#[test]
fn an_empty_object_is_shown_too() {
    let nothing = object("{}");
    assert!(run(&nothing, row_context()).render(true).contains('-'));
    assert!(
        evaluation(&nothing, row_context(), None)
            .render(true)
            .contains('-')
    );
    assert!(
        trial(&nothing, row_context(), None)
            .render(true)
            .contains("none")
    );
}
