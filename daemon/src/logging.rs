//! Where log lines go: a file that rotates, or standard error in the foreground.

use std::io;
use std::path::Path;

use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;

/// Days for which log files are kept.
const DAYS_KEPT: usize = 7;

/// Name of the symlink to the current file.
pub const CURRENT: &str = "docksd.log";

/// Where log lines go.
#[derive(Debug, Clone, Copy)]
pub enum Destination<'a> {
    /// Standard error, as text.
    Terminal,
    /// Daily files in this directory, as JSON.
    Directory(&'a Path),
}

/// Why the log can't be written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory could not be created.
    #[error("could not create the log directory")]
    Directory(#[source] io::Error),
    /// The file could not be opened.
    #[error("could not open the log")]
    Open(#[source] InitError),
}

/// Libraries log only warnings and errors, since their lines may contain addresses.
const QUIET_LIBRARIES: &str = "hyper=warn,reqwest=warn,rustls=warn,tokio_cron_scheduler=warn";

/// Keeps the log open; dropping it writes what is still waiting.
#[derive(Debug)]
pub struct LogGuard(Option<WorkerGuard>);

/// Starts the process's log. Tokens never reach it, since their type can't be printed.
///
/// A thread of its own writes to files: a disk that hangs costs lines, and never holds up a request.
///
/// # Errors
///
/// [`LogError`]; nothing is logged then, but the daemon still serves.
pub fn start(destination: Destination<'_>, filter: &str) -> Result<LogGuard, LogError> {
    let filter = with_current_names(filter);
    let filter = EnvFilter::try_new(format!("{QUIET_LIBRARIES},{filter}"))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    let mut guard = LogGuard(None);
    match destination {
        Destination::Terminal => {
            let builder = builder.with_ansi(false).with_writer(io::stderr);
            // Only tests start a second log in one process; the first one stays.
            builder.try_init().ok();
        }
        Destination::Directory(dir) => {
            let (files, worker) = NonBlocking::new(files(dir)?);
            guard.0 = Some(worker);
            let builder = builder.json().flatten_event(true).with_writer(files);
            builder.try_init().ok();
        }
    }
    log_panics();
    Ok(guard)
}

/// Modules of earlier releases that log filters may name, and what they are called now.
const RENAMED_MODULES: [(&str, &str); 12] = [
    ("docksd::remote::harbor_jobs", "docksd_harbor"),
    ("docksd::remote", "docksd_remote"),
    ("docksd::mirror", "docksd_mirror"),
    ("docksd::sync", "docksd_sync"),
    ("docksd::feed", "docksd_events"),
    ("docksd::ends", "docksd::run_end_cursor"),
    ("docksd::on_end", "docksd::hooks"),
    ("docksd::pull", "docksd::hooks::artifact_prefetch"),
    ("docksd::schedule", "docksd::cron"),
    ("docksd::ending", "docksd::shutdown"),
    ("docksd::report", "docksd::startup_report"),
    (
        "docksd::registry::source",
        "docksd::registry::mirrored_remote",
    ),
];

/// Replaces module names of earlier releases in a filter, so that existing settings keep working.
fn with_current_names(filter: &str) -> String {
    let directives = filter.split(',').map(|directive| {
        let (module, level) = directive.split_once('=').unwrap_or((directive, ""));
        let renamed = RENAMED_MODULES.iter().find_map(|(old, new)| {
            let inner = module.trim().strip_prefix(old)?;
            (inner.is_empty() || inner.starts_with("::")).then(|| format!("{new}{inner}={level}"))
        });
        renamed.unwrap_or_else(|| directive.to_owned())
    });
    directives.collect::<Vec<_>>().join(",")
}

fn files(dir: &Path) -> Result<RollingFileAppender, LogError> {
    docks_proto::credentials::files::create_private_dir(dir).map_err(LogError::Directory)?;
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("docksd")
        .filename_suffix("log")
        .max_log_files(DAYS_KEPT)
        .latest_symlink(CURRENT)
        .build(dir)
        .map_err(LogError::Open)
}

/// Logs panics, since the standard error of a daemon goes nowhere.
fn log_panics() {
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string);
        // The payload may quote an object of the remote, which may contain secrets.
        tracing::error!(place, "a task panicked");
        default_hook(panic);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_earlier_releases_keep_working() {
        let filter = "info,docksd::sync=debug,docksd::remote::harbor_jobs::seen=trace,docksd::hub=warn,\
                      docksd::ends=debug,docksd::pull=info,docksd::endsomething=off";
        assert_eq!(
            with_current_names(filter),
            "info,docksd_sync=debug,docksd_harbor::seen=trace,docksd::hub=warn,\
             docksd::run_end_cursor=debug,docksd::hooks::artifact_prefetch=info,docksd::endsomething=off"
        );
    }

    #[test]
    fn an_unwritable_log_gives_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(
            files(&file.join("log")),
            Err(LogError::Directory(_))
        ));
    }

    #[test]
    fn the_current_file_has_a_stable_name() {
        let dir = tempfile::tempdir().unwrap();
        drop(files(dir.path()).unwrap());
        assert!(dir.path().join(CURRENT).exists());
    }
}
