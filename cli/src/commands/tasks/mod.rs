//! `docks tasks`: every task over all mirrored runs. The daemon computes it.

mod history;
mod list;

pub(super) use history::run as history;
pub(super) use list::run as list;

use docks_proto::query::ListQuery;

use super::point_in_time::point_in_time;
use super::runs_trials::named;
use crate::args::TaskFilterOptions;
use crate::context::Context;
use crate::failure::Failure;

/// Reads which trials the figures are over; `limit` is the number of rows.
fn filter(context: &Context, args: &TaskFilterOptions, limit: u64) -> Result<ListQuery, Failure> {
    Ok(ListQuery {
        limit,
        since: point_in_time(context, args.created.since.as_deref())?,
        until: point_in_time(context, args.created.until.as_deref())?,
        trials: named(&args.agents, &[]),
        ..ListQuery::default()
    })
}
