use proptest::prelude::*;

use super::*;

/// A list server in one of the ways that lists are known to be served.
#[derive(Debug, Clone, Copy)]
struct Server {
    offset: bool,
    cap: Option<u32>,
    refuses_above: Option<u32>,
    cursor: bool,
}

impl Server {
    fn answer(self, rows: &[String], request: &PageRequest) -> Option<PageFacts> {
        if self.refuses_above.is_some_and(|n| request.limit > n) {
            return None;
        }
        let limit = self.cap.map_or(request.limit, |cap| cap.min(request.limit)) as usize;
        let from = match &request.cursor {
            Some(cursor) => cursor.parse().unwrap(),
            None if self.offset => usize::try_from(request.offset).unwrap(),
            None => 0,
        };
        let ids: Vec<String> = rows.iter().skip(from).take(limit).cloned().collect();
        let next = from + ids.len();
        Some(PageFacts {
            created: vec![None; ids.len()],
            len: ids.len(),
            next_cursor: (self.cursor && next < rows.len()).then(|| next.to_string()),
            ids,
        })
    }
}

fn walk(
    server: Server,
    rows: &mut Vec<String>,
    drift: &[i8],
) -> (HashSet<String>, Walk, ListFacts) {
    let mut facts = ListFacts::default();
    let mut walk = Walk::new(&facts, false);
    let mut seen = HashSet::new();
    let mut asked = 0_usize;
    while let Some(request) = walk.request() {
        match server.answer(rows, &request) {
            Some(page) => {
                seen.extend(page.ids.iter().cloned());
                walk.accept(&page, &mut facts);
            }
            None => assert!(walk.refused(&mut facts)),
        }
        match drift.get(asked).copied().unwrap_or(0) {
            n if n > 0 => {
                for i in 0..n {
                    rows.insert(0, format!("new-{asked}-{i}"));
                }
            }
            n => {
                rows.drain(..usize::from(n.unsigned_abs()).min(rows.len()));
            }
        }
        asked += 1;
        assert!(asked < 5_000, "a walk must end");
    }
    (seen, walk, facts)
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
    )
        .prop_map(|(offset, cap, refuses_above, cursor)| Server {
            offset,
            cap,
            refuses_above,
            cursor,
        })
}

/// Lists of up to 2,500 that cannot be told from those of a server that cuts them just there.
const AS_LONG_AS_A_LIMIT: [usize; 5] = [100, 200, 400, 800, 1_600];

#[test]
fn a_list_as_long_as_a_limit_may_have_been_cut_there() {
    let server = Server {
        offset: false,
        cap: None,
        refuses_above: None,
        cursor: false,
    };
    for count in AS_LONG_AS_A_LIMIT {
        let (seen, whole, _) = walk(server, &mut rows(count), &[]);
        assert_eq!((seen.len(), whole.end()), (count, Some(End::Cut)));
        let cap = u32::try_from(count).ok();
        let (seen, cut, _) = walk(Server { cap, ..server }, &mut rows(2_999), &[]);
        assert_eq!((seen.len(), cut.end()), (count, Some(End::Cut)));
    }
}

#[test]
fn a_long_list_is_read_in_larger_pages_as_far_as_they_are_filled() {
    let plain = Server {
        offset: true,
        cap: None,
        refuses_above: None,
        cursor: false,
    };
    let (seen, whole, facts) = walk(plain, &mut rows(100_000), &[]);
    assert_eq!((seen.len(), whole.end()), (100_000, Some(End::Whole)));
    assert!(whole.pages() < 120, "{}", whole.pages());
    assert_eq!(facts.limit_filled, 1_000);
    let cursor = Server {
        cursor: true,
        offset: false,
        ..plain
    };
    let (seen, whole, _) = walk(cursor, &mut rows(100_000), &[]);
    assert_eq!((seen.len(), whole.end()), (100_000, Some(End::Whole)));
    assert!(whole.pages() < 120, "{}", whole.pages());
    for limited in [
        Server {
            cap: Some(250),
            ..plain
        },
        Server {
            refuses_above: Some(250),
            ..plain
        },
    ] {
        let (seen, whole, facts) = walk(limited, &mut rows(10_000), &[]);
        assert_eq!((seen.len(), whole.end()), (10_000, Some(End::Whole)));
        assert!(whole.pages() < 60, "{}", whole.pages());
        let learned = (facts.limit_capped_at, facts.limit_refused_at);
        let expected = match limited.cap {
            Some(_) => (Some(250), None),
            None => (None, Some(400)),
        };
        assert_eq!(learned, expected);
    }
}

