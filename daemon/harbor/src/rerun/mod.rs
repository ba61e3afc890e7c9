//! How trials of a job are run again: by `harbor job resume` where that runs exactly them, else by jobs of their own.
//!
//! Reads the configs that Harbor wrote for the job and for each trial; writes nothing and runs nothing.

mod configs;
mod environment;
mod origin;
mod resume;

use std::path::{Path, PathBuf};

use docks_proto::rerun::{NotRerun, RerunConfig, ResumeCommand};
use serde_json::{Map, Value};

use crate::files::read_end;
use configs::{TrialInput, build};
use origin::Origin;

/// Largest config and lock that are read; the lock of a job of thousands of trials has some megabytes.
const MAX_BYTES: u64 = 64 << 20;

/// A trial of the job, as its object says it.
#[derive(Debug, Clone, Default)]
pub struct JobTrial {
    /// Its id.
    pub id: String,
    /// The name of its folder; `None` if it never started.
    pub folder: Option<String>,
    /// Its place in the job's lock from 1, if it never started.
    pub planned: Option<usize>,
    /// Whether it has a result of its own.
    pub has_result: bool,
    /// Whether it has steps, whose exceptions are among its own.
    pub has_steps: bool,
    /// The types of its exceptions.
    pub exceptions: Vec<String>,
    /// Whether it is to be run again.
    pub selected: bool,
}

/// How trials of a job are run again.
#[derive(Debug, Default)]
pub struct JobRerun {
    /// The directory in which the job was run; `None` if it is not known.
    pub directory: Option<String>,
    /// How Harbor runs exactly these trials again in their job; `None` if it cannot.
    pub resume: Option<ResumeCommand>,
    /// Jobs of their own.
    pub configs: Vec<RerunConfig>,
    /// Trials that are in none of these.
    pub left_out: Vec<NotRerun>,
    /// What one should know before.
    pub notes: Vec<String>,
}

/// Plans how the selected trials of the job in `folder` are run again. `has_ended` says that nothing runs in it any more.
/// Blocks.
#[must_use]
pub fn plan_rerun(
    jobs_dirs: &[PathBuf],
    folder: &Path,
    has_ended: bool,
    trials: &[JobTrial],
) -> JobRerun {
    let read = |place: &Path| -> Option<Map<String, Value>> {
        let path = place.file_name()?;
        let text = read_end(jobs_dirs, place.parent()?, Path::new(path), MAX_BYTES).ok()?;
        serde_json::from_slice(&text).ok()
    };
    let job = read(&folder.join("config.json"));
    let is_planned = |trial: &JobTrial| trial.selected && trial.planned.is_some();
    let lock = trials.iter().any(is_planned);
    let lock = lock.then(|| read(&folder.join("lock.json"))).flatten();
    let mut rerun = JobRerun::default();
    let mut inputs = Vec::new();
    for trial in trials.iter().filter(|trial| trial.selected) {
        let input = match (&trial.folder, trial.planned) {
            (Some(name), _) => of_folder(&read, &folder.join(name)),
            (None, Some(place)) => TrialInput::of_lock(lock.as_ref(), place, job.as_ref())
                .ok_or_else(|| {
                    "it never started, and the job's lock.json does not say what it is".to_owned()
                }),
            (None, None) => Err("its folder is not known".to_owned()),
        };
        match input {
            Ok(input) => inputs.push(input),
            Err(why) => rerun.left_out.push(NotRerun {
                id: trial.id.clone(),
                why,
            }),
        }
    }
    let origin = match &job {
        Some(job) => Origin::of(job, folder),
        None => Origin::Unknown,
    };
    rerun.configs = build(job.as_ref(), folder, inputs);
    if let Origin::Directory(directory) = &origin {
        rerun.directory = directory.to_str().map(str::to_owned);
    } else if rerun
        .configs
        .iter()
        .any(|config| configs::has_relative_path(&config.config))
    {
        rerun.notes.push(
            "paths in the config are relative to the directory in which the job was run, which its files do not say"
                .to_owned(),
        );
    }
    if job.is_some() && has_ended {
        rerun.resume = resume::command(folder, &origin, trials);
    }
    if !has_ended {
        rerun.notes.push(
            "the run has not ended; more of its trials may fail, and `harbor job resume` would remove those that run now"
                .to_owned(),
        );
    }
    let configs: Vec<&Value> = rerun.configs.iter().map(|config| &config.config).collect();
    rerun.notes.extend(environment::notes(&configs));
    rerun
}

/// Reads what a trial was, from its config or else from its result, which has a copy of it.
fn of_folder(
    read: &impl Fn(&Path) -> Option<Map<String, Value>>,
    folder: &Path,
) -> Result<TrialInput, String> {
    let config = read(&folder.join("config.json")).or_else(|| {
        let mut result = read(&folder.join("result.json"))?;
        match result.remove("config")? {
            Value::Object(config) => Some(config),
            _ => None,
        }
    });
    let config = config.ok_or("its config.json cannot be read")?;
    TrialInput::of_config(config).map_err(str::to_owned)
}

#[cfg(test)]
mod tests;
