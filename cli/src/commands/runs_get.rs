//! `docks runs get`.

use docks_proto::routes::RunKind;

use super::print_object::{self, ObjectKind};
use crate::args::RunsGet;
use crate::ask::{Request, Requester};
use crate::context::Context;
use crate::failure::Failure;

/// Shows one plain run.
pub(super) async fn run(context: &Context, args: &RunsGet) -> Result<(), Failure> {
    let question = Request::Run(RunKind::Run, &args.run_id);
    let answered = Requester::new(context)?.request(question).await?;
    print_object::print_object(context, ObjectKind::Run, &answered)
}
