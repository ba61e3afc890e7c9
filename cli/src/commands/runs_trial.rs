//! `docks runs trial`.

use super::print_object::{self, ObjectKind};
use crate::args::RunsTrial;
use crate::ask::{Request, Requester};
use crate::context::Context;
use crate::failure::Failure;

/// Shows one trial with its results and artifact URIs.
pub(super) async fn run(context: &Context, args: &RunsTrial) -> Result<(), Failure> {
    let question = Request::Trial(&args.run_id, &args.trial_id);
    let answered = Requester::new(context)?.request(question).await?;
    print_object::print_object(context, ObjectKind::Trial, &answered)
}
