//! Names and plans of artifacts.

use std::collections::HashSet;

use super::*;
use crate::sanitise::collision_key;

fn trial(id: &str, task: &str) -> TrialArtifacts {
    TrialArtifacts {
        id: id.to_owned(),
        task: task.to_owned(),
        status: String::new(),
        uris: vec![(ArtifactType::Logs, format!("gs://b/{id}/logs.txt"))],
        files: Vec::new(),
    }
}

fn directories(trials: &[TrialArtifacts]) -> Vec<String> {
    plan("run", RunName::Short, trials, &ArtifactSelector::default())
        .requests
        .into_iter()
        .map(|r| r.directories[1].clone())
        .collect()
}

#[test]
fn names_are_the_same_as_in_the_python_client() {
    let trials = [trial("0123456789abcdef", "sum-orders")];
    let plan = plan(
        "aaaabbbb-cccc-dddd",
        RunName::Short,
        &trials,
        &ArtifactSelector::default(),
    );
    let request = &plan.requests[0];
    assert_eq!(
        request.directories,
        ["aaaabbbb-ccc", "sum-orders_0123456789ab"]
    );
    assert_eq!(request.file_name, "logs.txt");
    assert_eq!(plan.unavailable, 3);
}

#[test]
fn trials_with_the_same_first_twelve_characters_get_their_whole_ids() {
    let trials = [
        trial("hello-file__PJUAFm8", "hello"),
        trial("hello-file__xDbNiAZ", "hello"),
        trial("other", "x"),
    ];
    assert_eq!(
        directories(&trials),
        [
            "hello_hello-file__PJUAFm8",
            "hello_hello-file__xDbNiAZ",
            "x_other"
        ]
    );
    let filter = ArtifactSelector {
        trials: vec!["hello-file__PJUAFm8".to_owned()],
        ..ArtifactSelector::default()
    };
    let one = plan("run", RunName::Short, &trials, &filter).requests;
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].directories[1], "hello_hello-file__PJUAFm8");
}

#[test]
fn trials_that_some_file_system_could_merge_get_distinct_names() {
    let mut trials = vec![
        trial("ABC", "t"),
        trial("abc", "t"),
        trial("x/y", "t"),
        trial("x\\y", "t"),
        trial("\u{e9}", "t"),
        trial("e\u{301}", "t"),
        trial("", "t"),
        trial("", "t"),
        trial("c", "a_b"),
        trial("b_c", "a"),
    ];
    trials.extend((0..50).map(|n| trial(&format!("{}{n}", "z".repeat(300)), "t")));
    let names = directories(&trials);
    let folded: HashSet<String> = names.iter().map(|n| collision_key(n)).collect();
    assert_eq!(folded.len(), trials.len(), "{names:?}");
    assert!(names.iter().all(|n| n.len() <= 255));
}

#[test]
fn a_trial_listed_twice_is_downloaded_once() {
    assert_eq!(
        directories(&[trial("a", "t"), trial("b", "t"), trial("a", "u")]),
        ["t_b", "u_a"]
    );
}

#[test]
fn several_files_of_one_type_get_distinct_names() {
    let uris = [
        "file:///j/t/verifier/test-stdout.txt",
        "file:///j/t/trial.log",
        "file:///j/t/steps/1/trial.log",
    ];
    let mut one = trial("t", "sum");
    one.uris = uris.map(|uri| (ArtifactType::Logs, uri.to_owned())).into();
    let plan = plan("run", RunName::Short, &[one], &ArtifactSelector::default());
    let names: HashSet<_> = plan.requests.iter().map(|r| &r.file_name).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(plan.requests[0].file_name, "logs.txt");
}

#[test]
fn status_and_pattern_restrict_the_plan() {
    let mut trials = [trial("a", "sum"), trial("b", "fix")];
    trials[0].status = "Failed".to_owned();
    let filter = ArtifactSelector {
        statuses: vec!["failed".to_owned(), "error".to_owned()],
        ..ArtifactSelector::default()
    };
    assert_eq!(
        plan("r", RunName::Short, &trials, &filter).requests.len(),
        1
    );
    let filter = ArtifactSelector {
        pattern: Some(Pattern::parse("fix_*/logs.*").unwrap()),
        ..ArtifactSelector::default()
    };
    let planned = plan("r", RunName::Short, &trials, &filter);
    assert_eq!((planned.requests.len(), planned.excluded), (1, 1));
    assert_eq!(planned.requests[0].trial_id, "b");
}

