//! What reading an artifact without downloading it takes: the trial, its addresses, open files.

use std::fs::File;

use docks_artifacts::cache::Cache;
use docks_artifacts::download::{ArtifactError, Downloader, Options};
use docks_artifacts::source::Sources;
use docks_artifacts::{ArtifactRequest, ArtifactType, Finished, Observer, TrialArtifacts};
use docks_proto::freshness::CachePolicy;
use docks_proto::object::{Lifecycle, RawObject, lifecycle};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Mutex;

use crate::ask::request::{Question, Source};
use crate::ask::{Ladder, Rungs};
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Failure, Kind};

use super::{artifact_sources, print_object};

/// A trial whose artifacts are read.
pub(super) struct Reading<'a> {
    context: &'a Context,
    ladder: Ladder,
    run: &'a str,
    trial: &'a str,
}

/// A trial as it is now.
pub(super) struct Now {
    /// As the remote sent it.
    pub(super) object: RawObject,
    /// Its addresses.
    pub(super) artifacts: TrialArtifacts,
}

impl Now {
    /// Tells whether its artifacts may still grow.
    pub(super) fn active(&self) -> bool {
        lifecycle(&self.artifacts.status) == Lifecycle::Active
    }

    /// Lists the addresses of a type.
    pub(super) fn uris(&self, kind: ArtifactType) -> Vec<String> {
        let uris = self.artifacts.uris.iter();
        uris.filter(|(known, _)| *known == kind)
            .map(|(_, uri)| uri.clone())
            .collect()
    }

    /// Says that there is nothing of a type.
    pub(super) fn has_no(&self, kind: ArtifactType) -> Failure {
        let failure = Failure::new(
            Kind::NotFound,
            format!("trial `{}` has no {}", self.artifacts.id, kind.name()),
        );
        if self.active() {
            failure.hint("the trial is still active; it may come later")
        } else {
            failure.hint("`docks runs trial` shows what it has")
        }
    }
}

impl<'a> Reading<'a> {
    /// Takes the settings; asks nobody yet.
    pub(super) fn new(context: &'a Context, run: &'a str, trial: &'a str) -> Result<Self, Failure> {
        let ladder = Ladder::new(&context.global, Environment::of_process())?;
        Ok(Self {
            context,
            ladder,
            run,
            trial,
        })
    }

    /// Asks for the trial; `again` insists on an answer that is new.
    pub(super) async fn now(&self, again: bool) -> Result<Now, Failure> {
        let allowed = if again {
            CachePolicy::NoCache
        } else {
            self.context.global.allowed()
        };
        let rungs = Rungs::new(
            &self.ladder,
            &self.context.output,
            allowed == CachePolicy::Default,
        );
        let source = Source::new(rungs, allowed, self.context.now, &self.context.output);
        let answered = source.ask(Question::Trial(self.run, self.trial)).await?;
        if !again {
            print_object::say_age(self.context, &answered.freshness);
        }
        let object = print_object::object(&print_object::text_of(&answered.body))?;
        Ok(Now {
            artifacts: TrialArtifacts::of(&object),
            object,
        })
    }

    /// Sends what follows through the user's pager, if stdout is a terminal.
    pub(super) fn page(&self) {
        let choice = &self.ladder.door.environment.pager;
        self.context.output.page(choice);
    }

    /// Puts the places together that an address may lie in.
    pub(super) fn sources(&self, uri: &str) -> Sources {
        artifact_sources::sources(&self.ladder, [uri])
    }

    /// Returns the cache of this home.
    pub(super) fn cache(&self) -> Result<Cache, Failure> {
        artifact_sources::cache_of_home(&self.ladder.door.places, self.context.now)
    }

    /// Opens what lies at an address.
    pub(super) async fn open(&self, uri: &str) -> Result<File, Failure> {
        let sources = self.sources(uri);
        let opened = self.content(&sources, uri).await;
        opened.map_err(|error| {
            let kind = match error {
                ArtifactError::NotCached => Kind::Unreachable,
                _ => Kind::Failed,
            };
            Failure::new(kind, error.chain())
        })
    }

    async fn content(&self, sources: &Sources, uri: &str) -> Result<File, ArtifactError> {
        let cache = self
            .cache()
            .map_err(|failure| ArtifactError::Cache(std::io::Error::other(failure.message)))?;
        let fetching = Fetching {
            terminal: self.context.output.look().stderr_terminal,
            bar: Mutex::new(None),
        };
        let downloader = Downloader {
            sources,
            cache: Some(&cache),
            options: Options {
                asking: artifact_sources::asking(&self.ladder, self.context.global.allowed()),
                ..Options::default()
            },
            observer: &fetching,
        };
        let opened = downloader.content(uri, &cache).await;
        fetching.end();
        opened
    }
}

/// Shows how far a file is that has to be fetched before it can be read.
struct Fetching {
    terminal: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl Fetching {
    fn end(&self) {
        if let Ok(mut bar) = self.bar.lock()
            && let Some(bar) = bar.take()
        {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Fetching {
    fn began(&self, _: usize, _: &ArtifactRequest, size_bytes: Option<u64>, there: u64) {
        self.end();
        if !self.terminal {
            return;
        }
        let bar = ProgressBar::with_draw_target(size_bytes, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {bytes}/{total_bytes}") {
            bar.set_style(style);
        }
        bar.set_position(there);
        if let Ok(mut shown) = self.bar.lock() {
            *shown = Some(bar);
        }
    }

    fn advanced(&self, _: usize, bytes: u64) {
        if let Ok(bar) = self.bar.lock()
            && let Some(bar) = &*bar
        {
            bar.inc(bytes);
        }
    }

    fn finished(&self, _: usize, _: &ArtifactRequest, _: &Finished) {}

    fn failed(&self, _: usize, _: &ArtifactRequest, _: &ArtifactError) {}
}
