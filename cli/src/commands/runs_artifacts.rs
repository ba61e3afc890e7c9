//! `docks runs artifacts`: downloads what trials left behind.
//!
//! Finds the trials, hands their addresses to [`docks_artifacts`], and says
//! what became of them. Nothing about files or networks is decided here.

mod progress;

use std::path::Path;
use std::time::Duration;

use docks_proto::freshness::Allowed;
use docks_proto::object::{Phase, RunFields, parse_list, phase};
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::secret::Token;
use docks_proto::settings::Target;
use indicatif::HumanBytes;

use crate::args::{self, RunsArtifacts};
use crate::connect::{Ladder, Rungs};
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Failure, Kind};
use crate::source::{Answered, Question, Source, Ways};
use docks_artifacts::download::{Outcome, fetch_all};
use docks_artifacts::layout::{Plan, RunName, Wanted, plan};
use docks_artifacts::source::{
    FileSource, GcsSettings, GcsSource, HttpSettings, HttpSource, Sources, same_origin,
};
use docks_artifacts::{ArtifactType, TrialArtifacts};

use super::showing;
use progress::Progress;

/// Longest silence of a server; there is no limit on the whole download.
const IDLE: Duration = Duration::from_secs(60);

/// Downloads artifacts.
///
/// # Errors
///
/// [`Kind::NotFound`] when there are none, [`Kind::SomeArtifacts`] when some
/// could not be downloaded, and whatever finding the trials can end in.
pub(crate) async fn run(context: &Context, args: &RunsArtifacts) -> Result<(), Failure> {
    let ladder = Ladder::new(&context.global, Environment::of_process())?;
    let allowed = context.global.allowed();
    let rungs = Rungs::new(&ladder, &context.output, allowed == Allowed::Default);
    let source = Source::new(rungs, allowed, context.now, &context.output);
    let is_docks_api = matches!(ladder.profile.target, Target::DocksApi { .. });
    if context.global.offline && is_docks_api {
        return Err(Failure::usage("artifacts are not in the mirror")
            .hint("leave out --offline: they are downloaded from where they lie"));
    }
    let found = find(context, &source, args).await?;
    let sources = sources(&ladder, &found);
    fetch(context, args, &found, is_docks_api, &sources).await
}

/// Everything that was asked before anything is downloaded.
#[derive(Debug)]
struct Asked {
    run: Run,
    trials: Vec<TrialArtifacts>,
    wanted: Wanted,
    /// The list of trials, for how old it is.
    answered: Answered,
}

async fn fetch(
    context: &Context,
    args: &RunsArtifacts,
    asked: &Asked,
    is_docks_api: bool,
    sources: &Sources,
) -> Result<(), Failure> {
    let name = run_name(&asked.run.id, is_docks_api);
    let plan = plan(&asked.run.id, name, &asked.trials, &asked.wanted);
    let progress = Progress::new(context, &plan.requests, &asked.answered);
    if plan.requests.is_empty() {
        progress.finish()?;
        return Err(nothing(&asked.run, &plan, args));
    }
    progress.begin();
    let outcome = fetch_all(&plan.requests, sources, &args.output, &progress).await;
    progress.finish()?;
    summarise(context, &plan, &outcome, &args.output);
    match outcome.failed() {
        0 => Ok(()),
        failed => Err(Failure::new(
            Kind::SomeArtifacts,
            format!(
                "{failed} of {} could not be downloaded",
                count(plan.requests.len(), "artifact")
            ),
        )),
    }
}

/// The run whose artifacts are asked for.
#[derive(Debug)]
struct Run {
    id: String,
    active: bool,
}

