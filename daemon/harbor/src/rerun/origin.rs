//! Where a job was run.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

/// Where a job was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// In this directory.
    Directory(PathBuf),
    /// The job lies where its config says, by a path that does not say where it was run.
    InPlace,
    /// The job was moved or renamed, or its config is not there.
    Unknown,
}

impl Origin {
    /// Finds it out by the config of the job in `folder`: its `jobs_dir`, if that is relative, is relative to it.
    pub(super) fn of(job: &Map<String, Value>, folder: &Path) -> Self {
        let text = |key: &str| job.get(key).and_then(Value::as_str);
        let Some(name) = text("job_name") else {
            return Self::Unknown;
        };
        // The default of Harbor, which up to 0.24 leaves it out.
        let place = Path::new(text("jobs_dir").unwrap_or("jobs")).join(name);
        if place.is_absolute() {
            return match place == folder {
                true => Self::InPlace,
                false => Self::Unknown,
            };
        }
        let mut below = PathBuf::new();
        for part in place.components() {
            match part {
                Component::Normal(part) => below.push(part),
                Component::CurDir => {}
                _ => return Self::Unknown,
            }
        }
        if !folder.ends_with(&below) {
            return Self::Unknown;
        }
        let mut above = folder.ancestors();
        let directory = above.nth(below.components().count());
        directory.map_or(Self::Unknown, |found| Self::Directory(found.to_owned()))
    }
}
