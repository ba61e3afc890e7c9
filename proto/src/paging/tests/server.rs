//! A simulated list server, and walks through its lists.

use std::collections::HashSet;

use crate::paging::*;

/// A list server in one of the ways that lists are known to be served.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server {
    pub(super) offset: bool,
    pub(super) cap: Option<u32>,
    pub(super) refuses_above: Option<u32>,
    pub(super) cursor: bool,
    pub(super) duplicates: Duplicates,
}

/// How often a server returns an object twice.
#[derive(Debug, Clone, Copy)]
pub(super) enum Duplicates {
    Never,
    /// The whole page comes twice in the answer.
    Page,
    /// The last object of a page comes twice.
    LastOfPage,
}

pub(super) const PLAIN: Server = Server {
    offset: true,
    cap: None,
    refuses_above: None,
    cursor: false,
    duplicates: Duplicates::Never,
};

impl Server {
    pub(super) fn answer(self, rows: &[String], request: &PageRequest) -> Option<PageSummary> {
        let limit = request.limit.unwrap_or(u32::MAX);
        if self.refuses_above.is_some_and(|n| limit > n) {
            return None;
        }
        let limit = self.cap.map_or(limit, |cap| cap.min(limit)) as usize;
        let from = match &request.cursor {
            Some(cursor) => cursor.parse().unwrap(),
            None if self.offset => usize::try_from(request.offset).unwrap(),
            None => 0,
        };
        let mut ids: Vec<String> = rows.iter().skip(from).take(limit).cloned().collect();
        let next = from + ids.len();
        match self.duplicates {
            Duplicates::Never => {}
            Duplicates::Page => ids.extend(ids.clone()),
            Duplicates::LastOfPage => ids.extend(ids.last().cloned()),
        }
        Some(PageSummary {
            created: vec![None; ids.len()],
            len: ids.len(),
            next_cursor: (self.cursor && next < rows.len()).then(|| next.to_string()),
            total: None,
            ids,
        })
    }

    /// Whether the whole of a list with `count` objects can be read.
    pub(super) fn lists_everything(self, count: usize) -> bool {
        let unlimited = self.cap.is_none() && self.refuses_above.is_none();
        self.offset || self.cursor || unlimited && !AS_LONG_AS_A_LIMIT.contains(&count)
    }
}

/// A walk that has ended.
pub(super) struct Walked {
    pub(super) seen: HashSet<String>,
    pub(super) walk: ListWalk,
    pub(super) learned: ListCapabilities,
    pub(super) requests: usize,
}

/// What happens to a list between two requests.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    /// Objects are added at the front.
    Added(u8),
    /// Objects are removed from the front.
    Removed(u8),
    /// One object somewhere is removed, at this part of 255.
    RemovedInside(u8),
}

pub(super) fn walk_with(
    options: WalkOptions,
    server: Server,
    rows: &mut Vec<String>,
    changes: &[Change],
) -> Walked {
    let mut learned = ListCapabilities::default();
    let mut walk = ListWalk::new(&learned, options);
    let mut seen = HashSet::new();
    let mut requests = 0_usize;
    while let Some(request) = walk.request() {
        match server.answer(rows, &request) {
            Some(page) => {
                seen.extend(page.ids.iter().cloned());
                walk.accept(&page, &mut learned);
            }
            None => assert!(walk.refused(&mut learned), "{request:?}"),
        }
        match changes.get(requests) {
            Some(Change::Added(count)) => {
                let new = (0..*count).map(|i| format!("new-{requests}-{i}"));
                rows.splice(0..0, new);
            }
            Some(Change::Removed(count)) => {
                rows.drain(..usize::from(*count).min(rows.len()));
            }
            Some(Change::RemovedInside(part)) if !rows.is_empty() => {
                rows.remove(usize::from(*part) * (rows.len() - 1) / 255);
            }
            _ => {}
        }
        requests += 1;
        assert!(requests < 5_000, "a walk must end");
    }
    Walked {
        seen,
        walk,
        learned,
        requests,
    }
}

/// Lists of up to 2,500 that look the same as longer ones of a server that caps them just there.
pub(super) const AS_LONG_AS_A_LIMIT: [usize; 7] = [100, 200, 400, 500, 800, 1_600, 2_000];
