//! From what was typed to the runs that are meant.

use std::time::Duration;

use docks_proto::event::ObjectKind;
use docks_proto::object::{Lifecycle, RawObject, lifecycle, parse_list};
use docks_proto::query::{ListQuery, Row};
use docks_proto::routes::RunKind;
use tokio::time::{Instant, sleep};

use super::super::print_object;
use super::super::requester::Asking;
use crate::args::RunsWatch;
use crate::ask::request::Question;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::watch::event_subscriber::MOST_RUNS;
use crate::watch::model::RunKey;

/// Between two looks for a run that is not there yet.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The same for a job, which may have ended after five seconds.
const LOOK_EVERY_LOCAL: Duration = Duration::from_millis(500);

/// Statuses that a run has before its end.
const ACTIVE: [&str; 4] = ["queued", "pending", "provisioning", "running"];

/// Finds the runs; waits for them to exist when that was asked for.
pub(super) async fn runs(context: &Context, args: &RunsWatch) -> Result<Vec<RunKey>, Failure> {
    let deadline = args.wait_for_start.map(|time| Instant::now() + time);
    loop {
        let asking = Asking::new(context)?;
        let found = once(&asking, args).await;
        let retry = match &found {
            Err(failure) => failure.kind == Kind::NotFound,
            Ok(_) => false,
        };
        let pause = match asking.is_free() {
            true => LOOK_EVERY_LOCAL,
            false => LOOK_EVERY,
        };
        match deadline {
            Some(deadline) if retry && Instant::now() + pause < deadline => sleep(pause).await,
            _ => return found,
        }
    }
}

async fn once(asking: &Asking<'_>, args: &RunsWatch) -> Result<Vec<RunKey>, Failure> {
    let mut keys = Vec::new();
    if args.latest {
        let latest = ListQuery {
            limit: 1,
            ..ListQuery::default()
        };
        let mut rows = rows(asking, &latest).await?;
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.created));
        keys.extend(rows.into_iter().next().map(|(kind, row)| (kind, row.id)));
    } else if args.run_ids.is_empty() {
        let all_active = args.status.is_empty();
        let active = || ACTIVE.map(str::to_owned).to_vec();
        let query = ListQuery {
            limit: 0,
            status: if all_active {
                active()
            } else {
                args.status.clone()
            },
            ..ListQuery::default()
        };
        let rows = rows(asking, &query).await?;
        let wanted = |row: &Row| !all_active || lifecycle(&row.status) == Lifecycle::Active;
        let wanted = rows.into_iter().filter(|(_, row)| wanted(row));
        keys.extend(wanted.map(|(kind, row)| (kind, row.id)));
    } else {
        for given in &args.run_ids {
            keys.push(named(asking, given).await?);
        }
    }
    if keys.is_empty() {
        return Err(Failure::new(Kind::NotFound, "there is no run to watch")
            .hint("`docks runs list` and `docks runs eval-list` show what there is"));
    }
    if keys.len() > MOST_RUNS {
        let text = format!("{} runs are more than can be watched at once", keys.len());
        return Err(Failure::usage(text).hint(format!("{MOST_RUNS} can")));
    }
    Ok(keys)
}

/// Lists both kinds; a job that is known under both is watched as an evaluation run, with its trials.
async fn rows(asking: &Asking<'_>, query: &ListQuery) -> Result<Vec<(ObjectKind, Row)>, Failure> {
    let mut found: Vec<(ObjectKind, Row)> = Vec::new();
    for kind in [RunKind::Evaluation, RunKind::Run] {
        let answered = asking.ask(Question::Runs(kind, query)).await?;
        let list = parse_list(&answered.body)
            .map_err(|error| Failure::chain(Kind::Failed, "could not read the answer", &error))?;
        for object in &list.objects {
            let row = Row::from_run(object);
            if !found.iter().any(|(_, known)| known.id == row.id) {
                found.push((kind.into(), row));
            }
        }
    }
    Ok(found)
}

async fn named(asking: &Asking<'_>, given: &str) -> Result<RunKey, Failure> {
    let evaluation = one(asking, RunKind::Evaluation, given).await;
    match evaluation {
        Err(failure) if failure.kind == Kind::NotFound => {
            match one(asking, RunKind::Run, given).await {
                Err(other) if other.kind == Kind::NotFound => Err(Failure::new(
                    Kind::NotFound,
                    format!("no run or evaluation run `{given}`"),
                )
                .hint("`docks runs list` and `docks runs eval-list` show what there is")),
                found => found,
            }
        }
        found => found,
    }
}

async fn one(asking: &Asking<'_>, kind: RunKind, given: &str) -> Result<RunKey, Failure> {
    let answered = asking.ask(Question::Run(kind, given)).await?;
    let object: RawObject = print_object::object(&print_object::text_of(&answered.body))?;
    Ok((kind.into(), Row::from_run(&object).id))
}
