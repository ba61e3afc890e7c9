//! A job that runs: what is delivered of its trials, one change after the other, is what the whole list says.

use std::fs;
use std::path::Path;

use docks_proto::object::{RawObject, TrialFields};
use docks_proto::trial_changes::{TrialChanges, TrialPlace};
use docksd_harbor::HarborJobs;
use docksd_remote::{DeliveredTrials, Fetched, Remote, Validator};
use docksd_testkit::harbor_scale::{HarborFiles, LiveJob, job_id, trial_name};

use crate::support::open;

const PLANNED: usize = 150;
const STARTED: usize = 8;
const RUNNING: usize = 4;

/// The trials of a run as somebody has them who stores what is delivered.
#[derive(Default)]
struct Stored {
    trials: Vec<(String, String)>,
    validator: Option<Validator>,
    /// Deliveries of the whole list.
    whole: usize,
    /// Deliveries of changes.
    partial: usize,
}

fn entry(object: &RawObject) -> (String, String) {
    let id = TrialFields::from_object(object).id.text();
    (id.unwrap(), object.text().to_owned())
}

impl Stored {
    fn apply(&mut self, changes: &TrialChanges) {
        assert_eq!(self.validator.as_ref(), Some(&changes.base));
        let known = self.trials.len();
        let removed = &changes.removed;
        self.trials.retain(|(id, _)| !removed.contains(id));
        assert_eq!(known - self.trials.len(), removed.len(), "{removed:?}");
        for trial in &changes.changed {
            let (id, text) = entry(&trial.object);
            let at = self.trials.iter().position(|(other, _)| *other == id);
            match &trial.place {
                TrialPlace::Kept => self.trials[at.unwrap()].1 = text,
                TrialPlace::After(previous) => {
                    if let Some(at) = at {
                        self.trials.remove(at);
                    }
                    let after = previous.as_ref().map_or(0, |previous| {
                        let mut ids = self.trials.iter().map(|(id, _)| id);
                        ids.position(|id| id == previous).unwrap() + 1
                    });
                    self.trials.insert(after, (id, text));
                }
            }
        }
    }

    async fn take_changes(&mut self, jobs: &HarborJobs) {
        for run in jobs.take_changes().await.unwrap().runs {
            match run.trials {
                DeliveredTrials::Whole(page) => {
                    self.trials = page.objects.iter().map(entry).collect();
                    self.whole += 1;
                }
                DeliveredTrials::Changes(changes) => {
                    self.apply(&changes);
                    self.partial += 1;
                }
            }
            self.validator = Some(run.validator);
        }
    }
}

/// Changes the files of a job in one of the ways in which they change.
fn edit(files: &HarborFiles, job: &LiveJob, started: &mut usize, random: &mut fastrand::Rng) {
    let trial = random.usize(..*started);
    let folder = job.folder.join(trial_name(trial));
    let result = folder.join("result.json");
    match random.u8(..7) {
        0 | 1 if *started < PLANNED => {
            files.start_live_trial(job, *started);
            *started += 1;
        }
        2 | 3 if folder.exists() && !result.exists() => {
            files.end_live_trial(job, trial, *started);
        }
        // It is retried: its folder is gone until the next attempt.
        4 if folder.exists() => fs::remove_dir_all(&folder).unwrap(),
        4 => files.start_live_trial(job, trial),
        // Somebody corrects when it began, which moves it.
        5 if result.exists() => {
            let text = fs::read_to_string(&result).unwrap();
            let year = if text.contains("\"2031-") {
                "2026-"
            } else {
                "2031-"
            };
            let text = text
                .replace("\"2026-", "\"2031-")
                .replace("\"2031-", &format!("\"{year}"));
            fs::write(&result, text).unwrap();
        }
        6 if result.exists() => {
            let renamed = job.folder.join(format!("{}-kept", trial_name(trial)));
            if renamed.exists() {
                fs::remove_dir_all(renamed).unwrap();
            } else {
                fs::rename(folder, renamed).unwrap();
            }
        }
        _ => {}
    }
}

async fn whole_list(jobs: &HarborJobs, run: &str) -> (Vec<(String, String)>, Option<Validator>) {
    match jobs.trials(run, None).await.unwrap() {
        Fetched::New { value, validator } => (value.objects.iter().map(entry).collect(), validator),
        Fetched::NotModified => panic!("no validator was sent"),
    }
}

async fn follow(dir: &Path, seed: u64) -> Stored {
    let files = HarborFiles::new();
    let job = files.create_live_job(dir, 0, PLANNED, (STARTED, RUNNING));
    let jobs = open(dir);
    let run = job_id(0);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut started = STARTED;
    let mut stored = Stored::default();
    for step in 0..60 {
        for _ in 0..random.usize(1..4) {
            edit(&files, &job, &mut started, &mut random);
        }
        // Requests between deliveries publish what they find, and take nothing from what is delivered next.
        whole_list(&jobs, &run).await;
        if random.bool() {
            edit(&files, &job, &mut started, &mut random);
            whole_list(&jobs, &run).await;
        }
        if step % 20 == 19 {
            jobs.deliver_whole(&run).await;
        }
        stored.take_changes(&jobs).await;
        let (trials, validator) = whole_list(&jobs, &run).await;
        assert_eq!(stored.trials, trials, "seed {seed}, step {step}");
        assert_eq!(stored.validator, validator, "seed {seed}, step {step}");
    }
    // Its process is gone: no file of a trial changes, and the objects of those that did not end all do.
    drop(job);
    whole_list(&jobs, &run).await;
    stored.take_changes(&jobs).await;
    let (trials, validator) = whole_list(&jobs, &run).await;
    assert_eq!(
        (stored.trials.clone(), stored.validator.clone()),
        (trials, validator),
        "seed {seed}, after the end"
    );
    stored
}

#[tokio::test]
async fn changes_of_a_live_job_add_up_to_its_whole_list() {
    for seed in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        let stored = follow(dir.path(), seed).await;
        assert!(stored.partial > 20, "{} of them whole", stored.whole);
        assert!(stored.whole < 12, "{} in parts", stored.partial);
    }
}
