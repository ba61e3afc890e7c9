//! Stopping a job: which process, which signal, and the message when no signal can be sent.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::hub::{Hub, sign_in};
use crate::sealed::CommandResult;
use crate::test_home::{TestHome, eventually, signal};

const JOB: &str = "killed-midway";

/// A process that keeps the log of a sample job open, as Harbor does.
struct JobProcess(Child);

/// Cleans up as Harbor does: its trials are cancelled, then the job's result says so.
const CLEANS_UP: &str = r#"
    stop() {
        echo asked >>"$JOB/../asked"
        for trial in "$JOB"/long-solve__*; do
            sed 's/"exception_info": null/"exception_info": {"exception_type": "CancelledError", "exception_message": ""}/' \
                "$MODEL" >"$trial/result.json"
        done
        sed -i 's/"n_running_trials": 2/"n_running_trials": 0/; s/"n_cancelled_trials": 0/"n_cancelled_trials": 2/' \
            "$JOB/result.json"
        exit 130
    }
"#;

impl JobProcess {
    /// Starts a program that is called as Harbor is.
    fn start(home: &TestHome, script: &str) -> Self {
        Self::start_as(home, &harbor_program(home), &[], script)
    }

    /// Starts a shell as another program, with something between the two.
    fn start_as(home: &TestHome, program: &Path, between: &[&str], script: &str) -> Self {
        let holder = Self::spawn(home, program, between, script);
        eventually("the job runs", || {
            let text = home
                .run_jobs(&format!("runs get {JOB} --format json"))
                .expect_success();
            let run: serde_json::Value = serde_json::from_str(&text).unwrap();
            run["harbor"]["pid"] == holder.0.id()
        });
        holder
    }

    fn spawn(home: &TestHome, program: &Path, between: &[&str], script: &str) -> Self {
        let job = job(home);
        let model = fs::read_dir(&job)
            .unwrap()
            .flatten()
            .map(|entry| entry.path().join("result.json"));
        let model = model.into_iter().find(|path| path.is_file()).unwrap();
        let mut command = Command::new(program);
        command
            .args(between)
            .args(["-c", script])
            .env("JOB", &job)
            .env("MODEL", model)
            .stdin(Stdio::null())
            .process_group(0);
        Self(command.spawn().unwrap())
    }

    /// Whether the process has a file of this path open, by the path that it has for it.
    fn has_open(&self, path: &Path) -> bool {
        let open = fs::read_dir(format!("/proc/{}/fd", self.0.id()));
        let mut open = open.into_iter().flatten().flatten();
        open.any(|file| fs::read_link(file.path()).is_ok_and(|target| target == path))
    }

    fn ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for JobProcess {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|status| status.is_none()) {
            signal(self.0.id(), "KILL");
            drop(self.0.wait());
        }
    }
}

fn job(home: &TestHome) -> PathBuf {
    home.jobs().join(JOB)
}

/// Returns a shell that is called `harbor`: what docks looks at is the program of a process, not what it does.
fn harbor_program(home: &TestHome) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut shells = std::env::split_paths(&path).map(|dir| dir.join("bash"));
    let shell = shells.find(|shell| shell.exists()).unwrap();
    let program = home.path("harbor");
    fs::copy(shell, &program).unwrap();
    program
}

/// Returns a script that waits in small steps: a shell handles signals only between commands. It begins by writing a
/// file of the job, as Harbor does when it resumes one.
fn waiting_script(before: &str) -> String {
    format!(
        "{before}\ntouch \"$JOB/config.json\"\nexec 3>>\"$JOB/job.log\"\nwhile :; do sleep 0.05 3>&-; done"
    )
}

#[test]
fn a_job_is_signalled_once_and_waited_for_until_it_has_cleaned_up() {
    let home = TestHome::with_jobs();
    let script = waiting_script(&format!("{CLEANS_UP}\ntrap stop TERM INT"));
    let mut holder = JobProcess::start(&home, &script);
    let stopped = home.run_jobs(&format!("runs stop {JOB} --force"));
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(
        stopped.stdout.ends_with(": cancelled\n"),
        "{}",
        stopped.stdout
    );
    let said = format!("SIGTERM was sent to process {}", holder.0.id());
    assert!(stopped.stderr.contains(&said), "{}", stopped.stderr);
    assert_eq!(holder.0.wait().unwrap().code(), Some(130));
    assert_eq!(
        fs::read_to_string(home.jobs().join("asked")).unwrap(),
        "asked\n"
    );
    let again = home.run_jobs(&format!("runs stop {JOB} --force"));
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("is not running"), "{}", again.stderr);
}

