//! A command of the user's own that runs when a run has ended.

use std::collections::HashSet;
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::model::{Model, Watched};
use crate::context::Context;

/// Runs the command once for each run that has ended.
///
/// What the remote says reaches it as JSON on its standard input, and in no other way.
#[derive(Debug)]
pub(crate) struct Hook {
    command: Option<String>,
    /// Its output would be drawn into the view.
    silent: bool,
    told: HashSet<usize>,
    children: Vec<Child>,
    problems: Vec<String>,
}

impl Hook {
    /// Takes the command, if there is one, and whether it must be silent.
    pub(crate) fn new(command: Option<String>, silent: bool) -> Self {
        Self {
            command,
            silent,
            told: HashSet::new(),
            children: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Tells of the runs that have settled since the last time.
    pub(crate) fn after(&mut self, model: &Model) {
        if self.command.is_some() && model.ready {
            self.tell(model, Watched::settled);
        }
    }

    /// Tells of whatever has ended, waits for every command, and says what went wrong.
    pub(crate) fn finish(mut self, context: &Context, model: &Model) {
        self.tell(model, Watched::ended);
        for mut child in std::mem::take(&mut self.children) {
            match child.wait() {
                Ok(status) if status.success() => {}
                Ok(status) => self.problems.push(format!("--exec ended with {status}")),
                Err(error) => self.problems.push(format!("--exec: {error}")),
            }
        }
        for problem in &self.problems {
            context.output.warn(problem);
        }
    }

    fn tell(&mut self, model: &Model, wanted: fn(&Watched) -> bool) {
        let Some(command) = self.command.clone() else {
            return;
        };
        for (place, run) in model.runs.iter().enumerate() {
            if wanted(run) && self.told.insert(place) {
                match self.start(&command, run) {
                    Ok(child) => self.children.push(child),
                    Err(error) => self.problems.push(format!("--exec: {error}")),
                }
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
