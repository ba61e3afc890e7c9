//! Reads of statuses over time: histories, changes, watches, results, and what the daemon says of its mirror.

use std::sync::Arc;
use std::time::Instant;

use docks_proto::client::Request;
use docks_proto::freshness::{CachePolicy, Freshness};
use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use serde_json::Value;

use super::history::{Collection, History, Window};
use super::{ROUNDING, Shared};
use crate::sealed::CommandResult;

/// What is read.
#[derive(Debug, Clone)]
enum StatusRead {
    /// The statuses of a run, or of one of its trials.
    History(String, Option<String>),
    /// All changes of all runs.
    Changes,
    /// A run, for a second.
    Watch(String),
    /// The result of a trial.
    Result(String, String, CachePolicy),
    /// The numbers of runs in the mirror.
    Counts,
}

/// When a read happened, and what was certain before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// All was read by a full sync that began then.
    pub(super) synced: Instant,
    pub(super) had_outage: bool,
}

impl StatusRead {
    fn pick(rng: &mut fastrand::Rng, history: &History) -> Self {
        let mut any = |collection: Collection| {
            let ids = history.ids(&collection);
            (!ids.is_empty()).then(|| ids[rng.usize(..ids.len())].clone())
        };
        let run = any(Collection::Runs(RunKind::Run)).expect("there are runs");
        let evaluation = any(Collection::Runs(RunKind::Evaluation)).expect("there are runs");
        let trial = any(Collection::Trials(evaluation.clone()));
        let some_run = if rng.bool() { run } else { evaluation.clone() };
        match (rng.u8(..20), trial) {
            (0..5, _) => StatusRead::History(some_run, None),
            (5..8, Some(trial)) => StatusRead::History(evaluation, Some(trial)),
            (8..12, _) => StatusRead::Changes,
            (12..14, _) => StatusRead::Watch(some_run),
            (14..17, Some(trial)) => {
                let policy = super::reads::pick_policy(rng);
                StatusRead::Result(evaluation, trial, policy)
            }
            _ => StatusRead::Counts,
        }
    }

    /// Returns the arguments of the command.
    fn arguments(&self) -> String {
        match self {
            StatusRead::History(run, trial) => {
                let trial = trial.as_deref().unwrap_or_default();
                format!("runs history {run} {trial} --meta --format json")
            }
            StatusRead::Changes => {
                "runs changes --since 2026-01-01 -n 0 --meta --format json".to_owned()
            }
            StatusRead::Watch(run) => {
                format!("runs watch {run} --timeout 1s --exit-status --format jsonl")
            }
            StatusRead::Result(run, trial, policy) => {
                let policy = super::reads::policy_option(*policy);
                format!("runs result {run} {trial} {policy} --format json")
            }
            StatusRead::Counts => "daemon status --format json".to_owned(),
        }
    }

    /// Returns the path and query at the daemon, if it alone answers.
    fn path(&self) -> Option<String> {
        match self {
            StatusRead::History(run, trial) => {
                let trial = trial.as_ref().map(|trial| format!("&trial={trial}"));
                let trial = trial.unwrap_or_default();
                Some(format!("/v1/history?run={run}{trial}&tenant=ten"))
            }
            StatusRead::Changes => Some("/v1/changes?limit=0&tenant=ten".to_owned()),
            _ => None,
        }
    }
}

/// Returns the list that an object is in, by its run and its own id as JSON has them.
fn collection_of(object: &Value) -> Option<(Collection, String)> {
    let run = object["run_id"].as_str()?;
    if let Some(trial) = object["trial_id"].as_str() {
        return Some((Collection::Trials(run.to_owned()), trial.to_owned()));
    }
    let kind = RunKind::ALL
        .into_iter()
        .find(|kind| run.starts_with(&format!("{}-", kind.name())))?;
    Some((Collection::Runs(kind), run.to_owned()))
}

fn collection_of_run(id: &str) -> Collection {
    let object = serde_json::json!({ "run_id": id });
    collection_of(&object).expect("ids begin with their kind").0
}

fn instant_field(shared: &Shared, object: &Value, field: &str) -> Result<Instant, String> {
    let at = object[field].as_str().and_then(UnixMs::parse);
    let at = at.ok_or_else(|| format!("no `{field}` in {object}"))?;
    Ok(shared.instant(at))
}

