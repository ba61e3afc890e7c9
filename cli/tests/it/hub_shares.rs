//! What a hub shares: several jobs directories, and what its daemon mirrors from elsewhere.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use crate::harbor_server::Served;
use crate::hub::{Hub, files, sign_in};
use crate::sealed::CommandResult;
use crate::test_home::{TestHome, eventually};

/// Checks that a home downloads the artifacts of a job as they are in a directory.
fn downloads(home: &TestHome, profile: &str, job: &str, original: &Path) {
    let out = home.path(&format!("out-{profile}-{job}"));
    let line = format!("-p {profile} runs artifacts {job} -o {}", out.display());
    home.run(&line).expect_success();
    let (mut there, mut here) = (Vec::new(), Vec::new());
    files(original, &mut there);
    files(&out, &mut here);
    assert!(here.len() > 8, "{}", here.len());
    for (path, content) in &here {
        let same = there.iter().any(|(_, original)| original == content);
        assert!(same, "{} is no file of the hub", path.display());
    }
}

/// Gets an address with a token and further complete header lines; returns status, head in lower case and body.
fn get(address: &str, token: &str, lines: &str) -> (u16, String, Vec<u8>) {
    let (host, path) = address["http://".len()..].split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{lines}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).replace("\r\n", "\n");
    let status = head[9..12].parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

/// Signs in to an address that a daemon shares on.
fn sign_in_to(home: &TestHome, url: &str, tenant: &str, token: &str) -> CommandResult {
    let line = format!("auth login -p {tenant} --api-url {url} --tenant {tenant} --token-stdin");
    let mut command = home.command(&line);
    let mut child = command
        .env("DOCKS_USE_KEYRING", "false")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(token.as_bytes()).unwrap();
    drop(stdin);
    CommandResult::new(child.wait_with_output().unwrap())
}

#[test]
fn several_directories_are_shared_as_one_remote() {
    let home = TestHome::with_jobs();
    let second = home.path("second");
    fs::create_dir(&second).unwrap();
    let moved = second.join("killed-midway");
    fs::rename(home.jobs().join("killed-midway"), &moved).unwrap();
    let hub = Hub::of(home.into(), &format!("--harbor {}", second.display()));
    let other = TestHome::new();
    assert_eq!(sign_in(&other, &hub, &hub.token(), "").code, Some(0));
    other.run("-p team sync").expect_success();
    let list = other.run("-p team runs eval-list -q").expect_success();
    assert_eq!(list.lines().count(), 4);
    downloads(&other, "team", "killed-midway", &moved);
    let first = hub.home.jobs().join("nightly-mixed");
    downloads(&other, "team", "nightly-mixed", &first);
}

#[test]
fn a_daemon_shares_what_it_mirrors_from_another_hub() {
    let far = Hub::start("");
    let middle = TestHome::new();
    assert_eq!(sign_in(&middle, &far, &far.token(), "").code, Some(0));
    let settings = "hub_listen = \"127.0.0.1:0\"\nhub_profiles = [\"team\"]\n";
    fs::write(middle.path("docks/daemon.toml"), settings).unwrap();
    middle.run("daemon start").expect_success();
    let status = middle.status();
    let url = status["hub"]["address"].as_str().unwrap().to_owned();
    assert_eq!(status["hub"]["location"], "profile team");
    let token = middle.run("hub token").expect_success();
    let near = TestHome::new();
    let wrong = sign_in_to(&near, &url, "local", token.trim());
    assert_eq!(wrong.code, Some(4), "{wrong:?}");
    let signed = sign_in_to(&near, &url, "team", token.trim());
    assert_eq!(signed.code, Some(0), "{signed:?}");
    near.run("-p team sync").expect_success();
    let list = "-p team runs eval-list --sort name --columns name";
    let expected = middle.run(list).expect_success();
    assert_eq!(expected.lines().count(), 4);
    assert_eq!(near.run(list).expect_success(), expected);
    let original = far.home.jobs().join("nightly-mixed");
    downloads(&near, "team", "nightly-mixed", &original);
    // Files that only the list of files names, in parts, too.
    let trial = near.run("-p team runs trials nightly-mixed -q -n 1");
    let trial = trial.expect_success();
    let name = near.run("-p team runs trials nightly-mixed -n 1 --columns name");
    let config = original
        .join(name.expect_success().trim())
        .join("config.json");
    let config = fs::read(config).unwrap();
    let line = format!(
        "-p team runs cat nightly-mixed {} config.json",
        trial.trim()
    );
    assert_eq!(near.run(&line).expect_success().as_bytes(), config);
    let line = format!(
        "-p team runs files nightly-mixed {} --format json",
        trial.trim()
    );
    let listed: Vec<serde_json::Value> =
        serde_json::from_str(&near.run(&line).expect_success()).unwrap();
    let file = listed.iter().find(|file| file["path"] == "config.json");
    let address = file.unwrap()["source"].as_str().unwrap();
    assert!(address.starts_with(&url), "{address}");
    let part = get(address, token.trim(), "Range: bytes=5-9\r\n");
    assert_eq!((part.0, &*part.2), (206, &config[5..10]), "{}", part.1);
    assert!(
        part.1.contains(&format!("bytes 5-9/{}", config.len())),
        "{}",
        part.1
    );
    let known = part
        .1
        .lines()
        .find(|line| line.starts_with("etag: "))
        .unwrap();
    let condition = format!("If-None-Match: {}\r\n", &known["etag: ".len()..]);
    assert_eq!(get(address, token.trim(), &condition).0, 304);
    let unlisted = address.replace("config.json", "no-such.json");
    assert_eq!(get(&unlisted, token.trim(), "").0, 404);
    // Read-only, unless the settings say otherwise.
    let stop = "-p team runs eval-cancel nightly-mixed --force";
    let refused = near.run(stop);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(refused.stderr.contains("read-only"), "{}", refused.stderr);
    middle.stop();
    let settings = format!("{settings}hub_profiles_read_only = false\n")
        .replace("127.0.0.1:0", url.trim_start_matches("http://"));
    fs::write(middle.path("docks/daemon.toml"), settings).unwrap();
    eventually("the daemon shares on its address again", || {
        middle.run("daemon start").code == Some(0)
    });
    let ended = near.run(stop);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("is not running"), "{}", ended.stderr);
    middle.stop();
}

