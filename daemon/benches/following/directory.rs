//! Made-up jobs, lean enough that a hundred thousand trials are soon made.

use std::fs;
use std::path::{Path, PathBuf};

/// How many of what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) jobs: usize,
    /// In each job.
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

/// Makes finished jobs.
pub(crate) fn make(dir: &Path, shape: Shape) {
    for job in 0..shape.jobs {
        let place = dir.join(format!("job-{job:03}"));
        fs::create_dir(&place).unwrap();
        fs::write(place.join("job.log"), "").unwrap();
        fs::write(place.join("config.json"), "{\"job_name\": \"made-up\"}").unwrap();
        fs::write(
            place.join("result.json"),
            result_of_job(job, shape.trials, true),
        )
        .unwrap();
        for trial in 0..shape.trials {
            let folder = begin(&place, trial);
            fs::write(folder.join("verifier/reward.txt"), "1").unwrap();
            fs::write(folder.join("result.json"), result(trial)).unwrap();
        }
    }
}

/// Makes the folder of a trial that runs.
pub(crate) fn begin(job: &Path, trial: usize) -> PathBuf {
    let folder = job.join(name(trial));
    for part in ["agent", "verifier"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    let config = format!(
        "{{\"task\": {{\"path\": \"tasks/made-up\"}}, \"trial_name\": \"{}\"}}",
        name(trial)
    );
    fs::write(folder.join("config.json"), config).unwrap();
    fs::write(folder.join("agent/oracle.txt"), "working\n").unwrap();
    folder
}

pub(crate) fn name(trial: usize) -> String {
    format!("made-up__{trial:07}")
}

/// Returns the result of a trial that passed.
pub(crate) fn result(trial: usize) -> String {
    format!(
        "{{\"id\": \"{trial:032x}\", \"task_name\": \"made/up\", \"trial_name\": \"{}\", \
         \"agent_info\": {{\"name\": \"oracle\", \"version\": \"1\"}}, \
         \"config\": {{\"task\": {{\"path\": \"tasks/made-up\"}}}}, \
         \"task_id\": {{\"path\": \"tasks/made-up\"}}, \"trial_uri\": \"file:///made/up\", \
         \"task_checksum\": \"00\", \"verifier_result\": {{\"rewards\": {{\"reward\": 1.0}}}}, \
         \"started_at\": \"2026-07-01T10:00:00Z\", \"finished_at\": \"2026-07-01T10:00:09Z\"}}",
        name(trial)
    )
}

/// Returns the result of a job.
pub(crate) fn result_of_job(job: usize, trials: usize, finished: bool) -> String {
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
