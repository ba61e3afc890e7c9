//! Which files a hub sends.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::hub_support::TestHub;
use docksd_testkit::harbor_jobs::{copy_tree, samples};

const RUNS: &str = "/tenants/local/harbor/runs";

/// Collects every URL of a hub in a value.
fn urls(value: &Value, base: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with(base) => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|v| urls(v, base, found)),
        Value::Object(fields) => fields.values().for_each(|v| urls(v, base, found)),
        _ => {}
    }
}

async fn all_paths(hub: &TestHub) -> Vec<String> {
    let base = format!("http://{}", hub.address);
    let mut found = Vec::new();
    let runs = hub.get(RUNS, "").await.json();
    urls(&runs, &base, &mut found);
    for run in runs.as_array().unwrap() {
        let id = run["id"].as_str().unwrap();
        let trials = hub.get(&format!("{RUNS}/{id}/trials"), "").await.json();
        urls(&trials, &base, &mut found);
    }
    found
        .into_iter()
        .map(|url| url[base.len()..].to_owned())
        .collect()
}

fn on_disk(hub: &TestHub, path: &str) -> std::path::PathBuf {
    let below = path.split("/artifacts/").nth(1).unwrap();
    let below = &path[path.len() - below.len()..];
    let start = path.find("/artifacts/").unwrap() + "/artifacts/".len();
    assert!(path[start..].ends_with(below));
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(&path[start..]).collect();
    hub.jobs.join(String::from_utf8(decoded).unwrap())
}

#[tokio::test]
async fn every_url_in_an_object_returns_that_file() {
    let hub = TestHub::start().await;
    let paths = all_paths(&hub).await;
    assert!(paths.len() > 80, "{}", paths.len());
    for path in &paths {
        let response = hub.get(path, "Accept-Encoding: gzip\r\n").await;
        assert_eq!(response.status, 200, "{path}");
        let content = fs::read(on_disk(&hub, path)).unwrap();
        assert_eq!(response.body, content, "{path}");
        let length = content.len().to_string();
        assert_eq!(response.header("content-length"), Some(length.as_str()));
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    }
    hub.daemon.end().await;
}

#[tokio::test]
async fn an_interrupted_download_can_be_resumed() {
    let hub = TestHub::start().await;
    let paths = all_paths(&hub).await;
    let path = paths.iter().find(|p| p.ends_with("result.json")).unwrap();
    let whole = hub.get(path, "").await;
    let tag = whole.header("etag").unwrap().to_owned();
    let size = whole.body.len();
    let half = size / 2;
    let lines = format!("Range: bytes={half}-\r\nIf-Range: {tag}\r\n");
    let rest = hub.get(path, &lines).await;
    assert_eq!(rest.status, 206, "{}", rest.head);
    assert_eq!(rest.body, whole.body[half..]);
    let range = format!("bytes {half}-{}/{size}", size - 1);
    assert_eq!(rest.header("content-range"), Some(range.as_str()));
    let beyond = hub.get(path, &format!("Range: bytes={size}-\r\n")).await;
    assert_eq!((beyond.status, beyond.body.len()), (416, 0));
    let known = hub.get(path, &format!("If-None-Match: {tag}\r\n")).await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    let head = hub.request("HEAD", path, &hub.bearer()).await;
    let length = size.to_string();
    assert_eq!(head.header("content-length"), Some(length.as_str()));
    assert!(head.body.is_empty());
    // If the file has changed, its first half is useless.
    let file = on_disk(&hub, path);
    let changed = [fs::read(&file).unwrap(), b"\n".to_vec()].concat();
    fs::write(&file, &changed).unwrap();
    let again = hub.get(path, &lines).await;
    assert_eq!((again.status, again.body), (200, changed));
    hub.daemon.end().await;
}

