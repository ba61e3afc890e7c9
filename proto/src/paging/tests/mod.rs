//! Walks through the lists of simulated remotes.

mod server;

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use server::{Change, Duplicates, PLAIN, Server, Walked, walk_with};

fn sweep(server: Server, rows: &mut Vec<String>, changes: &[Change]) -> Walked {
    walk_with(WalkOptions::sweep(false), server, rows, changes)
}

fn rows(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("r{n}")).collect()
}

fn servers() -> impl Strategy<Value = Server> {
    (
        any::<bool>(),
        prop::option::of(1_u32..1_200),
        prop::option::of(prop::sample::select(vec![
            10_u32, 50, 99, 100, 200, 500, 1_000,
        ])),
        any::<bool>(),
        prop::sample::select(vec![
            Duplicates::Never,
            Duplicates::Never,
            Duplicates::Page,
            Duplicates::LastOfPage,
        ]),
    )
        .prop_map(|(offset, cap, refuses_above, cursor, duplicates)| Server {
            offset,
            cap,
            refuses_above,
            cursor,
            duplicates,
        })
}

/// Servers that never return an object twice.
fn exact_servers() -> impl Strategy<Value = Server> {
    servers().prop_map(|server| Server {
        duplicates: Duplicates::Never,
        ..server
    })
}

fn options() -> impl Strategy<Value = WalkOptions> {
    prop::sample::select(vec![WalkOptions::sweep(false), WalkOptions::one_shot(None)])
}

fn changes(most: u8, count: usize) -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        (0..=most).prop_map(Change::Added),
        (0..=most).prop_map(Change::Removed),
        any::<u8>().prop_map(Change::RemovedInside),
    ];
    prop::collection::vec(change, 0..count)
}

#[test]
fn a_list_as_long_as_a_limit_may_have_been_cut_there() {
    let server = Server {
        offset: false,
        ..PLAIN
    };
    for count in [100, 200, 400, 800, 1_600] {
        let whole = sweep(server, &mut rows(count), &[]);
        assert_eq!(
            (whole.seen.len(), whole.walk.end()),
            (count, Some(WalkEnd::Incomplete))
        );
        let cap = u32::try_from(count).ok();
        let cut = sweep(Server { cap, ..server }, &mut rows(2_999), &[]);
        assert_eq!(
            (cut.seen.len(), cut.walk.end()),
            (count, Some(WalkEnd::Incomplete))
        );
    }
}

#[test]
fn a_long_list_is_read_in_larger_pages_as_far_as_they_are_filled() {
    let complete = Some(WalkEnd::Complete);
    let plain = sweep(PLAIN, &mut rows(100_000), &[]);
    assert_eq!((plain.seen.len(), plain.walk.end()), (100_000, complete));
    assert!(plain.walk.pages() < 120, "{}", plain.walk.pages());
    assert_eq!(plain.learned.limit_filled, 1_000);
    let cursor = Server {
        cursor: true,
        offset: false,
        ..PLAIN
    };
    let cursor = sweep(cursor, &mut rows(100_000), &[]);
    assert_eq!((cursor.seen.len(), cursor.walk.end()), (100_000, complete));
    assert!(cursor.walk.pages() < 120, "{}", cursor.walk.pages());
    for limited in [
        Server {
            cap: Some(250),
            ..PLAIN
        },
        Server {
            refuses_above: Some(250),
            ..PLAIN
        },
    ] {
        let walked = sweep(limited, &mut rows(10_000), &[]);
        assert_eq!((walked.seen.len(), walked.walk.end()), (10_000, complete));
        assert!(walked.walk.pages() < 60, "{}", walked.walk.pages());
        let learned = (
            walked.learned.limit_capped_at,
            walked.learned.limit_refused_at,
        );
        let expected = match limited.cap {
            Some(_) => (Some(250), None),
            None => (None, Some(400)),
        };
        assert_eq!(learned, expected);
    }
}

#[test]
fn a_server_that_cuts_more_than_it_did_is_still_read_to_its_end() {
    let mut learned = ListCapabilities::default();
    for cap in [1_000, 100] {
        let server = Server {
            cap: Some(cap),
            ..PLAIN
        };
        learned.limit_capped_at = None;
        let mut walk = ListWalk::new(&learned, WalkOptions::sweep(false));
        let mut seen = HashSet::new();
        while let Some(request) = walk.request() {
            let page = server.answer(&rows(5_000), &request).unwrap();
            seen.extend(page.ids.iter().cloned());
            walk.accept(&page, &mut learned);
        }
        assert_eq!(seen.len(), 5_000, "cut at {cap}");
    }
}

