use super::manual::ManualClock;
use super::*;

const TEN_YEARS_MS: i64 = 10 * 365 * 86_400_000;

#[test]
fn stamps_never_go_back_and_ages_follow_the_monotonic_clock() {
    for jump in [TEN_YEARS_MS, -TEN_YEARS_MS, 86_400_000, -86_400_000, 5_000] {
        let clock = ManualClock::new();
        let mut steady = SteadyClock::new(&clock, UnixMs(0));
        let first = steady.now(&clock);
        clock.jump_wall(jump);
        clock.advance(Duration::from_secs(7));
        let second = steady.now(&clock);
        assert!(second.stamp > first.stamp, "{jump}");
        assert_eq!(
            steady.age(first.stamp, second.mono),
            Duration::from_secs(7),
            "{jump}"
        );
    }
}

#[test]
fn a_wrong_clock_that_was_set_right_is_believed_after_a_while() {
    let clock = ManualClock::new();
    let mut steady = SteadyClock::new(&clock, UnixMs(0));
    clock.jump_wall(TEN_YEARS_MS);
    steady.now(&clock);
    clock.advance(BELIEVED_AFTER);
    assert_eq!(steady.now(&clock).stamp, clock.wall());
}

#[test]
fn a_stamp_from_the_future_has_an_age() {
    let clock = ManualClock::new();
    let steady = SteadyClock::new(&clock, UnixMs(0));
    clock.advance(Duration::from_secs(3));
    let age = steady.age(clock.wall().plus(IMPLAUSIBLE), clock.monotonic());
    assert_eq!(age, Duration::from_secs(3));
}
