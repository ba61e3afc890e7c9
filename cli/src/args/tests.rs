use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
        .and_then(|cli| cli.check_repeated_remotes(line.split_whitespace().map(OsString::from)))
        .and_then(Cli::check_conflicts)
}

#[test]
fn the_command_tree_is_valid() {
    Cli::command().debug_assert();
}

#[test]
fn global_options_work_on_both_sides_of_a_subcommand() {
    for line in [
        "docks --format json --debug -p work runs list",
        "docks runs list --format json --debug -p work",
        "docks runs --format json list -p work --debug",
    ] {
        let cli = parse(line).unwrap();
        assert_eq!(cli.global.format, Format::Json, "{line}");
        assert!(cli.global.debug, "{line}");
        assert_eq!(cli.global.profile, ["work"], "{line}");
    }
}

#[test]
fn no_named_remote_is_silently_dropped() {
    for line in [
        "docks --harbor /x --harbor=/y runs list",
        "docks runs list --harbor /x --harbor /y",
    ] {
        assert_eq!(parse(line).unwrap().global.harbor.len(), 2, "{line}");
    }
    let line =
        "docks -p x,y runs list --harbor /x --harbor-server http://a --harbor-server http://b";
    let named = parse(line).unwrap().global.named_remotes();
    assert_eq!(named.map(|(_, count)| count), [2, 1, 2]);
    assert!(parse("docks runs get --harbor /x -- --harbor").is_ok());
}

#[test]
fn a_file_to_print_is_one_of_a_trial_or_of_a_run() {
    for (line, trial, path) in [
        ("docks runs cat r t --raw p", Some("t"), "p"),
        ("docks runs cat r p --raw", None, "p"),
        ("docks runs cat --raw r t p", Some("t"), "p"),
    ] {
        let cli = parse(line).unwrap();
        let Command::Runs(runs) = cli.command else {
            panic!("{line}");
        };
        let RunsCommand::Cat(cat) = &*runs else {
            panic!("{line}");
        };
        assert_eq!((cat.trial_id(), cat.path()), (trial, path), "{line}");
    }
    assert!(parse("docks runs cat r").is_err());
}

#[test]
fn conflicts_are_usage_errors_on_both_sides_of_a_subcommand() {
    for line in [
        "docks --fresh runs list --offline",
        "docks runs list --fresh --max-age 5s",
        "docks --max-age 5s runs list --offline",
        "docks runs list --offline --no-daemon",
        "docks --harbor /x auth status -p y",
        "docks --harbor /x auth status --harbor-server http://127.0.0.1:8390",
        "docks -p y cache status --harbor-server http://127.0.0.1:8390",
        "docks --harbor /x runs list --harbor=/y",
        "docks --harbor-server http://a runs list --harbor-server=http://b",
        "docks auth login --token abc",
        "docks runs list --limit -5",
        "docks runs list --limit five",
        "docks runs list --max-age soon",
        "docks runs list --format yaml",
        "docks runs get",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(!error.to_string().contains("abc"), "{line}");
    }
}

#[test]
fn a_sort_key_may_begin_with_a_dash() {
    let cli = parse("docks runs list --sort -created").unwrap();
    let Command::Runs(Deferred(RunsCommand::List(list))) = cli.command else {
        panic!("another command");
    };
    assert_eq!(list.options.sort.as_deref(), Some("-created"));
}

#[test]
fn statuses_may_be_repeated_or_comma_separated() {
    let cli = parse("docks runs list -s failed,error --status running").unwrap();
    let Command::Runs(Deferred(RunsCommand::List(list))) = cli.command else {
        panic!("another command");
    };
    assert_eq!(list.options.status, ["failed", "error", "running"]);
}

/// Commands from the documentation of docks and from the guide of the Python client.
const DOCUMENTED: &[&str] = &[
    "docks runs list --limit 10 --status running",
    "docks runs list -n 10",
    "docks runs get abc123-def456-ghi789",
    "docks runs stop abc123-def456-ghi789",
    "docks runs eval-list --limit 5",
    "docks runs eval-get abc123-def456-ghi789",
    "docks runs trials abc123-def456-ghi789",
    "docks runs trials abc123-def456-ghi789 --limit 5",
    "docks runs trial abc123-def456-ghi789 trial-001",
    "docks runs artifacts abc123-def456-ghi789 --output ./artifacts",
    "docks runs artifacts abc123-def456-ghi789 --trial trial-001 --type logs",
    "docks runs artifacts abc123-def456-ghi789 -t trial-001 -o ./results",
    "docks runs artifacts abc123-def456-ghi789 --type trajectory",
    "docks runs artifacts abc123-def456-ghi789 --type diff",
    "docks runs artifacts abc123-def456-ghi789 --type result",
    "docks runs list --limit 5",
    "docks runs artifacts abc123-def456-ghi789 --output ./results",
    "docks runs list --status failed",
    "docks runs list --status failed --format json",
    "docks runs stop abc123 -f",
    "docks runs eval-start abc123",
    "docks runs eval-cancel abc123 --force",
    "docks --harbor-server http://127.0.0.1:8390 runs pause nightly",
    "docks runs resume nightly --harbor-server http://127.0.0.1:8390",
    "docks runs retry nightly --force",
    "docks profile add serve --harbor-server http://127.0.0.1:8390",
    "docks --debug runs eval-get abc123",
    "docks runs eval-get abc123 --debug",
    "docks --profile staging -v runs list",
    "docks --harbor examples/harbor-jobs runs eval-list",
    "docks auth login --api-url https://api.example --tenant 64e7ed28",
    "docks auth login -p staging",
    "docks auth logout --profile b",
    "docks auth status",
    "docks profile add local --harbor ./jobs",
    "docks cache forget staging",
    "docks cache forget 1f0e9d8c --yes",
    "docks sync --full",
    "docks daemon logs -n 0 --follow",
    "docks daemon run -- --log-level debug",
    "docks completions zsh",
];

#[test]
fn every_documented_command_is_accepted() {
    for line in DOCUMENTED {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
    for status in [
        "pending",
        "provisioning",
        "running",
        "completed",
        "failed",
        "cancelled",
    ] {
        assert!(parse(&format!("docks runs list --status {status}")).is_ok());
    }
    assert_eq!(
        parse("docks -V").unwrap_err().kind(),
        ErrorKind::DisplayVersion
    );
}

#[test]
fn every_example_in_the_help_is_accepted() {
    fn walk(command: &clap::Command, lines: &mut Vec<String>) {
        let help = command.get_after_help().map(ToString::to_string);
        for line in help.unwrap_or_default().lines() {
            if let Some(line) = line.trim().strip_prefix("docks ") {
                // The shell handles redirections and pipes.
                let line = line.split(['<', '>', '|']).next().unwrap_or(line);
                lines.push(format!("docks {line}"));
            }
        }
        for inner in command.get_subcommands() {
            walk(inner, lines);
        }
    }
    let mut lines = Vec::new();
    let mut tree = Cli::command();
    tree.build();
    walk(&tree, &mut lines);
    assert!(lines.len() > 20, "{lines:?}");
    for line in lines {
        if let Err(error) = parse(&line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn meta_implies_json_and_conflicts_with_the_line_formats() {
    assert_eq!(
        parse("docks runs list --meta").unwrap().global.format,
        Format::Json
    );
    assert!(parse("docks runs list --meta --format tsv").is_err());
}
