//! `docks cache status`: the size of the cache, and the runs in it.

use docks_artifacts::cache::{Cache, RunRecord};
use docks_proto::credentials::files;
use docks_proto::mirrors::MirrorId;
use indicatif::HumanBytes;
use serde::Serialize;

use crate::args::Format;
use crate::ask::DaemonEndpoint;
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Failure, Kind, settings_failure};

use super::artifact_sources;
use super::mirror_list::MirrorList;

#[derive(Serialize)]
struct Status<'a> {
    path: String,
    limit_bytes: u64,
    size_bytes: u64,
    pinned_bytes: u64,
    objects: u64,
    addresses: u64,
    partial_downloads: u64,
    runs: Vec<Run<'a>>,
}

#[derive(Serialize)]
struct Run<'a> {
    run_id: &'a str,
    remote: &'a str,
    /// Handle of the mirror whose owner has downloaded it; `null` for the user of this machine.
    mirror: Option<String>,
    #[serde(skip)]
    whose: Option<String>,
    pinned: bool,
    artifacts: usize,
    /// Artifacts whose content is still in the cache.
    cached: usize,
    size_bytes: u64,
}

/// Prints the status.
pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let endpoint = DaemonEndpoint::new(Environment::of_process())?;
    let cache = artifact_sources::open_cache(&endpoint.places, context.now)?;
    let read = |error| Failure::chain(Kind::Failed, "could not read the cache", &error);
    let usage = cache.usage().map_err(read)?;
    let records = cache.runs().map_err(read)?;
    let file = files::load(&endpoint.places).map_err(|e| settings_failure(&e))?;
    let mirrors = MirrorList::read(&endpoint.places, &file)?;
    let status = Status {
        path: cache.root().display().to_string(),
        limit_bytes: cache.limit_bytes(),
        size_bytes: usage.size_bytes,
        pinned_bytes: usage.pinned_bytes,
        objects: usage.objects,
        addresses: usage.addresses,
        partial_downloads: usage.partial,
        runs: records
            .iter()
            .map(|record| run_usage(&cache, &mirrors, record))
            .collect(),
    };
    if let Format::Json | Format::Jsonl = context.global.format {
        let text = serde_json::to_string(&status)
            .map_err(|e| Failure::chain(Kind::Failed, "could not write the status", &e))?;
        context.output.line(text);
        return Ok(());
    }
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let mut rows = vec![
        row("path", status.path.clone()),
        row(
            "size",
            format!(
                "{} of {} in {} objects",
                HumanBytes(status.size_bytes),
                HumanBytes(status.limit_bytes),
                status.objects
            ),
        ),
        row("pinned", HumanBytes(status.pinned_bytes).to_string()),
    ];
    if status.partial_downloads > 0 {
        let parts = status.partial_downloads;
        rows.push(row("partial", format!("{parts} downloads can be resumed")));
    }
    for run in &status.runs {
        let pinned = if run.pinned { ", pinned" } else { "" };
        let whose = run.whose.as_ref().map(|whose| format!(", {whose}"));
        let whose = whose.unwrap_or_default();
        rows.push(row(
            &format!("run {}", run.run_id),
            format!(
                "{} of {} artifacts, {}{pinned}{whose}",
                run.cached,
                run.artifacts,
                HumanBytes(run.size_bytes)
            ),
        ));
    }
    super::print_facts(context, &rows);
    Ok(())
}

fn run_usage<'a>(cache: &Cache, mirrors: &MirrorList, record: &'a RunRecord) -> Run<'a> {
    let owner = record.run.owner;
    let known = record
        .keys
        .iter()
        .filter_map(|key| cache.address_record(key));
    let cached: Vec<u64> = known
        .filter(|known| cache.has(&known.sha256))
        .map(|known| known.size_bytes)
        .collect();
    Run {
        run_id: &record.run.run_id,
        remote: &record.run.remote,
        mirror: owner.map(MirrorId::handle),
        whose: owner.map(|owner| mirrors.describe(owner)),
        pinned: record.pinned,
        artifacts: record.keys.len(),
        cached: cached.len(),
        size_bytes: cached.iter().sum(),
    }
}
