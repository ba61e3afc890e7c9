//! Files that keep their paths, each at a place of its own on any file system.

use std::collections::HashSet;

use crate::sanitise::{collision_key, safe_segment, short_hash};

/// The places that are taken in the directory of one trial.
#[derive(Debug, Default)]
pub(crate) struct OwnPaths {
    files: HashSet<String>,
    directories: HashSet<String>,
}

impl OwnPaths {
    /// Marks a place as taken; returns false if it was already, or if a file would have to be a directory.
    pub(crate) fn take(&mut self, below: &[String], file_name: &str) -> bool {
        let mut key = String::new();
        let mut directories = Vec::new();
        for name in below {
            key.push_str(&collision_key(name));
            if self.files.contains(&key) {
                return false;
            }
            directories.push(key.clone());
            key.push('/');
        }
        key.push_str(&collision_key(file_name));
        if self.directories.contains(&key) || !self.files.insert(key) {
            return false;
        }
        self.directories.extend(directories);
        true
    }

    /// Returns the directories and the name of a file with this path, `/` between its names.
    pub(crate) fn place(&mut self, path: &str) -> (Vec<String>, String) {
        let mut names: Vec<String> = path
            .split('/')
            .map(|name| safe_segment(name, "unknown"))
            .collect();
        let file_name = names.pop().unwrap_or_default();
        if self.take(&names, &file_name) {
            return (names, file_name);
        }
        // No name contains the hash of another path; a path that is listed twice is the same file.
        let alone = format!("{}~{}", safe_segment(path, "unknown"), short_hash(path));
        self.take(&[], &alone);
        (Vec::new(), alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_kept_unless_they_collide() {
        let mut places = OwnPaths::default();
        places.take(&[], "logs.txt");
        let mut place = |path: &str| {
            let (below, name) = places.place(path);
            [below, vec![name]].concat().join("/")
        };
        assert_eq!(place("agent/a/b.txt"), "agent/a/b.txt");
        assert_eq!(place("../x/./.hid"), "__/x/_/_hid");
        for taken in [
            "LOGS.txt",
            "agent/A/b.TXT",
            "agent/a/b.txt/c",
            "agent/a",
            "agent",
        ] {
            let placed = place(taken);
            assert!(placed.contains('~') && !placed.contains('/'), "{placed}");
        }
    }
}
