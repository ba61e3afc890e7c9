//! Selects the runs to watch from the arguments.

use std::time::Duration;

use docks_proto::event::ObjectKind;
use docks_proto::object::{Lifecycle, RawObject, lifecycle, parse_list};
use docks_proto::query::{ListQuery, Row};
use docks_proto::routes::RunKind;
use tokio::time::{Instant, sleep};

use super::super::print_object;
use crate::args::RunsWatch;
use crate::ask::{Request, Requester};
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
        let retry = match &found {
            Err(failure) => failure.kind == Kind::NotFound,
            Ok(_) => false,
        };
        let pause = match requester.remote.reads_local_files() {
            true => LOCAL_RETRY_INTERVAL,
            false => RETRY_INTERVAL,
        };
        match deadline {
            Some(deadline) if retry && Instant::now() + pause < deadline => sleep(pause).await,
            _ => return found,
        }
    }
}

async fn find_runs(requester: &Requester<'_>, args: &RunsWatch) -> Result<Vec<RunKey>, Failure> {
    let mut keys = Vec::new();
    if args.latest {
        let latest = ListQuery {
            limit: 1,
            ..ListQuery::default()
        };
        let mut rows = list_rows(requester, &latest).await?;
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.created));
        keys.extend(rows.into_iter().next().map(|(kind, row)| (kind, row.id)));
    } else if args.run_ids.is_empty() {
        let all_active = args.status.is_empty();
        let active = || ACTIVE_STATUSES.map(str::to_owned).to_vec();
        let query = ListQuery {
            limit: 0,
            status: if all_active {
                active()
            } else {
                args.status.clone()
            },
            ..ListQuery::default()
        };
        let rows = list_rows(requester, &query).await?;
        let wanted = |row: &Row| !all_active || lifecycle(&row.status) == Lifecycle::Active;
        let wanted = rows.into_iter().filter(|(_, row)| wanted(row));
        keys.extend(wanted.map(|(kind, row)| (kind, row.id)));
    } else {
        for given in &args.run_ids {
            keys.push(find_by_name(requester, given).await?);
        }
    }
    if keys.is_empty() {
        return Err(Failure::new(Kind::NotFound, "there is no run to watch")
            .hint("`docks runs list` and `docks runs eval-list` list what exists"));
    }
    if keys.len() > MOST_RUNS {
        let text = format!("can't watch {} runs at once", keys.len());
        return Err(Failure::usage(text).hint(format!("at most {MOST_RUNS} can be watched")));
    }
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
    let is_missing = |failure: &Failure| failure.kind == Kind::NotFound;
    match find_of_kind(requester, RunKind::Evaluation, given).await {
        Err(failure) if is_missing(&failure) => {}
        found => return found,
    }
    let plain = match find_of_kind(requester, RunKind::Run, given).await {
        Err(failure) if is_missing(&failure) => {
            let text = format!("no run or evaluation run `{given}`");
            return Err(Failure::new(Kind::NotFound, text)
                .hint("`docks runs list` and `docks runs eval-list` list what exists"));
        }
        found => found?,
    };
    // A Harbor job is both: it may have started since the first request. As a plain run it has no trials.
    match find_of_kind(requester, RunKind::Evaluation, given).await {
        Err(failure) if is_missing(&failure) => Ok(plain),
        found => found,
    }
}

async fn find_of_kind(
    requester: &Requester<'_>,
    kind: RunKind,
    given: &str,
) -> Result<RunKey, Failure> {
    let response = requester.request(Request::Run(kind, given)).await?;
    let object: RawObject = print_object::parse_object(&print_object::body_text(&response.body))?;
    Ok((kind.into(), Row::from_run(&object).id))
}
