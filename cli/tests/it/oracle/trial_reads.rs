//! Reads of what trials left behind: logs, trajectories, diffs, all artifacts of a run, and comparisons of runs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use docks_proto::freshness::CachePolicy;
use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::routes::RunKind;
use serde_json::Value;
use tempfile::TempDir;

use super::Shared;
use super::history::{Collection, History, Window};
use super::reads::{pick_policy, policy_option};
use super::status_reads::Moment;
use crate::sealed::CommandResult;
use crate::whose_artifacts::files_below;

/// What is read.
#[derive(Debug, Clone)]
enum TrialRead {
    /// One file of a trial, by the command that shows it.
    File(&'static str, String, String),
    /// All files of a run.
    Artifacts(String),
    Compare(String, String),
}

/// A file says where it is: below this path, by trial and version.
const FILES: &str = "/files/";

impl TrialRead {
    fn pick(rng: &mut fastrand::Rng, history: &History) -> Self {
        let runs = history.ids(&Collection::Runs(RunKind::Evaluation));
        let mut any = |ids: &[String]| ids[rng.usize(..ids.len())].clone();
        let (run, other) = (any(&runs), any(&runs));
        let trials = history.ids(&Collection::Trials(run.clone()));
        match rng.u8(..10) {
            0..2 if run != other => TrialRead::Compare(run, other),
            2..4 => TrialRead::Artifacts(run),
            _ if trials.is_empty() => TrialRead::Artifacts(run),
            _ => {
                let commands = ["logs", "logs", "trajectory", "diff"];
                let trial = trials[rng.usize(..trials.len())].clone();
                TrialRead::File(commands[rng.usize(..4)], run, trial)
            }
        }
    }

    fn arguments(&self, policy: CachePolicy, output: &Path) -> String {
        let policy = policy_option(policy);
        match self {
            TrialRead::File("trajectory", run, trial) => {
                format!("runs trajectory {run} {trial} {policy} --format json")
            }
            TrialRead::File(command, run, trial) => {
                format!("runs {command} {run} {trial} {policy}")
            }
            TrialRead::Artifacts(run) => {
                format!("runs artifacts {run} {policy} -o {}", output.display())
            }
            TrialRead::Compare(run, other) => {
                format!("runs compare {run} {other} {policy} --format json")
            }
        }
    }
}

/// Returns the trial and the version that a file says it is of.
fn owner(text: &str) -> Option<(&str, u64)> {
    let (_, path) = text.split_once(FILES)?;
    let mut parts = path.split('/');
    Some((parts.next()?, parts.next()?.parse().ok()?))
}

impl Shared {
    /// Does one random read of what trials left behind, and checks it.
    pub(super) async fn read_trial_data(
        self: &Arc<Self>,
        rng: &mut fastrand::Rng,
    ) -> Result<(), String> {
        let read = TrialRead::pick(rng, &self.world.history());
        let policy = pick_policy(rng);
        let output = TempDir::new().unwrap();
        let synced = *self.synced.lock().unwrap();
        let outages = self.outages();
        let began = Instant::now();
        let (shared, line) = (Arc::clone(self), read.arguments(policy, output.path()));
        let running = tokio::task::spawn_blocking(move || shared.home.run(&line));
        let result = running.await.unwrap();
        let moment = self.moment(began, synced, outages);
        let checked = self.check_trial_data(&read, policy, &result, output.path(), moment);
        *self.trial_reads.lock().unwrap() += 1;
        checked.map_err(|problem| format!("{policy:?} {read:?}: {problem}: {}", result.stderr))
    }

    fn check_trial_data(
        &self,
        read: &TrialRead,
        policy: CachePolicy,
        result: &CommandResult,
        output: &Path,
        moment: Moment,
    ) -> Result<(), String> {
        let history = self.world.history();
        let code = result.code.unwrap_or(-1);
        if code != 0 {
            let exists = match read {
                TrialRead::File(_, run, trial) => moment.had_trial(&history, run, trial),
                TrialRead::Artifacts(run) => moment.had_run(&history, run),
                TrialRead::Compare(run, other) => {
                    moment.had_run(&history, run) && moment.had_run(&history, other)
                }
            };
            let is_partial = code == 12 && matches!(read, TrialRead::Artifacts(_));
            let may_lack_some = moment.had_outage || policy == CachePolicy::OnlyIfCached;
            return match is_partial && may_lack_some {
                true => Ok(()),
                false => moment.check_refusal(exists, policy, code),
            };
        }
        let check = |text: &str, run: &str, trial: &str| {
            let (shown, version) = owner(text).ok_or_else(|| format!("no file: {text}"))?;
            if shown != trial {
                return Err(format!("a file of {shown} instead of {trial}"));
            }
            let collection = Collection::Trials(run.to_owned());
            let window = self.window_for(&history, &collection, trial, policy, moment);
            history.check_version(&collection, trial, version, window)
        };
        match read {
            TrialRead::File(_, run, trial) => check(&result.stdout, run, trial),
            TrialRead::Artifacts(run) => {
                let mut found = BTreeSet::new();
                for path in files_below(output) {
                    let text = std::fs::read_to_string(&path).unwrap();
                    // Beside the files lies a list of them.
                    if let Some((trial, _)) = owner(&text).filter(|_| text.contains(FILES)) {
                        check(&text, run, trial)?;
                        found.insert(trial.to_owned());
                    }
                }
                let trials = history.ids(&Collection::Trials(run.clone()));
                let mut there = trials
                    .iter()
                    .filter(|trial| moment.had_trial(&history, run, trial));
                match there.find(|trial| !found.contains(*trial)) {
                    Some(missing) => Err(format!("no file of {missing}")),
                    None => Ok(()),
                }
            }
            TrialRead::Compare(..) => {
                let data: Value = serde_json::from_str(&result.stdout).unwrap();
                let runs = data["runs"].as_array().ok_or("no runs")?;
                let checked = runs
                    .iter()
                    .map(|run| self.check_compared(&history, run, policy, moment));
                checked.collect()
            }
        }
    }

    /// The status of a compared run, and the numbers of its trials, must be what the remote had.
    fn check_compared(
        &self,
        history: &History,
        compared: &Value,
        policy: CachePolicy,
        moment: Moment,
    ) -> Result<(), String> {
        let run = compared["id"].as_str().ok_or("a run without an id")?;
        let runs = Collection::Runs(RunKind::Evaluation);
        let window = self.window_for(history, &runs, run, policy, moment);
        history.check_status(
            &runs,
            run,
            compared["status"].as_str().unwrap_or_default(),
            window,
        )?;
        let trials = Collection::Trials(run.to_owned());
        // The trials of a run are read at once, so the one that may be oldest tells how old all may be.
        let windows = history.ids(&trials);
        let windows = windows
            .iter()
            .map(|trial| self.window_for(history, &trials, trial, policy, moment));
        let from = windows.map(|window| window.from).min();
        let window = Window {
            from: from.unwrap_or(window.from),
            until: moment.ended,
        };
        let has_ended = |status: &str| lifecycle(status) == Lifecycle::Terminal;
        let all: &dyn Fn(&str) -> bool = &|_| true;
        for (field, counts) in [("attempts", all), ("ended", &has_ended)] {
            let shown = compared[field].as_u64().ok_or("no numbers")?;
            let (least, most) = history.numbers_of(std::slice::from_ref(&trials), counts, window);
            if !(least..=most).contains(&shown) {
                return Err(format!(
                    "{shown} {field} of {run}; the remote had {least} to {most}"
                ));
            }
        }
        Ok(())
    }
}