#[test]
fn a_process_that_catches_no_signal_is_left_alone_until_kill_is_given() {
    let home = TestHome::with_jobs();
    let mut holder = JobProcess::start(&home, &waiting_script("trap '' INT"));
    let refused = home.run_jobs(&format!("runs eval-cancel {JOB} --force"));
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    for part in [
        "catches neither SIGTERM nor SIGINT",
        "--kill",
        "running trials are lost",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert!(!holder.ended());
    let killed = home.run_jobs(&format!("runs eval-cancel {JOB} --force --kill"));
    assert_eq!(killed.code, Some(0), "{}", killed.stderr);
    assert!(killed.stdout.ends_with(": failed\n"), "{}", killed.stdout);
    assert_eq!(holder.0.wait().unwrap().signal(), Some(9));
}

#[test]
fn a_program_that_is_not_harbor_gets_a_signal_only_if_it_is_chosen() {
    let home = TestHome::with_jobs();
    let script = waiting_script(&format!("{CLEANS_UP}\ntrap stop TERM INT"));
    let mut holder = JobProcess::start_as(&home, Path::new("bash"), &[], &script);
    let pid = holder.0.id();
    for line in ["stop", "stop --kill", "eval-cancel"] {
        let (verb, more) = line.split_once(' ').unwrap_or((line, ""));
        let refused = home.run_jobs(&format!("runs {verb} {JOB} --force {more}"));
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        let named = format!("{pid} (bash -c");
        for part in ["does not look like the Harbor", &*named, "--pid PID"] {
            assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
        }
    }
    let own = std::process::id();
    let other = home.run_jobs(&format!("runs stop {JOB} --force --pid {own}"));
    assert_eq!(other.code, Some(1), "{}", other.stdout);
    let said = format!("process {own} does not write to job `{JOB}`");
    assert!(other.stderr.contains(&said), "{}", other.stderr);
    assert!(!home.jobs().join("asked").exists() && !holder.ended());
    let stopped = home.run_jobs(&format!("runs stop {JOB} --force --pid {pid}"));
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert_eq!(holder.0.wait().unwrap().code(), Some(130));
}

#[test]
fn of_several_writers_harbor_is_stopped_and_of_several_harbors_the_chosen_one() {
    let home = TestHome::with_jobs();
    let script = waiting_script(&format!("{CLEANS_UP}\ntrap stop TERM INT"));
    let mut other = JobProcess::spawn(&home, Path::new("bash"), &[], &script);
    let log = job(&home).join("job.log");
    eventually("another program writes to the log", || other.has_open(&log));
    let program = harbor_program(&home);
    let mut first = JobProcess::spawn(&home, &program, &[], &script);
    let mut second = JobProcess::spawn(&home, &program, &[], &waiting_script("trap 'exit 9' TERM"));
    eventually("all write to it", || {
        first.has_open(&log) && second.has_open(&log)
    });
    home.run_jobs("runs list --fresh").expect_success();
    let refused = home.run_jobs(&format!("runs stop {JOB} --force"));
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    for part in ["everal processes write to job", "--pid PID"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert!(!first.ended() && !second.ended() && !other.ended());
    let pid = second.0.id();
    let line = format!("runs stop {JOB} --force --pid {pid}");
    let mut waits = home.command_jobs(&line).spawn().unwrap();
    assert_eq!(second.0.wait().unwrap().code(), Some(9));
    signal(waits.id(), "INT");
    waits.wait().unwrap();
    let line = format!("runs stop {JOB} --force");
    let waits = home.command_jobs(&line).spawn().unwrap();
    assert_eq!(first.0.wait().unwrap().code(), Some(130));
    assert!(!other.ended());
    // Whatever writes to a job keeps it running.
    drop(other);
    let stopped = CommandResult::new(waits.wait_with_output().unwrap());
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
}

/// Starts a shell in a mount namespace of its own, as in a container; `None` where that is not permitted.
fn start_apart(home: &TestHome, test: &str, mounts: &str, script: &str) -> Option<JobProcess> {
    const APART: [&str; 3] = ["--map-root-user", "--mount", "--"];
    let tried = Command::new("unshare").args(APART).arg("true").output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        docksd_testkit::skip(test, "mount namespaces are not permitted here");
        return None;
    }
    let program = harbor_program(home);
    let script = format!("{mounts}\nexec '{}' -c '{script}'", program.display());
    let between = [&APART[..], &["bash"]].concat();
    Some(JobProcess::spawn(
        home,
        Path::new("unshare"),
        &between,
        &script,
    ))
}

#[test]
fn a_process_with_another_file_at_the_same_path_is_left_alone() {
    let test = "stopping::a_process_with_another_file_at_the_same_path_is_left_alone";
    let home = TestHome::with_jobs();
    home.run_jobs("runs list").expect_success();
    let job = job(&home);
    let other = home.path("other");
    fs::create_dir(&other).unwrap();
    let mounts = format!("mount --bind '{}' \"$JOB\"", other.display());
    let script = "exec 3>>\"$JOB/job.log\"; while :; do sleep 0.05 3>&-; done";
    let Some(mut holder) = start_apart(&home, test, &mounts, script) else {
        return;
    };
    let log = job.join("job.log");
    eventually("its file is open", || holder.has_open(&log));
    assert!(other.join("job.log").exists());
    fs::write(job.join("note"), "a change").unwrap();
    let shown = home.run_jobs(&format!("runs get {JOB} --fresh --format json"));
    let shown: serde_json::Value = serde_json::from_str(&shown.expect_success()).unwrap();
    assert_eq!(shown["harbor"]["pid"], serde_json::Value::Null);
    let pid = holder.0.id();
    for more in ["", "--kill", &format!("--pid {pid} --kill")] {
        let refused = home.run_jobs(&format!("runs stop {JOB} --force {more}"));
        assert_eq!(refused.code, Some(1), "{more}: {}", refused.stdout);
        assert!(!holder.ended(), "{more}: {}", refused.stderr);
    }
}

#[test]
fn a_process_that_has_the_job_at_another_path_is_stopped() {
    let test = "stopping::a_process_that_has_the_job_at_another_path_is_stopped";
    let home = TestHome::with_jobs();
    home.run_jobs("runs list").expect_success();
    let inside = home.path("inside");
    fs::create_dir(&inside).unwrap();
    let inside = fs::canonicalize(inside).unwrap();
    let shown = inside.display();
    let mounts = format!("mount --bind \"$JOB\" '{shown}'; export JOB='{shown}'");
    let script = "trap \"exit 130\" TERM; touch \"$JOB/config.json\"; exec 3>>\"$JOB/job.log\"; \
                  while :; do sleep 0.05 3>&-; done";
    let Some(mut holder) = start_apart(&home, test, &mounts, script) else {
        return;
    };
    eventually("it has the job open", || {
        holder.has_open(&inside.join("job.log"))
    });
    let line = format!("runs stop {JOB} --force");
    let mut stopped = Default::default();
    eventually("it is found", || {
        stopped = home.run_jobs(&line).stderr;
        stopped.contains("SIGTERM was sent") || holder.ended()
    });
    assert_eq!(holder.0.wait().unwrap().code(), Some(130), "{stopped}");
}

#[test]
fn a_suspended_process_is_named_and_stopped_once_it_continues() {
    let home = TestHome::with_jobs();
    let script = waiting_script(&format!("{CLEANS_UP}\ntrap stop TERM INT"));
    let mut holder = JobProcess::start(&home, &script);
    let pid = holder.0.id();
    signal(pid, "STOP");
    let state = || fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    eventually("it is suspended", || state().contains("State:\tT"));
    let refused = home.run_jobs(&format!("runs stop {JOB} --force"));
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    for part in ["is suspended", &format!("kill -CONT {pid}")] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    signal(pid, "CONT");
    eventually("it continues", || !state().contains("State:\tT"));
    // Nothing was sent while it could not notice it.
    assert!(!home.jobs().join("asked").exists() && !holder.ended());
    let stopped = home.run_jobs(&format!("runs stop {JOB} --force"));
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert_eq!(holder.0.wait().unwrap().code(), Some(130));
}

#[test]
fn a_job_that_does_not_end_is_not_signalled_again_but_can_be_killed() {
    let home = TestHome::with_jobs();
    let script = waiting_script("trap 'echo asked >>\"$JOB/../asked\"' TERM");
    let mut holder = JobProcess::start(&home, &script);
    let line = format!("runs stop {JOB} --force");
    let mut waits = home.command_jobs(&line).spawn().unwrap();
    let asked = home.jobs().join("asked");
    eventually("it was asked", || asked.exists());
    // Ctrl-C changes nothing: the process was signalled once.
    signal(waits.id(), "INT");
    assert_eq!(waits.wait().unwrap().code(), Some(130));
    let shown = home
        .run_jobs(&format!("runs get {JOB} --format json"))
        .expect_success();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["status"], &shown["harbor"]["state"]),
        (&"running".into(), &"stopping".into())
    );
    let killed = home.run_jobs(&format!("{line} --kill"));
    assert_eq!(killed.code, Some(0), "{}", killed.stderr);
    assert_eq!(holder.0.wait().unwrap().signal(), Some(9));
    assert_eq!(fs::read_to_string(asked).unwrap(), "asked\n");
}