#[test]
fn a_small_list_costs_few_requests() {
    let requests =
        |options, server, count| walk_with(options, server, &mut rows(count), &[]).requests;
    let ignores_offset = Server {
        offset: false,
        ..PLAIN
    };
    for (server, count, sweep, one_shot) in [
        (PLAIN, 0, 1, 1),
        (PLAIN, 12, 2, 2),
        (ignores_offset, 12, 2, 2),
        (PLAIN, 250, 3, 2),
        (ignores_offset, 250, 4, 2),
    ] {
        assert_eq!(requests(WalkOptions::sweep(false), server, count), sweep);
        assert_eq!(
            requests(WalkOptions::one_shot(None), server, count),
            one_shot
        );
    }
    assert_eq!(requests(WalkOptions::one_shot(Some(20)), PLAIN, 500), 1);
    assert_eq!(requests(WalkOptions::single_answer(), PLAIN, 500), 1);
    assert_eq!(requests(WalkOptions::sweep(true), PLAIN, 500), 1);
}

#[test]
fn a_refused_limit_is_lowered_and_a_refusal_of_the_smallest_is_final() {
    for (options, requests) in [
        (WalkOptions::one_shot(None), 6),
        (WalkOptions::sweep(false), 5),
    ] {
        let mut learned = ListCapabilities::default();
        let mut walk = ListWalk::new(&learned, options);
        let mut count = 1;
        while walk.refused(&mut learned) {
            count += 1;
        }
        assert_eq!(count, requests);
        assert_eq!(learned.limit_refused_at, None, "it was not about the limit");
    }
}

#[test]
fn a_page_that_is_refused_at_an_accepted_limit_is_an_error() {
    let mut learned = ListCapabilities::default();
    let mut walk = ListWalk::new(&learned, WalkOptions::sweep(false));
    let page = PLAIN.answer(&rows(500), &walk.request().unwrap()).unwrap();
    walk.accept(&page, &mut learned);
    assert!(walk.request().is_some());
    assert!(!walk.refused(&mut learned));
    assert_eq!(learned.limit_refused_at, None);
}

#[test]
fn a_reported_total_ends_a_one_shot_walk_but_not_a_sweep() {
    for (options, ended) in [
        (WalkOptions::one_shot(None), true),
        (WalkOptions::sweep(false), false),
    ] {
        let mut learned = ListCapabilities::default();
        let mut walk = ListWalk::new(&learned, options);
        let page = PageSummary {
            total: Some(12),
            ..PLAIN.answer(&rows(12), &walk.request().unwrap()).unwrap()
        };
        walk.accept(&page, &mut learned);
        assert_eq!(walk.end().is_some(), ended);
    }
}

#[test]
fn a_single_answer_is_continued_where_it_returns_a_cursor() {
    let server = Server {
        cursor: true,
        cap: Some(40),
        ..PLAIN
    };
    let walked = walk_with(WalkOptions::single_answer(), server, &mut rows(100), &[]);
    assert_eq!((walked.seen.len(), walked.requests), (100, 3));
}

#[test]
fn a_step_back_that_repeats_a_page_is_not_taken_for_an_ignored_offset() {
    let doubled = Server {
        refuses_above: Some(500),
        duplicates: Duplicates::Page,
        ..PLAIN
    };
    let refuses = Server {
        refuses_above: Some(100),
        ..PLAIN
    };
    use Change::{Added, Removed};
    for (server, options, count, changes) in [
        (
            doubled,
            WalkOptions::one_shot(None),
            1_752,
            vec![Removed(5), Added(4)],
        ),
        (
            refuses,
            WalkOptions::sweep(false),
            320,
            vec![Removed(5), Added(0), Removed(28), Removed(24)],
        ),
    ] {
        let mut list = rows(count);
        let before: HashSet<String> = list.iter().cloned().collect();
        let walked = walk_with(options, server, &mut list, &changes);
        let mut stayed = list.iter().filter(|id| before.contains(*id));
        assert!(stayed.all(|id| walked.seen.contains(id)));
        assert_eq!(walked.learned.offset, Support::Honoured);
    }
}

