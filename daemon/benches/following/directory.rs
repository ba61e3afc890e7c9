//! Invented jobs, small enough that a hundred thousand trials are created quickly.

use std::fs;
use std::path::{Path, PathBuf};

/// The number of jobs and trials.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) jobs: usize,
    /// Trials of each job.
    pub(crate) trials: usize,
}

impl Shape {
    pub(crate) fn new(jobs: usize, trials: usize) -> Self {
        Self {
            jobs,
            trials: trials.max(1),
        }
    }
}

/// Creates finished jobs.
pub(crate) fn create_jobs(dir: &Path, shape: Shape) {
    for job in 0..shape.jobs {
        let folder_of_job = dir.join(format!("job-{job:03}"));
        fs::create_dir(&folder_of_job).unwrap();
        fs::write(folder_of_job.join("job.log"), "").unwrap();
        fs::write(
            folder_of_job.join("config.json"),
            "{\"job_name\": \"made-up\"}",
        )
        .unwrap();
        fs::write(
            folder_of_job.join("result.json"),
            job_result(job, shape.trials, true),
        )
        .unwrap();
        for trial in 0..shape.trials {
            let folder = create_running_trial(&folder_of_job, trial);
            fs::write(folder.join("verifier/reward.txt"), "1").unwrap();
            fs::write(folder.join("result.json"), trial_result(trial)).unwrap();
        }
    }
}

/// Creates the folder of a running trial.
pub(crate) fn create_running_trial(job: &Path, trial: usize) -> PathBuf {
    let folder = job.join(trial_name(trial));
    for part in ["agent", "verifier"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    let config = format!(
        "{{\"task\": {{\"path\": \"tasks/made-up\"}}, \"trial_name\": \"{}\"}}",
        trial_name(trial)
    );
    fs::write(folder.join("config.json"), config).unwrap();
    fs::write(folder.join("agent/oracle.txt"), "working\n").unwrap();
    folder
}

pub(crate) fn trial_name(trial: usize) -> String {
    format!("made-up__{trial:07}")
}

/// Returns the `result.json` of a trial that passed.
pub(crate) fn trial_result(trial: usize) -> String {
    format!(
        "{{\"id\": \"{trial:032x}\", \"task_name\": \"made/up\", \"trial_name\": \"{}\", \
         \"agent_info\": {{\"name\": \"oracle\", \"version\": \"1\"}}, \
         \"config\": {{\"task\": {{\"path\": \"tasks/made-up\"}}}}, \
         \"task_id\": {{\"path\": \"tasks/made-up\"}}, \"trial_uri\": \"file:///made/up\", \
         \"task_checksum\": \"00\", \"verifier_result\": {{\"rewards\": {{\"reward\": 1.0}}}}, \
         \"started_at\": \"2026-07-01T10:00:00Z\", \"finished_at\": \"2026-07-01T10:00:09Z\"}}",
        trial_name(trial)
    )
}

/// Returns the `result.json` of a job.
pub(crate) fn job_result(job: usize, trials: usize, finished: bool) -> String {
    let end = if finished {
        "\"2026-07-01T11:00:00\""
    } else {
        "null"
    };
    format!(
        "{{\"id\": \"00000000-0000-4000-8000-{job:012x}\", \"started_at\": \"2026-07-01T10:00:00\", \
         \"updated_at\": \"2026-07-01T11:00:00\", \"finished_at\": {end}, \"n_total_trials\": {trials}, \
         \"stats\": {{\"n_completed_trials\": {trials}, \"evals\": {{}}}}}}"
    )
}