#[test]
fn a_job_is_stopped_through_a_hub_and_a_read_only_one_refuses() {
    for (options, code) in [("", 0), ("--read-only", 4)] {
        let mut hub = Hub::start(options);
        let script = waiting_script(&format!("{CLEANS_UP}\ntrap stop TERM INT"));
        let mut holder = JobProcess::start(&hub.home, &script);
        let other = TestHome::new();
        assert_eq!(sign_in(&other, &hub, &hub.token(), "").code, Some(0));
        let stopped = other.run(&format!("-p team runs stop {JOB} --force"));
        assert_eq!(stopped.code, Some(code), "{options}: {}", stopped.stderr);
        if code == 0 {
            let ended = stopped.stdout.ends_with(": cancelled\n");
            assert!(ended, "{}", stopped.stdout);
            assert_eq!(holder.0.wait().unwrap().code(), Some(130));
        } else {
            for said in ["read-only", "Ask the owner of the hub"] {
                assert!(stopped.stderr.contains(said), "{}", stopped.stderr);
            }
            assert!(!stopped.stderr.contains("auth login"), "{}", stopped.stderr);
            assert!(!holder.ended());
        }
        let asked = fs::read_to_string(hub.home.jobs().join("asked")).unwrap_or_default();
        assert_eq!(asked, if code == 0 { "asked\n" } else { "" });
        hub.end();
    }
}

