//! `docks hub`: one home shares its jobs, another mirrors them, down to the files on disk.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::sealed::CommandResult;
use crate::test_home::{TestHome, eventually, signal};

/// A hub and its home.
pub(crate) struct Hub {
    /// The home that it shares from.
    pub(crate) home: Rc<TestHome>,
    process: Option<Child>,
    address: String,
}

impl Hub {
    /// Starts one for a copy of the bundled jobs and waits until it answers.
    pub(crate) fn start(options: &str) -> Self {
        Self::of(Rc::new(TestHome::with_jobs()), options)
    }

    /// Starts one for the jobs of a home and waits until it answers.
    pub(crate) fn of(home: Rc<TestHome>, options: &str) -> Self {
        let mut hub = Self {
            home,
            process: None,
            address: String::new(),
        };
        hub.serve(options);
        hub
    }

    pub(crate) fn serve(&mut self, options: &str) {
        let line = format!("hub serve --listen 127.0.0.1:0 {options}");
        let mut command = self.home.command_jobs(&line);
        let log = fs::File::create(self.home.path("hub.log")).unwrap();
        let child = command.stderr(log).stdout(Stdio::null()).spawn().unwrap();
        self.process = Some(child);
        eventually("the hub answers", || {
            let status = self.status();
            let address = status.as_ref().and_then(|s| s["hub"]["address"].as_str());
            self.address = address.unwrap_or_default().to_owned();
            !self.address.is_empty()
        });
    }

    /// Asks the hub's own daemon how it is.
    pub(crate) fn status(&self) -> Option<serde_json::Value> {
        let mut command = self.home.command("daemon status --format json");
        command.env("DOCKS_HOME", self.home.path("docks/hub"));
        let output = command.output().unwrap();
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Returns the address with a name that certificates can have.
    fn url(&self) -> String {
        self.address.replace("127.0.0.1", "localhost")
    }

    pub(crate) fn token(&self) -> String {
        self.home
            .run("hub token")
            .expect_success()
            .trim()
            .to_owned()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path("hub.log")).unwrap()
    }

    /// Ends it as Ctrl-C does; it must end well.
    pub(crate) fn end(&mut self) {
        let mut process = self.process.take().unwrap();
        signal(process.id(), "INT");
        let ended = process.wait().unwrap();
        assert!(ended.success(), "{ended}: {}", self.log());
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

/// Signs in to a hub from another home, as profile `team`.
pub(crate) fn sign_in(other: &TestHome, hub: &Hub, token: &str, options: &str) -> CommandResult {
    let url = hub.url();
    let line = format!("auth login -p team --api-url {url} --tenant local --token-stdin {options}");
    let mut command = other.command(&line);
    command
        .env("DOCKS_USE_KEYRING", "false")
        .stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(token.as_bytes()).unwrap();
    drop(stdin);
    CommandResult::new(child.wait_with_output().unwrap())
}

/// Returns every file below a folder with its content.
pub(crate) fn files(dir: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let content = fs::read(&path).unwrap();
            found.push((path, content));
        }
    }
}

#[test]
fn a_hub_is_mirrored_elsewhere_down_to_the_files_on_disk() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let pem = tempfile::tempdir().unwrap();
    let (certificate, key) = (pem.path().join("cert.pem"), pem.path().join("key.pem"));
    fs::write(&certificate, cert.pem()).unwrap();
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    let mut hub = Hub::start(&format!(
        "--tls-cert {} --tls-key {}",
        certificate.display(),
        key.display()
    ));
    let token = hub.token();
    let other = TestHome::new();
    let trust = format!("--ca-file {}", certificate.display());
    let refused = sign_in(&other, &hub, "wrong", &trust);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    let signed = sign_in(&other, &hub, &token, &trust);
    assert_eq!(signed.code, Some(0), "{}", signed.stderr);
    assert!(signed.stderr.contains("signed in"), "{}", signed.stderr);
    // The daemon of the other home mirrors it.
    let list = "-p team runs eval-list --sort name --format json";
    other.run("-p team sync").expect_success();
    let mirrored = other.run(list).expect_success();
    let names: Vec<serde_json::Value> = serde_json::from_str(&mirrored).unwrap();
    let names: Vec<&str> = names.iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "2026-11-23__16-43-17",
            "interrupted-midway",
            "killed-midway",
            "nightly-mixed"
        ]
    );
    let direct = other.run(&format!("{list} --no-daemon")).expect_success();
    assert_eq!(direct, mirrored);
    let out = other.path("out");
    for job in names {
        let line = format!("-p team runs artifacts {job} -o {}", out.display());
        let ended = other.run(&line);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    let (mut there, mut here) = (Vec::new(), Vec::new());
    files(&hub.home.jobs(), &mut there);
    files(&out, &mut here);
    assert!(here.len() > 80, "{}", here.len());
    for (path, content) in &here {
        let same = there.iter().any(|(_, original)| original == content);
        assert!(same, "{} is no file of the hub", path.display());
    }
    let status = hub.status().unwrap();
    assert!(status["hub"]["requests"].as_u64().unwrap() > 80);
    // The mirror answers without the hub.
    hub.end();
    let later = other.run("-p team --offline runs eval-list --sort name --format json");
    assert_eq!(later.expect_success(), mirrored);
}