#[test]
fn further_files_of_a_type_are_named_after_their_path_and_the_first_keeps_its_short_name() {
    use ArtifactType::{Logs, Result};
    let object = |text: &str| {
        docks_proto::object::RawObject::parse(text)
            .unwrap()
            .unwrap()
    };
    let listed = |first: &str| {
        let text = format!(
            r#"{{"id":"t","task_slug":"sum","logs_uri":"{first}","harbor":{{"artifacts":[
            {{"type":"logs","uri":"file:///j/t/steps/a/agent/coder.txt"}},
            {{"type":"logs","uri":"file:///j/t/steps/b/agent/coder.txt"}},
            {{"type":"logs","uri":"file:///j/t/trial.log"}},{{"type":"odd","uri":"x"}},7,
            {{"type":"diff","uri":"file:///j/t/x.patch"}}]}}}}"#
        );
        TrialArtifacts::from_object(&object(&text))
    };
    let names = |trial: TrialArtifacts| -> Vec<String> {
        let plan = plan(
            "run",
            RunName::Short,
            &[trial],
            &ArtifactSelector::default(),
        );
        plan.requests.into_iter().map(|r| r.file_name).collect()
    };
    assert_eq!(
        names(listed("file:///j/t/steps/a/agent/coder.txt")),
        [
            "logs.txt",
            "logs-steps_b_agent_coder.txt",
            "logs-trial.log",
            "diff.patch"
        ]
    );
    // The hub has replaced the address in the field, so the list is ignored.
    assert_eq!(
        names(listed("https://hub/x.log")),
        ["logs.log", "diff.patch"]
    );
    let mut run = trial("run", "");
    run.uris = vec![
        (Logs, "file:///j/job.log".to_owned()),
        (Result, "file:///j/result.json".to_owned()),
    ];
    let paths = |filter: &ArtifactSelector| -> Vec<String> {
        let requests = plan_run_files("run", RunName::Short, &run, filter);
        let path = |r: ArtifactRequest| format!("{}/{}", r.directories.join("/"), r.file_name);
        requests.into_iter().map(path).collect()
    };
    assert_eq!(
        paths(&ArtifactSelector::default()),
        ["run/run/logs.log", "run/run/result.json"]
    );
    let one_trial = ArtifactSelector {
        trials: vec!["t".to_owned()],
        ..ArtifactSelector::default()
    };
    assert!(paths(&one_trial).is_empty());
}

#[test]
fn files_of_other_types_keep_their_paths_and_the_four_types_stay_as_they_are() {
    let text = r#"{"id":"t","task_slug":"sum","logs_uri":"file:///j/t/agent/a.txt","harbor":{"artifacts":[
        {"type":"logs","path":"agent/a.txt","uri":"file:///j/t/agent/a.txt"}]}}"#;
    let object = docks_proto::object::RawObject::parse(text)
        .unwrap()
        .unwrap();
    let mut trial = TrialArtifacts::from_object(&object);
    let file = |path: &str, kind: &str| docks_proto::file_list::ListedFile {
        path: path.to_owned(),
        r#type: kind.to_owned(),
        size_bytes: None,
        modified_at: None,
        uri: format!("file:///j/t/{path}"),
    };
    trial.add_files(docks_proto::file_list::FileList {
        files: vec![
            file("agent/a.txt", "logs"),
            file("agent/episode-0/prompt.txt", "session"),
            file("config.json", "config"),
            file("logs.txt", "other"),
            file("trial.log", "logs"),
        ],
        ..docks_proto::file_list::FileList::default()
    });
    let trials = [trial];
    let paths = |kinds: &[ArtifactType]| -> (Vec<String>, usize) {
        let filter = ArtifactSelector {
            kinds: kinds.to_vec(),
            ..ArtifactSelector::default()
        };
        let plan = plan("r", RunName::Short, &trials, &filter);
        let paths = plan
            .requests
            .iter()
            .map(ArtifactRequest::path_in_run)
            .collect();
        (paths, plan.unavailable)
    };
    assert_eq!(paths(&[]), (vec!["sum_t/logs.txt".to_owned()], 3));
    assert_eq!(
        paths(&[ArtifactType::Config, ArtifactType::Recording]),
        (vec!["sum_t/config.json".to_owned()], 1)
    );
    let (all, unavailable) = paths(&ArtifactType::ALL);
    assert_eq!(
        [&all[..3], &all[4..]].concat(),
        [
            "sum_t/logs.txt",
            "sum_t/agent/episode-0/prompt.txt",
            "sum_t/config.json",
            "sum_t/trial.log"
        ]
    );
    assert!(all[3].starts_with("sum_t/logs.txt~"), "{}", all[3]);
    assert_eq!(unavailable, 0);
}

#[test]
fn files_of_a_harbor_server_are_named_after_what_its_download_route_is_asked_for() {
    let folder = "file%3A%2F%2F%2Fd%2Ffiles%2Frollouts%2Fr%2Ftask__x";
    let uri = |path: &str| format!("http://127.0.0.1:8390/download?uri={folder}%2F{path}");
    let mut one = trial("r", "task");
    one.uris = [
        (ArtifactType::Logs, "agent%2Fcoder.txt"),
        (ArtifactType::Logs, "trial.log"),
        (ArtifactType::Logs, "verifier%2Ftest-stdout.txt"),
        (ArtifactType::Result, "result.json"),
    ]
    .map(|(kind, path)| (kind, uri(path)))
    .to_vec();
    let filter = ArtifactSelector::default();
    let planned = plan("run", RunName::Short, &[one], &filter);
    let names: Vec<&str> = planned
        .requests
        .iter()
        .map(|r| r.file_name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "logs.txt",
            "logs-trial.log",
            "logs-verifier_test-stdout.txt",
            "result.json"
        ]
    );
}
