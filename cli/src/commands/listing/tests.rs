use std::time::Duration;

use super::*;

const RUNS: RequestedList<'_> = RequestedList::Runs(RunKind::Run);

fn read(options: &ListOptions) -> Result<ListQuery, Failure> {
    let now = UnixMs::parse("2026-11-24T03:00:00Z").unwrap();
    query(RUNS, options, now, || TimeZone::UTC)
}

#[test]
fn runs_are_limited_to_twenty_and_trials_are_not() {
    let options = ListOptions::default();
    assert_eq!(read(&options).unwrap().limit, 20);
    let trials = query(RequestedList::Trials("r"), &options, UnixMs(0), || {
        TimeZone::UTC
    })
    .unwrap();
    assert_eq!(trials.limit, 0);
}

#[test]
fn times_are_read_and_bad_options_are_usage_errors() {
    let since = |text: &str| ListOptions {
        since: Some(text.to_owned()),
        ..ListOptions::default()
    };
    let day = Duration::from_secs(86_400);
    let now = UnixMs::parse("2026-11-24T03:00:00Z").unwrap();
    assert_eq!(read(&since("1d")).unwrap().since, Some(now.minus(day)));
    let sorted = ListOptions {
        sort: Some("reward".to_owned()),
        ..ListOptions::default()
    };
    for bad in [since("soon"), sorted] {
        assert_eq!(read(&bad).unwrap_err().kind, Kind::Usage);
    }
}

#[test]
fn the_footer_appears_only_when_a_list_is_cut() {
    assert_eq!(footer(20, None, Some(812)).as_deref(), Some("20 of 812"));
    assert_eq!(footer(20, Some(20), Some(20)), None);
    assert_eq!(footer(0, Some(9), Some(9)), None);
    assert_eq!(footer(20, Some(3), None), None);
    assert!(footer(20, Some(20), None).is_some());
}
