//! Lists every file of a trial or a run: the daemon or a hub is asked, else the objects name some.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};

use docks_artifacts::TrialArtifacts;
use docks_artifacts::cache::Cache;
use docks_artifacts::download::{ArtifactError, Downloader, Options, SilentObserver};
use docks_artifacts::source::Sources;
use docks_proto::file_list::FileList;
use docks_proto::freshness::CachePolicy;
use docks_proto::routes::TenantRoutes;
use docks_proto::settings::Target;
use tokio::sync::OnceCell;

use crate::ask::{Request, Requester};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::durations;

use super::artifact_sources;

/// The largest list that is read: some hundred thousand files.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// Lists the files of one run and its trials.
pub(super) struct FileLists<'a> {
    context: &'a Context,
    requester: &'a Requester<'a>,
    /// Whether the run is a Harbor job, so that a Docks API which has it is a hub.
    is_harbor_job: bool,
    hub: OnceCell<HubAccess>,
    /// Whether it was said why lists are not whole.
    is_problem_shown: AtomicBool,
}

struct HubAccess {
    sources: Sources,
    cache: Cache,
}

impl<'a> FileLists<'a> {
    /// Prepares for one run; sends no request yet.
    pub(super) fn new(
        context: &'a Context,
        requester: &'a Requester<'a>,
        is_harbor_job: bool,
    ) -> Self {
        Self {
            context,
            requester,
            is_harbor_job,
            hub: OnceCell::new(),
            is_problem_shown: AtomicBool::new(false),
        }
    }

    /// Adds to a trial, or without one to the run, the files that its object does not name. Returns what is there
    /// and was left out, each a sentence.
    ///
    /// # Errors
    ///
    /// When nobody answers who has more files than the object names.
    pub(super) async fn complete(
        &self,
        run: &str,
        trial: Option<&str>,
        known: &mut TrialArtifacts,
    ) -> Result<Vec<String>, Failure> {
        let list = match &self.requester.remote.profile.target {
            Target::DocksApi { api_url, tenant } if self.is_harbor_job => {
                self.ask_hub(api_url, tenant, run, trial).await?
            }
            // It has what it lists.
            Target::DocksApi { .. } => None,
            _ => self.ask_daemon(run, trial).await?,
        };
        let Some(mut list) = list else {
            return Ok(Vec::new());
        };
        let left_out = std::mem::take(&mut list.left_out);
        if left_out.is_empty() || !list.files.is_empty() {
            // What the object still names is gone.
            known
                .files
                .retain(|file| list.files.iter().any(|listed| listed.path == file.path));
        }
        known.add_files(list);
        Ok(left_out)
    }

    async fn ask_daemon(
        &self,
        run: &str,
        trial: Option<&str>,
    ) -> Result<Option<FileList>, Failure> {
        match self.requester.request(Request::Files(run, trial)).await {
            Ok(response) => parse(&response.body[..]).map(Some),
            Err(failure) if failure.kind == Kind::Unreachable => {
                self.report(&failure.message);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Asks a hub itself, as for artifacts; its answers are cached with them.
    async fn ask_hub(
        &self,
        api_url: &str,
        tenant: &str,
        run: &str,
        trial: Option<&str>,
    ) -> Result<Option<FileList>, Failure> {
        let routes = TenantRoutes::new(tenant).and_then(|routes| routes.files(run, trial));
        let Ok(path) = routes else {
            return Ok(None);
        };
        let uri = format!("{api_url}{path}");
        let access = self.hub.get_or_try_init(|| async {
            let places = &self.requester.remote.endpoint.places;
            Ok::<_, Failure>(HubAccess {
                sources: artifact_sources::sources(&self.requester.remote, [uri.as_str()])?,
                cache: artifact_sources::open_cache(places, self.context.now)?,
            })
        });
        let HubAccess { sources, cache } = access.await?;
        let allowed = self.context.global.allowed();
        let downloader = Downloader {
            sources,
            cache: Some(cache),
            options: Options {
                revalidation: artifact_sources::revalidation(&self.requester.remote, allowed),
                ..Options::default()
            },
            observer: &SilentObserver,
        };
        let error = match downloader.open_unpruned(&uri, cache).await {
            Ok(file) => {
                if allowed == CachePolicy::OnlyIfCached
                    && let Some((_, confirmed)) = downloader.open_cached(&uri, cache)
                {
                    let age = durations::format_ago(self.context.now, confirmed);
                    self.report(&format!("the list of files was current {age}"));
                }
                return parse(file).map(Some);
            }
            // An older hub, which lists nothing.
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => error,
        };
        let may_be_old = matches!(allowed, CachePolicy::Default | CachePolicy::OnlyIfCached);
        let is_away = matches!(error, ArtifactError::NotCached) || error.is_out_of_reach();
        if !may_be_old || !is_away {
            return Err(Failure::new(Kind::Failed, error.chain()));
        }
        match downloader.open_cached(&uri, cache) {
            Some((file, confirmed)) => {
                let age = durations::format_ago(self.context.now, confirmed);
                self.report(&format!(
                    "{}; the list of files was current {age}",
                    error.chain()
                ));
                parse(file).map(Some)
            }
            None => {
                self.report(
                    "the list of all files is not cached; these are those that the trial names",
                );
                Ok(None)
            }
        }
    }

    /// Says once for all trials why a list is not whole.
    fn report(&self, problem: &str) {
        if !self.is_problem_shown.swap(true, Ordering::Relaxed) {
            self.context.output.note(problem);
        }
    }
}

fn parse(list: impl Read) -> Result<FileList, Failure> {
    serde_json::from_reader(list.take(MAX_LIST_BYTES))
        .map_err(|error| Failure::chain(Kind::Failed, "could not read the list of files", &error))
}
