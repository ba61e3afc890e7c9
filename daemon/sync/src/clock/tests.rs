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
fn a_stamp_from_the_future_is_as_old_as_this_process() {
    let clock = ManualClock::new();
    let steady = SteadyClock::new(&clock, UnixMs(0));
    clock.advance(Duration::from_secs(3));
    let age = steady.age(clock.wall().plus(IMPLAUSIBLE), clock.monotonic());
    assert_eq!(age, Duration::from_secs(3));
}

#[test]
fn at_start_a_clock_years_ahead_dates_nothing_until_it_has_lasted() {
    let clock = ManualClock::new();
    let floor = clock.wall();
    clock.advance(Duration::from_secs(5));
    clock.jump_wall(TEN_YEARS_MS);
    let mut steady = SteadyClock::new(&clock, floor);
    let now = steady.now(&clock);
    assert_eq!(now.stamp, floor.plus(Duration::from_millis(1)));
    assert_eq!(steady.age(floor, now.mono), UNKNOWN_AGE);
    assert_eq!(steady.settled(&clock), None);
    clock.advance(BELIEVED_AFTER - Duration::from_secs(1));
    steady.now(&clock);
    assert_eq!(steady.settled(&clock), None);
    clock.advance(Duration::from_secs(1));
    let now = steady.now(&clock);
    assert_eq!(now.stamp, clock.wall());
    assert_eq!(steady.settled(&clock), Some(now.stamp));
    assert_eq!(steady.age(floor, now.mono), now.stamp.since(floor));
}

#[test]
fn a_clock_years_ahead_that_is_set_right_leaves_nothing_behind() {
    let clock = ManualClock::new();
    let floor = clock.wall();
    clock.jump_wall(TEN_YEARS_MS);
    let mut steady = SteadyClock::new(&clock, floor);
    steady.now(&clock);
    clock.advance(Duration::from_secs(20));
    clock.jump_wall(-TEN_YEARS_MS);
    let now = steady.now(&clock);
    assert!(now.stamp.since(clock.wall()) <= DRIFT, "{now:?}");
    assert_eq!(steady.age(floor, now.mono), Duration::from_millis(20_001));
    clock.advance(BELIEVED_AFTER);
    assert_eq!(steady.settled(&clock), Some(clock.wall()));
}

#[test]
fn after_a_weekend_the_clock_is_believed_at_once_but_nothing_is_deleted_by_it() {
    let clock = ManualClock::new();
    let floor = clock.wall();
    clock.advance(Duration::from_secs(3 * 86_400));
    let mut steady = SteadyClock::new(&clock, floor);
    let now = steady.now(&clock);
    assert_eq!(now.stamp, clock.wall());
    assert_eq!(steady.age(floor, now.mono), Duration::from_secs(3 * 86_400));
    assert_eq!(steady.settled(&clock), None);
    clock.advance(BELIEVED_AFTER);
    assert_eq!(steady.settled(&clock), Some(clock.wall()));
}

#[test]
fn at_start_a_clock_that_is_behind_makes_nothing_look_fresh() {
    for behind in [3_000, 86_400_000, TEN_YEARS_MS] {
        let clock = ManualClock::new();
        let floor = clock.wall();
        clock.advance(Duration::from_secs(1));
        clock.jump_wall(-behind);
        let mut steady = SteadyClock::new(&clock, floor);
        let now = steady.now(&clock);
        assert!(now.stamp > floor);
        let stored = floor.minus(Duration::from_secs(60));
        for stamp in [stored, floor] {
            assert!(steady.age(stamp, now.mono) >= UNKNOWN_AGE, "{behind}");
        }
        let of_this_process = now.stamp;
        clock.advance(Duration::from_secs(5));
        let age = steady.age(of_this_process, clock.monotonic());
        assert_eq!(age, Duration::from_secs(5));
    }
}

#[test]
fn a_clock_that_stays_behind_is_reported_once_in_a_while_and_can_be_gone_back_to() {
    let clock = ManualClock::new();
    let mut steady = SteadyClock::new(&clock, clock.wall().plus(SET_BACK * 50));
    let mut now = steady.now(&clock);
    assert!(!steady.is_ahead(now.mono));
    clock.advance(BELIEVED_AFTER);
    now = steady.now(&clock);
    assert!(steady.is_ahead(now.mono));
    steady.doubt_again(now.mono);
    assert!(!steady.is_ahead(now.mono));
    steady.set_back(&clock);
    now = steady.now(&clock);
    assert_eq!(now.stamp, clock.wall());
    assert_eq!(steady.settled(&clock), Some(clock.wall()));
    clock.advance(BELIEVED_AFTER);
    now = steady.now(&clock);
    assert!(!steady.is_ahead(now.mono));
}

#[test]
fn only_implausible_jumps_make_the_age_of_what_is_stored_doubtful() {
    let clock = ManualClock::new();
    let mut steady = SteadyClock::new(&clock, UnixMs(0));
    for jump in [3_600_000, -TEN_YEARS_MS, TEN_YEARS_MS] {
        clock.jump_wall(jump);
        steady.now(&clock);
        clock.advance(BELIEVED_AFTER);
        steady.now(&clock);
        assert_eq!(steady.note(), None, "{jump}");
    }
    clock.jump_wall(TEN_YEARS_MS);
    steady.now(&clock);
    clock.advance(BELIEVED_AFTER);
    let now = steady.now(&clock);
    assert_eq!(steady.note().unwrap().jumped, Some(now.stamp));
    steady.note_stored();
    assert_eq!(steady.note(), None);
}
