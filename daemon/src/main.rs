//! `docksd`: flags, log, signals, then [`docksd::run`].

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use docksd::config::{Config, Flags};
use docksd::hub::Hub;
use docksd::instance::Instance;
use docksd::logging::{self, Destination};
use docksd::registry::Network;
use docksd::startup_report::Reporter;
use docksd::{World, run};
use docksd_sync::SystemClock;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let flags = Flags::parse();
    // Everything we make is for our user alone, whatever the shell says.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    docksd::limits::raise_files();
    let mut reporter = Reporter::new(flags.report);
    match start(&flags, &mut reporter) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            reporter.failed(&error);
            ExitCode::FAILURE
        }
    }
}

fn start(flags: &Flags, reporter: &mut Reporter) -> anyhow::Result<()> {
    let config = Config::load(flags)?;
    if flags.check {
        return Ok(());
    }
    // Two threads: a request never waits for another's SQL, and idle memory stays small.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    runtime.block_on(serve(flags, config, reporter))
}

async fn serve(flags: &Flags, config: Config, reporter: &mut Reporter) -> anyhow::Result<()> {
    let claimed = Instance::claim(&config.places).await?;
    let log_dir = config.places.log_dir();
    let destination = if flags.report {
        Destination::Directory(&log_dir)
    } else {
        Destination::Terminal
    };
    let logged = logging::start(destination, &config.log_level);
    let mut terminate = signal(SignalKind::terminate()).context("could not await SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not await SIGINT")?;
    let mut hub = None;
    if let Some(settings) = config.hub.clone() {
        hub = Some(Hub::open(settings).await?);
    }
    reporter.ready(logged.err())?;
    tracing::info!(socket = %config.places.socket.display(), version = docks_proto::VERSION, "docksd is ready");
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    let world = World {
        connect: Box::new(Network),
        clock: Arc::new(SystemClock),
        hub,
    };
    Ok(run(config, claimed, world, shutdown).await?)
}
