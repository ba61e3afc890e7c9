//! Times in options, such as `2d` or `2026-11-23`.

use docks_proto::time::{UnixMs, parse_point_in_time};
use jiff::tz::TimeZone;

use crate::context::Context;
use crate::failure::Failure;

/// Reads the time that an option gives, if it is given.
///
/// # Errors
///
/// A usage error for what is no time.
pub(super) fn point_in_time(
    context: &Context,
    text: Option<&str>,
) -> Result<Option<UnixMs>, Failure> {
    // The time zone is read from files, so only if an option needs it.
    let read = |text: &str| parse_point_in_time(text, context.now, &TimeZone::system());
    let point = text.map(read).transpose();
    point.map_err(|bad| Failure::usage(bad.to_string()))
}
