//! What every command gets: its global options, the time it began and where to print.

use docks_proto::time::UnixMs;

use crate::args::Global;
use crate::output::Output;

/// What every command gets.
#[derive(Debug)]
pub(crate) struct Context {
    /// Options given before or after the command's name.
    pub(crate) global: Global,
    /// The only way to stdout and stderr.
    pub(crate) output: Output,
    /// When the command began; relative times count from here.
    pub(crate) now: UnixMs,
}