#[test]
fn who_stopped_a_job_through_a_hub_is_in_its_history_and_in_the_log() {
    let mut hub = Hub::start("");
    let script = waiting_script(&format!("{CLEANS_UP}\ntrap stop TERM INT"));
    let mut holder = JobProcess::start(&hub.home, &script);
    let other = TestHome::new();
    let sign_in_as = |name: &str| {
        let added = hub.home.run(&format!("hub token add {name}"));
        let token = added.expect_success();
        assert_eq!(sign_in(&other, &hub, token.trim(), "").code, Some(0));
    };
    sign_in_as("bob --read-only");
    let line = format!("-p team runs stop {JOB} --force");
    let refused = other.run(&line);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    let said = "The token `bob` is read-only";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
    assert!(!holder.ended());
    sign_in_as("alice");
    let stopped = other.run(&line);
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert_eq!(holder.0.wait().unwrap().code(), Some(130));
    let mut command = hub.home.command_jobs(&format!("runs history {JOB}"));
    command.env("DOCKS_HOME", hub.home.path("docks/hub"));
    let history = CommandResult::new(command.output().unwrap()).expect_success();
    assert!(history.contains("\tstop by alice\n"), "{history}");
    assert!(!history.contains("bob"), "{history}");
    hub.end();
    let log = hub.log();
    let line = log
        .lines()
        .find(|line| line.contains("carried out an action"));
    assert!(line.is_some_and(|line| line.contains("alice")), "{log}");
}

/// A user who owns nothing here.
const NOBODY: u32 = 65_534;

#[test]
fn the_process_of_another_user_is_left_alone() {
    if !rustix::process::geteuid().is_root() {
        let test = "stopping::the_process_of_another_user_is_left_alone";
        docksd_testkit::skip(test, "only root can start processes of two users");
        return;
    }
    let home = TestHome::with_jobs();
    let job = home.jobs().join("theirs");
    fs::create_dir(&job).unwrap();
    fs::copy(
        home.jobs().join(JOB).join("config.json"),
        job.join("config.json"),
    )
    .unwrap();
    let mut command = Command::new("bash");
    command
        .args(["-c", &waiting_script("trap '' INT TERM")])
        .env("JOB", &job)
        .stdin(Stdio::null());
    let mut holder = JobProcess(command.spawn().unwrap());
    eventually("its log is there", || job.join("job.log").exists());
    for own in [home.path("."), home.path("docks")] {
        fs::create_dir_all(&own).unwrap();
        std::os::unix::fs::chown(own, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let run = |line: &str| {
        let mut command = home.command_jobs(line);
        command.uid(NOBODY).gid(NOBODY).output()
    };
    if run("--version").is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied) {
        eprintln!("skipped: another user may not run the programs that were built here");
        return;
    }
    eventually("the job is told", || {
        let shown = CommandResult::new(run("runs get theirs --fresh").unwrap());
        shown.stdout.contains("Status:    pending")
    });
    for line in [
        "runs stop theirs --force",
        "runs stop theirs --force --kill",
    ] {
        let refused = CommandResult::new(run(line).unwrap());
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        let said = "`theirs` belongs to user 0, whose processes cannot be inspected";
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("stop it where it runs"),
            "{}",
            refused.stderr
        );
        assert!(!holder.ended());
    }
    let ended = CommandResult::new(run("daemon stop").unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
