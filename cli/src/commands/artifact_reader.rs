//! Reading an artifact without downloading it into a folder: its trial, its URIs, its open file.

use std::fs::File;
use std::io::{Read, Seek};
use std::sync::Mutex;

use docks_artifacts::cache::Cache;
use docks_artifacts::download::{ArtifactError, Downloader, Options};
use docks_artifacts::source::{Sources, display_uri};
use docks_artifacts::{ArtifactRequest, ArtifactType, FinishedFile, Observer, TrialArtifacts};
use docks_proto::freshness::{CachePolicy, Freshness};
use docks_proto::git_lfs::POINTER_BEGIN;
use docks_proto::object::{Lifecycle, RawObject, lifecycle};
use docks_proto::settings::{Target, is_on_loopback};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::ask::{Request, Requester};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::durations;

use super::file_lists::FileLists;
use super::{artifact_sources, print_object};

/// Reads artifacts of one trial.
pub(super) struct ArtifactReader<'a> {
    context: &'a Context,
    requester: Requester<'a>,
    run: &'a str,
    trial: &'a str,
}

/// A trial at one moment.
pub(super) struct TrialSnapshot {
    /// As the remote sent it.
    pub(super) object: RawObject,
    /// Its status and URIs.
    pub(super) artifacts: TrialArtifacts,
}

impl TrialSnapshot {
    /// Returns whether its artifacts may still grow.
    pub(super) fn active(&self) -> bool {
        lifecycle(&self.artifacts.status) == Lifecycle::Active
    }

    /// Lists the URIs of a type.
    pub(super) fn uris(&self, kind: ArtifactType) -> Vec<String> {
        let uris = self.artifacts.uris.iter();
        uris.filter(|(of, _)| *of == kind)
            .map(|(_, uri)| uri.clone())
            .collect()
    }

    /// Lists the logs, each as its path, which stays the same when its address changes, and its address.
    pub(super) fn logs(&self) -> Vec<(String, String)> {
        let path = |uri: &String| {
            let files = &self.artifacts.files;
            let file = files.iter().find(|file| file.uri == *uri);
            file.map_or_else(|| uri.clone(), |file| file.path.clone())
        };
        let uris = self.uris(ArtifactType::Logs).into_iter();
        uris.map(|uri| (path(&uri), uri)).collect()
    }

    /// Says that the trial has no artifact of a type.
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

impl<'a> ArtifactReader<'a> {
    /// Reads the settings; sends no request yet.
    pub(super) fn new(context: &'a Context, run: &'a str, trial: &'a str) -> Result<Self, Failure> {
        Ok(Self {
            context,
            requester: Requester::new(context)?,
            run,
            trial,
        })
    }

    /// Requests the trial, as fresh as the options ask for.
    pub(super) async fn trial(&self) -> Result<TrialSnapshot, Failure> {
        let allowed = self.context.global.allowed();
        let (trial, freshness) = self.trial_allowing(allowed).await?;
        print_object::report_age(self.context, &freshness);
        Ok(trial)
    }

    /// Requests the trial again, and accepts no cached response.
    pub(super) async fn trial_again(&self) -> Result<TrialSnapshot, Failure> {
        let (trial, _) = self.trial_allowing(CachePolicy::NoCache).await?;
        Ok(trial)
    }

    async fn trial_allowing(
        &self,
        allowed: CachePolicy,
    ) -> Result<(TrialSnapshot, Freshness), Failure> {
        let request = Request::Trial(self.run, self.trial);
        let response = self.requester.request_allowing(request, allowed).await?;
        let object = print_object::parse_object(&print_object::body_text(&response.body))?;
        let mut trial = TrialSnapshot {
            artifacts: TrialArtifacts::from_object(&object),
            object,
        };
        if self.may_have_live_files() && trial.active() && trial.artifacts.uris.is_empty() {
            self.add_live_files(&mut trial).await?;
        }
        Ok((trial, response.freshness))
    }

    /// Whether files of a running trial can be read before its object names them: those of a `harbor serve` on this
    /// machine.
    fn may_have_live_files(&self) -> bool {
        match &self.requester.remote.profile.target {
            Target::HarborServer { url } => is_on_loopback(url),
            Target::DocksApi { .. } | Target::HarborJobs { .. } => false,
        }
    }

    async fn add_live_files(&self, trial: &mut TrialSnapshot) -> Result<(), Failure> {
        let lists = FileLists::new(self.context, &self.requester, true);
        let id = trial.artifacts.id.clone();
        lists
            .complete(self.run, Some(&id), &mut trial.artifacts)
            .await?;
        trial.artifacts.use_listed_files();
        Ok(())
    }

