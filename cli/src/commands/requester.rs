//! Whom the commands about runs ask.

use docks_proto::client::Client;
use docks_proto::freshness::CachePolicy;
use docks_proto::settings::Target;

use crate::ask::request::{Answered, Question, Source};
use crate::ask::{Ladder, Rungs};
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::Failure;

/// The settings of one command and the ways they lead to.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    context: &'a Context,
    ladder: Ladder,
}

impl<'a> Asking<'a> {
    /// Decides settings and remote.
    ///
    /// # Errors
    ///
    /// What is missing or wrong in options, environment or files.
    pub(super) fn new(context: &'a Context) -> Result<Self, Failure> {
        let ladder = Ladder::new(&context.global, Environment::of_process())?;
        Ok(Self { context, ladder })
    }

    /// Returns the daemon, starting it if need be: for what only it remembers.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) async fn daemon(&self) -> Result<Client, Failure> {
        self.ladder.daemon().await
    }

    /// Tells whether asking costs no remote anything: jobs are read from this machine's files.
    pub(super) fn is_free(&self) -> bool {
        matches!(self.ladder.profile.target, Target::HarborJobs { .. })
    }

    /// Asks, whoever answers.
    ///
    /// # Errors
    ///
    /// Why nobody answered, or what was refused.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Answered, Failure> {
        let allowed = self.context.global.allowed();
        let may_be_old = matches!(allowed, CachePolicy::Default | CachePolicy::OnlyIfCached);
        let rungs = Rungs::new(&self.ladder, &self.context.output, may_be_old);
        let answered = Source::new(rungs, allowed, self.context.now, &self.context.output)
            .ask(question)
            .await;
        if let Some(problem) = self.ladder.start_problem() {
            self.context
                .output
                .warn(format!("docksd did not start: {problem}"));
        }
        answered
    }
}
