//! `docks completions`: the completion script of a shell.

use clap::CommandFactory;

use crate::args::{Cli, Completions};
use crate::context::Context;

/// Prints the script.
pub(super) fn run(context: &Context, args: &Completions) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "docks", &mut script);
    context.output.data(script);
}
