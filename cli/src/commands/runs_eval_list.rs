//! `docks runs eval-list`.

use docks_proto::query::TrialFilter;
use docks_proto::routes::RunKind;

use super::listing::{self, RequestedList};
use crate::args::RunsEvalList;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::lists::EVALUATIONS;

/// Lists evaluation runs.
pub(super) async fn run(context: &Context, args: &RunsEvalList) -> Result<(), Failure> {
    let list = RequestedList::Runs(RunKind::Evaluation);
    listing::run(
        context,
        list,
        &EVALUATIONS,
        &args.options,
        TrialFilter::default(),
    )
    .await
}
