//! Steps that read lists: polls, and sweeps with their checks of what is missing.

use std::collections::HashSet;
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

/// Runs that one poll asks for because the list does not show them; the next one asks for more.
const MAX_CHECKS_AT_ONCE: usize = 20;

/// A poll of a list.
pub(super) struct ListPoll<'a> {
    pub(super) kind: RunKind,
    pub(super) pages: &'a [PageRequest],
    pub(super) cached: Option<&'a CachedPage>,
    pub(super) confirms: Option<bool>,
    pub(super) doubts_empty: bool,
    pub(super) checks_unlisted: bool,
}

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

    pub(super) async fn poll_list(&mut self, poll: ListPoll<'_>) -> Result<Answer, SyncError> {
        let ListPoll {
            kind,
            pages,
            cached,
            confirms,
            doubts_empty,
            checks_unlisted,
        } = poll;
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
                    confirmed: false,
                    lacks_rows: false,
                });
            }
            let is_last = objects.is_empty();
            self.store_runs(kind, objects).await?;
            if is_last {
                break;
            }
        }
        let lacks_rows = checks_unlisted && self.check_unlisted(kind, pages, &summaries).await?;
        // Otherwise the mirror has what was before: it waits for another response, or for more checks.
        let confirms = confirms.filter(|_| !self.reopens && !self.unproved);
        if let Some(complete) = confirms {
            self.confirm(Resource::List(kind), None, complete).await?;
        }
        Ok(Answer::ListPages {
            pages: summaries,
            cache,
            doubtful: false,
            confirmed: confirms.is_some(),
            lacks_rows,
        })
    }

    /// Asks for the runs that the mirror has and the pages should show, and do not: a 404 proves that a run is
    /// gone. Returns whether the remote still has one of them.
    async fn check_unlisted(
        &mut self,
        kind: RunKind,
        requests: &[PageRequest],
        pages: &[PageSummary],
    ) -> Result<bool, SyncError> {
        let Some(reach) = Reach::of(requests, pages) else {
            return Ok(false);
        };
        let listed: HashSet<&str> = pages
            .iter()
            .flat_map(|page| page.ids.iter().map(String::as_str))
            .collect();
        let mut unlisted = self.mirror.runs_created_after(kind, reach.after).await?;
        unlisted.retain(|id| !listed.contains(id.as_str()));
        let mut lacks_rows = false;
        for id in unlisted.iter().take(MAX_CHECKS_AT_ONCE) {
            let checked = self.check_unseen(kind, id).await?;
            lacks_rows |= matches!(checked, Answer::UnseenChecked { gone: false });
        }
        // A list that does not show what exists says nothing about the others either.
        self.unproved = unlisted.len() > MAX_CHECKS_AT_ONCE && !lacks_rows;
        Ok(lacks_rows)
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

/// The part of a list that the pages of a poll show without a gap.
#[derive(Debug, PartialEq, Eq)]
struct Reach {
    /// It is all that was created after this time; `None` is the whole list.
    after: Option<UnixMs>,
}

impl Reach {
    /// Returns what the pages show: the whole list if they end before their limit, or its newest part if they
    /// are in that order. `None` if neither is certain.
    fn of(requests: &[PageRequest], pages: &[PageSummary]) -> Option<Self> {
        let mut offset = 0;
        for (request, page) in requests.iter().zip(pages) {
            if request.offset != offset || request.cursor.is_some() || page.ids.len() != page.len {
                return None;
            }
            offset += page.len as u64;
            let is_full = request
                .limit
                .is_some_and(|limit| page.len >= limit as usize);
            let has_more = page.next_cursor.is_some() || page.total.is_some_and(|all| all > offset);
            if !is_full && !has_more {
                return Some(Self { after: None });
            }
        }
        let created: Option<Vec<UnixMs>> = pages
            .iter()
            .flat_map(|page| page.created.iter().copied())
            .collect();
        let created = created?;
        let is_newest_first = created.is_sorted_by(|a, b| a >= b);
        let after = created.last().copied().filter(|_| is_newest_first)?;
        Some(Self { after: Some(after) })
    }
}
