//! `docks runs list`.

use docks_proto::query::TrialFilter;
use docks_proto::routes::RunKind;

use super::listing::{self, RequestedList};
use crate::args::RunsList;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::lists::RUNS;

/// Lists plain runs.
pub(super) async fn run(context: &Context, args: &RunsList) -> Result<(), Failure> {
    listing::run(
        context,
        RequestedList::Runs(RunKind::Run),
        &RUNS,
        &args.options,
        TrialFilter::default(),
    )
    .await
}
