//! `docks` shows the sample jobs as Harbor's own viewer does.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::harbor::HarborHome;
use crate::test_home::eventually;

/// Requests JSON from the viewer; `None` while it does not respond.
fn get(port: u16, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let good = head.split(' ').nth(1) == Some("200");
    good.then(|| serde_json::from_str(body).ok()).flatten()
}

/// Whether two numbers are equal except for rounding; null equals only null.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-6 * a.abs().max(1.0),
        _ => a.is_null() && b.is_null(),
    }
}

fn seconds(from: &Value, to: &Value) -> Option<f64> {
    let at = |value: &Value| docks_proto::time::UnixMs::parse(value.as_str()?).map(|at| at.0);
    Some((at(to)? - at(from)?) as f64 / 1000.0)
}

#[test]
#[ignore = "needs Harbor: .ci/run harbor-live"]
fn every_sample_is_shown_as_in_harbors_viewer() {
    let home = HarborHome::new();
    let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/harbor-jobs");
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let line = format!("view {} --port {port}", samples.display());
    let _viewer = home.harbor(&[], &line);
    eventually("the viewer answers", || get(port, "/api/health").is_some());
    let ask = |line: &str| -> Value {
        let mut command = home.docks.command(line);
        command.arg("--harbor").arg(&samples);
        let ended = crate::sealed::CommandResult::new(command.output().unwrap());
        serde_json::from_str(&ended.expect_success()).unwrap()
    };
    let theirs = get(port, "/api/jobs").unwrap();
    let theirs = theirs["items"].as_array().unwrap();
    let ours = ask("runs eval-list --limit 0 --format json");
    let ours = ours.as_array().unwrap();
    assert_eq!(ours.len(), theirs.len());
    let mut compared = 0;
    for job in theirs {
        let name = job["name"].as_str().unwrap();
        let our = ours.iter().find(|our| our["name"] == name).unwrap();
        let inside = &our["harbor"];
        assert_eq!(our["id"], job["id"], "{name}");
        assert_eq!(our["total_trials"], job["n_total_trials"], "{name}");
        assert_eq!(our["completed_trials"], job["n_completed_trials"], "{name}");
        assert_eq!(
            inside["trials"]["errored"], job["n_errored_trials"],
            "{name}"
        );
        // The viewer counts uncached tokens separately.
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let input = number(&job["total_input_tokens"]) + number(&job["total_cached_input_tokens"]);
        assert_eq!(number(&inside["input_tokens"]), input, "{name}");
        assert_eq!(
            number(&inside["cache_tokens"]),
            number(&job["total_cached_input_tokens"]),
            "{name}"
        );
        assert_eq!(
            number(&inside["output_tokens"]),
            number(&job["total_output_tokens"]),
            "{name}"
        );
        assert!(same(&inside["cost_usd"], &job["total_cost_usd"]), "{name}");
        let trials = get(port, &format!("/api/jobs/{name}/trials?page_size=100")).unwrap();
        let trials = trials["items"].as_array().unwrap();
        let ours = ask(&format!("runs trials {name} --limit 0 --format json"));
        let ours = ours.as_array().unwrap();
        for trial in trials {
            let at = format!("{name} {}", trial["name"]);
            let our = ours
                .iter()
                .find(|our| our["id"] == trial["name"])
                .expect(&at);
            compared += 1;
            let data = &our["result_data"];
            assert!(
                same(&data["reward"], &trial["reward"]) || has_several_rewards(data),
                "{at}: {our} {trial}"
            );
            let code = data["error_code"].as_str().filter(|code| *code != "Lost");
            assert_eq!(code, trial["error_type"].as_str(), "{at}");
            assert!(same(&data["cost_usd"], &trial["cost_usd"]), "{at}: {trial}");
            let theirs = seconds(&trial["started_at"], &trial["finished_at"]);
            let our_seconds = our["duration_seconds"].as_f64();
            match (theirs, our_seconds) {
                (Some(a), Some(b)) => assert!((a - b).abs() < 0.01, "{at}: {a} {b}"),
                (a, b) => assert_eq!(a.is_some(), b.is_some(), "{at}"),
            }
            let path = format!(
                "/api/jobs/{name}/trials/{}/trajectory",
                trial["name"].as_str().unwrap()
            );
            let trajectory = get(port, &path).is_some_and(|trajectory| !trajectory.is_null());
            assert_eq!(our["trajectory_uri"].is_string(), trajectory, "{at}");
        }
        // `docks` also lists trials that did not start.
        let begun = ours.iter().filter(|our| !our["name"].is_null()).count();
        assert_eq!(begun, trials.len(), "{name}");
    }
    eprintln!(
        "{} jobs and {compared} trials agree with the viewer",
        theirs.len()
    );
}

/// With several reward keys and none called `reward`, the viewer shows the first; `docks` has all.
fn has_several_rewards(data: &Value) -> bool {
    data["rewards"]
        .as_object()
        .is_some_and(|rewards| rewards.len() > 1)
}
