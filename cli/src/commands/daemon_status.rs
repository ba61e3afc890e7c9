//! `docks daemon status`: health, remotes, last and next sync.

use docks_proto::status::{
    ClosedMirror, DaemonStatus, HubStatus, PrefetchStatus, ProcessStatus, RemoteStatus,
    ScheduleStatus,
};

use crate::args::Format;
use crate::ask::{DaemonEndpoint, WaitPolicy};
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Failure, Kind};

/// Prints the daemon's status; fails with exit code 1 when no daemon is running.
pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let endpoint = DaemonEndpoint::new(Environment::of_process())?;
    let status = endpoint
        .status_of_any_build(WaitPolicy::Limited)
        .await
        .map_err(|error| {
            Failure::chain(Kind::Failed, "docksd is not responding correctly", &error)
                .hint("`docks daemon restart` replaces it")
        })?;
    let Some(status) = status else {
        return Err(Failure::failed("docksd is not running").hint("start it: `docks daemon start`"));
    };
    if let Format::Json | Format::Jsonl = context.global.format {
        let text = serde_json::to_string(&status)
            .map_err(|e| Failure::chain(Kind::Failed, "could not write the status", &e))?;
        context.output.line(text);
        return Ok(());
    }
    let mut rows = daemon_rows(&status);
    for remote in &status.remotes {
        rows.extend(remote_rows(remote));
    }
    rows.extend(status.closed_mirrors.iter().map(closed_row));
    super::print_facts(context, &rows);
    Ok(())
}

fn row(what: &str, value: impl Into<String>) -> Vec<String> {
    vec![what.to_owned(), value.into()]
}

fn daemon_rows(status: &DaemonStatus) -> Vec<Vec<String>> {
    let mut rows = vec![
        row("pid", status.pid.to_string()),
        row(
            "version",
            format!("{} (protocol {})", status.version, status.protocol),
        ),
        row("sqlite", &status.sqlite_version),
        row("socket", &status.socket),
        row("logs", &status.log_dir),
        row("uptime", format_seconds(status.uptime_s)),
    ];
    if let Some(bytes) = status.resident_bytes {
        rows.push(row("memory", format_size(bytes)));
    }
    let idle = match status.idle_exit_s {
        Some(limit) => format!("after {} without a request", format_seconds(limit)),
        None => "never".to_owned(),
    };
    rows.push(row("ends", idle));
    rows.extend(process_rows(&status.process));
    if let Some(hub) = &status.hub {
        rows.extend(hub_rows(hub));
    }
    for schedule in &status.schedules {
        rows.push(row(
            &format!("schedule {}", schedule.name),
            due_times(schedule),
        ));
    }
    rows
}

fn process_rows(process: &ProcessStatus) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    if let Some(program) = &process.program {
        rows.push(row("program", program));
    }
    if let Some(level) = process.nice {
        rows.push(row(
            "nice",
            format!("{level}, which docksd was not allowed to change"),
        ));
    }
    for limit in &process.limits {
        let maximum = limit.maximum;
        let (what, most) = match limit.name.as_str() {
            "file_size" => ("size of a file", format_size(maximum)),
            "address_space" => ("address space", format_size(maximum)),
            "data" => ("data", format_size(maximum)),
            "stack" => ("stack", format_size(maximum)),
            "cpu_time" => ("processor time", format_seconds(maximum)),
            "open_files" => ("open files", maximum.to_string()),
            other => (other, maximum.to_string()),
        };
        rows.push(row(
            "limit",
            format!("{what}: {most}, which docksd was not allowed to raise"),
        ));
    }
    if let Some(proxies) = &process.proxies {
        for (scheme, proxy) in [("https", &proxies.https), ("http", &proxies.http)] {
            if let Some(proxy) = proxy {
                rows.push(row("proxy", format!("{proxy} for {scheme}")));
            }
        }
        if let Some(except) = &proxies.no_proxy {
            rows.push(row("no proxy", format!("for {except}")));
        }
    }
    rows
}

/// Describes a job: its cron line, if the daemon sends it, and its last and next time.
fn due_times(schedule: &ScheduleStatus) -> String {
    let times = format!(
        "last {}, next {}",
        time_or_never(schedule.last_success.as_ref()),
        time_or_never(schedule.next_due.as_ref())
    );
    match &schedule.cron {
        Some(cron) => format!("{cron} (local time), {times}"),
        None => times,
    }
}

fn hub_rows(hub: &HubStatus) -> Vec<Vec<String>> {
    let mut access = if hub.token {
        "with the token"
    } else {
        "without a token"
    }
    .to_owned();
    if hub.read_only {
        access.push_str(", read-only");
    }
    vec![
        row("hub", format!("{} ({access})", hub.address)),
        row("  shares", &hub.location),
        row("  connections", hub.connections.to_string()),
        row(
            "  requests",
            format!(
                "{} since it started, {} of them unchanged (304)",
                hub.requests, hub.not_modified
            ),
        ),
    ]
}