impl Shared {
    /// Does one random read of statuses, and checks it.
    pub(super) async fn read_statuses(
        self: &Arc<Self>,
        rng: &mut fastrand::Rng,
    ) -> Result<(), String> {
        let read = StatusRead::pick(rng, &self.world.history());
        let synced = *self.synced.lock().unwrap();
        let outages = self.outages();
        let began = Instant::now();
        let path = read.path().filter(|_| rng.u8(..4) > 0);
        let checked = match path {
            Some(path) => {
                let reply = self.transport.send(Request::get(path)).await.unwrap();
                let moment = self.moment(began, synced, outages);
                if reply.status.as_u16() == 200 {
                    let as_of = Freshness::from_headers(&reply.headers).unwrap().as_of;
                    let data = serde_json::from_slice(&reply.body).unwrap();
                    self.check_statuses(&read, &data, Some(as_of), moment)
                } else {
                    let code = super::reads::exit_code(&reply);
                    self.check_refused(&read, code, moment)
                }
            }
            None => {
                let (shared, line) = (Arc::clone(self), read.arguments());
                let running = tokio::task::spawn_blocking(move || shared.home.run(&line));
                let result = running.await.unwrap();
                let moment = self.moment(began, synced, outages);
                let checked = self.check_output(&read, &result, moment);
                checked.map_err(|problem| format!("{problem}: {}", result.stderr))
            }
        };
        *self.status_reads.lock().unwrap() += 1;
        checked.map_err(|problem| format!("{read:?}: {problem}"))
    }

    pub(super) fn moment(
        &self,
        began: Instant,
        synced: Instant,
        outages: (usize, usize),
    ) -> Moment {
        Moment {
            began,
            ended: Instant::now(),
            synced,
            had_outage: outages.1 > 0 || self.outages() != outages,
        }
    }

    fn check_output(
        &self,
        read: &StatusRead,
        result: &CommandResult,
        moment: Moment,
    ) -> Result<(), String> {
        let code = result.code.unwrap_or(-1);
        if let StatusRead::Watch(run) = read {
            return self.check_watch(run, code, result, moment);
        }
        if code != 0 {
            return self.check_refused(read, code, moment);
        }
        let mut data: Value = serde_json::from_str(&result.stdout).unwrap();
        let mut as_of = None;
        if let StatusRead::History(..) | StatusRead::Changes = read {
            as_of = data["as_of"].as_str().and_then(UnixMs::parse);
            data = data["data"].take();
        }
        self.check_statuses(read, &data, as_of, moment)
    }

    /// Returns the window in which an object may have been read, whose state is claimed to be of `as_of` or
    /// later.
    pub(super) fn window_of(
        &self,
        history: &History,
        collection: &Collection,
        id: &str,
        as_of: Option<Instant>,
        moment: Moment,
    ) -> Window {
        let since_sync = Window {
            from: moment.synced - ROUNDING,
            until: moment.ended,
        };
        let run_is_there = match collection {
            Collection::Trials(run) => {
                let runs = Collection::Runs(RunKind::Evaluation);
                history.existed_throughout(&runs, run, since_sync)
            }
            Collection::Runs(_) => true,
        };
        let claimed = as_of.map(|at| at - ROUNDING);
        // Of what was deleted, its last state is known; and what returns is old until it is read again.
        let from = if run_is_there && history.existed_throughout(collection, id, since_sync) {
            claimed.map_or(since_sync.from, |claimed| claimed.max(since_sync.from))
        } else {
            claimed.unwrap_or(self.started.0)
        };
        let window = Window {
            from,
            until: moment.ended,
        };
        history.noticeable(collection, window, since_sync.from)
    }

    /// Returns the window in which an object may have been read that was required to have this age.
    pub(super) fn window_for(
        &self,
        history: &History,
        collection: &Collection,
        id: &str,
        policy: CachePolicy,
        moment: Moment,
    ) -> Window {
        match self.required(policy, moment) {
            Some(from) => Window {
                from: from - ROUNDING,
                until: moment.ended,
            },
            None => self.window_of(history, collection, id, None, moment),
        }
    }

