//! Jobs directories for tests: copies of real jobs, and large jobs built from one real trial.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the folder of the sample jobs.
pub fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/harbor-jobs")
}

/// Returns the folder that holds one job at three points of its run: `t1`, `t2` and `t3`.
pub fn timeline() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../harbor/tests/data/harbor-timeline")
}

/// Copies a folder and everything in it.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Creates a finished job of `trials` trials, each a copy of a real one under its own name.
pub fn big_job(dir: &Path, name: &str, trials: usize) -> PathBuf {
    const MODEL: &str = "fix-clamp__dZiLxjf";
    let model_job = samples().join("2026-11-23__16-43-17");
    let job = dir.join(name);
    fs::create_dir_all(&job).unwrap();
    for file in ["config.json", "job.log"] {
        fs::copy(model_job.join(file), job.join(file)).unwrap();
    }
    let result = fs::read_to_string(model_job.join("result.json")).unwrap();
    let result = result
        .replace(
            "\"n_total_trials\": 6",
            &format!("\"n_total_trials\": {trials}"),
        )
        .replace(
            "\"n_completed_trials\": 6",
            &format!("\"n_completed_trials\": {trials}"),
        );
    fs::write(job.join("result.json"), result).unwrap();
    fs::write(job.join("lock.json"), big_lock(&model_job, trials)).unwrap();
    for number in 0..trials {
        let trial = format!("fix-clamp__{number:07}");
        let trial_dir = job.join(&trial);
        copy_tree(&model_job.join(MODEL), &trial_dir);
        for file in ["result.json", "config.json"] {
            let text = fs::read_to_string(trial_dir.join(file)).unwrap();
            fs::write(trial_dir.join(file), text.replace(MODEL, &trial)).unwrap();
        }
    }
    job
}

/// Returns the `lock.json` of a job that plans the same trial `trials` times.
fn big_lock(model_job: &Path, trials: usize) -> String {
    let lock = fs::read_to_string(model_job.join("lock.json")).unwrap();
    let mut lock: serde_json::Value = serde_json::from_str(&lock).unwrap();
    let planned = lock["trials"]
        .as_array()
        .unwrap()
        .iter()
        .find(|planned| planned["agent"]["import_path"].is_string())
        .unwrap()
        .clone();
    lock["trials"] = vec![planned; trials].into();
    serde_json::to_string_pretty(&lock).unwrap()
}
