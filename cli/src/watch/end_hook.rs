//! What a watch does when a run ends: runs the user's command, shows a notification.

use std::collections::HashSet;
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use docks_proto::notification::{NotifyError, RunEndNotice};
use docks_proto::secret::SECRET_VARIABLES;
use serde_json::json;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use super::model::{Model, WatchedRun};
use crate::args::RunsWatch;
use crate::context::Context;
use crate::desktop_helper::DesktopHelper;
use crate::environment::Environment;

/// How long a watch waits for the notification service to answer. A running service answers in
/// milliseconds; one that is being started is not waited for.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs once for each run that has ended.
///
/// What the remote sent reaches the command only as JSON on its standard input.
#[derive(Debug)]
pub(crate) struct EndHook {
    command: Option<String>,
    desktop: Option<DesktopHelper>,
    /// Whether a view is drawn, which output would disturb.
    silent: bool,
    /// Indices of the runs that it has run for.
    handled: HashSet<usize>,
    children: Vec<Child>,
    notices: JoinSet<Result<(), NotifyError>>,
    /// Whether the user was told that notifications cannot be shown.
    desktop_failed: bool,
    problems: Vec<String>,
}

impl EndHook {
    /// Reads what to do from the options; `silent` keeps warnings back until [`Self::finish`].
    pub(crate) fn new(args: &RunsWatch, silent: bool) -> Self {
        let desktop = (args.notify).then(|| DesktopHelper::new(&Environment::of_process()));
        let mut notices = JoinSet::new();
        if let Some(desktop) = desktop.clone() {
            notices.spawn_blocking(move || desktop.check_notifications());
        }
        Self {
            command: args.exec.clone(),
            desktop,
            silent,
            handled: HashSet::new(),
            children: Vec::new(),
            notices,
            desktop_failed: false,
            problems: Vec::new(),
        }
    }

    /// Warns before the watch starts if notifications cannot be shown.
    pub(crate) async fn check(&mut self, context: &Context) {
        if let Ok(Some(answered)) = timeout(SERVICE_TIMEOUT, self.notices.join_next()).await {
            self.handle_notice(answered);
        }
        self.report_problems(context);
    }

    /// Runs for the runs whose end is complete since the last call.
    pub(crate) fn run_for_settled(&mut self, context: &Context, model: &Model) {
        if model.ready {
            self.run(model, WatchedRun::settled);
        }
        while let Some(answered) = self.notices.try_join_next() {
            self.handle_notice(answered);
        }
        if !self.silent {
            self.report_problems(context);
        }
    }

    /// Runs for every other run that has ended, waits for all commands, and reports problems.
    pub(crate) async fn finish(mut self, context: &Context, model: &Model) {
        self.run(model, WatchedRun::ended);
        for mut child in std::mem::take(&mut self.children) {
            match child.wait() {
                Ok(status) if status.success() => {}
                Ok(status) => self.problems.push(format!("--exec exited with {status}")),
                Err(error) => self.problems.push(format!("--exec: {error}")),
            }
        }
        while let Some(answered) = self.notices.join_next().await {
            self.handle_notice(answered);
        }
        self.report_problems(context);
    }

    fn handle_notice(&mut self, answer: Result<Result<(), NotifyError>, JoinError>) {
        if let Ok(Err(error)) = answer
            && !std::mem::replace(&mut self.desktop_failed, true)
        {
            self.problems.push(format!("--notify: {error}"));
        }
    }

    fn report_problems(&mut self, context: &Context) {
        for problem in self.problems.drain(..) {
            context.output.warn(problem);
        }
    }

    fn run(&mut self, model: &Model, is_due: fn(&WatchedRun) -> bool) {
        for (index, run) in model.runs.iter().enumerate() {
            if !is_due(run) || !self.handled.insert(index) {
                continue;
            }
            if let Some(command) = &self.command {
                match self.spawn_command(command, model, run) {
                    Ok(child) => self.children.push(child),
                    Err(error) => self.problems.push(format!("--exec: {error}")),
                }
            }
            if let (Some(desktop), Some(state)) = (self.desktop.clone(), &run.run) {
                let notice = RunEndNotice::new(state, run.progress.as_ref());
                self.notices.spawn_blocking(move || desktop.notify(notice));
            }
        }
    }

    fn spawn_command(&self, command: &str, model: &Model, run: &WatchedRun) -> io::Result<Child> {
        let output = || match self.silent {
            true => Stdio::null(),
            // Standard output is for the changes.
            false => Stdio::from(io::stderr()),
        };
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .stdin(Stdio::piped())
            .stdout(output())
            .stderr(output());
        for secret in SECRET_VARIABLES {
            shell.env_remove(secret);
        }
        let mut child = shell.spawn()?;
        let own = run.run.as_ref().map(|state| model.as_its_remote(state));
        let (remote, state) = own.map_or((None, None), |(remote, own)| (remote, Some(own)));
        let mut progress = run.progress.clone();
        if let (Some(progress), Some(state)) = (&mut progress, &state) {
            progress.run_id.clone_from(&state.run_id);
        }
        let mut event = json!({ "event": "ended", "run": state, "progress": progress });
        if let (Some(remote), Some(event)) = (remote, event.as_object_mut()) {
            event.insert("remote".to_owned(), remote.into());
        }
        if let Some(mut stdin) = child.stdin.take() {
            // The command may not read it; a few kilobytes fit into the pipe anyway.
            drop(writeln!(stdin, "{event}"));
        }
        Ok(child)
    }
}