#[test]
fn a_server_that_cuts_more_than_it_did_is_still_read_to_its_end() {
    let server = |cap| Server {
        offset: true,
        cap: Some(cap),
        refuses_above: None,
        cursor: false,
    };
    let mut facts = ListFacts::default();
    for cap in [1_000, 100] {
        facts.limit_capped_at = None;
        let mut list = Walk::new(&facts, false);
        let mut seen = HashSet::new();
        while let Some(request) = list.request() {
            let page = server(cap).answer(&rows(5_000), &request).unwrap();
            seen.extend(page.ids.iter().cloned());
            list.accept(&page, &mut facts);
        }
        assert_eq!(seen.len(), 5_000, "cut at {cap}");
    }
}

proptest! {
    #[test]
    fn a_walk_ends_and_sees_all_that_can_be_seen(server in servers(), count in 0_usize..2_500) {
        let mut list = rows(count);
        let (seen, walk, _) = walk(server, &mut list, &[]);
        if server.offset || server.cursor {
            prop_assert_eq!(seen.len(), count);
            prop_assert!(walk.end().is_some());
        } else if server.cap.is_none() && server.refuses_above.is_none() {
            prop_assert_eq!(seen.len(), count);
            let end = if AS_LONG_AS_A_LIMIT.contains(&count) { End::Cut } else { End::Whole };
            prop_assert_eq!(walk.end(), Some(end));
        }
    }

    #[test]
    fn a_walk_ends_soon_however_the_list_moves(
        server in servers(), count in 0_usize..60, drift in prop::collection::vec(-30_i8..30, 0..40),
    ) {
        let mut list = rows(count);
        let (_, walk, _) = walk(server, &mut list, &drift);
        prop_assert!(walk.pages() < 1_500);
    }

    #[test]
    fn drift_never_stops_a_walk_nor_hides_what_stayed(
        server in servers(), count in 0_usize..2_000, drift in prop::collection::vec(-3_i8..4, 0..20),
    ) {
        let mut list = rows(count);
        let stays: Vec<String> = list.iter().skip(100).cloned().collect();
        let (seen, _, _) = walk(Server { offset: true, ..server }, &mut list, &drift);
        if server.cursor { return Ok(()); }
        if server.cap.is_none_or(|cap| cap > 20) && server.refuses_above.is_none_or(|n| n > 20) {
            for id in stays.iter().filter(|id| list.contains(id)) {
                prop_assert!(seen.contains(id), "{} of {:?}", id, server);
            }
        }
    }
}

#[test]
fn what_is_learned_is_true() {
    let plain = Server {
        offset: true,
        cap: None,
        refuses_above: None,
        cursor: false,
    };
    let (_, _, facts) = walk(plain, &mut rows(250), &[]);
    assert_eq!((facts.offset, facts.limit_filled), (Known::Honoured, 100));
    let ignoring = Server {
        offset: false,
        ..plain
    };
    let (_, end, facts) = walk(ignoring, &mut rows(250), &[]);
    assert_eq!(
        (facts.offset, end.end()),
        (Known::Ignored, Some(End::Whole))
    );
    let capped = Server {
        cap: Some(40),
        ..plain
    };
    let (_, _, facts) = walk(capped, &mut rows(250), &[]);
    assert_eq!(facts.limit_capped_at, Some(40));
    let refusing = Server {
        refuses_above: Some(50),
        ..plain
    };
    let (_, _, facts) = walk(refusing, &mut rows(250), &[]);
    assert_eq!(facts.limit_refused_at, Some(100));
    let hopeless = Server {
        cap: Some(100),
        ..ignoring
    };
    let (_, end, facts) = walk(hopeless, &mut rows(250), &[]);
    assert_eq!((end.end(), facts.cut), (Some(End::Cut), true));
}
