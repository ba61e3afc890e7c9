//! The patches of a trial.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::disk::cached_file::FileReader;
use crate::disk::folders::FolderListing;
use crate::format::json;
use crate::snapshot::output_folder::OutputFolder;

/// Folders below `artifacts/` that are searched for patches.
const MAX_FOLDERS: usize = 256;

/// Returns the collected patches, those with the shortest path first, then those that the agent left.
pub(crate) fn find_patches(folder: &OutputFolder, reader: &mut FileReader) -> Vec<PathBuf> {
    let artifacts = folder.dir.join("artifacts");
    let mut found = Vec::new();
    let mut queue = VecDeque::from([artifacts.clone()]);
    for _ in 0..MAX_FOLDERS {
        let Some(dir) = queue.pop_front() else {
            break;
        };
        let names = FolderListing::read(&dir);
        let patches = names.files.iter().filter(|name| is_patch(name));
        found.extend(patches.map(|name| dir.join(name)));
        queue.extend(names.folders.iter().map(|name| dir.join(name)));
    }
    if !found.is_empty() {
        let failed = failed_collections(&artifacts.join("manifest.json"), reader);
        let is_complete = |path: &PathBuf| {
            let relative = path.strip_prefix(&folder.dir).unwrap_or(path);
            !failed.iter().any(|failed| relative.starts_with(failed))
        };
        found.retain(is_complete);
    }
    let left = folder.agent.files.iter().filter(|name| is_patch(name));
    found.extend(left.map(|name| folder.path_in("agent", name)));
    found
}

fn is_patch(name: &str) -> bool {
    name.ends_with(".patch") || name.ends_with(".diff")
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
