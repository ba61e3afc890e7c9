//! How often a list is polled, and which parts of it.

use std::time::Duration;

use docks_proto::paging::{FIRST_LIMIT, ListCapabilities, ListOrder, Support};
use docks_proto::routes::RunKind;

use super::due_times::Jitter;
use super::plan_input::{PlanInput, rescan_interval};
use super::poll_fairness;

/// Maximum number of parts of one list that are polled in turn.
const MAX_WINDOWS: usize = 20;
/// Deepest row that polling the list reaches.
const MAX_DEPTH: u64 = 2_000;
/// Rows fetched along for each active run; beyond them it is cheaper to fetch the run alone.
const ROWS_PER_ACTIVE: u64 = 50;

/// Part of a list that one request reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First row.
    pub offset: u64,
    /// Maximum number of rows.
    pub limit: u32,
}

/// How one list is polled.
#[derive(Debug, Clone, PartialEq)]
pub struct ListPolling {
    /// Time between two requests.
    pub interval: Duration,
    /// Jitter of that time.
    pub jitter: Jitter,
    /// Parts, polled in turn; never empty.
    pub windows: Vec<Window>,
    /// Number of newest rows that the parts cover.
    pub depth: u64,
}

/// Returns the number of newest rows that cover the active runs, given the number of rows newer
/// than each; runs that are too far apart are left out.
#[must_use]
pub fn depth(newer_rows: &mut [u64]) -> u64 {
    newer_rows.sort_unstable();
    let mut depth = 0;
    for (count, newer) in (1_u64..).zip(newer_rows.iter()) {
        if *newer < (u64::from(FIRST_LIMIT) + ROWS_PER_ACTIVE * count).min(MAX_DEPTH) {
            depth = newer + 1;
        }
    }
    depth
}

/// Returns the parts of a list that hold its newest `depth` rows and any new ones.
#[must_use]
pub fn windows(known: &ListCapabilities, rows: u64, depth: u64) -> Vec<Window> {
    // Whole hundreds, so that requests stay the same and validators stay useful.
    let hundreds = |n: u64| n.div_ceil(u64::from(FIRST_LIMIT)).max(1) * u64::from(FIRST_LIMIT);
    let pages = known.offset != Support::Ignored;
    let (from, span) = match known.order {
        ListOrder::NewestFirst | ListOrder::Unknown => (0, hundreds(depth)),
        ListOrder::OldestFirst if pages => {
            let span = hundreds(depth);
            (rows.saturating_sub(span), 2 * span)
        }
        ListOrder::OldestFirst | ListOrder::Unordered => (0, hundreds(rows + 1)),
    };
    let cap = u64::from(known.page_cap());
    let count = if pages { span.div_ceil(cap) } else { 1 };
    (0..count.clamp(1, MAX_WINDOWS as u64))
        .map(|n| Window {
            offset: from + n * cap,
            limit: u32::try_from(cap.min(span - n * cap)).unwrap_or(FIRST_LIMIT),
        })
        .collect()
}

/// Decides how the list of `kind` is polled.
#[must_use]
pub fn list_polling(s: &PlanInput<'_>, kind: RunKind) -> ListPolling {
    let of = |kind: RunKind| s.summary.active.iter().filter(move |run| run.kind == kind);
    let active = of(kind).next().is_some();
    let rows = s
        .summary
        .lists
        .iter()
        .find(|list| list.kind == kind)
        .map_or(0, |list| list.rows);
    if !s.properties.metered {
        let busy = !s.summary.active.is_empty() || s.watched.any(s.now);
        return ListPolling {
            interval: match (busy, s.notifies_changes) {
                (true, _) => rescan_interval(s),
                (false, true) => Duration::from_secs(30),
                (false, false) => Duration::from_secs(5),
            },
            jitter: Jitter::NONE,
            windows: vec![Window {
                offset: 0,
                limit: u32::MAX,
            }],
            depth: u64::MAX,
        };
    }
    let mut newer: Vec<u64> = of(kind).map(|run| run.newer_rows).collect();
    let depth = depth(&mut newer);
    let windows = windows(s.capabilities.list(kind), rows, depth);
    let (interval, jitter) = match active {
        true => (poll_fairness::active_list_interval(s, kind), Jitter::BOTH),
        false => (poll_fairness::idle_list_interval(s, kind), Jitter::LONGER),
    };
    ListPolling {
        interval,
        jitter,
        windows,
        depth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_covers_a_hundred_active_runs() {
        let mut newer: Vec<u64> = (0..100).collect();
        let depth = depth(&mut newer);
        let windows = windows(&ListCapabilities::default(), 5_000, depth);
        assert_eq!(
            windows,
            [Window {
                offset: 0,
                limit: 100
            }]
        );
    }

    #[test]
    fn one_old_active_run_does_not_make_every_poll_large() {
        assert_eq!(depth(&mut [3, 90_000]), 4);
        assert_eq!(depth(&mut []), 0);
    }

    #[test]
    fn a_cut_page_becomes_several_and_an_old_first_list_is_read_at_its_end() {
        let mut known = ListCapabilities {
            limit_capped_at: Some(40),
            offset: Support::Honoured,
            ..ListCapabilities::default()
        };
        let offsets = |known: &ListCapabilities| -> Vec<(u64, u32)> {
            windows(known, 1_000, 90)
                .iter()
                .map(|w| (w.offset, w.limit))
                .collect()
        };
        assert_eq!(offsets(&known), [(0, 40), (40, 40), (80, 20)]);
        known.limit_capped_at = None;
        known.order = ListOrder::OldestFirst;
        assert_eq!(offsets(&known), [(900, 200)]);
        known.offset = Support::Ignored;
        assert_eq!(offsets(&known), [(0, 1_000)]);
    }
}
