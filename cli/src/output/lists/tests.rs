use super::*;

fn objects(texts: &[&str]) -> Vec<RawObject> {
    texts
        .iter()
        .map(|text| RawObject::parse(text).unwrap().unwrap())
        .collect()
}

fn row_context(age_s: u64) -> RowContext {
    RowContext {
        now: UnixMs::parse("2026-11-24T03:00:00Z").unwrap(),
        age: Duration::from_secs(age_s),
    }
}

fn draw<R>(rows: &ListColumns<R>, texts: &[&str], width: usize, age_s: u64) -> String {
    let specs = rows.select(&[]).unwrap();
    rows.table(&objects(texts), &specs, row_context(age_s))
        .render(width, false)
        .text
}

const RUN_TEXTS: &[&str] = &[
    r#"{"id":"3f2c9a10-5b1e-4c6b-9d6b-000000000001","template_name":"swe","status":"running","created_at":"2026-11-24T02:57:00Z"}"#,
    r#"{"id":"8a2c9a10-5b1e-4c6b-9d6b-000000000002","template_id":7,"status":"failed","created_at":"2026-11-24T03:00:10+00:00"}"#,
    r#"{"id":null,"template_name":null,"status":null,"created_at":null}"#,
    r#"{"id":"9","status":{"x":1},"created_at":"not a time"}"#,
];

#[test]
fn runs_are_readable_and_a_null_affects_no_other_row() {
    insta::assert_snapshot!(draw(&RUNS, RUN_TEXTS, 80, 0));
}

#[test]
fn active_rows_of_an_old_answer_show_its_age() {
    let text = draw(&RUNS, RUN_TEXTS, 80, 12 * 60);
    assert!(text.contains("running (12m ago)"), "{text}");
    assert!(!text.contains("failed ("), "{text}");
    assert!(!draw(&RUNS, RUN_TEXTS, 80, 59).contains("running ("));
}

#[test]
fn evaluation_runs_show_progress_and_pass_rate() {
    insta::assert_snapshot!(draw(
        &EVALUATIONS,
        &[
            r#"{"id":"e1","name":"nightly","status":"running","total_trials":10,"completed_trials":4,"passed_trials":3,"created_at":"2026-11-23T03:00:00Z"}"#,
            r#"{"id":"e2","name":"","status":"queued","total_trials":null,"completed_trials":"2"}"#,
            r#"{"id":"e3","passed_trials":9,"completed_trials":0}"#,
        ],
        100,
        0
    ));
}

#[test]
fn trials_show_both_forms_of_result_data_alike() {
    insta::assert_snapshot!(draw(
        &TRIALS,
        &[
            r#"{"id":"t1","task_slug":"hello","agent_variant":"oracle","status":"success","duration_seconds":754,"result_data":{"reward":1.0,"tests_passed":3,"tests_total":4}}"#,
            r#"{"id":"t2","task_slug":null,"variant_name":"old","status":"error","result_data":"{\"reward\":0.5,\"tests_passed\":3,\"duration_seconds\":4.25,\"error\":\"boom\\nbang\"}"}"#,
            r#"{"id":"t3","task_slug":[],"agent_variant":null,"status":null,"result_data":"not json"}"#,
        ],
        120,
        0
    ));
}

#[test]
fn a_long_reward_is_short_at_a_terminal_and_whole_in_a_pipe() {
    let trials = objects(&[r#"{"id":"t","result_data":{"reward":0.14285714285714285}}"#]);
    let specs = TRIALS.select(&["reward".to_owned()]).unwrap();
    let table = TRIALS.table(&trials, &specs, row_context(0));
    assert_eq!(table.render(80, false).text, "REWARD\n 0.143\n");
    assert_eq!(table.tsv(false), "0.14285714285714285\n");
}

#[test]
fn columns_are_selected_by_name_and_unknown_ones_are_usage_errors() {
    let requested = [
        "Created".to_owned(),
        "pass_rate".to_owned(),
        "id".to_owned(),
    ];
    let selected = EVALUATIONS.select(&requested).unwrap();
    let keys: Vec<&str> = selected.iter().map(|spec| spec.key).collect();
    assert_eq!(keys, ["created", "pass-rate", "id"]);
    let failure = EVALUATIONS.select(&["colour".to_owned()]).unwrap_err();
    assert_eq!(failure.kind.exit_code(), 2);
    assert!(failure.hints[0].contains("pass-rate"));
}

#[test]
fn cost_and_tokens_of_a_run_say_of_how_many_trials_they_are_known() {
    let runs = objects(&[
        r#"{"id":"a","harbor":{"cost_usd":0.015,"cost_n":1,"trials":{"ended":89}}}"#,
        r#"{"id":"b","harbor":{"cost_usd":1.3,"cost_n":89,"input_tokens":7,"tokens_n":89,"trials":{"ended":89}}}"#,
        r#"{"id":"c","harbor":{"cost_usd":0.0004}}"#,
        r#"{"id":"d"}"#,
    ]);
    let requested = ["+cost".to_owned(), "+tokens".to_owned()];
    let specs = EVALUATIONS.select(&requested).unwrap();
    let table = EVALUATIONS.table(&runs, &specs, row_context(0));
    insta::assert_snapshot!(table.render(80, false).text);
    let narrow: Vec<String> = ["cost", "tokens"].map(str::to_owned).into();
    let specs = EVALUATIONS.select(&narrow).unwrap();
    assert_eq!(
        EVALUATIONS.table(&runs, &specs, row_context(0)).tsv(false),
        "0.015 (1/89)\t\n1.3\t7\n0.0004\t\n\t\n"
    );
}

#[test]
fn a_list_over_several_remotes_names_them_unless_that_column_is_left_out() {
    let heading = |requested: &[&str]| {
        let requested: Vec<String> = requested.iter().map(|name| (*name).to_owned()).collect();
        let table = EVALUATIONS.table_of_remotes(&[], &requested).unwrap();
        table.tsv(true).trim_end().to_ascii_lowercase()
    };
    assert!(heading(&[]).ends_with("\tremote"), "{}", heading(&[]));
    assert!(heading(&["+cost"]).ends_with("\tremote\tcost"));
    assert_eq!(heading(&["remote", "id"]), "remote\tid");
    assert_eq!(heading(&["id"]), "id");
    assert!(!heading(&["-remote"]).contains("remote"));
}

#[test]
fn a_pipe_gets_whole_values() {
    let specs = RUNS.select(&[]).unwrap();
    let table = RUNS.table(&objects(&RUN_TEXTS[..1]), &specs, row_context(900));
    assert_eq!(
        table.tsv(false),
        "3f2c9a10-5b1e-4c6b-9d6b-000000000001\tswe\trunning\t2026-11-24T02:57:00Z\n"
    );
}
