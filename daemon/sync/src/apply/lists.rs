//! Steps that read lists: polls, and sweeps with their checks of what is missing.

use std::collections::HashSet;
use std::sync::Arc;

use docks_proto::object::has_outgrown_id;
use docks_proto::paging::{PageRequest, PageSummary};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use docksd_mirror::{Confirmation, MirrorError, Resource};
use docksd_remote::{FaultClass, Fetched, Page, RemoteError, Validator};

use super::runner::{StepRunner, has_id, unexpected_not_modified};
use super::{last_sweep_note_key, whole_list_note_key};
use crate::error::SyncError;
use crate::list_poll::{CachedPage, ListPoll};
use crate::outcome::{Answer, ListEnd};

/// Runs that one poll asks for because the list does not show them; the next one asks for more.
const MAX_CHECKS_AT_ONCE: usize = 20;

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

    pub(super) async fn poll_list(&mut self, poll: &ListPoll) -> Result<Answer, SyncError> {
        let kind = poll.kind;
        let only_page = poll.only_page();
        let cached = poll.cached.as_ref();
        let mut requests = poll.requests();
        let mut summaries = Vec::new();
        let mut cache = None;
        while let Some(request) = requests.next_page() {
            let validator = cached.map(|cached| &cached.validator);
            let (objects, next_cursor, total) = match self.list(kind, &request, validator).await {
                Ok(Fetched::NotModified) => {
                    self.not_modified += 1;
                    let Some(cached) = cached else {
                        return Err(unexpected_not_modified());
                    };
                    cache = Some(cached.clone());
                    ((*cached.objects).clone(), None, cached.total)
                }
                Ok(Fetched::New { value, .. }) if value.is_partial => {
                    return self.store_partial_list(poll, value).await;
                }
                Ok(Fetched::New { value, validator }) => {
                    if let (Some(page), Some(validator)) = (&only_page, validator) {
                        cache = Some(CachedPage {
                            page: page.clone(),
                            validator,
                            objects: Arc::new(value.objects.clone()),
                            total: value.total,
                        });
                    }
                    (value.objects, value.next_cursor, value.total)
                }
                Err(error) => {
                    let error = SyncError::from(error);
                    if error.may_refuse_limit() && requests.refused() {
                        continue;
                    }
                    return Err(error);
                }
            };
            let mut summary = PageSummary::from_objects(&objects, next_cursor);
            summary.total = total;
            requests.accept(&summary);
            summaries.push(summary);
            if objects.is_empty() && summaries.len() == 1 && poll.doubts_empty {
                return Ok(Answer::ListPages {
                    pages: summaries,
                    cache: None,
                    doubtful: true,
                    is_settled: false,
                    end: ListEnd::Unknown,
                    lacks_rows: false,
                });
            }
            self.store_runs(kind, objects).await?;
        }
        let proven = requests.have_walked_whole_list() || self.remote.properties().whole_lists;
        let reach = match proven {
            true => Some(Reach::whole(ListEnd::Proven)),
            false => Reach::of(poll, &summaries),
        };
        let lacks_rows = match &reach {
            Some(reach) if poll.checks_unlisted => {
                self.check_unlisted(poll, reach, &summaries).await?
            }
            _ => false,
        };
        // Otherwise the mirror has what was before: it waits for another response, or for more checks.
        let is_settled = !self.reopens && !self.unproved;
        if is_settled && let Some(at) = poll.parts.confirms(self.began) {
            self.confirm_list(kind, at, poll.complete).await?;
        }
        let end = reach.map_or(ListEnd::Unknown, |reach| reach.end);
        Ok(Answer::ListPages {
            pages: summaries,
            cache,
            doubtful: false,
            is_settled,
            end,
            lacks_rows,
        })
    }

    /// Stores what is known of a list that the remote has not read to its end. What is missing says nothing.
    async fn store_partial_list(
        &mut self,
        poll: &ListPoll,
        page: Page,
    ) -> Result<Answer, SyncError> {
        let mut summary = PageSummary::from_objects(&page.objects, None);
        summary.total = None;
        self.store_runs(poll.kind, page.objects).await?;
        // A list that was whole stays as old as it is.
        if !poll.complete {
            self.confirm_list(poll.kind, self.began, false).await?;
        }
        Ok(Answer::ListPages {
            pages: vec![summary],
            cache: None,
            doubtful: false,
            is_settled: false,
            end: ListEnd::Unknown,
            lacks_rows: false,
        })
    }

    /// Asks for the runs that the mirror has and the pages should show, and do not: a 404 proves that a run is
    /// gone. Returns whether the remote still has one of them.
    async fn check_unlisted(
        &mut self,
        poll: &ListPoll,
        reach: &Reach,
        pages: &[PageSummary],
    ) -> Result<bool, SyncError> {
        let kind = poll.kind;
        // Rows that moved from one part into another between two polls are missing here, too.
        let earlier = poll.parts.completes().unwrap_or_default();
        let listed: HashSet<&str> = (earlier.iter().chain(pages))
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

    /// Records that the mirror held a list as the remote had it at that time.
    async fn confirm_list(
        &self,
        kind: RunKind,
        at: UnixMs,
        complete: bool,
    ) -> Result<(), MirrorError> {
        let confirmation = Confirmation {
            at,
            validator: None,
            complete,
        };
        self.mirror
            .record_confirmation(Resource::List(kind), confirmation)
            .await
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
        if value.is_partial {
            let why = "it has not read all of its runs yet".to_owned();
            return Err(RemoteError::InvalidResponse { why }.into());
        }
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
        whole_since: Option<UnixMs>,
    ) -> Result<Answer, SyncError> {
        self.confirm_list(kind, confirmed, complete).await?;
        let at = self.began.0.to_string();
        self.mirror
            .write_note(&last_sweep_note_key(kind), &at)
            .await?;
        if let Some(since) = whole_since {
            let since = since.0.to_string();
            self.mirror
                .write_note(&whole_list_note_key(kind), &since)
                .await?;
        }
        self.changed = true;
        Ok(Answer::Done)
    }
}

