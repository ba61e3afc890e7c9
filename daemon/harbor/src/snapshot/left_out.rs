//! What a search for jobs left out, and what it found, in words.

use std::io;
use std::path::{Path, PathBuf};

use crate::snapshot::search_limits::MAX_DEPTH;

/// What a search for jobs left out, counted by reason, each with its first folder.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Folders that were searched.
    pub(crate) searched: usize,
    /// Whether the directory itself is one trial.
    pub(crate) is_trial: bool,
    /// Symbolic links to folders.
    pub(crate) links: usize,
    /// Folders beyond the limit of their number.
    pub(crate) too_many: usize,
    unreadable: usize,
    first_unreadable: Option<(PathBuf, String)>,
    too_deep: usize,
    first_too_deep: Option<PathBuf>,
    terminal_bench: usize,
    first_terminal_bench: Option<PathBuf>,
}

/// Says that a directory is the data of a `harbor serve`, or contains what the server creates by default; `None` if
/// it is neither. It has the folders of trials, and none of a job.
pub(crate) fn describe_server_data(directory: &Path) -> Option<String> {
    let places = [directory.to_owned(), directory.join(".harbor")];
    let is_data =
        |place: &PathBuf| place.join("harbor.sqlite3").is_file() && place.join("files").is_dir();
    let data = places.iter().find(|place| is_data(place))?;
    Some(format!(
        "{} is the data directory of a `harbor serve`, which has no folders of jobs; \
         `docks --harbor-server http://127.0.0.1:8390 …` asks the server itself, at its address",
        data.display()
    ))
}

impl LeftOut {
    /// Counts a folder that cannot be listed.
    pub(crate) fn add_unreadable(&mut self, folder: &Path, error: &io::Error) {
        self.unreadable += 1;
        self.first_unreadable
            .get_or_insert_with(|| (folder.to_owned(), error.to_string()));
    }

    /// Counts a folder whose subfolders are too deep.
    pub(crate) fn add_too_deep(&mut self, folder: &Path) {
        self.too_deep += 1;
        self.first_too_deep.get_or_insert_with(|| folder.to_owned());
    }

    /// Counts a run of Terminal-Bench.
    pub(crate) fn add_terminal_bench(&mut self, folder: &Path) {
        self.terminal_bench += 1;
        self.first_terminal_bench
            .get_or_insert_with(|| folder.to_owned());
    }

    /// Describes what was looked at, where no job was found.
    pub(crate) fn describe_search(&self, directory: &Path) -> String {
        let shown = directory.display();
        if self.is_trial {
            let parent = directory.parent().unwrap_or(directory);
            return format!(
                "{shown} is one trial; `--harbor {}` shows it with those beside it",
                parent.display()
            );
        }
        format!(
            "no Harbor jobs in {shown}: {} searched, up to {MAX_DEPTH} levels deep, and none has a job.log, or a config.json or \
             result.json of Harbor",
            counted(self.searched, "folder")
        )
    }

    /// Describes what was left out; `None` if nothing was.
    pub(crate) fn describe(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.links > 0 {
            parts.push(counted(self.links, "symbolic link"));
        }
        if let Some((folder, why)) = &self.first_unreadable {
            let text = counted(self.unreadable, "folder");
            parts.push(format!(
                "{text} that cannot be read ({}: {why})",
                folder.display()
            ));
        }
        if let Some(folder) = &self.first_too_deep {
            let text = counted(self.too_deep, "folder");
            parts.push(format!(
                "what is in {text} below the deepest level, e.g. {}",
                folder.display()
            ));
        }
        if self.too_many > 0 {
            let text = counted(self.too_many, "folder");
            parts.push(format!("{text} beyond the first {}", self.searched));
        }
        if let Some(folder) = &self.first_terminal_bench {
            let text = counted(self.terminal_bench, "run");
            parts.push(format!(
                "{text} of Terminal-Bench (`tb`), whose files docks does not read, e.g. {}",
                folder.display()
            ));
        }
        (!parts.is_empty()).then(|| format!("left out: {}", parts.join("; ")))
    }
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}