async fn find<W: Ways>(
    context: &Context,
    source: &Source<'_, W>,
    args: &RunsArtifacts,
) -> Result<Asked, Failure> {
    let run = find_run(context, source, &args.run_id).await?;
    let all = ListQuery {
        limit: 0,
        ..ListQuery::default()
    };
    let answered = source.ask(Question::Trials(&run.id, &all)).await?;
    showing::say_age(context, &answered.freshness);
    let list = parse_list(&answered.body)
        .map_err(|error| Failure::chain(Kind::Failed, "could not read the trials", &error))?;
    let mut trials: Vec<_> = list.objects.iter().map(TrialArtifacts::of).collect();
    let mut wanted = Wanted {
        kinds: args.types.iter().map(|kind| kind_of(*kind)).collect(),
        ..Wanted::default()
    };
    for given in &args.trial {
        let trial = find_trial(source, &run.id, &trials, given).await?;
        wanted.trials.push(trial.id.clone());
        if !trials.contains(&trial) {
            trials.push(trial);
        }
    }
    Ok(Asked {
        run,
        trials,
        wanted,
        answered,
    })
}

async fn find_run<W: Ways>(
    context: &Context,
    source: &Source<'_, W>,
    given: &str,
) -> Result<Run, Failure> {
    let answered = source
        .ask(Question::Run(RunKind::Evaluation, given))
        .await?;
    let fields = RunFields::of(&showing::object(&showing::text_of(&answered.body))?);
    let status = fields.status.text().unwrap_or_default();
    let active = phase(&status) == Phase::Active;
    if active {
        context.output.note(format!(
            "run `{given}` is still active ({status}): more artifacts may follow, and what is \
             being written now may be short"
        ));
    }
    Ok(Run {
        id: fields.id.text().unwrap_or_else(|| given.to_owned()),
        active,
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
    let trial = TrialArtifacts::of(&showing::object(&showing::text_of(&answered.body))?);
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

fn sources(ladder: &Ladder, asked: &Asked) -> Sources {
    let (api_url, jobs_dir) = match &ladder.profile.target {
        Target::DocksApi { api_url, .. } => (Some(api_url.clone()), None),
        Target::HarborJobs { dir } => (None, Some(dir.clone())),
    };
    // What the firmware calls the machine; other systems than Linux do not say, and
    // there `GCE_METADATA_HOST` does.
    let product = std::fs::read_to_string("/sys/class/dmi/id/product_name").unwrap_or_default();
    let google = &ladder.door.environment.google;
    Sources::new(
        HttpSource::new(HttpSettings {
            token: api_url.as_ref().and_then(|url| token(ladder, asked, url)),
            api_url,
            insecure: ladder.profile.insecure,
            idle: IDLE,
        }),
        FileSource::new(jobs_dir),
        GcsSource::new(GcsSettings::decide(
            google,
            |path| path.exists(),
            &product,
            IDLE,
        )),
    )
}

/// Looks for the token only where the API itself serves artifacts: a keyring may ask its owner.
fn token(ladder: &Ladder, asked: &Asked, api_url: &str) -> Option<Token> {
    let addresses = asked.trials.iter().flat_map(|trial| &trial.uris);
    let mut own = addresses.filter(|(_, uri)| same_origin(uri, api_url));
    own.next()?;
    ladder.token().ok().map(|found| found.token)
}

fn nothing(run: &Run, plan: &Plan, args: &RunsArtifacts) -> Failure {
    let message = if plan.unavailable == 0 {
        format!("run `{}` has no trials", run.id)
    } else {
        let what = if args.types.is_empty() && args.trial.is_empty() {
            "no artifacts"
        } else {
            "no such artifacts"
        };
        format!(
            "run `{}` has {what}: {} not available",
            run.id, plan.unavailable
        )
    };
    let failure = Failure::new(Kind::NotFound, message);
    if run.active {
        failure.hint("the run is still active; they may come later")
    } else {
        failure.hint(format!(
            "`docks runs trials {}` shows its trials",
            args.run_id
        ))
    }
}

fn summarise(context: &Context, plan: &Plan, outcome: &Outcome, output: &Path) {
    let mut line = format!(
        "{} ({}) in {}",
        count(outcome.finished(), "file"),
        HumanBytes(outcome.bytes()),
        output.join(&plan.requests[0].directories[0]).display()
    );
    if plan.unavailable > 0 {
        line.push_str(&format!("; {} not available", plan.unavailable));
    }
    if outcome.failed() > 0 {
        line.push_str(&format!("; {} failed", outcome.failed()));
    }
    context.output.remark(line);
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