    fn check_statuses(
        &self,
        read: &StatusRead,
        data: &Value,
        as_of: Option<UnixMs>,
        moment: Moment,
    ) -> Result<(), String> {
        let as_of = as_of.map(|at| self.instant(at));
        let history = self.world.history();
        match read {
            StatusRead::History(..) => self.check_history(&history, data, as_of, moment),
            StatusRead::Changes => self.check_changes(&history, data, as_of, moment),
            StatusRead::Result(run, trial, policy) => {
                let collection = Collection::Trials(run.clone());
                let window = self.window_for(&history, &collection, trial, *policy, moment);
                history.check_result(&collection, trial, data, window)
            }
            StatusRead::Counts => check_counts(&history, data, moment),
            StatusRead::Watch(_) => Err("a watch has lines".to_owned()),
        }
    }

    /// Each status must have been one of the object, when it was observed or later; the last one is the current
    /// one.
    fn check_history(
        &self,
        history: &History,
        data: &Value,
        as_of: Option<Instant>,
        moment: Moment,
    ) -> Result<(), String> {
        let (collection, id) = collection_of(data).ok_or("a history of nothing")?;
        let window = self.window_of(history, &collection, &id, as_of, moment);
        let status = data["status"].as_str().unwrap_or_default();
        history.check_status(&collection, &id, status, window)?;
        let changes = data["changes"].as_array().ok_or("no changes")?;
        let mut before: Option<&str> = None;
        for change in changes {
            let to = change["to"].as_str().unwrap_or_default();
            let observed = Window {
                from: instant_field(self, change, "observed_at")? - ROUNDING,
                until: moment.ended,
            };
            history.check_status(&collection, &id, to, observed)?;
            let from = change["from"].as_str();
            if let (Some(before), Some(from)) = (before, from)
                && before != from
            {
                return Err(format!("`{from}` follows `{before}` in {data}"));
            }
            before = Some(to);
        }
        match before {
            Some(last) if last != status => Err(format!("`{last}` is not the last of {data}")),
            _ => Ok(()),
        }
    }

