//! `auth`, `profile`, `config` and `daemon` with the real binary: which token is sent where.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

/// A Docks API that accepts only `tok-T` for tenant `T`, and records each path with its token.
struct Api {
    url: String,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Api {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&seen);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let Some(Ok(first)) = lines.next() else {
                    continue;
                };
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                let mut token = String::new();
                for line in lines.map_while(Result::ok).take_while(|l| !l.is_empty()) {
                    if let Some((name, value)) = line.split_once(": ")
                        && name.eq_ignore_ascii_case("authorization")
                    {
                        value.trim_start_matches("Bearer ").clone_into(&mut token);
                    }
                }
                let tenant = path.split('/').nth(2).unwrap_or_default();
                let status = if token == format!("tok-{tenant}") {
                    "200 OK"
                } else {
                    "401 Unauthorized"
                };
                recorded.lock().unwrap().push((path, token));
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]"
                );
                stream.write_all(answer.as_bytes()).ok();
            }
        });
        Self { url, seen }
    }

    /// Checks that no tenant received the token of another one.
    fn no_tenant_received_another_token(&self) {
        for (path, token) in self.seen.lock().unwrap().iter() {
            let tenant = path.split('/').nth(2).unwrap_or_default();
            assert_eq!(*token, format!("tok-{tenant}"), "{path}");
        }
    }
}

struct Home {
    dir: tempfile::TempDir,
}

struct CommandResult {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Home {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(".docks").join(name)
    }

