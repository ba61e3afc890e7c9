//! How many of all points a test takes.

/// Takes every n-th point; 1 takes each.
const VARIABLE: &str = "DOCKS_FAULT_EVERY";

/// Returns the distance between two points that are tried: `usual`, unless the environment sets another one.
///
/// Distances are prime numbers, so that they share no period with the calls of an operation.
pub(super) fn distance(usual: usize) -> usize {
    let variable = std::env::var(VARIABLE).ok();
    variable.map_or(usual, |text| text.parse().unwrap())
}