#[test]
fn a_hub_and_the_users_daemon_are_independent() {
    let mut hub = Hub::start("--no-token --read-only");
    let own = hub.home.run_jobs("runs eval-list -q").expect_success();
    assert_eq!(own.lines().count(), 4);
    assert!(hub.home.status()["hub"].is_null());
    hub.home.run("daemon stop").expect_success();
    let status = hub.status().unwrap();
    assert_eq!(status["hub"]["read_only"], true);
    assert_eq!(status["hub"]["token"], false);
    assert!(status["idle_exit_s"].is_null());
    let again = hub.home.run_jobs("hub serve --listen 127.0.0.1:0");
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("already running"), "{}", again.stderr);
    hub.end();
}

#[test]
fn a_job_that_the_mirror_has_not_seen_yet_is_found_by_its_name() {
    let home = Rc::new(TestHome::with_jobs());
    let (aside, job) = (home.path("aside"), home.jobs().join("nightly-mixed"));
    fs::rename(&job, &aside).unwrap();
    let hub = Hub::of(home, "");
    let other = TestHome::new();
    assert_eq!(sign_in(&other, &hub, &hub.token(), "").code, Some(0));
    other.run("-p team sync").expect_success();
    fs::rename(&aside, &job).unwrap();
    // The hub takes names where an id belongs; that is no answer for a mirror.
    let get = "-p team runs eval-get nightly-mixed";
    eventually("the hub has it", || {
        other.run(&format!("{get} --no-daemon")).code == Some(0)
    });
    other.run(get).expect_success();
}

/// Creates the jobs `old-000` and so on, in a home, so many that a list of them takes several pages.
fn add_old_jobs(home: &TestHome, count: usize) {
    for number in 0..count {
        let job = home.jobs().join(format!("old-{number:03}"));
        fs::create_dir(&job).unwrap();
        let result = format!(
            r#"{{"id": "0b5ef4a6-9a3c-4b6e-9a53-{number:012}", "started_at": "2025-11-23T16:43:23",
                "finished_at": "2025-11-23T16:44:23", "n_total_trials": 0, "stats": {{}}}}"#
        );
        fs::write(job.join("result.json"), result).unwrap();
    }
}

#[test]
fn jobs_that_were_deleted_or_replaced_leave_the_lists_of_a_hubs_clients() {
    let home = Rc::new(TestHome::with_jobs());
    add_old_jobs(&home, 150);
    let hub = Hub::of(home, "");
    let other = TestHome::new();
    assert_eq!(sign_in(&other, &hub, &hub.token(), "").code, Some(0));
    other.run("-p team sync --full").expect_success();
    let list = "-p team runs eval-list --limit 0 --columns name,id";
    let count = || other.run(list).expect_success().lines().count();
    let before = count();
    let job = hub.home.jobs().join("old-000");
    fs::remove_dir_all(&job).unwrap();
    eventually("the hub knows", || {
        let direct = other.run("-p team --no-daemon runs eval-get old-000");
        direct.code == Some(3)
    });
    // One poll, and what it leads to.
    other.run(&format!("{list} --fresh")).expect_success();
    eventually("the deleted job is left out", || count() == before - 1);
    let gone = other.run("-p team runs eval-get old-000");
    assert_eq!(gone.code, Some(3), "{gone:?}");
    // Another job under the same name: the list is as long as before.
    let replaced = hub.home.jobs().join("old-001");
    let result = fs::read_to_string(replaced.join("result.json")).unwrap();
    fs::remove_dir_all(&replaced).unwrap();
    fs::create_dir(&replaced).unwrap();
    let result = result.replace("0b5ef4a6", "ffffffff");
    fs::write(replaced.join("result.json"), result).unwrap();
    let new = "ffffffff-9a3c-4b6e-9a53-000000000001";
    eventually("the hub knows", || {
        let direct = other.run("-p team --no-daemon runs eval-get old-001 --format json");
        direct.stdout.contains(new)
    });
    other.run(&format!("{list} --fresh")).expect_success();
    eventually("the replaced job is left out", || {
        let listed = other.run(list).expect_success();
        let mut named = listed.lines().filter(|line| line.starts_with("old-001"));
        named.next().is_some_and(|line| line.contains(new)) && named.next().is_none()
    });
}

