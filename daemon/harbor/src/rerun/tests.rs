use std::fs;

use serde_json::json;

use super::*;

/// A job below a directory that stands for the one in which it was run.
struct Job {
    dir: tempfile::TempDir,
    trials: Vec<JobTrial>,
}

impl Job {
    fn new(config: &Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let job = Self {
            dir,
            trials: Vec::new(),
        };
        job.write("config.json", config);
        job
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("jobs/nightly")
    }

    fn write(&self, path: &str, content: &Value) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content.to_string()).unwrap();
    }

    /// Adds a trial that ended; `agent` null is Harbor's default.
    fn trial(&mut self, name: &str, task: &str, agent: Value, exceptions: &[&str], selected: bool) {
        let mut config =
            json!({"task": {"path": format!("tasks/{task}")}, "trial_name": name, "debug": true});
        if !agent.is_null() {
            config["agent"] = agent;
        }
        self.write(&format!("{name}/config.json"), &config);
        self.trials.push(JobTrial {
            id: name.to_owned(),
            folder: Some(name.to_owned()),
            has_result: true,
            exceptions: exceptions.iter().map(|kind| (*kind).to_owned()).collect(),
            selected,
            ..JobTrial::default()
        });
    }

    fn plan(&self) -> JobRerun {
        let dirs = [self.dir.path().join("jobs")];
        plan_rerun(&dirs, &self.folder(), true, &self.trials)
    }

    fn resume(&self) -> Option<String> {
        Some(self.plan().resume?.arguments.join(" "))
    }
}

fn job() -> Value {
    json!({"job_name": "nightly", "n_attempts": 5, "datasets": [{"path": "tasks"}], "quiet": true,
           "agents": [{"name": "oracle"}, {"name": "nop"}]})
}

#[test]
fn there_is_a_config_for_each_number_of_attempts() {
    let mut job = Job::new(&job());
    for (name, task, agent) in [
        ("a1", "a", Value::Null),
        ("a2", "a", json!({"name": "oracle"})),
        ("a3", "a", json!({"name": "nop"})),
        ("a4", "a", json!({"name": "nop"})),
        ("b1", "b", Value::Null),
        ("b2", "b", json!({"name": "coder", "model_name": "acme/m"})),
    ] {
        job.trial(name, task, agent, &[], true);
    }
    job.trial("c", "c", Value::Null, &[], false);
    fs::create_dir(job.dir.path().join("jobs/nightly-rerun")).unwrap();
    let plan = job.plan();
    assert_eq!(plan.directory.as_deref(), job.dir.path().to_str());
    let shown: Vec<(u64, String)> = plan
        .configs
        .iter()
        .map(|config| {
            let name = |task: &Value| task["path"].as_str().unwrap().to_owned();
            let config_of = &config.config;
            let tasks = config_of["tasks"].as_array().unwrap();
            let tasks: Vec<String> = tasks.iter().map(name).collect();
            let agents = config_of["agents"].as_array().unwrap();
            let agents: Vec<&str> = agents
                .iter()
                .map(|agent| agent["name"].as_str().unwrap())
                .collect();
            let text = format!(
                "{} {} {} x {}",
                config_of["job_name"].as_str().unwrap(),
                tasks.join(","),
                agents.join(","),
                config_of["n_attempts"]
            );
            (config.trials, text)
        })
        .collect();
    assert_eq!(
        shown,
        [
            (2, "nightly-rerun-2 tasks/b coder,oracle x 1".to_owned()),
            (4, "nightly-rerun-3 tasks/a nop,oracle x 2".to_owned()),
        ]
    );
    let config = &plan.configs[0].config;
    assert_eq!(config["quiet"], true, "the job's own settings stay");
    assert!(config["datasets"].is_null(), "else every task would run");
    let beside = job.dir.path().join("jobs");
    assert_eq!(config["jobs_dir"].as_str(), beside.to_str());
    assert_eq!(plan.notes, Vec::<String>::new());
}

