//! `docksd`: parses flags, starts the log, listens for signals, then calls [`docksd::run`].

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use docks_proto::secret::{DEBUGGABLE_VARIABLE, keep_memory_private};
use docksd::config::{Config, Flags, Helper, desktop_variables, find_foreign_file};
use docksd::hub::Hub;
use docksd::instance::Instance;
use docksd::logging::{self, Destination};
use docksd::registry::NetworkConnector;
use docksd::startup_report::StartupReporter;
use docksd::{Dependencies, run};
use docksd_stores::StoreVariables;
use docksd_sync::SystemClock;
use rustix::fs::RawMode;
use tokio::signal::unix::{SignalKind, signal};

/// How long the keyring may take for a command: it may ask the user to unlock it.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long blocking calls that are still under way may take at the end.
const STUCK_TIMEOUT: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    docksd::process::close_inherited_descriptors();
    if std::env::var_os(DEBUGGABLE_VARIABLE).is_none() {
        keep_memory_private();
    }
    let flags = Flags::parse();
    // Every file docksd creates is private to its user, whatever umask the shell has set.
    let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    docksd::limits::raise_open_file_limit();
    if let Some(helper) = flags.helper {
        return help(helper);
    }
    if flags.report {
        docksd::process::reset_nice_level();
        docksd::limits::lift_limits_of_caller();
    }
    let mut reporter = StartupReporter::new(flags.report);
    match start(&flags, umask.as_raw_mode(), &mut reporter) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = match find_foreign_file(&flags) {
                Some(file) => error.context(file),
                None => error,
            };
            reporter.failed(&error);
            ExitCode::FAILURE
        }
    }
}

/// Serves a command of `docks`.
fn help(helper: Helper) -> ExitCode {
    let served = match helper {
        Helper::Stores => rustix::io::dup(std::io::stdin())
            .map_err(std::io::Error::from)
            .and_then(|control| {
                let variables = StoreVariables::read(|name| std::env::var_os(name));
                docksd_stores::helper::serve(control, &variables)
            }),
        Helper::Desktop => docksd_desktop::helper::serve(
            &mut std::io::stdin().lock(),
            &mut std::io::stdout().lock(),
            &desktop_variables(),
            UNLOCK_TIMEOUT,
        ),
        Helper::Certificate => docksd::hub::certificate::serve(
            &mut std::io::stdin().lock(),
            &mut std::io::stdout().lock(),
        ),
    };
    // `docks` sees the closed socket or pipe and reports it.
    served.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

fn start(flags: &Flags, umask: RawMode, reporter: &mut StartupReporter) -> anyhow::Result<()> {
    let mut config = Config::load(flags)?;
    config.umask = Some(umask);
    config.build = config.build.or_else(|| {
        let file = docksd::process::program_file()?;
        Some(docks_proto::build::BuildId::from_metadata(&file))
    });
    if flags.check {
        return Ok(());
    }
    // Two threads: no request waits for the SQL of another one, and idle memory stays small.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    let served = runtime.block_on(serve(flags, config, reporter));
    // Threads that are stuck in a call to a file system end with the process.
    runtime.shutdown_timeout(STUCK_TIMEOUT);
    served
}

async fn serve(
    flags: &Flags,
    config: Config,
    reporter: &mut StartupReporter,
) -> anyhow::Result<()> {
    docksd::process::survive_file_size_limit().context("could not listen for SIGXFSZ")?;
    let claimed = Instance::claim(&config.paths).await?;
    let log_dir = config.paths.log_dir();
    let destination = if flags.report {
        Destination::Directory(&log_dir)
    } else {
        Destination::Terminal
    };
    let logged = logging::start(destination, &config.log_level);
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let mut hub = None;
    if let Some(settings) = config.hub.clone() {
        hub = Some(Hub::open(settings).await?);
    }
    // Kept to the end of this function, so that the last lines are written.
    let (_log, log_error) = match logged {
        Ok(guard) => (Some(guard), None),
        Err(error) => (None, Some(error)),
    };
    reporter.ready(log_error)?;
    tracing::info!(socket = %config.paths.socket.display(), version = docks_proto::VERSION, "docksd is ready");
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    let dependencies = Dependencies {
        connector: Box::new(NetworkConnector),
        clock: Arc::new(SystemClock),
        hub,
    };
    Ok(run(config, claimed, dependencies, shutdown).await?)
}