#[test]
fn a_daemon_shares_the_files_of_a_harbor_serve() {
    let served = Served::start();
    served.finish();
    let middle = &served.home;
    let add = format!("profile add serve --harbor-server {}", served.server.url());
    middle.run(&add).expect_success();
    let settings = "hub_listen = \"127.0.0.1:0\"\nhub_profiles = [\"serve\"]\n";
    fs::write(middle.path("docks/daemon.toml"), settings).unwrap();
    middle.run("daemon start").expect_success();
    let url = middle.status()["hub"]["address"]
        .as_str()
        .unwrap()
        .to_owned();
    let token = middle.run("hub token").expect_success();
    let near = TestHome::new();
    let signed = sign_in_to(&near, &url, "serve", token.trim());
    assert_eq!(signed.code, Some(0), "{signed:?}");
    let run = |line: &str| near.run(&format!("-p serve {line}"));
    run("sync").expect_success();
    let log = run("runs logs nightly aaaaaaaa").expect_success();
    assert!(log.contains("content of coder.txt"), "{log}");
    let config = run("runs cat nightly aaaaaaaa config.json");
    assert_eq!(config.expect_success(), "content of config.json\n");
    let listed = run("runs files nightly").expect_success();
    assert_eq!(listed.lines().count(), 6, "{listed}");
    let all = run("runs artifacts nightly -o all --type all").expect_success();
    assert_eq!(all.lines().count(), 6, "{all}");
    let trial = run("runs trial nightly aaaaaaaa --format json").expect_success();
    let trial: serde_json::Value = serde_json::from_str(&trial).unwrap();
    let address = trial["logs_uri"].as_str().unwrap();
    assert!(address.starts_with(&url), "{address}");
    assert!(!trial.to_string().contains("/download?"), "{trial}");
    // A part of what the object names, and of what only the list names.
    let of_list = address.replace("agent/coder.txt", "config.json");
    for (address, whole) in [
        (address, "content of coder.txt\n"),
        (&of_list, "content of config.json\n"),
    ] {
        let part = get(address, token.trim(), "Range: bytes=8-\r\n");
        assert_eq!(
            (part.0, &*part.2),
            (206, &whole.as_bytes()[8..]),
            "{}",
            part.1
        );
        assert_eq!(
            get(address, token.trim(), "If-None-Match: \"fake\"\r\n").0,
            304
        );
        assert_eq!(get(address, "wrong", "").0, 401);
    }
    let unlisted = address.replace("coder.txt", "secret.txt");
    assert_eq!(get(&unlisted, token.trim(), "").0, 404);
    middle.stop();
}

#[test]
fn what_cannot_be_shared_is_refused_with_what_to_do() {
    let home = TestHome::with_jobs();
    let config = "[api]\napi_url = \"http://127.0.0.1:9\"\ntenant_id = \"t\"\ntoken = \"x\"\n";
    home.write_settings(config);
    let refused = home.run("-p api hub serve --listen 127.0.0.1:0");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("hub_profiles"),
        "{}",
        refused.stderr
    );
}
