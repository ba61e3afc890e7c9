//! Selects the runs to watch from the arguments.

use std::time::Duration;

use docks_proto::event::ObjectKind;
use docks_proto::object::{Lifecycle, lifecycle, parse_list};
use docks_proto::query::{ListQuery, Row};
use docks_proto::routes::RunKind;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::super::find_run::find_of_any_kind;
use super::super::of_several::{Unanswered, Wanted};
use crate::args::RunsWatch;
use crate::ask::{Request, Requester, SeveralRemotes};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::watch::event_subscriber::MOST_RUNS;
use crate::watch::model::RunKey;

/// Pause between two requests for a run that does not exist yet.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// The same for local files: a job may have ended after five seconds.
const LOCAL_RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Statuses of a run that has not ended.
const ACTIVE_STATUSES: [&str; 4] = ["queued", "pending", "provisioning", "running"];

/// Finds the runs; with `--wait-for-start`, waits until they exist.
pub(super) async fn select_runs(
    context: &Context,
    args: &RunsWatch,
) -> Result<Vec<RunKey>, Failure> {
    let deadline = args.wait_for_start.map(|time| Instant::now() + time);
    loop {
        let requester = Requester::new(context)?;
        let found = find_runs(&requester, args).await;
        let pause = match requester.remote.reads_local_files() {
            true => LOCAL_RETRY_INTERVAL,
            false => RETRY_INTERVAL,
        };
        if !waits_for_start(&found, deadline, pause).await {
            return found;
        }
    }
}

/// Waits for the next attempt to find runs; returns whether there is one before the deadline.
async fn waits_for_start<T>(
    found: &Result<T, Failure>,
    deadline: Option<Instant>,
    pause: Duration,
) -> bool {
    let is_missing = matches!(found, Err(failure) if failure.kind == Kind::NotFound);
    let waits = is_missing && deadline.is_some_and(|deadline| Instant::now() + pause < deadline);
    if waits {
        sleep(pause).await;
    }
    waits
}

/// Finds the runs in several remotes, with the places of their remotes.
pub(super) async fn select_of_several(
    context: &Context,
    several: &SeveralRemotes,
    args: &RunsWatch,
) -> Result<Vec<(usize, RunKey)>, Failure> {
    let deadline = args.wait_for_start.map(|time| Instant::now() + time);
    loop {
        let found = find_in_several(context, several, args).await;
        if !waits_for_start(&found, deadline, RETRY_INTERVAL).await {
            return found;
        }
    }
}

async fn find_in_several(
    context: &Context,
    several: &SeveralRemotes,
    args: &RunsWatch,
) -> Result<Vec<(usize, RunKey)>, Failure> {
    let mut found = Vec::new();
    for given in &args.run_ids {
        let run = several.find(context, Wanted::Any, given, false).await?;
        found.push((run.index, (run.kind.into(), run.id)));
    }
    if args.run_ids.is_empty() {
        let query = list_query(args);
        let asking = several.remotes.iter().map(|remote| async {
            let requester = Requester::new(&remote.context)?;
            list_rows(&requester, &query).await
        });
        let mut rows = Vec::new();
        let mut unanswered = Unanswered::of(several);
        let outcomes = join_all(asking).await.into_iter();
        for (index, (remote, outcome)) in several.remotes.iter().zip(outcomes).enumerate() {
            match outcome {
                Ok(own) => rows.extend(own.into_iter().map(|(kind, row)| (index, kind, row))),
                Err(failure) => unanswered.add(remote, failure),
            }
        }
        unanswered.fail_if_all()?;
        unanswered.report(context);
        if args.latest {
            rows.sort_by_key(|(.., row)| std::cmp::Reverse(row.created));
            rows.truncate(1);
        }
        let wanted = rows.into_iter().filter(|(.., row)| is_wanted(args, row));
        found.extend(wanted.map(|(index, kind, row)| (index, (kind, row.id))));
    }
    check_count(found.len())?;
    Ok(found)
}

/// Returns the query of the runs that the options select.
fn list_query(args: &RunsWatch) -> ListQuery {
    if args.latest {
        return ListQuery {
            limit: 1,
            ..ListQuery::default()
        };
    }
    ListQuery {
        limit: 0,
        status: if args.status.is_empty() {
            ACTIVE_STATUSES.map(str::to_owned).to_vec()
        } else {
            args.status.clone()
        },
        ..ListQuery::default()
    }
}

/// Whether the options select a run that the query has found.
fn is_wanted(args: &RunsWatch, row: &Row) -> bool {
    let all_active = !args.latest && args.status.is_empty();
    !all_active || lifecycle(&row.status) == Lifecycle::Active
}

fn check_count(count: usize) -> Result<(), Failure> {
    if count == 0 {
        return Err(Failure::new(Kind::NotFound, "there is no run to watch")
            .hint("`docks runs list` and `docks runs eval-list` list what exists"));
    }
    if count > MOST_RUNS {
        let text = format!("can't watch {count} runs at once");
        return Err(Failure::usage(text).hint(format!("at most {MOST_RUNS} can be watched")));
    }
    Ok(())
}

async fn find_runs(requester: &Requester<'_>, args: &RunsWatch) -> Result<Vec<RunKey>, Failure> {
    let mut keys = Vec::new();
    if args.run_ids.is_empty() {
        let mut rows = list_rows(requester, &list_query(args)).await?;
        if args.latest {
            rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.created));
            rows.truncate(1);
        }
        let wanted = rows.into_iter().filter(|(_, row)| is_wanted(args, row));
        keys.extend(wanted.map(|(kind, row)| (kind, row.id)));
    } else {
        for given in &args.run_ids {
            keys.push(find_by_name(requester, given).await?);
        }
    }
    check_count(keys.len())?;
    Ok(keys)
}

/// Lists both kinds of runs; a job listed as both is watched as an evaluation run, with its trials.
async fn list_rows(
    requester: &Requester<'_>,
    query: &ListQuery,
) -> Result<Vec<(ObjectKind, Row)>, Failure> {
    let mut found: Vec<(ObjectKind, Row)> = Vec::new();
    // In this order, a job that starts between the two requests is at least in the second list.
    for kind in [RunKind::Run, RunKind::Evaluation] {
        let response = requester.request(Request::Runs(kind, query)).await?;
        let list = parse_list(&response.body)
            .map_err(|error| Failure::chain(Kind::Failed, "could not read the answer", &error))?;
        for object in &list.objects {
            let row = Row::from_run(object);
            match found.iter_mut().find(|(_, known)| known.id == row.id) {
                Some(known) => *known = (kind.into(), row),
                None => found.push((kind.into(), row)),
            }
        }
    }
    found.sort_by_key(|(kind, _)| *kind != ObjectKind::Evaluation);
    Ok(found)
}

async fn find_by_name(requester: &Requester<'_>, given: &str) -> Result<RunKey, Failure> {
    match find_of_any_kind(requester, given).await {
        Ok((kind, object)) => Ok((kind.into(), Row::from_run(&object).id)),
        Err(failure) if failure.kind == Kind::NotFound => {
            let text = format!("no run or evaluation run `{given}`");
            Err(Failure::new(Kind::NotFound, text)
                .hint("`docks runs list` and `docks runs eval-list` list what exists"))
        }
        Err(failure) => Err(failure),
    }
}
