//! What every command receives: global options, its start time and the output.

use std::sync::Arc;

use docks_proto::time::UnixMs;

use crate::args::Global;
use crate::output::Output;

/// What every command receives.
#[derive(Debug)]
pub(crate) struct Context {
    /// Options given before or after the command's name.
    pub(crate) global: Global,
    /// The only way to stdout and stderr, shared with the contexts of several remotes.
    pub(crate) output: Arc<Output>,
    /// When the command started; relative times count from here.
    pub(crate) now: UnixMs,
}