    /// Sends what follows through the user's pager, if stdout is a terminal.
    pub(super) fn page(&self) {
        let choice = &self.requester.remote.endpoint.environment.pager;
        self.context.output.start_pager(choice);
    }

    /// Builds the sources that may serve a URI.
    pub(super) fn sources(&self, uri: &str) -> Result<Sources, Failure> {
        artifact_sources::sources(&self.requester.remote, [uri])
    }

    /// Returns the cache of this home.
    pub(super) fn cache(&self) -> Result<Cache, Failure> {
        let places = &self.requester.remote.endpoint.places;
        artifact_sources::open_cache(places, self.context.now)
    }

    /// Opens the content of a URI, which is not a pointer of Git LFS.
    pub(super) async fn open(&self, uri: &str) -> Result<File, Failure> {
        let mut file = self.open_any(uri).await?;
        match lfs_pointer(&mut file, uri) {
            Some(failure) => Err(failure),
            None => Ok(file),
        }
    }

    /// Opens the content of a URI, whatever it is; if it is out of reach, what is cached of it.
    pub(super) async fn open_any(&self, uri: &str) -> Result<File, Failure> {
        let sources = self.sources(uri)?;
        let opened = self.content(&sources, uri).await;
        opened.map_err(|error| {
            let is_away = matches!(error, ArtifactError::NotCached) || self.is_out_of_reach(&error);
            let kind = match is_away {
                true => Kind::Unreachable,
                false => Kind::Failed,
            };
            Failure::new(kind, error.chain())
        })
    }

    async fn content(&self, sources: &Sources, uri: &str) -> Result<File, ArtifactError> {
        let cache = self
            .cache()
            .map_err(|failure| ArtifactError::Cache(std::io::Error::other(failure.message)))?;
        let progress = FetchProgress {
            terminal: self.context.output.style().stderr_terminal,
            bar: Mutex::new(None),
        };
        let allowed = self.context.global.allowed();
        let downloader = Downloader {
            sources,
            cache: Some(&cache),
            options: Options {
                revalidation: artifact_sources::revalidation(&self.requester.remote, allowed),
                ..Options::default()
            },
            observer: &progress,
        };
        let opened = downloader.open_content(uri, &cache).await;
        progress.clear();
        let may_be_old = matches!(allowed, CachePolicy::Default | CachePolicy::OnlyIfCached);
        match opened {
            Err(error) if may_be_old && self.is_out_of_reach(&error) => {
                let Some((file, confirmed)) = downloader.open_cached(uri, &cache) else {
                    return Err(error);
                };
                let age = durations::format_ago(self.context.now, confirmed);
                self.context.output.note(format!(
                    "{}; this is the cached copy, which was current {age}",
                    error.chain()
                ));
                Ok(file)
            }
            opened => opened,
        }
    }

    /// Whether an error says nothing about the artifact itself.
    fn is_out_of_reach(&self, error: &ArtifactError) -> bool {
        match &self.requester.remote.profile.target {
            // A disk that is not mounted.
            Target::HarborJobs { dirs } => dirs.iter().all(|dir| !dir.is_dir()),
            _ => error.is_out_of_reach(),
        }
    }

    /// Returns the requester, for what concerns not only this trial.
    pub(super) fn requester(&self) -> &Requester<'a> {
        &self.requester
    }
}

/// Returns what to say of a file in whose place Git LFS left a pointer; otherwise the file is at its start again.
pub(in crate::commands) fn lfs_pointer(file: &mut File, uri: &str) -> Option<Failure> {
    let mut begin = [0; POINTER_BEGIN.len()];
    let is_pointer = file.read_exact(&mut begin).is_ok() && begin == *POINTER_BEGIN.as_bytes();
    file.rewind().ok();
    let failure = || {
        let text = format!(
            "{} is a Git LFS pointer; run `git lfs pull`",
            display_uri(uri)
        );
        Failure::new(Kind::Failed, text)
            .hint("its repository was checked out without the content of large files")
    };
    is_pointer.then(failure)
}

/// Shows the progress of a file that is fetched before it can be read.
struct FetchProgress {
    terminal: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl FetchProgress {
    fn clear(&self) {
        if let Ok(mut bar) = self.bar.lock()
            && let Some(bar) = bar.take()
        {
            bar.finish_and_clear();
        }
    }
}

impl Observer for FetchProgress {
    fn began(&self, _: usize, _: &ArtifactRequest, size_bytes: Option<u64>, there: u64) {
        self.clear();
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

    fn finished(&self, _: usize, _: &ArtifactRequest, _: &FinishedFile) {}

    fn failed(&self, _: usize, _: &ArtifactRequest, _: &ArtifactError) {}
}
