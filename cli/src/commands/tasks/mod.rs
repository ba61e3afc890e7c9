//! `docks tasks`: every task over all mirrored runs. The daemon computes it.

mod history;
mod list;

pub(super) use history::run as history;
pub(super) use list::run as list;

use docks_proto::query::ListQuery;

use super::point_in_time::point_in_time;
use super::runs_trials;
use crate::args::{TaskFilterOptions, TrialFilterOptions};
use crate::context::Context;
use crate::failure::Failure;

/// Reads which trials the figures are over; `limit` is the number of rows.
fn filter(context: &Context, args: &TaskFilterOptions, limit: u64) -> Result<ListQuery, Failure> {
    let names = TrialFilterOptions {
        agent: args.agent.clone(),
        model: args.model.clone(),
        ..TrialFilterOptions::default()
    };
    Ok(ListQuery {
        limit,
        since: point_in_time(context, args.since.as_deref())?,
        until: point_in_time(context, args.until.as_deref())?,
        trials: runs_trials::filter(&names)?,
        ..ListQuery::default()
    })
}

/// Rows as lines of JSON.
fn lines<T: serde::Serialize>(context: &Context, objects: &[T]) {
    for object in objects {
        let line = serde_json::to_string(object);
        let line = line.expect("it contains only text and numbers");
        context.output.line(line);
    }
}
