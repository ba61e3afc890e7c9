//! The variables that the daemon has from the command that started it, and its proxies.

use std::fs;
use std::process::Command;

use crate::remote::Remote;
use crate::sample_remote::{self, run_ids};
use crate::sealed::CommandResult;
use crate::test_home::TestHome;

const NOTE: &str = "note: docksd was started with other proxies than this command has; \
                    `docks daemon restart` makes it use these\n";

fn run(home: &TestHome, line: &str, variables: &[(&str, &str)]) -> CommandResult {
    let mut command: Command = home.command(line);
    command.envs(variables.iter().copied());
    CommandResult::new(command.output().unwrap())
}

#[test]
fn the_daemon_has_only_the_variables_that_are_written_down() {
    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    let kept = [
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "Europe/Berlin"),
        ("AWS_PROFILE", "bench"),
        ("AZURE_CLIENT_ID", "1"),
        ("CLOUDSDK_CONFIG", "/nowhere"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere"),
        ("SSL_CERT_FILE", "/nowhere"),
        ("DOCKS_USE_KEYRING", "false"),
        ("https_proxy", "http://127.0.0.1:9"),
        ("NO_PROXY", "localhost"),
        ("XDG_CONFIG_HOME", "/nowhere"),
    ];
    let dropped = [
        ("DOCKS_TOKEN", "canary-token"),
        ("DOCKS_API_URL", "http://127.0.0.1:9"),
        ("DOCKS_TENANT_ID", "ten"),
        ("DOCKS_NO_DAEMON", "0"),
        ("LD_LIBRARY_PATH", "/nowhere"),
        ("OPENAI_API_KEY", "k"),
        ("PWD", "/nowhere"),
    ];
    run(&home, "daemon start", &[&kept[..], &dropped].concat()).expect_success();
    let text = fs::read(format!("/proc/{}/environ", home.pid())).unwrap();
    let text = String::from_utf8(text).unwrap();
    let found: Vec<(&str, &str)> = text
        .split_terminator('\0')
        .map(|variable| variable.split_once('=').unwrap())
        .collect();
    for variable in kept {
        assert!(found.contains(&variable), "{variable:?}: {text:?}");
    }
    let names = found.iter().map(|(name, _)| *name);
    let mut others: Vec<&str> = names
        .filter(|name| kept.iter().all(|(kept, _)| kept != name))
        // Every command of these tests has it, unless root runs them.
        .filter(|name| *name != "DOCKS_DEBUGGABLE")
        .collect();
    others.sort_unstable();
    let own = ["DOCKSD_BUILD", "DOCKS_HOME", "HOME", "MALLOC_ARENA_MAX"];
    assert_eq!(others, own);
    assert!(found.contains(&("MALLOC_ARENA_MAX", "1")), "{text:?}");
}

#[test]
fn the_daemon_asks_through_its_proxy_and_a_command_with_another_one_is_told() {
    // The proxy is asked for whole URLs.
    let proxy =
        Remote::start(|asked| sample_remote::answer(&asked.replace("http://api.example", "")));
    let home = TestHome::new();
    home.profile("http://api.example", "canary-token");
    let file = home.path("docks/config.toml");
    let profile = fs::read_to_string(&file).unwrap() + "insecure = \"true\"\n";
    fs::write(&file, profile).unwrap();
    let address = proxy.url().replace("http://", "http://me:s3cret@");
    let own = [("HTTP_PROXY", address.as_str())];
    run(&home, "daemon start", &own).expect_success();

    let listed = run(&home, "runs list -n 0 -q", &own);
    assert_eq!((listed.stderr.as_str(), listed.stdout), ("", run_ids()));
    assert!(
        proxy.requests()[0].starts_with("GET http://api.example/"),
        "{:?}",
        proxy.requests()
    );
    let status = home.status();
    assert_eq!(status["proxies"], serde_json::json!({"http": proxy.url()}));
    let shown = run(&home, "daemon status", &own).expect_success();
    assert!(
        shown.contains(&format!("proxy\t{} for http\n", proxy.url())),
        "{shown}"
    );

    let password = address.replace("s3cret", "other");
    for other in [
        &[][..],
        &[("HTTP_PROXY", "http://127.0.0.1:9")],
        &[("HTTP_PROXY", password.as_str())],
        &[own[0], ("no_proxy", "elsewhere.example")],
    ] {
        let told = run(&home, "runs list -n 0 -q", other);
        assert_eq!(
            (told.stderr.as_str(), told.stdout),
            (NOTE, run_ids()),
            "{other:?}"
        );
        let told = run(&home, "runs history run-00x", other);
        assert_eq!(told.stderr.matches(NOTE).count(), 1, "{}", told.stderr);
    }
    // The same proxies by other names, and a command whose answer needs none.
    let same = [
        ("ALL_PROXY", "http://127.0.0.1:9"),
        own[0],
        ("HTTPS_PROXY", "socks5://x"),
    ];
    let different = run(&home, "runs list -q -n 0", &same);
    assert_eq!(different.stderr, NOTE, "https has a proxy");
    let same = [
        ("http_proxy", address.as_str()),
        ("HTTPS_PROXY", "socks5://x"),
    ];
    assert_eq!(run(&home, "runs list -q -n 0", &same).stderr, "");
    let jobs = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/harbor-jobs");
    let line = format!("--harbor {jobs} runs eval-list -q");
    assert_eq!(run(&home, &line, &[]).stderr, "");

    let password = [("HTTP_PROXY", password.as_str())];
    run(&home, "daemon restart", &password).expect_success();
    assert_eq!(run(&home, "runs list -q -n 0", &password).stderr, "");
    home.stop();
    for entry in walk(&home.path("docks")) {
        let text = fs::read(&entry).unwrap();
        let has = text.windows(6).any(|part| part == b"s3cret");
        assert!(!has, "{}", entry.display());
    }
}

/// Returns every file below a directory.
fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => walk(&path),
            false => vec![path],
        })
        .filter(|path| path.is_file())
        .collect()
}
