//! Steps that read lists: polls, and sweeps with their checks of what is missing.

use std::sync::Arc;

use docks_proto::object::has_outgrown_id;
use docks_proto::paging::{PageRequest, PageSummary};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use docksd_mirror::{Confirmation, Resource};
use docksd_remote::{FaultClass, Fetched, Page, RemoteError, Validator};

use super::runner::{StepRunner, has_id, unexpected_not_modified};
use crate::error::SyncError;
use crate::outcome::Answer;
use crate::step::CachedPage;

impl StepRunner<'_> {
    async fn list(
        &mut self,
        kind: RunKind,
        page: &PageRequest,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        self.requests += 1;
        self.remote.list(kind, page, validator).await
    }

    pub(super) async fn poll_list(
        &mut self,
        kind: RunKind,
        pages: &[PageRequest],
        cached: Option<&CachedPage>,
        confirms: Option<bool>,
        doubts_empty: bool,
    ) -> Result<Answer, SyncError> {
        let mut summaries = Vec::new();
        let mut cache = None;
        for request in pages {
            let validator = cached.map(|cached| &cached.validator);
            let (objects, next_cursor, total) = match self.list(kind, request, validator).await? {
                Fetched::NotModified => {
                    self.not_modified += 1;
                    let Some(cached) = cached else {
                        return Err(unexpected_not_modified());
                    };
                    cache = Some(cached.clone());
                    ((*cached.objects).clone(), None, cached.total)
                }
                Fetched::New { value, validator } => {
                    if let (1, Some(validator)) = (pages.len(), validator) {
                        cache = Some(CachedPage {
                            page: request.clone(),
                            validator,
                            objects: Arc::new(value.objects.clone()),
                            total: value.total,
                        });
                    }
                    (value.objects, value.next_cursor, value.total)
                }
            };
            let mut summary = PageSummary::from_objects(&objects, next_cursor);
            summary.total = total;
            summaries.push(summary);
            if objects.is_empty() && summaries.len() == 1 && doubts_empty {
                return Ok(Answer::ListPages {
                    pages: summaries,
                    cache: None,
                    doubtful: true,
                });
            }
            let is_last = objects.is_empty();
            self.store_runs(kind, objects).await?;
            if is_last {
                break;
            }
        }
        if let Some(complete) = confirms {
            self.confirm(Resource::List(kind), None, complete).await?;
        }
        Ok(Answer::ListPages {
            pages: summaries,
            cache,
            doubtful: false,
        })
    }

    pub(super) async fn sweep_page(
        &mut self,
        kind: RunKind,
        sweep: Option<u64>,
        page: &PageRequest,
    ) -> Result<Answer, SyncError> {
        // Started before the request, so that what is written meanwhile counts as seen.
        let sweep = match sweep {
            Some(sweep) => sweep,
            None => {
                // Before the list is read: a mirror that turns out to be damaged is replaced, and swept then.
                self.mirror.verify_if_due().await?;
                self.mirror.begin_sweep(kind).await?
            }
        };
        let Fetched::New { value, .. } = self.list(kind, page, None).await? else {
            return Err(unexpected_not_modified());
        };
        let summary = PageSummary::from_objects(&value.objects, value.next_cursor);
        self.store_runs(kind, value.objects).await?;
        Ok(Answer::SweepPage {
            sweep,
            page: summary,
        })
    }

    pub(super) async fn find_unseen(
        &mut self,
        kind: RunKind,
        sweep: u64,
    ) -> Result<Answer, SyncError> {
        let ids = self.mirror.runs_missed_by_sweep(kind, sweep).await?;
        Ok(Answer::Unseen(ids))
    }

    pub(super) async fn check_unseen(
        &mut self,
        kind: RunKind,
        id: &str,
    ) -> Result<Answer, SyncError> {
        self.requests += 1;
        match self.remote.run(kind, id, None).await {
            Ok(Fetched::New { value, .. }) if has_id(&value, id) => {
                self.store_runs(kind, vec![value]).await?;
                Ok(Answer::UnseenChecked { gone: false })
            }
            // What is asked for as an id is only a name there: of the same run, which has its real id by now, or
            // of another one.
            Ok(Fetched::New { value, .. }) => {
                if has_outgrown_id(&value, id) {
                    self.store_runs(kind, vec![value]).await?;
                }
                self.tombstone(kind, id).await
            }
            Ok(Fetched::NotModified) => Err(unexpected_not_modified()),
            Err(error) if error.class() == FaultClass::NotFound => self.tombstone(kind, id).await,
            // The id cannot be requested, so nothing can be proved and the run stays.
            Err(error) if error.class() == FaultClass::Rejected => {
                Ok(Answer::UnseenChecked { gone: false })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn tombstone(&mut self, kind: RunKind, id: &str) -> Result<Answer, SyncError> {
        self.mirror.tombstone_run(kind, id, self.began).await?;
        self.changed = true;
        Ok(Answer::UnseenChecked { gone: true })
    }

    pub(super) async fn finish_sweep(
        &mut self,
        kind: RunKind,
        confirmed: UnixMs,
        complete: bool,
        note_key: &str,
    ) -> Result<Answer, SyncError> {
        let confirmation = Confirmation {
            at: confirmed,
            validator: None,
            complete,
        };
        self.mirror
            .record_confirmation(Resource::List(kind), confirmation)
            .await?;
        let at = self.began.0.to_string();
        self.mirror.write_note(note_key, &at).await?;
        self.changed = true;
        Ok(Answer::Done)
    }
}
