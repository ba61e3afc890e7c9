//! Which build of `docksd` a process runs: builds of one release differ only in their file.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;

/// The variable in which `docks` names the build that it starts.
///
/// What it starts may be a script that runs the program, whose own file would be another one.
pub const BUILD_VARIABLE: &str = "DOCKSD_BUILD";

/// A program file as it was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildId {
    inode: u64,
    size: u64,
    modified_ns: i128,
    installed_ns: i128,
}

impl BuildId {
    /// Identifies the program in a file.
    #[must_use]
    pub fn from_metadata(file: &Metadata) -> Self {
        let ns = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            inode: file.ino(),
            size: file.size(),
            modified_ns: ns(file.mtime(), file.mtime_nsec()),
            installed_ns: ns(file.ctime(), file.ctime_nsec()),
        }
    }

    /// Returns whether this is another program than `running`, and was installed later.
    ///
    /// Of two installations the later one wins, for the commands of both: if each replaced the daemon of the
    /// other, two that are used in turn would do so forever.
    #[must_use]
    pub fn replaces(&self, running: &BuildId) -> bool {
        let content = |build: &Self| (build.inode, build.size, build.modified_ns);
        content(self) != content(running) && self.installed_ns > running.installed_ns
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            inode,
            size,
            modified_ns,
            installed_ns,
        } = self;
        write!(f, "{inode}.{size}.{modified_ns}.{installed_ns}")
    }
}

/// The text is not a [`BuildId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this does not identify a build")]
pub struct InvalidBuildId;

impl FromStr for BuildId {
    type Err = InvalidBuildId;

    fn from_str(text: &str) -> Result<Self, InvalidBuildId> {
        let parts: Vec<&str> = text.split('.').collect();
        let [inode, size, modified_ns, installed_ns] = parts[..] else {
            return Err(InvalidBuildId);
        };
        let number = |part: &str| part.parse().map_err(|_| InvalidBuildId);
        let ns = |part: &str| part.parse().map_err(|_| InvalidBuildId);
        Ok(Self {
            inode: number(inode)?,
            size: number(size)?,
            modified_ns: ns(modified_ns)?,
            installed_ns: ns(installed_ns)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_program_that_was_installed_later_replaces_one() {
        let running: BuildId = "7.100.50.60".parse().unwrap();
        assert_eq!(running.to_string().parse(), Ok(running));
        for (other, replaces) in [
            ("7.100.50.60", false),
            // Only its mode or its number of links has changed.
            ("7.100.50.70", false),
            ("8.100.50.70", true),
            ("7.100.51.70", true),
            ("8.100.51.59", false),
        ] {
            let other: BuildId = other.parse().unwrap();
            assert_eq!(other.replaces(&running), replaces, "{other}");
            assert!(!(other.replaces(&running) && running.replaces(&other)));
        }
        for bad in ["", "1.2.3", "1.2.3.4.5", "1.2.3.x"] {
            assert_eq!(bad.parse::<BuildId>(), Err(InvalidBuildId));
        }
    }
}
