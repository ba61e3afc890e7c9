//! `docks sync`: waits until the mirror has caught up, and shows how far it is.

use std::time::{Duration, Instant};

use docks_proto::status::SyncProgress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::Sync;
use crate::ask::Ladder;
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Answerer, Failure};
use crate::output::clean;

/// How often a pipe hears of it.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// How often the sign of life moves.
const TICK: Duration = Duration::from_millis(120);

/// Asks the daemon to catch up and waits for it.
pub(super) async fn run(context: &Context, args: &Sync) -> Result<(), Failure> {
    let ladder = Ladder::new(&context.global, Environment::of_process())?;
    let client = ladder.daemon().await?;
    let mut shown = Shown::new(context);
    let mut last = None;
    let done = client
        .sync(args.full, |progress| {
            shown.step(&progress);
            last = Some(progress);
        })
        .await;
    shown.end();
    done.map_err(|error| Failure::of_client(&error, Answerer::Daemon))?;
    let Some(last) = last else {
        return Ok(());
    };
    if let Some(error) = last.error {
        return Err(Failure::from(error));
    }
    let rows = last.rows;
    context.output.remark(format!(
        "up to date: {} runs, {} evaluation runs, {} trials",
        rows.runs, rows.evaluation_runs, rows.trials
    ));
    Ok(())
}

/// Progress on stderr: one moving line at a terminal, now and then a line in a pipe.
struct Shown<'a> {
    context: &'a Context,
    bar: Option<ProgressBar>,
    said: Instant,
}

impl<'a> Shown<'a> {
    fn new(context: &'a Context) -> Self {
        let bar = context.output.look().stderr_terminal.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        Self {
            context,
            bar,
            said: Instant::now(),
        }
    }

    fn step(&mut self, progress: &SyncProgress) {
        let doing = clean::line(&progress.doing);
        let text = format!("{doing} ({} done, {} left)", progress.done, progress.left);
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None if self.said.elapsed() >= SIGN_OF_LIFE && !progress.finished => {
                self.context.output.remark(text);
                self.said = Instant::now();
            }
            None => {}
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
