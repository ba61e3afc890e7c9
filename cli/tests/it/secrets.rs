//! Where secrets do not go: files, logs, arguments and environments of other programs, cores.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::sealed::{CommandResult, EnvironmentOf};
use crate::terminal::at_terminal;
use crate::test_home::{TestHome, docksd, eventually, signal};
use crate::watch::FakeRun;

/// Found in whatever has one of the secrets in it.
const CANARY: &str = "canary";

/// Every file below a directory.
fn files(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![top.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => todo.push(entry.path()),
                kind if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

fn script(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn secrets_are_in_no_other_file_log_argument_or_environment() {
    let night = FakeRun::new(1);
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    let seen = home.path("seen");
    fs::create_dir(&seen).unwrap();
    // What each program that is started was given: its arguments and its environment.
    let record = |name: &str| {
        format!(
            "{{ echo \"$0 $@\"; env; }} > '{}'",
            seen.join(name).display()
        )
    };
    let rule = home.path("rule");
    script(&rule, &record("rule"));
    let settings = format!(
        "log_level = \"trace\"\n[[on_end]]\nexec = [\"{}\"]\n",
        rule.display()
    );
    fs::write(home.path("docks/daemon.toml"), settings).unwrap();
    let with_secrets = |line: &str| {
        let mut command = home.command(line);
        command
            .env("DOCKS_TOKEN", "canary-token")
            .env("HARBOR_API_KEY", "canary-key")
            .env("PATH", std::env::var_os("PATH").unwrap());
        command
    };
    let run = |line: &str| CommandResult::new(with_secrets(line).output().unwrap());
    // A docksd that was started by hand may have them itself.
    let mut daemon = Command::new(docksd());
    daemon
        .environment_of(&with_secrets(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(home.path("docksd.log")).unwrap());
    let mut daemon = daemon.spawn().unwrap();
    eventually("the daemon answers", || {
        run("daemon status").code == Some(0)
    });
    run("runs eval-list").expect_success();
    run("runs trials night --fresh").expect_success();
    run("--debug runs eval-list --fresh").expect_success();
    eventually("the rules stand", || {
        let log = fs::read_to_string(home.path("docksd.log")).unwrap();
        log.contains("for runs that have ended")
    });
    night.trial(0, "passed");
    night.run("completed");
    let mut watch = with_secrets("runs watch night --exec");
    watch.arg(record("exec"));
    CommandResult::new(watch.output().unwrap()).expect_success();
    let pager = home.path("pager");
    script(&pager, &format!("{}; cat", record("pager")));
    let mut paged = with_secrets("runs eval-list");
    paged.env("PAGER", &pager);
    let (code, screen) = at_terminal(paged, 80, "");
    assert_eq!(code, Some(0), "{screen}");
    eventually("the rule has run", || seen.join("rule").exists());
    run("--no-daemon runs eval-list").expect_success();
    run("daemon stop").expect_success();
    daemon.wait().unwrap();
    for name in ["rule", "exec"] {
        let text = fs::read_to_string(seen.join(name)).unwrap();
        assert!(text.contains("PATH="), "{name} ran: {text}");
    }
    let mut looked_at = 0;
    for path in files(&home.path(".")) {
        if path.ends_with("docks/config.toml") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        looked_at += 1;
        assert!(!contains(&bytes, CANARY), "{}", path.display());
    }
    assert!(looked_at > 5, "{looked_at} files");
    // The log is not the usual one, which says less.
    let log = fs::read_to_string(home.path("docksd.log")).unwrap();
    assert!(log.contains("DEBUG"), "{log}");
}

#[test]
fn neither_program_leaves_a_core() {
    let night = FakeRun::new(1);
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    let cores = home.path("cores");
    fs::create_dir(&cores).unwrap();
    home.run("daemon start").expect_success();
    let watch = home.command("runs watch night");
    let other = home.path("docks/other");
    let of_other = ["--home".to_owned(), other.display().to_string()];
    let of_watch = watch
        .get_args()
        .map(|word| word.to_str().unwrap().to_owned());
    for (program, arguments) in [
        (docksd(), of_other.to_vec()),
        (PathBuf::from(watch.get_program()), of_watch.collect()),
    ] {
        let output = home.path("output");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "ulimit -c \"$(ulimit -H -c)\"; exec \"$0\" \"$@\""])
            .arg(&program)
            .args(arguments)
            .environment_of(&watch)
            // A developer's own setting must not decide.
            .env_remove("DOCKS_DEBUGGABLE")
            .current_dir(&cores)
            .stdin(Stdio::null())
            .stdout(fs::File::create(&output).unwrap())
            .stderr(Stdio::null());
        let mut child = shell.spawn().unwrap();
        eventually("it is at work", || {
            other.join("run/docksd.sock").exists() || fs::metadata(&output).unwrap().len() > 0
        });
        // Unlike SIGQUIT, this one is not ignored where the tests run in the background of a shell.
        signal(child.id(), "ABRT");
        let ended = child.wait().unwrap();
        assert_eq!(ended.signal(), Some(6), "{}: {ended}", program.display());
        assert!(!ended.core_dumped(), "{} left a core", program.display());
        fs::remove_dir_all(&other).ok();
    }
    assert_eq!(fs::read_dir(&cores).unwrap().count(), 0);
}

/// Every place where a program is started, with what it starts. Each of them must withhold the secrets in
/// `SECRET_VARIABLES`, clear the environment, or give a reason here.
const STARTED: [(&str, usize); 7] = [
    // docksd: in the background, with a list of variables; its helpers and checks, without secrets.
    ("cli/src/daemon_program.rs", 2),
    // `ps`, on systems without /proc.
    ("cli/src/ask/daemon_process.rs", 1),
    // The pager.
    ("cli/src/output/pager.rs", 1),
    // `sh -c` of `--exec`.
    ("cli/src/watch/end_hook.rs", 1),
    // The program of an `on_end` rule, through `/bin/sh`.
    ("daemon/src/hooks/program.rs", 1),
    // `credential_process` of Amazon's shared files.
    ("daemon/stores/src/s3/credential_process.rs", 1),
    // A test of its own.
    ("cli/src/panic.rs", 1),
];

#[test]
fn every_program_that_is_started_is_known() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for top in ["cli/src", "proto", "daemon"] {
        for path in files(&root.join(top)) {
            let name = path
                .strip_prefix(&root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let is_shipped = name.ends_with(".rs")
                && name.contains("src/")
                && !name.starts_with("daemon/testkit/")
                && !name.starts_with("daemon/fault-vfs/");
            let text = match is_shipped {
                true => fs::read_to_string(&path).unwrap(),
                false => continue,
            };
            let starts = text.matches("Command::new(").count();
            if starts > 0 {
                found.push((name, starts));
            }
        }
    }
    found.sort();
    let mut known: Vec<(String, usize)> = STARTED
        .iter()
        .map(|(name, starts)| ((*name).to_owned(), *starts))
        .collect();
    known.sort();
    assert_eq!(found, known);
}
