//! Logs of trials that run in a `harbor serve` of the same user on this machine.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Stdio;

use crate::harbor_server::{NIGHTLY, Served, attempt};
use crate::sealed::CommandResult;
use crate::test_home::eventually;

/// A server with a data directory, and the folder of its running trial.
struct Live {
    served: Served,
    data: PathBuf,
    trial: PathBuf,
}

impl Live {
    fn start() -> Self {
        let served = Served::start();
        let data = served.home.path("data").canonicalize().unwrap_or_else(|_| {
            fs::create_dir(served.home.path("data")).unwrap();
            served.home.path("data").canonicalize().unwrap()
        });
        let id = attempt("a", "running").id;
        let trial = data.join(format!("files/rollouts/{id}/hello__{id}"));
        fs::create_dir_all(trial.join("agent")).unwrap();
        fs::write(data.join("harbor.sqlite3"), "").unwrap();
        fs::write(trial.join("agent/coder.txt"), "first\n").unwrap();
        let secret = served.home.path("secret.txt");
        fs::write(&secret, "not of the trial\n").unwrap();
        symlink(&secret, trial.join("agent/linked.txt")).unwrap();
        let live = Self {
            served,
            data,
            trial,
        };
        live.set_mode(0o700);
        live.served.server.with(|data| {
            data.data_dir = live.data.display().to_string();
            data.job("22222222-0000-4000-8000-000000000000", "other", "running");
            let running = format!(
                "file://{}/files/jobs/{NIGHTLY}/lock.json",
                live.data.display()
            );
            data.set_plan(NIGHTLY, &running);
        });
        live
    }

    fn set_mode(&self, mode: u32) {
        fs::set_permissions(&self.data, fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn the_log_of_a_running_trial_is_read_in_its_folder_and_no_link_is_followed() {
    let live = Live::start();
    let run = |line: &str| live.served.run(line);
    let log = run("runs logs nightly aaaaaaaa");
    assert_eq!(log.expect_success(), "first\n");
    let listed = run("runs files nightly aaaaaaaa --format tsv");
    assert!(
        listed.stderr.contains("1 symbolic link"),
        "{}",
        listed.stderr
    );
    let listed = listed.expect_success();
    assert!(listed.contains("agent/coder.txt\t6\tlogs"), "{listed}");
    assert!(!listed.contains("linked"), "{listed}");
    let printed = run("runs cat nightly aaaaaaaa agent/coder.txt");
    assert_eq!(printed.expect_success(), "first\n");
    let linked = run("runs cat nightly aaaaaaaa agent/linked.txt");
    assert_eq!(linked.code, Some(3), "{linked:?}");
    // A directory that others can write to says nothing of what they put there.
    live.set_mode(0o777);
    let shared = run("runs logs nightly aaaaaaaa");
    assert_eq!(shared.code, Some(3), "{shared:?}");
    let later = run("runs files nightly aaaaaaaa");
    assert!(
        later.stderr.contains("once it has ended"),
        "{}",
        later.stderr
    );
}

#[test]
fn a_followed_log_goes_on_until_the_trial_ends_and_is_not_printed_twice() {
    let live = Live::start();
    let line = format!(
        "--harbor-server {} runs logs nightly aaaaaaaa --follow",
        live.served.server.url()
    );
    let out = live.served.home.path("followed");
    let mut command = live.served.home.command(&line);
    let child = command
        .stdout(fs::File::create(&out).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let printed = || fs::read_to_string(&out).unwrap();
    eventually("the log is printed", || printed() == "first\n");
    let log = live.trial.join("agent/coder.txt");
    let mut file = fs::OpenOptions::new().append(true).open(log).unwrap();
    file.write_all(b"second\n").unwrap();
    eventually("what is added is printed", || {
        printed() == "first\nsecond\n"
    });
    live.served.finish();
    let ended = CommandResult::new(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let all = printed();
    assert!(
        all.starts_with("first\nsecond\n") || all.contains("\nsecond\n"),
        "{all}"
    );
    assert_eq!(all.matches("first").count(), 1, "{all}");
    assert!(!all.contains("content of coder.txt"), "{all}");
}
