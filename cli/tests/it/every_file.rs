//! `docks runs files`, `cat` and `artifacts --type all`: every file of a trial, from a jobs directory and through a hub.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Value;

use crate::hub::{Hub, sign_in};
use crate::remote::Remote;
use crate::sealed::Sealed;
use crate::terminal::at_terminal;
use crate::test_home::TestHome;

const JOB: &str = "nightly-mixed";
const TRIAL: &str = "slow-solve__hKaEoZ9";
const ESCAPES: &str = "a prompt\u{1b}[31m in red\r\n";

fn trial_of(home: &TestHome) -> PathBuf {
    home.jobs().join(JOB).join(TRIAL)
}

fn write(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A home whose trial has what agents leave, and what must not be followed.
fn home_with_files() -> TestHome {
    let home = TestHome::with_jobs();
    let trial = trial_of(&home);
    write(&trial, "agent/episode-10/prompt.txt", b"ten");
    write(&trial, "agent/episode-9/prompt.txt", ESCAPES.as_bytes());
    write(&trial, "agent/.claude/session.jsonl", b"{}\n");
    write(&trial, "agent/recording.cast", b"{\"version\": 2}\n");
    write(&trial, "agent/core.bin", b"\0\x01\0");
    write(&trial, "agent/images/step 1.png", b"PNG");
    write(&trial, "steps/one/verifier/report.html", b"<p>");
    let image =
        |path: &str| format!(r#"{{"source":{{"media_type":"image/png","path":"{path}"}}}}"#);
    let trajectory = format!(
        r#"{{"steps":[{},{},{}]}}"#,
        image("images/step 1.png"),
        image("images/gone.png"),
        image("../../../secret")
    );
    write(&trial, "agent/trajectory.json", trajectory.as_bytes());
    write(&home.jobs(), "secret", b"secret");
    symlink(home.jobs().join("secret"), trial.join("agent/link")).unwrap();
    symlink("/", trial.join("agent/outside")).unwrap();
    home
}

/// Every regular file below a folder, by its path.
fn on_disk(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut queue = vec![folder.to_owned()];
    while let Some(dir) = queue.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                queue.push(entry.path());
            } else if kind.is_file() {
                let path = entry.path();
                let below = path.strip_prefix(folder).unwrap().to_str().unwrap();
                found.insert(below.to_owned());
            }
        }
    }
    found
}

fn rows(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap()
}

fn paths(rows: &[Value]) -> BTreeSet<String> {
    let path = |row: &Value| row["path"].as_str().unwrap().to_owned();
    rows.iter().map(path).collect()
}

#[test]
fn every_file_of_a_trial_and_a_job_is_listed_and_printed_byte_for_byte() {
    let home = home_with_files();
    let trial = trial_of(&home);
    let json = home
        .run_jobs(&format!("runs files {JOB} {TRIAL} --format json"))
        .expect_success();
    assert_eq!(paths(&rows(&json)), on_disk(&trial));
    for row in rows(&json) {
        let path = row["path"].as_str().unwrap();
        let size = fs::metadata(trial.join(path)).unwrap().len();
        assert_eq!(row["size_bytes"], size, "{path}");
        let mut command = home.command_jobs(&format!("runs cat {JOB} {TRIAL}"));
        let printed = command.arg(path).output().unwrap();
        assert!(printed.status.success(), "{printed:?}");
        assert_eq!(
            printed.stdout,
            fs::read(trial.join(path)).unwrap(),
            "{path}"
        );
    }
    let listed = home.run_jobs(&format!("runs files {JOB} {TRIAL}"));
    assert!(
        listed.stderr.contains("2 symbolic links are not followed"),
        "{}",
        listed.stderr
    );
    let lines: Vec<&str> = listed.stdout.lines().collect();
    let at = |name: &str| {
        lines
            .iter()
            .position(|line| line.starts_with(name))
            .unwrap()
    };
    assert!(at("agent/episode-9/") < at("agent/episode-10/"));
    assert!(lines[at("agent/recording.cast")].starts_with("agent/recording.cast\t15\trecording\t"));
    let of_run = home
        .run_jobs(&format!("runs files {JOB} --format jsonl"))
        .expect_success();
    let of_run: Vec<Value> = of_run
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(of_run.len(), on_disk(&home.jobs().join(JOB)).len());
    let own: Vec<Value> = of_run
        .iter()
        .filter(|row| row["trial"] == "")
        .cloned()
        .collect();
    let expected = ["config.json", "job.log", "lock.json", "result.json"].map(str::to_owned);
    assert_eq!(paths(&own), BTreeSet::from(expected));
    let log = home
        .run_jobs(&format!("runs cat {JOB} job.log"))
        .expect_success();
    assert_eq!(
        log,
        fs::read_to_string(home.jobs().join(JOB).join("job.log")).unwrap()
    );
    // A path as in the folder of the job.
    let prompt = home.run_jobs(&format!(
        "runs cat {JOB} {TRIAL}/agent/episode-10/prompt.txt"
    ));
    assert_eq!(prompt.expect_success(), "ten");
}