fn remote_rows(remote: &RemoteStatus) -> Vec<Vec<String>> {
    let names = if remote.profiles.is_empty() {
        "without a profile".to_owned()
    } else {
        remote.profiles.join(", ")
    };
    let counts = &remote.rows;
    let mut rows = vec![
        row("remote", format!("{} ({names})", remote.location)),
        row(
            "  rows",
            format!(
                "{} runs, {} evaluation runs, {} trials, {} active, {} gone",
                counts.runs,
                counts.evaluation_runs,
                counts.trials,
                counts.active,
                counts.tombstones
            ),
        ),
        row(
            "  last success",
            time_or_never(remote.last_success.as_ref()),
        ),
    ];
    if let Some(notice) = &remote.notice {
        rows.push(row("  notice", notice));
    }
    if let Some(error) = &remote.last_error {
        let times = error.consecutive;
        rows.push(row(
            "  last error",
            format!("{} {} ({times} in a row)", error.at, error.message),
        ));
    }
    let next = match (&remote.next_due, &remote.next_step) {
        (Some(due), Some(step)) => format!("{due} {step}"),
        (due, _) => time_or_never(due.as_ref()),
    };
    rows.extend([
        row("  next due", next),
        row("  backlog", remote.backlog.to_string()),
        row("  following", following(remote)),
        row("  circuit", &remote.circuit),
        row("  requests", requests(remote)),
        row(
            "  database",
            format!(
                "{} ({})",
                remote.database,
                format_size(remote.database_bytes)
            ),
        ),
    ]);
    if let Some(mirror) = &remote.mirror {
        let used = time_or_never(remote.last_used.as_ref());
        let owner = remote.owner.as_deref().unwrap_or("unknown");
        rows.push(row(
            "  mirror",
            format!("{mirror} (owner: {owner}), last used {used}"),
        ));
        // A directory or a server that was named by mistake would otherwise be followed for good.
        if matches!(&*remote.kind, "harbor_jobs" | "harbor_server") {
            rows.push(row("  forget", format!("`docks cache forget {mirror}`")));
        }
    }
    if let Some(path) = &remote.set_aside {
        rows.push(row("  set aside", format!("{path} (was corrupt)")));
    }
    if let Some(rebuilt) = &remote.rebuilt {
        let history = match rebuilt.whole_history {
            true => "the whole history",
            false => "a part of the history",
        };
        rows.push(row(
            "  rebuilt",
            format!(
                "at {}: kept {} runs, {} trials and {history} ({} events)",
                rebuilt.at, rebuilt.runs, rebuilt.trials, rebuilt.events
            ),
        ));
    }
    if let Some(prefetch) = &remote.prefetch {
        rows.extend(prefetch_rows(prefetch));
    }
    rows
}

/// Describes what `pull` in `daemon.toml` still has to fetch, and what it gave up.
fn prefetch_rows(prefetch: &PrefetchStatus) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    if prefetch.pending > 0 {
        let next = time_or_never(prefetch.next_attempt.as_ref());
        let failed = prefetch.last_error.as_ref();
        let failed = failed.map_or_else(String::new, |error| format!("; last failure: {error}"));
        rows.push(row(
            "  artifacts",
            format!(
                "to fetch for {} ended runs, next attempt {next}{failed}",
                prefetch.pending
            ),
        ));
    }
    if let Some(last) = &prefetch.last_given_up {
        rows.push(row(
            "  given up",
            format!(
                "artifacts of {} runs, last of {} at {}: {}",
                prefetch.given_up, last.run, last.at, last.reason
            ),
        ));
    }
    rows
}

/// Describes a mirror that is on disk and not open.
fn closed_row(mirror: &ClosedMirror) -> Vec<String> {
    let owner = match &mirror.profile {
        Some(profile) => format!("profile {profile}"),
        None => format!("owner: {}", mirror.owner),
    };
    let used = time_or_never(mirror.last_used.as_ref());
    row(
        &format!("mirror {}", mirror.mirror),
        format!(
            "{} ({owner}), {}, last used {used}, not open",
            mirror.location,
            format_size(mirror.size_bytes)
        ),
    )
}

fn following(remote: &RemoteStatus) -> String {
    let how = remote.following.as_deref().unwrap_or("polling");
    match (remote.watched_folders, &remote.not_followed) {
        (Some(folders), _) => format!("{how} ({folders} folders watched)"),
        (None, Some(why)) => format!("{how} ({why})"),
        (None, None) => how.to_owned(),
    }
}

fn requests(remote: &RemoteStatus) -> String {
    let made = format!(
        "{} in the last hour, {} of them unchanged (304)",
        remote.requests_last_hour, remote.not_modified_last_hour
    );
    match remote.budget_per_minute {
        // Local files have no request budget.
        0 => made,
        most => format!("{made}; {} of {most} left this minute", remote.budget_left),
    }
}

fn time_or_never(time: Option<&String>) -> String {
    time.map_or_else(|| "never".to_owned(), Clone::clone)
}

fn format_seconds(total: u64) -> String {
    match total {
        0..60 => format!("{total} s"),
        60..3_600 => format!("{} min", total / 60),
        3_600..86_400 => format_two_units(total / 3_600, "h", total % 3_600 / 60, "min"),
        _ => format_two_units(total / 86_400, "d", total % 86_400 / 3_600, "h"),
    }
}

fn format_two_units(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    }
}

fn format_size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{} KiB", bytes / 1_024),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}
