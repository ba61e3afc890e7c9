//! What figures are made of, of the trials of some runs, as fresh as a request needs it.

use docks_proto::freshness::Freshness;
use docks_proto::query::ListQuery;
use docks_proto::time::UnixMs;
use docks_statistics::trial::FactsList;
use docksd_mirror::{AgeOfTrials, FactsSelection, Resource};
use futures_util::future::try_join_all;

use super::error::ApiError;
use super::resolve_id;
use super::revalidate::{FreshnessRequirement, freshness_of, oldest};
use super::trial::fresh_trials;
use crate::registry::MirroredRemote;

/// Reads the facts of the trials of some evaluation runs that meet the filters of a query. A run that is named twice
/// is read once.
pub(super) async fn of_runs(
    remote: &MirroredRemote,
    names: &[String],
    filter: &ListQuery,
    requirement: FreshnessRequirement,
    now: UnixMs,
) -> Result<(FactsList, Freshness), ApiError> {
    let asking = names
        .iter()
        .map(|name| fresh_trials(remote, name, requirement));
    let mut found = try_join_all(asking).await?;
    let mut ids: Vec<String> = Vec::new();
    found.retain(|(run, _)| {
        let is_new = !ids.contains(&run.id);
        if is_new {
            ids.push(run.id.clone());
        }
        is_new
    });
    // Before the trials are read: they may be newer than what was confirmed, and not older.
    let mut ages = Vec::new();
    for (run, answered_by) in &found {
        let resource = Resource::Trials(run.id.clone());
        let confirmed = remote.mirror.confirmation(&resource).await?;
        let confirmed = confirmed.unwrap_or_else(|| resolve_id::confirmation_of(run));
        let volatility = resolve_id::volatility_of(run);
        remote.sync.mark_watched(&resource);
        let mut freshness = freshness_of(remote, &confirmed, volatility, *answered_by);
        if !confirmed.complete {
            freshness.incomplete = Some(still_to_come(&run.id));
        }
        ages.push(freshness);
    }
    let selection = FactsSelection::Ids(ids);
    let reading = remote
        .mirror
        .matching_trial_facts(selection, filter, AgeOfTrials::All);
    let (facts, _) = reading.await?;
    let mut freshness = oldest(ages.into_iter(), now);
    if freshness.incomplete.is_none()
        && let Some((run, _)) = facts.runs().find(|(run, _)| !run.is_complete)
    {
        freshness.incomplete = Some(still_to_come(&run.id));
    }
    Ok((facts, freshness))
}

fn still_to_come(run: &str) -> String {
    format!("trials of `{run}` are still to come")
}
