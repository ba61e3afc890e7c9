//! One file per verb; this one dispatches to it.

mod action;
mod artifact_reader;
mod artifact_selection;
mod artifact_sources;
mod auth_login;
mod auth_logout;
mod auth_status;
mod cache_forget;
mod cache_pin;
mod cache_pull;
mod cache_status;
mod cache_upkeep;
mod completions;
mod config_explain;
mod daemon_answer;
mod daemon_control;
mod daemon_logs;
mod daemon_status;
mod file_lists;
mod find_run;
mod hub_cert;
mod hub_serve;
mod hub_token;
mod kept_mirror;
mod line_reader;
mod listing;
mod mirror_list;
mod of_several;
mod one_remote;
mod point_in_time;
mod print_object;
mod profile;
mod profile_files;
mod recording;
mod repairing_reader;
mod runs_artifacts;
mod runs_cat;
mod runs_changes;
mod runs_compare;
mod runs_diff;
mod runs_eval_cancel;
mod runs_eval_get;
mod runs_eval_list;
mod runs_eval_start;
mod runs_failures;
mod runs_files;
mod runs_gate;
mod runs_get;
mod runs_history;
mod runs_list;
mod runs_logs;
mod runs_pause;
mod runs_rerun;
mod runs_result;
mod runs_resume;
mod runs_retry;
mod runs_score;
mod runs_stop;
mod runs_trajectory;
mod runs_trial;
mod runs_trials;
mod runs_watch;
mod stop_and_wait;
mod sync;
mod tasks;
mod token_check;

use crate::args::{
    AuthCommand, CacheCommand, Command, ConfigCommand, DaemonCommand, HubCommand, ProfileCommand,
    RunsCommand, TasksCommand,
};
use crate::ask::SeveralRemotes;
use crate::commands::of_several::Wanted;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::table::{Column, Shrink};

/// Runs a command until it ends or Ctrl-C interrupts it.
///
/// # Errors
///
/// Why the command failed.
pub(crate) fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::chain(Kind::Failed, "could not start", &error))?;
    runtime.block_on(async {
        tokio::select! {
            // The command is polled first: a prompt at the terminal blocks, and until something
            // waits, Ctrl-C ends the process by default.
            biased;
            done = dispatch(context, command) => done,
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Kind::Interrupted, "interrupted")),
        }
    })
}

async fn dispatch(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Runs(command) => match SeveralRemotes::of(context)? {
            // On the heap, as few commands need it.
            Some(several) if several.remotes.len() > 1 => {
                Box::pin(runs_of_several(context, &several, command.0)).await
            }
            // Several jobs directories are one remote, unless they are listed.
            _ => runs(context, &command).await,
        },
        Command::Tasks(command) => match command.0 {
            TasksCommand::List(args) => tasks::list(context, &args).await,
            TasksCommand::History(args) => tasks::history(context, &args).await,
        },
        Command::Cache(command) => match command.0 {
            CacheCommand::Status(_) => cache_status::run(context),
            CacheCommand::Pull(args) => cache_pull::run(context, &args).await,
            CacheCommand::Pin(args) => cache_pin::run(context, &args, true).await,
            CacheCommand::Unpin(args) => cache_pin::run(context, &args, false).await,
            CacheCommand::Prune(args) => cache_upkeep::prune(context, &args),
            CacheCommand::Clear(args) => cache_upkeep::clear(context, &args),
            CacheCommand::Verify(_) => cache_upkeep::verify(context),
            CacheCommand::Forget(args) => cache_forget::run(context, &args).await,
        },
        Command::Sync(args) => match SeveralRemotes::of(context)? {
            Some(several) if several.remotes.len() > 1 => {
                Box::pin(sync::run_all(context, &several, &args)).await
            }
            _ => sync::run(context, &args).await,
        },
        Command::Daemon(command) => daemon(context, command.0).await,
        Command::Hub(command) => match command.0 {
            HubCommand::Serve(args) => hub_serve::run(context, &args),
            HubCommand::Token(args) => hub_token::run(context, &args),
            HubCommand::Cert(args) => hub_cert::run(context, &args),
        },
        Command::Auth(command) => match command.0 {
            AuthCommand::Login(args) => auth_login::run(context, &args).await,
            AuthCommand::Logout(_) => auth_logout::run(context),
            AuthCommand::Status(_) => auth_status::run(context).await,
        },
        Command::Profile(command) => match command.0 {
            ProfileCommand::List(_) => profile::list(context),
            ProfileCommand::Use(args) => profile::set_default(context, &args),
            ProfileCommand::Add(args) => profile::add(context, &args),
            ProfileCommand::Remove(args) => profile::remove(context, &args),
        },
        Command::Config(command) => match command.0 {
            ConfigCommand::Explain(_) => config_explain::run(context),
        },
        Command::Completions(args) => {
            completions::run(context, &args);
            Ok(())
        }
    }
}

/// Carries out a command about the remote that has its run, or about all of them.
async fn runs_of_several(
    context: &Context,
    several: &SeveralRemotes,
    mut command: RunsCommand,
) -> Result<(), Failure> {
    let Some(OneRun {
        wanted,
        given,
        is_change,
    }) = one_run(&mut command)
    else {
        return runs(context, &command).await;
    };
    let found = several.find(context, wanted, given, is_change).await?;
    *given = found.id;
    context
        .output
        .verbose(format!("`{given}` is in {}", found.remote.name));
    runs(&found.remote.context, &command).await
}

