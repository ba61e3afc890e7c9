//! Telling somebody that a run has ended: a command of the user's own, a notification.

use std::collections::HashSet;
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use docks_proto::notification::{DesktopNotifier, NotifyError, RunEndNotice};
use serde_json::json;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use super::model::{Model, Watched};
use crate::args::RunsWatch;
use crate::context::Context;
use crate::environment::Environment;

/// How long a watch waits to learn whether anybody shows notifications. One who does answers in
/// milliseconds; one who is being started is not waited for.
const FIRST_ANSWER: Duration = Duration::from_secs(1);

/// Tells once of each run that has ended.
///
/// What the remote says reaches a command as JSON on its standard input, and in no other way.
#[derive(Debug)]
pub(crate) struct Hook {
    command: Option<String>,
    desktop: Option<DesktopNotifier>,
    /// Output would be drawn into the view.
    silent: bool,
    told: HashSet<usize>,
    children: Vec<Child>,
    notices: JoinSet<Result<(), NotifyError>>,
    /// Nobody shows notifications, and that was said.
    unheard: bool,
    problems: Vec<String>,
}

impl Hook {
    /// Takes what is to be done, and whether it must be silent meanwhile.
    pub(crate) fn new(args: &RunsWatch, silent: bool) -> Self {
        let desktop =
            (args.notify).then(|| DesktopNotifier::new(&Environment::of_process().settings));
        let mut notices = JoinSet::new();
        if let Some(desktop) = desktop {
            notices.spawn_blocking(move || desktop.check());
        }
        Self {
            command: args.exec.clone(),
            desktop,
            silent,
            told: HashSet::new(),
            children: Vec::new(),
            notices,
            unheard: false,
            problems: Vec::new(),
        }
    }

    /// Warns now rather than in the morning if nobody will show notifications.
    pub(crate) async fn ready(&mut self, context: &Context) {
        if let Ok(Some(answered)) = timeout(FIRST_ANSWER, self.notices.join_next()).await {
            self.answered(answered);
        }
        self.say(context);
    }

    /// Tells of the runs that have settled since the last time.
    pub(crate) fn after(&mut self, context: &Context, model: &Model) {
        if model.ready {
            self.tell(model, Watched::settled);
        }
        while let Some(answered) = self.notices.try_join_next() {
            self.answered(answered);
        }
        if !self.silent {
            self.say(context);
        }
    }

    /// Tells of whatever has ended, waits for every command, and says what went wrong.
    pub(crate) async fn finish(mut self, context: &Context, model: &Model) {
        self.tell(model, Watched::ended);
        for mut child in std::mem::take(&mut self.children) {
            match child.wait() {
                Ok(status) if status.success() => {}
                Ok(status) => self.problems.push(format!("--exec ended with {status}")),
                Err(error) => self.problems.push(format!("--exec: {error}")),
            }
        }
        while let Some(answered) = self.notices.join_next().await {
            self.answered(answered);
        }
        self.say(context);
    }

    fn answered(&mut self, answer: Result<Result<(), NotifyError>, JoinError>) {
        if let Ok(Err(error)) = answer
            && !std::mem::replace(&mut self.unheard, true)
        {
            self.problems.push(format!("--notify: {error}"));
        }
    }

    fn say(&mut self, context: &Context) {
        for problem in self.problems.drain(..) {
            context.output.warn(problem);
        }
    }

    fn tell(&mut self, model: &Model, wanted: fn(&Watched) -> bool) {
        for (place, run) in model.runs.iter().enumerate() {
            if !wanted(run) || !self.told.insert(place) {
                continue;
            }
            if let Some(command) = &self.command {
                match self.start(command, run) {
                    Ok(child) => self.children.push(child),
                    Err(error) => self.problems.push(format!("--exec: {error}")),
                }
            }
            if let (Some(desktop), Some(state)) = (self.desktop, &run.run) {
                let notice = RunEndNotice::new(state, run.progress.as_ref());
                self.notices.spawn_blocking(move || desktop.show(notice));
            }
        }
    }

    fn start(&self, command: &str, run: &Watched) -> io::Result<Child> {
        let output = || match self.silent {
            true => Stdio::null(),
            // Our own standard output is for what changes.
            false => Stdio::from(io::stderr()),
        };
        let mut child = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::piped())
            .stdout(output())
            .stderr(output())
            .spawn()?;
        let event = json!({ "event": "ended", "run": run.run, "progress": run.progress });
        if let Some(mut stdin) = child.stdin.take() {
            // It may not want to know; a few kilobytes never wait for it either.
            drop(writeln!(stdin, "{event}"));
        }
        Ok(child)
    }
}
