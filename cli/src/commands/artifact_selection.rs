//! Finds a run, its trials, and which of their artifacts the options select.

use docks_artifacts::layout::{ArtifactSelector, Plan, RunName, plan, plan_run_files};
use docks_artifacts::{ArtifactType, TrialArtifacts};
use docks_proto::object::{Lifecycle, RunFields, lifecycle, parse_list};
use docks_proto::query::ListQuery;
use docks_proto::repair;
use docks_proto::routes::RunKind;
use futures_util::{StreamExt, stream};
use serde_json::Value;

use crate::args::{self, ArtifactFilter};
use crate::ask::{Request, Requester, Response};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::progress_line::ProgressLine;

use super::file_lists::FileLists;
use super::print_object;

/// Lists of files that are requested at once.
pub(super) const LISTS_AT_ONCE: usize = 8;

/// A run whose artifacts are requested.
#[derive(Debug)]
pub(super) struct SelectedRun {
    /// Its full id.
    pub(super) id: String,
    /// Whether it may still write artifacts.
    pub(super) active: bool,
    /// The run's own files.
    pub(super) artifacts: TrialArtifacts,
    /// Whether it is a Harbor job, so that a hub can list more files.
    pub(super) is_harbor_job: bool,
}

/// What is known before anything is downloaded.
#[derive(Debug)]
pub(super) struct Selection {
    /// The run.
    pub(super) run: SelectedRun,
    /// All its trials, since file names depend on all of them.
    pub(super) trials: Vec<TrialArtifacts>,
    /// Which artifacts the options select.
    pub(super) selector: ArtifactSelector,
    /// The list of trials, for its age.
    pub(super) response: Response,
}

impl Selection {
    /// Lists the URIs of the run and of all trials.
    pub(super) fn uris(&self) -> impl Iterator<Item = &str> {
        self.owners().flat_map(|owner| {
            let main = owner.uris.iter().map(|(_, uri)| uri.as_str());
            main.chain(owner.files.iter().map(|file| file.uri.as_str()))
        })
    }

    /// Returns the trials, and the run itself, whose id is empty there.
    pub(super) fn owners(&self) -> impl Iterator<Item = &TrialArtifacts> {
        self.trials.iter().chain([&self.run.artifacts])
    }

    /// Plans the downloads: every selected artifact and its file name.
    pub(super) fn plan(&self, is_docks_api: bool) -> Plan {
        let name = run_name(&self.run.id, is_docks_api);
        let of_run = plan_run_files(&self.run.id, name, &self.run.artifacts, &self.selector);
        let mut plan = plan(&self.run.id, name, &self.trials, &self.selector);
        plan.requests.splice(0..0, of_run);
        plan
    }
}

/// Finds a run and its trials, and applies the options to them.
pub(super) async fn select_artifacts(
    context: &Context,
    requester: &Requester<'_>,
    given: &str,
    filter: &ArtifactFilter,
) -> Result<Selection, Failure> {
    let mut run = find_run(context, requester, given).await?;
    let all = ListQuery {
        limit: 0,
        ..ListQuery::default()
    };
    let response = requester.request(Request::Trials(&run.id, &all)).await?;
    print_object::report_age(context, &response.freshness);
    let list = parse_list(&response.body)
        .map_err(|error| Failure::chain(Kind::Failed, "could not read the trials", &error))?;
    let mut trials: Vec<_> = list
        .objects
        .iter()
        .map(TrialArtifacts::from_object)
        .collect();
    let failed = ["failed", "error"].map(str::to_owned);
    let mut selector = ArtifactSelector {
        kinds: artifact_types(&filter.types),
        statuses: if filter.failed_only {
            failed.to_vec()
        } else {
            filter.status.clone()
        },
        pattern: filter.pattern.clone(),
        ..ArtifactSelector::default()
    };
    for given in &filter.trial {
        let trial = find_trial(requester, &run.id, &trials, given).await?;
        selector.trials.push(trial.id.clone());
        if !trials.contains(&trial) {
            trials.push(trial);
        }
    }
    if selector.needs_file_lists() {
        let lists = FileLists::new(context, requester, run.is_harbor_job);
        let of_run = selector.trials.is_empty() && selector.statuses.is_empty();
        if of_run {
            lists.complete(&run.id, None, &mut run.artifacts).await?;
        }
        let mut shown = ProgressLine::new(&context.output);
        let all = trials
            .iter()
            .filter(|trial| selector.selects(trial))
            .count();
        let selected = trials.iter_mut().filter(|trial| selector.selects(trial));
        let (lists, run) = (&lists, &run.id);
        let mut listed = 0;
        let mut completing = stream::iter(selected)
            .map(|trial| async move {
                let id = trial.id.clone();
                lists.complete(run, Some(&id), trial).await
            })
            .buffer_unordered(LISTS_AT_ONCE);
        // The names of downloaded files depend on those of all trials.
        while let Some(completed) = completing.next().await {
            completed?;
            listed += 1;
            shown.show(format!("listing files: {listed} of {all} trials"));
        }
    }
    Ok(Selection {
        run,
        trials,
        selector,
        response,
    })
}

