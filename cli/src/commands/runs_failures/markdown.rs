//! Why trials failed as Markdown, for a comment or a report.

use super::print::summary;
use super::{Shown, ShownCluster};
use crate::output::markup::escaped_markdown;

/// Returns a report: what may be said in a sentence each, then the clusters as a table.
pub(super) fn report(found: &Shown<'_>) -> String {
    let mut text = String::new();
    for (remote, report) in &found.reports {
        let mut lines = summary(*remote, report).into_iter();
        let first = lines.next().unwrap_or_default();
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("**{}**\n\n", escaped_markdown(&first)));
        for line in lines {
            text.push_str(&format!("- {}\n", escaped_markdown(&line)));
        }
    }
    if found.clusters.is_empty() {
        return text;
    }
    let mut columns = vec![
        "trials", "class", "cause", "message", "tasks", "runs", "examples",
    ];
    if found.reports.iter().any(|(remote, _)| remote.is_some()) {
        columns.push("remote");
    }
    let rules = vec!["---"; columns.len()];
    text.push_str(&format!(
        "\n| {} |\n| {} |\n",
        columns.join(" | "),
        rules.join(" | ")
    ));
    for cluster in &found.clusters {
        text.push_str(&row(cluster));
    }
    let (shown, all) = (found.clusters.len() as u64, found.clusters_total);
    if shown < all {
        text.push_str(&format!("\nThe biggest {shown} of {all} clusters.\n"));
    }
    text
}

fn row(shown: &ShownCluster<'_>) -> String {
    let cluster = shown.cluster;
    let examples = cluster.examples.iter();
    let examples: Vec<String> = examples
        .map(|example| escaped_markdown(&format!("{} {}", example.run_id, example.trial_id)))
        .collect();
    let mut cells = vec![
        cluster.trials.to_string(),
        cluster.class.name().to_owned(),
        escaped_markdown(&cluster.cause),
        escaped_markdown(&cluster.message),
        cluster.tasks.to_string(),
        cluster.runs.to_string(),
        examples.join("<br>"),
    ];
    cells.extend(shown.remote.map(escaped_markdown));
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use docks_proto::failures::{FailureClass, FailureCluster, FailureExample, FailureReport};

    use super::*;

    #[test]
    fn no_message_of_a_trial_gets_out_of_its_cell() {
        let cluster = FailureCluster {
            class: FailureClass::Unknown,
            cause: "other error".into(),
            decided_by: "X".into(),
            errors: vec!["X".into()],
            message: "a | <img src=x>\n| @all [b](c)".into(),
            trials: 3,
            solved: 0,
            runs: 1,
            tasks: 2,
            examples: vec![FailureExample {
                run_id: "r_1".into(),
                trial_id: "t|1".into(),
                task: "a".into(),
                message: String::new(),
                log: None,
            }],
        };
        let found = FailureReport {
            trials: 4,
            failures: 3,
            ended: 4,
            clusters: vec![cluster],
            clusters_total: 2,
            ..FailureReport::default()
        };
        let text = report(&Shown::of_one(&found));
        let row = text.lines().find(|line| line.starts_with("| 3 ")).unwrap();
        assert_eq!(
            row,
            "| 3 | unknown | other error | a \\| \\<img src=x\\> \\| \\@all \\[b\\](c) | 2 | 1 | r\\_1 t\\|1 |"
        );
        assert!(text.starts_with("**no runs: 3 of 4 trials failed or have an error**\n"));
        assert!(text.ends_with("\nThe biggest 1 of 2 clusters.\n"));
    }
}
