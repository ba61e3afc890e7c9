//! Numbers the rows of a list without renumbering those that keep their order; pure.

/// Distance between the positions of neighbours.
const GAP: i64 = 1 << 20;

/// Gives each row of a list a position, higher for later rows.
///
/// `old` holds each row's present position, `None` for a new row. Rows keep their
/// position if the old ones are still in ascending order and leave room for the new ones;
/// otherwise all rows are renumbered, which is rare.
pub(super) fn assign_positions(old: &[Option<i64>]) -> Vec<i64> {
    keep_old(old).unwrap_or_else(|| {
        (1..=old.len())
            .map(|n| i64::try_from(n).expect("a list fits in memory") * GAP)
            .collect()
    })
}

/// Returns a position for one row between two neighbours; `None` when there is no room.
///
/// Rows are mostly added one after the other, so the larger part of the room is left behind the new one.
pub(super) fn position_between(before: Option<i64>, after: Option<i64>) -> Option<i64> {
    match (before, after) {
        (None, None) => Some(GAP),
        (Some(before), None) => before.checked_add(GAP),
        (None, Some(after)) => after.checked_sub(GAP),
        (Some(before), Some(after)) => {
            let room = after.checked_sub(before)?;
            (room > 1).then(|| before + (room / 8).max(1))
        }
    }
}

fn keep_old(old: &[Option<i64>]) -> Option<Vec<i64>> {
    let mut positions = Vec::with_capacity(old.len());
    let mut before: Option<i64> = None;
    let mut rest = old;
    while !rest.is_empty() {
        let new = rest.iter().take_while(|p| p.is_none()).count();
        let after = rest.get(new).copied().flatten();
        insert_between(&mut positions, before, after, i64::try_from(new).ok()?)?;
        if let Some(after) = after {
            if before.is_some_and(|before| before >= after) {
                return None;
            }
            positions.push(after);
        }
        before = after;
        rest = rest.get(new + 1..).unwrap_or_default();
    }
    Some(positions)
}

/// Adds `count` positions between two existing ones; `None` when there is no room.
fn insert_between(
    positions: &mut Vec<i64>,
    before: Option<i64>,
    after: Option<i64>,
    count: i64,
) -> Option<()> {
    let (start, step) = match (before, after) {
        (None, None) => (0, GAP),
        (Some(before), None) => (before, GAP),
        (None, Some(after)) => (after.checked_sub(GAP.checked_mul(count + 1)?)?, GAP),
        (Some(before), Some(after)) => (before, after.checked_sub(before)? / (count + 1)),
    };
    if count > 0 && step < 1 {
        return None;
    }
    for n in 1..=count {
        positions.push(start.checked_add(step.checked_mul(n)?)?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_row_moves_no_other() {
        let first = assign_positions(&[None; 3]);
        let old: Vec<_> = first.iter().copied().map(Some).collect();
        let grown = assign_positions(&[None, old[0], None, None, old[1], old[2], None]);
        assert!(grown.is_sorted(), "{grown:?}");
        assert_eq!(
            (grown[1], grown[4], grown[5]),
            (first[0], first[1], first[2])
        );
    }

    #[test]
    fn a_different_order_or_no_room_renumbers_all_rows() {
        let assigned = |old: &[Option<i64>]| assign_positions(old);
        assert_eq!(assigned(&[Some(5), Some(3)]), [GAP, 2 * GAP]);
        assert_eq!(assigned(&[Some(5), None, Some(6)]), [GAP, 2 * GAP, 3 * GAP]);
        assert_eq!(assigned(&[Some(i64::MAX), None]), [GAP, 2 * GAP]);
    }

    #[test]
    fn rows_are_added_one_after_the_other_until_there_is_no_room() {
        let (mut before, after) = (0, GAP);
        let mut added = 0;
        while let Some(position) = position_between(Some(before), Some(after)) {
            assert!(before < position && position < after);
            before = position;
            added += 1;
        }
        assert!(added > 80, "{added}");
        assert_eq!(position_between(Some(7), None), Some(7 + GAP));
        assert_eq!(position_between(None, Some(7)), Some(7 - GAP));
        assert_eq!(position_between(Some(i64::MAX), None), None);
    }

    proptest! {
        #[test]
        fn positions_always_ascend(
            old in prop::collection::vec(prop::option::of(-9i64..9), 0..20)
        ) {
            let positions = assign_positions(&old);
            prop_assert_eq!(positions.len(), old.len());
            prop_assert!(positions.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