    /// Writes a file as the Python client does.
    fn python_wrote(&self, name: &str, text: &str) {
        fs::create_dir_all(self.file("")).unwrap();
        fs::write(self.file(name), text).unwrap();
        fs::set_permissions(self.file(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn run(&self, line: &str) -> CommandResult {
        self.run_with(line, "", &[])
    }

    /// Runs `docks` with the most permissive umask, and text on standard input.
    fn run_with(&self, line: &str, input: &str, variables: &[(&str, &str)]) -> CommandResult {
        let mut child = Command::new("/bin/sh")
            .args(["-c", r#"umask 000; exec "$0" "$@""#])
            .arg(env!("CARGO_BIN_EXE_docks"))
            .args(line.split_whitespace())
            .env_clear()
            .env("HOME", self.dir.path())
            .envs(variables.iter().copied())
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read its input may have exited already.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        CommandResult::new(child.wait_with_output().unwrap())
    }

    fn sign_in(&self, api: &Api, profile: &str, tenant: &str) -> CommandResult {
        let url = &api.url;
        self.run_with(
            &format!("auth login -p {profile} --api-url {url} --tenant {tenant} --token-stdin"),
            &format!("Bearer tok-{tenant}\n"),
            &[],
        )
    }
}

impl CommandResult {
    fn new(output: Output) -> Self {
        let ended = Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        for text in [&ended.stdout, &ended.stderr] {
            assert!(!text.contains("tok-"), "a token was printed: {text}");
            assert!(!text.contains("panicked"), "{text}");
        }
        ended
    }

    fn expect_success(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Creates two profiles and their shared token, in the layout of the Python client.
fn two_python_profiles(api: &Api, token: &str) -> Home {
    let home = Home::new();
    let url = &api.url;
    let config = format!(
        "[a]\napi_url = \"{url}\"\ntenant_id = \"A\"\n\n[b]\napi_url = \"{url}\"\ntenant_id = \"B\"\n\n"
    );
    home.python_wrote("config.toml", &config);
    home.python_wrote("token", token);
    home
}

#[test]
fn signing_in_checks_the_token_and_keeps_it_private() {
    let (api, home) = (Api::start(), Home::new());
    home.sign_in(&api, "default", "t").expect_success();
    assert_eq!(mode(&home.file("")), 0o700);
    assert_eq!(mode(&home.file("config.toml")), 0o600);
    let text = fs::read_to_string(home.file("config.toml")).unwrap();
    assert!(text.contains("token = \"tok-t\""), "no keyring here");
    let status = home.run("auth status").expect_success();
    assert!(
        status.stdout.contains("accepts the token"),
        "{}",
        status.stdout
    );
    home.run("auth logout").expect_success();
    assert_eq!(home.run("auth status").code, Some(4));
    api.no_tenant_received_another_token();
}

#[test]
fn a_refused_token_is_not_kept() {
    let (api, home) = (Api::start(), Home::new());
    let line = format!("auth login --api-url {} --tenant t --token-stdin", api.url);
    assert_eq!(home.run_with(&line, "wrong\n", &[]).code, Some(4));
    assert!(!home.file("config.toml").exists());
}

#[test]
fn a_token_that_could_not_be_checked_is_saved_only_on_request() {
    let home = Home::new();
    let line = "auth login --api-url http://127.0.0.1:9 --tenant t --token-stdin";
    let ended = home.run_with(line, "tok-t", &[]);
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    assert!(!ended.stderr.contains("signed in"), "{}", ended.stderr);
    assert!(ended.stderr.contains("--no-check"), "{}", ended.stderr);
    assert!(!home.file("config.toml").exists());
    let line = format!("{line} --no-check");
    let saved = home.run_with(&line, "tok-t", &[]).expect_success();
    assert!(!saved.stderr.contains("signed in"), "{}", saved.stderr);
    assert!(saved.stderr.contains("without a check"), "{}", saved.stderr);
    assert!(home.file("config.toml").exists());
}

#[test]
fn files_of_the_python_client_are_used_only_for_their_profile() {
    let api = Api::start();
    let home = Home::new();
    let url = &api.url;
    home.python_wrote(
        "config.toml",
        &format!("[default]\napi_url = \"{url}\"\ntenant_id = \"A\"\n\n"),
    );
    home.python_wrote("token", "Bearer tok-A");
    home.run("auth status").expect_success();
    // A second profile would make the owner of the token file ambiguous, but it was recorded.
    home.sign_in(&api, "b", "B").expect_success();
    home.run("auth status").expect_success();
    home.run("auth status -p b").expect_success();
    home.run("auth logout -p b").expect_success();
    assert_eq!(home.run("auth status -p b").code, Some(4));
    home.run("auth status").expect_success();
    api.no_tenant_received_another_token();
}

#[test]
fn one_token_file_for_two_profiles_is_sent_to_neither() {
    let api = Api::start();
    let home = two_python_profiles(&api, "tok-A");
    for name in ["a", "b"] {
        let ended = home.run(&format!("auth status -p {name}"));
        assert_eq!(ended.code, Some(4));
        assert!(ended.stderr.contains("one token for all profiles"));
        assert!(
            ended
                .stderr
                .contains(&format!("docks auth login -p {name}"))
        );
    }
    assert!(api.seen.lock().unwrap().is_empty());
}

#[test]
fn removing_a_profile_makes_its_token_unusable() {
    let api = Api::start();
    let home = two_python_profiles(&api, "tok-A");
    home.run("profile remove a --force").expect_success();
    assert_eq!(home.run("auth status -p b").code, Some(4));
    assert!(api.seen.lock().unwrap().is_empty());
}

#[test]
fn an_address_from_the_environment_gets_no_stored_token() {
    let (api, evil, home) = (Api::start(), Api::start(), Home::new());
    home.sign_in(&api, "default", "t").expect_success();
    let ended = home.run_with("auth status", "", &[("DOCKS_API_URL", &evil.url)]);
    assert_eq!(ended.code, Some(4));
    assert!(evil.seen.lock().unwrap().is_empty());
}

#[test]
fn nothing_in_the_current_directory_is_read() {
    let (api, evil, home) = (Api::start(), Api::start(), Home::new());
    home.sign_in(&api, "default", "t").expect_success();
    let here = home.dir.path();
    let config = format!("[default]\napi_url = \"{}\"\ntenant_id = \"t\"\n", evil.url);
    fs::write(here.join(".env"), format!("DOCKS_API_URL={}\n", evil.url)).unwrap();
    for name in ["config.toml", "docks.toml", "daemon.toml", ".docks.toml"] {
        fs::write(here.join(name), &config).unwrap();
    }
    fs::write(here.join("docksd"), "#!/bin/sh\n").unwrap();
    let explained = home.run("config explain").expect_success().stdout;
    assert!(explained.contains(&api.url) && !explained.contains(&evil.url));
    home.run("auth status").expect_success();
    assert!(evil.seen.lock().unwrap().is_empty());
}

#[test]
fn an_invalid_config_file_is_left_unchanged_and_its_line_is_named() {
    let home = Home::new();
    let text = "[default]\napi_url = \"https://x\"y\"\ntenant_id = \"t\"\n\n";
    home.python_wrote("config.toml", text);
    let ended = home.run("config explain");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("line 2"), "{}", ended.stderr);
    assert_ne!(home.run("profile add x --tenant t").code, Some(0));
    assert_eq!(fs::read_to_string(home.file("config.toml")).unwrap(), text);
}

#[test]
fn python_reads_what_we_write() {
    let (api, home) = (Api::start(), Home::new());
    home.sign_in(&api, "default", "t").expect_success();
    let jobs = home.dir.path().join("jobs");
    fs::create_dir(&jobs).unwrap();
    home.run("profile add local --harbor jobs").expect_success();
    home.run("profile use local").expect_success();
    let script = "import sys, tomllib\n\
                  config = tomllib.load(open(sys.argv[1], 'rb'))\n\
                  for name, values in config.items():\n    \
                      for key, value in values.items(): assert isinstance(value, str)\n\
                  print(config['default']['tenant_id'], config['local']['harbor_jobs'])";
    let read = Command::new("python3")
        .args(["-c", script])
        .arg(home.file("config.toml"))
        .output();
    let list = home
        .run("profile list --format tsv")
        .expect_success()
        .stdout;
    assert!(list.contains("*\tlocal\tharbor_jobs"), "{list}");
    match read {
        Ok(read)
            if !String::from_utf8_lossy(&read.stderr).contains("No module named 'tomllib'") =>
        {
            let printed = String::from_utf8(read.stdout).unwrap();
            let jobs = jobs.canonicalize().unwrap();
            assert_eq!(printed.trim(), format!("t {}", jobs.display()));
        }
        _ => docksd_testkit::skip(
            "account::python_reads_what_we_write",
            "Python 3.11 is not installed",
        ),
    }
}

#[test]
fn a_profile_keeps_its_remote() {
    let (api, home) = (Api::start(), Home::new());
    home.sign_in(&api, "default", "t").expect_success();
    let other = format!("profile add default --api-url {} --tenant u", api.url);
    assert_eq!(home.run(&other).code, Some(2));
    home.run("auth status").expect_success();
    // Signing in changes the remote together with the token.
    home.sign_in(&api, "default", "u").expect_success();
    home.run("auth status").expect_success();
    api.no_tenant_received_another_token();
}

#[test]
fn tokens_are_not_sent_unencrypted() {
    let home = Home::new();
    let line = "auth login --api-url http://api.example --tenant t --token-stdin";
    let ended = home.run_with(line, "tok-t", &[]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--insecure"), "{}", ended.stderr);
    assert!(!home.file("config.toml").exists());
    assert_eq!(home.run("auth login --tenant t").code, Some(2), "a pipe");
}

#[test]
fn commands_report_that_the_daemon_is_not_running() {
    let home = Home::new();
    let status = home.run("daemon status");
    assert_eq!(status.code, Some(1));
    assert!(status.stderr.contains("not running"), "{}", status.stderr);
    home.run("daemon stop").expect_success();
    assert_eq!(home.run("daemon logs").code, Some(1));
    let named = [("DOCKSD", "/not/there/docksd")];
    let start = home.run_with("daemon start", "", &named);
    assert_eq!(start.code, Some(5));
    assert!(start.stderr.contains("/not/there/docksd"));
}

#[test]
fn every_shell_gets_its_completions() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home
            .run(&format!("completions {shell}"))
            .expect_success()
            .stdout;
        // A command, and options of two: nothing is left to be built when it is needed.
        for word in ["eval-list", "exit-status", "token-stdin"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn the_last_lines_of_the_log_come_from_as_many_files_as_needed() {
    let home = Home::new();
    fs::create_dir_all(home.file("log")).unwrap();
    let old = home.file("log/docksd.log.2026-01-01");
    fs::write(&old, "one\ntwo\n").unwrap();
    let then = fs::metadata(&old).unwrap().modified().unwrap();
    let past = then - std::time::Duration::from_secs(60);
    fs::File::options()
        .write(true)
        .open(&old)
        .unwrap()
        .set_modified(past)
        .unwrap();
    fs::write(home.file("log/docksd.log.2026-01-02"), "three\n").unwrap();
    assert_eq!(
        home.run("daemon logs -n 2").expect_success().stdout,
        "two\nthree\n"
    );
    assert_eq!(home.run("daemon logs -n 0").expect_success().stdout, "");
}