#[test]
fn a_path_that_is_missing_ambiguous_a_folder_or_outside_is_refused_with_what_to_do() {
    let home = home_with_files();
    for (path, code, message) in [
        ("nothing.txt", 3, "no file `nothing.txt`"),
        ("prompt.txt", 9, "matches more than one file"),
        ("agent", 1, "`agent` is a folder"),
        ("agent/link", 3, "no file"),
        ("agent/outside/etc/passwd", 3, "no file"),
        ("../config.json", 2, "is not a path below"),
        ("/etc/passwd", 2, "is not a path below"),
    ] {
        let refused = home.run_jobs(&format!("runs cat {JOB} {TRIAL} {path}"));
        assert_eq!(refused.code, Some(code), "{path}: {}", refused.stderr);
        assert!(
            refused.stderr.contains(message),
            "{path}: {}",
            refused.stderr
        );
        assert!(
            refused.stderr.contains("hint: "),
            "{path}: {}",
            refused.stderr
        );
        assert_eq!(refused.stdout, "", "{path}");
    }
    let unique = home.run_jobs(&format!("runs cat {JOB} {TRIAL} episode-10/prompt.txt"));
    assert_eq!(unique.expect_success(), "ten");
    let no_trial = home.run_jobs(&format!("runs files {JOB} no-such-trial"));
    assert_eq!(no_trial.code, Some(3), "{}", no_trial.stderr);
    let secret = home.run_jobs(&format!("runs cat {JOB} ../secret"));
    assert_eq!(secret.code, Some(2));
}

#[test]
fn at_a_terminal_a_file_is_cleaned_and_a_binary_or_a_recording_says_what_to_do() {
    let home = home_with_files();
    let at = |line: &str| at_terminal(home.command_jobs(line), 80, "");
    let (code, screen) = at(&format!(
        "runs cat {JOB} {TRIAL} agent/episode-9/prompt.txt"
    ));
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("a prompt in red"), "{screen:?}");
    let (code, screen) = at(&format!("runs cat {JOB} {TRIAL} core.bin"));
    assert_eq!(code, Some(1), "{screen}");
    assert!(
        screen.contains("binary file of 3 bytes") && screen.contains("--raw"),
        "{screen}"
    );
    let (_, screen) = at(&format!("runs cat {JOB} {TRIAL} core.bin --raw"));
    assert!(screen.contains('\0'), "{screen:?}");
    let (_, screen) = at(&format!("runs cat {JOB} {TRIAL} recording.cast"));
    assert!(screen.contains("asciinema play"), "{screen}");
    let (code, screen) = at(&format!("runs files {JOB} {TRIAL}"));
    assert_eq!(code, Some(0), "{screen}");
    assert!(
        screen.contains("episode-9/") && screen.contains("files, "),
        "{screen}"
    );
    // A file that another process is still writing.
    write(
        &trial_of(&home),
        "agent/episode-10/prompt.txt",
        b"ten and more",
    );
    let grown = home.run_jobs(&format!(
        "runs cat {JOB} {TRIAL} agent/episode-10/prompt.txt"
    ));
    assert_eq!(grown.expect_success(), "ten and more");
}