/// The run that a command names.
struct OneRun<'a> {
    wanted: Wanted,
    given: &'a mut String,
    /// Whether the command changes it.
    is_change: bool,
}

/// Returns the run that a command names; `None` for commands about lists or about several runs.
fn one_run(command: &mut RunsCommand) -> Option<OneRun<'_>> {
    use RunsCommand as C;
    let is_change = matches!(
        command,
        C::Stop(_) | C::EvalStart(_) | C::EvalCancel(_) | C::Pause(_) | C::Resume(_) | C::Retry(_)
    );
    let (wanted, given) = match command {
        C::Get(args) => (Wanted::Run, &mut args.run_id),
        C::Stop(args) => (Wanted::Run, &mut args.run_id),
        C::EvalGet(args) => (Wanted::Evaluation, &mut args.run_id),
        C::EvalStart(args) => (Wanted::Evaluation, &mut args.run_id),
        C::EvalCancel(args) => (Wanted::Evaluation, &mut args.run_id),
        C::Pause(args) => (Wanted::Evaluation, &mut args.run_id),
        C::Resume(args) => (Wanted::Evaluation, &mut args.run_id),
        C::Retry(args) => (Wanted::Evaluation, &mut args.run_id),
        C::Trials(args) => (Wanted::Evaluation, args.run_id.as_mut()?),
        C::Trial(args) => (Wanted::Evaluation, &mut args.run_id),
        C::History(args) => (Wanted::Any, &mut args.run_id),
        C::Artifacts(args) => (Wanted::Evaluation, &mut args.run_id),
        C::Files(args) => (Wanted::Evaluation, &mut args.run_id),
        C::Cat(args) => (Wanted::Evaluation, &mut args.run_id),
        C::Logs(args) => (Wanted::Evaluation, &mut args.run_id),
        C::Trajectory(args) => (Wanted::Evaluation, &mut args.run_id),
        C::Diff(args) => (Wanted::Evaluation, &mut args.run_id),
        C::Result(args) => (Wanted::Evaluation, &mut args.run_id),
        C::Rerun(args) => (Wanted::Evaluation, &mut args.run_id),
        C::List(_)
        | C::EvalList(_)
        | C::Watch(_)
        | C::Changes(_)
        | C::Compare(_)
        | C::Gate(_)
        | C::Failures(_)
        | C::Score(_) => return None,
    };
    Some(OneRun {
        wanted,
        given,
        is_change,
    })
}

async fn runs(context: &Context, command: &RunsCommand) -> Result<(), Failure> {
    match command {
        RunsCommand::List(args) => runs_list::run(context, args).await,
        RunsCommand::Get(args) => runs_get::run(context, args).await,
        RunsCommand::Stop(args) => runs_stop::run(context, args).await,
        RunsCommand::EvalList(args) => runs_eval_list::run(context, args).await,
        RunsCommand::EvalGet(args) => runs_eval_get::run(context, args).await,
        RunsCommand::EvalStart(args) => runs_eval_start::run(context, args).await,
        RunsCommand::EvalCancel(args) => runs_eval_cancel::run(context, args).await,
        RunsCommand::Pause(args) => runs_pause::run(context, args).await,
        RunsCommand::Resume(args) => runs_resume::run(context, args).await,
        RunsCommand::Retry(args) => runs_retry::run(context, args).await,
        RunsCommand::Trials(args) => runs_trials::run(context, args).await,
        RunsCommand::Trial(args) => runs_trial::run(context, args).await,
        RunsCommand::Watch(args) => runs_watch::run(context, args).await,
        RunsCommand::History(args) => runs_history::run(context, args).await,
        RunsCommand::Changes(args) => runs_changes::run(context, args).await,
        RunsCommand::Artifacts(args) => runs_artifacts::run(context, args).await,
        RunsCommand::Files(args) => runs_files::run(context, args).await,
        RunsCommand::Cat(args) => runs_cat::run(context, args).await,
        RunsCommand::Logs(args) => runs_logs::run(context, args).await,
        RunsCommand::Trajectory(args) => runs_trajectory::run(context, args).await,
        RunsCommand::Diff(args) => runs_diff::run(context, args).await,
        RunsCommand::Result(args) => runs_result::run(context, args).await,
        RunsCommand::Compare(args) => runs_compare::run(context, args).await,
        RunsCommand::Gate(args) => runs_gate::run(context, args).await,
        RunsCommand::Failures(args) => runs_failures::run(context, args).await,
        RunsCommand::Score(args) => runs_score::run(context, args).await,
        RunsCommand::Rerun(args) => runs_rerun::run(context, args).await,
    }
}

async fn daemon(context: &Context, command: DaemonCommand) -> Result<(), Failure> {
    match command {
        DaemonCommand::Start(_) => daemon_control::start(context).await,
        DaemonCommand::Stop(_) => daemon_control::stop(context).await,
        DaemonCommand::Restart(_) => daemon_control::restart(context).await,
        DaemonCommand::Status(_) => daemon_status::run(context).await,
        DaemonCommand::Logs(args) => daemon_logs::run(context, &args).await,
        DaemonCommand::Run(args) => daemon_control::run(&args.options),
    }
}

/// Prints rows of two columns: a name and its value.
fn print_facts(context: &Context, rows: &[Vec<String>]) {
    let columns = vec![
        Column::new("what", Shrink::Never),
        Column::new("value", Shrink::Wrap(8)),
    ];
    context.output.records(context.global.format, columns, rows);
}
