//! Fetches a whole list from a remote whose paging is not known.
//!
//! For commands that have no daemon; the daemon's sweep remembers what it
//! learned of a remote and needs no walk like this.

use std::collections::HashSet;
use std::future::Future;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Client, ClientError};
use crate::object::{RawList, RawObject, RunFields};
use crate::routes::RunKind;

/// Page sizes to try, largest first; a remote that refuses one with 422 may take the next.
const LIMITS: &[u64] = &[500, 100, 50, 20, 10, 1];

/// Largest page that is asked of a remote that ignores `offset`, where one page is all there is.
const LARGEST_LIMIT: u64 = 1 << 20;

/// Pages without a new object before the list counts as read; one alone can be drift.
const BARREN_PAGES: u32 = 2;

/// Pages at most, whatever the remote does.
const MOST_PAGES: u32 = 20_000;

/// One question of a walk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ask {
    /// Objects at most; `None` leaves the parameter out.
    pub limit: Option<u64>,
    /// Objects to leave out first.
    pub offset: u64,
    /// Continuation that the page before named.
    pub cursor: Option<String>,
}

impl Ask {
    /// Writes the query string with its `?`; empty when nothing is asked.
    #[must_use]
    pub fn query_string(&self) -> String {
        let mut pairs = Vec::new();
        if let Some(limit) = self.limit {
            pairs.push(format!("limit={limit}"));
        }
        if let Some(cursor) = &self.cursor {
            pairs.push(format!(
                "cursor={}",
                utf8_percent_encode(cursor, NON_ALPHANUMERIC)
            ));
        } else if self.offset > 0 {
            pairs.push(format!("offset={}", self.offset));
        }
        if pairs.is_empty() {
            return String::new();
        }
        format!("?{}", pairs.join("&"))
    }
}

/// Fetches a whole list of runs, or about `most` of it, in the remote's order.
///
/// Knows no paging beforehand: `offset` may be honoured or ignored, `limit`
/// capped silently or refused, the rest named by a cursor. Each object comes
/// once, and the walk ends whatever the remote does.
///
/// # Errors
///
/// The first request that fails, refused limits apart: a part of a list is no answer.
pub async fn walk_runs(
    client: &Client,
    kind: RunKind,
    most: Option<u64>,
) -> Result<Vec<RawObject>, ClientError> {
    let path = client.routes().runs(kind);
    let fetch = |ask: Ask| client.page(format!("{path}{}", ask.query_string()));
    Walk::new(most).run(fetch).await
}

/// Fetches all trials of a run; no paging of them is known, but a cursor is followed.
///
/// # Errors
///
/// As [`walk_runs`].
pub async fn walk_trials(client: &Client, run: &str) -> Result<Vec<RawObject>, ClientError> {
    let path = client.routes().trials(run).map_err(ClientError::from)?;
    let fetch = |ask: Ask| client.page(format!("{path}{}", ask.query_string()));
    let mut walk = Walk::new(None);
    let first = fetch(Ask::default()).await?;
    let cursor = first.next_cursor.clone();
    walk.take(first);
    walk.follow(cursor, None, &fetch).await?;
    Ok(walk.objects)
}

#[derive(Default)]
struct Walk {
    most: Option<u64>,
    seen: HashSet<String>,
    objects: Vec<RawObject>,
    pages: u32,
}

impl Walk {
    fn new(most: Option<u64>) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    async fn run<F, A>(mut self, fetch: F) -> Result<Vec<RawObject>, ClientError>
    where
        F: Fn(Ask) -> A,
        A: Future<Output = Result<RawList, ClientError>>,
    {
        let (limit, first) = self.first(&fetch).await?;
        let (cursor, total) = (first.next_cursor.clone(), first.total);
        let got = distinct(&first);
        self.take(first);
        if cursor.is_some() {
            self.follow(cursor, Some(limit), &fetch).await?;
        } else if got > 0 && total.is_none_or(|total| total > got) {
            self.by_offset(limit, got, &fetch).await?;
        }
        if let Some(most) = self.most {
            self.objects
                .truncate(usize::try_from(most).unwrap_or(usize::MAX));
        }
        Ok(self.objects)
    }

