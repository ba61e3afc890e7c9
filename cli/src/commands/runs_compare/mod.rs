//! `docks runs compare`: the same tasks in several runs, side by side.

mod attempt;
mod matrix;
mod print;

use docks_proto::object::{RunFields, parse_list};
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;

use crate::args::RunsCompare;
use crate::ask::{Request, Requester, SeveralRemotes};
use crate::context::Context;
use crate::failure::{Failure, Kind};

use super::of_several::Wanted;
use super::print_object;
use matrix::{Matrix, RunTrials};

/// Compares the other runs with the first.
///
/// # Errors
///
/// Why a run or its trials cannot be read.
pub(super) async fn run(context: &Context, args: &RunsCompare) -> Result<(), Failure> {
    let several = SeveralRemotes::of(context)?.filter(|several| several.remotes.len() > 1);
    let mut runs = Vec::new();
    for given in &args.run_ids {
        runs.push(match &several {
            Some(several) => {
                let found = several
                    .find(context, Wanted::Evaluation, given, false)
                    .await?;
                RunTrials {
                    remote: Some(found.remote.name.clone()),
                    ..read_run(&found.remote.context, &found.id).await?
                }
            }
            None => read_run(context, given).await?,
        });
    }
    let matrix = Matrix::from_runs(runs);
    print::print(context, &matrix)
}

/// Reads a run and its trials.
async fn read_run(context: &Context, given: &str) -> Result<RunTrials, Failure> {
    let requester = Requester::new(context)?;
    let answered = requester
        .request(Request::Run(RunKind::Evaluation, given))
        .await?;
    let fields = RunFields::from_object(&print_object::parse_object(&print_object::body_text(
        &answered.body,
    ))?);
    let id = fields.id.text().unwrap_or_else(|| given.to_owned());
    let all = ListQuery {
        limit: 0,
        ..ListQuery::default()
    };
    let answered = requester.request(Request::Trials(&id, &all)).await?;
    print_object::report_age(context, &answered.freshness);
    let list = parse_list(&answered.body)
        .map_err(|error| Failure::chain(Kind::Failed, "could not read the trials", &error))?;
    Ok(RunTrials {
        remote: None,
        name: fields.name.text().unwrap_or_else(|| id.clone()),
        status: fields.status.text().unwrap_or_default(),
        id,
        trials: list
            .objects
            .iter()
            .map(attempt::Attempt::from_object)
            .collect(),
    })
}