    /// Each status must have been one of its object, when it was observed or later; and of each run that kept its
    /// status, it is the last one.
    fn check_changes(
        &self,
        history: &History,
        data: &Value,
        as_of: Option<Instant>,
        moment: Moment,
    ) -> Result<(), String> {
        let changes = data.as_array().ok_or("no changes")?;
        let mut last = std::collections::BTreeMap::new();
        let mut last_seq = 0;
        for change in changes {
            let (collection, id) =
                collection_of(change).ok_or_else(|| format!("of nothing: {change}"))?;
            let status = change["status"].as_str().unwrap_or_default();
            let observed = Window {
                from: instant_field(self, change, "observed_at")? - ROUNDING,
                until: moment.ended,
            };
            history.check_status(&collection, &id, status, observed)?;
            let seq = change["seq"].as_u64().unwrap_or_default();
            if seq <= last_seq {
                return Err(format!("{seq} follows {last_seq}"));
            }
            last_seq = seq;
            last.insert((collection, id), status);
        }
        for kind in RunKind::ALL {
            let collection = Collection::Runs(kind);
            for id in history.ids(&collection) {
                let window = self.window_of(history, &collection, &id, as_of, moment);
                let shown = last.get(&(collection.clone(), id.clone())).copied();
                if let Some(status) = history.status_throughout(&collection, &id, window)
                    && shown != Some(status)
                {
                    return Err(format!(
                        "the last status of {id} is {shown:?}, not {status}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Each line must show a status that its object had, and the exit code one that the run had.
    fn check_watch(
        &self,
        run: &str,
        code: i32,
        result: &CommandResult,
        moment: Moment,
    ) -> Result<(), String> {
        let history = self.world.history();
        for line in result.stdout.lines() {
            let event: Value =
                serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
            let is_state = event["event"] == "state";
            if !is_state && event["event"] != "change" {
                continue;
            }
            let (collection, id) =
                collection_of(&event).ok_or_else(|| format!("of nothing: {line}"))?;
            let window = if is_state {
                self.window_of(&history, &collection, &id, None, moment)
            } else {
                Window {
                    from: instant_field(self, &event, "observed_at")? - ROUNDING,
                    until: moment.ended,
                }
            };
            let status = event["status"].as_str().unwrap_or_default();
            let checked = history.check_status(&collection, &id, status, window);
            checked.map_err(|problem| format!("{problem} in {line}"))?;
        }
        let collection = collection_of_run(run);
        let window = self.window_of(&history, &collection, run, None, moment);
        let had = |status: &str| history.check_status(&collection, run, status, window);
        match code {
            0 => had("completed"),
            10 => had("failed"),
            8 if moment.had_outage => Ok(()),
            // It waits for the trials as they were at the end, or later.
            8 if result.stderr.contains("no run is active") => {
                had("completed").or_else(|_| had("failed"))
            }
            8 => had("running").or_else(|_| had("pending")),
            _ => self.check_refused_in(&history, &StatusRead::Watch(run.to_owned()), code, moment),
        }
    }

    pub(super) fn required(&self, policy: CachePolicy, moment: Moment) -> Option<Instant> {
        match policy {
            CachePolicy::NoCache => Some(moment.began),
            CachePolicy::MaxAge(most) => Some(moment.began - most),
            CachePolicy::Default | CachePolicy::OnlyIfCached => None,
        }
    }

    /// Checks that there is a reason to refuse an answer.
    fn check_refused(&self, read: &StatusRead, code: i32, moment: Moment) -> Result<(), String> {
        self.check_refused_in(&self.world.history(), read, code, moment)
    }

    fn check_refused_in(
        &self,
        history: &History,
        read: &StatusRead,
        code: i32,
        moment: Moment,
    ) -> Result<(), String> {
        let exists = match read {
            StatusRead::History(run, None) | StatusRead::Watch(run) => moment.had_run(history, run),
            StatusRead::History(run, Some(trial)) | StatusRead::Result(run, trial, _) => {
                moment.had_trial(history, run, trial)
            }
            StatusRead::Changes | StatusRead::Counts => true,
        };
        let policy = match read {
            StatusRead::Result(_, _, policy) => *policy,
            _ => CachePolicy::Default,
        };
        moment.check_refusal(exists, policy, code)
    }
}

impl Moment {
    fn since_sync(&self) -> Window {
        Window {
            from: self.synced - ROUNDING,
            until: self.ended,
        }
    }

    /// Whether the run was there all the time.
    pub(super) fn had_run(&self, history: &History, run: &str) -> bool {
        history.existed_throughout(&collection_of_run(run), run, self.since_sync())
    }

    /// Whether the trial and its run were there all the time.
    pub(super) fn had_trial(&self, history: &History, run: &str, trial: &str) -> bool {
        let trials = Collection::Trials(run.to_owned());
        self.had_run(history, run) && history.existed_throughout(&trials, trial, self.since_sync())
    }

    /// Checks that there is a reason to refuse to show what existed all the time, or not.
    pub(super) fn check_refusal(
        &self,
        exists: bool,
        policy: CachePolicy,
        code: i32,
    ) -> Result<(), String> {
        let is_bounded = matches!(policy, CachePolicy::NoCache | CachePolicy::MaxAge(_));
        match code {
            3 if !exists => Ok(()),
            3 => Err("it was not found, and the remote had it all the time".to_owned()),
            5 if policy == CachePolicy::OnlyIfCached || self.had_outage => Ok(()),
            6 if is_bounded => Ok(()),
            _ => Err(format!("exit code {code}")),
        }
    }
}

/// The mirror has as many runs as the remote had at some time since the last full sync.
fn check_counts(history: &History, data: &Value, moment: Moment) -> Result<(), String> {
    let window = Window {
        from: moment.synced - ROUNDING,
        until: moment.ended,
    };
    let remotes = data["remotes"].as_array().ok_or("no remotes")?;
    let remote = remotes.first().ok_or("the remote is not open")?;
    for (kind, name) in [
        (RunKind::Run, "runs"),
        (RunKind::Evaluation, "evaluation_runs"),
    ] {
        let shown = remote["rows"][name].as_u64().ok_or("no rows")?;
        let (least, most) = history.numbers(&Collection::Runs(kind), window);
        if !(least..=most).contains(&shown) {
            return Err(format!("{shown} {name}; the remote had {least} to {most}"));
        }
    }
    let (least, most) = history.numbers_of(
        &RunKind::ALL.map(Collection::Runs),
        |status| lifecycle(status) == Lifecycle::Active,
        window,
    );
    let active = remote["rows"]["active"].as_u64().ok_or("no rows")?;
    match (least..=most).contains(&active) {
        true => Ok(()),
        false => Err(format!("{active} active; the remote had {least} to {most}")),
    }
}