proptest! {
    #[test]
    fn a_walk_ends_and_sees_all_that_can_be_seen(
        server in exact_servers(), options in options(), count in 0_usize..2_500,
    ) {
        let walked = walk_with(options, server, &mut rows(count), &[]);
        if server.offset || server.cursor {
            prop_assert_eq!(walked.seen.len(), count);
            prop_assert!(walked.walk.end().is_some());
        } else if server.lists_everything(count) {
            prop_assert_eq!(walked.seen.len(), count);
            prop_assert_eq!(walked.walk.end(), Some(WalkEnd::Complete));
        }
    }

    #[test]
    fn a_walk_ends_soon_however_the_list_moves(
        server in servers(), options in options(), count in 0_usize..60, changes in changes(30, 40),
    ) {
        let walked = walk_with(options, server, &mut rows(count), &changes);
        prop_assert!(walked.walk.pages() < 1_500);
    }

    #[test]
    fn changes_at_the_front_neither_stop_a_walk_nor_hide_what_stays(
        server in exact_servers(), options in options(), count in 0_usize..2_000,
        changes in changes(3, 20),
    ) {
        let mut list = rows(count);
        let stays: Vec<String> = list.iter().skip(100).cloned().collect();
        let server = Server { offset: true, cursor: false, ..server };
        let walked = walk_with(options, server, &mut list, &changes);
        if server.cap.is_none_or(|cap| cap > 20) && server.refuses_above.is_none_or(|n| n > 20) {
            for id in stays.iter().filter(|id| list.contains(id)) {
                prop_assert!(walked.seen.contains(id), "{} of {:?}", id, server);
            }
        }
    }

    #[test]
    fn every_object_that_stays_is_seen_on_any_remote_that_can_be_read(
        server in servers(), options in options(), count in 0_usize..2_000,
        changes in changes(30, 12),
    ) {
        // A page must be long enough to reach across what changes between two requests.
        let long_pages = server.cap.is_none_or(|cap| cap >= 100)
            && server.refuses_above.is_none_or(|n| n >= 100);
        let mut list = rows(count);
        let before: HashSet<String> = list.iter().cloned().collect();
        let walked = walk_with(options, server, &mut list, &changes);
        if server.cursor || !server.offset || !long_pages {
            return Ok(());
        }
        for id in list.iter().filter(|id| before.contains(*id)) {
            prop_assert!(walked.seen.contains(id), "{} of {:?}", id, server);
        }
    }

    #[test]
    fn objects_that_come_twice_hide_no_others(
        server in servers(), options in options(), count in 0_usize..1_500,
    ) {
        let walked = walk_with(options, server, &mut rows(count), &[]);
        if server.offset || server.cursor {
            prop_assert_eq!(walked.seen.len(), count);
        }
    }

    #[test]
    fn a_walk_stops_as_soon_as_it_has_enough(
        server in exact_servers(), max in 1_u64..700, count in 700_usize..1_500,
    ) {
        let walked = walk_with(WalkOptions::one_shot(Some(max)), server, &mut rows(count), &[]);
        if server.offset || server.cursor {
            prop_assert!(walked.seen.len() as u64 >= max);
            let page = server.cap.unwrap_or(u32::MAX).min(server.refuses_above.unwrap_or(u32::MAX));
            if u64::from(page.min(500)) >= max {
                prop_assert_eq!(walked.requests, 1);
            }
        }
    }
}

#[test]
fn what_is_learned_is_true() {
    let plain = sweep(PLAIN, &mut rows(250), &[]).learned;
    assert_eq!((plain.offset, plain.limit_filled), (Support::Honoured, 100));
    let ignoring = Server {
        offset: false,
        ..PLAIN
    };
    let walked = sweep(ignoring, &mut rows(250), &[]);
    assert_eq!(
        (walked.learned.offset, walked.walk.end()),
        (Support::Ignored, Some(WalkEnd::Complete))
    );
    let capped = Server {
        cap: Some(40),
        ..PLAIN
    };
    let learned = sweep(capped, &mut rows(250), &[]).learned;
    assert_eq!(learned.limit_capped_at, Some(40));
    let refusing = Server {
        refuses_above: Some(50),
        ..PLAIN
    };
    let learned = sweep(refusing, &mut rows(250), &[]).learned;
    assert_eq!(learned.limit_refused_at, Some(100));
    let hopeless = Server {
        cap: Some(100),
        ..ignoring
    };
    let walked = sweep(hopeless, &mut rows(250), &[]);
    assert_eq!(
        (walked.walk.end(), walked.learned.incomplete),
        (Some(WalkEnd::Incomplete), true)
    );
}

#[test]
fn a_query_names_only_what_is_requested() {
    let page = PageRequest {
        limit: Some(20),
        offset: 40,
        cursor: None,
    };
    assert_eq!(page.query_string(), "?limit=20&offset=40");
    let next = PageRequest {
        cursor: Some("a b".to_owned()),
        ..page
    };
    assert_eq!(next.query_string(), "?limit=20&cursor=a%20b");
    assert_eq!(PageRequest::default().query_string(), "");
}
