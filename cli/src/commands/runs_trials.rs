//! `docks runs trials`.

use super::listing::{self, Which};
use crate::args::RunsTrials;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::rows::TRIALS;

/// Lists the trials of an evaluation run.
pub(super) async fn run(context: &Context, args: &RunsTrials) -> Result<(), Failure> {
    listing::run(context, Which::Trials(&args.run_id), &TRIALS, &args.options).await
}
