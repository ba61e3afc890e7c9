//! Hostile names and planted links: nothing outside the output directory changes.

use std::os::unix::fs::symlink;

use super::server::{Answer, Server};
use super::*;

/// Eighty names; each is used as run, task and trial, with all four types.
fn hostile_names() -> Vec<String> {
    let fixed = [
        "..",
        ".",
        "",
        "/",
        "//",
        "../..",
        "../../outside/planted",
        "..\\..\\outside",
        "/etc/passwd",
        "/tmp/x",
        "a/../../../outside",
        "./../outside",
        "...",
        "....//....//outside",
        "%2e%2e%2foutside",
        "..%00/outside",
        "..\0/outside",
        "\u{2025}/outside",
        "\u{ff0e}\u{ff0e}/outside",
        "\u{2215}outside",
        "~",
        "~/outside",
        "~root",
        "-rf",
        "--output=/tmp",
        "$(touch x)",
        "`touch x`",
        "a;b|c&d",
        "*",
        "?",
        "[a-z]",
        "{a,b}",
        "'",
        "\"",
        "a\nb",
        "a\rb",
        "a\tb",
        "\u{1b}[2J",
        "\u{1b}]0;title\u{7}",
        "\u{202e}gpj.exe",
        "\u{200b}",
        "a\u{200d}b",
        "\u{feff}bom",
        "CON",
        "con.txt",
        "NUL",
        "AUX",
        "COM1",
        "LPT9.log",
        "name.",
        "name ",
        " name",
        ".hidden",
        ".ssh",
        ".git",
        "a:b",
        "C:\\Windows",
        "\\\\server\\share",
        "file:///outside",
        "http://x/y",
        "A",
        "a",
        "\u{e9}",
        "e\u{301}",
        "\u{130}",
        "i\u{307}",
        "\u{df}",
        "SS",
        "\u{1f600}",
        "planted",
        "run-1",
        "logs.json",
    ];
    let mut names: Vec<String> = fixed.iter().map(|name| (*name).to_owned()).collect();
    names.extend([
        "x".repeat(256),
        "x".repeat(5_000),
        "\u{e9}".repeat(300),
        "../".repeat(200),
        ".".repeat(300),
        "a/".repeat(300),
        format!("{}/outside", "..".repeat(10)),
        "\u{10ffff}".repeat(70),
    ]);
    names
}

fn all_types(uri: &str) -> Vec<(ArtifactType, String)> {
    ArtifactType::MAIN
        .into_iter()
        .map(|kind| (kind, uri.to_owned()))
        .collect()
}

#[tokio::test]
async fn hostile_names_stay_below_the_output_directory() {
    let names = hostile_names();
    assert_eq!(names.len() * ArtifactType::MAIN.len(), 320);
    let server = Server::start(&[("/x", Answer::Whole(b"x".to_vec()))]).await;
    let uris = all_types(&format!("{}/x", server.url));
    let setup = tempfile::tempdir().unwrap();
    std::fs::create_dir(setup.path().join("outside")).unwrap();
    std::fs::write(setup.path().join("outside/planted"), "unchanged").unwrap();
    let output = setup.path().join("target");
    std::fs::create_dir(&output).unwrap();
    let before = outside(setup.path());

    let trials: Vec<_> = names.iter().map(|name| trial(name, name, &uris)).collect();
    let mut expected = 0;
    for run in ["run-1", "../../outside", "/etc", "..", "\0"] {
        let planned = plan(run, RunName::Short, &trials, &ArtifactSelector::default());
        let observer = RecordingObserver::default();
        let sources = default_sources();
        let outcome = downloader(&sources, None, &observer)
            .fetch(&planned.requests, &output)
            .await;
        assert_eq!(outcome.failed(), 0, "{:?}", observer.failures);
        assert_eq!(outcome.finished(), 320);
        expected += 320;
        assert_eq!(
            files(&output).len(),
            expected,
            "every artifact has its own file"
        );
    }
    assert_eq!(outside(setup.path()), before);
}

#[tokio::test]
async fn planted_links_are_left_alone_and_other_files_are_written() {
    let server = Server::start(&[("/x", Answer::Whole(b"new".to_vec()))]).await;
    let uris = all_types(&format!("{}/x", server.url));
    let setup = tempfile::tempdir().unwrap();
    std::fs::create_dir(setup.path().join("outside")).unwrap();
    std::fs::write(setup.path().join("outside/secret"), "unchanged").unwrap();
    let output = setup.path().join("target");
    std::fs::create_dir_all(output.join("run-1/t_file")).unwrap();
    std::fs::create_dir_all(output.join("run-1/t_busy/logs.json")).unwrap();
    symlink("../../outside", output.join("run-1/t_dir")).unwrap();
    symlink("../../outside/new", output.join("run-1/t_dangling")).unwrap();
    symlink(
        "../../../outside/secret",
        output.join("run-1/t_file/logs.json"),
    )
    .unwrap();
    std::fs::write(output.join("run-1/t_plain"), "a file").unwrap();
    let before = outside(setup.path());

    let trials: Vec<_> = ["dir", "dangling", "file", "plain", "busy", "good"]
        .iter()
        .map(|id| trial(id, "t", &uris))
        .collect();
    let (outcome, observer) = fetch(&trials, &default_sources(), &output).await;
    let failures = observer.failures.into_inner().unwrap();
    assert_eq!(outcome.failed(), 4 + 4 + 1 + 4 + 1, "{failures:?}");
    assert!(failures.values().all(|why| why.contains("left alone")));
    assert_eq!(outside(setup.path()), before);
    let tree = snapshot(&output);
    assert!(tree["run-1/t_file/logs.json"].starts_with("link to"));
    assert_eq!(tree["run-1/t_file/diff.json"], "file new");
    assert_eq!(tree["run-1/t_good/logs.json"], "file new");
    assert!(tree.keys().all(|path| !path.ends_with(".part")));
}

#[tokio::test]
async fn a_run_directory_that_is_a_link_gets_no_file() {
    let server = Server::start(&[("/x", Answer::Whole(b"new".to_vec()))]).await;
    let setup = tempfile::tempdir().unwrap();
    std::fs::create_dir(setup.path().join("outside")).unwrap();
    let output = setup.path().join("target");
    std::fs::create_dir(&output).unwrap();
    symlink("../outside", output.join("run-1")).unwrap();
    let before = snapshot(setup.path());
    let trials = logs(format!("{}/x", server.url));
    let (outcome, _) = fetch(&trials, &default_sources(), &output).await;
    assert_eq!(outcome.failed(), 1);
    assert_eq!(snapshot(setup.path()), before);
}

/// Everything in the directory except the files below `target`.
fn outside(setup: &Path) -> BTreeMap<String, String> {
    let mut tree = snapshot(setup);
    tree.retain(|path, _| !path.starts_with("target/"));
    tree
}
