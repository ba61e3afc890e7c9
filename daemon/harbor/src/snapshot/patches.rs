//! The patches of a trial.

use std::path::{Path, PathBuf};

use crate::disk::cached_file::FileReader;
use crate::format::json;
use crate::snapshot::artifact_names::is_patch;
use crate::snapshot::trial_tree::TrialTree;

/// Returns the collected patches, those with the shortest path first, then those that the agent left.
pub(crate) fn find_patches(
    tree: &TrialTree,
    output: &Path,
    reader: &mut FileReader,
) -> Vec<PathBuf> {
    let patches_in = |folder: &Path| {
        let names = tree.folder(folder).files.iter();
        let patches = names.filter(|name| is_patch(name));
        patches.map(|name| folder.join(name)).collect::<Vec<_>>()
    };
    let folders = tree.artifact_folders(output).iter();
    let mut found: Vec<PathBuf> = folders.flat_map(|folder| patches_in(folder)).collect();
    if !found.is_empty() {
        let manifest = output.join("artifacts/manifest.json");
        let failed = failed_collections(&tree.full_path(&manifest), reader);
        let is_complete = |path: &PathBuf| {
            let relative = path.strip_prefix(output).unwrap_or(path);
            !failed.iter().any(|failed| relative.starts_with(failed))
        };
        found.retain(is_complete);
    }
    found.extend(patches_in(&output.join("agent")));
    found
}

/// Returns what the manifest says could not be collected completely, as paths below the trial's folder.
fn failed_collections(manifest: &Path, reader: &mut FileReader) -> Vec<PathBuf> {
    let text = reader.read_uncached(manifest);
    let entries = text
        .as_deref()
        .and_then(json::parse)
        .map(json::Value::items);
    let entries = entries.unwrap_or_default().into_iter();
    entries
        .map(json::Value::object)
        .filter(|entry| entry.text("status").as_deref() == Some("failed"))
        .filter_map(|entry| Some(PathBuf::from(entry.text("destination")?)))
        .collect()
}
