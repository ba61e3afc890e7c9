//! `docks runs …`.

use clap::{Args, Subcommand};
use docks_proto::routes::ProcessStop;

use super::artifacts::{
    RunsArtifacts, RunsCat, RunsDiff, RunsFiles, RunsLogs, RunsResult, RunsTrajectory,
};
use super::compare::{RunsCompare, RunsGate};
use super::deferred::Deferred;
use super::failures::RunsFailures;
use super::history::{RunsChanges, RunsHistory};
use super::lists::{ListOptions, TrialFilterOptions};
use super::rerun::RunsRerun;
use super::score::RunsScore;
use super::watch::RunsWatch;

/// Verbs of `docks runs`.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List runs
    List(Deferred<RunsList>),
    /// Show one run
    Get(Deferred<RunsGet>),
    /// Stop a run
    Stop(Deferred<RunsStop>),
    /// List evaluation runs
    EvalList(Deferred<RunsEvalList>),
    /// Show one evaluation run with its leaderboard
    EvalGet(Deferred<RunsEvalGet>),
    /// Start a queued evaluation run
    EvalStart(Deferred<RunsEvalStart>),
    /// Cancel an evaluation run
    EvalCancel(Deferred<RunsEvalCancel>),
    /// Pause an evaluation run of a `harbor serve`: no further trial starts
    Pause(Deferred<RunsPause>),
    /// Resume an evaluation run of a `harbor serve` after a pause, or after its server was killed
    Resume(Deferred<RunsResume>),
    /// Run the failed and cancelled trials of an evaluation run of a `harbor serve` again, or one of its trials
    Retry(Deferred<RunsRetry>),
    /// List the trials of an evaluation run
    Trials(Deferred<Box<RunsTrials>>),
    /// Show one trial with its results and artifact URIs
    Trial(Deferred<RunsTrial>),
    /// Watch runs until they end
    Watch(Deferred<RunsWatch>),
    /// Show the statuses of a run or trial over time, and when it was not observed
    History(Deferred<RunsHistory>),
    /// List changes since a time, over all runs
    Changes(Deferred<RunsChanges>),
    /// Download the artifacts of an evaluation run
    Artifacts(Deferred<RunsArtifacts>),
    /// List every file of a trial, or of a run and all its trials
    Files(Deferred<RunsFiles>),
    /// Print a file of a trial or a run
    Cat(Deferred<RunsCat>),
    /// Show or follow the logs of a trial
    Logs(Deferred<RunsLogs>),
    /// Show the steps of a trial's agent
    Trajectory(Deferred<RunsTrajectory>),
    /// Show the changes a trial's agent made
    Diff(Deferred<RunsDiff>),
    /// Show rewards, tests and errors of a trial
    Result(Deferred<RunsResult>),
    /// Compare runs: the verdict, then task by task
    Compare(Deferred<RunsCompare>),
    /// Decide whether a run is as good as a baseline, for CI
    Gate(Deferred<RunsGate>),
    /// Show why trials failed, and which failed alike
    Failures(Deferred<Box<RunsFailures>>),
    /// Show the scoreboard of agents and models over runs
    Score(Deferred<Box<RunsScore>>),
    /// Say which trials to run again, and how
    Rerun(Deferred<Box<RunsRerun>>),
}

/// Arguments of `docks runs list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks runs list --limit 10 --status running\n  \
    docks runs list -s failed -s cancelled --since 2d\n  \
    docks runs list --limit 0 --quiet")]
pub(crate) struct RunsList {
    #[command(flatten)]
    pub(crate) options: ListOptions,
}

/// Arguments of `docks runs get`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  docks runs get abc123\n  docks runs get abc123 --format json")]
pub(crate) struct RunsGet {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
}

/// How the process of a job is stopped.
#[derive(Debug, Args)]
pub(crate) struct ProcessArgs {
    /// Kill the process of a job that ignores signals, or that was already told to stop
    #[arg(long)]
    pub(crate) kill: bool,
    /// Stop this process, although it does not look like Harbor or several write to the job
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pid: Option<u32>,
}

impl ProcessArgs {
    pub(crate) fn options(&self) -> ProcessStop {
        ProcessStop {
            kill: self.kill,
            pid: self.pid,
        }
    }
}

/// Arguments of `docks runs stop`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  docks runs stop abc123\n  docks runs stop abc123 --force")]
pub(crate) struct RunsStop {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) process: ProcessArgs,
}

/// Arguments of `docks runs eval-list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks runs eval-list --limit 5\n  \
    docks runs eval-list --status partial,failed --sort name")]
pub(crate) struct RunsEvalList {
    #[command(flatten)]
    pub(crate) options: ListOptions,
}

/// Arguments of `docks runs eval-get`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  docks runs eval-get abc123\n  docks runs eval-get nightly-mixed"
)]
pub(crate) struct RunsEvalGet {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
}

/// Arguments of `docks runs eval-start`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  docks runs eval-start abc123")]
pub(crate) struct RunsEvalStart {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
}

/// Arguments of `docks runs pause`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  docks --harbor-server http://127.0.0.1:8390 runs pause nightly"
)]
pub(crate) struct RunsPause {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
}

/// Arguments of `docks runs resume`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  docks --harbor-server http://127.0.0.1:8390 runs resume nightly"
)]
pub(crate) struct RunsResume {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
}

/// Arguments of `docks runs retry`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  docks --harbor-server http://127.0.0.1:8390 runs retry nightly --force\n  \
                  docks -p serve runs retry nightly hello__4f3a"
)]
pub(crate) struct RunsRetry {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
    /// Only this trial, however it ended
    pub(crate) trial_id: Option<String>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// Arguments of `docks runs eval-cancel`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  docks runs eval-cancel abc123\n  docks runs eval-cancel abc123 --force"
)]
pub(crate) struct RunsEvalCancel {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) process: ProcessArgs,
}

/// Arguments of `docks runs trials`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks runs trials abc123\n  \
    docks runs trials abc123 --status failed,error --sort -reward\n  \
    docks runs trials abc123 --agent coder --reward '>=0.5' --reward '<1'\n  \
    docks runs trials --all-runs --error AgentTimeoutError --since 2d\n  \
    docks runs trials abc123 --columns id,task,reward --format tsv")]
pub(crate) struct RunsTrials {
    /// Full id, unique prefix of it, or exact name
    #[arg(required_unless_present = "all_runs")]
    pub(crate) run_id: Option<String>,
    /// Search the trials of all evaluation runs
    #[arg(long, conflicts_with = "run_id")]
    pub(crate) all_runs: bool,
    #[command(flatten)]
    pub(crate) filters: TrialFilterOptions,
    #[command(flatten)]
    pub(crate) options: ListOptions,
}

/// Arguments of `docks runs trial`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  docks runs trial abc123 trial-001")]
pub(crate) struct RunsTrial {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
    /// Full id, unique prefix of it, or exact name
    pub(crate) trial_id: String,
}