/// The part of a list that the pages of a poll show without a gap.
#[derive(Debug, PartialEq, Eq)]
struct Reach {
    /// It is all that was created after this time; `None` is the whole list.
    after: Option<UnixMs>,
    end: ListEnd,
}

impl Reach {
    fn whole(end: ListEnd) -> Self {
        Self { after: None, end }
    }

    /// Returns what the polled parts show, with those before them in the same round: the whole list if they end
    /// before their limit, or its newest part if they are in that order. `None` if neither is certain.
    fn of(poll: &ListPoll, new: &[PageSummary]) -> Option<Self> {
        let earlier = match poll.parts.completes() {
            Some(earlier) => earlier,
            None if poll.parts.include_first() => &[],
            None => return None,
        };
        let pages = || earlier.iter().chain(new);
        let mut offset = 0;
        for (window, page) in poll.parts.windows().iter().zip(pages()) {
            if window.offset != offset || page.ids.len() != page.len {
                return None;
            }
            offset += page.len as u64;
            let is_full = page.len >= window.limit as usize;
            match page.total {
                Some(all) if all <= offset => return Some(Self::whole(ListEnd::Proven)),
                None if !is_full && page.next_cursor.is_none() => {
                    return Some(Self::whole(ListEnd::ShortPage));
                }
                _ => {}
            }
        }
        let created: Option<Vec<UnixMs>> = pages()
            .flat_map(|page| page.created.iter().copied())
            .collect();
        let created = created?;
        let is_newest_first = created.is_sorted_by(|a, b| a >= b);
        let after = created.last().copied().filter(|_| is_newest_first)?;
        Some(Self {
            after: Some(after),
            end: ListEnd::Unknown,
        })
    }
}