#[test]
fn a_job_is_resumed_only_if_that_runs_exactly_these_trials() {
    let mut job = Job::new(&job());
    job.trial("ok", "a", Value::Null, &[], false);
    job.trial("net", "a", Value::Null, &["RuntimeError"], true);
    let resume = "harbor job resume --job-path jobs/nightly";
    let filtered = format!("{resume} --filter-error-type RuntimeError");
    assert_eq!(job.resume(), Some(filtered.clone()));
    // Types that are given replace the default one.
    job.trial("stopped", "b", Value::Null, &["CancelledError"], false);
    assert_eq!(job.resume(), Some(filtered));
    // It would be removed as well.
    job.trial("other", "b", Value::Null, &["RuntimeError"], false);
    assert_eq!(job.resume(), None);
    job.trials.pop();
    // Nothing removes a trial without an exception, or by the exception of a step.
    job.trials[0].selected = true;
    assert_eq!(job.resume(), None);
    job.trials[0].selected = false;
    job.trials[1].has_steps = true;
    assert_eq!(job.resume(), None);
    job.trials[1].selected = false;
    assert_eq!(job.resume(), None, "nothing is to be run");
    job.trials[2].selected = true;
    assert_eq!(job.resume().as_deref(), Some(resume));
    // What has no result is always removed.
    job.trials[1].has_result = false;
    assert_eq!(job.resume(), None);
    job.trials[1].selected = true;
    let plan = job.plan().resume.unwrap();
    assert_eq!((plan.replaces, plan.starts), (2, 0));
    let dirs = [job.dir.path().join("jobs")];
    let running = plan_rerun(&dirs, &job.folder(), false, &job.trials);
    assert!(running.resume.is_none() && running.notes[0].contains("has not ended"));
}

#[test]
fn a_trial_that_never_started_is_taken_from_the_plan() {
    let mut job = Job::new(&job());
    let locked =
        |task: Value| json!({"task": task, "agent": {"name": "nop", "skills": [], "kwargs": {}}});
    let lock = json!({"trials": [
        locked(json!({"name": "a", "type": "local", "path": "tasks/a", "source": "tasks", "digest": "sha256:1"})),
        locked(json!({"name": "o/b", "type": "package", "digest": "sha256:2"})),
        locked(json!({"name": "c", "type": "git", "path": "c", "git_url": "https://git.example/x", "git_commit_id": "f0"})),
        {"task": {"type": "new"}},
    ]});
    job.write("lock.json", &lock);
    for place in 1..=5 {
        job.trials.push(JobTrial {
            id: format!("planned-{place}"),
            planned: Some(place),
            selected: true,
            ..JobTrial::default()
        });
    }
    let plan = job.plan();
    let config = &plan.configs[0].config;
    assert_eq!(
        config["tasks"],
        json!([
            {"git_commit_id": "f0", "git_url": "https://git.example/x", "path": "c"},
            {"name": "o/b", "ref": "sha256:2"},
            {"path": "tasks/a", "source": "tasks"},
        ])
    );
    assert_eq!(config["agents"], json!([{"name": "nop"}]));
    let left_out: Vec<&str> = plan.left_out.iter().map(|left| &*left.id).collect();
    assert_eq!(left_out, ["planned-4", "planned-5"]);
    let resume = plan.resume.unwrap();
    assert_eq!((resume.replaces, resume.starts), (0, 5));
}

#[test]
fn a_moved_job_secrets_and_unreadable_configs_are_said() {
    let mut job = Job::new(&json!({"job_name": "other", "n_attempts": 1}));
    let env = json!({"name": "coder", "env": {"A_KEY": "${A_KEY}", "B": "${B:-x}", "C_KEY": "sk-a****xyz", "D": "d"}});
    job.trial("t", "a", env, &["RuntimeError"], true);
    job.trial("torn", "a", Value::Null, &["RuntimeError"], true);
    job.trial("graded", "a", Value::Null, &["RuntimeError"], true);
    job.trial("kept", "b", Value::Null, &["RuntimeError"], true);
    fs::write(job.folder().join("torn/config.json"), "{").unwrap();
    job.write(
        "graded/config.json",
        &json!({"task": {"path": "x"}, "source_trial": {"action": "regrade"}}),
    );
    // The result has a copy of its config.
    fs::remove_file(job.folder().join("kept/config.json")).unwrap();
    job.write(
        "kept/result.json",
        &json!({"config": {"task": {"path": "tasks/b"}}}),
    );
    job.trials.push(JobTrial {
        id: "outside".into(),
        folder: Some("../../secret".into()),
        selected: true,
        ..JobTrial::default()
    });
    let plan = job.plan();
    assert_eq!((plan.directory, plan.resume), (None, None));
    assert_eq!(plan.configs.len(), 2);
    let left_out: Vec<&str> = plan.left_out.iter().map(|left| &*left.why).collect();
    assert_eq!(left_out.len(), 3, "{left_out:?}");
    assert!(left_out[1].contains("harbor job regrade"), "{left_out:?}");
    assert_eq!(
        plan.notes,
        [
            "paths in the config are relative to the directory in which the job was run, which its files do not say",
            "set these variables before: A_KEY",
            "Harbor masked these values; replace them in the config: C_KEY",
        ]
    );
}
