//! Whole lists from remotes of every habit, without a network.

use super::*;
use crate::client::SendError;
use std::cell::Cell;

/// A remote of `count` objects, by its habits.
#[derive(Clone, Copy)]
struct Habits {
    count: u64,
    cap: u64,
    refuses: bool,
    /// Objects above which an answer is larger than we accept.
    too_large_above: u64,
    offset: bool,
    cursor: bool,
    loops: bool,
}

const PLAIN: Habits = Habits {
    count: 500,
    cap: 100,
    refuses: false,
    too_large_above: u64::MAX,
    offset: true,
    cursor: false,
    loops: false,
};

impl Habits {
    fn answer(self, request: &PageRequest) -> Result<RawList, ClientError> {
        let limit = request.limit.map_or(self.cap, u64::from);
        if self.refuses && limit > self.cap {
            return Err(ClientError::Refused {
                status: 422,
                body: Box::default(),
                retry_after: None,
            });
        }
        let start = match &request.cursor {
            Some(at) => at.parse().unwrap(),
            None if self.offset => request.offset,
            None => 0,
        };
        let end = (start + limit.min(self.cap)).min(self.count);
        if end.saturating_sub(start) > self.too_large_above {
            return Err(ClientError::Send(SendError::TooLarge {
                to: "remote".into(),
                limit_bytes: 64,
            }));
        }
        let next = (end < self.count).then(|| end.to_string());
        Ok(RawList {
            objects: (start.min(end)..end)
                .map(|i| {
                    RawObject::parse(&format!(r#"{{"id":"r{i}"}}"#))
                        .unwrap()
                        .unwrap()
                })
                .collect(),
            next_cursor: if self.loops {
                Some("0".into())
            } else {
                next.filter(|_| self.cursor)
            },
            ..RawList::default()
        })
    }
}

async fn walk(habits: Habits, max: Option<u64>) -> (usize, u32) {
    let requests = Cell::new(0);
    let fetch = |request: PageRequest| {
        requests.set(requests.get() + 1);
        async move { habits.answer(&request) }
    };
    let objects = collect(WalkOptions::one_shot(max), fetch).await.unwrap();
    let ids: HashSet<String> = objects.iter().map(key).collect();
    assert_eq!(ids.len(), objects.len(), "each object comes once");
    (objects.len(), requests.get())
}

#[tokio::test]
async fn every_habit_of_paging_gives_all_there_is_to_have() {
    assert_eq!(walk(PLAIN, None).await, (500, 6));
    let refuses = Habits {
        refuses: true,
        ..PLAIN
    };
    assert_eq!(walk(refuses, None).await, (500, 7));
    let cursor = Habits {
        cursor: true,
        offset: false,
        ..PLAIN
    };
    assert_eq!(walk(cursor, None).await, (500, 5));
    let whole = Habits {
        offset: false,
        cap: 1 << 30,
        count: 3_000,
        ..PLAIN
    };
    assert_eq!(walk(whole, None).await, (3_000, 4));
    let capped_for_good = Habits {
        offset: false,
        ..PLAIN
    };
    assert_eq!(walk(capped_for_good, None).await, (100, 2));
    let empty = Habits { count: 0, ..PLAIN };
    assert_eq!(walk(empty, None).await, (0, 1));
}

#[tokio::test]
async fn large_rows_come_in_smaller_pages_and_one_that_is_too_large_is_an_error() {
    let large = Habits {
        too_large_above: 30,
        count: 120,
        ..PLAIN
    };
    assert_eq!(walk(large, None).await.0, 120);
    assert_eq!(walk(large, Some(40)).await.0, 40);
    let cursor = Habits {
        cursor: true,
        offset: false,
        ..large
    };
    assert_eq!(walk(cursor, None).await.0, 120);
    let hopeless = Habits {
        too_large_above: 0,
        ..large
    };
    let fetch = |request: PageRequest| async move { hopeless.answer(&request) };
    let failed = collect(WalkOptions::one_shot(None), fetch).await;
    let is_too_large = matches!(failed, Err(ClientError::Send(SendError::TooLarge { .. })));
    assert!(is_too_large, "{failed:?}");
}

#[tokio::test]
async fn a_walk_stops_when_it_has_enough_and_when_cursors_repeat() {
    assert_eq!(walk(PLAIN, Some(20)).await, (20, 1));
    assert_eq!(walk(PLAIN, Some(150)).await, (150, 2));
    let loops = Habits {
        loops: true,
        offset: false,
        ..PLAIN
    };
    assert_eq!(walk(loops, None).await, (100, 2));
}

proptest::proptest! {
    #[test]
    fn any_habits_end_without_doubles_and_whole_where_paging_works(
        count in 0u64..700,
        cap in 1u64..600,
        [refuses, offset, cursor, loops] in proptest::array::uniform4(proptest::bool::ANY),
    ) {
        let habits = Habits { count, cap, refuses, offset, cursor, loops, ..PLAIN };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (objects, requests) = runtime.block_on(walk(habits, None));
        proptest::prop_assert!(u64::from(requests) <= count + 6 + 8);
        proptest::prop_assert!(objects as u64 <= count);
        if (offset || cursor) && !loops {
            proptest::prop_assert_eq!(objects as u64, count);
        }
    }
}
