//! The program of the daemon: where it is, the environment it runs in, and checking its settings.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::environment::Environment;
use crate::failure::{Failure, Kind};

/// Variables that select a remote for one command. The daemon must not inherit them: it serves
/// every profile, and would send one profile's token to another.
pub(crate) const NOT_INHERITED: [&str; 5] = [
    "DOCKS_API_URL",
    "DOCKS_TENANT_ID",
    "DOCKS_TOKEN",
    "DOCKS_PROFILE",
    "DOCKS_HARBOR_JOBS",
];

/// Finds the daemon's program: `DOCKSD`, else in the directory of this program, else on `PATH`.
///
/// # Errors
///
/// When there is none.
pub(crate) fn find_docksd(environment: &Environment) -> Result<PathBuf, Failure> {
    let missing = |reason: String| Failure::new(Kind::Unreachable, reason);
    if let Some(named) = &environment.docksd {
        return if named.is_absolute() && named.is_file() {
            Ok(named.clone())
        } else {
            Err(missing(format!(
                "DOCKSD must be the absolute path of a program, not {}",
                named.display()
            )))
        };
    }
    let sibling = environment
        .program
        .as_ref()
        .map(|p| p.with_file_name("docksd"));
    let on_path = environment
        .search_path
        .iter()
        .flat_map(std::env::split_paths)
        // An empty or relative entry means the current directory, which anybody may have written.
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join("docksd"));
    sibling
        .into_iter()
        .chain(on_path)
        .find(|path| path.is_file())
        .ok_or_else(|| {
            missing("docksd was not found next to docks or on PATH".to_owned())
                .hint("install docksd next to docks, or set DOCKSD to its path")
        })
}

/// Returns a command that runs docksd without the variables that select a remote.
pub(crate) fn docksd_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    command
}

/// Runs `docksd --check`, so that a running daemon is not stopped for one that could not start.
///
/// # Errors
///
/// What is wrong with the daemon's settings.
pub(crate) fn check_daemon_settings(environment: &Environment) -> Result<(), Failure> {
    /// Exit code of a docksd that does not know the option yet.
    const USAGE: i32 = 2;
    let program = find_docksd(environment)?;
    let mut command = docksd_command(&program);
    command.arg("--check").stdin(Stdio::null());
    let checked = command.output().map_err(|e| {
        let doing = format!("could not run {}", program.display());
        Failure::chain(Kind::Unreachable, &doing, &e)
    })?;
    if checked.status.success() || checked.status.code() == Some(USAGE) {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&checked.stderr);
    let reason = stderr.trim().trim_start_matches("docksd: ");
    Err(Failure::new(
        Kind::Usage,
        format!("docksd would not start: {reason}"),
    ))
}
