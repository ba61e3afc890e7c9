//! The files of an attempt, by the names and addresses that the server has for them.

use std::path::{Path, PathBuf};

use crate::disk::folders::FolderListing;
use crate::snapshot::artifact::Artifact;
use crate::snapshot::artifact_names::is_patch;
use crate::snapshot::trial_artifacts::{self, FileFacts};
use crate::snapshot::trial_tree::TrialTree;

/// Files of one attempt that are kept; an agent can leave any number.
const MAX_FILES: usize = 4_096;

/// The files of one attempt. The addresses of most begin with the same text and end with the path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServedArtifacts {
    base: Box<str>,
    /// Sorted.
    paths: Vec<Box<str>>,
    others: Vec<(Box<str>, Box<str>)>,
}

impl ServedArtifacts {
    /// Takes the paths, relative to the trial's folder, and their addresses. Folders, whose paths end with `/`,
    /// are left out, and so are paths that lead elsewhere.
    #[must_use]
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut all = Self::default();
        for (path, uri) in files.into_iter().take(MAX_FILES) {
            let is_plain = |part: &str| !matches!(part, "" | "." | "..");
            if !path.split('/').all(is_plain) {
                continue;
            }
            match uri.strip_suffix(path) {
                Some(base) if all.paths.is_empty() || base == &*all.base => {
                    all.base = base.into();
                    all.paths.push(path.into());
                }
                _ => all.others.push((path.into(), uri.into())),
            }
        }
        all.paths.sort_unstable();
        all.others.sort_unstable();
        all
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        let others = self.others.iter().map(|(path, _)| &**path);
        self.paths.iter().map(|path| &**path).chain(others)
    }

    fn address(&self, path: &str) -> Option<String> {
        if self.paths.iter().any(|known| &**known == path) {
            return Some(format!("{}{path}", self.base));
        }
        let mut others = self.others.iter();
        let found = others.find(|(known, _)| &**known == path)?;
        Some(found.1.to_string())
    }

    /// Lists the artifacts of the four types in the order of reading, at the addresses of the server's download
    /// route. `steps` are the steps of its result.
    pub(super) fn list(
        &self,
        steps: &[&str],
        agent: &str,
        download: &dyn Fn(&str) -> String,
    ) -> Vec<Artifact> {
        let mut found = self.listing("steps/").folders;
        found.sort_by_key(|name| {
            let place = steps.iter().position(|step| step == name);
            (place.unwrap_or(usize::MAX), name.clone())
        });
        let prefixes: Vec<String> = std::iter::once(String::new())
            .chain(found.iter().map(|step| format!("steps/{step}/")))
            .collect();
        let below = |prefix: &String| {
            ["agent", "verifier"].map(|name| {
                let folder = format!("{prefix}{name}");
                let listing = self.listing(&format!("{folder}/"));
                (PathBuf::from(folder), listing)
            })
        };
        let top = (PathBuf::new(), self.listing(""));
        let tree = TrialTree::of_names(std::iter::once(top).chain(prefixes.iter().flat_map(below)));
        let outputs: Vec<PathBuf> = prefixes
            .iter()
            .map(|prefix| PathBuf::from(prefix.trim_end_matches('/')))
            .collect();
        let mut files = RemoteFiles {
            artifacts: self,
            download,
        };
        trial_artifacts::list(&tree, &outputs, agent, &mut files)
    }

    /// Lists the names in a folder, given as its path with a slash at its end.
    fn listing(&self, folder: &str) -> FolderListing {
        let mut listing = FolderListing::default();
        for rest in self.paths().filter_map(|path| path.strip_prefix(folder)) {
            match rest.split_once('/') {
                None => listing.files.push(rest.to_owned()),
                Some((name, _)) => listing.folders.push(name.to_owned()),
            }
        }
        listing.files.sort_unstable();
        listing.folders.sort_unstable();
        listing.folders.dedup();
        listing
    }
}

struct RemoteFiles<'a> {
    artifacts: &'a ServedArtifacts,
    download: &'a dyn Fn(&str) -> String,
}

impl FileFacts for RemoteFiles<'_> {
    fn exists(&self, path: &Path) -> bool {
        self.address(path).is_some()
    }

    // The server does not say how long a file is before it is asked for it.
    fn is_not_empty(&self, path: &Path) -> bool {
        self.exists(path)
    }

    fn size_bytes(&self, _path: &Path) -> Option<u64> {
        None
    }

    fn address(&self, path: &Path) -> Option<String> {
        let uri = self.artifacts.address(path.to_str()?)?;
        Some((self.download)(&uri))
    }

    fn patches(&mut self, output: &Path) -> Vec<PathBuf> {
        let patches_in = |folder: PathBuf| {
            let all = self.artifacts.paths().map(PathBuf::from);
            all.filter(move |path| path.starts_with(&folder))
                .filter(|path| path.to_str().is_some_and(is_patch))
                .collect::<Vec<_>>()
        };
        let mut found = patches_in(output.join("artifacts"));
        found.sort_by_key(|path| (path.components().count(), path.clone()));
        let agent = output.join("agent");
        let left = patches_in(agent.clone()).into_iter();
        found.extend(left.filter(|path| path.parent() == Some(&*agent)));
        found
    }
}