#[tokio::test]
async fn only_files_that_are_listed_are_sent() {
    let hub = TestHub::start().await;
    let secret = hub.jobs.parent().unwrap().join("secret.txt");
    fs::write(&secret, "s3cret").unwrap();
    let paths = all_paths(&hub).await;
    let path = paths
        .iter()
        .find(|p| p.contains("/trials/") && p.ends_with(".txt"))
        .unwrap();
    assert_eq!(hub.get(path, "").await.status, 200);
    let (owner, below) = path.split_once("/artifacts/").unwrap();
    let job = below.split('/').next().unwrap();
    let trial = below.split('/').nth(1).unwrap();
    let run_owner = owner.split("/trials/").next().unwrap();
    let folder = hub.jobs.join(job).join(trial);
    symlink(&secret, folder.join("agent/link.txt")).unwrap();
    symlink("/", folder.join("outside")).unwrap();
    fs::write(hub.jobs.join("secret.txt"), "s3cret").unwrap();
    // What the lists of files name is sent, though the objects do not.
    for (owner, below) in [
        (owner, format!("{job}/{trial}/config.json")),
        (run_owner, format!("{job}/config.json")),
    ] {
        let response = hub.get(&format!("{owner}/artifacts/{below}"), "").await;
        assert_eq!(response.status, 200, "{below}");
        assert_eq!(response.body, fs::read(hub.jobs.join(&below)).unwrap());
    }
    let other = paths
        .iter()
        .find(|p| p.contains("/trials/") && !p.starts_with(owner))
        .unwrap();
    let other = other.split_once("/artifacts/").unwrap().1;
    for (owner, below) in [
        (owner, "../secret.txt".to_owned()),
        (owner, format!("{job}/../../secret.txt")),
        (owner, format!("{job}/%2e%2e/%2e%2e/secret.txt")),
        (owner, format!("{job}%2F..%2F..%2Fsecret.txt")),
        (owner, secret.to_str().unwrap().replace('/', "%2F")),
        (owner, secret.to_str().unwrap().to_owned()),
        (owner, "/etc/passwd".to_owned()),
        (owner, format!("{job}//{trial}/agent/oracle.txt")),
        (owner, format!("{job}/{trial}/agent")),
        (owner, format!("{job}/{trial}/agent/link.txt")),
        (owner, format!("{job}/{trial}/outside/etc/passwd")),
        (owner, format!("{job}/{trial}/agent/none.txt")),
        (owner, format!("{below}%00")),
        (owner, format!("{below}\"")),
        (owner, format!("{job}/config.json")),
        (owner, job.to_owned()),
        (owner, other.to_owned()),
        (run_owner, below.to_owned()),
        (run_owner, format!("{job}/{trial}/config.json")),
        (run_owner, "secret.txt".to_owned()),
        (run_owner, "interrupted-midway/nothing".to_owned()),
        (&format!("{run_owner}/trials/.."), below.to_owned()),
        (&format!("{run_owner}/trials/none"), below.to_owned()),
        (&format!("{RUNS}/none"), format!("{job}/job.log")),
    ] {
        let response = hub.get(&format!("{owner}/artifacts/{below}"), "").await;
        assert!(
            matches!(response.status, 400 | 404),
            "{owner} {below}: {} {}",
            response.status,
            response.head
        );
        assert!(!String::from_utf8_lossy(&response.body).contains("s3cret"));
    }
    // A named file that was replaced by a link, or whose folder was.
    let file = on_disk(&hub, path);
    let folder = file.parent().unwrap();
    fs::remove_file(&file).unwrap();
    symlink(&secret, &file).unwrap();
    assert_eq!(hub.get(path, "").await.status, 404);
    let outside = hub.jobs.parent().unwrap().join("outside");
    fs::remove_file(&file).unwrap();
    fs::rename(folder, &outside).unwrap();
    fs::write(outside.join(file.file_name().unwrap()), "s3cret").unwrap();
    symlink(&outside, folder).unwrap();
    assert_eq!(hub.get(path, "").await.status, 404);
    hub.daemon.end().await;
}

#[tokio::test]
async fn a_text_that_looks_like_an_address_lists_no_file() {
    let home = tempfile::tempdir().unwrap();
    let jobs = home.path().canonicalize().unwrap().join("jobs");
    copy_tree(&samples(), &jobs);
    fs::write(jobs.join("secret.txt"), "s3cret").unwrap();
    let job = jobs.join("nightly-mixed");
    let folders = fs::read_dir(&job)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut trials: Vec<_> = folders
        .filter(|path| path.join("result.json").exists())
        .collect();
    trials.sort();
    // What an agent may name the type of an exception; also the file of another trial.
    let other = trials[1].join("result.json");
    let wanted = [jobs.join("secret.txt"), job.join("config.json"), other];
    let mut named = Vec::new();
    for (trial, file) in trials.iter().zip(&wanted) {
        let result = trial.join("result.json");
        let mut object: Value = serde_json::from_slice(&fs::read(&result).unwrap()).unwrap();
        object["exception_info"] = serde_json::json!({
            "exception_type": format!("file://{}", file.display()),
            "exception_message": "m",
            "exception_traceback": "t",
            "occurred_at": object["finished_at"],
        });
        fs::write(&result, object.to_string()).unwrap();
        let name = trial.file_name().unwrap().to_str().unwrap().to_owned();
        let below = file.strip_prefix(&jobs).unwrap().to_str().unwrap();
        named.push((name, below.to_owned()));
    }
    let hub = TestHub::start_in(home, jobs, |_| {}).await;
    let trials = hub.get(&format!("{RUNS}/nightly-mixed/trials"), "").await;
    for (name, below) in &named {
        let text = trials.text();
        assert!(text.contains(&format!("{below}\"")), "{below} is in {text}");
        let path = format!("{RUNS}/nightly-mixed/trials/{name}/artifacts/{below}");
        let response = hub.get(&path, "").await;
        assert_eq!(response.status, 404, "{path}: {}", response.text());
    }
    hub.daemon.end().await;
}
