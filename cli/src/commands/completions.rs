//! `docks completions`: the completion script of a shell.

use crate::args::{Cli, Completions, whole_tree};
use crate::context::Context;

/// Prints the script.
pub(super) fn run(context: &Context, args: &Completions) {
    let mut script = Vec::new();
    let mut tree = whole_tree::<Cli>();
    clap_complete::generate(args.shell, &mut tree, "docks", &mut script);
    context.output.data(script);
}