#[test]
fn a_list_says_that_the_token_is_refused_or_the_hub_gone_after_one_poll() {
    let mut hub = Hub::start("");
    let other = TestHome::new();
    assert_eq!(sign_in(&other, &hub, &hub.token(), "").code, Some(0));
    other.run("-p team sync --full").expect_success();
    let list = || {
        let listed = other.run("-p team runs eval-list -q");
        assert_eq!(listed.code, Some(0), "{listed:?}");
        assert_eq!(listed.stdout.lines().count(), 4);
        listed.stderr
    };
    assert_eq!(list(), "");
    hub.home.run("hub token --rotate").expect_success();
    let poll = "-p team runs eval-list --fresh";
    assert_eq!(other.run(poll).code, Some(4));
    let said = list();
    assert!(said.contains("the remote refuses the token"), "{said}");
    let token = hub.token();
    assert_eq!(sign_in(&other, &hub, &token, "").code, Some(0));
    eventually("the new token is used", || other.run(poll).code == Some(0));
    assert_eq!(list(), "");
    hub.end();
    assert_ne!(other.run(poll).code, Some(0));
    let said = list();
    assert!(said.contains("could not connect"), "{said}");
}

#[test]
fn a_token_is_created_once_private_and_never_logged() {
    let mut hub = Hub::start("");
    let token = hub.token();
    assert_eq!(hub.token(), token);
    let file = hub.home.path("docks/hub-token");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let said = hub.log();
    assert!(said.contains("`docks hub token` shows it"), "{said}");
    assert!(said.contains("sharing"), "{said}");
    let other = TestHome::new();
    assert_eq!(sign_in(&other, &hub, &token, "").code, Some(0));
    let rotated = hub.home.run("hub token --rotate");
    assert!(rotated.stderr.contains("no longer valid"));
    let new = rotated.expect_success().trim().to_owned();
    assert_ne!(new, token);
    assert_eq!(sign_in(&other, &hub, &token, "").code, Some(4));
    assert_eq!(sign_in(&other, &hub, &new, "").code, Some(0));
    hub.end();
    for secret in [&token, &new] {
        assert!(!hub.log().contains(secret.as_str()));
    }
}

#[test]
fn exposing_a_hub_without_tls_or_token_is_refused_before_a_token_is_created() {
    let home = TestHome::with_jobs();
    for (options, words) in [
        ("--listen 0.0.0.0:0", "without TLS"),
        ("--listen [::]:0", "without TLS"),
        (
            "--listen 0.0.0.0:0 --insecure --no-token",
            "leave out --no-token",
        ),
        ("--tls-cert /c", "--tls-key"),
        ("--listen 7433", "--listen"),
    ] {
        let ended = home.run_jobs(&format!("hub serve {options}"));
        assert_eq!(ended.code, Some(2), "{options}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{options}: {}", ended.stderr);
    }
    let ended = home.run("hub serve");
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--harbor DIR"), "{}", ended.stderr);
    assert!(!home.path("docks/hub-token").exists());
    assert!(home.daemons().is_empty());
}

#[test]
fn a_daemon_shares_what_its_settings_say() {
    let home = TestHome::with_jobs();
    let text = format!(
        "hub_listen = \"127.0.0.1:0\"\nhub_harbor = \"{}\"\n",
        home.jobs().display()
    );
    fs::write(home.path("docks/daemon.toml"), text).unwrap();
    home.run("daemon start").expect_success();
    let status = home.status();
    let address = status["hub"]["address"].as_str().unwrap();
    let shown = home.run("daemon status").expect_success();
    assert!(shown.contains(address), "{shown}");
    let token = home.run("hub token").expect_success();
    let mut command = Command::new(env!("CARGO_BIN_EXE_docks"));
    let output = command
        .env_clear()
        .env("HOME", home.path("elsewhere"))
        .env("DOCKS_API_URL", address)
        .env("DOCKS_TENANT_ID", "local")
        .env("DOCKS_TOKEN", token.trim())
        .args(["--no-daemon", "runs", "list", "-q"])
        .output()
        .unwrap();
    let direct = CommandResult::new(output).expect_success();
    assert_eq!(direct, home.run_jobs("runs list -q").expect_success());
    home.stop();
}
