//! A Docks API on a loopback port, for benchmarks and for trying docks out.
//!
//! `cargo run --example fake_docks_api -- --port 8000 --runs 1000 --trials 10 --latency-ms 50`

use std::time::Duration;

use clap::Parser;

use docksd_testkit::fake_remote::{FakeRemote, RemoteData};

/// Serve invented runs in the shape of the Docks API
#[derive(Debug, Parser)]
struct Args {
    /// Port on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Number of runs, and of evaluation runs
    #[arg(long, default_value_t = 100)]
    runs: usize,
    /// Trials of each evaluation run
    #[arg(long, default_value_t = 10)]
    trials: usize,
    /// Delay before each answer, in milliseconds
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Largest page; a larger limit is reduced silently
    #[arg(long)]
    cap: Option<usize>,
    /// The only token that is accepted
    #[arg(long)]
    token: Option<String>,
}

#[tokio::main]
#[expect(
    clippy::print_stdout,
    reason = "the address is the output of this program"
)]
async fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let data = RemoteData::sample(args.runs, args.trials);
    let remote = FakeRemote::start_on(([127, 0, 0, 1], args.port).into(), data).await?;
    remote.configure(|behaviour| {
        behaviour.latency = Duration::from_millis(args.latency_ms);
        behaviour.cap = args.cap;
        behaviour.token = args.token;
    });
    println!(
        "{} tenant={}",
        remote.url(),
        docksd_testkit::fake_remote::TENANT
    );
    tokio::signal::ctrl_c().await
}
