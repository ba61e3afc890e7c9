//! Which rows are on the frontier of rate against cost: who wants a higher rate has to pay more.

use docks_proto::score::ScoreRow;

/// Marks the rows on the frontier, of those whose mark is not null: the others' cost is not known well enough.
pub(super) fn mark(rows: &mut [ScoreRow]) {
    let points: Vec<Option<(f64, f64)>> = rows
        .iter()
        .map(|row| {
            row.frontier?;
            Some((row.rate?.value, row.cost_per_trial_usd.value?))
        })
        .collect();
    let is_beaten = |(rate, cost): (f64, f64)| {
        let mut others = points.iter().flatten();
        others.any(|&(other, price)| {
            (other >= rate && price < cost) || (other > rate && price <= cost)
        })
    };
    for (row, point) in rows.iter_mut().zip(&points) {
        row.frontier = point.map(|point| !is_beaten(point));
    }
}
