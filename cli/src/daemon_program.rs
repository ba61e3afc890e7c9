//! The program of the daemon: where it is, the environment it runs in, and checking its settings.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use docks_proto::allocator::{ARENAS, ARENAS_VARIABLE};
use docks_proto::build::{BUILD_VARIABLE, BuildId};

use crate::environment::{Environment, NOT_INHERITED, daemon_variables};
use crate::failure::{Failure, Kind};

/// Finds the daemon's program: `DOCKSD`, else in the directory of this program, else on `PATH`.
///
/// # Errors
///
/// When there is none.
pub(crate) fn find_docksd(environment: &Environment) -> Result<PathBuf, Failure> {
    let missing = |reason: String| Failure::new(Kind::Unreachable, reason);
    if let Some((path, _)) = find_file(environment) {
        return Ok(path);
    }
    Err(match &environment.docksd {
        Some(named) => missing(format!(
            "DOCKSD must be the absolute path of a program, not {}",
            named.display()
        )),
        None => missing("docksd was not found next to docks or on PATH".to_owned())
            .hint("install docksd next to docks, or set DOCKSD to its path"),
    })
}

/// Returns the build that [`find_docksd`] would find; next to docks, that takes one look.
pub(crate) fn installed_build(environment: &Environment) -> Option<BuildId> {
    find_file(environment).map(|(_, file)| BuildId::from_metadata(&file))
}

fn find_file(environment: &Environment) -> Option<(PathBuf, Metadata)> {
    let file = |path: PathBuf| {
        let file = path.metadata().ok().filter(Metadata::is_file)?;
        Some((path, file))
    };
    if let Some(named) = &environment.docksd {
        return file(named.clone()).filter(|(path, _)| path.is_absolute());
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
    sibling.into_iter().chain(on_path).find_map(file)
}

/// Returns a command that runs docksd without the variables that select a remote.
pub(crate) fn docksd_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    if std::env::var_os(ARENAS_VARIABLE).is_none() {
        command.env(ARENAS_VARIABLE, ARENAS);
    }
    name_build(&mut command, program);
    command
}

/// Returns a command that runs docksd with only those variables that may count for all commands.
pub(crate) fn background_docksd_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(daemon_variables());
    command.env(ARENAS_VARIABLE, ARENAS);
    name_build(&mut command, program);
    command
}

/// Names the build that is started.
fn name_build(command: &mut Command, program: &Path) {
    match program.metadata() {
        Ok(file) => command.env(BUILD_VARIABLE, BuildId::from_metadata(&file).to_string()),
        Err(_) => command.env_remove(BUILD_VARIABLE),
    };
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
