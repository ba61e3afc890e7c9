//! Where log lines go: a file that rotates, or standard error in the foreground.

use std::io;
use std::path::Path;

use tracing::level_filters::LevelFilter;
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;

/// Days of log that are kept.
const DAYS_KEPT: usize = 7;

/// Name under which the current file can always be found.
pub const CURRENT: &str = "docksd.log";

/// Where the lines go.
#[derive(Debug, Clone, Copy)]
pub enum Destination<'a> {
    /// Standard error, as text.
    Terminal,
    /// Files of one day each in this directory, as JSON.
    Directory(&'a Path),
}

/// Says why the log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory could not be made.
    #[error("could not make the log directory")]
    Directory(#[source] io::Error),
    /// The file could not be opened.
    #[error("could not open the log")]
    Open(#[source] InitError),
}

/// Tells whether a text can filter the log.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    // A bare word is a level; `EnvFilter` would take any as the name of a module.
    // An empty text would be a level, too.
    let level = |part: &str| !part.trim().is_empty() && part.trim().parse::<LevelFilter>().is_ok();
    let of_module = |part: &str| {
        part.split_once('=').is_some_and(|(module, wanted)| {
            let named = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            !module.trim().is_empty() && module.trim().chars().all(named) && level(wanted)
        })
    };
    text.split(',').all(|part| level(part) || of_module(part))
}

/// Libraries speak up only when something is wrong; what they log may hold addresses.
const QUIET_LIBRARIES: &str = "hyper=warn,reqwest=warn,rustls=warn,tokio_cron_scheduler=warn";

/// Sets up the process's log; tokens never reach it, since their type cannot be printed.
///
/// # Errors
///
/// [`LogError`]; nothing is logged then, and the daemon serves all the same.
pub fn start(destination: Destination<'_>, filter: &str) -> Result<(), LogError> {
    let filter = with_crate_names(filter);
    let filter = EnvFilter::try_new(format!("{QUIET_LIBRARIES},{filter}"))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match destination {
        Destination::Terminal => {
            let builder = builder.with_ansi(false).with_writer(io::stderr);
            // A second log in one process is a test's; the first one goes on.
            builder.try_init().ok();
        }
        Destination::Directory(dir) => {
            let builder = builder.json().flatten_event(true).with_writer(files(dir)?);
            builder.try_init().ok();
        }
    }
    log_panics();
    Ok(())
}

/// Modules that log filters name, and the crates that they have become.
const CRATES: [(&str, &str); 5] = [
    ("docksd::remote::harbor_jobs", "docksd_harbor"),
    ("docksd::remote", "docksd_remote"),
    ("docksd::mirror", "docksd_mirror"),
    ("docksd::sync", "docksd_sync"),
    ("docksd::feed", "docksd_events"),
];

/// Translates modules of earlier releases in a filter, so that settings that name them go on working.
fn with_crate_names(filter: &str) -> String {
    CRATES
        .iter()
        .fold(filter.to_owned(), |filter, (module, name)| {
            filter.replace(module, name)
        })
}

fn files(dir: &Path) -> Result<RollingFileAppender, LogError> {
    docks_proto::credentials::files::make_private_dir(dir).map_err(LogError::Directory)?;
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("docksd")
        .filename_suffix("log")
        .max_log_files(DAYS_KEPT)
        .latest_symlink(CURRENT)
        .build(dir)
        .map_err(LogError::Open)
}

/// Sends panics to the log: a daemon's standard error is nowhere.
fn log_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string);
        // The payload may quote an object of the remote, which can hold secrets.
        tracing::error!(place, "a task panicked");
        usual(panic);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters_are_told_from_nonsense() {
        for fine in ["info", "WARN", "off", "info,docksd::sync=debug"] {
            assert!(is_filter(fine), "{fine}");
        }
        for bad in ["", "loud", "info,", "=", "docksd::sync=loud"] {
            assert!(!is_filter(bad), "{bad}");
        }
    }

    #[test]
    fn filters_of_earlier_releases_name_the_crates_of_this_one() {
        let filter = "info,docksd::sync=debug,docksd::remote::harbor_jobs=trace,docksd::hub=warn";
        assert_eq!(
            with_crate_names(filter),
            "info,docksd_sync=debug,docksd_harbor=trace,docksd::hub=warn"
        );
    }

    #[test]
    fn a_log_that_cannot_be_written_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(
            files(&file.join("log")),
            Err(LogError::Directory(_))
        ));
    }

    #[test]
    fn the_current_file_has_a_name_that_stays() {
        let dir = tempfile::tempdir().unwrap();
        drop(files(dir.path()).unwrap());
        assert!(dir.path().join(CURRENT).exists());
    }
}