/// Finds a run by id, prefix or name, and says so if it is still active.
pub(super) async fn find_run(
    context: &Context,
    requester: &Requester<'_>,
    given: &str,
) -> Result<SelectedRun, Failure> {
    let run = find_quietly(requester, given).await?;
    if run.active {
        context.output.note(format!(
            "run `{given}` is still active ({}): more artifacts may follow, and files that \
             are being written may be incomplete",
            run.artifacts.status
        ));
    }
    Ok(run)
}

/// Finds a run by id, prefix or name.
pub(super) async fn find_quietly(
    requester: &Requester<'_>,
    given: &str,
) -> Result<SelectedRun, Failure> {
    let response = requester
        .request(Request::Run(RunKind::Evaluation, given))
        .await?;
    let object = print_object::parse_object(&print_object::body_text(&response.body))?;
    let fields = RunFields::from_object(&object);
    let status = fields.status.text().unwrap_or_default();
    let active = lifecycle(&status) == Lifecycle::Active;
    let id = fields.id.text().unwrap_or_else(|| given.to_owned());
    Ok(SelectedRun {
        id,
        active,
        is_harbor_job: repair::read::<Value>(object.text())
            .get("harbor")
            .is_some_and(Value::is_object),
        artifacts: TrialArtifacts {
            // In requests, an empty id means the run.
            id: String::new(),
            ..TrialArtifacts::from_object(&object)
        },
    })
}

/// Finds a trial by its full id, or lets the server resolve a prefix or name.
pub(super) async fn find_trial(
    requester: &Requester<'_>,
    run: &str,
    trials: &[TrialArtifacts],
    given: &str,
) -> Result<TrialArtifacts, Failure> {
    let by_id = |id: &str| trials.iter().find(|trial| trial.id == id).cloned();
    if let Some(trial) = by_id(given) {
        return Ok(trial);
    }
    let response = requester.request(Request::Trial(run, given)).await?;
    let body = print_object::body_text(&response.body);
    let trial = TrialArtifacts::from_object(&print_object::parse_object(&body)?);
    Ok(by_id(&trial.id).unwrap_or(trial))
}

/// Returns the types that options name.
pub(super) fn artifact_types(given: &[args::ArtifactType]) -> Vec<ArtifactType> {
    use args::ArtifactType as Given;
    let mut types = Vec::new();
    for kind in given {
        types.push(match kind {
            Given::Logs => ArtifactType::Logs,
            Given::Trajectory => ArtifactType::Trajectory,
            Given::Diff => ArtifactType::Diff,
            Given::Result => ArtifactType::Result,
            Given::Session => ArtifactType::Session,
            Given::Recording => ArtifactType::Recording,
            Given::Media => ArtifactType::Media,
            Given::Agent => ArtifactType::Agent,
            Given::Verifier => ArtifactType::Verifier,
            Given::Output => ArtifactType::Output,
            Given::Config => ArtifactType::Config,
            Given::Other => ArtifactType::Other,
            Given::All => return ArtifactType::ALL.to_vec(),
        });
    }
    types
}

/// Decides how a run is named on disk: ids of jobs often share a prefix, a date; random ids do not.
fn run_name(id: &str, is_docks_api: bool) -> RunName {
    let random = id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if is_docks_api || random {
        RunName::Short
    } else {
        RunName::Whole
    }
}

/// Says that there is nothing to download, and why.
pub(super) fn nothing_selected(
    selection: &Selection,
    plan: &Plan,
    filter: &ArtifactFilter,
    given: &str,
) -> Failure {
    let run = &selection.run;
    let message = if selection.trials.is_empty() {
        format!("run `{}` has no trials", run.id)
    } else if plan.unavailable == 0 && plan.excluded == 0 {
        format!("run `{}` has no such trials", run.id)
    } else {
        let what = if filter.is_set() {
            "no such artifacts"
        } else {
            "no artifacts"
        };
        let mut counts = format!("{} not available", plan.unavailable);
        if plan.excluded > 0 {
            counts.push_str(&format!(", {} do not match the pattern", plan.excluded));
        }
        format!("run `{}` has {what}: {counts}", run.id)
    };
    let failure = Failure::new(Kind::NotFound, message);
    if run.active {
        failure.hint("the run is still active; they may come later")
    } else {
        failure.hint(format!("`docks runs trials {given}` shows its trials"))
    }
}