    /// Gets the first page with the largest limit that the remote takes.
    async fn first<F, A>(&mut self, fetch: &F) -> Result<(u64, RawList), ClientError>
    where
        F: Fn(Ask) -> A,
        A: Future<Output = Result<RawList, ClientError>>,
    {
        let wanted = self.most.unwrap_or(LIMITS[0]).clamp(1, LIMITS[0]);
        let mut refused = None;
        for limit in std::iter::once(wanted).chain(LIMITS.iter().copied().filter(|l| *l < wanted)) {
            self.pages += 1;
            let ask = Ask {
                limit: Some(limit),
                ..Ask::default()
            };
            match fetch(ask).await {
                Ok(list) => return Ok((limit, list)),
                Err(ClientError::Refused {
                    status: status @ (400 | 413 | 422),
                    body,
                    retry_after,
                }) => {
                    refused = Some(ClientError::Refused {
                        status,
                        body,
                        retry_after,
                    });
                }
                Err(other) => return Err(other),
            }
        }
        Err(refused.expect("the loop ran at least once and every round returned or refused"))
    }

    /// Follows cursors until there is none, one repeats, or enough is there.
    async fn follow<F, A>(
        &mut self,
        mut cursor: Option<String>,
        limit: Option<u64>,
        fetch: &F,
    ) -> Result<(), ClientError>
    where
        F: Fn(Ask) -> A,
        A: Future<Output = Result<RawList, ClientError>>,
    {
        let mut used = HashSet::new();
        while let Some(next) = cursor.take() {
            if self.enough() || !used.insert(next.clone()) {
                return Ok(());
            }
            self.pages += 1;
            let ask = Ask {
                limit,
                cursor: Some(next),
                ..Ask::default()
            };
            let page = fetch(ask).await?;
            cursor = page.next_cursor.clone();
            let fresh = self.take(page);
            if fresh == 0 && used.len() as u64 > self.objects.len() as u64 {
                // A remote that names new cursors without end and never anything new.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Goes on by offset; finds out on the way whether the remote honours it.
    async fn by_offset<F, A>(&mut self, limit: u64, got: u64, fetch: &F) -> Result<(), ClientError>
    where
        F: Fn(Ask) -> A,
        A: Future<Output = Result<RawList, ClientError>>,
    {
        let first_page: HashSet<String> = self.seen.clone();
        let (mut offset, mut barren) = (got, 0);
        while !self.enough() && barren < BARREN_PAGES {
            self.pages += 1;
            let ask = Ask {
                limit: Some(limit),
                offset,
                cursor: None,
            };
            let page = fetch(ask).await?;
            let count = distinct(&page);
            if count == 0 {
                return Ok(());
            }
            let same = count == got && page.objects.iter().all(|o| first_page.contains(&key(o)));
            let fresh = self.take(page);
            if same && offset == got {
                return self.by_limit(limit, got, fetch).await;
            }
            barren = if fresh == 0 { barren + 1 } else { 0 };
            offset += count;
        }
        Ok(())
    }

    /// Asks for ever more at once, where `offset` is ignored, until no more comes.
    async fn by_limit<F, A>(
        &mut self,
        mut limit: u64,
        got: u64,
        fetch: &F,
    ) -> Result<(), ClientError>
    where
        F: Fn(Ask) -> A,
        A: Future<Output = Result<RawList, ClientError>>,
    {
        let mut last = got;
        while last >= limit && limit < LARGEST_LIMIT && !self.enough() {
            limit *= 4;
            self.pages += 1;
            let ask = Ask {
                limit: Some(limit),
                ..Ask::default()
            };
            let page = match fetch(ask).await {
                Ok(page) => page,
                // More than it gives at once; what is there is all that can be had.
                Err(ClientError::Refused {
                    status: 400 | 413 | 422,
                    ..
                }) => return Ok(()),
                Err(other) => return Err(other),
            };
            let count = distinct(&page);
            self.take(page);
            if count <= last {
                return Ok(());
            }
            last = count;
        }
        Ok(())
    }

    /// Keeps what is new of a page; returns how much that was.
    fn take(&mut self, page: RawList) -> u64 {
        let before = self.objects.len();
        for object in page.objects {
            if self.seen.insert(key(&object)) {
                self.objects.push(object);
            }
        }
        (self.objects.len() - before) as u64
    }

    fn enough(&self) -> bool {
        self.pages >= MOST_PAGES
            || self
                .most
                .is_some_and(|most| self.objects.len() as u64 >= most)
    }
}

/// Counts a page's objects; one that comes twice takes one place in the list.
fn distinct(page: &RawList) -> u64 {
    page.objects.iter().map(key).collect::<HashSet<_>>().len() as u64
}

/// An object's id, or its text when it has none.
fn key(object: &RawObject) -> String {
    RunFields::from_object(object)
        .id
        .text()
        .unwrap_or_else(|| object.text().to_owned())
}

#[cfg(test)]
mod tests;
