//! Finds a run, its trials and what is wanted of their artifacts.

use docks_artifacts::layout::{Plan, RunName, Wanted, plan, plan_of_run};
use docks_artifacts::{ArtifactType, TrialArtifacts};
use docks_proto::object::{Lifecycle, RunFields, lifecycle, parse_list};
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;

use crate::args::{self, WhichArtifacts};
use crate::ask::request::{Answered, Question, Source, Ways};
use crate::context::Context;
use crate::failure::{Failure, Kind};

use super::print_object;

/// A run whose artifacts are wanted.
#[derive(Debug)]
pub(super) struct FoundRun {
    /// Its full id.
    pub(super) id: String,
    /// Whether more may come.
    pub(super) active: bool,
    /// Addresses of the run's own files.
    pub(super) uris: Vec<(ArtifactType, String)>,
}

/// Everything that is asked before anything is downloaded.
#[derive(Debug)]
pub(super) struct Found {
    /// The run.
    pub(super) run: FoundRun,
    /// All its trials, since names depend on all of them.
    pub(super) trials: Vec<TrialArtifacts>,
    /// What is wanted of them.
    pub(super) wanted: Wanted,
    /// The list of trials, for how old it is.
    pub(super) answered: Answered,
}

impl Found {
    /// Lists the addresses of all trials.
    pub(super) fn uris(&self) -> impl Iterator<Item = &str> {
        let uris = self.trials.iter().flat_map(|trial| &trial.uris);
        let uris = uris.chain(&self.run.uris);
        uris.map(|(_, uri)| uri.as_str())
    }

    /// Names what is wanted.
    pub(super) fn plan(&self, is_docks_api: bool) -> Plan {
        let name = run_name(&self.run.id, is_docks_api);
        let own = plan_of_run(&self.run.id, name, &self.run.uris, &self.wanted);
        let mut plan = plan(&self.run.id, name, &self.trials, &self.wanted);
        plan.requests.splice(0..0, own);
        plan
    }
}

/// Finds a run, its trials and what is wanted of them.
pub(super) async fn find<W: Ways>(
    context: &Context,
    source: &Source<'_, W>,
    given: &str,
    which: &WhichArtifacts,
) -> Result<Found, Failure> {
    let run = find_run(context, source, given).await?;
    let all = ListQuery {
        limit: 0,
        ..ListQuery::default()
    };
    let answered = source.ask(Question::Trials(&run.id, &all)).await?;
    print_object::say_age(context, &answered.freshness);
    let list = parse_list(&answered.body)
        .map_err(|error| Failure::chain(Kind::Failed, "could not read the trials", &error))?;
    let mut trials: Vec<_> = list.objects.iter().map(TrialArtifacts::of).collect();
    let failed = ["failed", "error"].map(str::to_owned);
    let mut wanted = Wanted {
        kinds: which.types.iter().map(|kind| kind_of(*kind)).collect(),
        statuses: if which.failed_only {
            failed.to_vec()
        } else {
            which.status.clone()
        },
        pattern: which.pattern.clone(),
        ..Wanted::default()
    };
    for given in &which.trial {
        let trial = find_trial(source, &run.id, &trials, given).await?;
        wanted.trials.push(trial.id.clone());
        if !trials.contains(&trial) {
            trials.push(trial);
        }
    }
    Ok(Found {
        run,
        trials,
        wanted,
        answered,
    })
}

/// Finds a run by id, beginning or name.
pub(super) async fn find_run<W: Ways>(
    context: &Context,
    source: &Source<'_, W>,
    given: &str,
) -> Result<FoundRun, Failure> {
    let answered = source
        .ask(Question::Run(RunKind::Evaluation, given))
        .await?;
    let object = print_object::object(&print_object::text_of(&answered.body))?;
    let fields = RunFields::from_object(&object);
    let status = fields.status.text().unwrap_or_default();
    let active = lifecycle(&status) == Lifecycle::Active;
    if active {
        context.output.note(format!(
            "run `{given}` is still active ({status}): more artifacts may follow, and what is \
             being written now may be short"
        ));
    }
    Ok(FoundRun {
        id: fields.id.text().unwrap_or_else(|| given.to_owned()),
        active,
        uris: TrialArtifacts::of(&object).uris,
    })
}

/// Finds a trial by its full id, or lets whoever answers tell what a beginning or name stands for.
async fn find_trial<W: Ways>(
    source: &Source<'_, W>,
    run: &str,
    trials: &[TrialArtifacts],
    given: &str,
) -> Result<TrialArtifacts, Failure> {
    let known = |id: &str| trials.iter().find(|trial| trial.id == id).cloned();
    if let Some(trial) = known(given) {
        return Ok(trial);
    }
    let answered = source.ask(Question::Trial(run, given)).await?;
    let trial = TrialArtifacts::of(&print_object::object(&print_object::text_of(
        &answered.body,
    ))?);
    Ok(known(&trial.id).unwrap_or(trial))
}

fn kind_of(kind: args::ArtifactType) -> ArtifactType {
    match kind {
        args::ArtifactType::Logs => ArtifactType::Logs,
        args::ArtifactType::Trajectory => ArtifactType::Trajectory,
        args::ArtifactType::Diff => ArtifactType::Diff,
        args::ArtifactType::Result => ArtifactType::Result,
    }
}

/// Names of jobs often share their beginning, a date; random ids do not.
fn run_name(id: &str, is_docks_api: bool) -> RunName {
    let random = id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if is_docks_api || random {
        RunName::Short
    } else {
        RunName::Whole
    }
}

/// Says that there is nothing to fetch, and why.
pub(super) fn nothing(found: &Found, plan: &Plan, which: &WhichArtifacts, given: &str) -> Failure {
    let run = &found.run;
    let message = if found.trials.is_empty() {
        format!("run `{}` has no trials", run.id)
    } else if plan.unavailable == 0 && plan.left_out == 0 {
        format!("run `{}` has no such trials", run.id)
    } else {
        let what = if which.picks() {
            "no such artifacts"
        } else {
            "no artifacts"
        };
        let mut counts = format!("{} not available", plan.unavailable);
        if plan.left_out > 0 {
            counts.push_str(&format!(", {} do not fit the pattern", plan.left_out));
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