#[test]
fn all_files_are_downloaded_and_the_default_stays_with_the_images_it_points_to() {
    let home = home_with_files();
    let out = |name: &str| home.path(name).display().to_string();
    let line = format!(
        "runs artifacts {JOB} -t {TRIAL} -o {} --type all",
        out("all")
    );
    let first = home.run_jobs(&line);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let trial = trial_of(&home);
    let folder = fs::read_dir(home.path("all"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let folder = fs::read_dir(folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let contents = |folder: &Path| -> Vec<Vec<u8>> {
        let mut contents: Vec<_> = on_disk(folder)
            .iter()
            .map(|path| fs::read(folder.join(path)).unwrap())
            .collect();
        contents.sort();
        contents
    };
    assert_eq!(contents(&folder), contents(&trial));
    assert_eq!(
        fs::read(folder.join("agent/images/step 1.png")).unwrap(),
        b"PNG"
    );
    assert!(first.stderr.contains("gone.png"), "{}", first.stderr);
    // The second time only the summary says anything.
    let again = home.run_jobs(&line);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(again.stdout, "");
    assert!(again.stderr.contains("already there"), "{}", again.stderr);
    let some = home.run_jobs(&format!(
        "runs artifacts {JOB} -t {TRIAL} -o {} --type recording,verifier --format json",
        out("some")
    ));
    let kinds: Vec<String> = rows(&some.expect_success())
        .iter()
        .map(|row| row["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["recording", "verifier"]);
    // The trajectory is one of the four types, once the daemon has seen it.
    home.run_jobs(&format!("runs eval-get {JOB} --fresh"))
        .expect_success();
    let main = home.run_jobs(&format!(
        "runs artifacts {JOB} -t {TRIAL} -o {}",
        out("main")
    ));
    assert_eq!(main.code, Some(0), "{}", main.stderr);
    let names = on_disk(&home.path("main"));
    let inside = |end: &str| names.iter().any(|name| name.ends_with(end));
    assert!(inside("/trajectory.json"), "{names:?}");
    assert!(inside("/images/step 1.png"), "{names:?}");
    assert!(!inside("prompt.txt") && !inside("config.json"), "{names:?}");
}

#[test]
fn a_hub_sends_every_file_of_its_trials_and_what_is_cached_is_shown_without_it() {
    let home = Rc::new(home_with_files());
    let mut hub = Hub::of(Rc::clone(&home), "");
    let other = TestHome::new();
    assert_eq!(sign_in(&other, &hub, &hub.token(), "").code, Some(0));
    let list = format!("-p team runs files {JOB} {TRIAL} --format json");
    let there = rows(&other.run(&list).expect_success());
    assert_eq!(paths(&there), on_disk(&trial_of(&home)));
    assert!(there.iter().all(|row| row["cached"] == false));
    let cat = |path: &str| other.run(&format!("-p team runs cat {JOB} {TRIAL} {path}"));
    assert_eq!(cat("episode-10/prompt.txt").expect_success(), "ten");
    let lock = other
        .run(&format!("-p team runs cat {JOB} lock.json"))
        .expect_success();
    assert_eq!(
        lock,
        fs::read_to_string(home.jobs().join(JOB).join("lock.json")).unwrap()
    );
    assert_eq!(cat("agent/link").code, Some(3));
    hub.end();
    let offline = other.run(&format!("{list} --offline"));
    let offline = rows(&offline.expect_success());
    assert_eq!(paths(&offline), paths(&there));
    let cached: Vec<&Value> = offline.iter().filter(|row| row["cached"] == true).collect();
    assert_eq!(cached.len(), 1, "{cached:?}");
    let away = other.run(&list);
    assert!(
        away.stderr.contains("list of files was current"),
        "{}",
        away.stderr
    );
    assert_eq!(paths(&rows(&away.expect_success())), paths(&there));
    let kept = cat("agent/episode-10/prompt.txt");
    assert!(kept.stderr.contains("cached copy"), "{}", kept.stderr);
    assert_eq!(kept.expect_success(), "ten");
    let missing = cat("agent/core.bin");
    assert_eq!(missing.code, Some(5), "{}", missing.stderr);
}

#[test]
fn a_docks_api_has_the_files_that_its_trials_name() {
    let remote = Remote::start(|line| {
        let path = line.split([' ', '?']).nth(1).unwrap();
        let run = r#"{"id":"r-1","name":"r-1","status":"completed"}"#;
        let trial = r#"{"id":"t-1","task_slug":"sum","status":"failed","logs_uri":"gs://b/t-1/logs.txt","diff_uri":"gs://b/t-1/d.patch"}"#;
        match path.trim_start_matches("/tenants/ten/harbor/") {
            "runs" => (200, format!("[{run}]")),
            "runs/r-1" => (200, run.to_owned()),
            "runs/r-1/trials" => (200, format!("[{trial}]")),
            "runs/r-1/trials/t-1" => (200, trial.to_owned()),
            "runs/r-1/trials/t-2" => (
                200,
                r#"{"id":"t-2","status":"failed","logs_uri":"gs://b/t-2/r.cast"}"#.to_owned(),
            ),
            _ => (404, "{}".to_owned()),
        }
    });
    let home = Sealed::new(&remote);
    let listed = home.run("runs files r-1 t-1").expect_success();
    assert_eq!(
        listed,
        "logs.txt\t\tlogs\tt-1\t\tfalse\nd.patch\t\tdiff\tt-1\t\tfalse\n"
    );
    // A recording is not printed but played.
    let recorded = home.run("runs logs r-1 t-2");
    assert_eq!((recorded.code, recorded.stdout.as_str()), (Some(0), ""));
    assert!(
        recorded.stderr.contains("asciinema play"),
        "{}",
        recorded.stderr
    );
    let missing = home.run("runs cat r-1 t-1 config.json");
    assert_eq!(missing.code, Some(3), "{}", missing.stderr);
}
